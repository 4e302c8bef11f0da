//! The survey on emulated boards: what it tells is what was done to memory.

use qemu::workspace;
use qemu::{Board, Machine, Overlay};
use std::time::Duration;
use survey::injected::Injected;
use survey::model::Tally;
use survey::serial::read;
use survey::stored::{Stored, find};

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn lost_lines_and_flipped_bits_are_told_exactly() {
    let append = "survey=1 terse seed=3".to_owned();
    let survey = Injected { append, memory: 128 << 20, evict: 50, flips: 30, seed: 3, limit: LIMIT };
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
    // The stub that QEMU writes again, two lines, after each reset, and nothing else.
    let lost = |line: &&str| line.starts_with("survey: lost ") || line.starts_with("survey: stale ");
    let lost: Vec<&str> = surveyed.console.lines().filter(lost).collect();
    let stub = "survey: lost 0x40200000-0x4020007f (128 bytes), after 2 of 2: 1/1 PSCI SYSTEM_RESET, 1/1 panic";
    assert_eq!(lost, [stub], "{}", surveyed.console);
    assert!(surveyed.console.contains("survey: recommended for the region: 0x"), "{}", surveyed.console);
}

/// Surveys a board once, and wants these to be found written again after each reset; gives back the console.
fn finds_written(machine: Machine, names: &[&str]) -> String {
    let outcome = machine.append("survey=1 terse").run(LIMIT).unwrap();
    outcome.expect_exit(0).unwrap();
    for written in names {
        let line = outcome.console.lines().find(|line| line.starts_with(&format!("survey: {written} at ")));
        assert!(line.is_some_and(|line| line.ends_with("after 2 of 2 resets")), "{written}: {}", outcome.console);
    }
    outcome.console
}

#[test]
fn what_the_firmware_writes_again_is_found_on_virt() {
    let region = Overlay::region_at(Board::Virt, 0x4600_0000, 2 << 20);
    let machine = Machine::virt().memory(128 << 20).overlay(region);
    let machine = machine.kernel(workspace::kernel().unwrap());
    let ram = machine.make_ram().unwrap();
    let console = finds_written(machine.ram(&ram), &["image", "device tree", "start of free memory"]);
    // RAM itself tells the same, from the region and from any of the copies beside it.
    let mut told = read(console.as_bytes()).report;
    (told.fills, told.checks) = Default::default();
    let mut image = std::fs::read(ram.path()).unwrap();
    let mut copies = 0;
    while let [Stored { at, state, found }] = &find(&image)[..] {
        assert!(state.done && found.report == told, "{at:#x}: {:#?}", found.report);
        image[*at as usize..][..4096].fill(0);
        copies += 1;
    }
    assert!(copies > 3, "two pages of the region, and {copies} in all");
}

#[test]
fn what_the_firmware_writes_again_is_found_on_raspberry_pis() {
    for board in [Board::Raspi4b, Board::Raspi3b] {
        let machine = Machine::new(board).kernel(workspace::kernel().unwrap()).overlay(Overlay::region_of(board));
        let console = finds_written(machine, &["image", "device tree", "spin table"]);
        // By the watchdog and by a panic, and the place is not one of the board's quirks.
        let report = read(console.as_bytes()).report;
        let ways: Vec<&str> =
            report.totals.iter().filter(|total| total.resets > 0).map(|total| total.by.name()).collect();
        assert_eq!(ways, ["watchdog", "panic"], "{console}");
        let place = report.recommended.flatten().unwrap().range;
        assert!(place.last < 0x2d00_0000 || place.first >= 0x2f00_0000, "{place}");
    }
}

#[test]
fn resets_from_outside_in_mid_survey_do_no_harm_to_what_it_tells() {
    let region = Overlay::region_at(Board::Virt, 0x4600_0000, 2 << 20);
    let machine = Machine::virt().memory(256 << 20).overlay(region).kernel(workspace::kernel().unwrap());
    let mut running = machine.append("survey=1 terse").qmp().start(LIMIT).unwrap();
    // In the first fill, and behind a check: it fills again.
    for line in ["survey: fills ", "survey: reset 1 by "] {
        running.expect_line(|is| is.starts_with(line), LIMIT).unwrap();
        running.qmp().unwrap().system_reset().unwrap();
    }
    let outcome = running.wait().unwrap();
    outcome.expect_exit(0).unwrap();
    let report = read(outcome.console.as_bytes()).report;
    assert!(report.troubles().is_empty() && report.spots.is_empty(), "{}", outcome.console);
    assert_eq!(report.title.map(|title| (title.resets, title.region_lost)), Some((2, 0)), "{}", outcome.console);
    assert!(outcome.console.contains(" ended before the reset that it was to make"), "{}", outcome.console);
}
