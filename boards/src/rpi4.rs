//! Raspberry Pi 4 (BCM2711), and QEMU's `raspi4b`. No PSCI: SMC is undefined. The other cores wait at a spin table, the reset
//! is the watchdog's, and off is a reset after which the firmware halts.

use core::fmt;

use crate::board::{Board, ConsoleInfo, DeviceTree, MemoryQuirk};
use crate::bootloader;
use crate::console::{Console, ConsoleError};
use crate::reset::ResetWay;
use crate::serial;

/// The board.
pub(crate) struct Rpi4;

/// The core's clock with `enable_uart=1`, from which the mini-UART takes its speed.
const CORE_HZ: u32 = 500_000_000;

/// Seconds since 1970 of 2024-10-10: bootloaders before leave memory with bit errors behind a reset (raspberrypi/linux #5298).
const KEEPS_MEMORY_SINCE: u32 = 1_728_518_400;

static QUIRKS: [MemoryQuirk; 3] = [
    MemoryQuirk { range: 0..0x0100_0000, why: "spin table and kernel are written there at each reset" },
    MemoryQuirk { range: 0x0800_0000..0x0820_0000, why: "QEMU writes the device tree there at each reset" },
    bootloader::BELOW_2F000000,
];

impl Board for Rpi4 {
    fn id(&self) -> &'static str {
        "rpi4"
    }

    fn name(&self) -> &'static str {
        "Raspberry Pi 4"
    }

    fn compatible(&self) -> &'static [&'static str] {
        &["raspberrypi,4-model-b", "brcm,bcm2711"]
    }

    /// Programmed. QEMU leaves it off; the firmware sets it up only if its configuration says so, and then may leave it at
    /// 103448 baud. Both give it the same clock, so that programming it does no harm where it is right already. Which pins it
    /// is on stays the firmware's business: `enable_uart=1` and `dtoverlay=disable-bt` in config.txt put it on GPIO 14 and 15.
    fn console(&self, info: &ConsoleInfo) -> Result<&'static dyn Console, ConsoleError> {
        serial::open_raspberry_pi(info, CORE_HZ)
    }

    fn reset_ways(&self) -> &'static [ResetWay] {
        &[ResetWay::Watchdog]
    }

    fn tell(&self, tree: &dyn DeviceTree, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
        bootloader::tell_reset(tree, say);
        bootloader::warn_of_age(tree, KEEPS_MEMORY_SINCE, say);
    }

    fn memory_quirks(&self) -> &'static [MemoryQuirk] {
        &QUIRKS
    }
}
