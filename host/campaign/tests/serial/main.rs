//! A board at a real terminal: a pseudo-terminal at whose other end a recorded board speaks, or QEMU itself.

mod board;
mod emulator;

use board::{Board, Says};
use campaign::serial::{Counts, End, Options, Run, Seen, Verdict, run};
use std::ops::ControlFlow;
use std::time::Duration;

const RECORDED: &str = include_str!("../data/board.txt");

/// No board here is silent for so long by itself, however busy the machine is.
const PATIENT: Options = Options {
    baud: 115_200,
    cycles: 0,
    silence: Duration::from_secs(60),
    stuck: Duration::from_secs(300),
    power: None,
};
/// For boards that fall silent.
const IMPATIENT: Options = Options { silence: Duration::from_secs(3), ..PATIENT };

/// Watches a board that begins to speak as soon as somebody listens.
fn watch(board: Board, options: &Options) -> Run {
    watch_and_pull(board, options, usize::MAX)
}

/// The same, but the adapter is pulled after so many crashes.
fn watch_and_pull(board: Board, options: &Options, crashes: usize) -> Run {
    let device = board.device().to_owned();
    let (mut board, mut speaking, mut seen_crashes) = (Some(board), None, 0);
    let run = run(&device, options, &mut |seen| {
        match seen {
            Seen::Nothing(_) if speaking.is_none() => speaking = board.take().map(Board::speak),
            Seen::Crash(_) => seen_crashes += 1,
            _ => {}
        }
        if seen_crashes == crashes {
            drop(speaking.take());
        }
        ControlFlow::Continue(())
    });
    run.unwrap()
}

/// Pieces of the recording from the place where the first of these begins to where the next one does.
fn boots() -> Vec<&'static str> {
    let starts: Vec<usize> = RECORDED.match_indices("afterglow 0.1.0").map(|(at, _)| at).collect();
    let ends = starts.iter().copied().skip(1).chain([RECORDED.len()]);
    starts.iter().zip(ends).map(|(from, to)| &RECORDED[*from..to]).collect()
}

#[test]
fn a_board_at_its_pace_is_judged_as_it_was() {
    let run = watch(Board::new([Says::Slowly(RECORDED.into())]), &PATIENT);
    assert_eq!(run.counts(), Counts { held: 5, events: run.counts().events, ..Counts::default() }, "{run:#?}");
    assert_eq!((&run.end, run.boots, run.noisy), (&End::Done(0), 6, 0));
    assert!(run.passed());
}

#[test]
fn enough_is_enough() {
    let run = watch(Board::new([Says::AtOnce(RECORDED.into())]), &Options { cycles: 3, ..PATIENT });
    assert_eq!((&run.end, run.crashes.len()), (&End::Enough, 3));
    assert!(run.passed(), "{run:#?}");
}

#[test]
fn firmware_noise_and_line_ends_between_boots_do_no_harm() {
    let before = "\u{0}\u{fffd}\x1b[2J\r\nTF-A: BL31 v2.12\r\nU-Boot 2025.01\r\nHit any key: 1\x08\x08 0\r\nStarting kernel ...\r\n\n";
    let text: String = boots().iter().flat_map(|boot| [before.into(), boot.replace('\n', "\r\n")]).collect();
    let mut bytes = text.into_bytes();
    bytes.splice(0..0, [0xff, 0xc3, 0x00, 0x1b]);
    let run = watch(Board::new([Says::AtOnce(bytes)]), &PATIENT);
    assert!(run.passed() && run.counts().held == 5, "{run:#?}");
    assert!(run.noisy >= 6);
}

#[test]
fn lost_bytes_make_a_crash_unclear_and_not_failed() {
    let text = RECORDED.replace("crash of boot 2: ", "crash of bo");
    let run = watch(Board::new([Says::AtOnce(text.into())]), &PATIENT);
    assert_eq!((run.counts().held, run.counts().unclear, run.counts().failed), (4, 1, 0), "{run:#?}");
    assert_eq!(run.crashes[1].boot, Some(2));
    assert!(matches!(&run.crashes[1].verdict, Verdict::Unclear(why) if why[0].contains("was not read")));
    assert!(run.crashes[1].lines.iter().any(|line| line.starts_with("boot 2 panicked on core 0")));
}

#[test]
fn a_crash_that_is_not_intact_fails_and_so_does_the_end_it_leads_to() {
    let boots = boots();
    let last = boots[3].split_inclusive('\n').take_while(|line| !line.starts_with("acknowledged"));
    let last: String = last.map(|line| line.replace("intact", "NOT intact")).collect();
    let text = [boots[..3].concat(), last, "power off with status 1\n".into()].concat();
    let run = watch(Board::new([Says::AtOnce(text.into())]), &PATIENT);
    assert_eq!((run.counts().held, run.counts().failed), (2, 1), "{run:#?}");
    assert_eq!(run.crashes[2].verdict.to_string(), "failed: the board says that it is NOT intact");
    assert_eq!(run.troubles(), ["the board ended with status 1"]);
}

#[test]
fn a_board_that_hangs_after_a_panic_is_given_up_with_its_last_lines() {
    let boots = boots();
    let text = [boots[..2].concat(), boots[2].split("reset: asking").next().unwrap().into()].concat();
    let run = watch(Board::new([Says::AtOnce(text.into()), Says::Nothing]), &IMPATIENT);
    assert_eq!((run.counts().held, run.counts().failed), (2, 1), "{run:#?}");
    assert_eq!(run.crashes[2].boot, Some(3));
    let why = run.crashes[2].verdict.to_string();
    assert!(why.contains("no boot came to tell it: the board has said nothing for 3 s"), "{why}");
    assert!(run.end.last_lines().last().unwrap().starts_with("gic: SGIs pending"), "{:?}", run.end);
    assert!(!run.passed());
}

/// What a board says that hangs in its third boot, behind a panic.
fn two_crashes_and_a_hang() -> Vec<u8> {
    let boots = boots();
    [boots[..2].concat(), boots[2].split("reset: asking").next().unwrap().into()].concat().into()
}

#[test]
fn a_board_that_hangs_gets_its_power_cycled_and_is_judged_on() {
    let directory = tempfile::tempdir().unwrap();
    let relay = directory.path().join("relay");
    let acts = [Says::AtOnce(two_crashes_and_a_hang()), Says::Until(relay.clone()), Says::AtOnce(RECORDED.into())];
    let power = Some(format!("touch '{}'", relay.display()));
    let run = watch(Board::new(acts), &Options { power, ..IMPATIENT });
    // What the power took was no boot's to tell: only the crash that hung failed.
    assert_eq!((run.counts().held, run.counts().failed), (7, 1), "{run:#?}");
    assert_eq!((run.end.clone(), run.hangs.len(), run.hangs[0].after), (End::Done(0), 1, 3), "{run:#?}");
    let hung = "it hung after 3 crashes: the board has said nothing for 3 s; its power was cycled";
    assert_eq!(run.troubles(), [hung]);
    assert!(!run.passed());
}

#[test]
fn a_board_that_hangs_again_before_one_more_crash_is_given_up() {
    let power = Some("true".into());
    let acts = [Says::AtOnce(two_crashes_and_a_hang()), Says::Nothing];
    let run = watch(Board::new(acts), &Options { power, ..IMPATIENT });
    assert!(matches!(run.end, End::Silent(..)) && run.hangs.len() == 1, "{run:#?}");
}

#[test]
fn a_power_command_that_fails_ends_the_run_with_its_reason() {
    let power = Some("exit 3".into());
    let acts = [Says::AtOnce(two_crashes_and_a_hang()), Says::Nothing];
    let run = watch(Board::new(acts), &Options { power, ..IMPATIENT });
    let end = "the board hangs, and its power could not be cycled: its command ended with exit status: 3";
    assert_eq!(run.end.to_string(), end);
    assert!(run.end.last_lines().last().unwrap().starts_with("gic: SGIs pending"), "{:?}", run.end);
}

#[test]
fn a_board_that_resets_without_telling_fails() {
    let boots = boots();
    let mute: String = boots[2].split_inclusive('\n').take_while(|line| !line.starts_with("crash in bank")).collect();
    let text = [boots[..2].concat(), mute, boots[3..].concat()].concat();
    let run = watch(Board::new([Says::AtOnce(text.into())]), &PATIENT);
    assert_eq!((run.counts().held, run.counts().failed), (4, 1), "{run:#?}");
    assert_eq!(run.crashes[1].verdict.to_string(), "failed: boot 3 does not tell it: it was reset");
}

#[test]
fn a_boot_loader_that_tries_again_and_again_is_given_up() {
    let retries = "Retry time exceeded; starting again\r\n".repeat(12);
    let text = [RECORDED[..boots()[0].len()].to_owned(), retries].concat();
    let options = Options { stuck: Duration::from_secs(2), ..PATIENT };
    let again = Says::Again("Retry time exceeded\r\n".into());
    // Whoever only waits for silence hears this.
    let acts = [Says::Slowly(text.into()), again, Says::AtOnce("it has given up by itself\r\n".into())];
    let run = watch(Board::new(acts), &options);
    assert!(matches!(&run.end, End::Stuck(..)), "{run:#?}");
    assert!(run.end.last_lines().iter().all(|line| line.starts_with("Retry time exceeded")), "{:?}", run.end);
    assert_eq!(run.counts().failed, 1);
}

#[test]
fn a_cable_without_a_board_is_silent_whatever_it_picks_up() {
    let run = watch(Board::new([Says::Again(vec![0xff, 0, 0x80, b'\n'])]), &IMPATIENT);
    assert!(matches!(run.end, End::Silent(..)), "{run:#?}");
    assert_eq!(run.troubles().len(), 2, "{:?}", run.troubles());
}

#[test]
fn an_adapter_that_is_pulled_ends_the_run() {
    let run = watch_and_pull(Board::new([Says::AtOnce(RECORDED.into())]), &PATIENT, 2);
    assert!(run.counts().held >= 2 && run.counts().failed == 0, "{run:#?}");
    assert_eq!(run.troubles(), ["the serial line is gone: the device at its other end is gone"]);
}

#[test]
fn no_byte_of_the_line_means_anything_to_the_terminal() {
    // Interrupt, end of file, erase, stop, suspend: what a terminal that is not raw would act on, and CR for LF.
    let text = RECORDED.replace('\n', "\x03\x04\x7f\x13\x1a\r");
    let board = Board::new([Says::AtOnce(text.into())]);
    let device = board.device().to_owned();
    let (mut board, mut speaking, mut speed) = (Some(board), None, None);
    let run = run(&device, &Options { baud: 921_600, ..PATIENT }, &mut |seen| {
        if let (Seen::Nothing(_), Some(board)) = (seen, board.take()) {
            speed = Some(board.speed());
            speaking = Some(board.speak());
        }
        ControlFlow::Continue(())
    });
    let run = run.unwrap();
    assert!(run.passed() && run.counts().held == 5 && run.noisy > 300, "{run:#?}");
    assert_eq!(speed, Some(921_600));
}

#[test]
fn a_device_that_is_not_there_is_an_error_with_a_hint() {
    let error = run("/dev/no-such-board".as_ref(), &PATIENT, &mut |_| ControlFlow::Continue(())).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("/dev/no-such-board cannot be opened") && text.contains("plugged in"), "{text}");
}

#[test]
fn a_real_kernel_at_a_real_terminal_holds_its_crashes() {
    let mut emulator = emulator::start("cycles=3 events=500 tail=2");
    let device = emulator.device().to_owned();
    let mut log = String::new();
    let run = run(&device, &PATIENT, &mut |seen| {
        match seen {
            Seen::Nothing(time) => emulator.go_on_when_heard(time),
            Seen::Line(line) => log += &format!("{line}\n"),
            Seen::Crash(_) => {}
        }
        ControlFlow::Continue(())
    });
    let run = run.unwrap();
    assert!(run.passed() && run.counts().held == 3, "{run:#?}\n{log}");
    assert_eq!((&run.end, run.boots), (&End::Done(0), 4));
    assert_eq!(run.crashes.iter().map(|crash| crash.boot).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
    assert!(run.counts().events > 3000);
}
