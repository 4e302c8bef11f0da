//! One sub-buffer's bytes, in memory or a reader's copy of them: which events verify in it, and what they say.

use crate::check::Crc32c;
use crate::event::{Frame, Framed, frame};
use crate::format::{CHECK_SIZE, COMMON_HEADER};
use crate::linux::SUBBUF_SIZE;
use crate::position::Position;
use crate::recover::Recovered;
use crate::scan::Tag;
use crate::search::Words;
use crate::verdict::Verdict;

/// One sub-buffer's bytes, and who it says it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubBuf<'a> {
    pub(crate) bytes: &'a [u8; SUBBUF_SIZE as usize],
    pub(crate) words: &'a Words,
    pub(crate) sequence: u64,
    /// The tag, where it verifies and belongs here.
    pub(crate) tag: Option<Tag>,
    /// A tag of this core that verifies and is another sub-buffer's: an older lap's, or an older boot's.
    pub(crate) other: Option<Tag>,
    /// The word behind what the commit word covers.
    pub(crate) commit_end: u32,
}

impl<'a> SubBuf<'a> {
    /// The bytes of a sub-buffer of this number; who they say they are is not looked at.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8; SUBBUF_SIZE as usize], sequence: u64) -> Option<Self> {
        let words = bytes.as_chunks::<4>().0.first_chunk()?;
        Some(Self { bytes, words, sequence, tag: None, other: None, commit_end: 0 })
    }
    /// The register that an event's check starts from.
    #[inline]
    pub(crate) fn seeded<C: Crc32c>(&self, crc: C, seed: u32, word: u32) -> u32 {
        crc.u64(seed, Position::new(0, self.sequence, word).checked())
    }
    /// The event at a word, if it verifies there.
    #[inline]
    pub(crate) fn verifies<C: Crc32c>(&self, crc: C, seed: u32, word: u32) -> Option<Framed> {
        let Frame::Event(event) = self.frame(word) else { return None };
        let (bytes, check) = self.checked(word, &event)?;
        (crc.bytes(self.seeded(crc, seed, word), bytes) == check).then_some(event)
    }
    /// What an event at a word says, whose time and verdict are known.
    #[inline]
    pub(crate) fn read(
        &self,
        core: u32,
        word: u32,
        framed: &Framed,
        (time_ns, time_is_certain): (u64, bool),
        verdict: Verdict,
    ) -> Recovered<'a> {
        let data = self.bytes.get(4 * framed.data as usize..4 * framed.end(word) as usize - CHECK_SIZE).unwrap_or(&[]);
        let (common, fields) = data.split_first_chunk::<COMMON_HEADER>().unwrap_or((&[0; COMMON_HEADER], &[]));
        Recovered {
            core,
            sequence: self.sequence,
            word,
            time_ns,
            time_is_certain,
            verdict,
            id: u16::from_le_bytes([common[0], common[1]]),
            flags: common[2],
            nesting: common[3],
            pid: i32::from_le_bytes([common[4], common[5], common[6], common[7]]),
            fields,
            discarded: framed.discarded,
        }
    }
    pub(crate) fn u64(&self, at: u64) -> u64 {
        self.bytes.get(at as usize..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
    }
    #[inline]
    pub(crate) fn frame(&self, word: u32) -> Frame {
        // The remainder is the word itself, and tells the compiler so.
        frame(word, |w| u32::from_le_bytes(self.words[w as usize % self.words.len()]))
    }
    /// The bytes that an event's check covers, and the check.
    #[inline]
    pub(crate) fn checked(&self, word: u32, event: &Framed) -> Option<(&'a [u8], u32)> {
        let all = self.bytes.get(4 * word as usize..4 * event.end(word) as usize)?;
        let (bytes, check) = all.split_last_chunk::<CHECK_SIZE>()?;
        Some((bytes, u32::from_le_bytes(*check)))
    }
    /// How many events one claims to have interrupted.
    pub(crate) fn nesting(&self, event: &Framed) -> u8 {
        self.bytes.get(4 * event.data as usize + 3).copied().unwrap_or(u8::MAX)
    }
}
