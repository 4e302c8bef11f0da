//! Exception syndromes in words (Arm ARM, ESR_EL1).

use core::fmt;

use tock_registers::LocalRegisterCopy;

/// Fields of ESR_EL1.
mod layout {
    #![allow(unreachable_pub, reason = "the macro knows only `pub`")]
    use tock_registers::register_bitfields;

    register_bitfields! {u64,
        pub ESR [
            /// Exception class.
            EC OFFSET(26) NUMBITS(6) [],
            /// The instruction is 32 bits long.
            IL OFFSET(25) NUMBITS(1) [],
            /// Instruction specific syndrome.
            ISS OFFSET(0) NUMBITS(25) []
        ],
        /// The syndrome of instruction and data aborts.
        pub ISS_ABORT [
            /// Instruction syndrome valid: access size and register.
            ISV OFFSET(24) NUMBITS(1) [],
            /// FAR is not valid, for synchronous external aborts.
            FNV OFFSET(10) NUMBITS(1) [],
            /// The fault was in a cache maintenance or address translation instruction.
            CM OFFSET(8) NUMBITS(1) [],
            /// A fault of stage 2 in a walk of stage 1.
            S1PTW OFFSET(7) NUMBITS(1) [],
            /// Write, not read.
            WNR OFFSET(6) NUMBITS(1) [],
            /// Fault status.
            FSC OFFSET(0) NUMBITS(6) []
        ],
        /// The syndrome of BRK.
        pub ISS_BRK [
            /// The immediate of the instruction.
            COMMENT OFFSET(0) NUMBITS(16) []
        ]
    }
}
use layout::{ESR, ISS_ABORT, ISS_BRK};

/// Exception classes whose syndrome is decoded further, or which the code asks for.
mod class {
    pub(super) const UNKNOWN: u64 = 0x00;
    pub(super) const INSTRUCTION_ABORT_LOWER: u64 = 0x20;
    pub(super) const INSTRUCTION_ABORT: u64 = 0x21;
    pub(super) const DATA_ABORT_LOWER: u64 = 0x24;
    pub(super) const DATA_ABORT: u64 = 0x25;
    pub(super) const SERROR: u64 = 0x2f;
    pub(super) const BRK: u64 = 0x3c;
}

/// Every exception class that can be taken to EL1, in words.
const CLASSES: [(u64, &str); 33] = [
    (class::UNKNOWN, "undefined instruction"),
    (0x01, "trapped WFI or WFE"),
    (0x07, "floating point or SIMD is not enabled"),
    (0x0a, "trapped LD64B or ST64B"),
    (0x0d, "branch to a place that is no branch target"),
    (0x0e, "illegal execution state"),
    (0x14, "trapped 128-bit system register access"),
    (0x15, "SVC"),
    (0x16, "HVC"),
    (0x17, "SMC"),
    (0x18, "trapped system register access"),
    (0x19, "SVE is not enabled"),
    (0x1b, "trapped TSTART"),
    (0x1c, "pointer authentication failed"),
    (0x1d, "SME is not enabled"),
    (class::INSTRUCTION_ABORT_LOWER, "instruction abort in a lower level"),
    (class::INSTRUCTION_ABORT, "instruction abort"),
    (0x22, "misaligned program counter"),
    (class::DATA_ABORT_LOWER, "data abort in a lower level"),
    (class::DATA_ABORT, "data abort"),
    (0x26, "misaligned stack pointer"),
    (0x27, "memory copy or set instruction"),
    (0x2c, "floating-point exception"),
    (0x2d, "guarded control stack"),
    (class::SERROR, "SError"),
    (0x30, "breakpoint in a lower level"),
    (0x31, "breakpoint"),
    (0x32, "software step in a lower level"),
    (0x33, "software step"),
    (0x34, "watchpoint in a lower level"),
    (0x35, "watchpoint"),
    (class::BRK, "BRK instruction"),
    (0x3d, "profiling"),
];

/// Fault status codes: value, words, and whether the last two bits are the level of the page table.
const FAULTS: [(u64, u64, &str, bool); 14] = [
    (0x00, 0x3c, "address size fault", true),
    (0x04, 0x3c, "translation fault", true),
    (0x08, 0x3c, "access flag fault", true),
    (0x0c, 0x3c, "permission fault", true),
    (0x10, 0x3f, "external abort", false),
    (0x11, 0x3f, "tag check fault", false),
    (0x14, 0x3c, "external abort in a table walk", true),
    (0x18, 0x3f, "parity or ECC error", false),
    (0x1c, 0x3c, "parity or ECC error in a table walk", true),
    (0x21, 0x3f, "alignment fault", false),
    (0x2b, 0x3f, "translation fault above the root table", false),
    (0x30, 0x3f, "TLB conflict", false),
    (0x34, 0x3f, "lockdown fault", false),
    (0x35, 0x3f, "unsupported exclusive or atomic access", false),
];

/// What an abort did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read data.
    Read,
    /// Wrote data.
    Write,
    /// Maintained a cache or asked for a translation.
    Maintenance,
    /// Fetched an instruction.
    Execute,
}

/// Why an access was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The raw fault status code.
    pub status: u8,
    /// In words; `None` for codes that no architecture version defines.
    pub words: Option<&'static str>,
    /// Level of the page table entry at fault, 0 to 3, where there is one.
    pub level: Option<u8>,
    /// What the access was.
    pub access: Access,
    /// Whether FAR_EL1 holds the address.
    pub address_valid: bool,
}

/// A decoded syndrome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syndrome {
    /// The raw register.
    pub raw: u64,
    /// The exception class, 6 bits.
    pub class: u8,
    /// The class in words; `None` for classes that no architecture version defines.
    pub words: Option<&'static str>,
    /// For aborts: the refused access.
    pub fault: Option<Fault>,
    /// For BRK: the number in the instruction.
    pub brk: Option<u16>,
}

impl Syndrome {
    /// Decodes a value of ESR_EL1.
    #[must_use]
    pub fn decode(raw: u64) -> Self {
        let esr = LocalRegisterCopy::<u64, ESR::Register>::new(raw);
        let class = esr.read(ESR::EC);
        let iss = esr.read(ESR::ISS);
        let fault = match class {
            class::INSTRUCTION_ABORT | class::INSTRUCTION_ABORT_LOWER => Some(Fault::decode(iss, true)),
            class::DATA_ABORT | class::DATA_ABORT_LOWER => Some(Fault::decode(iss, false)),
            _ => None,
        };
        let brk = LocalRegisterCopy::<u64, ISS_BRK::Register>::new(iss);
        Self {
            raw,
            class: class as u8,
            words: CLASSES.iter().find(|(value, _)| *value == class).map(|(_, words)| *words),
            fault,
            brk: (class == class::BRK).then(|| brk.read(ISS_BRK::COMMENT) as u16),
        }
    }

    /// Whether this is an undefined instruction.
    #[must_use]
    pub fn is_undefined(&self) -> bool {
        u64::from(self.class) == class::UNKNOWN
    }
}

impl Fault {
    fn decode(iss: u64, execute: bool) -> Self {
        let iss = LocalRegisterCopy::<u64, ISS_ABORT::Register>::new(iss);
        let status = iss.read(ISS_ABORT::FSC);
        let found = FAULTS.iter().find(|(value, mask, ..)| status & mask == *value);
        let access = if execute {
            Access::Execute
        } else if iss.is_set(ISS_ABORT::CM) {
            Access::Maintenance
        } else if iss.is_set(ISS_ABORT::WNR) {
            Access::Write
        } else {
            Access::Read
        };
        Self {
            status: status as u8,
            words: found.map(|(_, _, words, _)| *words),
            level: found.filter(|(.., levels)| *levels).map(|_| (status & 0b11) as u8),
            access,
            address_valid: !iss.is_set(ISS_ABORT::FNV),
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Read => "read",
            Access::Write => "write",
            Access::Maintenance => "cache maintenance",
            Access::Execute => "execute",
        })
    }
}

/// For instance "data abort: translation fault, level 3, write".
impl fmt::Display for Syndrome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words {
            Some(words) => f.write_str(words)?,
            None => write!(f, "unknown class {:#04x}", self.class)?,
        }
        if let Some(fault) = self.fault {
            match fault.words {
                Some(words) => write!(f, ": {words}")?,
                None => write!(f, ": unknown status {:#04x}", fault.status)?,
            }
            if let Some(level) = fault.level {
                write!(f, ", level {level}")?;
            }
            write!(f, ", {}", fault.access)?;
        }
        if let Some(number) = self.brk {
            write!(f, " {number:#x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    /// Values seen on machines, or put together from the Arm ARM.
    const SEEN: [(u64, &str); 17] = [
        (0x9600_0004, "data abort: translation fault, level 0, read"),
        (0x9600_0047, "data abort: translation fault, level 3, write"),
        (0x9600_004f, "data abort: permission fault, level 3, write"),
        (0x8600_000f, "instruction abort: permission fault, level 3, execute"),
        (0x8600_0006, "instruction abort: translation fault, level 2, execute"),
        (0x9600_0021, "data abort: alignment fault, read"),
        (0x9600_0061, "data abort: alignment fault, write"),
        (0x9600_0010, "data abort: external abort, read"),
        (0x9600_0147, "data abort: translation fault, level 3, cache maintenance"),
        (0x9600_003f, "data abort: unknown status 0x3f, read"),
        (0x9600_0035, "data abort: unsupported exclusive or atomic access, read"),
        (0xf200_0001, "BRK instruction 0x1"),
        (0xf200_f000, "BRK instruction 0xf000"),
        (0x0200_0000, "undefined instruction"),
        (0x5e00_0000, "SMC"),
        (0xbe00_0000, "SError"),
        (0xfe00_0000, "unknown class 0x3f"),
    ];

    #[test]
    fn syndromes_seen_on_machines_read_as_they_should() {
        for (raw, words) in SEEN {
            assert_eq!(Syndrome::decode(raw).to_string(), words, "{raw:#x}");
        }
    }

    #[test]
    fn every_value_decodes() {
        for class in 0..64u64 {
            for low in 0..0x1000u64 {
                let syndrome = Syndrome::decode(class << 26 | low);
                assert_eq!(u64::from(syndrome.class), class);
                assert!(!syndrome.to_string().is_empty());
            }
        }
    }

    #[test]
    fn classes_and_statuses_are_listed_once() {
        for (i, (class, _)) in CLASSES.iter().enumerate() {
            assert!(CLASSES[i + 1..].iter().all(|(other, _)| other != class), "{class:#x}");
        }
        for status in 0..64u64 {
            assert!(FAULTS.iter().filter(|(value, mask, ..)| status & mask == *value).count() <= 1, "{status:#x}");
        }
    }
}
