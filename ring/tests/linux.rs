//! Linux would accept a bank, in every state that a ring can be in and at every moment at which a core can be stopped or
//! reset with its cache intact; and each of the checks that show it rejects a bank with just that defect.

mod support;
use ring::fake::interrupt;
use ring::format::{FIELDS_MAX, Geometry};
use ring::point::Point;
use ring::writer::{CleanAt, Mode, WhenFull};
use support::lab::{Lab, Moment};
use support::linux::{chunk, subbufs};
use support::*;

const SIZE: u64 = 64 << 10;
const OVERWRITE: Mode = Mode { when_full: WhenFull::Overwrite, clean_at: CleanAt::Panic };
const DROP: Mode = Mode { when_full: WhenFull::Drop, clean_at: CleanAt::Panic };

/// What Linux shows of a lab's bank, once it is at rest: as many events as are recovered.
fn shows(lab: &Lab) -> u64 {
    let region = lab.ram.cached();
    let shown = linux_shows(&region, &lab.header, lab.bank);
    let recovered: usize = (0..lab.header.geometry.cores).map(|core| find(&region, lab.bank, core).1.len()).sum();
    assert_eq!(shown, Ok(recovered as u64));
    recovered as u64
}

#[test]
fn sub_buffers_are_counted_as_linux_counts_them() {
    // The figures that Linux's own regions show for four possible CPUs.
    assert_eq!([256 << 10, 512 << 10, 12 << 20].map(|size| subbufs(size, 4)), [14, 30, 766]);
    for cores in 1..=8u32 {
        for pages in (64..600).chain([2048, 4096]) {
            let Ok(g) = Geometry::new(pages * 4096, 1, cores) else { continue };
            assert_eq!(subbufs(g.linux_size, u64::from(cores)), g.subbufs, "{pages} pages, {cores} cores");
            let last = u64::from(cores) - 1;
            let (header, pages) = chunk(last, g.subbufs);
            assert_eq!(
                (header, pages),
                (ring::linux::cpu_offset(last, g.subbufs), ring::linux::subbufs_offset(last, g.subbufs))
            );
        }
    }
}

#[test]
fn every_state_of_a_ring_at_rest() {
    for used_before in [false, true] {
        let new = |mode| Lab::new(SIZE, 1, mode, used_before);
        let lab = new(OVERWRITE);
        assert_eq!(shows(lab), 0, "before the first event");
        lab.record(0, 4);
        assert_eq!(shows(lab), 1, "one event");
        for _ in 0..20 {
            lab.record(0, 50);
        }
        assert_eq!(shows(lab), 21, "in the middle of a page");
        // A page has 4040 bytes; events of 28 + 4 * 1003.
        let lab = new(OVERWRITE);
        lab.fill(0, 0, 4, 0);
        let left = 4040 - 144 * 28;
        assert_eq!(left, 8);
        shows(lab);
        let lab = new(OVERWRITE);
        for _ in 0..2 {
            lab.record(0, 4040 / 2 - 20 - 12);
        }
        assert_eq!((shows(lab), lab.writers[0].counters().sequence), (2, 0), "a page that is exactly full");
        lab.record(0, 4);
        assert_eq!((shows(lab), lab.writers[0].counters().sequence), (3, 1), "and the next");
        for laps in [1, 2, 5] {
            let lab = new(OVERWRITE);
            lab.fill(0, 7 * laps, 200, 300);
            shows(lab);
            lab.fill(0, 7 * laps + 3, 200, 2000);
            shows(lab);
        }
        let lab = new(DROP);
        for _ in 0..200 {
            lab.record(0, 200);
        }
        assert_eq!(shows(lab), 17 * 7, "the newest are refused");
        let lab = new(OVERWRITE);
        for number in 0..400 {
            match number % 5 {
                0 => lab.discard(0, 8 + number % 300),
                _ => lab.record(0, number % 90),
            }
            if number % 7 == 0 {
                shows(lab);
            }
        }
        let lab = new(OVERWRITE);
        for _ in 0..8 {
            lab.record(0, FIELDS_MAX - 12);
            shows(lab);
        }
        let lab = new(OVERWRITE);
        for exponent in 20..59 {
            lab.writers[0].clock().pass(1 << exponent);
            lab.record(0, 4);
            interrupt::at(Point::Claimed, 0, Box::new(|| lab.record(0, 3)));
            lab.record(0, 9);
            shows(lab);
        }
    }
}

#[test]
fn one_to_eight_cores() {
    for cores in 1..=8 {
        let lab = Lab::new(512 << 10, cores, OVERWRITE, false);
        shows(lab);
        for number in 0..600 {
            lab.record((number % cores as usize) as u32, number % 400);
        }
        assert!(shows(lab) > 0);
    }
}

/// All moments of a life at which Linux would throw something away, with the cache intact.
fn rejected(lab: &Lab) -> (usize, Vec<(usize, Rejected)>) {
    let life = lab.life();
    let mut found = vec![];
    let mut moments = 0;
    life.every_moment(|Moment { done, region }| {
        moments += 1;
        if let Err(rejected) = linux_shows(region, &lab.header, lab.bank) {
            found.push((done, rejected));
        }
    });
    (moments, found)
}

/// Lives with several switches: alone, with interrupts that record at each step, in all modes.
fn lives() -> Vec<(String, &'static Lab)> {
    let mut lives = vec![];
    for clean_at in [CleanAt::Panic, CleanAt::SubBuffer, CleanAt::Event] {
        for when_full in [WhenFull::Overwrite, WhenFull::Drop] {
            for used_before in [false, true] {
                let lab = Lab::new(SIZE, 1, Mode { when_full, clean_at }, used_before);
                for number in 0..180 {
                    if number % 11 == 10 { lab.discard(0, 60) } else { lab.record(0, number * 37 % 700) }
                }
                lab.close(0);
                lives.push((format!("{clean_at:?}, {when_full:?}, used before: {used_before}"), lab));
            }
        }
    }
    lives
}

#[test]
fn at_every_moment_of_a_life_with_the_cache_intact() {
    let (mut moments, mut found) = (0, vec![]);
    for (name, lab) in lives() {
        let (n, rejected) = rejected(lab);
        moments += n;
        if let Some((done, why)) = rejected.first() {
            println!("{name}: {} of {n} moments, first after {done} operations: {why}", rejected.len());
        }
        found.extend(rejected);
    }
    println!("{moments} moments, Linux would throw something away at {}", found.len());
    assert!(moments > 10_000);
}
