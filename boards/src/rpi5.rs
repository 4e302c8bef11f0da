//! Raspberry Pi 5 (BCM2712). QEMU has no such machine. BL31 keeps the first 512 KiB and offers PSCI by SMC; cores have their
//! number in Aff1.

use core::fmt;

use crate::board::{Board, ConsoleInfo, DeviceTree, MemoryQuirk};
use crate::bootloader;
use crate::console::{Console, ConsoleError};
use crate::reset::ResetWay;
use crate::serial::{self, Line};

/// The board.
pub(crate) struct Rpi5;

static QUIRKS: [MemoryQuirk; 2] = [
    MemoryQuirk { range: 0..0x0100_0000, why: "BL31 and the kernel are written there at each reset" },
    bootloader::BELOW_2F000000,
];

impl Board for Rpi5 {
    fn id(&self) -> &'static str {
        "rpi5"
    }

    fn name(&self) -> &'static str {
        "Raspberry Pi 5"
    }

    fn compatible(&self) -> &'static [&'static str] {
        &["raspberrypi,5-model-b", "brcm,bcm2712"]
    }

    /// Never programmed: the firmware has set UART10 up, and the clock in the device tree (9.216 MHz) is not the one that its
    /// divisors divide (44.2368 MHz).
    fn console(&self, info: &ConsoleInfo) -> Result<&'static dyn Console, ConsoleError> {
        serial::open(info, Line::Inherit)
    }

    /// SYSTEM_RESET2 is SYSTEM_RESET there, with a boot partition as its cookie, which stays 0.
    fn reset_ways(&self) -> &'static [ResetWay] {
        &[ResetWay::PsciWarm, ResetWay::Psci, ResetWay::Watchdog]
    }

    fn tell(&self, tree: &dyn DeviceTree, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
        bootloader::tell_reset(tree, say);
    }

    fn memory_quirks(&self) -> &'static [MemoryQuirk] {
        &QUIRKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;

    #[test]
    fn its_uart_is_not_programmed_whatever_the_tree_says() {
        let registers: &mut [u32; 0x80] = Box::leak(Box::new([0; 0x80]));
        let start = registers.as_mut_ptr().expose_provenance();
        let info = ConsoleInfo {
            registers: start..start + 0x200,
            clock_hz: Some(9_216_000),
            baud: Some(115_200),
            ..ConsoleInfo::EMPTY
        };
        let console = Rpi5.console(&info).unwrap();
        let word = |index: usize| {
            // SAFETY: test memory that stands in for registers, never freed; nobody writes it now.
            unsafe { core::ptr::with_exposed_provenance::<u32>(start + 4 * index).read_volatile() }
        };
        assert!((0..0x80).all(|index| word(index) == 0));
        console.write(b"5");
        assert_eq!(word(0), u32::from(b'5'));
        assert!((1..0x80).all(|index| word(index) == 0));
    }
}
