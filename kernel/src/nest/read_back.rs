//! What must be in the ring after one event was recorded and interrupted: those events, each once, whole, in order.

use super::{Arrival, Trial, TrialNmi, link_address};
use crate::events::{IrqEntry, IrqExit, Tick, context};
use crate::record::all_data;
use core::fmt;
use core::ops::RangeInclusive;
use ring::recover::{Item, Recovered};
use ring::verdict::Verdict;
use ring::writer::Event;

/// The thread's.
pub(super) const PID: i32 = 1;

/// The data of the large event that a sub-buffer begins with, if so much room is to be left behind it.
pub(super) fn filler(room: usize) -> &'static [u8] {
    // The largest event leaves the eight bytes of a time record, which the first of a sub-buffer never has.
    &all_data()[..all_data().len() + 8 - room]
}

/// Data that only the event with this number has.
pub(super) fn data(number: u64) -> [u8; 56] {
    let mut data = [0; 56];
    for (i, byte) in data.iter_mut().enumerate() {
        *byte = (number >> (8 * (i % 3))) as u8 ^ i as u8;
    }
    data
}

/// The event that was interrupted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    /// Bytes of its fields: 16 are two words, 64 a number and copied data.
    pub(super) size: usize,
    pub(super) discarded: bool,
}

/// What must be there.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) number: u64,
    pub(super) outer: Outer,
    /// An NMI came, and upon this.
    pub(super) arrival: Option<Arrival>,
    /// The ordinary tick came.
    pub(super) irq: bool,
    /// The clock before all that and behind it.
    pub(super) ns: RangeInclusive<u64>,
    /// An event with the complementary number was recorded behind that: the clock before it and behind it.
    pub(super) next_ns: Option<RangeInclusive<u64>>,
}

/// Whose place is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The NMI's event.
    NmiFirst,
    /// The event of the thread.
    NmiLast,
}

/// Something that is not as it must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrong {
    what: &'static str,
    /// Sub-buffer and word.
    place: Option<(u64, u32)>,
}

impl Wrong {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, place: None }
    }
    fn at(what: &'static str, event: &Recovered<'_>) -> Self {
        Self { what, place: Some((event.sequence, event.word)) }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        match self.place {
            Some((sequence, word)) => write!(f, ", in sub-buffer {sequence} at word {word}"),
            None => Ok(()),
        }
    }
}

/// The reading.
pub(super) struct ReadBack {
    expected: Expected,
    /// Events so far.
    events: u64,
    /// Time of the last one.
    pub(super) time_ns: u64,
    /// Once both are there.
    pub(super) order: Option<Order>,
    outer: bool,
    nmi: bool,
    /// The event of the complementary number.
    next: bool,
    /// Events of the ordinary tick, and the nesting that all of them have.
    irq: u8,
    irq_nesting: u8,
}

impl ReadBack {
    /// Nothing is read; the last event before was at `time_ns`.
    pub(super) fn new(expected: Expected, time_ns: u64) -> Self {
        Self {
            expected,
            events: 0,
            time_ns,
            order: None,
            outer: false,
            nmi: false,
            next: false,
            irq: 0,
            irq_nesting: 0,
        }
    }

    /// Reads everything from the sub-buffer on that begins with the large event.
    pub(super) fn all<'a>(mut self, items: impl Iterator<Item = Item<'a>>) -> Result<Self, Wrong> {
        for item in items {
            match item {
                Item::Event(event) => self.event(&event).map_err(|what| Wrong::at(what, &event))?,
                Item::Hole(hole) => {
                    return Err(Wrong { what: "a hole", place: Some((hole.sequence, hole.from)) });
                }
            }
        }
        let irq_events = if self.expected.irq { 3 } else { 0 };
        if self.next != self.expected.next_ns.is_some() {
            return Err(Wrong::new("the event behind all that is missing"));
        }
        if !self.outer {
            return Err(Wrong::new("the interrupted event is missing"));
        }
        if self.nmi != self.expected.arrival.is_some() {
            return Err(Wrong::new("the NMI's event is missing"));
        }
        if self.irq != irq_events {
            return Err(Wrong::new("an event of the ordinary tick is missing"));
        }
        Ok(self)
    }

    fn event(&mut self, event: &Recovered<'_>) -> Result<(), &'static str> {
        if event.verdict != Verdict::Good {
            return Err("an event is not published");
        }
        if !event.time_is_certain || event.time_ns < self.time_ns {
            return Err("a time goes back, or is uncertain");
        }
        if self.next {
            return Err("an event behind the last");
        }
        self.time_ns = event.time_ns;
        self.events += 1;
        if self.events == 1 {
            return if event.id == Trial::ID { Ok(()) } else { Err("the large event is missing") };
        }
        let next = (!self.expected.number).to_le_bytes();
        self.next = event.id == Trial::ID && !event.discarded && event.fields.starts_with(&next);
        let ns = if self.next { self.expected.next_ns.as_ref() } else { Some(&self.expected.ns) };
        if !ns.is_some_and(|ns| ns.contains(&event.time_ns)) {
            return Err("a time is not that of the recording");
        }
        match event.id {
            Trial::ID if self.next => Ok(()),
            // The common header of a discarded event is overwritten.
            _ if event.discarded && self.expected.outer.discarded => self.outer(event),
            Trial::ID if !self.expected.outer.discarded => {
                if (event.flags, event.nesting, event.pid) != (0, 0, PID) {
                    return Err("the interrupted event's flags, nesting or pid are wrong");
                }
                self.outer(event)
            }
            TrialNmi::ID => self.nmi(event),
            IrqEntry::ID | Tick::ID | IrqExit::ID => self.irq(event),
            _ => Err("an event that nobody recorded"),
        }
    }

    fn outer(&mut self, event: &Recovered<'_>) -> Result<(), &'static str> {
        let number = self.expected.number;
        let (first, rest) = event.fields.split_first_chunk().ok_or("an event is too short")?;
        let whole = match self.expected.outer.size {
            16 => rest == (!number).to_le_bytes(),
            _ => rest == data(number),
        };
        if *first != number.to_le_bytes() || !whole {
            return Err("the interrupted event's bytes are wrong");
        }
        if core::mem::replace(&mut self.outer, true) {
            return Err("the interrupted event is there twice");
        }
        self.order = self.nmi.then_some(Order::NmiFirst);
        Ok(())
    }

    fn nmi(&mut self, event: &Recovered<'_>) -> Result<(), &'static str> {
        let Some(arrival) = self.expected.arrival else { return Err("an NMI's event, and none came") };
        let (first, rest) = event.fields.split_first_chunk().ok_or("an event is too short")?;
        if *first != self.expected.number.to_le_bytes() || rest != link_address(arrival.pc).to_le_bytes() {
            return Err("the NMI's event's bytes are wrong");
        }
        if u32::from(event.nesting) != arrival.open {
            return Err("the NMI's event's nesting is wrong");
        }
        // Within the ordinary handler that one's flag is there as well.
        let in_irq = if arrival.handlers > 0 { event.flags & context::HARD_IRQ } else { 0 };
        if (event.flags, event.pid) != (context::NMI | context::IRQS_OFF | in_irq, PID) {
            return Err("the NMI's event's flags or pid are wrong");
        }
        if core::mem::replace(&mut self.nmi, true) {
            return Err("the NMI's event is there twice");
        }
        if self.outer {
            self.order = Some(Order::NmiLast);
        }
        Ok(())
    }

    /// Entry, tick, exit, at one nesting.
    fn irq(&mut self, event: &Recovered<'_>) -> Result<(), &'static str> {
        const IN_ORDER: [u16; 3] = [IrqEntry::ID, Tick::ID, IrqExit::ID];
        if !self.expected.irq || IN_ORDER.get(usize::from(self.irq)) != Some(&event.id) {
            return Err("an event of the ordinary tick that is none, or in the wrong order");
        }
        if (event.flags, event.pid) != (context::HARD_IRQ | context::IRQS_OFF, PID) {
            return Err("the flags or the pid of the ordinary tick's event are wrong");
        }
        if event.nesting > 1 || (self.irq > 0 && event.nesting != self.irq_nesting) {
            return Err("the nesting of the ordinary tick's event is wrong");
        }
        self.irq += 1;
        self.irq_nesting = event.nesting;
        Ok(())
    }
}
