//! The processor's own counter, and nanoseconds from it by the kernel's fixed-point factor.

use kernel::scale::Scale;
use ring::seams::Clock;

/// What is read.
#[cfg(target_arch = "x86_64")]
pub(crate) const NAME: &str = "TSC";
#[cfg(target_arch = "aarch64")]
pub(crate) const NAME: &str = "CNTVCT_EL0";

/// Reads the counter, unordered, as the kernel does.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    // SAFETY: every x86-64 has it, and Linux leaves it to user programs.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Reads the counter, unordered, as the kernel does.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reads a counter that Linux leaves to user programs.
    unsafe { core::arch::asm!("mrs {}, CNTVCT_EL0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
    ticks
}

/// How fast the counter runs, in Hz. x86-64 says it in no portable way: it is held against the system's clock.
#[cfg(target_arch = "x86_64")]
fn frequency() -> u64 {
    use std::time::{Duration, Instant};
    const MEASURED: Duration = Duration::from_millis(50);
    let (start, first) = (Instant::now(), ticks());
    std::thread::sleep(MEASURED);
    let (elapsed, ticks) = (start.elapsed(), ticks().wrapping_sub(first));
    (u128::from(ticks) * 1_000_000_000 / elapsed.as_nanos()) as u64
}

/// How fast the counter runs, in Hz.
#[cfg(target_arch = "aarch64")]
fn frequency() -> u64 {
    let hz: u64;
    // SAFETY: reads a register that Linux leaves to user programs.
    unsafe { core::arch::asm!("mrs {}, CNTFRQ_EL0", out(reg) hz, options(nomem, nostack, preserves_flags)) };
    hz
}

/// Nanoseconds since this clock was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    start: u64,
    scale: Scale,
    hz: u64,
}

impl Counter {
    /// The counter, held against the system's clock where it does not say its frequency.
    pub(crate) fn calibrated() -> Self {
        let hz = frequency();
        let scale = Scale::new(hz).expect("a counter faster than 1 MHz");
        Self { start: ticks(), scale, hz }
    }

    /// Its frequency.
    pub(crate) fn hz(&self) -> u64 {
        self.hz
    }
}

impl Clock for Counter {
    #[inline(always)]
    fn now_ns(&self) -> u64 {
        self.scale.ns(ticks().wrapping_sub(self.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn the_counter_agrees_with_the_systems_clock() {
        let clock = Counter::calibrated();
        let (ours, theirs) = (clock.now_ns(), Instant::now());
        std::thread::sleep(Duration::from_millis(20));
        let (theirs, ours) = (theirs.elapsed().as_nanos() as f64, (clock.now_ns() - ours) as f64);
        // Both saw the same sleep, however long it took. A loaded machine may come between the two readings.
        assert!((ours / theirs - 1.0).abs() < 0.5, "{ours} ns by the counter, {theirs} ns by the system");
    }
}
