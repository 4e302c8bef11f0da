//! The few A64 instructions that matter here (Arm ARM, C6.2: DC is an alias of SYS, DSB, DMB).

/// What an instruction means to a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matters {
    /// Cleans by virtual address to a point behind the cache; the number of the register that holds the address.
    Clean(u8),
    /// DMB.
    Order,
    /// DSB.
    Complete,
}

/// SYS #3, C7, Cm, #1, Xt: op1, CRn and op2 of all cleans, without CRm and Rt.
const CLEAN: u32 = 0xd50b_7020;
const CLEAN_MASK: u32 = 0xffff_f0e0;
/// CRm: DC CVAC, CVAP, CVADP, CIVAC. C11, CVAU, only goes to the point of unification.
const CLEAN_CRM: [u32; 4] = [10, 12, 13, 14];
/// DSB and DMB, without CRm, which is the domain.
const DSB: u32 = 0xd503_309f;
const DMB: u32 = 0xd503_30bf;
const BARRIER_MASK: u32 = 0xffff_f0ff;
/// CRm of 0 and 4 are SSBB and PSSBB: barriers against speculation only.
const SPECULATION: [u32; 2] = [0, 4];

/// Looks at an instruction.
pub(crate) fn matters(word: u32) -> Option<Matters> {
    let crm = word >> 8 & 0xf;
    if word & CLEAN_MASK == CLEAN && CLEAN_CRM.contains(&crm) {
        return Some(Matters::Clean((word & 0x1f) as u8));
    }
    match word & BARRIER_MASK {
        DSB if !SPECULATION.contains(&crm) => Some(Matters::Complete),
        DMB => Some(Matters::Order),
        _ => None,
    }
}
