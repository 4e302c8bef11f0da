//! The ring's concurrency in every order: `RUSTFLAGS="--cfg loom" cargo test --target host-tuple -p model`.
//!
//! What is modelled: each word of the ring by which two cores can disagree (commit words, the tags' numbers, counts and
//! checks, each event's first and last word of fields and its check), and all of a writer's state, are atomics of loom:
//! a load may see any value that the memory orders allow, and cores are interleaved at each of them. What is not: all
//! other words are seen as they are, at once. Those of events hold the same in all events of a model; a reader looks at
//! those of a tag only behind one of the words above. So of every event and tag a reader may see any mixture of laps, but
//! not every single word of it may be old. A core is interrupted by others at most twice in an order.
#![cfg_attr(not(loom), allow(missing_docs, reason = "without the models this file is empty"))]
#![cfg(loom)]

#[path = "loom/region.rs"]
#[allow(unreachable_pub, reason = "a module of this test")]
mod region;

use loom::sync::Arc;
use loom::thread;
use region::{Believing, Marked, Orders, PER_SUBBUF, Prepared, REGION, Shared, Ticks};
use ring::check::{Crc32c, Table};
use ring::live::{Follower, Seen};
use ring::point::Point;
use ring::writer::{CleanAt, Mode, Refused, Writer};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tries every order in which at most `preemptions` times a core is interrupted by another; says how many those were.
fn model(name: &str, preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let tried = std::sync::Arc::new(AtomicU64::new(0));
    let count = tried.clone();
    let begin = std::time::Instant::now();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        body();
    });
    println!("{name}: {} orders in {:?}", tried.load(Ordering::Relaxed), begin.elapsed());
}

/// A bank that nobody has recorded into.
static EMPTY: OnceLock<Prepared> = OnceLock::new();

/// Makes ready what a model begins with: apart from it, but under loom, since a writer's state is loom's.
fn prepared(at: &'static OnceLock<Prepared>, make: fn() -> Prepared) -> &'static Prepared {
    loom::model(move || {
        at.get_or_init(make);
    });
    at.get().expect("made ready")
}

/// What a reader is told, checked against what a writer wrote.
#[derive(Default)]
struct Told {
    next: u64,
    events: u64,
    missed: u64,
}

impl Told {
    /// Asks once. Whether anything was told.
    fn ask<C: Crc32c>(&mut self, follower: &mut Follower<Shared, C>) -> bool {
        match follower.poll() {
            None => return false,
            Some(Seen::Missed(missed)) => {
                self.next += missed;
                self.missed += missed;
            }
            Some(Seen::Event(event)) => {
                assert_eq!(Marked::number_of(&event), Ok(self.next), "not the next event");
                assert_eq!(event.sequence, self.next / PER_SUBBUF);
                self.next += 1;
                self.events += 1;
            }
        }
        true
    }
}

/// How far a writer is when something else begins, in events.
#[derive(Clone, Copy)]
struct Plan {
    /// The reader has come so far, alone.
    told: u32,
    /// The writer has come so far, alone.
    begun: u32,
    /// So far it comes meanwhile,
    all: u32,
    /// and so often the reader asks meanwhile.
    asked: u32,
}

/// One core records while another reads. When nothing more is written, the other asks on until nothing is new.
fn follows<C: Crc32c + Send + 'static>(crc: C, image: &Prepared, orders: Orders, plan: Plan) -> Told {
    let memory = Shared::new(&REGION, orders, image);
    let writer = Writer::new(memory, Ticks::new(0), crc, image.target, Mode::default());
    let record = |writer: &Writer<_, _, _>, number| assert_eq!(writer.record(&Marked(number)), Ok(()));
    let mut follower = Follower::new(memory, crc, image.target);
    let mut told = Told::default();
    for number in 0..plan.told {
        record(&writer, number);
        assert!(told.ask(&mut follower));
    }
    (plan.told..plan.begun).for_each(|number| record(&writer, number));
    let core = thread::spawn(move || (plan.begun..plan.all).for_each(|number| record(&writer, number)));
    for _ in 0..plan.asked {
        told.ask(&mut follower);
    }
    core.join().expect("the writer");
    while told.ask(&mut follower) {}
    assert_eq!(told.next, u64::from(plan.all), "not all was told or missed");
    assert_eq!(told.next, told.events + told.missed);
    told
}

/// Two sub-buffers, none of them used again, on top of noise that looks like committed events; nobody checks anything.
fn by_order_alone(name: &str, orders: Orders) {
    static NOISE: OnceLock<Prepared> = OnceLock::new();
    let image = prepared(&NOISE, || Prepared::noise(Believing));
    model(name, 2, move || {
        let told = follows(Believing, image, orders, Plan { told: 1, begun: 1, all: 3, asked: 3 });
        assert_eq!(told.missed, 0);
    });
}

#[test]
fn a_reader_whom_nobody_overtakes_needs_no_check() {
    by_order_alone("no check", Orders::default());
}

#[test]
#[should_panic(expected = "not the next event")]
fn without_release_it_reads_what_was_there_before() {
    by_order_alone("no release", Orders { publish: Ordering::Relaxed, ..Orders::default() });
}

#[test]
#[should_panic(expected = "not the next event")]
fn without_acquire_it_reads_what_was_there_before() {
    by_order_alone("no acquire", Orders { observe: Ordering::Relaxed, ..Orders::default() });
}

/// The reader wants event 1; the writer is about to put events 4 and 5 where events 0 and 1 stand. Returns in how many
/// orders the reader was overtaken, and in how many it was not.
fn overtaken<C: Crc32c + Send + Sync + 'static>(name: &str, crc: C) -> [u64; 2] {
    let image = prepared(&EMPTY, Prepared::empty);
    let orders = std::sync::Arc::new([0, 0].map(AtomicU64::new));
    let count = orders.clone();
    model(name, 2, move || {
        let told = follows(crc, image, Orders::default(), Plan { told: 1, begun: 4, all: 6, asked: 2 });
        count[usize::from(told.missed == 0)].fetch_add(1, Ordering::Relaxed);
    });
    orders.each_ref().map(|count| count.load(Ordering::Relaxed))
}

#[test]
fn an_overtaken_reader_is_told_how_many_it_missed_and_nothing_of_two_laps() {
    let orders = overtaken("laps", Table);
    assert!(orders.iter().all(|count| *count > 0), "{orders:?}");
}

#[test]
#[should_panic(expected = "not the next event")]
fn without_the_check_an_overtaken_reader_takes_one_lap_for_the_other() {
    overtaken("laps, no check", Believing);
}

/// An interrupt records between the claim of a new sub-buffer and its opening: its event lies over the one that the
/// reader wants before anything says that the old lap is gone. The second look is fooled on any machine.
fn overtaken_by_an_interrupt<C: Crc32c + Send + Sync + 'static>(name: &'static str, crc: C) {
    let image = prepared(&EMPTY, Prepared::empty);
    model(name, 2, move || {
        let memory = Shared::new(&REGION, Orders::default(), image);
        let writer = Arc::new(Writer::new(memory, Ticks::new(0), crc, image.target, Mode::default()));
        let mut follower = Follower::new(memory, crc, image.target);
        let mut told = Told::default();
        for number in 0..4 {
            assert_eq!(writer.record(&Marked(number)), Ok(()));
            assert!(number > 0 || told.ask(&mut follower));
        }
        let core = thread::spawn(move || {
            let nested = writer.clone();
            let interrupt = move || assert_eq!(nested.record(&Marked(5)), Ok(()));
            ring::fake::interrupt::at(Point::SwitchClaimed, 0, Box::new(interrupt));
            assert_eq!(writer.record(&Marked(4)), Ok(()));
        });
        told.ask(&mut follower);
        core.join().expect("the writer");
        while told.ask(&mut follower) {}
        assert_eq!(told.next, 6, "not all was told or missed");
    });
}

#[test]
fn an_event_under_that_of_an_interrupt_is_missed_and_counted() {
    overtaken_by_an_interrupt("interrupt", Table);
}

#[test]
#[should_panic(expected = "left: ")]
fn without_the_check_an_event_under_that_of_an_interrupt_is_told_as_if_it_were_whole() {
    overtaken_by_an_interrupt("interrupt, no check", Believing);
}

/// One core records; another closes its ring in the middle of whatever it does, since it did not answer. It goes on.
fn closed_by_another(name: &str, clean_at: CleanAt) {
    let image = prepared(&EMPTY, Prepared::empty);
    let refused_in_all = std::sync::Arc::new(AtomicU64::new(0));
    let refusals = refused_in_all.clone();
    model(name, 2, move || {
        let memory = Shared::new(&REGION, Orders::default(), image).of_several();
        let mode = Mode { clean_at, ..Mode::default() };
        let writer = Arc::new(Writer::new(memory, Ticks::new(7), Table, image.target, mode));
        assert_eq!(writer.record(&Marked(0)), Ok(()));
        let done = std::sync::Arc::new(AtomicU64::new(1));
        let (writing, doing) = (writer.clone(), done.clone());
        let core = thread::spawn(move || {
            [1, 2, 3].map(|number| {
                let result = writing.record(&Marked(number));
                doing.fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
                result
            })
        });
        writer.close_for_another();
        // What the cores see now is what a clean of the cache leaves in memory.
        let (done, at_close) = (done.load(Ordering::Relaxed), memory.bytes());
        let results = core.join().expect("the writer");

        let recorded = 1 + results.iter().filter(|result| result.is_ok()).count() as u64;
        let refused = results.iter().filter(|result| **result == Err(Refused::Stopped)).count() as u64;
        assert_eq!(recorded + refused, 4, "refused for another cause: {results:?}");
        assert!(results.is_sorted_by_key(|result| result.is_err()), "records again: {results:?}");
        assert_eq!(u64::from(writer.counters().refused[Refused::Stopped as usize]), refused);
        refusals.fetch_add(refused, Ordering::Relaxed);

        let (numbers, account) = image.recover(&at_close);
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
        assert!((done..=recorded).contains(&(numbers.len() as u64)), "{numbers:?} of {done} to {recorded}");
        assert!(account.sum_holds() && account.attempted <= 4, "{account:?}");
        assert_eq!(account.damaged(), 0, "{account:?}");

        let (numbers, account) = image.recover(&memory.bytes());
        assert!(numbers.iter().copied().eq(0..recorded), "{numbers:?} of {recorded}");
        assert!(account.sum_holds() && account.recovered == recorded && account.attempted <= 4, "{account:?}");
        assert_eq!(account.damaged(), 0, "{account:?}");
    });
    assert!(refused_in_all.load(Ordering::Relaxed) > 0, "no order in which the stop was seen");
}

#[test]
fn a_core_whose_ring_another_closes_loses_nothing_and_invents_nothing() {
    closed_by_another("close", CleanAt::Panic);
}

#[test]
fn the_same_while_it_cleans_its_sub_buffers_itself() {
    closed_by_another("close, cleaning", CleanAt::SubBuffer);
}
