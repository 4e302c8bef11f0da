//! CRC-32C by this host's instruction, where it has one.

/// What is used.
#[cfg(target_arch = "x86_64")]
pub(crate) const NAME: &str = "SSE4.2 instruction, lanes joined by PCLMULQDQ";
#[cfg(target_arch = "aarch64")]
pub(crate) const NAME: &str = "CRC32C instruction";

/// Asks the CPU.
#[cfg(target_arch = "x86_64")]
pub(crate) fn instruction() -> Option<ring::check::Instruction> {
    ring::check::Instruction::detect()
}

/// Asks the CPU.
#[cfg(target_arch = "aarch64")]
pub(crate) fn instruction() -> Option<arm::Instruction> {
    arm::Instruction::new()
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use core::arch::asm;
    use ring::check::Crc32c;

    /// The CRC32C instructions. Only [`Self::new`] makes one.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Instruction(());

    impl Instruction {
        pub(crate) fn new() -> Option<Self> {
            std::arch::is_aarch64_feature_detected!("crc").then_some(Self(()))
        }
    }

    // Not the intrinsics: those become calls in code that is compiled for every aarch64.
    impl Crc32c for Instruction {
        type Direct = Self;
        #[inline(always)]
        fn direct(self) -> Option<Self> {
            Some(self)
        }
        #[inline(always)]
        fn u64(self, register: u32, value: u64) -> u32 {
            let result: u32;
            // SAFETY: the CPU said that it has the instruction, which touches registers only.
            unsafe {
                asm!(".arch_extension crc", "crc32cx {0:w}, {1:w}, {2:x}", lateout(reg) result, in(reg) register,
                    in(reg) value, options(pure, nomem, nostack, preserves_flags));
            }
            result
        }
        #[inline(always)]
        fn u32(self, register: u32, value: u32) -> u32 {
            let result: u32;
            // SAFETY: the CPU said that it has the instruction, which touches registers only.
            unsafe {
                asm!(".arch_extension crc", "crc32cw {0:w}, {1:w}, {2:w}", lateout(reg) result, in(reg) register,
                    in(reg) value, options(pure, nomem, nostack, preserves_flags));
            }
            result
        }
    }
}
