//! The oracle judges real crashes, and what becomes of them when somebody tampers with memory or console.

use cachesim::report::{Lost, Reset};
use campaign::judge::{Crash, Verdict, Violation, judge};
use campaign::lane::{Crashed, End, Lane, run};
use proptest::prelude::*;
use qemu::workspace;
use ring::check::Table;
use ring::format::Geometry;
use ring::policy::CleanAt;
use ring::recover::Bank;
use ring::region::{Found, inspect};
use std::ops::{ControlFlow, Range};
use std::sync::OnceLock;

/// The second crash of a lane: its boot had one before.
fn crash(end: End, clean: CleanAt) -> Crashed {
    let mut last = None;
    let lane = Lane { end, clean, crashes: 2, evict: 100, ..Lane::default() };
    let count = run(&lane, workspace::kernel().unwrap(), &mut |crashed| {
        last = Some(crashed.clone());
        ControlFlow::Continue(())
    });
    assert_eq!(count.unwrap(), 2);
    last.unwrap()
}

fn panicked() -> &'static Crashed {
    static CRASH: OnceLock<Crashed> = OnceLock::new();
    CRASH.get_or_init(|| crash(End::Die("panic"), CleanAt::Panic))
}

fn judged(reset: &Reset, clean: CleanAt, told: &str) -> Verdict {
    judge(&Crash { reset, clean, told })
}

/// A core's events in the newest bank: sub-buffer, nesting, and their bytes from the common header on.
fn events(region: &[u8], core: u32) -> Vec<(u64, u8, Range<usize>)> {
    let Found::Valid(header) = inspect(region) else { panic!("no header") };
    let (number, record) = (0..).zip(header.banks()).find(|(_, bank)| bank.boot == header.boot).unwrap();
    let geometry = header.geometry;
    let bank = geometry.bank(number) as usize;
    let found = Bank::new(&region[bank..], geometry, *record, Table).unwrap();
    let events: Vec<_> = found
        .core(core)
        .events()
        .map(|event| {
            let at = bank + geometry.subbuf(core, event.sequence) as usize + 4 * event.word as usize;
            (event.sequence, event.nesting, at..at + 4)
        })
        .collect();
    events
}

fn geometry(region: &[u8]) -> Geometry {
    let Found::Valid(header) = inspect(region) else { panic!("no header") };
    header.geometry
}

#[test]
fn a_crash_that_nobody_touched_is_well() {
    let Crashed { reset, told, verdict } = panicked();
    assert_eq!(verdict.violations, []);
    assert!(verdict.whole && verdict.promised > 50 && verdict.promised == verdict.committed, "{verdict:?}");
    assert_eq!(judged(reset, CleanAt::Panic, told), *verdict);
}

#[test]
fn a_lost_event_is_missed_and_the_guest_would_have_said_so() {
    let Crashed { reset, told, .. } = panicked();
    let mut reset = reset.clone();
    let mut events = events(&reset.after, 2);
    let (sequence, _, bytes) = events.pop().unwrap();
    reset.after[bytes.start + 8] ^= 1;
    let violations = judged(&reset, CleanAt::Panic, told).violations;
    let lost = |it: &Violation| matches!(it, Violation::Lost(lost) if (lost.core, lost.count, lost.sequence) == (2, 1, sequence));
    assert!(violations.iter().any(lost), "{violations:?}");
    assert!(violations.iter().any(|it| matches!(it, Violation::Told { core: Some(2), .. })), "{violations:?}");
}

#[test]
fn an_event_that_was_never_there_is_an_invention() {
    let Crashed { reset, told, .. } = panicked();
    let mut reset = reset.clone();
    // The newest one, as if the core had not come so far.
    let (sequence, _, bytes) = events(&reset.before, 1).pop().unwrap();
    reset.before[bytes].fill(0);
    let violations = judged(&reset, CleanAt::Panic, told).violations;
    let invented =
        |it: &Violation| matches!(it, Violation::Invented(it) if (it.core, it.count, it.sequence) == (1, 1, sequence));
    assert!(violations.iter().any(invented), "{violations:?}");
}

#[test]
fn a_boot_that_is_gone_or_not_told_is_said() {
    let Crashed { reset, told, verdict } = panicked();
    let gone = Reset { after: vec![0; reset.after.len()], ..reset.clone() };
    let boot = verdict.boot.unwrap();
    let violations = judged(&gone, CleanAt::Panic, told).violations;
    assert!(violations.contains(&Violation::BootLost { boot }), "{violations:?}");
    assert!(violations.contains(&Violation::NobodysCrash { boot: Some(boot) }), "{violations:?}");
    assert_eq!(judged(reset, CleanAt::Panic, "").violations, [Violation::NotTold { boot, died: None }]);
    // But a power cut takes all, if the next boot says so.
    let mut cut = gone;
    cut.counts.power = true;
    let Found::Cold { .. } = inspect(&cut.after) else { panic!("zeros are cold") };
    let told = "content    cold: no signature (it reads as zeros: a first boot, or firmware cleared it)";
    assert_eq!(judged(&cut, CleanAt::Panic, told).violations, []);
    assert!(matches!(judged(&cut, CleanAt::Panic, "").violations.as_slice(), [Violation::NoReason { .. }]));
}

#[test]
fn what_the_guest_says_must_be_what_memory_holds() {
    let Crashed { reset, told, .. } = panicked();
    let line = told.lines().find(|line| line.trim_start().starts_with("3  digest ")).unwrap();
    let digest = line.split_whitespace().nth(2).unwrap();
    let other = format!("{:08x}", u32::from_str_radix(digest, 16).unwrap() ^ 1);
    let violations = judged(reset, CleanAt::Panic, &told.replace(digest, &other)).violations;
    assert!(matches!(violations.as_slice(), [Violation::Told { core: Some(3), .. }]), "{violations:?}");
    let row = told.lines().find(|line| line.ends_with("holds") && line.trim_start().starts_with("1 ")).unwrap();
    let lied = told.replace(row, &row.replace("holds", "BROKEN").replacen("  0  ", "  9  ", 1));
    let violations = judged(reset, CleanAt::Panic, &lied).violations;
    let of_core = |it: &Violation| matches!(it, Violation::Told { core: Some(1), .. });
    assert!(!violations.is_empty() && violations.iter().all(of_core), "{violations:?}");
}

#[test]
fn a_line_that_a_whole_panic_left_in_the_cache_says_what_it_held() {
    let Crashed { reset, told, .. } = panicked();
    let geometry = geometry(&reset.after);
    let number = reset.number as u32 - 1;
    let stop = geometry.bank(number) + geometry.tail(Geometry::core_line(3, ring::format::tail_line::STOP));
    let mut reset = reset.clone();
    reset.after[stop as usize..stop as usize + 64].fill(0);
    reset.lost = vec![Lost { at: stop, stored: Some((0x4020_1000, 3)), unfinished: true }];
    let violations = judged(&reset, CleanAt::Panic, told).violations;
    let text = violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(
        text,
        format!(
            "lost line: bank {number}, tail: stop record of core 3: 1 line not in memory, from byte {stop:#x} on, cleaned, but \
             no DSB completed that, last stored to by core 3 at pc 0x40201000"
        )
    );
}

/// The violation of losing each of a core's events alone, without a panic.
fn losing_each(clean: CleanAt) -> Vec<(u64, u8, bool)> {
    let Crashed { reset, .. } = crash(End::Instant { min: 15_000, max: 20_000 }, clean);
    let events = events(&reset.before, 1);
    let is_promised = |bytes: &Range<usize>| {
        let mut reset = reset.clone();
        reset.after = reset.before.clone();
        reset.after[bytes.clone()].fill(0xff);
        let violations = judged(&reset, clean, "").violations;
        violations.iter().any(|it| matches!(it, Violation::Lost(events) if events.core == 1))
    };
    events.iter().map(|(sequence, nesting, bytes)| (*sequence, *nesting, is_promised(bytes))).collect()
}

#[test]
fn with_a_clean_at_each_event_only_the_record_that_was_being_written_may_go() {
    let mut all = losing_each(CleanAt::Event);
    // The oldest sub-buffer may be the next one's already.
    let newest = all.last().unwrap().0;
    all.retain(|(sequence, ..)| *sequence == newest);
    let last = all.iter().rposition(|(_, nesting, _)| *nesting == 0).unwrap();
    assert!(!all[last].2, "{all:?}");
    let before = all[..last].iter().rposition(|(_, nesting, _)| *nesting == 0).map_or(0, |at| at + 1);
    assert!(all[..before].iter().all(|(.., promised)| *promised), "{all:?}");
}

#[test]
fn with_a_clean_at_each_sub_buffer_only_the_open_one_may_go() {
    let all = losing_each(CleanAt::SubBuffer);
    let newest = all.last().unwrap().0;
    assert!(all.iter().filter(|(sequence, ..)| *sequence == newest).all(|(.., promised)| !promised), "{all:?}");
    // One record later all of the old one is promised; the crash may have come just before.
    let older: Vec<bool> = all.iter().filter(|it| it.0 < newest).map(|it| it.2).collect();
    let in_newest = all.iter().filter(|(sequence, nesting, _)| *sequence == newest && *nesting == 0).count();
    assert!(older.is_empty() || in_newest < 2 || older.iter().all(|promised| *promised), "{all:?}");
}

#[test]
fn with_a_clean_at_a_panic_only_nothing_is_promised_without_one() {
    assert!(losing_each(CleanAt::Panic).iter().all(|(.., promised)| !promised));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_judged(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), any::<bool>()), 1..200)) {
        let Crashed { reset, told, .. } = panicked();
        let mut reset = reset.clone();
        for (at, word, before) in changes {
            let region = if before { &mut reset.before } else { &mut reset.after };
            let at = at.index(region.len() / 8) * 8;
            region[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        for clean in [CleanAt::Panic, CleanAt::SubBuffer, CleanAt::Event] {
            let _ = judged(&reset, clean, told);
        }
        let half = reset.after.len() / 2;
        reset.after.truncate(half);
        let _ = judged(&reset, CleanAt::Panic, told);
    }
}
