//! Following a core's ring while it is written: from another thread at full speed, and at every step of the writer.

mod support;
use ring::bank::{About, prepare};
use ring::check::Table;
use ring::fake::{Ram, StepClock, interrupt};
use ring::format::Geometry;
use ring::live::{Follower, Seen};
use ring::records::{BankRecord, BankState};
use ring::seams::{Memory, Observe, Persist};
use ring::writer::{Mode, Target, Writer};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use support::*;

const SIZE: u64 = 64 << 10;

/// Memory that two threads share, as two cores do.
struct Shared(Vec<AtomicU64>);

impl Shared {
    fn new(size: u64) -> Self {
        Self((0..size / 8).map(|_| AtomicU64::new(0)).collect())
    }
    fn word(&self, at: u64) -> &AtomicU32 {
        assert!(at.is_multiple_of(4));
        let half: *const AtomicU64 = &raw const self.0[at as usize / 8];
        // SAFETY: one half of a word that lives as long as `self`; both are atomics, whatever their size.
        unsafe { &*half.cast::<AtomicU32>().add(at as usize / 4 % 2) }
    }
}

impl Memory for Shared {
    fn load_u32(&self, at: u64) -> u32 {
        self.word(at).load(Ordering::Relaxed)
    }
    fn load_u64(&self, at: u64) -> u64 {
        u64::from(self.load_u32(at)) | u64::from(self.load_u32(at + 4)) << 32
    }
    fn store_u32(&self, at: u64, value: u32) {
        self.word(at).store(value, Ordering::Relaxed);
    }
    fn store_u64(&self, at: u64, value: u64) {
        self.store_u32(at, value as u32);
        self.store_u32(at + 4, (value >> 32) as u32);
    }
    fn publish_u64(&self, at: u64, value: u64) {
        self.0[at as usize / 8].store(value, Ordering::Release);
    }
    fn address(&self, at: u64) -> u64 {
        at
    }
}

impl Observe for Shared {
    fn observe_u32(&self, at: u64) -> u32 {
        self.word(at).load(Ordering::Relaxed)
    }
    fn observe_u64(&self, at: u64) -> u64 {
        self.0[at as usize / 8].load(Ordering::Acquire)
    }
}

/// A reader that now and then stands still in the middle of a copy until the writer has gone on by some events: how far
/// it is overtaken depends on no machine's speed.
struct Halting<'m> {
    memory: &'m Shared,
    written: &'m AtomicU64,
    done: &'m AtomicBool,
    random: Cell<u64>,
}

impl Observe for Halting<'_> {
    fn observe_u32(&self, at: u64) -> u32 {
        let random = self.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random.set(random);
        if (random >> 32).is_multiple_of(1500) {
            let until = self.written.load(Ordering::Relaxed) + (random >> 48) % 300;
            while self.written.load(Ordering::Relaxed) < until && !self.done.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        }
        self.memory.observe_u32(at)
    }
    fn observe_u64(&self, at: u64) -> u64 {
        self.memory.observe_u64(at)
    }
}

impl Persist for Shared {
    fn clean(&self, _: u64, _: u64) -> u64 {
        0
    }
    fn complete(&self) {}
}

fn target() -> Target {
    Target { geometry: Geometry::new(SIZE, 1, 1).unwrap(), bank: 0, boot_id: BOOT_ID, core: 0 }
}

/// What a follower has seen so far: the number of the next event, and how many were missed.
#[derive(Clone, Copy, Default)]
struct Way {
    next: u64,
    missed: u64,
    seen: u64,
}

impl Way {
    /// Takes one step; false when there is nothing new.
    fn step<M: Observe>(&mut self, follower: &mut Follower<M, Table>) -> bool {
        match follower.poll() {
            Some(Seen::Event(event)) => {
                assert_eq!(Numbered::number_of(&event), self.next, "not the next one");
                self.next += 1;
                self.seen += 1;
                true
            }
            Some(Seen::Missed(missed)) => {
                assert!(missed > 0);
                self.next += missed;
                self.missed += missed;
                true
            }
            None => false,
        }
    }
}

/// A thread records so many events, another follows them; `slowly` lets the writer lap it.
fn race(events: u64, slowly: bool) -> Way {
    let memory = Shared::new(SIZE);
    let target = target();
    let record = BankRecord { state: BankState::Recording, boot_id: BOOT_ID, boot: 1, cores: 1, ..Default::default() };
    prepare(&&memory, &target.geometry, 0, &record, &About { build: b"", board: b"", schema: b"" });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let w = Writer::new(&memory, StepClock::new(1000, 7), Table, target, Mode::default());
            for number in 0..events {
                w.record(&Numbered { number, padding: number as usize % 90 }).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let mut way = Way::default();
        let mut follower = Follower::new(&memory, Table, target);
        loop {
            let is_over = done.load(Ordering::Acquire);
            if !way.step(&mut follower) && is_over {
                break;
            }
            if slowly && way.seen % 100 == 99 {
                std::thread::sleep(std::time::Duration::from_micros(300));
            }
        }
        way
    })
}

#[test]
fn a_follower_on_another_thread_sees_every_event_once_or_counts_it_as_missed() {
    for slowly in [false, true] {
        let way = race(60_000, slowly);
        assert_eq!((way.next, way.seen + way.missed), (60_000, 60_000), "slowly: {slowly}");
        assert!(way.seen > 0 && (!slowly || way.missed > 0), "{} seen, {} missed", way.seen, way.missed);
    }
}

/// As many sub-buffers as these cores leave to each in the region.
fn target_of(cores: u32) -> Target {
    Target { geometry: Geometry::new(SIZE, 1, cores).unwrap(), ..target() }
}

#[test]
fn a_follower_that_is_overtaken_in_the_middle_of_its_copies_counts_exactly() {
    const EVENTS: u64 = 100_000;
    let cores = (1..8).filter(|cores| Geometry::new(SIZE, 1, *cores).is_ok()).max().unwrap();
    assert_eq!(target_of(cores).geometry.ring(), 2);
    for (target, seed) in (1..4).flat_map(|seed| [(target_of(1), seed), (target_of(cores), seed)]) {
        let memory = Shared::new(SIZE);
        let (done, written) = (AtomicBool::new(false), AtomicU64::new(0));
        let way = std::thread::scope(|scope| {
            scope.spawn(|| {
                let w = Writer::new(&memory, StepClock::new(1000, 7), Table, target, Mode::default());
                for number in 0..EVENTS {
                    w.record(&Numbered { number, padding: number as usize % 90 }).unwrap();
                    written.store(number + 1, Ordering::Relaxed);
                }
                done.store(true, Ordering::Release);
            });
            let reader = Halting { memory: &memory, written: &written, done: &done, random: Cell::new(seed) };
            let mut way = Way::default();
            let mut follower = Follower::new(&reader, Table, target);
            loop {
                let is_over = done.load(Ordering::Acquire);
                if !way.step(&mut follower) && is_over {
                    break;
                }
            }
            way
        });
        assert_eq!((way.next, way.seen + way.missed), (EVENTS, EVENTS));
        assert!(way.seen > 0 && way.missed > 0, "{} seen, {} missed", way.seen, way.missed);
    }
}

/// Records with a follower that looks at one step of the writer, and once more at the end.
fn look_at(at: u64, padding: usize, events: u64) -> u64 {
    let ram: &'static Ram = Box::leak(Box::new(Ram::new(SIZE)));
    let (header, bank) = boot(ram, 1, 1, BOOT_ID);
    let w: &'static TestWriter<'static> = Box::leak(Box::new(writer(ram, &header, bank, 0, Mode::default())));
    let number = Rc::new(Cell::new(0));
    let follower = Rc::new(RefCell::new((Follower::new(ram, Table, target()), Way::default())));
    let look = {
        let (follower, committed) = (follower.clone(), number.clone());
        move || {
            let (follower, way) = &mut *follower.borrow_mut();
            while way.step(follower) {}
            // All that is committed, and at most the one that is being published.
            assert!(way.next >= committed.get() && way.next <= committed.get() + 1);
        }
    };
    let mut again = look.clone();
    let handler: interrupt::Handler = Box::new(move || interrupt::unseen(&mut again));
    let points = interrupt::with(vec![(at, handler)], || {
        for n in 0..events {
            w.record(&Numbered { number: n, padding }).unwrap();
            number.set(n + 1);
        }
    });
    look();
    points
}

#[test]
fn a_follower_may_look_at_every_step_of_the_writer() {
    for (padding, events) in [(5, 4), (1500, 7), (3000, 40)] {
        let points = look_at(u64::MAX, padding, events);
        for at in 0..points.min(1500) {
            look_at(at, padding, events);
        }
    }
}

#[test]
fn a_damaged_event_costs_the_rest_of_its_sub_buffer_and_is_counted() {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 1, 1, BOOT_ID);
    let w = writer(&ram, &header, bank, 0, Mode::default());
    for number in 0..60 {
        w.record(&Numbered { number, padding: 300 }).unwrap();
    }
    let target = target();
    let event = target.geometry.bank(0) + target.geometry.subbuf(0, 1) + 16 + 2 * 332;
    ram.store_u32(event + 100, !ram.load_u32(event + 100));
    let mut follower = Follower::new(&ram, Table, target);
    let mut way = Way::default();
    while way.step(&mut follower) {}
    assert_eq!(way.next, 60);
    assert!((1..=12).contains(&way.missed), "{}", way.missed);
}

#[test]
fn a_follower_of_a_core_that_has_not_begun_waits_for_it() {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 1, 1, BOOT_ID);
    let mut follower = Follower::new(&ram, Table, target());
    assert_eq!(follower.poll(), None);
    let w = writer(&ram, &header, bank, 0, Mode::default());
    assert_eq!(follower.poll(), None);
    w.record(&Numbered { number: 0, padding: 0 }).unwrap();
    let mut way = Way::default();
    assert!(way.step(&mut follower) && !way.step(&mut follower));
    assert_eq!(way.seen, 1);
}
