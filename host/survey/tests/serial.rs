//! A board at a pseudo-terminal that says what a surveying board said; noise, cuts, and boards that do not come on.

#[path = "../../campaign/tests/serial/board.rs"]
#[allow(dead_code, reason = "a board of other tests, which can do more")]
mod board;

use board::{Board, Says};
use std::ops::ControlFlow;
use std::time::Duration;
use survey::serial::{Options, Seen, read, run};
use survey::watch::{Ending, Found, Step};

const RECORDED: &str = include_str!("data/virt.txt");
const WORKS: &str = include_str!("../../campaign/tests/data/board.txt");
const BANNER: &str = "afterglow 0.1.0: a flight recorder that survives its crash";

/// No board here is silent for so long by itself, however busy the machine is.
const PATIENT: Options = Options { baud: 115_200, silence: Duration::from_secs(60), stuck: Duration::from_secs(300) };
const IMPATIENT: Options = Options { silence: Duration::from_secs(2), ..PATIENT };

/// Listens to a board that begins to speak as soon as somebody does.
fn listen(acts: impl IntoIterator<Item = Says>, options: &Options) -> (Found, Vec<Step>) {
    let board = Board::new(acts);
    let device = board.device().to_owned();
    let (mut board, mut speaking, mut steps) = (Some(board), None, Vec::new());
    let found = run(&device, options, &mut |seen| {
        match seen {
            Seen::Nothing => {
                if let Some(board) = board.take() {
                    assert_eq!(board.speed(), options.baud);
                    speaking = Some(board.speak());
                }
            }
            Seen::Step(step) => steps.push(step.clone()),
            Seen::Line(_) => {}
        }
        ControlFlow::Continue(())
    });
    (found.unwrap(), steps)
}

fn text(text: impl Into<String>) -> [Says; 1] {
    [Says::AtOnce(text.into().into_bytes())]
}

/// Up to the moment of the first reset.
fn first_boot() -> &'static str {
    let at = RECORDED.match_indices(BANNER).nth(1).unwrap().0;
    &RECORDED[..at]
}

#[test]
fn a_board_at_its_pace_is_followed_step_by_step() {
    let slow = [Says::Slowly(RECORDED.into())];
    let (found, steps) = listen(slow, &Options { baud: 921_600, ..PATIENT });
    assert_eq!((&found.ending, found.status(), found.report.checks.len()), (&Ending::Reported, 1, 4));
    assert_eq!(found, Found { last_lines: found.last_lines.clone(), ..read(RECORDED.as_bytes()) });
    let kinds: String = steps
        .iter()
        .map(|step| match step {
            Step::Begins(2) => 'B',
            Step::Asks(round, 2, number, ..) if *round == number.div_ceil(2) => 'a',
            // QEMU's boot stub is written again; its block is dirty in the second round.
            Step::Checked(_, _, Some(_), 0 | 2, _) => 'c',
            Step::Reports => 'R',
            _ => '?',
        })
        .collect();
    assert_eq!(kinds, "BacacacacR");
}

#[test]
fn firmware_noise_and_line_ends_between_boots_do_no_harm() {
    let noise = format!("\u{0}\u{fffd}\x1b[2J\r\nU-Boot 2025.01\r\nHit any key: 1\x08\x08 0\r\npan{BANNER}");
    let (found, _) = listen(text(RECORDED.replace('\n', "\r\n").replace(BANNER, &noise)), &PATIENT);
    assert_eq!(found.report, read(RECORDED.as_bytes()).report);
    assert!(found.report.troubles().is_empty() && found.unread.is_empty(), "{found:#?}");
}

#[test]
fn no_lost_byte_changes_the_report_unnoticed() {
    let (clean, bytes) = (read(RECORDED.as_bytes()), RECORDED.as_bytes());
    let begin = RECORDED.find("survey: report").unwrap();
    for at in begin..bytes.len() {
        let mut cut = bytes.to_vec();
        cut.remove(at);
        let found = read(&cut);
        let noticed = !found.report.troubles().is_empty() || !found.unread.is_empty();
        // What is not a number or a name may be wrong, and where a mark was is for the eye.
        let mut same = found.report.clone();
        same.placed.clone_from(&clean.report.placed);
        if let (Some(Some(is)), Some(Some(was))) = (&mut same.recommended, &clean.report.recommended) {
            is.node.clone_from(&was.node);
        }
        assert!(noticed || same == clean.report, "byte {at}: {:?}", &RECORDED[at - 20..at + 20]);
        assert!(noticed || found.status() == 1, "byte {at}");
    }
}

#[test]
fn without_the_recommended_place_nobody_can_say() {
    let cut = RECORDED.replace("survey: recommended for the region: ", "survey: recom");
    let (found, _) = listen(text(cut), &PATIENT);
    assert_eq!((&found.ending, found.status(), found.unread.len()), (&Ending::Reported, 125, 1));
}

#[test]
fn a_reset_that_loses_everything_ends_it_instead_of_going_round() {
    let again = Says::Again(first_boot().into());
    let (found, steps) = listen([again], &PATIENT);
    assert_eq!(found.status(), 1);
    let Ending::LosesAll(by) = found.ending else { panic!("{found:#?}") };
    assert!(found.ending.to_string().starts_with("PSCI SYSTEM_RESET loses all RAM, also the survey's notes"));
    assert_eq!((by.name(), steps.len()), ("PSCI SYSTEM_RESET", 2), "{steps:#?}");
}

#[test]
fn when_it_begins_again_and_no_reset_was_read_it_ends_the_second_time() {
    let unread: String = first_boot().split_inclusive('\n').filter(|line| !line.contains("round 1")).collect();
    let (found, steps) = listen(text(unread.repeat(5)), &PATIENT);
    assert_eq!((&found.ending, found.status()), (&Ending::BeginsAgain, 1));
    assert_eq!(steps.iter().filter(|step| **step == Step::Again).count(), 2);
    // Once is a person at the switch.
    let (found, _) = listen(text(unread + RECORDED), &PATIENT);
    assert_eq!((&found.ending, found.report), (&Ending::Reported, read(RECORDED.as_bytes()).report));
}

#[test]
fn a_board_that_does_not_come_back_is_told_with_its_reset() {
    let (found, _) = listen([Says::AtOnce(first_boot().into()), Says::Nothing], &IMPATIENT);
    assert!(matches!(found.ending, Ending::Silent(_, Some(by)) if by.name() == "PSCI SYSTEM_RESET"), "{found:#?}");
    assert_eq!(found.status(), 125);
}

#[test]
fn a_cable_without_a_board_is_silent_whatever_it_picks_up() {
    let (found, _) = listen([Says::Again(vec![0xff, 0, 0x80, b'\n'])], &IMPATIENT);
    assert_eq!((found.ending, found.report.checks.len()), (Ending::Silent(IMPATIENT.silence, None), 0));
}

#[test]
fn a_board_that_is_not_asked_to_survey_is_told_what_to_do() {
    let (found, _) = listen(text(WORKS), &PATIENT);
    assert!(found.ending == Ending::NoSurvey && found.ending.to_string().contains("survey=3"), "{found:#?}");
    // One that dies before it comes so far.
    let (found, _) = listen(text(format!("{BANNER}\nnonsense\n").repeat(9)), &PATIENT);
    assert_eq!((&found.ending, found.status()), (&Ending::NoSurvey, 125));
}

#[test]
fn a_board_that_refuses_is_told_in_its_own_words() {
    let why =
        "survey: boot 3 crashed, and nobody has seen it: boot once without survey=, which tells and acknowledges it";
    let (found, _) = listen(text(format!("{BANNER}\nafterglow cannot go on: {why}\n")), &PATIENT);
    assert_eq!((&found.ending, found.status()), (&Ending::Unable(why.into()), 125));
}

#[test]
fn a_boot_loader_that_tries_again_and_again_is_given_up() {
    let options = Options { stuck: Duration::from_secs(2), ..PATIENT };
    let (found, _) = listen([Says::Again("Retry time exceeded\r\n".into())], &options);
    assert_eq!(found.ending, Ending::Stuck(options.stuck));
}

#[test]
fn a_recording_that_is_cut_off_is_no_report() {
    let cut = RECORDED.find("survey: report").unwrap();
    let found = read(&RECORDED.as_bytes()[..cut]);
    assert!(matches!(found.ending, Ending::Gone(_)) && found.status() == 125);
    assert_eq!(found.report.checks.len(), 4);
}
