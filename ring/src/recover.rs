//! Recovery: what one core left in a bank, event by event, from any bytes.
//!
//! Total: no panic, no allocation, no loop that the size of the sub-buffers does not bound. Which sub-buffer comes when
//! follows from the newest sequence number alone, since the ring's places follow from it; so a lost tag costs nothing but
//! its own numbers. Inside a sub-buffer each event must verify; where one does not, the next that does is searched word by
//! word, and what lies between is judged by the table in [`crate::verdict`].
//!
//! A time is called certain only where all that it is made of verifies: the tag and every event since, or an absolute
//! record, whose upper five bits come from the last time that was certain.

use crate::check::{Crc32c, seed};
use crate::event::{Frame, Framed, TIME_BITS, Time};
use crate::format::{Geometry, domain, tail_line};
use crate::line::{Line, LineSeed};
use crate::linux::{COMMIT_MASK, SUBBUF_COMMIT, SUBBUF_HEADER, SUBBUF_SIZE, SUBBUF_TIME};
use crate::position::{END_WORD, FIRST_WORD, SEQUENCE_MAX};
use crate::records::{BankRecord, Counters, StopOutcome, StopRecord};
use crate::scan::Tag;
use crate::search::{Search, sequence_before};
use crate::subbuf::SubBuf;
use crate::verdict::{Check, Facts, Older, Verdict, judge};
use crate::writer::LEVELS;

/// Sub-buffers that another boot is believed to have begun on the word of one event: any 32 bits name some number.
const BELIEVED_OF_ONE: u64 = 1 << 16;
/// The same on the word of two events in a row. The two only prove one writer: under a wrong boot's seed they agree as well,
/// on a number that is wrong by the same bits.
const BELIEVED_OF_TWO: u64 = 1 << 24;

/// A bank that somebody left.
#[derive(Clone, Copy, Debug)]
pub struct Bank<'a, C> {
    bytes: &'a [u8],
    geometry: Geometry,
    record: BankRecord,
    crc: C,
}

impl<'a, C: Crc32c> Bank<'a, C> {
    /// The bank whose bytes these are. `None` where they are too few for the geometry.
    #[must_use]
    pub fn new(bytes: &'a [u8], geometry: Geometry, record: BankRecord, crc: C) -> Option<Self> {
        let bytes = bytes.get(..usize::try_from(geometry.bank_size).ok()?)?;
        Some(Self { bytes, geometry, record, crc })
    }
    /// The whole bank.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
    /// Its places.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }
    /// Whose it is.
    #[must_use]
    pub fn record(&self) -> &BankRecord {
        &self.record
    }
    /// How its checks are computed.
    #[must_use]
    pub fn crc(&self) -> &C {
        &self.crc
    }
    /// A line of its tail.
    #[must_use]
    pub fn line(&self, number: u32) -> Option<Line> {
        let seed = LineSeed::new(self.record.boot_id, domain::TAIL);
        Line::load(self.bytes, self.geometry.tail(number), seed, number).map(|(line, _)| line)
    }
    /// How a core was stopped; `None` where that line is lost, also where the one from the beginning of the boot still
    /// stands there: a core that has recorded did start.
    #[must_use]
    pub fn stop_record(&self, core: u32) -> Option<StopRecord> {
        let record = StopRecord::from_line(self.line(Geometry::core_line(core, tail_line::STOP))?)?;
        let has_recorded = || self.core(core).events().next().is_some();
        (record.outcome != StopOutcome::NotStarted || !has_recorded()).then_some(record)
    }
    fn counters(&self, core: u32) -> Option<Counters> {
        self.line(Geometry::core_line(core, tail_line::COUNTERS)).map(Counters::from_line)
    }
    /// What a core left.
    #[must_use]
    pub fn core(&self, core: u32) -> CoreRing<'a, C> {
        let mut ring = self.core_up_to(core, None);
        ring.newest = ring.find_newest();
        ring
    }
    /// What a core that can be asked has written: its newest sub-buffer is not searched.
    #[must_use]
    pub fn core_up_to(&self, core: u32, newest: Option<u64>) -> CoreRing<'a, C> {
        let counters = self.counters(core);
        CoreRing {
            bytes: self.bytes,
            geometry: self.geometry,
            crc: self.crc,
            core,
            boot_id: self.record.boot_id,
            seed: seed(self.record.boot_id, core as u16),
            boot_id_before: self.record.boot_id_before,
            counters,
            newest,
        }
    }
}

/// What one core left in a bank.
#[derive(Clone, Copy, Debug)]
pub struct CoreRing<'a, C> {
    bytes: &'a [u8],
    geometry: Geometry,
    crc: C,
    core: u32,
    boot_id: u32,
    boot_id_before: u32,
    seed: u32,
    counters: Option<Counters>,
    newest: Option<u64>,
}

/// An event that verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered<'a> {
    /// The core that recorded it.
    pub core: u32,
    /// Sub-buffer in which it stands.
    pub sequence: u64,
    /// Word of the sub-buffer at which it begins.
    pub word: u32,
    /// When, in nanoseconds.
    pub time_ns: u64,
    /// The time follows from records that all verify.
    pub time_is_certain: bool,
    /// Good, beyond the commit word, or after a gap.
    pub verdict: Verdict,
    /// What kind of event.
    pub id: u16,
    /// Linux's flags of the context.
    pub flags: u8,
    /// How many events it interrupted.
    pub nesting: u8,
    /// Pid of the context.
    pub pid: i32,
    /// Its fields, with the zeros up to a multiple of 4.
    pub fields: &'a [u8],
    /// Reserved, then discarded by its writer.
    pub discarded: bool,
}

/// A stretch of a sub-buffer that holds no event of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The core.
    pub core: u32,
    /// Its sub-buffer.
    pub sequence: u64,
    /// First word.
    pub from: u32,
    /// Word behind the last.
    pub to: u32,
    /// What it is.
    pub verdict: Verdict,
    /// Whose older event stands there, if one does.
    pub older: Option<Older>,
}

impl core::fmt::Display for Hole {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { core, sequence, from, to, verdict, older } = self;
        write!(f, "core {core}, sub-buffer {sequence}, bytes {} to {}: {verdict}", from * 4, to * 4)?;
        older.map_or(Ok(()), |older| write!(f, ", {older}"))
    }
}

/// What recovery comes across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An event.
    Event(Recovered<'a>),
    /// A damaged or unfinished stretch.
    Hole(Hole),
}

impl<'a, C: Crc32c> CoreRing<'a, C> {
    /// The core.
    #[must_use]
    pub fn core(&self) -> u32 {
        self.core
    }
    /// What it counted; `None` where that line is lost.
    #[must_use]
    pub fn counters(&self) -> Option<Counters> {
        self.counters
    }
    /// The sequence numbers of the sub-buffers that can still be there, oldest first.
    #[must_use]
    pub fn sequences(&self) -> core::ops::Range<u64> {
        match self.newest {
            None => 0..0,
            Some(newest) => (newest + 1).saturating_sub(self.geometry.ring())..newest + 1,
        }
    }
    /// Everything of this core, in the order in which it was written.
    #[must_use]
    pub fn items(&self) -> Items<'a, C> {
        self.items_from(0)
    }
    /// The same, from a sub-buffer on.
    #[must_use]
    pub fn items_from(&self, sequence: u64) -> Items<'a, C> {
        let sequences = self.sequences();
        Items { ring: *self, sequence: sequences.start.max(sequence), end: sequences.end, walk: None }
    }
    /// The same, of one sub-buffer.
    #[must_use]
    pub fn items_of(&self, sequence: u64) -> Items<'a, C> {
        Items { end: self.sequences().end.min(sequence.saturating_add(1)), ..self.items_from(sequence) }
    }
    /// A sub-buffer's bytes; `None` where the bank does not hold it.
    #[must_use]
    pub fn bytes_of(&self, sequence: u64) -> Option<&'a [u8; SUBBUF_SIZE as usize]> {
        Some(self.subbuf(sequence)?.bytes)
    }
    /// Where the events of a sub-buffer end, in bytes, if it holds nothing but events that verify, from its first word on,
    /// under its own tag and time: such a one can be handed on as it is.
    #[must_use]
    pub fn whole(&self, sequence: u64) -> Option<u32> {
        let subbuf = self.subbuf(sequence)?;
        subbuf.tag.filter(|tag| tag.time_ns == subbuf.u64(SUBBUF_TIME))?;
        let mut word = FIRST_WORD;
        while let Some(event) = self.verifies(&subbuf, word) {
            word = event.end(word);
        }
        let is_all = subbuf.frame(word) == Frame::End && word >= subbuf.commit_end && word > FIRST_WORD;
        (is_all && self.search(&subbuf, word + 1).is_none()).then_some(4 * word)
    }
    /// The events of this core, in the order in which they were written; without those that were discarded.
    pub fn events(&self) -> impl Iterator<Item = Recovered<'a>> + use<'a, C> {
        self.items().filter_map(|item| match item {
            Item::Event(event) if !event.discarded => Some(event),
            _ => None,
        })
    }

    /// A sub-buffer; `None` where the bank's bytes do not hold it.
    pub(crate) fn subbuf(&self, sequence: u64) -> Option<SubBuf<'a>> {
        let at = usize::try_from(self.geometry.subbuf(self.core, sequence)).ok()?;
        let bytes = self.bytes.get(at..)?.first_chunk::<{ SUBBUF_SIZE as usize }>()?;
        let found = Tag::load_by(self.crc, bytes);
        let mut subbuf = SubBuf::new(bytes, sequence)?;
        match found {
            Some(t) if t.boot_id == self.boot_id && t.core == self.core && t.sequence == sequence => {
                subbuf.tag = found;
            }
            other => subbuf.other = other.filter(|t| t.core == self.core),
        }
        // Header and tag of an older lap: this one was claimed, and not opened yet. That lap's commit word says nothing of it.
        let is_opened = subbuf.other.is_none_or(|other| other.time_ns != subbuf.u64(SUBBUF_TIME));
        let committed = if is_opened { subbuf.u64(SUBBUF_COMMIT) & COMMIT_MASK } else { 0 };
        let end = (committed.min(SUBBUF_SIZE) + SUBBUF_HEADER) / 4;
        subbuf.commit_end = end.min(u64::from(END_WORD)) as u32;
        Some(subbuf)
    }

    /// Walks one sub-buffer.
    #[inline]
    pub(crate) fn walk(&self, sequence: u64) -> Option<Walk<'a, C>> {
        Some(Walk::new(*self, self.subbuf(sequence)?))
    }

    /// The sequence number of the newest sub-buffer that left a trace.
    fn find_newest(&self) -> Option<u64> {
        let ring = self.geometry.ring();
        // Tags of this boot, where they belong.
        let tagged = (0..ring).filter_map(|place| {
            let subbuf = self.subbuf(place)?;
            let tag = subbuf.tag.or(subbuf.other)?;
            let here = tag.boot_id == self.boot_id && tag.sequence % ring == place && tag.sequence <= SEQUENCE_MAX;
            here.then_some(tag.sequence)
        });
        let counted = self.counters.map(|counters| counters.sequence).filter(|s| *s <= SEQUENCE_MAX);
        let mut newest = tagged.max().max(counted);
        if newest.is_none() {
            // Not one tag: the events themselves say in which sub-buffer they were written.
            newest = (0..ring).filter_map(|place| self.implied(place)).max();
        }
        if self.counters.is_some_and(|counters| counters.last && Some(counters.sequence) == newest) {
            return newest;
        }
        // A core that was not stopped in order may have written more than one sub-buffer of which no tag reached memory.
        let newest = newest?;
        let behind = newest + 1..(newest + ring).min(SEQUENCE_MAX + 1);
        behind.rev().find(|sequence| self.begun(*sequence)).or(Some(newest))
    }

    /// Whether an untagged sub-buffer holds an event of this number. What verifies under the tag that still stands there
    /// needs no search.
    fn begun(&self, sequence: u64) -> bool {
        let Some(subbuf) = self.subbuf(sequence).filter(|subbuf| subbuf.tag.is_none()) else { return false };
        let mut word = FIRST_WORD;
        if let Some(tag) = subbuf.other {
            let older = Self { seed: seed(tag.boot_id, self.core as u16), ..*self };
            let as_older = SubBuf { sequence: tag.sequence, ..subbuf };
            while let Some(event) = older.verifies(&as_older, word) {
                word = event.end(word);
            }
        }
        self.search(&subbuf, word).is_some()
    }

    /// The sequence number that the first event of an untagged sub-buffer was written under. Whatever stands there names
    /// one; it is believed if a second event verifies under it: the next one, or the first of the sub-buffer before or after.
    fn implied(&self, place: u64) -> Option<u64> {
        let subbuf = self.subbuf(place)?;
        let Frame::Event(event) = subbuf.frame(FIRST_WORD) else { return None };
        let before = Search::new(subbuf.words, self.crc, FIRST_WORD).before(FIRST_WORD, event.end(FIRST_WORD));
        let sequence = u64::from(sequence_before(before, self.seed, FIRST_WORD));
        if sequence % self.geometry.ring() != place {
            return None;
        }
        let first_verifies = |sequence: u64| self.verifies(&self.subbuf(sequence)?, FIRST_WORD);
        let next = self.verifies(&SubBuf { sequence, ..subbuf }, event.end(FIRST_WORD));
        let is_believed = next.is_some()
            || first_verifies(sequence + 1).is_some()
            || sequence.checked_sub(1).and_then(first_verifies).is_some();
        is_believed.then_some(sequence)
    }

    /// The event at a word, if it verifies there.
    #[inline]
    fn verifies(&self, subbuf: &SubBuf<'a>, word: u32) -> Option<Framed> {
        subbuf.verifies(self.crc, self.seed, word)
    }

    /// The first word from `from` on at which an event verifies.
    #[cold]
    #[inline(never)]
    fn search(&self, subbuf: &SubBuf<'a>, from: u32) -> Option<u32> {
        let mut search = Search::new(subbuf.words, self.crc, from);
        (from..END_WORD).find(|word| match subbuf.frame(*word) {
            Frame::Event(event) => search.verifies(*word, event.end(*word), subbuf.seeded(self.crc, self.seed, *word)),
            _ => false,
        })
    }

    /// Whose older event stands in these words of a sub-buffer, all of it.
    #[cold]
    #[inline(never)]
    fn older(&self, subbuf: &SubBuf<'a>, words: core::ops::Range<u32>) -> Option<Older> {
        let ring = self.geometry.ring();
        let here = |sequence: u64| sequence % ring == subbuf.sequence % ring;
        // A lost line may be of the boot that the bank had before, or of the one whose tag still stands here.
        let of_tag = subbuf.other.map_or(0, |tag| tag.boot_id);
        let boots = [self.boot_id_before, of_tag].map(|boot_id| {
            (boot_id != 0 && boot_id != self.boot_id).then(|| (boot_id, seed(boot_id, self.core as u16)))
        });
        let mut search = Search::new(subbuf.words, self.crc, words.start);
        let end = words.end;
        let framed = |word: u32| match subbuf.frame(word) {
            Frame::Event(event) if event.end(word) <= end && u64::from(subbuf.nesting(&event)) < LEVELS => {
                Some(event.end(word))
            }
            _ => None,
        };
        words.into_iter().find_map(|word| {
            let behind = framed(word)?;
            let before = search.before(word, behind);
            let sequence = u64::from(sequence_before(before, self.seed, word));
            if here(sequence) && sequence < subbuf.sequence {
                return Some(Older::Lap { sequence });
            }
            let next = framed(behind).map(|end| search.before(behind, end));
            let are_two = next.is_some_and(|next| u64::from(sequence_before(next, self.seed, behind)) == sequence);
            let believed = if are_two { BELIEVED_OF_TWO } else { BELIEVED_OF_ONE };
            let named = boots.iter().flatten().find_map(|(boot_id, seed)| {
                let sequence = u64::from(sequence_before(before, *seed, word));
                (here(sequence) && sequence < believed).then_some(Older::Boot { boot_id: *boot_id, sequence })
            });
            named.or(are_two.then_some(Older::UnknownBoot))
        })
    }
}

/// The way through one sub-buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'a, C> {
    ring: CoreRing<'a, C>,
    pub(crate) subbuf: SubBuf<'a>,
    word: u32,
    time: u64,
    certain: bool,
    /// A time not after any that is still to come, from what verifies.
    reached: Option<u64>,
    gap: bool,
    /// Whether events in flight may be among those that do not verify.
    in_flight: bool,
}

impl<'a, C: Crc32c> Walk<'a, C> {
    fn new(ring: CoreRing<'a, C>, subbuf: SubBuf<'a>) -> Self {
        // Nobody says how many were in flight when the core was not stopped in order.
        let in_flight = ring.counters.is_none_or(|c| !c.last || c.in_flight > 0);
        let (time, certain, reached) = match subbuf.tag {
            Some(tag) => (tag.time_ns, true, Some(tag.time_ns)),
            None => {
                // Times do not go back: the sub-buffer before began no later.
                let before = subbuf.sequence.checked_sub(1).and_then(|s| ring.subbuf(s)?.tag);
                (subbuf.u64(SUBBUF_TIME), false, before.map(|tag| tag.time_ns))
            }
        };
        Self { ring, subbuf, word: FIRST_WORD, time, certain, reached, gap: false, in_flight }
    }

    /// Moves the time on to an event that verifies.
    #[inline]
    fn tick(&mut self, time: Time) {
        match (time, self.reached) {
            (Time::Absolute(_), Some(reached)) => {
                let next = time.after(reached);
                self.time = if next < reached { next.saturating_add(1 << TIME_BITS) } else { next };
                self.certain = true;
            }
            _ => self.time = time.after(self.time),
        }
        if self.certain {
            self.reached = Some(self.time);
        }
    }

    #[inline]
    fn event(&mut self, framed: &Framed) -> Recovered<'a> {
        let word = self.word;
        self.tick(framed.time);
        let facts = Facts {
            check: Check::Current,
            committed: framed.end(word) <= self.subbuf.commit_end,
            shaped: true,
            after_gap: self.gap,
            followed: false,
            may_be_in_flight: self.in_flight,
        };
        self.word = framed.end(word);
        self.subbuf.read(self.ring.core, word, framed, (self.time, self.certain), judge(&facts))
    }

    /// The time behind a hole, if its bytes are framed as events that fill it: a guess, since not all of them verify.
    fn time_over(&self, from: u32, to: u32) -> Option<u64> {
        let (mut word, mut time) = (from, self.time);
        while word < to {
            let Frame::Event(event) = self.subbuf.frame(word) else { return None };
            time = event.time.after(time);
            word = event.end(word);
        }
        (word == to).then_some(time)
    }

    /// The word at which the shapes of a sub-buffer's last events end, when they end in a mark.
    fn shaped_end(&self, from: u32) -> u32 {
        let mut word = from;
        while let Frame::Event(event) = self.subbuf.frame(word) {
            word = event.end(word);
        }
        if self.subbuf.frame(word) == Frame::End { word } else { END_WORD }
    }

    /// What lies between here and `to`, where the next event verifies (or the data ends).
    #[cold]
    #[inline(never)]
    fn hole(&mut self, to: Option<u32>) -> Option<Hole> {
        let from = self.word;
        let end = to.unwrap_or(END_WORD);
        let shaped_end = to.unwrap_or_else(|| self.shaped_end(from));
        let time = self.time_over(from, shaped_end);
        // A lost line begins and ends inside events: one whole older event anywhere in the hole says what it is.
        let older = self.ring.older(&self.subbuf, from..end);
        // In the newest sub-buffer nothing tells an event in flight at the end from bytes that were always there. An older
        // one ends in a mark, or full: what is neither was damaged, or being written when nested writers went on.
        let followed = to.is_some() || self.ring.newest > Some(self.subbuf.sequence);
        let facts = Facts {
            check: Older::check(older),
            committed: from < self.subbuf.commit_end,
            shaped: time.is_some() && shaped_end > from,
            after_gap: self.gap,
            followed,
            may_be_in_flight: self.in_flight && followed,
        };
        let verdict = judge(&facts);
        self.word = end;
        if verdict == Verdict::Free {
            return None;
        }
        if let Some(time) = time {
            self.time = time;
        }
        self.gap = true;
        self.certain = false;
        Some(Hole { core: self.ring.core, sequence: self.subbuf.sequence, from, to: end, verdict, older })
    }

    /// What comes where no event verifies.
    #[cold]
    #[inline(never)]
    fn damaged(&mut self) -> Option<Item<'a>> {
        let next = self.ring.search(&self.subbuf, self.word + 1);
        // The mark of the end, with nothing behind it.
        if next.is_none() && self.subbuf.frame(self.word) == Frame::End && self.word >= self.subbuf.commit_end {
            self.word = END_WORD;
            return None;
        }
        self.hole(next).map(Item::Hole)
    }
}

impl<'a, C: Crc32c> Iterator for Walk<'a, C> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.word >= END_WORD {
            return None;
        }
        match self.ring.verifies(&self.subbuf, self.word) {
            Some(framed) => Some(Item::Event(self.event(&framed))),
            None => self.damaged(),
        }
    }
}

/// The way through all sub-buffers of a core.
#[derive(Clone, Copy, Debug)]
pub struct Items<'a, C> {
    ring: CoreRing<'a, C>,
    sequence: u64,
    end: u64,
    walk: Option<Walk<'a, C>>,
}

impl<'a, C: Crc32c> Iterator for Items<'a, C> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some(item) = self.walk.as_mut().and_then(Iterator::next) {
                return Some(item);
            }
            if self.sequence >= self.end {
                return None;
            }
            self.walk = self.ring.walk(self.sequence);
            self.sequence += 1;
        }
    }
}
