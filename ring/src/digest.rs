//! A number for all events that a core left, so that two who recovered them on their own can compare.

use crate::check::Crc32c;
use crate::recover::Recovered;

/// Takes in one event after the other, in the order of [`crate::recover::CoreRing::events`].
#[derive(Clone, Copy, Debug)]
pub struct Digest<C> {
    crc: C,
    register: u32,
    events: u64,
}

impl<C: Crc32c> Digest<C> {
    /// Of no events.
    #[must_use]
    pub fn new(crc: C) -> Self {
        Self { crc, register: !0, events: 0 }
    }

    /// Takes in an event: its place (sequence above ten bits of word), its common header, its fields.
    pub fn add(&mut self, event: &Recovered<'_>) {
        self.events += 1;
        let head = u64::from(event.id)
            | u64::from(event.flags) << 16
            | u64::from(event.nesting) << 24
            | u64::from(event.pid as u32) << 32;
        let place = event.sequence << 10 | u64::from(event.word);
        self.register = self.crc.u64(self.crc.u64(self.register, place), head);
        // Whole words, as recovery hands them out.
        for word in event.fields.chunks_exact(4) {
            self.register = self.crc.u32(self.register, u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        }
    }

    /// The number: a CRC-32C register.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.register
    }

    /// Events so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }
}
