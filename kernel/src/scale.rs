//! From counter ticks to nanoseconds in two instructions: a shift and the upper half of a product.

/// Ticks are shifted up by this before they are multiplied, so that a factor of up to 2^10 ns per tick fits.
const SHIFT: u32 = 10;

/// Slowest counter that can be scaled, in Hz.
pub const HZ_MIN: u64 = 1_000_000_000 / (1 << SHIFT) + 1;

/// The scale of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Nanoseconds per tick, times 2^(64 - SHIFT).
    factor: u64,
}

impl Scale {
    /// The scale of a counter of `hz`. A counter slower than [`HZ_MIN`] (or one that says 0: firmware that never set
    /// CNTFRQ) is taken as that fast, and `None` tells the caller to warn.
    #[must_use]
    pub const fn new(hz: u64) -> Option<Self> {
        if hz < HZ_MIN {
            return None;
        }
        Some(Self { factor: ((1_000_000_000u128 << (64 - SHIFT)) / hz as u128) as u64 })
    }

    /// So many ticks in nanoseconds; right for 2^54 ticks (200 days at 1 GHz, ten years at 54 MHz).
    #[inline(always)]
    #[must_use]
    pub const fn ns(self, ticks: u64) -> u64 {
        (((ticks << SHIFT) as u128 * self.factor as u128) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_counters_are_right_to_the_nanosecond_over_a_day() {
        for hz in [62_500_000u64, 54_000_000, 19_200_000, 24_000_000, 1_000_000_000, 50_000_000] {
            let scale = Scale::new(hz).unwrap();
            for seconds in [0u64, 1, 60, 3600, 86_400] {
                let ns = scale.ns(seconds * hz);
                let exact = seconds * 1_000_000_000;
                // The factor is cut at 2^-54 ns: less than a nanosecond in a day.
                assert!(exact - ns <= 1, "{hz} Hz, {seconds} s: {ns}");
            }
        }
    }

    #[test]
    fn a_counter_too_slow_or_unset_is_refused() {
        assert_eq!(Scale::new(0), None);
        assert_eq!(Scale::new(HZ_MIN - 1), None);
        assert!(Scale::new(HZ_MIN).is_some());
    }
}
