//! The survey on emulated boards: what it tells is what was done to memory.

use qemu::workspace;
use qemu::{Board, Machine, Overlay};
use std::time::Duration;
use survey::injected::Injected;
use survey::model::Tally;

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn lost_lines_and_flipped_bits_are_told_exactly() {
    let survey = Injected { rounds: 1, memory: 128 << 20, evict: 50, flips: 30, seed: 3, limit: LIMIT };
    let surveyed = survey.run(workspace::kernel().unwrap()).unwrap();
    assert!(surveyed.differences.is_empty(), "{:#?}\n{}", surveyed.differences, surveyed.console);
    let checks = &surveyed.found.report.checks;
    assert_eq!((surveyed.times.len(), checks.len()), (2, 2), "{}", surveyed.console);
    let sum = |count: fn(&Tally) -> u64| checks.iter().map(|check| count(&check.tally)).sum::<u64>();
    assert!(
        sum(|tally| tally.dirty_lost) > 100_000 && sum(|tally| tally.set + tally.cleared) > 10,
        "{}",
        surveyed.console
    );
    // The stub that QEMU writes again, two lines, and nothing else; no damage where its block was dirty each time, for the
    // kernel's seed is of its clock.
    let damaged: Vec<&str> = surveyed.console.lines().filter(|line| line.starts_with("survey: damaged ")).collect();
    assert_eq!(damaged.len(), usize::from(sum(|tally| tally.damaged) > 0), "{}", surveyed.console);
    assert!(damaged.iter().all(|one| one.contains(" 0x40200000-0x4020007f ")), "{damaged:?}");
    assert!(surveyed.console.contains("survey: recommended for the region: 0x"), "{}", surveyed.console);
}

/// Surveys a board once, and wants these to be found written again after each reset.
fn finds_written(machine: Machine, names: &[&str]) {
    let outcome = machine.append("survey=1 terse").run(LIMIT).unwrap();
    outcome.expect_exit(0).unwrap();
    for written in names {
        let line = outcome.console.lines().find(|line| line.starts_with(&format!("survey: {written} at ")));
        assert!(line.is_some_and(|line| line.ends_with("after 2 of 2 resets")), "{written}: {}", outcome.console);
    }
}

#[test]
fn what_the_firmware_writes_again_is_found_on_virt() {
    let region = Overlay::region_at(Board::Virt, 0x4600_0000, 2 << 20);
    let machine = Machine::virt().memory(128 << 20).overlay(region);
    let machine = machine.kernel(workspace::kernel().unwrap());
    finds_written(machine, &["image", "device tree", "start of free memory"]);
}

#[test]
fn what_the_firmware_writes_again_is_found_on_a_raspberry_pi_4() {
    let machine =
        Machine::new(Board::Raspi4b).kernel(workspace::kernel().unwrap()).overlay(Overlay::region_of(Board::Raspi4b));
    finds_written(machine, &["image", "device tree", "spin table"]);
}
