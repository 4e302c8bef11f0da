//! Cleaning the data cache by address, as deep as the CPU can: what a panic writes must reach memory.
//!
//! Write back, never invalidate, never by set and way: nothing here can lose a store or disturb another core.
//! Maintenance by address is ordered by a DSB only, so one at the end is enough for any number of ranges.

use core::fmt;

use tock_registers::LocalRegisterCopy;

use crate::sysreg::{CTR_EL0, ID_AA64ISAR1};

/// How deep a clean goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanOp {
    /// To the point of deep persistence.
    Cvadp,
    /// To the point of persistence.
    Cvap,
    /// To the point of coherency: memory, as far as all observers can tell.
    Cvac,
}

impl CleanOp {
    /// The deepest one that ID_AA64ISAR1_EL1 offers. The others are undefined instructions then.
    #[must_use]
    pub fn from_isar1(isar1: u64) -> Self {
        match LocalRegisterCopy::<u64, ID_AA64ISAR1::Register>::new(isar1).read(ID_AA64ISAR1::DPB) {
            0 => CleanOp::Cvac,
            1 => CleanOp::Cvap,
            _ => CleanOp::Cvadp,
        }
    }

    /// Its mnemonic.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CleanOp::Cvadp => "DC CVADP",
            CleanOp::Cvap => "DC CVAP",
            CleanOp::Cvac => "DC CVAC",
        }
    }
}

impl fmt::Display for CleanOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Bytes of the smallest data cache line that CTR_EL0 tells of.
#[must_use]
pub fn line_size_from_ctr(ctr: u64) -> usize {
    /// CTR_EL0 counts words.
    const WORD_SIZE: usize = 4;
    WORD_SIZE << LocalRegisterCopy::<u64, CTR_EL0::Register>::new(ctr).read(CTR_EL0::DminLine)
}

/// How many lines a range touches.
#[must_use]
pub fn lines_in(range: &core::ops::Range<usize>, line_size: usize) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let first = range.start / line_size;
    let last = (range.end - 1) / line_size;
    (last - first + 1) as u64
}

#[cfg(target_os = "none")]
pub use target::{
    before_clean, clean_and_invalidate_to_poc, clean_range, clean_range_no_barrier, clean_to_poc, complete, deepest,
    line_size,
};

#[cfg(target_os = "none")]
mod target {
    use core::arch::asm;
    use core::ops::Range;

    use super::{CleanOp, line_size_from_ctr, lines_in};
    use crate::sysreg::{ctr_el0, id_aa64isar1_el1};

    /// Bytes of this core's smallest data cache line.
    #[inline]
    #[must_use]
    pub fn line_size() -> usize {
        line_size_from_ctr(ctr_el0::read().get())
    }

    /// The deepest clean that this core has.
    #[inline]
    #[must_use]
    pub fn deepest() -> CleanOp {
        CleanOp::from_isar1(id_aa64isar1_el1::read().get())
    }

    /// Orders the cleans that follow after earlier stores, also those to non-cacheable memory.
    #[inline(always)]
    pub fn before_clean() {
        // SAFETY: a barrier.
        unsafe { asm!("dmb osh", options(nostack, preserves_flags)) };
    }

    /// Waits until all cleans of this core have reached where they go.
    #[inline(always)]
    pub fn complete() {
        // SAFETY: a barrier.
        unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
    }

    /// One loop for each operation: one instruction to clean a line and three to get to the next. All in assembly: built for
    /// size, the compiler makes five or six of them.
    macro_rules! clean_loop {
        ($instruction:literal, $range:expr, $line:expr) => {{
            let first = $range.start & !($line - 1);
            if first < $range.end {
                // SAFETY: cleaning writes back what is in the cache already, and the loop ends behind the range. An unmapped
                // address faults, which is what the caller's mistake deserves.
                unsafe {
                    asm!(
                        "2:",
                        $instruction,
                        "add {address}, {address}, {line}",
                        "cmp {address}, {end}",
                        "b.lo 2b",
                        address = inout(reg) first => _,
                        line = in(reg) $line,
                        end = in(reg) $range.end,
                        options(nostack)
                    );
                }
            }
        }};
    }

    /// Cleans every line that a mapped range touches, as deep as the CPU can. Returns how many those are.
    /// Effective only after [`complete`].
    pub fn clean_range_no_barrier(range: Range<usize>) -> u64 {
        let line = line_size();
        match deepest() {
            CleanOp::Cvadp => clean_loop!("sys #3, c7, c13, #1, {address}", range, line),
            CleanOp::Cvap => clean_loop!("sys #3, c7, c12, #1, {address}", range, line),
            CleanOp::Cvac => clean_loop!("dc cvac, {address}", range, line),
        }
        lines_in(&range, line)
    }

    /// Cleans a range for good: barrier, lines, barrier. Returns how many lines.
    pub fn clean_range(range: Range<usize>) -> u64 {
        before_clean();
        let lines = clean_range_no_barrier(range);
        complete();
        lines
    }

    /// Cleans a range to the point of coherency and drops it from the caches: what somebody whose MMU is off writes there is
    /// not hidden. For ranges that own their lines.
    pub fn clean_and_invalidate_to_poc(range: Range<usize>) {
        let line = line_size();
        clean_loop!("dc civac, {address}", range, line);
        complete();
    }

    /// Cleans a range to the point of coherency, for readers whose MMU is off: a core that starts.
    pub fn clean_to_poc(range: Range<usize>) {
        let line = line_size();
        clean_loop!("dc cvac, {address}", range, line);
        complete();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_sizes_of_known_cores() {
        // CTR_EL0 of Cortex-A72, Cortex-A76, QEMU's max.
        for ctr in [0x8444_c004, 0x8444_c004, 0x1_b444_c004] {
            assert_eq!(line_size_from_ctr(ctr), 64);
        }
        assert_eq!(line_size_from_ctr(0x8445_c004), 128);
    }

    #[test]
    fn the_deepest_operation_follows_the_id_register() {
        assert_eq!(CleanOp::from_isar1(0), CleanOp::Cvac);
        assert_eq!(CleanOp::from_isar1(0x10_0001), CleanOp::Cvap);
        assert_eq!(CleanOp::from_isar1(0x2), CleanOp::Cvadp);
        assert_eq!(CleanOp::from_isar1(0xf), CleanOp::Cvadp);
    }

    #[test]
    fn lines_are_counted_as_they_are_touched() {
        for (range, lines) in [(0..0, 0), (0..1, 1), (63..65, 2), (64..128, 1), (60..129, 3), (5..5, 0)] {
            assert_eq!(lines_in(&range, 64), lines, "{range:?}");
        }
    }
}
