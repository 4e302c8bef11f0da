//! Fakes of the seams: memory behind a cache that loses, a clock on a string, interrupts at any step.
//!
//! They model what a reset does to a machine: what was cleaned (and waited for) is in memory, what was only written is in
//! the cache and is lost unless its line happened to be evicted. The same model runs under QEMU as a plugin.

mod boot;
pub mod crash;
pub mod interrupt;
mod ram;
mod seeded;

pub use boot::boot;
pub use ram::{LINE, Operation, Ram};
pub use seeded::Seeded;

use crate::seams::Clock;
use core::cell::Cell;

/// A clock that advances by a set step each time it is read.
#[derive(Debug)]
pub struct StepClock {
    now: Cell<u64>,
    step: Cell<u64>,
}

impl StepClock {
    /// A clock at `now` that advances by `step` nanoseconds a reading.
    #[must_use]
    pub fn new(now: u64, step: u64) -> Self {
        Self { now: Cell::new(now), step: Cell::new(step) }
    }
    /// What it shows, without reading it as a writer does.
    #[must_use]
    pub fn peek(&self) -> u64 {
        self.now.get()
    }
    /// Goes back, as an unordered read of a counter may.
    pub fn turn_back(&self, ns: u64) {
        self.now.set(self.now.get() - ns);
    }
    /// Lets so many nanoseconds pass.
    pub fn pass(&self, ns: u64) {
        self.now.set(self.now.get() + ns);
    }
}

impl Clock for StepClock {
    fn now_ns(&self) -> u64 {
        interrupt::point();
        let now = self.now.get();
        self.now.set(now + self.step.get());
        now
    }
}
