//! The dead man: a panic that hangs is reset by the watchdog that was armed when it began, and the next boot tells it. QEMU's
//! i6300ESB really counts.

mod kernel;
use kernel::{machine, run, says};
use qemu::Machine;
use qemu::console::{Account, tables};

fn with_watchdog(arguments: &str) -> Machine {
    machine(arguments).append("events=500 tail=0").extra(["-device", "i6300esb", "-action", "watchdog=reset"])
}

#[test]
fn a_panic_that_hangs_is_reset_by_the_dead_man_and_the_next_boot_tells_it() {
    let outcome = run(&with_watchdog("die=hang-in-panic"), 0);
    says(&outcome, "dead man   watchdog i6300ESB: it resets a panic that takes more than 10 s");
    assert!(!outcome.console.contains("reset: asking for it"), "the path did not come to its end\n{}", outcome.story());
    for text in
        ["boot 1 was reset before its panic had come to an end", "boot 1 panicked on core 0", "power off with status 0"]
    {
        says(&outcome, text);
    }
    assert!(tables(&outcome.console)[0].accounts.iter().all(Account::sum_holds), "{}", outcome.story());
}

#[test]
fn a_panic_that_does_not_hang_is_not_disturbed() {
    for (arguments, cpu) in [("", "cortex-a76"), ("cycles=3", "max"), ("", "cortex-a53"), ("watchdog=on", "cortex-a72")]
    {
        let outcome = run(&with_watchdog(arguments).cpu(cpu), 0);
        says(&outcome, "dead man   watchdog i6300ESB");
        says(&outcome, "crash of boot 1");
        says(&outcome, "panicked on core 0");
        assert!(!outcome.console.contains("was reset before"), "{}", outcome.story());
    }
}

#[test]
fn a_boot_without_a_dead_man_says_so() {
    says(&run(&machine("cycles=0"), 0), "dead man   none: no watchdog; what a panic does is bounded by itself");
    says(&run(&with_watchdog("cycles=0 watchdog=off"), 0), "dead man   none: watchdog=off");
}
