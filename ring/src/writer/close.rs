//! The end of a writer: what it counted, and its core's last act.

use super::{LEVELS, Writer};
use crate::check::Crc32c;
use crate::format::{DATA_END, Geometry, domain, tag, tail_line};
use crate::line::LineSeed;
use crate::linux::{self, SUBBUF_COMMIT, SUBBUF_SIZE};
use crate::parity;
use crate::position::Position;
use crate::records::Counters;
use crate::scan::tag_check_by;
use crate::seams::{Clock, Memory, Persist};

/// What a core did in its last moments, for the panic path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Cache lines begun to be written back.
    pub lines: u64,
    /// Events that were reserved and not committed; at most so many, where another core closed the ring.
    pub in_flight: u32,
    /// Events reserved in all.
    pub reserved: u64,
}

impl<M: Memory + Persist + Copy, T: Clock, C: Crc32c> Writer<M, T, C> {
    /// Turns the recorder off: from now on every reserve is refused. Any core may say it.
    pub fn stop(&self) {
        self.state.off.set(1);
    }

    /// What has been reserved and refused so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters_at_position(Position::from_bits(self.state.position.get()))
    }

    /// The same for a position that has just been read.
    fn counters_at_position(&self, position: Position) -> Counters {
        let base = self.state.reserved_base.get();
        Counters {
            reserved: position.whole_count(base),
            refused: core::array::from_fn(|i| self.state.refused[i].get().min(u64::from(u32::MAX)) as u32),
            sequence: position.sequence(),
            in_flight: self.state.depth.get() as u32,
            last: false,
        }
    }

    /// The core's last act, at any instruction of its own writing: turns the recorder off, completes what an interrupted
    /// writer left open around its events, writes the counters, and begins to write back everything that may be dirty.
    /// [`Persist::complete`] is the caller's.
    pub fn close(&self) -> Closed {
        self.stop();
        let position = Position::from_bits(self.state.position.get());
        self.close_at(position, self.state.depth.get())
    }

    /// The same from another core, for one that does not answer. It may go on writing meanwhile, and what it has written
    /// may arrive here in any order: so each of its levels is taken to be in flight, and nothing is published for it.
    pub fn close_for_another(&self) -> Closed {
        self.stop();
        self.close_at(Position::from_bits(self.state.position.get()), LEVELS)
    }

    /// One look at the position serves all: what another core claims behind it is not said to have been reserved.
    fn close_at(&self, position: Position, in_flight: u64) -> Closed {
        if in_flight == 0 {
            self.publish(position);
        } else if !self.is_tagged(position.sequence()) {
            // The claimer of this sub-buffer was interrupted before it wrote header and tag; only it knew what belongs there.
            // Recovery does without them. But the commit word of an older lap must not vouch for anything.
            self.memory.publish_u64(self.subbuf(position.sequence()) + SUBBUF_COMMIT, 0);
        }
        self.point_linux_at_oldest(position.sequence());
        let counters = Counters { last: true, in_flight: in_flight as u32, ..self.counters_at_position(position) };
        self.write_counters(counters);
        let oldest = (position.sequence() + 1).saturating_sub(self.ring);
        let open = Position::from_bits(self.state.published.get()).sequence().max(oldest);
        parity::cover(&self.memory, self.crc, &self.target, open..position.sequence() + 1);
        self.memory.begin();
        let from = self.state.cleaned.get().max(oldest);
        let mut lines = self.memory.clean(self.cpu_header(), linux::CPU_HEADER);
        lines += parity::clean(&self.memory, &self.target, from..position.sequence() + 1);
        for sequence in from..=position.sequence() {
            lines += self.memory.clean(self.subbuf(sequence), SUBBUF_SIZE);
        }
        lines += self.memory.clean(self.counters_at(), crate::format::LINE_SIZE);
        Closed { lines, in_flight: counters.in_flight, reserved: counters.reserved }
    }

    pub(super) fn write_counters(&self, counters: Counters) {
        let number = Geometry::core_line(self.target.core, tail_line::COUNTERS);
        counters.to_line().store(
            &self.memory,
            self.counters_at(),
            LineSeed::new(self.target.boot_id, domain::TAIL),
            number,
            0,
        );
    }

    /// Whether a sub-buffer's tag has been written by this writer.
    fn is_tagged(&self, sequence: u64) -> bool {
        let at = self.subbuf(sequence) + DATA_END;
        let head = self.memory.load_u64(at + tag::MAGIC);
        let reserved = self.memory.load_u64(at + tag::RESERVED);
        let time = self.memory.load_u64(at + tag::TIME);
        let check = tag_check_by(self.crc, self.target.boot_id, head, self.target.core, sequence, reserved, time);
        self.memory.load_u64(at + tag::SEQUENCE) == sequence && self.memory.load_u32(at + tag::CHECK) == check
    }

    pub(super) fn counters_at(&self) -> u64 {
        self.bank + self.target.geometry.tail(Geometry::core_line(self.target.core, tail_line::COUNTERS))
    }
}
