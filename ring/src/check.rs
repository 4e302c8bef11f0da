//! The check that every event and every line of ours ends in: CRC-32C, seeded with who wrote it and where.
//!
//! The register starts from [`seed`] (boot id and core), takes in the event's position word (sequence number of the
//! sub-buffer and place in it), then the event's bytes. A stale event therefore fails under the current position and passes
//! under the one it was written for; run backwards, the check names that one (`search::sequence_before`).

/// CRC-32C (Castagnoli), reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Computes CRC-32C steps: the CPU's instruction, or [`Table`].
///
/// The register is taken and returned raw: no inversion before or after.
pub trait Crc32c: Copy {
    /// The same for a caller who folds each word as it passes by: steps that need no choice between ways.
    type Direct: Crc32c;
    /// Bytes in each of the three lanes in which long runs are taken; 0 where single steps are as fast. A step waits for
    /// the one before it; steps of three lanes do not know each other, and three take no longer than one.
    const LANE: usize = 0;
    /// The register after three lanes that were each begun at 0, going on from `register`.
    fn join(self, register: u32, lanes: [u32; 3]) -> u32 {
        debug_assert!(Self::LANE == 0, "lanes, and no way to join them: {lanes:x?}");
        register
    }
    /// That form, if this machine has it.
    fn direct(self) -> Option<Self::Direct>;
    /// The register after eight bytes, the least significant first.
    fn u64(self, register: u32, value: u64) -> u32;
    /// The register after four bytes, the least significant first.
    fn u32(self, register: u32, value: u32) -> u32;
    /// The register after any bytes.
    #[inline(always)]
    fn bytes(self, register: u32, bytes: &[u8]) -> u32 {
        let (words, rest) = bytes.as_chunks::<8>();
        let register = run(self, register, words.len(), |i| u64::from_le_bytes(words[i]));
        let (halves, rest) = rest.as_chunks::<4>();
        let register = halves.iter().fold(register, |register, half| self.u32(register, u32::from_le_bytes(*half)));
        if rest.is_empty() { register } else { Table.short(register, rest) }
    }
}

/// The register after a run of words, in lanes as far as there are any.
#[inline(always)]
pub(crate) fn run<C: Crc32c>(crc: C, register: u32, words: usize, word: impl Fn(usize) -> u64) -> u32 {
    let (mut register, mut at) = (register, 0);
    let lane = C::LANE / 8;
    if lane > 0 {
        while at + 3 * lane <= words {
            let mut lanes = [0; 3];
            for i in at..at + lane {
                lanes[0] = crc.u64(lanes[0], word(i));
                lanes[1] = crc.u64(lanes[1], word(i + lane));
                lanes[2] = crc.u64(lanes[2], word(i + 2 * lane));
            }
            register = crc.join(register, lanes);
            at += 3 * lane;
        }
    }
    (at..words).fold(register, |register, i| crc.u64(register, word(i)))
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
    // A call on purpose on the target: it stands in many places there, and the image is small.
    #[cfg_attr(target_os = "none", inline(never))]
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
    type Direct = Self;
    fn direct(self) -> Option<Self> {
        Some(self)
    }
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
    /// Asks the CPU for SSE4.2 (the step) and PCLMULQDQ (which joins lanes).
    #[must_use]
    pub fn detect() -> Option<Self> {
        const SSE4_2_AND_PCLMULQDQ: u32 = 1 << 20 | 1 << 1;
        let features = core::arch::x86_64::__cpuid(1).ecx;
        (features & SSE4_2_AND_PCLMULQDQ == SSE4_2_AND_PCLMULQDQ).then_some(Self(()))
    }

    /// The register after `lanes` lanes of zeros.
    #[inline(always)]
    fn over(self, register: u32, lanes: u32) -> u32 {
        /// x^(8 n - 33) for n bytes: the product comes out one bit short of 64, and the step that reduces it adds 32.
        const fn power(bytes: u32) -> u64 {
            zeros(1 << 31, 8 * bytes - 33) as u64
        }
        const LANE: u32 = Instruction::LANE as u32;
        const POWERS: [u64; 3] = [power(LANE), power(2 * LANE), power(3 * LANE)];
        let product: u64;
        // SAFETY: whoever made this asked the CPU. The instructions touch registers only.
        unsafe {
            core::arch::asm!(
                "movq {a}, {register}",
                "movq {b}, {power}",
                "pclmulqdq {a}, {b}, 0",
                "movq {product}, {a}",
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                register = in(reg) u64::from(register),
                power = in(reg) POWERS[lanes as usize - 1],
                product = lateout(reg) product,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        self.u64(0, product)
    }
}

#[cfg(target_arch = "x86_64")]
impl Crc32c for Instruction {
    type Direct = Self;
    const LANE: usize = 88;
    #[inline(always)]
    fn direct(self) -> Option<Self> {
        Some(self)
    }
    #[inline(always)]
    fn u64(self, register: u32, value: u64) -> u32 {
        let mut wide = u64::from(register);
        // SAFETY: whoever made this asked the CPU. The instruction touches registers only, and clears the upper half.
        unsafe {
            core::arch::asm!("crc32 {0}, {1}", inout(reg) wide, in(reg) value, options(pure, nomem, nostack, preserves_flags));
            core::hint::assert_unchecked(wide <= u64::from(u32::MAX));
        }
        wide as u32
    }
    #[inline(always)]
    fn u32(self, register: u32, value: u32) -> u32 {
        let mut register = register;
        // SAFETY: whoever made this asked the CPU. The instruction touches registers only.
        unsafe {
            core::arch::asm!("crc32 {0:e}, {1:e}", inout(reg) register, in(reg) value, options(pure, nomem, nostack, preserves_flags));
        }
        register
    }
    #[inline(always)]
    fn join(self, register: u32, [first, second, third]: [u32; 3]) -> u32 {
        self.over(register, 3) ^ self.over(first, 2) ^ self.over(second, 1) ^ third
    }
}

/// What a core's events start from: the register after the boot id and the core number.
#[must_use]
pub fn seed(boot_id: u32, core: u16) -> u32 {
    seed_by(Table, boot_id, core)
}

/// The same with a faster way to compute it.
pub(crate) fn seed_by<C: Crc32c>(crc: C, boot_id: u32, core: u16) -> u32 {
    crc.u64(u32::MAX, u64::from(boot_id) | u64::from(core) << 32)
}

/// The sequence number (below 2^32) of the sub-buffer in which an event with this check, at this word of its sub-buffer,
/// was written: the check run backwards. Random bytes give a random answer; the caller judges whether it is plausible.
///
/// `bytes` are the event's bytes without the check. The plain form of what [`crate::search`] does by steps, for its tests.
#[cfg(test)]
pub(crate) fn sequence_of(seed: u32, word: u32, bytes: &[u8], check: u32) -> u32 {
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
#[cfg(test)]
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
pub(crate) const fn zeros(mut register: u32, steps: u32) -> u32 {
    let mut step = 0;
    while step < steps {
        register = (register >> 1) ^ if register & 1 == 1 { POLYNOMIAL } else { 0 };
        step += 1;
    }
    register
}

/// The register before `steps` zero bits: the polynomial's top bit tells whether it was added.
pub(crate) const fn zeros_back(mut register: u32, steps: u32) -> u32 {
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
        let Some(fast) = Instruction::detect() else { return };
        let bytes: [u8; 1000] = core::array::from_fn(|i| ((i * 73) ^ (i >> 3)) as u8);
        for start in 0..9 {
            for end in start..bytes.len() {
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
