//! Intel 6300ESB (Intel 300641), a function on PCI: what QEMU offers as `-device i6300esb`, which really counts. Switched in
//! its configuration space; its times are in its memory, where each write is announced by two magic words.
//!
//! It counts two rounds and resets at the end of the second. It does not show its count.

use core::ops::Range;

use tock_registers::register_bitfields;

use super::Watchdog;
use crate::registers::Registers;

register_bitfields! {u32,
    /// PCI command.
    COMMAND [
        MEMORY_SPACE OFFSET(1) NUMBITS(1) []
    ],
    /// WDT configuration, 16 bits.
    CONFIG [
        /// The end of the second round does not reset.
        OUTPUT_DISABLE OFFSET(5) NUMBITS(1) [],
        PRESCALER OFFSET(2) NUMBITS(1) [ Millisecond = 0, Microsecond = 1 ],
        /// What the end of the first round does.
        INTERRUPT OFFSET(0) NUMBITS(2) [ Nothing = 0b11 ]
    ],
    /// WDT lock, 8 bits.
    LOCK [
        ENABLE OFFSET(1) NUMBITS(1) []
    ]
}

/// Vendor and device, as the first word of the configuration space has them.
const ID: u32 = 0x25ab_8086;
const COMMAND_AT: usize = 0x04;
const BAR0_AT: usize = 0x10;
const CONFIG_AT: usize = 0x60;
const LOCK_AT: usize = 0x68;
/// The two rounds, in the chip's memory.
const PRELOAD_AT: [usize; 2] = [0, 4];
/// Takes the magic words.
const RELOAD_AT: usize = 0xc;
const MAGIC: [u16; 2] = [0x80, 0x86];
/// The longest round, in milliseconds.
const PRELOAD_MAX: u32 = (1 << 20) - 1;
/// A base address without its flags.
const ADDRESS: u32 = !0xf;
/// Bytes of the chip's memory.
const MEMORY_SIZE: usize = 0x10;
/// Bytes of one function's configuration space (PCI Express, 7.2.2).
pub(crate) const FUNCTION_SIZE: usize = 1 << 12;
/// Bytes of one device's: eight functions.
const DEVICE_SIZE: usize = FUNCTION_SIZE << 3;
/// Bytes of one bus's: 32 devices.
pub(crate) const BUS_SIZE: usize = DEVICE_SIZE << 5;

/// Where in a bus's configuration space the chip is.
pub(crate) fn find(bus: &impl Registers) -> Option<usize> {
    (0..BUS_SIZE).step_by(DEVICE_SIZE).find(|&device| bus.read(device) == ID)
}

/// Where the chip's memory is: where firmware has put it, else at the start of the window. Firmware which leaves this chip
/// without an address has given out none.
pub(crate) fn place(config: &impl Registers, window: &Range<usize>) -> Option<Range<usize>> {
    let command = config.read(COMMAND_AT);
    let mut start = config.read(BAR0_AT) & ADDRESS;
    if start == 0 || !COMMAND::MEMORY_SPACE.is_set(command) {
        start = u32::try_from(window.start).ok().filter(|start| *start != 0 && start & !ADDRESS == 0)?;
        config.write(BAR0_AT, start);
        // Half a word: writing the status in the other half would clear it.
        config.write_16(COMMAND_AT, COMMAND::MEMORY_SPACE::SET.modify(command) as u16);
    }
    let memory = start as usize..start as usize + MEMORY_SIZE;
    (window.start <= memory.start && memory.end <= window.end).then_some(memory)
}

/// The watchdog.
pub(crate) struct I6300Esb<R> {
    /// Its configuration space.
    pub(crate) config: R,
    /// Its memory.
    pub(crate) memory: R,
}

impl<R: Registers + Sync> Watchdog for I6300Esb<R> {
    fn name(&self) -> &'static str {
        "i6300ESB"
    }

    fn arm(&self, ms: u32) {
        self.disarm();
        let settings = CONFIG::PRESCALER::Millisecond + CONFIG::INTERRUPT::Nothing;
        self.config.write_16(CONFIG_AT, settings.value as u16);
        for at in PRELOAD_AT {
            for word in MAGIC {
                self.memory.write_16(RELOAD_AT, word);
            }
            self.memory.write(at, (ms / 2).clamp(1, PRELOAD_MAX));
        }
        self.config.write_8(LOCK_AT, LOCK::ENABLE::SET.value as u8);
    }

    fn disarm(&self) {
        self.config.write_8(LOCK_AT, 0);
    }

    fn is_armed(&self) -> bool {
        LOCK::ENABLE.is_set(self.config.read_8(LOCK_AT).into())
    }

    /// Nothing shows it counting: it is believed if it can be armed and disarmed.
    fn counts(&self, _: &dyn Fn()) -> bool {
        self.arm(u32::MAX);
        let armed = self.is_armed();
        self.disarm();
        armed && !self.is_armed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registers::fake::Fake;

    #[test]
    fn it_is_armed_with_half_the_time_in_each_round_and_each_write_announced() {
        let chip = I6300Esb { config: Fake::default(), memory: Fake::default() };
        chip.arm(10_000);
        assert_eq!(chip.config.taken(), [(LOCK_AT, 8, 0), (CONFIG_AT, 16, 0x3), (LOCK_AT, 8, 0x2)]);
        let announced = [(RELOAD_AT, 16, 0x80), (RELOAD_AT, 16, 0x86)];
        let round = |at| announced.into_iter().chain([(at, 32, 5000)]);
        assert_eq!(chip.memory.taken(), round(0).chain(round(4)).collect::<std::vec::Vec<_>>());
        assert!(chip.is_armed());
        chip.disarm();
        assert!(!chip.is_armed());
    }

    #[test]
    fn it_is_believed_to_count_when_its_settings_stay() {
        let chip = I6300Esb { config: Fake::default(), memory: Fake::default() };
        assert!(chip.counts(&|| {}));
        assert!(!chip.is_armed());
    }

    #[test]
    fn it_is_found_on_its_bus_or_not() {
        assert_eq!(find(&Fake::with(&[(0, 0x8_1b36), (2 * DEVICE_SIZE, ID)])), Some(0x1_0000));
        assert_eq!(find(&Fake::with(&[(0, 0x8_1b36)])), None);
    }

    #[test]
    fn without_firmware_it_gets_the_start_of_the_window() {
        let config = Fake::with(&[(COMMAND_AT, 0xf900_0004)]);
        assert_eq!(place(&config, &(0x1000_0000..0x3eff_0000)), Some(0x1000_0000..0x1000_0010));
        assert_eq!(config.taken(), [(BAR0_AT, 32, 0x1000_0000), (COMMAND_AT, 16, 0x6)]);
    }

    #[test]
    fn where_firmware_has_put_it_it_stays() {
        let config = Fake::with(&[(COMMAND_AT, 2), (BAR0_AT, 0x1004_0000)]);
        assert_eq!(place(&config, &(0x1000_0000..0x3eff_0000)), Some(0x1004_0000..0x1004_0010));
        assert_eq!(config.taken(), []);
        assert_eq!(place(&config, &(0x2000_0000..0x3eff_0000)), None, "outside of what the CPU sees");
        for no_window in [0..0, 0x1000_0008..0x1000_1000, 1 << 32..1 << 33] {
            assert_eq!(place(&Fake::default(), &no_window), None);
        }
    }
}
