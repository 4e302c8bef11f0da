//! Raspberry Pi 3 (BCM2837), and QEMU's `raspi3b`. No PSCI and no GIC: cores wait at a spin table, interrupts come through the
//! local interrupt controller, the reset is the watchdog's, and off is a reset after which the firmware halts.

use core::fmt;

use crate::board::{Board, ConsoleInfo, DeviceTree, MemoryQuirk};
use crate::bootloader;
use crate::console::{Console, ConsoleError};
use crate::reset::ResetWay;
use crate::serial;

/// The board.
pub(crate) struct Rpi3;

/// The core's clock with `enable_uart=1`, from which the mini-UART takes its speed.
const CORE_HZ: u32 = 250_000_000;

static QUIRKS: [MemoryQuirk; 3] = [
    MemoryQuirk { range: 0..0x0100_0000, why: "spin table and kernel are written there at each reset" },
    MemoryQuirk { range: 0x0800_0000..0x0820_0000, why: "QEMU writes the device tree there at each reset" },
    bootloader::BELOW_2F000000,
];

impl Board for Rpi3 {
    fn id(&self) -> &'static str {
        "rpi3"
    }

    fn name(&self) -> &'static str {
        "Raspberry Pi 3"
    }

    fn compatible(&self) -> &'static [&'static str] {
        &["raspberrypi,3-model-b", "raspberrypi,3-model-b-plus", "brcm,bcm2837"]
    }

    /// Programmed, as on the Raspberry Pi 4 and for its reasons.
    fn console(&self, info: &ConsoleInfo) -> Result<&'static dyn Console, ConsoleError> {
        serial::open_raspberry_pi(info, CORE_HZ)
    }

    fn reset_ways(&self) -> &'static [ResetWay] {
        &[ResetWay::Watchdog]
    }

    fn tell(&self, tree: &dyn DeviceTree, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
        bootloader::tell_reset(tree, say);
    }

    fn memory_quirks(&self) -> &'static [MemoryQuirk] {
        &QUIRKS
    }
}
