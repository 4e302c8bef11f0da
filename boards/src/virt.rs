//! QEMU's `virt` machine. What it does at a reset is in QEMU's hw/arm/boot.c: everything that was loaded is written
//! again, the rest of RAM is kept.

use crate::board::{Board, ConsoleInfo, MemoryQuirk};
use crate::console::{Console, ConsoleError};
use crate::reset::ResetWay;
use crate::serial::{self, Line};

/// The machine.
pub(crate) struct Virt;

static QUIRKS: [MemoryQuirk; 2] = [
    MemoryQuirk {
        range: 0x4000_0000..0x4020_0000,
        why: "QEMU writes its boot code or device tree there at each reset",
    },
    MemoryQuirk { range: 0x4800_0000..0x4810_0000, why: "QEMU writes the device tree there at each reset" },
];

impl Board for Virt {
    fn id(&self) -> &'static str {
        "virt"
    }

    fn name(&self) -> &'static str {
        "QEMU virt"
    }

    fn compatible(&self) -> &'static [&'static str] {
        &["linux,dummy-virt"]
    }

    /// QEMU leaves the PL011 off, and there may be no firmware that turned it on.
    fn console(&self, info: &ConsoleInfo) -> Result<&'static dyn Console, ConsoleError> {
        serial::open(info, Line::Program)
    }

    fn reset_ways(&self) -> &'static [ResetWay] {
        &[ResetWay::PsciWarm, ResetWay::Psci, ResetWay::Watchdog]
    }

    fn memory_quirks(&self) -> &'static [MemoryQuirk] {
        &QUIRKS
    }
}
