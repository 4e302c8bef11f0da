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
        // A page has 4040 bytes; a long event has 20 beside its fields, of which Numbered has 12.
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

/// The moments at which Linux would empty pages although nothing is lost: a full ring begins to overwrite its oldest
/// sub-buffer, which has the newest time already, and the head still names it. They end with the store that moves the head.
struct Window {
    first: u64,
    head_at: u64,
    open: bool,
}

impl Window {
    fn new(lab: &Lab) -> Self {
        let (header, pages) = chunk(0, lab.header.geometry.subbufs);
        let bank = lab.header.geometry.bank(lab.bank);
        Self { first: bank + pages, head_at: bank + header + 8, open: false }
    }
    fn store(&mut self, at: u64, before: &[u8]) {
        let u64_at = |at: u64| u64::from_le_bytes(before[at as usize..at as usize + 8].try_into().unwrap());
        let head = u64_at(self.head_at) - u64_at(self.head_at - 8);
        if at == self.head_at {
            self.open = false;
        } else if at == self.first + head
            && u64_at(at) != 0
            && u64_at(self.head_at + 8) - u64_at(self.head_at - 8) != head
        {
            self.open = true;
        }
    }
}

/// At how many moments of a life, with the cache intact, Linux would throw something away: those of [`Window`] and no other.
fn rejected(lab: &Lab) -> (u64, u64) {
    let (mut moments, mut found) = (0, 0);
    let mut window = Window::new(lab);
    lab.life().every_moment(|Moment { done, stored, before, region }| {
        moments += 1;
        window.store(stored, before);
        let shown = linux_shows(region, &lab.header, lab.bank);
        match &shown {
            Ok(_) => assert!(!window.open, "after {done} operations: accepted in the window"),
            Err(why) => {
                found += 1;
                assert!(window.open, "after {done} operations: {why}");
                assert!(matches!(why, Rejected::Page(..)), "after {done} operations: {why}");
            }
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
    let (mut moments, mut found) = (0, 0);
    for (name, lab) in lives() {
        let (all, bad) = rejected(lab);
        println!("{name:<44} {all:>6} moments, Linux would empty pages at {bad:>4}");
        moments += all;
        found += bad;
    }
    println!("{moments} moments, Linux would empty pages at {found}");
    assert!(moments > 10_000);
}

#[test]
fn after_a_stop_at_every_step() {
    // As far as the outermost event had been committed; a stop at the moments of the window shows less.
    let (mut stops, mut found) = (0, 0);
    for (sequence, padding) in [(0, 10), (1, 300), (8, 300), (15, 900)] {
        let run = |at: u64| {
            let lab = Lab::new(SIZE, 1, OVERWRITE, true);
            lab.fill(0, sequence, 200, 300);
            let stop: interrupt::Handler = Box::new(move || {
                lab.record(0, 5);
                lab.close(0);
                lab.end_here();
            });
            (lab, interrupt::with(vec![(at, stop)], || lab.record(0, padding)))
        };
        let (_, steps) = run(u64::MAX);
        for at in 0..steps {
            let (lab, _) = run(at);
            let g = lab.header.geometry;
            let region = lab.ram.persistent();
            stops += 1;
            if let Err(why) = linux_shows(&region, &lab.header, lab.bank) {
                found += 1;
                let (header, _) = chunk(0, g.subbufs);
                let cpu = &region[(g.bank(lab.bank) + header) as usize..];
                let u64_at = |at: usize| u64::from_le_bytes(cpu[at..at + 8].try_into().unwrap());
                let head = (u64_at(8) - u64_at(0)) / 4096;
                let open = lab.writers[0].counters().sequence;
                assert!(open >= g.ring() && head == 1 + open % g.ring(), "stopped at step {at}: {why}");
            }
        }
    }
    println!("{stops} stops, Linux would empty pages after {found}");
    assert!(stops > 500);
}

/// A bank that Linux accepts: two CPUs, the first one's ring wrapped, with every kind of event in its newest page.
fn good() -> (Vec<u8>, u64) {
    let lab = Lab::new(2 * SIZE, 2, OVERWRITE, false);
    lab.fill(0, 14, 200, 300);
    lab.record(0, 600);
    lab.discard(0, 30);
    lab.record(0, 30);
    lab.record(1, 10);
    let g = lab.header.geometry;
    let region = linux_part(&lab.ram.cached(), &g, lab.bank).to_vec();
    assert!(linux_accepts(&region, 2).is_ok());
    (region, g.subbufs)
}

#[test]
fn each_check_rejects_a_bank_with_that_one_defect() {
    let (good, n) = good();
    let (header, pages) = chunk(0, n);
    let (other, _) = chunk(1, n);
    let u64_at = |at: u64| u64::from_le_bytes(good[at as usize..at as usize + 8].try_into().unwrap());
    let u32_at = |at: u64| u32::from_le_bytes(good[at as usize..at as usize + 4].try_into().unwrap());
    let first = u64_at(header);
    let newest = pages + u64_at(header + 16) - first;
    let page = (newest - pages) / 4096;
    let commit = u64_at(newest + 8);
    // The newest page begins with a long event and a discarded one.
    let event = newest + 16;
    assert_eq!(u32_at(event) & 31, 0);
    let discarded = event + 4 + u64::from(u32_at(event + 4));
    assert_eq!(u32_at(discarded) & 31, 29);
    let region = Rejected::Region;
    let cpu = |why| Rejected::Cpu(0, why);
    let bad = |why| Rejected::Page(0, page, why);
    let word = |value: u32| value.to_le_bytes().to_vec();
    let long = |value: u64| value.to_le_bytes().to_vec();
    let absolute = |time: u64| [word((time as u32 & 0x7ff_ffff) << 5 | 31), word((time >> 27) as u32)].concat();
    let defects = [
        (0, word(0x0bad_feee), region("magic")),
        (4, word(0x0018_0028), region("struct sizes")),
        (8, long(good.len() as u64 - 4096), region("total size")),
        (16, long(8256), region("offset of the buffers")),
        (24, word(1), region("scratch")),
        (8236, word(1), region("scratch")),
        (header + 24, word(8192), cpu("size of a sub-buffer")),
        (header + 28, word(n as u32 - 1), cpu("number of sub-buffers")),
        (other + 28, word(n as u32 + 1), Rejected::Cpu(1, "number of sub-buffers")),
        (header, long(first + 4096 * n), cpu("head out of range")),
        (header + 8, long(first + 4096 * n), cpu("head out of range")),
        (header + 8, long(first + 4096 + 8), cpu("head or commit inside a page")),
        (header + 8, long(first), cpu("head is the reader's page")),
        (header + 16, long(first - 8), cpu("commit out of range")),
        (header + 16, long(u64_at(header + 16) + 8), cpu("head or commit inside a page")),
        (header + 32, word(n as u32), cpu("order out of range")),
        (header + 36, word(u32_at(header + 40)), cpu("order is no permutation")),
        (newest + 8, long(4084), bad("commit is larger than the page")),
        (newest + 8, long(commit | 1 << 31), bad("commit is larger than the page")),
        (newest + 8, long(commit - 4), bad("an event ends behind the commit")),
        (newest + 8, long(4), bad("an event's second word is behind the commit")),
        (newest + 8, long(2), bad("an event begins behind the last word")),
        (newest, long(1), bad("its time is before that of the page before")),
        (event, word(29), bad("the end of the page inside the commit")),
        (event + 4, word(0), bad("a long event without a length")),
        (event + 4, word(4080), bad("an event ends behind the commit")),
        (discarded + 4, word(4080), bad("an event ends behind the commit")),
        (event, absolute(u64_at(newest) - 1), bad("an absolute time goes back")),
    ];
    for (at, bytes, why) in defects {
        let mut region = good.clone();
        region[at as usize..at as usize + bytes.len()].copy_from_slice(&bytes);
        assert_eq!(linux_accepts(&region, 2), Err(why), "{bytes:x?} at {at:#x}");
    }
    let cut = &good[..good.len() - 4096];
    assert_eq!(linux_accepts(cut, 2), Err(region("total size")));
    assert!(linux_accepts(&good, 3).is_err(), "more CPUs than the bank was made for");
    // The address at which the writer saw the sub-buffers does not matter.
    let mut moved = good.clone();
    for at in [header, header + 8, header + 16] {
        moved[at as usize..at as usize + 8].copy_from_slice(&long(u64_at(at) + 0x1234_5000));
    }
    assert_eq!(linux_accepts(&moved, 2), linux_accepts(&good, 2));
}
