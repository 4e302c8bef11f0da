//! The watchdog of the Raspberry Pi: three registers of its power management block. The registers keep what is written only
//! with a password in the upper byte.
//!
//! The counter goes down 65,536 times a second. What happens at its end is set in another register, so that it can be watched
//! without the risk of a reset: QEMU's model does not count, and resets the machine the moment that it is armed.

use tock_registers::register_bitfields;

use super::Watchdog;
use crate::registers::Registers;

register_bitfields! {u32,
    RSTC [
        PASSWORD OFFSET(24) NUMBITS(8) [ Valid = 0x5a ],
        /// What happens when the counter ends.
        WRCFG OFFSET(4) NUMBITS(2) [ Nothing = 0, FullReset = 2 ]
    ],
    WDOG [
        PASSWORD OFFSET(24) NUMBITS(8) [ Valid = 0x5a ],
        TIME OFFSET(0) NUMBITS(20) []
    ]
}

/// Offset of PM_RSTC.
const RSTC_AT: usize = 0x1c;
/// Offset of PM_RSTS.
const RSTS_AT: usize = 0x20;
/// Offset of PM_WDOG.
const WDOG_AT: usize = 0x24;
/// Partition 63 in PM_RSTS, whose number is spread over the even bits: the firmware halts instead of booting.
const RSTS_HALT: u32 = 0x555;
/// Counts in a second.
const HZ: u32 = 65_536;
/// The longest time in counts.
const TIME_MAX: u32 = (1 << 20) - 1;

/// The watchdog.
pub(crate) struct Bcm2835<R>(pub(crate) R);

impl<R> Bcm2835<R> {
    /// Bytes of registers that are used.
    pub(crate) const SIZE: usize = WDOG_AT + 4;
}

impl<R: Registers> Bcm2835<R> {
    fn set_time(&self, counts: u32) {
        self.0.write(WDOG_AT, (WDOG::PASSWORD::Valid + WDOG::TIME.val(counts)).value);
    }

    fn left(&self) -> u32 {
        WDOG::TIME.read(self.0.read(WDOG_AT))
    }

    fn configure(&self, what: tock_registers::fields::FieldValue<u32, RSTC::Register>) {
        self.0.write(RSTC_AT, (RSTC::PASSWORD::Valid + what).modify(self.0.read(RSTC_AT)));
    }
}

impl<R: Registers + Sync> Watchdog for Bcm2835<R> {
    fn name(&self) -> &'static str {
        "BCM2835 PM"
    }

    fn arm(&self, ms: u32) {
        let counts = (u64::from(ms) * u64::from(HZ) / 1000).clamp(1, u64::from(TIME_MAX));
        self.set_time(counts as u32);
        self.configure(RSTC::WRCFG::FullReset);
    }

    fn disarm(&self) {
        self.configure(RSTC::WRCFG::Nothing);
    }

    fn is_armed(&self) -> bool {
        RSTC::WRCFG.read(self.0.read(RSTC_AT)) == RSTC::WRCFG::FullReset.value >> RSTC::WRCFG.shift
    }

    fn counts(&self, pause: &dyn Fn()) -> bool {
        self.disarm();
        self.set_time(TIME_MAX);
        let before = self.left();
        pause();
        self.left() < before
    }

    fn stay_off(&self) -> bool {
        self.0.write(RSTS_AT, (RSTC::PASSWORD::Valid).value | RSTS_HALT);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registers::fake::Fake;

    #[test]
    fn it_is_armed_with_the_time_first_and_other_bits_kept() {
        let chip = Bcm2835(Fake::with(&[(RSTC_AT, 0x102)]));
        assert!(!chip.is_armed());
        chip.arm(1000);
        assert_eq!(chip.0.taken(), [(WDOG_AT, 32, 0x5a01_0000), (RSTC_AT, 32, 0x5a00_0122)]);
        chip.0.set(RSTC_AT, 0x122);
        assert!(chip.is_armed());
        chip.disarm();
        assert_eq!(chip.0.taken(), [(RSTC_AT, 32, 0x5a00_0102)]);
    }

    #[test]
    fn its_longest_time_is_sixteen_seconds_and_its_shortest_not_nothing() {
        let chip = Bcm2835(Fake::default());
        for (ms, value) in [(16_000, 0x5a0f_ffff), (u32::MAX, 0x5a0f_ffff), (10_000, 0x5a0a_0000), (0, 0x5a00_0001)] {
            chip.arm(ms);
            assert_eq!(chip.0.taken()[0], (WDOG_AT, 32, value));
        }
    }

    #[test]
    fn counting_is_seen_while_its_end_means_nothing() {
        let chip = Bcm2835(Fake::with(&[(RSTC_AT, 0x122)]));
        assert!(chip.counts(&|| {
            assert!(!chip.is_armed());
            chip.0.set(WDOG_AT, TIME_MAX - 131);
        }));
        // QEMU's model.
        assert!(!chip.counts(&|| {}));
    }

    #[test]
    fn off_is_partition_63() {
        let chip = Bcm2835(Fake::default());
        assert!(chip.stay_off());
        assert_eq!(chip.0.taken(), [(RSTS_AT, 32, 0x5a00_0555)]);
    }
}
