//! A sub-buffer as the oracle reads it: Linux's framing, our tag, each event's check. By the format's page alone: no code of
//! recovery's judges recovery.

use ring::check::{Crc32c, seed};
use ring::format::{CHECK_SIZE, COMMON_HEADER, DATA_END, domain, tag};
use ring::linux::{COMMIT_MASK, SUBBUF_COMMIT, SUBBUF_HEADER, SUBBUF_SIZE, SUBBUF_TIME};
use ring::position::{END_WORD, FIRST_WORD, WORD_BITS};

/// Linux's kinds of events (bits 0 to 4 of an event's first word).
const LONG: u32 = 0;
const PADDING: u32 = 29;
const EXTEND: u32 = 30;
const ABSOLUTE: u32 = 31;
const KIND: u32 = 31;
const KIND_BITS: u32 = 5;

/// An event, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) sequence: u64,
    /// The word at which it begins, time record included.
    pub(super) word: u32,
    /// The word behind its check.
    pub(super) end: u32,
    /// The word at which its common header begins.
    data: u32,
    pub(super) discarded: bool,
    pub(super) id: u16,
    /// How many events it interrupted.
    pub(super) nesting: u8,
}

/// Whose events they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<C> {
    crc: C,
    boot_id: u32,
    core: u32,
    seed: u32,
}

/// What a tag says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) sequence: u64,
    time: u64,
}

/// The bytes of a sub-buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubBuf<'a>(pub(super) &'a [u8; SUBBUF_SIZE as usize]);

impl<'a> SubBuf<'a> {
    fn u32(&self, word: u32) -> u32 {
        self.0.as_chunks::<4>().0.get(word as usize).map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }
    fn u64(&self, at: u64) -> u64 {
        self.0.get(at as usize..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
    fn bytes(&self, words: std::ops::Range<u32>) -> &'a [u8] {
        self.0.get(4 * words.start as usize..4 * words.end as usize).unwrap_or_default()
    }
    /// The word behind what is published.
    pub(super) fn published(&self) -> u32 {
        let end = ((self.u64(SUBBUF_COMMIT) & COMMIT_MASK) + SUBBUF_HEADER) / 4;
        end.min(u64::from(END_WORD)) as u32
    }
    /// Its tag's bytes.
    pub(super) fn tag_bytes(&self) -> &'a [u8] {
        &self.0[DATA_END as usize..]
    }
    /// Whether a writer has begun to open it anew, though the tag is still the one before.
    pub(super) fn is_being_opened(&self, tag: &Tag) -> bool {
        self.u64(SUBBUF_TIME) != tag.time || self.u64(SUBBUF_COMMIT) & COMMIT_MASK == 0
    }
    /// The fields of an event, with the zeros up to a whole word.
    pub(super) fn fields(&self, event: &Event) -> &'a [u8] {
        self.bytes(event.data..event.end - 1).get(COMMON_HEADER..).unwrap_or_default()
    }
    /// All bytes of an event.
    pub(super) fn all(&self, event: &Event) -> &'a [u8] {
        self.bytes(event.word..event.end)
    }
    /// What the bytes at a word are shaped as: where the data begin, the word behind, whether it was discarded.
    fn framed(&self, word: u32) -> Option<(u32, u32, bool)> {
        let mut at = word;
        if matches!(self.u32(at) & KIND, EXTEND | ABSOLUTE) {
            at += 2;
        }
        let head = self.u32(at);
        let length = || Some(self.u32(at + 1)).filter(|bytes| *bytes % 4 == 0 && *bytes <= 4 * END_WORD);
        let (data, end, discarded) = match head & KIND {
            PADDING if head >> KIND_BITS == 0 => return None,
            PADDING => (at + 1, at + 1 + length()? / 4, true),
            LONG => (at + 2, at + 1 + length()? / 4, false),
            EXTEND | ABSOLUTE => return None,
            words => (at + 1, at + 1 + words, false),
        };
        let least = ((COMMON_HEADER + CHECK_SIZE) / 4) as u32;
        (end <= END_WORD && end >= data + least).then_some((data, end, discarded))
    }
}

impl<C: Crc32c> Writer<C> {
    pub(super) fn new(crc: C, boot_id: u32, core: u32) -> Self {
        Self { crc, boot_id, core, seed: seed(boot_id, core as u16) }
    }

    /// The tag, if it is this writer's.
    pub(super) fn tag(&self, subbuf: SubBuf<'_>) -> Option<Tag> {
        let at = |at: u64| subbuf.u64(DATA_END + at);
        let (head, core, sequence, time) = (at(tag::MAGIC), at(tag::CORE), at(tag::SEQUENCE), at(tag::TIME));
        let register = self.crc.u64(seed(self.boot_id, domain::TAG), head);
        let register = self.crc.u32(register, self.core);
        let register = [sequence, at(tag::RESERVED), time].into_iter().fold(register, |r, word| self.crc.u64(r, word));
        let is_mine = head == u64::from(tag::VALUE) | u64::from(self.boot_id) << 32
            && core == u64::from(self.core) | u64::from(register) << 32;
        is_mine.then_some(Tag { sequence, time })
    }

    /// The event at a word, if it was written there for this sequence number.
    pub(super) fn event(&self, subbuf: SubBuf<'_>, sequence: u64, word: u32) -> Option<Event> {
        let (data, end, discarded) = subbuf.framed(word)?;
        let register = self.crc.u64(self.seed, sequence << WORD_BITS | u64::from(word));
        if self.crc.bytes(register, subbuf.bytes(word..end - 1)) != subbuf.u32(end - 1) {
            return None;
        }
        let common = subbuf.u32(data);
        Some(Event { sequence, word, end, data, discarded, id: common as u16, nesting: (common >> 24) as u8 })
    }

    /// All events that were written for this sequence number: along the frames, and word by word where they break off.
    pub(super) fn events(&self, subbuf: SubBuf<'_>, sequence: u64, each: &mut impl FnMut(Event)) {
        let mut word = FIRST_WORD;
        while word < END_WORD {
            match self.event(subbuf, sequence, word) {
                Some(event) => {
                    word = event.end;
                    each(event);
                }
                None => word += 1,
            }
        }
    }

    /// Whether something that was published for this sequence number does not verify any more: somebody is writing over it.
    pub(super) fn breaks_off(&self, subbuf: SubBuf<'_>, sequence: u64) -> bool {
        let mut word = FIRST_WORD;
        while word < subbuf.published() {
            let Some(event) = self.event(subbuf, sequence, word) else { return true };
            word = event.end;
        }
        false
    }

    /// Whether any event was written for this sequence number, where those of the one before may still stand.
    pub(super) fn is_begun(&self, subbuf: SubBuf<'_>, sequence: u64, before: Option<u64>) -> bool {
        let mut word = FIRST_WORD;
        while word < END_WORD {
            if let Some(old) = before.and_then(|before| self.event(subbuf, before, word)) {
                word = old.end;
            } else if self.event(subbuf, sequence, word).is_some() {
                return true;
            } else {
                word += 1;
            }
        }
        false
    }
}
