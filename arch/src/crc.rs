//! CRC-32C by instruction, where the CPU has it: eight bytes in one step of an event's check.
//!
//! The polynomial is Castagnoli's, bits reflected; initial value and final inversion are the caller's business.

use core::arch::asm;

use crate::sysreg::{ID_AA64ISAR0, id_aa64isar0_el1};

/// Whether this core has the CRC instructions (optional in Armv8.0, mandatory from Armv8.1 on).
#[must_use]
pub fn available() -> bool {
    id_aa64isar0_el1::read().read(ID_AA64ISAR0::CRC32) != 0
}

macro_rules! crc32c {
    ($(#[$doc:meta])* $name:ident, $data:ty, $instruction:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// Without the instructions ([`available`]) this is an undefined instruction.
        #[inline(always)]
        #[must_use]
        pub unsafe fn $name(crc: u32, data: $data) -> u32 {
            let result: u32;
            // SAFETY: only computes; the caller has checked that the instruction exists.
            unsafe {
                asm!(
                    ".arch_extension crc", $instruction,
                    result = lateout(reg) result, crc = in(reg) crc, data = in(reg) data,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            result
        }
    };
}

crc32c!(/// Goes on with one byte.
    crc32cb, u32, "crc32cb {result:w}, {crc:w}, {data:w}");
crc32c!(/// Goes on with two bytes, little endian.
    crc32ch, u32, "crc32ch {result:w}, {crc:w}, {data:w}");
crc32c!(/// Goes on with four bytes, little endian.
    crc32cw, u32, "crc32cw {result:w}, {crc:w}, {data:w}");
crc32c!(/// Goes on with eight bytes, little endian.
    crc32cx, u64, "crc32cx {result:w}, {crc:w}, {data:x}");
