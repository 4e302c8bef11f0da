//! Faults on purpose: what a kernel that tests its own end needs, and what no correct code does.
//!
//! No access makes a core take an SError for sure. [`Fault::External`] does on most hardware, where a store is acknowledged
//! before it has arrived; QEMU reports the same store as a synchronous external abort. Where EL2 is our own,
//! [`Fault::SError`] lets it raise one.

use core::arch::asm;
use core::sync::atomic::AtomicU32;

use crate::nmi::el2::vectors::el2_vectors;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A load from where nothing is mapped.
    Load,
    /// A jump to where nothing is mapped.
    Jump,
    /// An instruction that there is not.
    Undefined,
    /// A register of pointer authentication, which HCR_EL2 keeps from EL1 unless told otherwise.
    Trap,
    /// An SError, by HCR_EL2.VSE. Nothing where EL2 is not our own.
    SError,
    /// An exclusive load across a boundary of 16 bytes.
    Misaligned,
    /// A store to a device that is not there.
    External,
    /// A store into the kernel's constants.
    Constants,
    /// A store into the kernel's code.
    Code,
    /// A jump into the kernel's variables, to what would be an instruction.
    Variables,
}

/// Half of all addresses away from any memory or device.
const NOWHERE: usize = 0x7fff_0000_0000;
/// Above all memory, below the high windows of buses, in reach of 40 bits of physical address.
const NO_DEVICE: usize = 0x70_0000_0000;
/// RET.
const RET: u32 = 0xd65f_03c0;

static CONSTANT: u32 = RET;
static VARIABLE: AtomicU32 = AtomicU32::new(RET);
static ACROSS: [AtomicU32; 8] = [const { AtomicU32::new(0) }; 8];

/// Provokes a fault. Returns only if nobody minded.
pub fn provoke(fault: Fault) {
    match fault {
        Fault::Load => load(NOWHERE),
        Fault::Jump => jump(NOWHERE),
        // SAFETY: an exception by definition; who handles it does not come back here.
        Fault::Undefined => unsafe { asm!("udf #0", options(nomem, nostack)) },
        // SAFETY: reads APIAKeyLo_EL1: a trap, an undefined instruction, or a key that nobody uses.
        Fault::Trap => unsafe { asm!("mrs {}, S3_0_C2_C1_0", out(reg) _, options(nomem, nostack)) },
        Fault::SError => crate::nmi::el2::raise_serror(),
        Fault::Misaligned => exclusive_load((&raw const ACROSS).addr().next_multiple_of(16) + 12),
        Fault::External => {
            if crate::mmu::map_device(NO_DEVICE..NO_DEVICE + crate::mmu::PAGE_SIZE).is_ok() {
                store(NO_DEVICE, 0);
            }
        }
        Fault::Constants => store((&raw const CONSTANT).addr(), RET),
        Fault::Code => store_same(provoke as *const () as usize),
        Fault::Variables => jump(VARIABLE.as_ptr().addr()),
    }
}

/// Ends all order on this core: everything masked, its block and both of its stacks where nothing is, and the vectors of EL2
/// for its own. Their first instructions are undefined at this level, so it takes one exception after the other.
///
/// Vectors where nothing is would do on hardware. An emulator that counts instructions stands still there: none is executed.
pub fn go_wild() -> ! {
    // SAFETY: what runs on this core afterwards reaches no memory: every address that it has is one where nothing is.
    unsafe {
        asm!(
            "msr daifset, #0b1111",
            "msr vbar_el1, {vectors}",
            "msr tpidr_el1, {nowhere}",
            "isb",
            "mov sp, {nowhere}",
            "msr spsel, #1",
            "mov sp, {nowhere}",
            "udf #0",
            vectors = in(reg) el2_vectors as *const (),
            nowhere = in(reg) NOWHERE,
            options(noreturn)
        )
    }
}

fn load(at: usize) {
    // SAFETY: nothing is mapped there: a data abort, or a value that nobody uses.
    unsafe { asm!("ldr {0:w}, [{0}]", inout(reg) at => _, options(nostack, readonly)) };
}

fn exclusive_load(at: usize) {
    // SAFETY: inside a static: an alignment fault, or a value that nobody uses.
    unsafe { asm!("ldxr {0}, [{0}]", "clrex", inout(reg) at => _, options(nostack)) };
}

fn store(at: usize, value: u32) {
    // SAFETY: to constants, the value that is there; to a device page, nobody's register.
    unsafe { asm!("str {0:w}, [{1}]", "dsb sy", "isb", in(reg) value, in(reg) at, options(nostack)) };
}

fn store_same(at: usize) {
    // SAFETY: what is there is written back: a permission fault, or no change.
    unsafe { asm!("ldr {1:w}, [{0}]", "str {1:w}, [{0}]", in(reg) at, out(reg) _, options(nostack)) };
}

fn jump(to: usize) {
    // SAFETY: not executable: an instruction abort. If it is, it is RET.
    unsafe { asm!("blr {}", in(reg) to, clobber_abi("C")) };
}
