//! A machine that nobody has described: what the device tree says, nothing more.

use crate::board::{Board, ConsoleInfo};
use crate::console::{Console, ConsoleError};
use crate::reset::ResetWay;
use crate::serial::{self, Line};

/// Any machine with a device tree and PSCI.
pub(crate) struct Generic;

impl Board for Generic {
    fn id(&self) -> &'static str {
        "generic"
    }

    fn name(&self) -> &'static str {
        "generic"
    }

    fn compatible(&self) -> &'static [&'static str] {
        &[]
    }

    /// Firmware and boot loader used it before us; clocks in device trees may be wrong. So it stays as it is.
    fn console(&self, info: &ConsoleInfo) -> Result<&'static dyn Console, ConsoleError> {
        serial::open(info, Line::Inherit)
    }

    fn reset_ways(&self) -> &'static [ResetWay] {
        &[ResetWay::PsciWarm, ResetWay::Psci, ResetWay::Watchdog]
    }
}
