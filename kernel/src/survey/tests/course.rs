//! Whole surveys, boot by boot, on boards whose resets do what boards do.

use super::super::course::{Next, Refusal, Wishes};
use super::super::pattern::BLOCK;
use super::super::report::tell;
use super::super::ways::{Way, Ways};
use super::board::{BASE, Board, Dies, PSCI, SIZE, WATCHDOG, WISHES};
use crate::memblock::Range;
use ring::records::BankState;
use std::string::{String, ToString};
use std::vec::Vec;

/// More boots than any of these surveys has.
const MANY: usize = 30;
/// Somewhere in what is filled, apart from the copy of the state and the recommended place.
const HERE: u64 = BASE + 2 * BLOCK;

fn nothing(_: &mut Board, _: Way, _: usize) {}

#[test]
fn a_board_that_keeps_its_ram_is_told_so_and_a_place_is_recommended() {
    let mut board = Board::new();
    assert_eq!(board.survey(&WISHES, MANY, &mut nothing), Some(Next::End(true)));
    assert_eq!(
        board.lines("survey: report"),
        ["survey: report, 2 rounds, 6 resets, the region itself was lost 0 times"]
    );
    let ways: Vec<&str> = board.lines("survey: round").iter().filter_map(|line| line.split(" by ").nth(1)).collect();
    assert_eq!(ways, [PSCI.name(), "watchdog", "panic", PSCI.name(), "watchdog", "panic"]);
    assert_eq!(board.lines("survey: image"), ["survey: image at 0x100: written again by firmware after 6 of 6 resets"]);
    assert!(board.lines("survey: start of free memory")[0].ends_with("after 0 of 6 resets"));
    assert_eq!(board.lines("survey: memory"), ["survey: memory 0x40000000-0x413fffff (20 MiB): kept"]);
    assert_eq!(board.lines("survey: recommended").len(), 1);
    // A third of it was in the cache each time, and that cache loses.
    let state = board.state();
    assert!(
        state
            .tallies
            .iter()
            .filter(|tally| tally.checks > 0)
            .all(|tally| tally.dirty_lost == tally.dirty_of && tally.dirty_of > 0)
    );
    // What is kept tells the same again.
    let mut again = Vec::<String>::new();
    assert!(tell(&state, &mut |line| again.push(line.to_string())));
    assert_eq!(again[..], board.said[board.said.len() - again.len()..]);
}

#[test]
fn what_firmware_writes_in_each_round_is_told_from_what_was_lost_once() {
    let mut board = Board::new();
    let end = board.survey(&WISHES, MANY, &mut |board, way, number| {
        board.overwrite(HERE, 128);
        if way == WATCHDOG {
            board.overwrite(HERE + 4 * BLOCK, 64);
        }
        if number == 4 {
            board.overwrite(HERE + 8 * BLOCK, 64);
        }
    });
    assert_eq!(end, Some(Next::End(true)));
    let psci = PSCI.name();
    assert_eq!(
        board.lines("survey: lost"),
        [
            std::format!(
                "survey: lost 0x40020000-0x4002007f (128 bytes), after 6 of 6: 2/2 {psci}, 2/2 watchdog, 2/2 panic"
            ),
            "survey: lost 0x40060000-0x4006003f (64 bytes), after 2 of 6: 2/2 watchdog".into(),
            std::format!("survey: lost 0x400a0000-0x400a003f (64 bytes), after 1 of 6: 1/2 {psci}"),
        ]
    );
    assert_eq!(board.lines("survey: memory")[0].rsplit(": ").next(), Some("damaged in part"));
}

/// The place that was recommended.
fn recommended(board: &Board) -> Range {
    let line = board.lines("survey: recommended")[0];
    let place = line.split(' ').find_map(|word| word.split_once('-')).unwrap();
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    Range::inclusive(number(place.0), number(place.1)).unwrap()
}

#[test]
fn a_place_where_bits_turned_over_is_recommended_only_if_there_is_no_other() {
    let mut board = Board::new();
    let middle = BASE + SIZE / 2;
    let end = board.survey(&WISHES, MANY, &mut |board, _, number| {
        if number == 1 {
            board.flip(middle - (1 << 20), 9);
        }
    });
    assert_eq!(end, Some(Next::End(false)), "a bit turned over");
    assert!(!recommended(&board).contains(Range::new(middle - (1 << 20), 8).unwrap()));
    assert_eq!(board.lines("survey: bits").len(), 1);
    assert!(board.lines("survey: recommended")[0].ends_with("kept by all ways in all rounds"));
    assert_eq!(board.lines("survey: memory")[0].rsplit(": ").next(), Some("bits turned over"));

    let mut board = Board::new();
    let end = board.survey(&WISHES, MANY, &mut |board, _, _| {
        (1..20).for_each(|n| board.flip(BASE + (n << 20), n as u32));
    });
    assert_eq!(end, Some(Next::End(false)));
    assert!(board.lines("survey: recommended")[0].ends_with("in all rounds, but bits turned over in it"));

    let mut board = Board::new();
    let end = board.survey(&WISHES, MANY, &mut |board, _, _| {
        (1..20).for_each(|n| board.overwrite(BASE + (n << 20), 64));
    });
    assert_eq!((end, board.lines("survey: no 8 MiB").len()), (Some(Next::End(false)), 1));
}

#[test]
fn a_place_where_firmware_is_known_to_write_is_not_recommended() {
    let mut board = Board::new();
    board.avoided.push(Range::new(BASE + (9 << 20), 1 << 20).unwrap());
    assert_eq!(board.survey(&WISHES, MANY, &mut nothing), Some(Next::End(true)));
    assert!(!recommended(&board).overlaps(board.avoided[0]), "{}", recommended(&board));
    // Neither if there is no other.
    board.avoided[0] = Range::new(BASE + (7 << 20), 6 << 20).unwrap();
    assert_eq!(board.survey(&WISHES, MANY, &mut nothing), Some(Next::End(false)));
}

#[test]
fn a_clean_that_does_not_reach_memory_is_stale() {
    let mut board = Board::new();
    let mut before = Vec::new();
    let end = board.survey(&WISHES, MANY, &mut |board, _, _| {
        // Whatever class the block has: its line is always one fill behind.
        let at = ((HERE - BASE) / 8) as usize;
        let now = board.memory[at..at + 8].to_vec();
        if !before.is_empty() {
            board.memory[at..at + 8].copy_from_slice(&before);
        }
        before = now;
    });
    assert_eq!(end, Some(Next::End(true)));
    assert_eq!(board.lines("survey: stale").len(), 1, "{:#?}", board.said);
    assert!(board.lines("survey: stale")[0].starts_with("survey: stale 0x40020000-0x4002003f (64 bytes), after "));
    assert!(board.lines("survey: lost").is_empty());
}

#[test]
fn a_region_that_one_way_loses_is_found_again_beside_it() {
    let mut board = Board::new();
    let end = board.survey(&WISHES, MANY, &mut |board, way, _| {
        if way == WATCHDOG {
            board.lose_region();
        }
    });
    assert_eq!(end, Some(Next::End(true)), "{:#?}", board.said);
    assert_eq!(
        board.lines("survey: report"),
        ["survey: report, 2 rounds, 6 resets, the region itself was lost 2 times"]
    );
    assert_eq!(board.lines("survey: begins anew").len(), 1);
}

#[test]
fn a_way_that_loses_all_makes_it_begin_again_until_it_is_left_out() {
    let mut board = Board::new();
    let mut lose = |board: &mut Board, way, _| {
        if way == WATCHDOG {
            board.lose_all();
        }
    };
    assert_eq!(board.survey(&WISHES, MANY, &mut lose), None);
    assert_eq!(board.lines("survey: begins anew").len(), MANY / 2);
    let without = Wishes { left_out: Ways::of(1 << 2), ..WISHES };
    assert_eq!(board.survey(&without, MANY, &mut lose), Some(Next::End(true)));
    assert_eq!(board.lines("survey: watchdog"), ["survey: watchdog: left out"]);
    assert_eq!(board.lines("survey: PSCI SYSTEM_RESET2"), ["survey: PSCI SYSTEM_RESET2 warm: not offered"]);
}

#[test]
fn a_way_that_hung_the_board_is_not_taken_again_once_it_is_left_out() {
    let mut board = Board::new();
    while board.boot(&WISHES) != Next::Reset(WATCHDOG) {}
    // It hangs, and somebody switches it off and on: RAM holds most of what it held.
    board.overwrite(HERE, 64);
    let without = Wishes { left_out: Ways::of(1 << 2), ..WISHES };
    let mut ways = Vec::new();
    let end = board.survey(&without, MANY, &mut |_, way, _| ways.push(way));
    assert_eq!((end, ways), (Some(Next::End(true)), [Way::Panic, PSCI, Way::Panic].into()), "{:#?}", board.said);
    assert!(board.lines("survey: lost").is_empty(), "that was not the watchdog's");
}

#[test]
fn without_a_way_there_is_no_survey() {
    let mut board = Board::new();
    let none = Wishes { left_out: Ways::ALL, ..WISHES };
    assert_eq!(board.boot(&none), Next::Refused(Refusal::NoWay));
    board.ways.clear();
    assert_eq!(board.boot(&WISHES), Next::Refused(Refusal::NoWay));
}

#[test]
fn a_crash_that_nobody_has_seen_is_refused_and_nothing_is_written() {
    let mut board = Board::new();
    board.boots = 4;
    board.crashes.push((3, BankState::Recording));
    let (memory, region) = (board.memory.clone(), board.region.cached());
    assert_eq!(board.boot(&WISHES), Next::Refused(Refusal::Unseen(3)));
    assert!(board.memory == memory && board.region.cached() == region && board.crashes.len() == 1);
    assert!(Refusal::Unseen(3).to_string().starts_with("boot 3 crashed, and nobody has seen it: boot once without"));
}

/// Surveys with something that happens behind the given reset; as a report without its seed.
fn with(happens: &mut dyn FnMut(&mut Board)) -> (Board, Vec<String>) {
    let mut board = Board::new();
    let end = board.survey(&WISHES, MANY, &mut |board, _, number| {
        if number == 2 {
            happens(board);
        }
    });
    assert_eq!(end, Some(Next::End(true)), "{:#?}", board.said);
    let report = board.lines("survey: report").into_iter().chain(board.lines("survey: lost"));
    let report = report.map(String::from).collect();
    (board, report)
}

#[test]
fn a_boot_that_ends_in_mid_survey_does_not_count_as_a_reset() {
    let (_, whole) = with(&mut |_| {});
    for dies in [Dies::InFill, Dies::InCheck] {
        let (board, report) = with(&mut |board| board.dies = Some(dies));
        assert_eq!(report, whole, "{dies:?}");
        assert_eq!(board.lines("survey: boot 3 ended before the reset").len(), 1, "{:#?}", board.said);
    }
    // In the first fill of all.
    let mut board = Board::new();
    board.dies = Some(Dies::InFill);
    assert_eq!(board.survey(&WISHES, MANY, &mut nothing), Some(Next::End(true)));
    assert_eq!(board.lines("survey: report"), whole);
}

#[test]
fn boots_that_end_in_mid_survey_again_and_again_are_given_up() {
    let mut board = Board::new();
    let end = board.survey(&WISHES, MANY, &mut |board, _, number| {
        if number > 1 {
            board.dies = Some(Dies::InFill);
        }
    });
    assert_eq!(end, Some(Next::Refused(Refusal::CutShort(3, 5))), "{:#?}", board.said);
    board.dies = None;
    // Without what ended them it comes to its end.
    assert_eq!(board.survey(&WISHES, MANY, &mut nothing), Some(Next::End(true)));
    // Neither is it endless where only the looking at what a reset left ends a boot.
    let mut board = Board::new();
    let end = board.survey(&WISHES, MANY, &mut |board, _, _| board.dies = Some(Dies::InCheck));
    assert!(matches!(end, Some(Next::Refused(Refusal::CutShort(3, _)))), "{end:?} {:#?}", board.said);
}

#[test]
fn boots_that_end_in_mid_survey_now_and_then_are_not_given_up() {
    let mut board = Board::new();
    let end = board.survey(&WISHES, MANY, &mut |board, _, number| {
        if [1, 2, 4, 5, 7, 8].contains(&number) {
            board.dies = Some(Dies::InFill);
        }
    });
    assert_eq!(end, Some(Next::End(true)), "{:#?}", board.said);
    assert_eq!(board.lines("survey: boot ").len(), 6);
}

#[test]
fn a_boot_without_survey_in_between_makes_the_reset_before_it_count_for_nothing() {
    let mut board = Board::new();
    assert_eq!(board.boot(&WISHES), Next::Reset(PSCI));
    // It works with memory as usual, and ends well.
    board.boots += 1;
    board.overwrite(BASE + BLOCK, SIZE - BLOCK);
    assert_eq!(board.survey(&WISHES, MANY, &mut nothing), Some(Next::End(true)));
    assert_eq!(board.lines("survey: boot 2 ended before the reset").len(), 1);
    // One that was switched off has a crash, which is not the survey's.
    let mut board = Board::new();
    assert_eq!(board.boot(&WISHES), Next::Reset(PSCI));
    board.boots += 1;
    board.crashes = [(2, BankState::Recording)].into();
    assert_eq!(board.boot(&WISHES), Next::Refused(Refusal::Unseen(2)));
}

#[test]
fn a_panic_that_the_survey_did_not_want_stays_for_somebody_to_see() {
    let mut board = Board::new();
    // Behind the panic of the first round the next boot crashes in its check, by itself.
    while board.boot(&WISHES) != Next::Reset(Way::Panic) {}
    board.dies = Some(Dies::InCheck);
    board.boot(&WISHES);
    let boot = board.boots;
    assert_eq!(board.crashes, [(boot, BankState::Recording)]);
    board.crashes = [(boot, BankState::Panicked)].into();
    let refused = Next::Refused(Refusal::Crashed(boot));
    assert_eq!((board.boot(&WISHES), board.boot(&WISHES)), (refused, refused));
    assert_eq!(board.crashes.len(), 1);
    // Somebody has seen it.
    board.crashes.clear();
    assert_eq!(board.survey(&WISHES, MANY, &mut nothing), Some(Next::End(true)));
    assert_eq!(board.lines("survey: begins anew").len(), 1);
    assert!(board.lines("survey: report")[0].starts_with("survey: report, 2 rounds, 6 resets"));
}

#[test]
fn the_same_seed_makes_the_same_survey_on_the_same_board() {
    let said = |seed| {
        let mut board = Board::new();
        board.survey(&Wishes { seed, ..WISHES }, MANY, &mut nothing);
        board.said
    };
    assert_eq!(said(5), said(5));
    assert_ne!(said(5), said(6));
    // On one board the next survey has another pattern: what it finds of this one is not its own.
    let mut board = Board::new();
    let mut begins = || {
        board.survey(&WISHES, MANY, &mut nothing);
        board.crashes.clear();
        board.lines("survey: 2 rounds").last().map(ToString::to_string)
    };
    assert_ne!(begins(), begins());
}

#[test]
fn memory_that_is_not_free_in_every_boot_is_left_alone_where_it_is_not() {
    let mut board = Board::new();
    let held = Range::new(BASE + (15 << 20), 1 << 20).unwrap();
    let end = board.survey(&WISHES, MANY, &mut |board, _, number| {
        if number == 2 {
            board.free = [Range::new(BASE, 15 << 20).unwrap(), Range::new(BASE + (16 << 20), 4 << 20).unwrap()].into();
            board.overwrite(held.base(), held.size());
        }
    });
    assert_eq!(end, Some(Next::End(true)), "{:#?}", board.said);
    assert!(board.lines("survey: lost").is_empty());
    let held = &board.memory[((held.base() - BASE) / 8) as usize..][..(held.size() / 8) as usize];
    assert!(held.iter().all(|word| *word == 0xd503_201f), "the survey wrote into what is somebody's");
}
