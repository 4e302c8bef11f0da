//! The general way of a writer: nested events, time records, new sub-buffers, interrupted claims, all modes.

use super::{Asked, CleanAt, LEVELS, Refused, Slot, TRIES, WhenFull, Writer};
use crate::check::Crc32c;
use crate::event::{self, DELTA_BITS, END_OF_DATA, Frame, Shape, TIME_WORDS};
use crate::format::{DATA_END, tag};
use crate::linux::{self, SUBBUF_COMMIT, SUBBUF_SIZE, SUBBUF_TIME};
use crate::parity;
use crate::point::{Point, reach};
use crate::position::{END_WORD, FIRST_WORD, Position, SEQUENCE_MAX};
use crate::records::Counters;
use crate::scan::tag_check_by;
use crate::seams::{Clock, Memory, Persist};

/// A place that has been claimed the general way.
struct Claim {
    position: Position,
    /// The time record that stands before the event, if one must.
    record: Option<u64>,
    /// Nanoseconds since the event before; 0 with a time record.
    delta: u32,
}

impl<M: Memory + Persist + Copy, T: Clock, C: Crc32c> Writer<M, T, C> {
    /// Claims the place for an event with `size` bytes of fields. The fields' last word, if `size` is no multiple of 4,
    /// must be written whole ([`Slot::put_bytes`] does).
    ///
    /// # Errors
    /// [`Refused`], counted.
    pub fn reserve(&self, id: u16, size: usize) -> Result<Slot<'_, M>, Refused> {
        let Some(shape) = Shape::of(size) else { return Err(self.refuse(Refused::TooLarge)) };
        if self.state.off.get() != 0 {
            return Err(self.refuse(Refused::Stopped));
        }
        let depth = self.state.depth.get();
        if depth >= LEVELS {
            return Err(self.refuse(Refused::Nested));
        }
        // Read before the level is taken: whoever interrupts before that publishes what it records itself.
        let begin = self.state.position.get();
        self.state.depth.set(depth + 1);
        if depth == 0 {
            self.state.published.set(begin);
        }
        reach(Point::Entered);
        let Claim { position, record, delta } = match self.claim_generally(shape, depth) {
            Ok(claim) => claim,
            Err(cause) => {
                self.finish();
                return Err(self.refuse(cause));
            }
        };
        let mut header = self.subbuf(position.sequence()) + position.byte();
        let mut register = self.crc.u64(self.seed, position.checked());
        if let Some(record) = record {
            self.memory.store_u64(header, record);
            register = self.crc.u64(register, record);
            header += u64::from(TIME_WORDS) * 4;
        }
        let slot = self.head(&self.memory, Asked { id, size, shape, depth }, header, delta);
        Ok(Slot { register, ..slot })
    }

    fn claim_generally(&self, shape: Shape, depth: u64) -> Result<Claim, Refused> {
        for _ in 0..TRIES {
            let position = Position::from_bits(self.state.position.get());
            let is_known = depth == 0 && self.state.stamp_at.get() == position.bits();
            let stamp = self.state.stamp.get();
            // Unordered counter reads may be a tick early; a time never goes back.
            let now = self.clock.now_ns().max(stamp);
            let delta = now - stamp;
            let record = match is_known {
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
                self.stamp(now, behind);
                let delta = if record.is_some() { 0 } else { delta as u32 };
                return Ok(Claim { position, record, delta });
            }
            if let Some(position) = self.claim_next(position, shape, now, depth)? {
                return Ok(Claim { position, record: None, delta: 0 });
            }
        }
        Err(Refused::Interrupted)
    }

    /// Remembers the time of the event that ends at `behind`.
    fn stamp(&self, now: u64, behind: Position) {
        self.state.stamp.set(now);
        self.state.stamp_base.set(self.subbuf(behind.sequence()));
        self.state.stamp_at.set(behind.bits());
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
        let behind = position.in_next(shape.words());
        if !self.state.position.replace(position.bits(), behind.bits()) {
            return Ok(None);
        }
        reach(Point::SwitchClaimed);
        self.stamp(now, behind);
        // Ours alone now: the rest of the old sub-buffer, header and tag of the new one.
        if position.word() < END_WORD {
            self.memory.store_u32(self.subbuf(position.sequence()) + position.byte(), END_OF_DATA);
        }
        reach(Point::Ended);
        let reserved = first.whole_count(self.state.reserved_base.get());
        self.carry_count(reserved);
        // What is overwritten is not the oldest any more: Linux would take its new time for the ring's beginning. Nested
        // writers may be further already.
        self.point_linux_at_oldest(Position::from_bits(self.state.position.get()).sequence());
        self.open_subbuf(first, now, reserved);
        reach(Point::Opened);
        Ok(Some(first))
    }

    /// Leaves this level; the outermost one publishes.
    #[cold]
    #[inline(never)]
    pub(super) fn finish(&self) {
        let depth = self.state.depth.get();
        if depth > 1 {
            self.state.depth.set(depth - 1);
            return;
        }
        self.publish_from(Position::from_bits(self.state.published.get()));
    }

    /// Publishes what interrupts have recorded behind `from`, where all before is published and no level is taken.
    #[cold]
    #[inline(never)]
    pub(super) fn publish_again(&self, from: Position) {
        self.state.depth.set(1);
        self.state.published.set(from.bits());
        self.publish_from(from);
    }

    /// Publishes everything behind `from` and leaves the outermost level.
    fn publish_from(&self, mut from: Position) {
        for _ in 0..TRIES {
            let position = Position::from_bits(self.state.position.get());
            if position.sequence() == from.sequence() && self.mode.clean_at != CleanAt::Event {
                self.publish(position);
            } else {
                self.publish_far(from, position);
            }
            reach(Point::Published);
            self.state.depth.set(0);
            reach(Point::Left);
            // An interrupt that recorded before the line above left its publishing to us.
            if self.state.position.get() == position.bits() {
                return;
            }
            self.state.depth.set(1);
            self.state.published.set(position.bits());
            from = position;
        }
        self.state.depth.set(0);
    }

    /// Publishes over the end of sub-buffers, and writes back what the mode promises.
    #[cold]
    #[inline(never)]
    fn publish_far(&self, published: Position, position: Position) {
        // Whoever interrupted before a level was taken may have come round: older sub-buffers are not there any more.
        let published = match position.sequence() - published.sequence() < self.ring {
            true => published,
            false => Position::new(0, position.sequence() + 1 - self.ring, FIRST_WORD),
        };
        for sequence in published.sequence()..position.sequence() {
            let from = if sequence == published.sequence() { published.word() } else { FIRST_WORD };
            let end = self.end_of_data(sequence, from);
            self.publish(Position::new(0, sequence, end));
        }
        self.publish(position);
        if position.sequence() != published.sequence() {
            self.point_linux_at_newest(position.sequence());
        }
        parity::cover(&self.memory, self.crc, &self.target, published.sequence()..position.sequence());
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
            parity::clean(&self.memory, &self.target, published.sequence()..position.sequence());
            // Behind their parity too: a core that is stopped here cleans from this one on.
            self.state.cleaned.set(position.sequence());
            self.memory.clean(self.subbuf(position.sequence()), linux::SUBBUF_HEADER);
            self.memory.clean(self.subbuf(position.sequence()) + DATA_END, tag::SIZE);
            self.memory.clean(self.cpu_header(), linux::CPU_HEADER);
            self.write_counters(Counters { in_flight: 0, ..self.counters() });
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
    pub(super) fn open_subbuf(&self, first: Position, now: u64, reserved: u64) {
        let subbuf = self.subbuf(first.sequence());
        self.memory.publish_u64(subbuf + SUBBUF_COMMIT, 0);
        self.memory.store_u64(subbuf + SUBBUF_TIME, now);
        let head = u64::from(tag::VALUE) | u64::from(self.target.boot_id) << 32;
        let check =
            tag_check_by(self.crc, self.target.boot_id, head, self.target.core, first.sequence(), reserved, now);
        let at = subbuf + DATA_END;
        self.memory.store_u64(at + tag::MAGIC, head);
        self.memory.store_u64(at + tag::CORE, u64::from(self.target.core) | u64::from(check) << 32);
        self.memory.store_u64(at + tag::RESERVED, reserved);
        self.memory.store_u64(at + tag::TIME, now);
        // Last, and release: whoever acquires this number sees the commit word at zero, or moved by its own lap.
        self.memory.publish_u64(at + tag::SEQUENCE, first.sequence());
    }

    /// Tells Linux which sub-buffer is the oldest while `sequence` is the newest.
    pub(super) fn point_linux_at_oldest(&self, sequence: u64) {
        let oldest = self.subbuf((sequence + 1).saturating_sub(self.ring));
        self.memory.store_u64(self.cpu_header() + linux::cpu::HEAD_BUFFER, self.memory.address(oldest));
    }

    /// Tells Linux which sub-buffer is the newest.
    pub(super) fn point_linux_at_newest(&self, sequence: u64) {
        let newest = self.subbuf(sequence);
        self.memory.store_u64(self.cpu_header() + linux::cpu::COMMIT_BUFFER, self.memory.address(newest));
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
}
