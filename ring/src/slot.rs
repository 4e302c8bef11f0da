//! An event between its reserve and its commit: the claim on its place, into which its fields are written.

use crate::check::Crc32c;
use crate::event::Shape;
use crate::seams::{Memory, store_rest};
use core::cell::Cell;
use core::ops::Range;

/// The claim on an event's place, from reserve to commit or discard.
#[derive(Debug)]
#[must_use = "an event that is neither committed nor discarded stays unfinished"]
pub struct Slot<'w, M> {
    pub(crate) memory: &'w M,
    /// Offset of the event header in the region.
    pub(crate) header: u64,
    /// Offset of the fields in the region.
    pub(crate) fields: u64,
    /// Size of the fields in bytes.
    pub(crate) size: usize,
    pub(crate) shape: Shape,
    pub(crate) delta: u32,
    /// The check over everything before the event header.
    pub(crate) register: u32,
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
    #[inline(always)]
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

/// The check over a range of whole words as they stand in memory, going on from `register`.
#[inline(always)]
pub(crate) fn fold<M: Memory, C: Crc32c>(memory: &M, crc: C, register: u32, range: Range<u64>) -> u32 {
    let Range { start, end } = range;
    let words = (end - start) / 8;
    let register = crate::check::run(crc, register, words as usize, |i| memory.load_u64(start + 8 * i as u64));
    let at = start + 8 * words;
    if at < end { crc.u32(register, memory.load_u32(at)) } else { register }
}

/// Memory behind which an event's check is computed on the way. Words that are written in their order are folded in as
/// they pass; after one out of order, and for an event so long that lanes are faster, the check is taken over what stands
/// in memory.
#[derive(Debug)]
pub(crate) struct Folding<M, C> {
    /// A copy: what its stores may touch is not where it lies.
    memory: M,
    crc: C,
    /// The check over everything before the event.
    before: u32,
    /// Nothing is folded on the way: the event is so long that lanes over what stands in memory are faster.
    is_long: bool,
    register: Cell<u32>,
    /// Where the next word is expected; [`u64::MAX`] once one was out of order.
    next: Cell<u64>,
}

impl<M: Memory, C: Crc32c> Folding<M, C> {
    /// For an event that begins at `start`, behind what `register` stands for.
    #[inline(always)]
    pub(crate) fn new(memory: M, crc: C, register: u32, start: u64, shape: Shape) -> Self {
        let is_long = C::LANE > 0 && 4 * shape.words() as usize > 3 * C::LANE;
        Self { memory, crc, before: register, is_long, register: Cell::new(register), next: Cell::new(start) }
    }
    /// Writes the check.
    #[inline(always)]
    pub(crate) fn seal(&self, header: u64, shape: Shape) {
        let check = header + 4 * u64::from(shape.words() - 1);
        let mut register = self.register.get();
        if self.is_long || self.next.get() != check {
            register = fold(&self.memory, self.crc, self.before, header..check);
        }
        self.memory.store_u32(check, register);
    }
    /// Whether a word of `size` bytes is the next one.
    #[inline(always)]
    fn comes_next(&self, at: u64, size: u64) -> bool {
        if self.is_long {
            return false;
        }
        let is_next = self.next.get() == at;
        self.next.set(if is_next { at + size } else { u64::MAX });
        is_next
    }
}

impl<M: Memory, C: Crc32c> Memory for Folding<M, C> {
    #[inline(always)]
    fn load_u32(&self, at: u64) -> u32 {
        self.memory.load_u32(at)
    }
    #[inline(always)]
    fn load_u64(&self, at: u64) -> u64 {
        self.memory.load_u64(at)
    }
    #[inline(always)]
    fn store_u32(&self, at: u64, value: u32) {
        if self.comes_next(at, 4) {
            self.register.set(self.crc.u32(self.register.get(), value));
        }
        self.memory.store_u32(at, value);
    }
    #[inline(always)]
    fn store_u64(&self, at: u64, value: u64) {
        if self.comes_next(at, 8) {
            self.register.set(self.crc.u64(self.register.get(), value));
        }
        self.memory.store_u64(at, value);
    }
    #[inline(always)]
    fn store_bytes(&self, at: u64, bytes: &[u8]) {
        let (words, _) = bytes.as_chunks::<8>();
        let size = 8 * words.len() as u64;
        if self.comes_next(at, size) {
            let mut register = self.register.get();
            let mut to = at;
            for word in words {
                let word = self.memory.word(word);
                register = self.crc.u64(register, word);
                self.memory.store_u64(to, word);
                to += 8;
            }
            self.register.set(register);
        } else {
            self.memory.store_bytes(at, words.as_flattened());
        }
        store_rest(self, at + size, bytes);
    }
    #[inline(always)]
    fn word(&self, bytes: &[u8; 8]) -> u64 {
        self.memory.word(bytes)
    }
    #[inline(always)]
    fn publish_u64(&self, at: u64, value: u64) {
        self.memory.publish_u64(at, value);
    }
    fn address(&self, at: u64) -> u64 {
        self.memory.address(at)
    }
}
