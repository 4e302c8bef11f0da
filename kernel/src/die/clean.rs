//! Ends that are no crash: the others are stopped, the bank is closed, and whoever boots next has nothing to tell.

use crate::command_line::Die;
use crate::console::print_unlocked;
use crate::ending::{self, Status};
use crate::life;
use crate::stop::{Others, end_ticks};
use arch::core_local::this;
use ring::seams::StopOthers as _;

/// Resets, for no other reason than that it was asked for.
pub(super) fn reboot() -> ! {
    stop_and_close();
    print_unlocked(format_args!("shut down cleanly, as asked for by die=reboot\n"));
    ending::reset_now()
}

/// Powers off.
pub(super) fn power_off() -> ! {
    stop_and_close();
    print_unlocked(format_args!("shut down cleanly, as asked for by die=poweroff\n"));
    ending::power_off(Status::Survived)
}

/// Ends a boot that was asked for something which this machine cannot do.
pub(super) fn cannot(die: Die, why: &str) -> ! {
    stop_and_close();
    print_unlocked(format_args!("\nafterglow cannot die by die={}: {why}\n", die.word()));
    ending::power_off(Status::Unable)
}

/// From here on nothing may wait for a lock: the core that holds it may be one that was stopped.
fn stop_and_close() {
    // This core's own tick must not find the word.
    arch::irq::mask_everything();
    end_ticks();
    let others = Others::new();
    others.request();
    others.wait_for_all_but(this().index() as u32, arch::cores::count() as u32);
    life::end_cleanly();
}
