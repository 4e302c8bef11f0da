//! Recovery: what one core left in a bank, event by event, from any bytes.
//!
//! Total: no panic, no allocation, no loop that the size of the sub-buffers does not bound. Which sub-buffer comes when
//! follows from the newest sequence number alone, since the ring's places follow from it; so a lost tag costs nothing but
//! its own numbers. Inside a sub-buffer each event must verify; where one does not, the next that does is searched word by
//! word, and what lies between is judged by the table in [`crate::verdict`].

use crate::check::{Crc32c, seed, sequence_of};
use crate::event::{Frame, Framed, Time, frame};
use crate::format::{CHECK_SIZE, COMMON_HEADER, Geometry, domain, tail_line};
use crate::line::{Line, LineSeed};
use crate::linux::{COMMIT_MASK, SUBBUF_COMMIT, SUBBUF_HEADER, SUBBUF_SIZE, SUBBUF_TIME};
use crate::position::{END_WORD, FIRST_WORD, Position};
use crate::records::{BankRecord, Counters, StopRecord};
use crate::scan::Tag;
use crate::verdict::{Check, Facts, Verdict, judge};
use crate::writer::LEVELS;

/// How far into a hole an older event is searched: four cache lines.
const SEARCHED_WORDS: u32 = 64;

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
    /// A line of its tail.
    #[must_use]
    pub fn line(&self, number: u32) -> Option<Line> {
        let seed = LineSeed::new(self.record.boot_id, domain::TAIL);
        Line::load(self.bytes, self.geometry.tail(number), seed, number).map(|(line, _)| line)
    }
    /// How a core was stopped; `None` where that line is lost.
    #[must_use]
    pub fn stop_record(&self, core: u32) -> Option<StopRecord> {
        StopRecord::from_line(self.line(Geometry::core_line(core, tail_line::STOP))?)
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
        let counters = self.line(Geometry::core_line(core, tail_line::COUNTERS)).map(Counters::from_line);
        CoreRing {
            bytes: self.bytes,
            geometry: self.geometry,
            crc: self.crc,
            core,
            boot_id: self.record.boot_id,
            seed: seed(self.record.boot_id, core as u16),
            seed_before: seed(self.record.boot_id_before, core as u16),
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
    seed: u32,
    seed_before: u32,
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
    /// The events of this core, in the order in which they were written; without those that were discarded.
    pub fn events(&self) -> impl Iterator<Item = Recovered<'a>> + use<'a, C> {
        self.items().filter_map(|item| match item {
            Item::Event(event) if !event.discarded => Some(event),
            _ => None,
        })
    }

    /// A sub-buffer.
    pub(crate) fn subbuf(&self, sequence: u64) -> SubBuf<'a> {
        let at = self.geometry.subbuf(self.core, sequence) as usize;
        let bytes = self.bytes.get(at..).and_then(|rest| rest.get(..SUBBUF_SIZE as usize)).unwrap_or(&[]);
        let tag =
            Tag::load(bytes).filter(|t| t.boot_id == self.boot_id && t.core == self.core && t.sequence == sequence);
        SubBuf { bytes, sequence, tag }
    }

    /// Walks one sub-buffer.
    pub(crate) fn walk(&self, sequence: u64) -> Walk<'a, C> {
        Walk::new(*self, self.subbuf(sequence))
    }

    /// The sequence number of the newest sub-buffer that left a trace.
    fn find_newest(&self) -> Option<u64> {
        let ring = self.geometry.ring();
        // Tags of this boot, where they belong.
        let tagged = (0..ring).filter_map(|place| {
            let tag = Tag::load(self.subbuf(place).bytes)?;
            let here = tag.boot_id == self.boot_id && tag.core == self.core && tag.sequence % ring == place;
            here.then_some(tag.sequence)
        });
        let counted = self.counters.map(|counters| counters.sequence).filter(|s| *s <= crate::position::SEQUENCE_MAX);
        let mut newest = tagged.max().max(counted);
        if newest.is_none() {
            // Not one tag: the events themselves say in which sub-buffer they were written.
            newest = (0..ring).filter_map(|place| self.implied(place)).max();
        }
        // A core that died between claiming a sub-buffer and tagging it.
        for _ in 0..LEVELS {
            let Some(next) = newest.map(|s| s + 1) else { break };
            let subbuf = self.subbuf(next);
            if subbuf.tag.is_some() || !(FIRST_WORD..END_WORD).any(|w| self.verifies(&subbuf, w).is_some()) {
                break;
            }
            newest = Some(next);
        }
        newest
    }

    /// The sequence number that the first event of an untagged sub-buffer was written under, if it is plausible.
    fn implied(&self, place: u64) -> Option<u64> {
        let subbuf = self.subbuf(place);
        let Frame::Event(event) = subbuf.frame(FIRST_WORD) else { return None };
        let (bytes, check) = subbuf.checked(FIRST_WORD, &event)?;
        let sequence = u64::from(sequence_of(self.seed, FIRST_WORD, bytes, check));
        (sequence % self.geometry.ring() == place && sequence < 1 << 24).then_some(sequence)
    }

    /// The event at a word, if it verifies there.
    fn verifies(&self, subbuf: &SubBuf<'a>, word: u32) -> Option<Framed> {
        let Frame::Event(event) = subbuf.frame(word) else { return None };
        let (bytes, check) = subbuf.checked(word, &event)?;
        let position = Position::new(0, subbuf.sequence, word);
        let register = self.crc.u64(self.seed, position.checked());
        (self.crc.bytes(register, bytes) == check).then_some(event)
    }

    /// Whose event stands at a word where none of ours verifies.
    fn whose(&self, subbuf: &SubBuf<'a>, word: u32) -> Check {
        let Frame::Event(event) = subbuf.frame(word) else { return Check::Nobody };
        let Some((bytes, check)) = subbuf.checked(word, &event) else { return Check::Nobody };
        let ring = self.geometry.ring();
        let here = |sequence: u64| sequence % ring == subbuf.sequence % ring;
        let older = u64::from(sequence_of(self.seed, word, bytes, check));
        if here(older) && older < subbuf.sequence {
            return Check::OlderLap;
        }
        let before = u64::from(sequence_of(self.seed_before, word, bytes, check));
        // An older boot may have written any number of laps; beyond 2^24 sub-buffers chance is likelier.
        if here(before) && before < 1 << 24 {
            return Check::BootBefore;
        }
        Check::Nobody
    }
}

/// One sub-buffer's bytes, and who it says it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubBuf<'a> {
    bytes: &'a [u8],
    sequence: u64,
    /// The tag, where it verifies and belongs here.
    pub(crate) tag: Option<Tag>,
}

impl<'a> SubBuf<'a> {
    fn u64(&self, at: u64) -> u64 {
        self.bytes.get(at as usize..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
    }
    fn u32(&self, word: u32) -> u32 {
        self.bytes.get(4 * word as usize..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
    }
    fn frame(&self, word: u32) -> Frame {
        if self.bytes.is_empty() {
            return Frame::Nothing;
        }
        frame(word, |w| self.u32(w))
    }
    /// The bytes that an event's check covers, and the check.
    fn checked(&self, word: u32, event: &Framed) -> Option<(&'a [u8], u32)> {
        let all = self.bytes.get(4 * word as usize..4 * event.end(word) as usize)?;
        let (bytes, check) = all.split_last_chunk::<CHECK_SIZE>()?;
        Some((bytes, u32::from_le_bytes(*check)))
    }
    /// The word behind what the commit word covers.
    fn commit_end(&self) -> u32 {
        let committed = self.u64(SUBBUF_COMMIT) & COMMIT_MASK;
        ((committed.min(SUBBUF_SIZE) + SUBBUF_HEADER) / 4).min(u64::from(END_WORD)) as u32
    }
}

/// The way through one sub-buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'a, C> {
    ring: CoreRing<'a, C>,
    subbuf: SubBuf<'a>,
    word: u32,
    time: u64,
    certain: bool,
    gap: bool,
    /// Whether events in flight may be among those that do not verify.
    in_flight: bool,
}

impl<'a, C: Crc32c> Walk<'a, C> {
    fn new(ring: CoreRing<'a, C>, subbuf: SubBuf<'a>) -> Self {
        // Nobody says how many were in flight when the core was not stopped in order.
        let in_flight = ring.counters.is_none_or(|c| !c.last || c.in_flight > 0);
        let (time, certain) = match subbuf.tag {
            Some(tag) => (tag.time_ns, true),
            None => (subbuf.u64(SUBBUF_TIME), false),
        };
        Self { ring, subbuf, word: FIRST_WORD, time, certain, gap: false, in_flight }
    }

    fn event(&mut self, framed: &Framed) -> Recovered<'a> {
        let word = self.word;
        self.time = framed.time.after(self.time);
        if matches!(framed.time, Time::Absolute(_)) {
            self.certain = true;
        }
        let facts = Facts {
            check: Check::Current,
            committed: framed.end(word) <= self.subbuf.commit_end(),
            after_gap: self.gap,
            followed: false,
            may_be_in_flight: self.in_flight,
        };
        self.word = framed.end(word);
        let data = self.subbuf.bytes.get(4 * framed.data as usize..4 * self.word as usize - CHECK_SIZE).unwrap_or(&[]);
        let (common, fields) = data.split_first_chunk::<COMMON_HEADER>().unwrap_or((&[0; COMMON_HEADER], &[]));
        Recovered {
            core: self.ring.core,
            sequence: self.subbuf.sequence,
            word,
            time_ns: self.time,
            time_is_certain: self.certain,
            verdict: judge(&facts),
            id: u16::from_le_bytes([common[0], common[1]]),
            flags: common[2],
            nesting: common[3],
            pid: i32::from_le_bytes([common[4], common[5], common[6], common[7]]),
            fields,
            discarded: framed.discarded,
        }
    }

    /// The time behind a hole, if its bytes are framed as events that fill it: a guess, since none of them verifies.
    fn time_over(&self, from: u32, to: u32) -> Option<u64> {
        let (mut word, mut time) = (from, self.time);
        while word < to {
            let Frame::Event(event) = self.subbuf.frame(word) else { return None };
            time = event.time.after(time);
            word = event.end(word);
        }
        (word == to).then_some(time)
    }

    /// What lies between here and `to`, where the next event verifies (or the data ends).
    fn hole(&mut self, to: Option<u32>) -> Option<Hole> {
        let from = self.word;
        let end = to.unwrap_or(END_WORD);
        // A lost line begins and ends inside events: one whole older event in the first lines of the hole says what it is.
        let searched = from..end.min(from + SEARCHED_WORDS);
        let older = searched.map(|word| self.ring.whose(&self.subbuf, word)).find(|check| *check != Check::Nobody);
        let facts = Facts {
            check: older.unwrap_or(Check::Nobody),
            committed: from < self.subbuf.commit_end(),
            after_gap: self.gap,
            followed: to.is_some(),
            // In the newest sub-buffer nothing tells an event in flight at the end from bytes that were always there. An
            // older one ends in a mark, or full: what is neither was being written when nested writers went on.
            may_be_in_flight: self.in_flight && (to.is_some() || self.ring.newest > Some(self.subbuf.sequence)),
        };
        let verdict = judge(&facts);
        self.word = end;
        if verdict == Verdict::Free {
            return None;
        }
        if let Some(time) = self.time_over(from, end) {
            self.time = time;
        }
        self.gap = true;
        self.certain = false;
        Some(Hole { core: self.ring.core, sequence: self.subbuf.sequence, from, to: end, verdict })
    }
}

impl<'a, C: Crc32c> Iterator for Walk<'a, C> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.word >= END_WORD {
            return None;
        }
        if let Some(framed) = self.ring.verifies(&self.subbuf, self.word) {
            return Some(Item::Event(self.event(&framed)));
        }
        let next = (self.word + 1..END_WORD).find(|word| self.ring.verifies(&self.subbuf, *word).is_some());
        // The mark of the end, with nothing behind it.
        if next.is_none() && self.subbuf.frame(self.word) == Frame::End && self.word >= self.subbuf.commit_end() {
            self.word = END_WORD;
            return None;
        }
        self.hole(next).map(Item::Hole)
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
            self.walk = Some(self.ring.walk(self.sequence));
            self.sequence += 1;
        }
    }
}
