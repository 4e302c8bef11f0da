//! Interrupts that record, at every single step of a writer: of an event, of a sub-buffer switch, of a commit; two deep;
//! and a core that dies at every single step.

mod support;
use ring::fake::{Ram, interrupt};
use ring::verdict::Verdict;
use ring::writer::Mode;
use std::cell::Cell;
use std::rc::Rc;
use support::*;

const SIZE: u64 = 128 << 10;

/// A writer that lives for ever, so that interrupt handlers can reach it.
fn machine() -> (&'static Ram, u32, &'static TestWriter<'static>) {
    let ram: &'static Ram = Box::leak(Box::new(Ram::new(SIZE)));
    let (header, bank) = boot(ram, 1, 1, BOOT_ID);
    let w: &'static TestWriter<'static> = Box::leak(Box::new(writer(ram, &header, bank, 0, Mode::default())));
    (ram, bank, w)
}

/// Fills the open sub-buffer until `left` more small events would not fit any more.
fn fill(w: &TestWriter<'_>, number: &Cell<u64>, until_sequence: u64, padding: usize) {
    while w.counters().sequence < until_sequence {
        w.record(&Numbered { number: number.get(), padding }).unwrap();
        number.set(number.get() + 1);
    }
}

/// Records `events` outer events with interrupts armed at the given steps; each interrupt records `nested` events of its own.
/// Every event must come back, once, in time order.
fn run(at: &[u64], prepare: u64, outer: u64, padding: usize, nested: u64) -> u64 {
    let (ram, bank, w) = machine();
    let number = Rc::new(Cell::new(0));
    fill(w, &number, prepare, padding);
    // Up to the edge of the sub-buffer, so that the armed events cross it.
    let mut armed: Vec<(u64, Box<dyn FnMut()>)> = vec![];
    for at in at {
        let number = number.clone();
        armed.push((
            *at,
            Box::new(move || {
                for _ in 0..nested {
                    let n = number.get();
                    number.set(n + 1);
                    w.record(&Numbered { number: n, padding: 3 }).unwrap();
                }
            }),
        ));
    }
    let points = interrupt::with(armed, || {
        for _ in 0..outer {
            let n = number.get();
            number.set(n + 1);
            w.record(&Numbered { number: n, padding }).unwrap();
        }
    });
    close(w);
    let (account, events) = find(&ram.persistent(), bank, 0);
    let mut numbers: Vec<u64> = events.iter().map(|e| e.0).collect();
    numbers.sort_unstable();
    let total = number.get();
    assert_eq!(numbers, (total - numbers.len() as u64..total).collect::<Vec<_>>(), "interrupted at {at:?}");
    assert!(events.iter().all(|(_, e)| e.verdict == Verdict::Good && e.time_is_certain), "interrupted at {at:?}");
    assert!(events.is_sorted_by_key(|(_, e)| e.time_ns), "times go back, interrupted at {at:?}");
    assert_eq!((account.attempted, account.damaged(), account.unfinished), (total, 0, 0), "interrupted at {at:?}");
    assert!(account.sum_holds());
    points
}

#[test]
fn one_interrupt_at_every_step_of_ordinary_events() {
    let points = run(&[], 1, 3, 5, 1);
    assert!(points > 60);
    for at in 0..points {
        run(&[at], 1, 3, 5, 1);
    }
}

#[test]
fn one_interrupt_at_every_step_of_a_sub_buffer_switch() {
    // Sub-buffers of 12 large events: the armed ones cross two switches.
    let points = run(&[], 2, 24, 300, 2);
    for at in 0..points {
        run(&[at], 2, 24, 300, 2);
    }
}

#[test]
fn interrupts_that_fill_several_sub_buffers_while_one_is_opened() {
    let points = run(&[], 1, 14, 300, 0);
    for at in (0..points).step_by(3) {
        run(&[at], 1, 14, 300, 400);
    }
}

#[test]
fn two_levels_deep_at_sampled_pairs_of_steps() {
    let points = run(&[], 2, 13, 300, 1);
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..3000 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let first = seed % points;
        // The second falls into the first one's handler, or shortly behind it.
        let second = first + 1 + (seed >> 32) % 60;
        run(&[first, second], 2, 13, 300, 1);
    }
}

#[test]
fn a_core_stopped_at_every_step_loses_only_what_was_in_flight() {
    stop_at_every_step(0);
}

#[test]
fn last_words_at_every_step_are_kept_also_where_they_fill_the_next_sub_buffer() {
    for last_words in [1, 2, 13] {
        stop_at_every_step(last_words);
    }
}

/// Stops a core at every step of events that cross a sub-buffer; the stop records so many events of its own first.
fn stop_at_every_step(last_words: u64) {
    let points = run(&[], 2, 13, 300, 1);
    for at in 0..points {
        let (ram, bank, w) = machine();
        let number = Rc::new(Cell::new(0));
        fill(w, &number, 2, 300);
        let stopped: Rc<Cell<Option<Vec<u8>>>> = Rc::default();
        let committed = Rc::new(Cell::new(0));
        let handler: Box<dyn FnMut()> = {
            let stopped = stopped.clone();
            Box::new(move || {
                for number in 0..last_words {
                    w.record(&Numbered { number: 1_000_000 + number, padding: 300 }).unwrap();
                }
                close(w);
                stopped.set(Some(ram.persistent()));
            })
        };
        let at_stop = Rc::new(Cell::new((0, 0)));
        interrupt::with(vec![(at, handler)], || {
            for _ in 0..13 {
                let n = number.get();
                number.set(n + 1);
                let before = number.get();
                let ok = w.record(&Numbered { number: n, padding: 300 }).is_ok();
                if stopped_now(&stopped) && at_stop.get().1 == 0 {
                    at_stop.set((before, 1));
                }
                if ok && at_stop.get().1 == 0 {
                    committed.set(number.get());
                }
            }
        });
        let region = stopped.take().expect("stopped");
        let (account, mut events) = find(&region, bank, 0);
        let words = events.iter().filter(|e| e.0 >= 1_000_000).count() as u64;
        assert_eq!(words, last_words, "stopped at {at}");
        events.retain(|e| e.0 < 1_000_000);
        let last = events.last().map_or(0, |e| e.0 + 1);
        assert!(last >= committed.get(), "stopped at {at}: {last} of {} committed", committed.get());
        assert!(events.iter().zip(events.iter().skip(1)).all(|(a, b)| a.0 + 1 == b.0), "stopped at {at}: a gap");
        assert!(account.unfinished <= 1 && account.damaged() == 0, "stopped at {at}: {account:?}");
        assert!(account.sum_holds(), "stopped at {at}: {account:?}");
    }
}

fn stopped_now(stopped: &Rc<Cell<Option<Vec<u8>>>>) -> bool {
    let value = stopped.take();
    let is = value.is_some();
    stopped.set(value);
    is
}

#[test]
fn nested_writers_that_come_round_are_refused_and_the_outer_event_stays() {
    let (ram, bank, w) = machine();
    let slot = w.reserve(EVENT_ID, 12).unwrap();
    let mut refused = 0;
    for number in 1..5000 {
        refused += u64::from(w.record(&Numbered { number, padding: 100 }).is_err());
    }
    assert!(refused > 0);
    use ring::writer::Event;
    Numbered { number: 0, padding: 0 }.write(&slot);
    w.commit(slot);
    close(w);
    let (account, events) = find(&ram.persistent(), bank, 0);
    assert_eq!(events[0].0, 0);
    assert_eq!(events.len() as u64, 5000 - refused);
    assert_eq!(account.refused[ring::writer::Refused::Overrun as usize], refused);
    assert!(account.sum_holds());
}
