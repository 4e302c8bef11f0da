//! `afterglow survey --image` as a person or a script calls it, on images of RAM that hold a survey's state.

use kernel::memblock::Range;
use kernel::survey::judge::{Kind, Tally};
use kernel::survey::pattern::Seed;
use kernel::survey::spots::Spots;
use kernel::survey::state::State;
use ring::fake::Ram;
use std::path::Path;
use std::process::Command;

fn survey(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_afterglow")).arg("survey").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// An image of 1 MiB with a state in it.
fn image(directory: &Path, change: impl FnOnce(&mut State)) -> String {
    let free = [Range::new(0x4000_0000, 64 << 20).unwrap()].into_iter().collect();
    let mut state = State { saves: 3, resets: 2, done: true, ..State::new(Seed(0xabc), 2, free) };
    state.tallies[1] = Tally { checks: 2, kept_of: 5000, dirty_of: 2000, ..Tally::NONE };
    change(&mut state);
    let ram = Ram::new(1 << 20);
    state.store(&ram, 0x8000);
    let path = directory.join("ram");
    std::fs::write(&path, ram.cached()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_survey_that_came_to_its_end_is_drawn_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = image(directory.path(), |_| {});
    let (status, out, error) = survey(&["--image", &path]);
    assert_eq!((status, error.as_str()), (0, ""));
    assert!(out.starts_with("survey with seed 0xabc, as it stands at 0x8000 of "), "{out}");
    assert!(out.contains(": at its end\nmemory, 64 KiB a cell\n"), "{out}");
    assert!(out.contains("lines kept") && out.contains("\nrecommended for the region: 0x41c00000-0x423fffff"), "{out}");
}

#[test]
fn what_was_lost_is_told_and_decides_the_status() {
    let directory = tempfile::tempdir().unwrap();
    let lose = |state: &mut State| {
        let mut here = Spots::new();
        (0..64).for_each(|n| here.add_line(Kind::Lost, 0x4000_0000 + (n << 20)));
        state.spots.count(&here, 1);
    };
    let (status, out, _) = survey(&["--image", &image(directory.path(), lose)]);
    assert_eq!(status, 1);
    assert!(out.contains(": lost after 1 of 2 by PSCI\n") && out.contains("no 8 MiB were kept by all ways"), "{out}");
}

#[test]
fn one_in_the_middle_is_drawn_and_has_no_verdict() {
    let directory = tempfile::tempdir().unwrap();
    let path = image(directory.path(), |state| state.done = false);
    let (status, out, _) = survey(&["--image", &path, "--json"]);
    assert_eq!(status, 125);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["done"], &told["at"]), (&false.into(), &0x8000.into()));
    assert_eq!(told["report"]["title"]["resets"], 2);
}

#[test]
fn an_image_without_a_survey_and_a_way_that_is_none_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a\u{1b}b");
    std::fs::write(&path, [0; 5000]).unwrap();
    let (status, out, error) = survey(&["--image", path.to_str().unwrap()]);
    assert_eq!((status, out.as_str()), (125, ""));
    assert!(error.contains("no survey has left its state there") && !error.contains('\u{1b}'), "{error}");
    let (status, _, error) = survey(&["kernel", "--without", "psci,warm"]);
    assert_eq!(status, 125);
    assert!(error.contains("possible values: psci-warm, psci, watchdog, panic"), "{error}");
}
