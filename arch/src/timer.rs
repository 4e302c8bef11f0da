//! The generic timer: the counter that stamps events, and the two ticks of each core.
//!
//! Ticks compare against absolute values, so that they do not drift by the time a handler takes.

/// The compare value after one that has passed: a whole number of periods later, in the future. Also says how many
/// periods were missed.
///
/// A period of 0 counts as 1. Arithmetic wraps, as the counter does (after centuries).
#[must_use]
pub fn next_compare(compare: u64, now: u64, period: u64) -> (u64, u64) {
    let period = period.max(1);
    let late = now.wrapping_sub(compare);
    let missed = late / period;
    (compare.wrapping_add(period.wrapping_mul(missed.wrapping_add(1))), missed)
}

#[cfg(target_os = "none")]
pub use target::{Tick, frequency, now, now_unordered, spin};

#[cfg(target_os = "none")]
mod target {
    use core::arch::asm;
    use core::sync::atomic::{AtomicU64, Ordering};

    use aarch64_cpu::asm::barrier::{self, isb};
    use aarch64_cpu::registers::{
        CNTFRQ_EL0, CNTP_CTL_EL0, CNTP_CVAL_EL0, CNTV_CTL_EL0, CNTV_CVAL_EL0, Readable, Writeable,
    };

    use super::next_compare;

    /// The counter, read no earlier than everything before it in the program.
    #[inline(always)]
    #[must_use]
    pub fn now() -> u64 {
        let ticks: u64;
        // SAFETY: reads a counter.
        unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
        ticks
    }

    /// The counter, possibly read a few instructions early: for stamps in the hot path.
    #[inline(always)]
    #[must_use]
    pub fn now_unordered() -> u64 {
        let ticks: u64;
        // SAFETY: reads a counter.
        unsafe { asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
        ticks
    }

    /// Counter ticks in a second, as firmware says; 0 if it did not.
    #[must_use]
    pub fn frequency() -> u64 {
        CNTFRQ_EL0.get()
    }

    /// A loop of so many rounds of two instructions, at least one: for whoever counts what interrupts add to it.
    #[inline(never)]
    pub fn spin(rounds: u64) {
        let rounds = rounds.max(1);
        // SAFETY: counts a register down.
        unsafe { asm!("1: subs {0}, {0}, #1", "b.ne 1b", inout(reg) rounds => _, options(nomem, nostack)) };
    }

    /// One of the timers of this core.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Tick {
        /// The physical timer of EL1: the tick that looks for the stop word.
        Physical,
        /// The virtual timer: the ordinary tick.
        Virtual,
    }

    static PERIODS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

    impl Tick {
        /// Starts it: an interrupt after each period of counter ticks (at least 1), the first after one. The
        /// period is the same on all cores.
        pub fn start(self, period: u64) {
            PERIODS[self as usize].store(period.max(1), Ordering::Relaxed);
            self.resume();
        }

        /// Goes on on this core after [`Self::stop`] or [`Self::fire_at`]: the next interrupt comes after one period.
        pub fn resume(self) {
            self.fire_at(self.counter().wrapping_add(PERIODS[self as usize].load(Ordering::Relaxed)));
        }

        /// Lets the next interrupt of this core come when the counter reaches `compare`, whatever the period says.
        #[inline(always)]
        pub fn fire_at(self, compare: u64) {
            self.set_compare(compare);
            self.set_enabled(true);
        }

        /// Stops it on this core.
        pub fn stop(self) {
            self.set_enabled(false);
        }

        /// In its handler: sets the next period and returns how many were missed; `None` if it has not fired, which
        /// is what a late withdrawal of the last interrupt looks like.
        pub fn rearm(self) -> Option<u64> {
            if !self.has_fired() {
                return None;
            }
            let (compare, missed) =
                next_compare(self.compare(), self.counter(), PERIODS[self as usize].load(Ordering::Relaxed));
            self.set_compare(compare);
            Some(missed)
        }

        /// The counter that it compares with.
        #[must_use]
        pub fn counter(self) -> u64 {
            let ticks: u64;
            match self {
                // SAFETY: reads a counter.
                Tick::Physical => unsafe {
                    asm!("isb", "mrs {}, cntpct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags));
                },
                Tick::Virtual => ticks = now(),
            }
            ticks
        }

        fn has_fired(self) -> bool {
            match self {
                Tick::Physical => CNTP_CTL_EL0.is_set(CNTP_CTL_EL0::ISTATUS),
                Tick::Virtual => CNTV_CTL_EL0.is_set(CNTV_CTL_EL0::ISTATUS),
            }
        }

        fn compare(self) -> u64 {
            match self {
                Tick::Physical => CNTP_CVAL_EL0.get(),
                Tick::Virtual => CNTV_CVAL_EL0.get(),
            }
        }

        fn set_compare(self, compare: u64) {
            match self {
                Tick::Physical => CNTP_CVAL_EL0.set(compare),
                Tick::Virtual => CNTV_CVAL_EL0.set(compare),
            }
            isb(barrier::SY); // the interrupt is withdrawn before its end is signalled
        }

        fn set_enabled(self, enabled: bool) {
            let enabled = u64::from(enabled);
            match self {
                Tick::Physical => CNTP_CTL_EL0.write(CNTP_CTL_EL0::ENABLE.val(enabled)),
                Tick::Virtual => CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE.val(enabled)),
            }
            isb(barrier::SY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::next_compare;

    #[test]
    fn a_tick_in_time_does_not_drift() {
        assert_eq!(next_compare(1000, 1000, 100), (1100, 0));
        assert_eq!(next_compare(1000, 1099, 100), (1100, 0));
    }

    #[test]
    fn missed_ticks_are_skipped_and_counted() {
        assert_eq!(next_compare(1000, 1100, 100), (1200, 1));
        assert_eq!(next_compare(1000, 1950, 100), (2000, 9));
    }

    #[test]
    fn odd_values_do_not_panic() {
        assert_eq!(next_compare(5, 5, 0), (6, 0));
        let _ = next_compare(u64::MAX, 3, u64::MAX);
        let _ = next_compare(10, 3, 2);
    }
}
