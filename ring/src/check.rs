//! The check that every event and every line of ours ends in: CRC-32C, seeded with who wrote it and where.
//!
//! The register starts from [`seed`] (boot id and core), takes in the event's position word (sequence number of the
//! sub-buffer and place in it), then the event's bytes. A stale event therefore fails under the current position and passes
//! under the one it was written for; [`sequence_of`] runs the check backwards to name that one.

/// CRC-32C (Castagnoli), reflected.
pub(crate) const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Computes CRC-32C steps: the CPU's instruction, or [`Table`].
///
/// The register is taken and returned raw: no inversion before or after.
pub trait Crc32c: Copy {
    /// The register after eight bytes, the least significant first.
    fn u64(self, register: u32, value: u64) -> u32;
    /// The register after four bytes, the least significant first.
    fn u32(self, register: u32, value: u32) -> u32;
    /// The register after any bytes.
    fn bytes(self, register: u32, bytes: &[u8]) -> u32 {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut register = register;
        for word in words {
            register = self.u64(register, u64::from_le_bytes(*word));
        }
        let (halves, rest) = rest.as_chunks::<4>();
        for half in halves {
            register = self.u32(register, u32::from_le_bytes(*half));
        }
        Table.short(register, rest)
    }
}

/// CRC-32C in software, for machines without the instruction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Table;

/// The same polynomial without the usual inversions, so that the register can be carried from call to call.
const RAW: crc::Algorithm<u32> = crc::Algorithm { init: 0, xorout: 0, ..crc::CRC_32_ISCSI };
/// A small table on the target, whose CPUs have the instruction; the fastest one on hosts.
#[cfg(target_os = "none")]
type Lookup = crc::Table<1>;
#[cfg(not(target_os = "none"))]
type Lookup = crc::Table<16>;
static SOFTWARE: crc::Crc<u32, Lookup> = crc::Crc::<u32, Lookup>::new(&RAW);

impl Table {
    fn short(self, register: u32, bytes: &[u8]) -> u32 {
        if bytes.is_empty() {
            return register;
        }
        // The crate reflects an initial value that it is given; the register is already reflected.
        let mut digest = SOFTWARE.digest_with_initial(register.reverse_bits());
        digest.update(bytes);
        digest.finalize()
    }
}

impl Crc32c for Table {
    fn u64(self, register: u32, value: u64) -> u32 {
        self.short(register, &value.to_le_bytes())
    }
    fn u32(self, register: u32, value: u32) -> u32 {
        self.short(register, &value.to_le_bytes())
    }
    fn bytes(self, register: u32, bytes: &[u8]) -> u32 {
        self.short(register, bytes)
    }
}

/// CRC-32C by the CPU's instruction.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Instruction(());

#[cfg(target_arch = "x86_64")]
impl Instruction {
    /// For a caller that has asked the CPU.
    ///
    /// # Safety
    /// The CPU has SSE4.2.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

#[cfg(target_arch = "x86_64")]
impl Crc32c for Instruction {
    #[inline(always)]
    fn u64(self, register: u32, value: u64) -> u32 {
        let mut wide = u64::from(register);
        // SAFETY: `new` promises SSE4.2. The instruction touches registers only.
        unsafe {
            core::arch::asm!("crc32 {0}, {1}", inout(reg) wide, in(reg) value, options(pure, nomem, nostack, preserves_flags));
        }
        wide as u32
    }
    #[inline(always)]
    fn u32(self, register: u32, value: u32) -> u32 {
        let mut register = register;
        // SAFETY: `new` promises SSE4.2. The instruction touches registers only.
        unsafe {
            core::arch::asm!("crc32 {0:e}, {1:e}", inout(reg) register, in(reg) value, options(pure, nomem, nostack, preserves_flags));
        }
        register
    }
}

/// What a core's events start from: the register after the boot id and the core number.
#[must_use]
pub fn seed(boot_id: u32, core: u16) -> u32 {
    Table.u64(u32::MAX, seed_word(boot_id, core))
}

/// What the register takes in for a seed.
pub(crate) const fn seed_word(boot_id: u32, core: u16) -> u64 {
    boot_id as u64 | (core as u64) << 32
}

/// The sequence number (below 2^32) of the sub-buffer in which an event with this check, at this word of its sub-buffer,
/// was written: the check run backwards. Random bytes give a random answer; the caller judges whether it is plausible.
///
/// `bytes` are the event's bytes without the check.
#[must_use]
pub fn sequence_of(seed: u32, word: u32, bytes: &[u8], check: u32) -> u32 {
    let mut register = check;
    for byte in bytes.iter().rev() {
        register = register << 8 ^ BYTE_BACK[(register >> 24) as usize] ^ u32::from(*byte);
    }
    // Now the register stands behind the position word: WORD_BITS known bits, 32 unknown ones, zeros up to bit 64.
    let before = zeros(seed ^ word, crate::position::WORD_BITS);
    let after = zeros_back(register, 64 - 32 - crate::position::WORD_BITS);
    zeros_back(after, 32) ^ before
}

/// What eight zero bits back make of a register's top byte.
static BYTE_BACK: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i as usize] = zeros_back(i << 24, 8);
        i += 1;
    }
    table
};

/// The register after `steps` zero bits.
fn zeros(register: u32, steps: u32) -> u32 {
    (0..steps).fold(register, |r, _| (r >> 1) ^ if r & 1 == 1 { POLYNOMIAL } else { 0 })
}

/// The register before `steps` zero bits: the polynomial's top bit tells whether it was added.
const fn zeros_back(mut register: u32, steps: u32) -> u32 {
    let mut step = 0;
    while step < steps {
        register = if register >> 31 == 1 { (register ^ POLYNOMIAL) << 1 | 1 } else { register << 1 };
        step += 1;
    }
    register
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Position;

    #[test]
    fn the_known_answer_of_crc32c() {
        assert_eq!(!Table.bytes(!0, b"123456789"), 0xe306_9283);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_instruction_and_the_table_agree() {
        if !std::is_x86_feature_detected!("sse4.2") {
            return;
        }
        // SAFETY: just asked.
        let fast = unsafe { Instruction::new() };
        let bytes: [u8; 37] = core::array::from_fn(|i| (i * 73) as u8);
        for start in 0..9 {
            for end in start..37 {
                assert_eq!(fast.bytes(7, &bytes[start..end]), Table.bytes(7, &bytes[start..end]), "{start}..{end}");
            }
        }
    }

    #[test]
    fn an_event_names_the_lap_it_was_written_in() {
        let seed = seed(0xdead_beef, 3);
        let bytes = b"any event at all, whole words...";
        for sequence in [0u64, 1, 99, 100_000, 0xffff_ffff] {
            for word in [4u32, 5, 700, 1013] {
                let position = Position::new(0, sequence, word);
                let check = Table.bytes(Table.u64(seed, position.checked()), bytes);
                assert_eq!(sequence_of(seed, word, bytes, check), sequence as u32);
            }
        }
    }
}
