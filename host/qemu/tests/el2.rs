//! Stop by an EL2 of our own: a core is stopped whatever it has done to itself, and what that costs.
//!
//! `AFTERGLOW_SEEDS=20` runs each row with twenty seeds: the cores come at other moments between two ticks.

mod kernel;
use kernel::{machine, run, says};
use qemu::console::tables;
use qemu::{Machine, Outcome, Threads};

/// Period of the tick, in microseconds: the default.
const PERIOD_US: u64 = 1000;

/// A machine that enters the kernel at EL2.
fn with_el2(gic: u8, cpu: &str, arguments: &str) -> Machine {
    machine("tail=0 stop=el2").append(arguments).gic(gic).cpu(cpu).el2(true).threads(Threads::Counted(3))
}

/// Interrupt controller, CPU, security extension.
const MACHINES: [(u8, &str, bool); 4] =
    [(3, "max", false), (2, "cortex-a72", false), (3, "cortex-a76", true), (2, "cortex-a76", true)];

/// From "stopped at     0.054229 (+1243 us after the panic) by own EL2": 1243.
fn after_the_panic(fate: &str) -> Option<u64> {
    fate.split_once("(+")?.1.split(' ').next()?.parse().ok()
}

/// Every core but the first was stopped in time with everything masked, and nothing is lost.
fn stopped_in_time(outcome: &Outcome, where_it_stood: &str) {
    let story = outcome.story();
    let told = outcome.console.rfind("  content  ").map_or("", |at| &outcome.console[at..]);
    for core in 1..4 {
        let begin = format!("  core {core}: stopped at ");
        let fate = told.lines().find_map(|line| line.strip_prefix(begin.as_str())).unwrap_or_default();
        assert!(fate.contains(" by own EL2, ") && fate.contains(", everything masked"), "core {core}: {fate}\n{story}");
        assert!(fate.contains(where_it_stood), "core {core}: {fate}\n{story}");
        let took = after_the_panic(fate).unwrap_or_else(|| panic!("{fate}\n{story}"));
        assert!(took <= 2 * PERIOD_US, "core {core} was stopped after {took} us\n{story}");
    }
    let tables = tables(&outcome.console);
    assert_eq!(tables.len(), 1, "{story}");
    for account in &tables[0].accounts {
        assert!(account.is_whole() && account.recovered > 0, "{account:?}\n{story}");
    }
}

#[test]
fn a_core_that_masks_everything_or_has_lost_vectors_block_and_stacks_is_stopped_within_two_periods() {
    let seeds = std::env::var("AFTERGLOW_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1u64);
    for seed in 1..=seeds {
        for (gic, cpu, secure) in MACHINES {
            let arguments = format!("seed={seed} events={}", 100 + seed * 7919 % 1000);
            let machine = with_el2(gic, cpu, &arguments).secure(secure);
            stopped_in_time(&run(&machine.clone().append("others=all-masked"), 0), ", sp 0x4");
            // Both stack pointers were broken.
            stopped_in_time(&run(&machine.append("others=wild"), 0), ", sp 0x7fff00000000,");
        }
    }
}

#[test]
fn what_el2_traps_and_does_not_know_is_a_panic_that_says_so() {
    let outcome = run(&with_el2(3, "max", "events=200 die=trap die_core=2"), 0);
    says(&outcome, "boot 1 panicked on core 2");
    says(&outcome, "trapped to EL2");
    says(&outcome, "trapped system register access");
    for core in [0, 1, 3] {
        says(&outcome, &format!("core {core} was stopped by own EL2"));
    }
}

#[test]
fn an_serror_is_a_panic_and_where_none_can_be_raised_the_kernel_says_so() {
    for (gic, cpu) in [(3, "max"), (2, "cortex-a72")] {
        let outcome = run(&with_el2(gic, cpu, "events=200 die=serror die_core=1"), 0);
        says(&outcome, "boot 1 panicked on core 1");
        says(&outcome, "  SError");
        says(&outcome, "events recovered, intact");
    }
    says(&run(&machine("stop=fiq events=200 die=serror"), 2), "die=serror");
}

#[test]
fn a_core_alone_ticks_and_panics_as_one_of_many_does() {
    for gic in [2, 3] {
        let outcome = run(&with_el2(gic, "cortex-a72", "events=200").smp(1), 0);
        says(&outcome, "stop by    own EL2 (no IPI)");
        says(&outcome, "boot 1 panicked on core 0");
    }
}

#[test]
fn a_stop_tick_costs_less_than_fifty_instructions() {
    // With this CPU and shift the counter ticks once an instruction.
    for gic in [2, 3] {
        let machine = with_el2(gic, "max", "events=100 measure die=poweroff").smp(1).threads(Threads::Counted(0));
        let outcome = run(&machine, 0);
        let cost = outcome.console.split_once("a stop tick ").and_then(|(_, rest)| rest.split_whitespace().next());
        let cost: u64 = cost.and_then(|cost| cost.parse().ok()).unwrap_or_else(|| panic!("{}", outcome.story()));
        // Fewer than it takes to save registers and to look at a word: no tick came.
        assert!((20..50).contains(&cost), "{cost} instructions\n{}", outcome.story());
    }
}
