//! The times of events that interrupt each other: each lies between the moments before and after its recording.

mod support;
use ring::fake::{Ram, interrupt};
use ring::seams::Clock;
use ring::writer::Mode;
use std::cell::RefCell;
use std::rc::Rc;
use support::*;

/// For each event by its number: the clock before and after it was recorded.
type Bounds = Rc<RefCell<Vec<(u64, u64)>>>;

fn record(w: &TestWriter<'_>, bounds: &Bounds, padding: usize) {
    let before = w.clock().now_ns();
    let number = bounds.borrow().len();
    bounds.borrow_mut().push((before, u64::MAX));
    w.record(&Numbered { number: number as u64, padding }).unwrap();
    let after = w.clock().now_ns();
    bounds.borrow_mut()[number].1 = after;
}

/// Records three events, with interrupts that record one each at the given steps. Returns how many steps there were.
fn run(at: &[u64]) -> u64 {
    let ram: &'static Ram = Box::leak(Box::new(Ram::new(64 << 10)));
    let (header, bank) = boot(ram, 1, 1, BOOT_ID);
    let w: &'static TestWriter<'static> = Box::leak(Box::new(writer(ram, &header, bank, 0, Mode::default())));
    let bounds = Bounds::default();
    record(w, &bounds, 0);
    let armed = at.iter().map(|at| {
        let bounds = bounds.clone();
        let handler: interrupt::Handler = Box::new(move || record(w, &bounds, 3));
        (*at, handler)
    });
    let points = interrupt::with(armed.collect(), || (0..3).for_each(|_| record(w, &bounds, 5)));
    close(w);
    let (_, events) = find(&ram.persistent(), bank, 0);
    assert_eq!(events.len(), bounds.borrow().len(), "interrupted at {at:?}");
    for (number, event) in events {
        let (before, after) = bounds.borrow()[number as usize];
        assert!(event.time_is_certain);
        let time = event.time_ns;
        assert!((before..=after).contains(&time), "interrupted at {at:?}: {number} at {time}, not {before}..{after}");
    }
    points
}

#[test]
fn two_interrupts_of_one_writer_at_every_pair_of_steps_keep_true_times() {
    let points = run(&[]);
    let handler = run(&[0]) - points;
    for first in 0..points {
        // The second one falls into the first one's handler, or into what is left of the interrupted writer.
        for second in first + 1..(first + handler + 40).min(points + handler) {
            run(&[first, second]);
        }
    }
}
