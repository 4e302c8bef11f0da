//! A recorded board, as it was and with all that a line and a board can do to it.

use super::lines::Lines;
use super::watch::{Event, Watch};
use super::*;
use std::fs;

/// The console of a board that dies five times and then ends, from QEMU.
const RECORDED: &str = include_str!("../../tests/data/board.txt");
const CRASHES: usize = 5;
/// The same in few words, three times.
const TERSE: &str = include_str!("../../tests/data/board-terse.txt");

/// What is seen in these bytes, up to the board's end if it says one.
fn watched(bytes: &[u8]) -> (Vec<Crash>, Option<End>) {
    let (mut lines, mut watch, mut crashes) = (Lines::default(), Watch::default(), Vec::new());
    let mut whole = lines.push(bytes);
    whole.extend(lines.rest());
    for event in whole.iter().flat_map(|line| watch.line(line)) {
        match event {
            Event::Crash(crash) => crashes.push(crash),
            Event::End(end) => return (crashes, Some(end)),
        }
    }
    (crashes, None)
}

/// The boot of each crash, and what to think of it.
fn verdicts(text: &str) -> Vec<(Option<u64>, String)> {
    watched(text.as_bytes()).0.into_iter().map(|crash| (crash.boot, crash.verdict.to_string())).collect()
}

/// The recording, with the one place where this stands changed.
fn with(from: &str, to: &str) -> String {
    assert_eq!(RECORDED.matches(from).count(), 1, "{from:?} is not in one place");
    RECORDED.replace(from, to)
}

/// Where boots begin.
fn boots() -> Vec<usize> {
    RECORDED.match_indices("afterglow 0.1.0").map(|(at, _)| at).collect()
}

/// That all crashes held, but for those of these boots, whose verdicts contain these words.
#[track_caller]
fn all_held_but(text: &str, others: &[(u64, &str)]) {
    let verdicts = verdicts(text);
    let mut others = others.iter();
    for (boot, verdict) in &verdicts {
        if verdict != "held" {
            let (expected, words) = others.next().unwrap_or_else(|| panic!("{verdicts:#?}"));
            assert_eq!(*boot, Some(*expected), "{verdicts:#?}");
            assert!(verdict.contains(words), "{words:?} is not in {verdict}");
        }
    }
    assert_eq!(others.next(), None, "{verdicts:#?}");
}

#[test]
fn each_crash_of_a_good_board_holds() {
    let (crashes, end) = watched(RECORDED.as_bytes());
    assert_eq!(end, Some(End::Done(0)));
    assert_eq!(crashes.iter().map(|crash| crash.boot).collect::<Vec<_>>(), [1, 2, 3, 4, 5].map(Some));
    for crash in crashes {
        assert_eq!(crash.verdict, Verdict::Held);
        assert_eq!(crash.how, Some(How::Panicked(0)));
        assert!(crash.events > 1000 && crash.attempted >= crash.events, "{crash:?}");
        assert!(crash.lines.is_empty());
    }
}

#[test]
fn few_words_are_enough() {
    let (crashes, end) = watched(TERSE.as_bytes());
    assert_eq!(end, Some(End::Done(0)));
    all_held_but(TERSE, &[]);
    assert_eq!(crashes.iter().map(|crash| crash.boot).collect::<Vec<_>>(), [1, 2, 3].map(Some));
    let told = TERSE.lines().find(|line| line.starts_with("crash of boot 2")).unwrap();
    all_held_but(&TERSE.replace(told, &told.replace("intact", "NOT intact")), &[(2, "NOT intact")]);
    let row = TERSE.lines().find(|line| line.starts_with("     2       1848       1847")).unwrap();
    let wrong = TERSE.replace(row, &row.replace("1848", "1849"));
    all_held_but(&wrong, &[(2, "failed: core 2: the sum does not hold")]);
    let (from, to) = (TERSE.find("crash in bank 1").unwrap(), TERSE.find("crash of boot 2").unwrap() + told.len());
    let silent = TERSE.replace(&TERSE[from..to], "");
    all_held_but(&silent, &[(2, "boot after it does not tell it: it panicked itself")]);
}

/// Takes so many bytes away at each so many-th place: no crash fails, each is seen, and not too many are unclear.
fn lose(recorded: &str, crashes: usize, lost: usize, step: usize) {
    let mut unclear = 0;
    for at in (0..recorded.len() - lost).step_by(step) {
        let text = [&recorded[..at], &recorded[at + lost..]].concat();
        let seen = watched(text.as_bytes()).0;
        let cut = &recorded[at.saturating_sub(20)..(at + lost + 20).min(recorded.len())];
        assert_eq!(seen.len(), crashes, "{lost} bytes at {at} of {cut:?}: {seen:#?}");
        for crash in seen {
            let is_failure = matches!(crash.verdict, Verdict::Failed(_));
            assert!(!is_failure, "{lost} bytes at {at} of {cut:?}: {crash:#?}");
            unclear += usize::from(crash.verdict != Verdict::Held);
        }
    }
    // Some are missed, but most bytes are in no line that a crash is judged by.
    let places = recorded.len() / step;
    assert!((5..places * 3 / 4).contains(&unclear), "{lost} bytes: {unclear} unclear of {places}");
}

#[test]
fn bytes_that_are_lost_never_fail_a_crash() {
    // Two crashes are as good as five for this, and quicker.
    for (lost, step) in [(1, 1), (2, 3), (16, 3), (64, 7), (300, 7)] {
        lose(&RECORDED[..boots()[3]], 2, lost, step);
    }
    for lost in [1, 2, 5, 16, 64] {
        lose(TERSE, 3, lost, 1);
    }
}

#[test]
fn noise_anywhere_never_fails_a_crash() {
    for recorded in [&RECORDED[..boots()[3]], TERSE] {
        for at in (0..recorded.len()).step_by(2) {
            let (before, behind) = recorded.as_bytes().split_at(at);
            for over in [0, 1, 3] {
                let bytes = [before, b"\xff\0\x80", &behind[over.min(behind.len())..]].concat();
                for crash in watched(&bytes).0 {
                    let is_failure = matches!(crash.verdict, Verdict::Failed(_));
                    assert!(!is_failure, "over {over} bytes at {at}: {crash:#?}");
                }
            }
        }
    }
}

#[test]
fn what_stands_around_the_lines_does_not_matter() {
    all_held_but(&RECORDED.replace('\n', "\r\n"), &[]);
    all_held_but(
        &RECORDED.replace("afterglow 0.1.0", "U-Boot 2025.01\r\nHit any key: 0\x08 \rOK\n\n\u{fffd}afterglow 0.1.0"),
        &[],
    );
    all_held_but(&RECORDED.replace("panic: core 0:", "\x1b[31mpanic: core 0:\x1b[0m"), &[]);
    // A reset cuts off what was being said.
    let cut = RECORDED.replace("ns\nafterglow", "afterglow");
    assert_ne!(cut, RECORDED);
    all_held_but(&cut, &[]);
}

#[test]
fn a_reader_that_comes_late_judges_what_it_sees_whole() {
    let second = boots()[1];
    for at in (1..RECORDED.len() - 10).step_by(11) {
        let crashes = watched(&RECORDED.as_bytes()[at..]).0;
        assert!(crashes.iter().all(|crash| !matches!(crash.verdict, Verdict::Failed(_))), "from {at}: {crashes:#?}");
        if at < second {
            assert_eq!(crashes.len(), CRASHES, "from {at}: {crashes:#?}");
        }
    }
}

#[test]
fn a_crash_that_is_not_intact_fails() {
    let of_three = &RECORDED[boots()[3]..];
    let told = of_three.lines().find(|line| line.starts_with("crash of boot 3")).unwrap();
    let text = with(told, &told.replace("intact", "NOT intact"));
    all_held_but(&text, &[(3, "the board says that it is NOT intact")]);
}

#[test]
fn accounts_that_do_not_add_up_fail() {
    let row = RECORDED.lines().find(|line| line.ends_with("holds") && line.starts_with("     2")).unwrap();
    all_held_but(&with(row, &row.replace("holds", "BROKEN")), &[(1, "core 2: the board says that the sum is BROKEN")]);
    let words: Vec<&str> = row.split_whitespace().collect();
    let other = words[1].replace(|_| true, "9");
    let wrong = row.replacen(words[1], &other, 1);
    all_held_but(&with(row, &wrong), &[(1, "core 2: the sum does not hold")]);
    let both = row.replace(words[1], &other);
    all_held_but(&with(row, &both), &[(1, "and not so many by its table")]);
    let damaged = row.replace("       1824            0        0 ", "       1821            0        3 ");
    assert_ne!(damaged, row);
    all_held_but(&with(row, &damaged), &[(1, "core 2: 3 events damaged")]);
}

#[test]
fn a_board_that_resets_without_telling_fails() {
    let starts = boots();
    let third = &RECORDED[starts[2]..starts[3]];
    let (from, to) = (third.find("\ncrash in bank").unwrap(), third.find("\nrecording 500").unwrap());
    let silent = RECORDED.replace(&third[from..to], "");
    all_held_but(&silent, &[(2, "boot 3 does not tell it: it went on to record")]);
    let no_words = RECORDED.replace(third, &third[..from]);
    all_held_but(&no_words, &[(2, "boot 3 does not tell it: it was reset")]);
    let in_the_midst = RECORDED.replace(third, &third[..from + 700]);
    all_held_but(&in_the_midst, &[(2, "did not come to an end: it was reset")]);
}

#[test]
fn a_boot_that_tells_another_crash_does_not_tell_that_of_the_boot_before() {
    let other = RECORDED.replace("boot 3 panicked", "boot 9 panicked").replace("crash of boot 3:", "crash of boot 9:");
    let verdicts = verdicts(&other[..boots()[4]]);
    let of_three = verdicts.iter().find(|(boot, _)| *boot == Some(3)).unwrap();
    assert!(of_three.1.contains("failed: boot 4 does not tell it"), "{verdicts:#?}");
}

#[test]
fn a_board_that_forgets_fails_and_counts_anew() {
    let third = boots()[3];
    let (crashes, _) = watched([&RECORDED[..third], RECORDED].concat().as_bytes());
    let seen: Vec<_> = crashes.iter().map(|crash| (crash.boot.unwrap(), crash.verdict == Verdict::Held)).collect();
    assert_eq!(seen, [(1, true), (2, true), (3, false), (1, true), (2, true), (3, true), (4, true), (5, true)]);
    let why = crashes[2].verdict.to_string();
    assert!(why.contains("finds nothing of it: cold: no signature"), "{why}");

    let second = TERSE.match_indices("afterglow 0.1.0").nth(2).unwrap().0;
    let (crashes, _) = watched([&TERSE[..second], TERSE].concat().as_bytes());
    let seen: Vec<_> = crashes.iter().map(|crash| (crash.boot.unwrap(), crash.verdict == Verdict::Held)).collect();
    assert_eq!(seen, [(1, true), (2, false), (1, true), (2, true), (3, true)]);
}

#[test]
fn boots_that_are_not_counted_by_one_fail() {
    let text = with("  content    3 boots before this one", "  content    6 boots before this one");
    let text = text.replace("  recording  boot 4 into", "  recording  boot 7 into");
    all_held_but(&text[..boots()[4]], &[(3, "it is followed by boot 7")]);
    // One line that says so may have lost a digit; the other one does not say so.
    all_held_but(&with("  recording  boot 4 into", "  recording  boot 7 into"), &[]);
}

#[test]
fn headers_that_had_to_be_replaced_fail() {
    let text =
        with("  content    3 boots before this one", "  content    both headers are invalid: recovered by scan (1");
    all_held_but(&text, &[(3, "finds both headers of the region invalid")]);
}

#[test]
fn a_death_is_told_as_it_was_seen() {
    let titles: Vec<&str> = RECORDED.lines().filter(|line| line.starts_with("boot 3 panicked")).collect();
    let cases = [
        ("boot 3 panicked on core 1 at     0.1", "it panicked on core 0, and is told to have panicked on core 1"),
        (
            "boot 3 ended in a reset without a word: no panic",
            "it panicked on core 0, and is told to have died without a word",
        ),
        ("boot 3 was reset before its panic had come to an end:", "is told not to have come to the end of its panic"),
        ("boot 3 panicked; its panic record is lost", "the board says: boot 3 panicked; its panic record is lost"),
    ];
    for (title, why) in cases {
        all_held_but(&with(titles[0], title), &[(3, why)]);
    }
}

#[test]
fn a_crash_that_is_told_again_is_not_another_one() {
    let starts = boots();
    let third = &RECORDED[starts[2]..starts[3]];
    let telling = &third[third.find("crash in bank").unwrap()..third.find("acknowledged").unwrap()];
    let text = RECORDED.replace("crash in bank 2:", &format!("{telling}crash in bank 2:"));
    assert_eq!(verdicts(&text).len(), CRASHES);
    all_held_but(&text, &[]);
    let worse =
        RECORDED.replace("crash in bank 2:", &format!("{}crash in bank 2:", telling.replace("intact", "NOT intact")));
    all_held_but(&worse, &[(2, "told once more by a later boot: the board says that it is NOT intact")]);
}

#[test]
fn a_clean_reboot_is_no_crash() {
    let starts = boots();
    let fourth = &RECORDED[starts[3]..starts[4]];
    let reboots = fourth.find("\npanic: core").unwrap();
    let fifth = &RECORDED[starts[4]..starts[5]];
    let (from, to) = (fifth.find("\ncrash in bank").unwrap(), fifth.find("\nrecording 500").unwrap());
    let text = [
        &RECORDED[..starts[3]],
        &fourth[..reboots],
        "\nshut down cleanly, as asked for by die=reboot\n",
        &fifth[..from],
        &fifth[to..],
        &RECORDED[starts[5]..],
    ]
    .concat();
    let boots: Vec<_> = verdicts(&text).into_iter().map(|(boot, verdict)| (boot.unwrap(), verdict)).collect();
    assert_eq!(boots, [1, 2, 3, 5].map(|boot| (boot, "held".to_owned())));
}

#[test]
fn a_kernel_that_cannot_go_on_says_why() {
    let (crashes, end) =
        watched(b"afterglow 0.1.0: a flight recorder that survives its crash\n\nafterglow cannot go on: no region\n");
    assert_eq!((crashes.len(), end), (0, Some(End::Unable("afterglow cannot go on: no region".into()))));
}

#[test]
fn a_file_is_read_as_if_it_were_a_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), RECORDED).unwrap();
    let mut shown = 0;
    let run = run(file.path(), &Options::default(), &mut |seen| {
        shown += usize::from(matches!(seen, Seen::Line(_)));
        ControlFlow::Continue(())
    });
    let run = run.unwrap();
    assert!(run.passed(), "{run:?}");
    assert_eq!(run.counts(), Counts { held: CRASHES, events: run.counts().events, ..Counts::default() });
    assert_eq!(run.boots, 6);
    assert_eq!(run.crashes[0].to_string(), "boot 1 panicked on core 0, 4928 events recovered: held");
    let summary = "5 crashes in 6 boots: 5 held, 0 failed, 0 unclear; ";
    assert!(run.to_string().starts_with(summary) && run.to_string().ends_with(" 0 with noise"), "{run}");
    assert_eq!(shown as u64, run.lines);

    let cut = fs::write(file.path(), &RECORDED[..boots()[3] - 100]);
    cut.unwrap();
    let run = super::run(file.path(), &Options::default(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(run.counts().held, 2);
    assert_eq!(run.troubles(), ["the serial line is gone: it has come to its end"]);
    assert!(!run.end.last_lines().is_empty());
}

#[test]
fn a_run_of_unclear_crashes_has_not_passed() {
    let crash = |verdict| Crash { boot: Some(1), how: None, events: 0, attempted: 0, verdict, lines: Vec::new() };
    let of = |held: usize, unclear: usize| Run {
        crashes: [vec![crash(Verdict::Held); held], vec![crash(Verdict::Unclear(Vec::new())); unclear]].concat(),
        hangs: Vec::new(),
        end: End::Enough,
        boots: 9,
        lines: 0,
        noisy: 0,
        wanted: 0,
        duration: Duration::ZERO,
    };
    assert!(of(9, 1).passed() && of(1, 0).passed());
    assert!(!of(8, 1).passed() && !of(0, 0).passed());
    assert!(!Run { wanted: 10, end: End::Done(0), ..of(9, 0) }.passed());
    assert!(!Run { end: End::Done(1), ..of(9, 0) }.passed());
}
