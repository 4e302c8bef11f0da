//! A core dies at each named point of the writer, in each of three ways, alone and with an interrupt's event inside its own:
//! what the next boot finds is what `SURVIVES` says.

mod support;
use ring::fake::{Ram, interrupt};
use ring::point::{Death, Fate, Point, Row, SURVIVES};
use ring::verdict::Verdict;
use ring::writer::{CleanAt, Mode, WhenFull};
use std::cell::RefCell;
use std::rc::Rc;
use support::*;

const SIZE: u64 = 64 << 10;
const OUTER: u64 = 1_000_000;
const NESTED: u64 = 2_000_000;

/// A way on which a writer comes past points.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Sub-buffers that have been begun before.
    sequence: u64,
    /// Bytes of padding of the event; the open sub-buffer has room for 500.
    padding: usize,
    /// Nanoseconds before it: more than 27 bits of them make a time record.
    pause: u64,
    /// The points on this way.
    switches: bool,
}

const WAYS: [Way; 8] = [
    Way { sequence: 0, padding: 8, pause: 5, switches: false },
    Way { sequence: 0, padding: 400, pause: 5, switches: false },
    Way { sequence: 3, padding: 30, pause: 1 << 40, switches: false },
    Way { sequence: 9, padding: 200, pause: 5, switches: false },
    Way { sequence: 0, padding: 900, pause: 5, switches: true },
    Way { sequence: 4, padding: 3000, pause: 1 << 30, switches: true },
    Way { sequence: 6, padding: 900, pause: 5, switches: true },
    Way { sequence: 15, padding: 900, pause: 5, switches: true },
];

impl Way {
    fn passes(&self, point: Point) -> bool {
        match point {
            Point::Claimed => !self.switches,
            Point::SwitchClaimed | Point::Ended | Point::Opened => self.switches,
            _ => true,
        }
    }
}

/// What the next boot finds when a core died at a point: of the outer event, and of the nested one.
fn die(way: &Way, row: &Row, nested: bool) -> (Fate, Fate) {
    let clean_at = if row.death == Death::CacheLost { CleanAt::Event } else { CleanAt::Panic };
    let ram: &'static Ram = Box::leak(Box::new(Ram::new(SIZE)));
    // An older boot's events lie beneath.
    let (header, bank) = boot(ram, 1, 1, 11);
    let w = writer(ram, &header, bank, 0, Mode::default());
    (0..400).for_each(|number| w.record(&Numbered { number, padding: 37 }).unwrap());
    close(&w);
    let (header, bank) = boot(ram, 1, 1, BOOT_ID);
    let mode = Mode { clean_at, when_full: WhenFull::Overwrite };
    let w: &'static TestWriter<'static> = Box::leak(Box::new(writer(ram, &header, bank, 0, mode)));
    let mut before = 0;
    let mut record = |padding| {
        w.record(&Numbered { number: before, padding }).unwrap();
        before += 1;
    };
    while w.counters().sequence < way.sequence {
        record(400);
    }
    // Up to eight of 436 bytes more: 552 are left.
    (w.counters().sequence.min(1)..8).for_each(|_| record(400));
    assert_eq!(w.counters().sequence, way.sequence);
    w.clock().pass(way.pause);
    let left: Rc<RefCell<Option<Vec<u8>>>> = Rc::default();
    let handler = {
        let (left, death) = (left.clone(), row.death);
        move || {
            if nested {
                w.record(&Numbered { number: NESTED, padding: 9 }).unwrap();
            }
            *left.borrow_mut() = Some(match death {
                Death::Stopped => {
                    close(w);
                    ram.persistent()
                }
                Death::CacheKept => ram.cached(),
                Death::CacheLost => ram.persistent(),
            });
        }
    };
    interrupt::at(row.point, 0, Box::new(handler));
    // It goes on, but nobody looks at what it does then.
    let _ = w.record(&Numbered { number: OUTER, padding: way.padding });
    let region = left.take().expect("the point is on the way");
    let (account, found) = find(&region, bank, 0);
    let what = || format!("{row:?} on {way:?}, nested: {nested}: {account:?}");
    // Everything before it: an unbroken run up to the last one.
    let run: Vec<u64> = found.iter().map(|e| e.0).filter(|n| *n < OUTER).collect();
    assert_eq!(run.last(), Some(&(before - 1)), "{}", what());
    assert!(run.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{}", what());
    if way.sequence < 6 {
        assert_eq!(run[0], 0, "{}", what());
    }
    assert!(account.sum_holds(), "{}", what());
    assert!(account.damaged() == 0, "{}", what());
    let fate = |number| match found.iter().find(|e| e.0 == number).map(|e| e.1) {
        Some(event) => match event.verdict {
            Verdict::AfterGap => Fate::AfterGap,
            Verdict::BeyondCommit => Fate::BeyondCommit,
            _ => Fate::Recovered,
        },
        None => Fate::Never,
    };
    let outer = match (fate(OUTER), account.unfinished) {
        (Fate::Never, 1) => Fate::Unfinished,
        (fate, n) => {
            assert_eq!(n, 0, "{}", what());
            fate
        }
    };
    let known = [outer, fate(NESTED)].iter().filter(|fate| **fate != Fate::Never).count() as u64;
    assert_eq!(account.attempted, before + known, "{}", what());
    (outer, fate(NESTED))
}

#[test]
fn what_survives_a_death_at_each_point_is_what_the_table_says() {
    let (mut deaths, mut wrong) = (0, vec![]);
    for row in &SURVIVES {
        for way in WAYS.iter().filter(|way| way.passes(row.point)) {
            let found = (die(way, row, false).0, die(way, row, true));
            let expected = (row.alone, (row.outer, row.nested));
            deaths += 2;
            if found != expected {
                wrong.push(format!("{row:?} on {way:?}: {found:?}"));
            }
        }
    }
    println!("{deaths} deaths");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_point_has_a_row_for_every_death() {
    for point in Point::ALL {
        for death in [Death::Stopped, Death::CacheKept, Death::CacheLost] {
            let rows = SURVIVES.iter().filter(|row| row.point == point && row.death == death).count();
            assert_eq!(rows, 1, "{point:?}, {death:?}");
        }
    }
}
