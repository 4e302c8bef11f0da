//! Interrupts at any step: every access of a writer to its state, its clock and its memory is a place where one may come.
//!
//! A test arms an interrupt for the n-th such place; the handler runs there and then, nested, as on a core.

extern crate std;
use crate::point::Point;
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::vec::Vec;

/// What runs when the interrupt comes.
pub type Handler = Box<dyn FnMut()>;

std::thread_local! {
    static PASSED: Cell<u64> = const { Cell::new(0) };
    static UNSEEN: Cell<bool> = const { Cell::new(false) };
    static ARMED: RefCell<Vec<(u64, Option<Handler>)>> = const { RefCell::new(Vec::new()) };
}

/// Looks at something without passing a place where an interrupt may come.
pub fn unseen<R>(look: impl FnOnce() -> R) -> R {
    let before = UNSEEN.replace(true);
    let seen = look();
    UNSEEN.set(before);
    seen
}

/// A place where an interrupt may come.
pub fn point() {
    if UNSEEN.get() {
        return;
    }
    let here = PASSED.get();
    PASSED.set(here + 1);
    let due = ARMED.with(|armed| {
        let mut armed = armed.try_borrow_mut().ok()?;
        armed.iter_mut().find(|(at, handler)| *at == here && handler.is_some())?.1.take()
    });
    if let Some(mut handler) = due {
        handler();
    }
}

/// Runs `body` with interrupts armed: `(n, handler)` runs the handler at the n-th place from now, counted from 0 and
/// through the handlers themselves. Returns how many places there were.
pub fn with(interrupts: Vec<(u64, Handler)>, body: impl FnOnce()) -> u64 {
    PASSED.set(0);
    ARMED.with(|armed| *armed.borrow_mut() = interrupts.into_iter().map(|(at, h)| (at, Some(h))).collect());
    body();
    ARMED.with(|armed| armed.borrow_mut().clear());
    PASSED.get()
}

std::thread_local! {
    static NAMED: RefCell<Option<(Point, u64, Handler)>> = const { RefCell::new(None) };
}

/// A writer reaches a named point.
pub fn reach(point: Point) {
    let due = NAMED.with(|named| {
        let mut named = named.try_borrow_mut().ok()?;
        let (wanted, left, _) = named.as_mut()?;
        if *wanted != point {
            return None;
        }
        if *left > 0 {
            *left -= 1;
            return None;
        }
        named.take()
    });
    if let Some((_, _, mut handler)) = due {
        handler();
    }
}

/// Runs `handler` when the named point is reached for the n-th time from now, counted from 0.
pub fn at(point: Point, n: u64, handler: Handler) {
    NAMED.with(|named| *named.borrow_mut() = Some((point, n, handler)));
}
