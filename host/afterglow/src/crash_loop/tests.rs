//! The loop around lanes that are not run: what it says, keeps and ends with.

use super::*;
use cachesim::report::{Counts, Lost, Reset};
use campaign::judge::{Verdict, Violation};
use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    wishes: Loop,
}

fn wishes(words: &[&str]) -> Loop {
    Cli::try_parse_from(["loop", "kernel"].iter().chain(words)).unwrap().wishes
}

fn crashed(number: u64, violations: Vec<Violation>) -> Crashed {
    let lost = vec![Lost { at: 64, stored: None, unfinished: false }; violations.len()];
    let counts = Counts { useful: 10, redundant: 2, lost: lost.len() as u64, ..Counts::default() };
    Crashed {
        reset: Reset { number, counts, lost, before: vec![1], after: vec![0], ..Reset::default() },
        told: "the console\x1b[2J".into(),
        verdict: Verdict {
            whole: true,
            committed: 100,
            promised: 90,
            found: 95,
            lost: 5,
            violations,
            ..Verdict::default()
        },
    }
}

/// Crashes as often as it must; the lane with this seed goes wrong at its second crash.
fn fake(bad_seed: u64) -> Box<Runner<'static>> {
    Box::new(move |lane, each| {
        for number in 1..=lane.crashes {
            let is_bad = lane.seed == bad_seed && number == 2;
            let mut crash = crashed(number, if is_bad { vec![Violation::BootLost { boot: number }] } else { vec![] });
            if lane.follow {
                crash.reset.lost.iter_mut().for_each(|lost| lost.stored = Some((0x4020_0000, 1)));
            }
            if each(&crash).is_break() {
                return Ok(number);
            }
        }
        Ok(lane.crashes)
    })
}

fn results(words: &[&str], bad_seed: u64) -> Vec<(Lane, Outcome)> {
    let wishes = wishes(words);
    let (lanes, _) = wishes.lanes().unwrap();
    let outcomes = wishes.all(&lanes, &*fake(bad_seed), &AtomicBool::new(false));
    lanes.into_iter().zip(outcomes).collect()
}

#[test]
fn all_lanes_run_and_are_added_up() {
    let results = results(&["--crashes", "100", "--jobs", "3"], 0);
    assert_eq!(results.len(), 18);
    assert!(
        report::verdict(&results)
            .starts_with("100 crashes, 10000 events before them, 9000 promised, 9500 found: 0 events lost")
    );
    let table = report::table(&results);
    assert_eq!(table.lines().count(), 20);
    assert!(table.contains("instant:1:20000"), "{table}");
}

#[test]
fn a_lane_ends_with_its_first_failure_which_names_the_store_and_the_way_back() {
    let results = results(&["--crashes", "100"], 3);
    let failed: Vec<_> = results.iter().filter(|(_, outcome)| outcome.failure.is_some()).collect();
    let [(lane, outcome)] = failed.as_slice() else { panic!("{failed:?}") };
    assert_eq!((lane.seed, outcome.sum.crashes, outcome.sum.violations), (3, 2, 1));
    let failure = outcome.failure.as_ref().unwrap();
    let command = failure.command("k.elf".as_ref(), lane);
    let name = command.strip_prefix("afterglow loop k.elf --lane '").and_then(|rest| rest.strip_suffix('\'')).unwrap();
    assert_eq!(name.parse::<Lane>().unwrap(), Lane { crashes: 2, ..lane.clone() });
    assert!(!failure.wants_names(), "they were got by another run");
    assert!(report::verdict(&results).contains("1 of 18 lanes FAILED"));

    let directory = tempfile::tempdir().unwrap();
    let elf = qemu::workspace::kernel_file().unwrap();
    failure.keep(directory.path(), elf, lane, &Symbols::load(elf).unwrap()).unwrap();
    let kept = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    let why = std::fs::read_to_string(kept.join("why.txt")).unwrap();
    for part in [
        "boot 2 was in the header, and memory does not know it",
        "again: afterglow loop",
        "0x40200000  1 lines, the first at 0x40",
    ] {
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(std::fs::read(kept.join("before.img")).unwrap(), [1]);
    assert!(kept.join("console.txt").exists() && kept.join("after.img").exists());
}

#[test]
fn reports_can_be_read_by_those_who_want_them() {
    let results = results(&["--crashes", "360", "--machine", "raspi4b", "--machine", "GICv3, max"], 3);
    let directory = tempfile::tempdir().unwrap();
    let (junit, markdown) = (directory.path().join("junit.xml"), directory.path().join("page.md"));
    report::junit(&junit, &results, "k&r.elf".as_ref()).unwrap();
    report::markdown(&markdown, &results, "k.elf".as_ref()).unwrap();
    report::markdown(&markdown, &results, "k.elf".as_ref()).unwrap();
    let text = std::fs::read_to_string(junit).unwrap();
    let read = quick_junit::Report::deserialize_from_str(&text).unwrap();
    assert!(read.test_suites.len() >= 2, "a suite for each machine");
    assert_eq!((read.tests, read.failures), (results.len(), 1));
    assert!(text.contains("k&amp;r.elf"), "the way back, escaped");
    let page = std::fs::read_to_string(markdown).unwrap();
    assert_eq!(page.matches("## Crash loop: failed").count(), 2, "added, not written over");
    assert!(page.contains("| machine") && page.contains("again: afterglow loop k.elf"));
}

#[test]
fn a_machine_that_stops_crashing_is_a_failure_and_shows_nothing_raw() {
    let wishes = wishes(&["--crashes", "1", "--end", "panic", "--clean", "panic", "--evict", "0"]);
    let (lanes, _) = wishes.lanes().unwrap();
    let runner =
        |_: &Lane, _: &mut dyn FnMut(&Crashed) -> ControlFlow<()>| -> Result<u64> { anyhow::bail!("it hangs\x1b[2J") };
    let outcomes = wishes.all(&lanes, &runner, &AtomicBool::new(false));
    let failure = outcomes[0].failure.as_ref().unwrap();
    assert_eq!(failure.why, [r"it hangs\x1b[2J"]);
}

#[test]
fn whoever_interrupts_gets_what_there_is() {
    let wishes = wishes(&["--crashes", "100"]);
    let (lanes, _) = wishes.lanes().unwrap();
    let stop = AtomicBool::new(false);
    let good = fake(0);
    let runner = |lane: &Lane, each: &mut dyn FnMut(&Crashed) -> ControlFlow<()>| {
        stop.store(true, Ordering::Relaxed);
        good(lane, each)
    };
    let outcomes = wishes.all(&lanes, &runner, &stop);
    let crashes: u64 = outcomes.iter().map(|outcome| outcome.sum.crashes).sum();
    assert!((1..=4).contains(&crashes), "{crashes}");
    assert!(outcomes.iter().filter(|outcome| outcome.is_cut).count() >= 16);
}

#[test]
fn wrong_words_are_refused_before_anything_runs() {
    for words in [&["--evict", "101"][..], &["--end", "laugh"], &["--machine", "vax"], &["--lane", "x"]] {
        assert!(wishes(words).lanes().is_err(), "{words:?}");
    }
    assert!(Cli::try_parse_from(["loop"]).is_err(), "no kernel");
    assert!(Cli::try_parse_from(["loop", "--serial", "/dev/ttyUSB0"]).is_ok());
}
