//! What the next boot says, right and wrong.

use crate::world::{CORES, World, tell};
use cachesim::report::Reset;
use campaign::judge::{Crash, Violation, judge};
use ring::policy::CleanAt;

fn crashed() -> Reset {
    let world = World::boot(CleanAt::Event);
    (0..CORES).for_each(|core| world.record(core, 0..300));
    world.reset([])
}

fn says(reset: &Reset, told: &str) -> Vec<Violation> {
    judge(&Crash { reset, clean: CleanAt::Event, told }).violations
}

#[test]
fn every_number_of_every_row_is_compared() {
    let reset = crashed();
    let told = tell(&reset.after);
    assert_eq!(says(&reset, &told), []);
    let rows: Vec<&str> = told.lines().filter(|line| line.ends_with("holds")).collect();
    assert_eq!(rows.len(), CORES as usize);
    let columns = ["attempted", "recovered", "overwritten", "damaged", "unfinished", "dropped"];
    for row in rows {
        let words: Vec<&str> = row.split_whitespace().collect();
        for (column, name) in (1..).zip(columns) {
            let mut wrong: Vec<String> = words.iter().map(ToString::to_string).collect();
            wrong[column] = (wrong[column].parse::<u64>().unwrap() + 1).to_string();
            let violations = says(&reset, &told.replace(row, &wrong.join(" ")));
            let is_named = |it: &Violation| {
                matches!(it, Violation::Told { boot: 1, core: Some(core), what, .. }
                    if *what == name && core.to_string() == words[0])
            };
            assert!(violations.iter().any(is_named), "{name}: {violations:?}");
        }
        let violations = says(&reset, &told.replace(row, &row.replace("holds", "BROKEN")));
        assert!(matches!(violations.as_slice(), [Violation::Told { what: "the sum", .. }]), "{violations:?}");
        let violations = says(&reset, &told.replace(row, ""));
        assert!(matches!(violations.as_slice(), [Violation::Told { what: "its row", .. }]), "{violations:?}");
    }
}

#[test]
fn digests_and_the_word_for_all_of_it_are_compared() {
    let reset = crashed();
    let told = tell(&reset.after);
    let digest = told.lines().find(|line| line.contains("digest")).unwrap();
    for wrong in [digest.replace("of ", "of 1"), digest.replace("digest ", "digest 1"), String::new()] {
        let violations = says(&reset, &told.replace(digest, &wrong));
        assert!(matches!(violations.as_slice(), [Violation::Told { what: "the digest", .. }]), "{violations:?}");
    }
    // A kernel that was not asked for any says none.
    let none: String = told.lines().filter(|line| !line.contains("digest")).map(|line| format!("{line}\n")).collect();
    assert_eq!(says(&reset, &none), []);
    let violations = says(&reset, &told.replace(", intact", ", NOT intact"));
    assert!(matches!(violations.as_slice(), [Violation::Told { core: None, .. }]), "{violations:?}");
}

#[test]
fn a_crash_that_nobody_tells_and_one_that_nobody_knows() {
    let reset = crashed();
    let told = tell(&reset.after);
    assert_eq!(says(&reset, ""), [Violation::NotTold { boot: 1, died: None }]);
    let died = Some("panic: core 0: in the middle".to_owned());
    assert_eq!(says(&reset, "panic: core 0: in the middle\n"), [Violation::NotTold { boot: 1, died }]);
    let twice = format!("{told}{}", told.replace("boot 1 ", "boot 7 ").replace("boot 1:", "boot 7:"));
    assert_eq!(says(&reset, &twice), [Violation::NobodysCrash { boot: Some(7) }]);
}

#[test]
fn the_next_boot_takes_its_turn() {
    let reset = crashed();
    let told = tell(&reset.after);
    let violations = says(&reset, &told.replace("boot 2 into bank 1", "boot 2 into bank 0"));
    assert_eq!(violations, [Violation::NextBoot { says: (2, 0), expected: (2, 1) }]);
}

#[test]
fn violations_are_told_in_one_line_each() {
    let mut reset = crashed();
    reset.after.fill(0);
    let violations = judge(&Crash { reset: &reset, clean: CleanAt::Event, told: "" }).violations;
    assert!(violations.len() > 10);
    for violation in violations {
        let text = violation.to_string();
        assert!(text.len() > 20 && !text.contains('\n'), "{text:?}");
    }
}
