//! An event between its reserve and its commit: the claim on its place, into which its fields are written.

use crate::event::Shape;
use crate::position::Position;
use crate::seams::Memory;

/// The claim on an event's place, from reserve to commit or discard.
#[derive(Debug)]
#[must_use = "an event that is neither committed nor discarded stays unfinished"]
pub struct Slot<'w, M> {
    pub(crate) memory: &'w M,
    /// Position of the first word, time record included.
    pub(crate) position: Position,
    /// Offset of the first word in the region.
    pub(crate) start: u64,
    /// Bytes from the first word to the check.
    pub(crate) checked: u64,
    /// Offset of the fields in the region.
    pub(crate) fields: u64,
    /// Size of the fields in bytes.
    pub(crate) size: usize,
    pub(crate) shape: Shape,
    pub(crate) delta: u32,
}

impl<M: Memory> Slot<'_, M> {
    /// Writes a field at `at` bytes from the start of the fields; outside of them nothing is written.
    #[inline(always)]
    pub fn put_u64(&self, at: usize, value: u64) {
        debug_assert!(at + 8 <= self.size);
        if at + 8 <= self.size {
            self.memory.store_u64(self.fields + at as u64, value);
        }
    }
    /// Writes a field at `at` bytes from the start of the fields; outside of them nothing is written.
    #[inline(always)]
    pub fn put_u32(&self, at: usize, value: u32) {
        debug_assert!(at + 4 <= self.size);
        if at + 4 <= self.size {
            self.memory.store_u32(self.fields + at as u64, value);
        }
    }
    /// Writes bytes from `at` on, and zeros up to the end of the fields' last word; what does not fit is cut off.
    #[inline]
    pub fn put_bytes(&self, at: usize, bytes: &[u8]) {
        let room = self.size.saturating_sub(at);
        debug_assert!(bytes.len() <= room && at.is_multiple_of(4));
        self.memory.store_bytes(self.fields + at as u64, &bytes[..bytes.len().min(room)]);
    }
    /// Size of the fields, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}

/// Something that can be recorded.
pub trait Event {
    /// Its id ([`crate::format::id`]).
    const ID: u16;
    /// Bytes of its fields.
    fn size(&self) -> usize;
    /// Writes the fields, all of them: what is left out keeps bytes of an older event.
    fn write<M: Memory>(&self, slot: &Slot<'_, M>);
}
