//! The survey on emulated boards: what it tells is what was done to memory.

use qemu::survey::Survey;
use qemu::workspace;
use qemu::{Board, Machine, Overlay};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn lost_lines_and_flipped_bits_are_told_exactly() {
    let survey = Survey { rounds: 1, memory: 128 << 20, evict: 50, flips: 30, seed: 3, limit: LIMIT };
    let surveyed = survey.run(workspace::kernel().unwrap()).unwrap();
    assert!(surveyed.differences.is_empty(), "{:#?}\n{}", surveyed.differences, surveyed.console);
    assert_eq!(surveyed.resets.len(), 2, "{}", surveyed.console);
    let sum = |name| surveyed.resets.iter().map(|(counts, _)| counts[name]).sum::<u64>();
    assert!(sum("dirty_lost") > 100_000 && sum("set") + sum("cleared") > 10, "{}", surveyed.console);
    assert!(surveyed.console.contains("survey: damaged 0x40200000-"), "{}", surveyed.console);
    assert!(surveyed.console.contains("survey: recommended for the region: 0x"), "{}", surveyed.console);
}

#[test]
fn what_the_firmware_writes_again_is_found_on_a_raspberry_pi_4() {
    let machine =
        Machine::new(Board::Raspi4b).kernel(workspace::kernel().unwrap()).overlay(Overlay::region_of(Board::Raspi4b));
    let outcome = machine.append("survey=1 terse").run(LIMIT).unwrap();
    outcome.expect_exit(0).unwrap();
    for written in ["image", "device tree", "spin table"] {
        let line = outcome.console.lines().find(|line| line.starts_with(&format!("survey: {written} at ")));
        assert!(line.is_some_and(|line| line.ends_with("after 2 of 2 resets")), "{written}: {}", outcome.console);
    }
}
