//! The writer of one core: reserve, write in place, commit; safe when its own interrupts nest at any instruction.
//!
//! The whole claim of an event is one compare-and-swap of the [`Position`]. An interrupt that records between a writer's
//! reading of the position and its swap makes that swap fail, and the writer begins again; an interrupt after the swap
//! finds a consistent position and appends behind. What the claimer of a new sub-buffer still has to write (header, tag)
//! touches nothing that a nested writer uses.
//!
//! Time: `stamp` is the time of the last event, and holds only while `stamp_at` names the very position behind that
//! event. A writer that was interrupted between its swap and its stamp leaves the two apart, and whoever comes next writes
//! an absolute time record. So times in a sub-buffer never go back, and deltas are never relative to the wrong event.
//!
//! Publishing: only the outermost commit moves the commit word, past all that nested inside it. The word is a hint for
//! live readers and for Linux; what counts after a crash is each event's own check.

use crate::check::{Crc32c, seed};
use crate::event::{self, DELTA_BITS, END_OF_DATA, Frame, Shape, TIME_WORDS};
use crate::format::{COMMON_HEADER, DATA_END, Geometry, domain, tag, tail_line};
use crate::line::LineSeed;
use crate::linux::{self, SUBBUF_COMMIT, SUBBUF_SIZE, SUBBUF_TIME};
use crate::local::Local;
use crate::point::{Point, reach};
use crate::position::{END_WORD, FIRST_WORD, Position, SEQUENCE_MAX};
use crate::records::Counters;
use crate::scan::tag_check;
use crate::seams::{Clock, Memory, Persist};

pub use crate::policy::{CleanAt, Mode, Refused, WhenFull};
pub use crate::slot::{Event, Slot};

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
    /// Everything before it is published.
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

/// What a core did in its last moments, for the panic path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Cache lines begun to be written back.
    pub lines: u64,
    /// Events that were reserved and not committed.
    pub in_flight: u32,
    /// Events reserved in all.
    pub reserved: u64,
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

/// A place that has been claimed for it.
#[derive(Clone, Copy)]
struct Claim {
    position: Position,
    /// The time record that stands before the event, if one must.
    record: Option<u64>,
    /// Nanoseconds since the event before; 0 with a time record.
    delta: u32,
}

/// The writer of one core.
#[derive(Debug)]
pub struct Writer<M, T, C> {
    memory: M,
    clock: T,
    crc: C,
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

impl<M: Memory + Persist, T: Clock, C: Crc32c> Writer<M, T, C> {
    /// A writer for a core's ring in a bank that [`crate::bank::prepare`] has made ready. It opens its first sub-buffer and
    /// records from now on.
    pub fn new(memory: M, clock: T, crc: C, target: Target, mode: Mode) -> Self {
        let bank = target.geometry.bank(target.bank);
        let ring = target.geometry.ring();
        let writer = Self {
            memory,
            clock,
            crc,
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
        writer.state.stamp_at.set(first.bits());
        writer.point_linux_at(0);
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
        let slot = self.reserve(E::ID, event.size())?;
        event.write(&slot);
        self.commit(slot);
        Ok(())
    }

    /// Claims the place for an event with `size` bytes of fields. The fields' last word, if `size` is no multiple of 4,
    /// must be written whole ([`Slot::put_bytes`] does).
    ///
    /// # Errors
    /// [`Refused`], counted.
    #[inline(always)]
    pub fn reserve(&self, id: u16, size: usize) -> Result<Slot<'_, M>, Refused> {
        let Some(shape) = Shape::of(size) else { return Err(self.refuse(Refused::TooLarge)) };
        if self.state.off.get() != 0 {
            return Err(self.refuse(Refused::Stopped));
        }
        let depth = self.state.depth.get();
        if depth >= LEVELS {
            return Err(self.refuse(Refused::Nested));
        }
        self.state.depth.set(depth + 1);
        reach(Point::Entered);
        let asked = Asked { id, size, shape, depth };
        match self.claim(shape) {
            Some(claim) => Ok(self.fill(asked, claim)),
            None => self.reserve_slow(asked),
        }
    }

    /// Writes what stands before the fields of a claimed event: time record, event header, common header.
    #[inline(always)]
    fn fill(&self, asked: Asked, claim: Claim) -> Slot<'_, M> {
        let Asked { id, size, shape, depth } = asked;
        let Claim { position, record, delta } = claim;
        let memory = &self.memory;
        let start = self.place(position);
        let mut header = start;
        if let Some(record) = record {
            memory.store_u64(start, record);
            header += u64::from(TIME_WORDS) * 4;
        }
        let mut data = header + 4;
        memory.store_u32(header, shape.header(delta));
        if shape.is_long() {
            memory.store_u32(data, shape.length());
            data += 4;
        }
        memory.store_u64(data, self.state.context.get() | u64::from(id) | depth << 24);
        reach(Point::Headed);
        let checked = data + (COMMON_HEADER + size.next_multiple_of(4)) as u64 - start;
        Slot { memory, position, start, checked, fields: data + COMMON_HEADER as u64, size, shape, delta }
    }

    /// The common case: the predecessor's time is known, the delta is small, the event fits.
    #[inline(always)]
    fn claim(&self, shape: Shape) -> Option<Claim> {
        let position = Position::from_bits(self.state.position.get());
        let stamp_at = self.state.stamp_at.get();
        let stamp = self.state.stamp.get();
        let now = self.clock.now_ns();
        let delta = now.wrapping_sub(stamp);
        let fits = position.word() + shape.words() <= END_WORD;
        if stamp_at != position.bits() || delta >> DELTA_BITS != 0 || !fits {
            return None;
        }
        let behind = position.behind(shape.words());
        if !self.state.position.replace(position.bits(), behind.bits()) {
            return None;
        }
        reach(Point::Claimed);
        self.state.stamp.set(now);
        self.state.stamp_at.set(behind.bits());
        Some(Claim { position, record: None, delta: delta as u32 })
    }

    /// Everything else: time records, new sub-buffers, interrupted claims.
    #[cold]
    #[inline(never)]
    fn reserve_slow(&self, asked: Asked) -> Result<Slot<'_, M>, Refused> {
        let Asked { shape, depth, .. } = asked;
        for _ in 0..TRIES {
            let position = Position::from_bits(self.state.position.get());
            let known = self.state.stamp_at.get() == position.bits();
            let stamp = self.state.stamp.get();
            // Unordered counter reads may be a tick early; a time never goes back.
            let now = self.clock.now_ns().max(stamp);
            let delta = now - stamp;
            let record = match known {
                true if delta >> DELTA_BITS == 0 => None,
                true => Some(event::extend(delta)),
                false => Some(event::absolute(now)),
            };
            let words = shape.words() + if record.is_some() { TIME_WORDS } else { 0 };
            if position.word() + words <= END_WORD {
                let behind = position.behind(words);
                if !self.state.position.replace(position.bits(), behind.bits()) {
                    continue;
                }
                reach(Point::Claimed);
                self.state.stamp.set(now);
                self.state.stamp_at.set(behind.bits());
                let delta = if record.is_some() { 0 } else { delta as u32 };
                return Ok(self.fill(asked, Claim { position, record, delta }));
            }
            match self.claim_next(position, shape, now, depth) {
                Ok(Some(position)) => return Ok(self.fill(asked, Claim { position, record: None, delta: 0 })),
                Ok(None) => {}
                Err(cause) => {
                    self.state.depth.set(depth);
                    return Err(self.refuse(cause));
                }
            }
        }
        self.state.depth.set(depth);
        Err(self.refuse(Refused::Interrupted))
    }

    /// Claims the next sub-buffer together with its first event, and writes its header and tag. `None`: interrupted before
    /// the claim.
    fn claim_next(&self, position: Position, shape: Shape, now: u64, depth: u64) -> Result<Option<Position>, Refused> {
        let sequence = position.sequence() + 1;
        if sequence > SEQUENCE_MAX || (self.mode.when_full == WhenFull::Drop && sequence >= self.ring) {
            return Err(Refused::Full);
        }
        // The outermost writer's events begin where it last published; its sub-buffer must stay.
        let published = Position::from_bits(self.state.published.get());
        if depth > 0 && sequence - published.sequence() >= self.ring {
            return Err(Refused::Overrun);
        }
        let first = Position::new(u64::from(position.count()), sequence, FIRST_WORD);
        let behind = first.behind(shape.words());
        if !self.state.position.replace(position.bits(), behind.bits()) {
            return Ok(None);
        }
        reach(Point::SwitchClaimed);
        self.state.stamp.set(now);
        self.state.stamp_at.set(behind.bits());
        // Ours alone now: the rest of the old sub-buffer, header and tag of the new one.
        if position.word() < END_WORD {
            self.memory.store_u32(self.place(position), END_OF_DATA);
        }
        reach(Point::Ended);
        let reserved = first.whole_count(self.state.reserved_base.get());
        self.carry_count(reserved);
        self.open_subbuf(first, now, reserved);
        reach(Point::Opened);
        Ok(Some(first))
    }

    /// Commits an event: it is checked, and published as soon as nothing that it interrupted is still unwritten.
    #[inline(always)]
    pub fn commit(&self, slot: Slot<'_, M>) {
        self.seal(&slot);
        self.finish();
    }

    /// Gives an event up. Its place stays, marked as discarded, and is counted.
    pub fn discard(&self, slot: Slot<'_, M>) {
        let header = slot.fields - COMMON_HEADER as u64 - 4 - if slot.shape.is_long() { 4 } else { 0 };
        let (word, length) = slot.shape.discarded(slot.delta);
        self.memory.store_u32(header + 4, length);
        self.memory.store_u32(header, word);
        self.seal(&slot);
        self.state.refused[Refused::Discarded as usize].add(1);
        self.finish();
    }

    /// Writes the check.
    #[inline(always)]
    fn seal(&self, slot: &Slot<'_, M>) {
        let mut register = self.crc.u64(self.seed, slot.position.checked());
        let end = slot.start + slot.checked;
        let mut at = slot.start;
        // An event's size is a multiple of 4: at most one odd word, taken first, like the event header before its data.
        if !slot.checked.is_multiple_of(8) {
            register = self.crc.u32(register, self.memory.load_u32(at));
            at += 4;
        }
        while at < end {
            register = self.crc.u64(register, self.memory.load_u64(at));
            at += 8;
        }
        self.memory.store_u32(end, register);
        reach(Point::Sealed);
    }

    /// Leaves this level; the outermost one publishes.
    #[inline(always)]
    fn finish(&self) {
        let depth = self.state.depth.get();
        if depth > 1 {
            self.state.depth.set(depth - 1);
            return;
        }
        for _ in 0..TRIES {
            let position = Position::from_bits(self.state.position.get());
            let published = Position::from_bits(self.state.published.get());
            if position.sequence() == published.sequence() && self.mode.clean_at != CleanAt::Event {
                self.publish(position);
            } else {
                self.publish_far(published, position);
            }
            reach(Point::Published);
            self.state.published.set(position.bits());
            self.state.depth.set(0);
            reach(Point::Left);
            // An interrupt that recorded before the line above left its publishing to us.
            if self.state.position.get() == position.bits() {
                return;
            }
            self.state.depth.set(1);
        }
        self.state.depth.set(0);
    }

    /// Moves the commit word. Release: a live reader's acquire of the word then sees the events before it.
    #[inline(always)]
    fn publish(&self, position: Position) {
        self.memory.publish_u64(
            self.place(position) - position.byte() + SUBBUF_COMMIT,
            position.byte() - linux::SUBBUF_HEADER,
        );
    }

    /// Publishes over the end of sub-buffers, and writes back what the mode promises.
    #[cold]
    #[inline(never)]
    fn publish_far(&self, published: Position, position: Position) {
        for sequence in published.sequence()..position.sequence() {
            let from = if sequence == published.sequence() { published.word() } else { FIRST_WORD };
            let end = self.end_of_data(sequence, from);
            self.publish(Position::new(0, sequence, end));
        }
        self.publish(position);
        if position.sequence() != published.sequence() {
            self.point_linux_at(position.sequence());
        }
        match self.mode.clean_at {
            CleanAt::Panic => return,
            CleanAt::SubBuffer => {
                for sequence in published.sequence()..position.sequence() {
                    self.memory.clean(self.subbuf(sequence), SUBBUF_SIZE);
                }
            }
            CleanAt::Event => {
                let mut from = published.byte();
                for sequence in published.sequence()..=position.sequence() {
                    let subbuf = self.subbuf(sequence);
                    let to = if sequence == position.sequence() { position.byte() } else { DATA_END };
                    self.memory.clean(subbuf + from, to.saturating_sub(from));
                    self.memory.clean(subbuf, linux::SUBBUF_HEADER);
                    from = 0;
                }
            }
        }
        if position.sequence() != published.sequence() {
            self.state.cleaned.set(position.sequence());
            self.memory.clean(self.subbuf(position.sequence()), linux::SUBBUF_HEADER);
            self.memory.clean(self.subbuf(position.sequence()) + DATA_END, tag::SIZE);
            self.memory.clean(self.cpu_header(), linux::CPU_HEADER);
            self.write_counters(false, 0);
            self.memory.clean(self.counters_at(), crate::format::LINE_SIZE);
        }
        self.memory.complete();
    }

    /// The word behind the last event of a full sub-buffer. All its events are framed by now: whoever nested has finished.
    fn end_of_data(&self, sequence: u64, from: u32) -> u32 {
        let subbuf = self.subbuf(sequence);
        let mut word = from;
        while let Frame::Event(event) = event::frame(word, |w| self.memory.load_u32(subbuf + u64::from(w) * 4)) {
            word += event.words;
        }
        word
    }

    /// Writes a sub-buffer's header and tag. The commit word becomes zero: nothing is published in it yet.
    fn open_subbuf(&self, first: Position, now: u64, reserved: u64) {
        let subbuf = self.subbuf(first.sequence());
        self.memory.publish_u64(subbuf + SUBBUF_COMMIT, 0);
        self.memory.store_u64(subbuf + SUBBUF_TIME, now);
        let head = u64::from(tag::VALUE) | u64::from(self.target.boot_id) << 32;
        let check = tag_check(self.target.boot_id, head, self.target.core, first.sequence(), reserved, now);
        let at = subbuf + DATA_END;
        self.memory.store_u64(at + tag::MAGIC, head);
        self.memory.store_u64(at + tag::CORE, u64::from(self.target.core) | u64::from(check) << 32);
        self.memory.store_u64(at + tag::SEQUENCE, first.sequence());
        self.memory.store_u64(at + tag::RESERVED, reserved);
        self.memory.store_u64(at + tag::TIME, now);
    }

    /// Whether a sub-buffer's tag has been written by this writer.
    fn is_tagged(&self, sequence: u64) -> bool {
        let at = self.subbuf(sequence) + DATA_END;
        let head = self.memory.load_u64(at + tag::MAGIC);
        let reserved = self.memory.load_u64(at + tag::RESERVED);
        let time = self.memory.load_u64(at + tag::TIME);
        let check = tag_check(self.target.boot_id, head, self.target.core, sequence, reserved, time);
        self.memory.load_u64(at + tag::SEQUENCE) == sequence && self.memory.load_u32(at + tag::CHECK) == check
    }

    /// Tells Linux which sub-buffer is written and which is the oldest.
    fn point_linux_at(&self, sequence: u64) {
        let oldest = (sequence + 1).saturating_sub(self.ring);
        let header = self.cpu_header();
        self.memory.store_u64(header + linux::cpu::HEAD_BUFFER, self.memory.address(self.subbuf(oldest)));
        self.memory.store_u64(header + linux::cpu::COMMIT_BUFFER, self.memory.address(self.subbuf(sequence)));
    }

    /// Carries the whole number further. It never goes back: nested writers may have carried it past an outer one's.
    fn carry_count(&self, reserved: u64) {
        for _ in 0..TRIES {
            let base = self.state.reserved_base.get();
            if base >= reserved || self.state.reserved_base.replace(base, reserved) {
                return;
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse(&self, cause: Refused) -> Refused {
        self.state.refused[cause as usize].add(1);
        cause
    }

    /// Turns the recorder off: from now on every reserve is refused. Any core may say it.
    pub fn stop(&self) {
        self.state.off.set(1);
    }

    /// What has been reserved and refused so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let position = Position::from_bits(self.state.position.get());
        let base = self.state.reserved_base.get();
        Counters {
            reserved: position.whole_count(base),
            refused: core::array::from_fn(|i| self.state.refused[i].get().min(u64::from(u32::MAX)) as u32),
            sequence: position.sequence(),
            in_flight: self.state.depth.get() as u32,
            last: false,
        }
    }

    /// The core's last act, at any instruction of its own writing or from the core that panics: turns the recorder off,
    /// completes what an interrupted writer left open around its events, writes the counters, and begins to write back
    /// everything that may be dirty. [`Persist::complete`] is the caller's.
    pub fn close(&self) -> Closed {
        self.stop();
        let position = Position::from_bits(self.state.position.get());
        let in_flight = self.state.depth.get();
        if in_flight == 0 {
            self.publish(position);
        } else if !self.is_tagged(position.sequence()) {
            // The claimer of this sub-buffer was interrupted before it wrote header and tag; only it knew what belongs there.
            // Recovery does without them. But the commit word of an older lap must not vouch for anything.
            self.memory.publish_u64(self.subbuf(position.sequence()) + SUBBUF_COMMIT, 0);
        }
        let closed =
            Closed { lines: 0, in_flight: in_flight as u32, reserved: self.write_counters(true, in_flight as u32) };
        self.memory.begin();
        let from = self.state.cleaned.get().max((position.sequence() + 1).saturating_sub(self.ring));
        let mut lines = self.memory.clean(self.cpu_header(), linux::CPU_HEADER);
        for sequence in from..=position.sequence() {
            lines += self.memory.clean(self.subbuf(sequence), SUBBUF_SIZE);
        }
        lines += self.memory.clean(self.counters_at(), crate::format::LINE_SIZE);
        Closed { lines, ..closed }
    }

    fn write_counters(&self, last: bool, in_flight: u32) -> u64 {
        let counters = Counters { last, in_flight, ..self.counters() };
        let number = Geometry::core_line(self.target.core, tail_line::COUNTERS);
        counters.to_line().store(
            &self.memory,
            self.counters_at(),
            LineSeed::new(self.target.boot_id, domain::TAIL),
            number,
            0,
        );
        counters.reserved
    }

    fn counters_at(&self) -> u64 {
        self.bank + self.target.geometry.tail(Geometry::core_line(self.target.core, tail_line::COUNTERS))
    }

    fn cpu_header(&self) -> u64 {
        self.bank + linux::cpu_offset(u64::from(self.target.core), self.target.geometry.subbufs)
    }

    /// Where a position's word is in the region.
    #[inline(always)]
    fn place(&self, position: Position) -> u64 {
        self.subbuf(position.sequence()) + position.byte()
    }

    /// Where a sub-buffer begins in the region. The remainder by multiplication: exact while sequence * ring < 2^64.
    #[inline(always)]
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
