//! The writer of one core: reserve, write in place, commit; safe when its own interrupts nest at any instruction.
//!
//! The whole claim of an event is one compare-and-swap of the [`Position`]. An interrupt that records between a writer's
//! reading of the position and its swap makes that swap fail, and the writer begins again; an interrupt after the swap
//! finds a consistent position and appends behind. What the claimer of a new sub-buffer still has to write (header, tag)
//! touches nothing that a nested writer uses.
//!
//! Two ways through: [`Writer::record`] takes the short one, for an event that interrupts no other, fits, and comes soon
//! after its predecessor; its check is computed while its fields are written. Everything else takes the general one
//! (`general`). Both leave the same bytes.
//!
//! Time: `stamp` is the time of the last event, and holds only while `stamp_at` names the very position behind that
//! event. Only the outermost writer relies on it: then nobody is in the middle of writing the two. A nested writer's event
//! carries its absolute time, and so does the one behind an event whose writer was interrupted before its stamp was
//! whole. So times in a sub-buffer never go back, and deltas are never relative to the wrong event.
//!
//! Publishing: only the outermost commit moves the commit word, past all that nested inside it. The word is a hint for
//! live readers and for Linux; what counts after a crash is each event's own check.

mod close;
mod general;

use crate::check::{Crc32c, seed};
use crate::event::{DELTA_BITS, Shape};
use crate::format::{COMMON_HEADER, Geometry};
use crate::linux::{self, SUBBUF_COMMIT, SUBBUF_SIZE};
use crate::local::Local;
use crate::point::{Point, reach};
use crate::position::{END_WORD, FIRST_WORD, Position};
use crate::seams::{Clock, Memory, Persist};
use crate::slot::{Folding, fold};

pub use crate::policy::{CleanAt, Mode, Refused, WhenFull};
pub use crate::slot::{Event, Slot};
pub use close::Closed;

/// How often a reserve begins again after interrupts that recorded. Each of them had to hit a window of a few instructions.
const TRIES: u32 = 64;

/// Levels that can nest: thread, interrupt, NMI, exception.
pub const LEVELS: u64 = 4;

/// What a writer remembers, outside the region. Lines of its own: only its core writes here.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct State {
    /// Not zero: refuse. The one word that another core may write, once.
    off: Local,
    /// How many levels are writing.
    depth: Local,
    /// Where the next event goes.
    position: Local,
    /// The position behind the event whose time `stamp` is.
    stamp_at: Local,
    /// Time of that event.
    stamp: Local,
    /// Where that event's sub-buffer begins in the region.
    stamp_base: Local,
    /// Everything before it is published: where the outermost writer began.
    published: Local,
    /// Flags, nesting and pid of the current context, as they stand in the common header.
    context: Local,
    /// A whole number of events reserved, at some sub-buffer's beginning not long ago: extends the position's count.
    reserved_base: Local,
    /// Sub-buffers before this sequence number have been written back.
    cleaned: Local,
    /// Refusals by cause.
    refused: [Local; 7],
}

/// Which ring a writer fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The region's places.
    pub geometry: Geometry,
    /// The bank of this boot.
    pub bank: u32,
    /// This boot's id.
    pub boot_id: u32,
    /// The core.
    pub core: u32,
}

/// An event that somebody wants to write.
#[derive(Clone, Copy)]
struct Asked {
    id: u16,
    /// Bytes of its fields.
    size: usize,
    shape: Shape,
    /// How many levels were writing before this one.
    depth: u64,
}

/// A place that has been claimed the short way.
#[derive(Clone, Copy)]
struct Claim {
    position: Position,
    /// Where its sub-buffer begins in the region.
    base: u64,
    /// Nanoseconds since the event before.
    delta: u32,
}

/// The writer of one core.
#[derive(Debug)]
pub struct Writer<M, T, C: Crc32c> {
    memory: M,
    clock: T,
    crc: C,
    /// For the short way: the check in single instructions. `None` where each event is cleaned, or the CPU has none.
    direct: Option<C::Direct>,
    state: State,
    /// Where the bank begins in the region.
    bank: u64,
    /// Where the ring's first sub-buffer begins in the region.
    ring_start: u64,
    ring: u64,
    /// 2^64 / `ring`, rounded up: division by multiplication.
    ring_inverse: u64,
    seed: u32,
    mode: Mode,
    target: Target,
}

impl<M: Memory + Persist + Copy, T: Clock, C: Crc32c> Writer<M, T, C> {
    /// A writer for a core's ring in a bank that [`crate::bank::prepare`] has made ready. It opens its first sub-buffer and
    /// records from now on.
    pub fn new(memory: M, clock: T, crc: C, target: Target, mode: Mode) -> Self {
        let bank = target.geometry.bank(target.bank);
        let ring = target.geometry.ring();
        let writer = Self {
            memory,
            clock,
            crc,
            direct: if mode.clean_at == CleanAt::Event { None } else { crc.direct() },
            state: State::default(),
            bank,
            ring_start: bank + target.geometry.subbuf(target.core, 0),
            ring,
            ring_inverse: u64::MAX / ring + 1,
            seed: seed(target.boot_id, target.core as u16),
            mode,
            target,
        };
        let first = Position::new(0, 0, FIRST_WORD);
        let now = writer.clock.now_ns();
        writer.open_subbuf(first, now, 0);
        writer.state.position.set(first.bits());
        writer.state.published.set(first.bits());
        writer.state.stamp.set(now);
        writer.state.stamp_base.set(writer.subbuf(0));
        writer.state.stamp_at.set(first.bits());
        writer.point_linux_at_oldest(0);
        writer.point_linux_at_newest(0);
        writer.memory.clean(writer.subbuf(0), SUBBUF_SIZE);
        writer.memory.clean(writer.cpu_header(), linux::CPU_HEADER);
        writer.memory.complete();
        writer
    }

    /// The core that this writer belongs to.
    #[must_use]
    pub fn core(&self) -> u32 {
        self.target.core
    }

    /// Says in which context this core's next events happen: Linux's flags byte and a pid. Returns the context before,
    /// for the way back.
    #[inline]
    pub fn enter(&self, flags: u8, pid: i32) -> u64 {
        let before = self.state.context.get();
        self.state.context.set(u64::from(flags) << 16 | u64::from(pid as u32) << 32);
        before
    }
    /// Adds flags to the context, as an interrupt does. Returns the context before, for [`Self::leave`].
    #[inline]
    pub fn enter_flags(&self, flags: u8) -> u64 {
        let before = self.state.context.get();
        self.state.context.set(before | u64::from(flags) << 16);
        before
    }
    /// Goes back to the context that `enter` returned.
    #[inline]
    pub fn leave(&self, before: u64) {
        self.state.context.set(before);
    }

    /// Records an event.
    ///
    /// # Errors
    /// [`Refused`], counted.
    #[inline(always)]
    pub fn record<E: Event>(&self, event: &E) -> Result<(), Refused> {
        let size = event.size();
        let Some(crc) = self.direct else { return self.record_generally(event) };
        let Some(shape) = Shape::of(size) else { return self.record_generally(event) };
        let Some(claim) = self.claim(shape) else { return self.record_generally(event) };
        let register = crc.u64(self.seed, claim.position.checked());
        let header = claim.base + claim.position.byte();
        let folding = Folding::new(self.memory, crc, register, header, shape);
        let slot = self.head(&folding, Asked { id: E::ID, size, shape, depth: 0 }, header, claim.delta);
        event.write(&slot);
        folding.seal(header, shape);
        reach(Point::Sealed);
        // Release: a live reader's acquire of the word then sees the events before it.
        let behind = claim.position.behind(shape.words());
        folding.publish_u64(claim.base + SUBBUF_COMMIT, behind.byte() - linux::SUBBUF_HEADER);
        reach(Point::Published);
        self.state.depth.set(0);
        reach(Point::Left);
        // An interrupt that recorded before the line above left its publishing to us.
        if self.state.position.get() != behind.bits() {
            self.publish_again(behind);
        }
        Ok(())
    }

    /// The short way to a place: nothing is interrupted, the predecessor's time is known and near, the event fits.
    /// `None`: nothing has changed, and the general way is to be taken.
    #[inline(always)]
    fn claim(&self, shape: Shape) -> Option<Claim> {
        if self.state.off.get() != 0 || self.state.depth.get() != 0 {
            return None;
        }
        let position = Position::from_bits(self.state.position.get());
        if self.state.stamp_at.get() != position.bits() || position.word() + shape.words() > END_WORD {
            return None;
        }
        let base = self.state.stamp_base.get();
        let stamp = self.state.stamp.get();
        let now = self.clock.now_ns();
        let delta = now.wrapping_sub(stamp);
        if delta >> DELTA_BITS != 0 {
            return None;
        }
        let behind = position.behind(shape.words());
        self.state.depth.set(1);
        self.state.published.set(position.bits());
        reach(Point::Entered);
        if !self.state.position.replace(position.bits(), behind.bits()) {
            // Interrupts that recorded since the level was taken left their publishing to us.
            self.finish();
            return None;
        }
        reach(Point::Claimed);
        self.state.stamp.set(now);
        self.state.stamp_at.set(behind.bits());
        Some(Claim { position, base, delta: delta as u32 })
    }

    /// Writes what stands before the fields of a claimed event: event header and common header.
    #[inline(always)]
    fn head<'s, W: Memory>(&self, memory: &'s W, asked: Asked, header: u64, delta: u32) -> Slot<'s, W> {
        let Asked { id, size, shape, depth } = asked;
        let mut data = header + 4;
        memory.store_u32(header, shape.header(delta));
        if shape.is_long() {
            memory.store_u32(data, shape.length());
            data += 4;
        }
        memory.store_u64(data, self.state.context.get() | u64::from(id) | depth << 24);
        reach(Point::Headed);
        Slot { memory, header, fields: data + COMMON_HEADER as u64, size, shape, delta, register: 0 }
    }

    #[cold]
    #[inline(never)]
    fn record_generally<E: Event>(&self, event: &E) -> Result<(), Refused> {
        let slot = self.reserve(E::ID, event.size())?;
        event.write(&slot);
        self.commit(slot);
        Ok(())
    }

    /// Commits an event: it is checked, and published as soon as nothing that it interrupted is still unwritten.
    pub fn commit(&self, slot: Slot<'_, M>) {
        self.seal(&slot);
        self.finish();
    }

    /// Gives an event up. Its place stays, marked as discarded, and is counted.
    pub fn discard(&self, slot: Slot<'_, M>) {
        let [word, length, claimed] = slot.shape.discarded(slot.delta);
        self.memory.store_u32(slot.header + 8, claimed);
        self.memory.store_u32(slot.header + 4, length);
        self.memory.store_u32(slot.header, word);
        self.seal(&slot);
        self.state.refused[Refused::Discarded as usize].add(1);
        self.finish();
    }

    /// Writes the check, over the bytes as they stand in memory.
    fn seal(&self, slot: &Slot<'_, M>) {
        let check = slot.header + 4 * u64::from(slot.shape.words() - 1);
        let range = slot.header..check;
        let register = match self.crc.direct() {
            Some(crc) => fold(&self.memory, crc, slot.register, range),
            None => fold(&self.memory, self.crc, slot.register, range),
        };
        self.memory.store_u32(check, register);
        reach(Point::Sealed);
    }

    /// Moves the commit word to a position. Release: a live reader's acquire of the word then sees the events before it.
    fn publish(&self, position: Position) {
        self.memory
            .publish_u64(self.subbuf(position.sequence()) + SUBBUF_COMMIT, position.byte() - linux::SUBBUF_HEADER);
    }

    #[cold]
    #[inline(never)]
    fn refuse(&self, cause: Refused) -> Refused {
        self.state.refused[cause as usize].add(1);
        cause
    }

    fn cpu_header(&self) -> u64 {
        self.bank + linux::cpu_offset(u64::from(self.target.core), self.target.geometry.subbufs)
    }

    /// Where a sub-buffer begins in the region. The remainder by multiplication: exact while sequence * ring < 2^64.
    fn subbuf(&self, sequence: u64) -> u64 {
        let lap = ((u128::from(sequence) * u128::from(self.ring_inverse)) >> 64) as u64;
        self.ring_start + (sequence - lap * self.ring) * SUBBUF_SIZE
    }

    /// The memory behind this writer.
    pub fn memory(&self) -> &M {
        &self.memory
    }
    /// The clock behind this writer.
    pub fn clock(&self) -> &T {
        &self.clock
    }
}
