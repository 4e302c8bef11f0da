//! The machine's watchdog: which one it is, and whether a panic has a dead man.

use crate::command_line::Watchdog;
use crate::say;
use boards::Found;
use boards::watchdog::{Choice, DEAD_MAN_MS, set_up};

/// Takes the watchdog, and says what comes of it.
pub(crate) fn take(found: &Found, wished: Watchdog) {
    let choice = match wished {
        Watchdog::Auto => Choice::Auto,
        Watchdog::On => Choice::On,
        Watchdog::Off => Choice::Off,
    };
    let Some(report) = found.watchdog.as_ref().and_then(|info| set_up(info, choice)) else {
        return say!("  dead man   none: no watchdog; what a panic does is bounded by itself");
    };
    let name = report.name;
    if report.was_armed {
        say!("  warning    the watchdog {name} was running: stopped");
    }
    if report.dead_man {
        say!("  dead man   watchdog {name}: it resets a panic that takes more than {} s", DEAD_MAN_MS / 1000);
    } else if choice == Choice::Off {
        say!("  dead man   none: watchdog=off");
    } else {
        say!("  dead man   none: the watchdog {name} does not count here; what a panic does is bounded by itself");
    }
}
