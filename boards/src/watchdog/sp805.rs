//! Arm SP805 (Arm DDI 0270): counts down twice, asks for an interrupt at the first end (nobody listens) and resets at the
//! second. Its registers are locked but for the moment of a change.

use tock_registers::register_bitfields;

use super::Watchdog;
use crate::registers::Registers;

register_bitfields! {u32,
    CONTROL [
        /// A second end resets.
        RESEN OFFSET(1) NUMBITS(1) [],
        /// It counts, and its end is an interrupt.
        INTEN OFFSET(0) NUMBITS(1) []
    ]
}

/// Offset of WDOGLOAD: where counting starts, and starts anew when it is written.
const LOAD_AT: usize = 0;
/// Offset of WDOGVALUE.
const VALUE_AT: usize = 4;
/// Offset of WDOGCONTROL.
const CONTROL_AT: usize = 8;
/// Offset of WDOGINTCLR: any write forgets a first end.
const INTCLR_AT: usize = 0xc;
/// Offset of WDOGLOCK.
const LOCK_AT: usize = 0xc00;
/// Opens the lock; anything else closes it.
const KEY: u32 = 0x1acc_e551;

/// The watchdog.
pub(crate) struct Sp805<R> {
    /// Its registers.
    pub(crate) registers: R,
    /// Counts in a second.
    pub(crate) hz: u32,
}

impl<R> Sp805<R> {
    /// Bytes of registers that are used.
    pub(crate) const SIZE: usize = LOCK_AT + 4;
}

impl<R: Registers> Sp805<R> {
    fn set(&self, load: u32, control: u32) {
        self.registers.write(LOCK_AT, KEY);
        self.registers.write(LOAD_AT, load);
        self.registers.write(INTCLR_AT, 1);
        self.registers.write(CONTROL_AT, control);
        self.registers.write(LOCK_AT, 0);
    }
}

impl<R: Registers + Sync> Watchdog for Sp805<R> {
    fn name(&self) -> &'static str {
        "SP805"
    }

    fn arm(&self, ms: u32) {
        // Two rounds.
        let load = (u64::from(ms) * u64::from(self.hz) / 2000).clamp(1, u64::from(u32::MAX));
        self.set(load as u32, (CONTROL::INTEN::SET + CONTROL::RESEN::SET).value);
    }

    fn disarm(&self) {
        self.set(u32::MAX, 0);
    }

    fn is_armed(&self) -> bool {
        (CONTROL::INTEN::SET + CONTROL::RESEN::SET).matches_all(self.registers.read(CONTROL_AT))
    }

    fn counts(&self, pause: &dyn Fn()) -> bool {
        self.set(u32::MAX, CONTROL::INTEN::SET.value);
        let before = self.registers.read(VALUE_AT);
        pause();
        let counts = self.registers.read(VALUE_AT) < before;
        self.disarm();
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registers::fake::Fake;

    #[test]
    fn it_is_armed_between_two_turns_of_its_lock_with_half_the_time() {
        let chip = Sp805 { registers: Fake::default(), hz: 32_768 };
        chip.arm(10_000);
        let half = 163_840;
        let expected = [(LOCK_AT, KEY), (LOAD_AT, half), (INTCLR_AT, 1), (CONTROL_AT, 3), (LOCK_AT, 0)];
        assert_eq!(chip.registers.taken(), expected.map(|(at, value)| (at, 32, value)));
        assert!(chip.is_armed());
        chip.disarm();
        assert!(!chip.is_armed());
    }

    #[test]
    fn a_time_that_does_not_fit_is_the_longest_that_does() {
        let chip = Sp805 { registers: Fake::default(), hz: 1_000_000_000 };
        chip.arm(10_000);
        assert_eq!(chip.registers.taken()[1], (LOAD_AT, 32, u32::MAX));
        chip.arm(0);
        assert_eq!(chip.registers.taken()[1], (LOAD_AT, 32, 1));
    }

    #[test]
    fn counting_is_seen_without_leave_to_reset() {
        let chip = Sp805 { registers: Fake::with(&[(VALUE_AT, u32::MAX)]), hz: 32_768 };
        assert!(chip.counts(&|| {
            assert!(!chip.is_armed());
            chip.registers.set(VALUE_AT, u32::MAX - 65);
        }));
        assert_eq!(chip.registers.read(CONTROL_AT), 0);
        assert!(!chip.counts(&|| {}));
    }
}
