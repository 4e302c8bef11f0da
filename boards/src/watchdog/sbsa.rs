//! The generic watchdog of Arm's Base System Architecture: compares the system counter, which every core reads as CNTPCT. Its
//! first end is an interrupt (nobody listens), its second one resets.

use tock_registers::register_bitfields;

use super::Watchdog;
use crate::registers::Registers;

register_bitfields! {u32,
    WCS [
        EN OFFSET(0) NUMBITS(1) []
    ]
}

/// Offset of the control and status register in the control frame.
const WCS_AT: usize = 0;
/// Offset of the offset register: counts to each of the two ends. Writing it starts anew.
const WOR_AT: usize = 8;
/// Offset of the lower half of the compare value.
const WCV_AT: usize = 0x10;

/// The watchdog, on its control frame.
pub(crate) struct Sbsa<R> {
    /// Its registers.
    pub(crate) registers: R,
    /// Counts of the system counter in a second.
    pub(crate) hz: u64,
}

impl<R> Sbsa<R> {
    /// Bytes of registers that are used.
    pub(crate) const SIZE: usize = WCV_AT + 8;
}

impl<R: Registers + Sync> Watchdog for Sbsa<R> {
    fn name(&self) -> &'static str {
        "SBSA"
    }

    fn arm(&self, ms: u32) {
        // Two rounds, each of 32 bits at most: 8.6 s at 1 GHz.
        let counts = (u64::from(ms) * self.hz / 2000).clamp(1, u64::from(u32::MAX));
        self.registers.write(WOR_AT, counts as u32);
        self.registers.write(WCS_AT, WCS::EN::SET.value);
    }

    fn disarm(&self) {
        self.registers.write(WCS_AT, 0);
    }

    fn is_armed(&self) -> bool {
        WCS::EN.is_set(self.registers.read(WCS_AT))
    }

    /// What it compares with follows the counter from start to start.
    fn counts(&self, pause: &dyn Fn()) -> bool {
        self.arm(u32::MAX);
        let before = self.registers.read(WCV_AT);
        pause();
        self.arm(u32::MAX);
        let counts = self.is_armed() && self.registers.read(WCV_AT) != before;
        self.disarm();
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registers::fake::Fake;

    #[test]
    fn it_is_armed_with_half_the_time_in_counts_of_the_system_counter() {
        let chip = Sbsa { registers: Fake::default(), hz: 54_000_000 };
        chip.arm(10_000);
        assert_eq!(chip.registers.taken(), [(WOR_AT, 32, 270_000_000), (WCS_AT, 32, 1)]);
        assert!(chip.is_armed());
        chip.disarm();
        assert!(!chip.is_armed());
    }

    #[test]
    fn at_a_gigahertz_it_takes_the_longest_that_it_can() {
        let chip = Sbsa { registers: Fake::default(), hz: 1_000_000_000 };
        chip.arm(10_000);
        assert_eq!(chip.registers.taken()[0], (WOR_AT, 32, u32::MAX));
    }

    #[test]
    fn counting_is_seen_in_what_it_compares_with() {
        let chip = Sbsa { registers: Fake::default(), hz: 54_000_000 };
        assert!(chip.counts(&|| chip.registers.set(WCV_AT, 108_000)));
        assert!(!chip.is_armed());
        assert!(!chip.counts(&|| {}));
    }
}
