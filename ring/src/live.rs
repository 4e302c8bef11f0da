//! Reading a ring while its core goes on writing: copy, then verify. No lock, no allocation, and the writer notices nothing.
//!
//! The writer's side is two release stores. A sub-buffer's tag is written sequence number last, after the commit word was
//! set back to zero; the commit word is moved over events that are whole. A reader acquires the sequence number, then the
//! commit word, copies what is new below it, and looks at the sequence number once more:
//!
//! ```text
//!  writer of lap L                              reader of lap L
//!  commit := 0
//!  time, tag
//!  tag.sequence := L       (release)  ------->  tag.sequence = L?     (acquire)  the commit word is L's, or a later lap's
//!  event, its check
//!  commit := end           (release)  ------->  end := commit         (acquire)  the events below it are whole
//!                                               copy up to end
//!  lap L + 1: commit := 0 ...                   tag.sequence = L?                else the writer came round
//! ```
//!
//! The second look is no proof: on a weakly ordered machine the next lap's events may be seen before its tag. What is the
//! proof is each event's own check, which covers boot, core, sequence number and place: an event torn between two laps is
//! an event of neither. The copy is made word by word with relaxed loads, so a word is never torn; nothing else is asked of
//! it.
//!
//! Only what is published is told. What was overwritten before it could be read is counted, exactly: a sub-buffer's tag
//! says how many events came before it.

use crate::check::{Crc32c, seed};
use crate::event::Framed;
use crate::format::{DATA_END, Geometry, tag};
use crate::linux::{COMMIT_MASK, SUBBUF_COMMIT, SUBBUF_HEADER, SUBBUF_SIZE};
use crate::position::{END_WORD, FIRST_WORD};
use crate::recover::Recovered;
use crate::scan::Tag;
use crate::seams::Observe;
use crate::subbuf::SubBuf;
use crate::verdict::Verdict;
use crate::writer::Target;
use core::sync::atomic::Ordering;
#[cfg(not(loom))]
use core::sync::atomic::fence;
#[cfg(loom)]
use loom::sync::atomic::fence;

/// How often one call looks again: after a sub-buffer that ended, a writer that came round, a copy that was torn.
const TRIES: u32 = 8;

/// What a follower comes across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'p> {
    /// The next event.
    Event(Recovered<'p>),
    /// So many events were overwritten before they could be read (or did not verify, if memory is damaged).
    Missed(u64),
}

/// How a copy of what is new went.
enum Copied {
    /// The page is as the writer published it.
    Whole,
    /// The same, and this is the first look at it: so many events before it were never seen.
    After(u64),
    /// It has not begun, or not yet said so.
    NotYet,
    /// The writer came round.
    Overtaken,
}

/// Follows the events of one core, from its own copy of a sub-buffer.
#[derive(Debug)]
pub struct Follower<M, C> {
    memory: M,
    crc: C,
    target: Target,
    seed: u32,
    /// The sub-buffer that is read.
    sequence: u64,
    /// Where in it the next event begins.
    word: u32,
    /// Up to where it has been copied.
    copied: u32,
    /// Time of the event before.
    time: u64,
    /// Number of the next event among all that its core reserved.
    index: u64,
    page: [u8; SUBBUF_SIZE as usize],
}

impl<M: Observe, C: Crc32c> Follower<M, C> {
    /// Follows a core from its first event on: what has been overwritten by now is told as missed.
    pub fn new(memory: M, crc: C, target: Target) -> Self {
        let seed = seed(target.boot_id, target.core as u16);
        let page = [0; SUBBUF_SIZE as usize];
        let start = FIRST_WORD;
        Self { memory, crc, target, seed, sequence: 0, word: start, copied: start, time: 0, index: 0, page }
    }

    /// The sub-buffer that its core has begun last; `None` before it has begun any.
    pub fn newest(&mut self) -> Option<u64> {
        (0..self.target.geometry.ring()).filter_map(|place| Some(self.tag(place)?.sequence)).max()
    }

    /// The next event, or how many were missed before it. `None`: nothing new is published; ask again later.
    pub fn poll(&mut self) -> Option<Seen<'_>> {
        let mut was_torn = false;
        for _ in 0..TRIES {
            if self.word >= self.copied {
                // Asked before the copy: what was published before the next sub-buffer was is in it.
                let has_ended = self.has_begun(self.sequence + 1);
                match self.copy() {
                    Copied::Whole if self.copied > self.word => {}
                    Copied::Whole if has_ended => {
                        self.go_to(self.sequence + 1);
                        continue;
                    }
                    Copied::Whole => return None,
                    Copied::After(missed) => return Some(Seen::Missed(missed)),
                    Copied::NotYet | Copied::Overtaken => {
                        let newest = self.newest()?;
                        if newest <= self.sequence {
                            return None;
                        }
                        // One further than the oldest, which is the next to be overwritten.
                        let oldest = (newest + 2).saturating_sub(self.target.geometry.ring()).min(newest);
                        self.go_to(oldest.max(self.sequence + 1));
                        continue;
                    }
                }
            }
            if let Some(framed) = self.verifies(self.word) {
                return self.event(&framed).map(Seen::Event);
            }
            // Overwritten while it was copied: the next look will say so. Or damaged: then what follows it is lost as well.
            self.copied = self.word;
            if was_torn {
                if !self.has_begun(self.sequence + 1) {
                    return None;
                }
                self.go_to(self.sequence + 1);
            }
            was_torn = true;
        }
        None
    }

    fn go_to(&mut self, sequence: u64) {
        self.sequence = sequence;
        self.word = FIRST_WORD;
        self.copied = FIRST_WORD;
    }

    /// Copies what has been published since the last time.
    fn copy(&mut self) -> Copied {
        let at = self.subbuf(self.sequence);
        let tag = match self.tag(self.sequence) {
            Some(tag) if tag.sequence == self.sequence => tag,
            Some(tag) if tag.sequence > self.sequence => return Copied::Overtaken,
            _ => return Copied::NotYet,
        };
        // Acquire: pairs with the release of the outermost commit; the events below are whole.
        let committed = self.memory.observe_u64(at + SUBBUF_COMMIT) & COMMIT_MASK;
        let end = ((committed + SUBBUF_HEADER) / 4).min(u64::from(END_WORD)) as u32;
        for word in self.word..end {
            self.copy_word(at, word);
        }
        // The loads above before the one below: a word of the next lap among them shows its number, or fails its check.
        fence(Ordering::Acquire);
        if self.memory.observe_u64(at + DATA_END + tag::SEQUENCE) != self.sequence {
            return Copied::Overtaken;
        }
        self.copied = end.max(self.word);
        if self.word > FIRST_WORD {
            return Copied::Whole;
        }
        self.time = tag.time_ns;
        let missed = tag.reserved.saturating_sub(self.index);
        self.index = tag.reserved;
        if missed > 0 { Copied::After(missed) } else { Copied::Whole }
    }

    fn copy_word(&mut self, at: u64, word: u32) {
        let value = self.memory.observe_u32(at + 4 * u64::from(word));
        if let Some(to) = self.page.as_chunks_mut::<4>().0.get_mut(word as usize) {
            *to = value.to_le_bytes();
        }
    }

    /// The tag that stands in the place of a sub-buffer, if it is of this boot and core, and whole.
    fn tag(&mut self, sequence: u64) -> Option<Tag> {
        let at = self.subbuf(sequence);
        // Acquire: pairs with the writer's release of the number, which it stores behind the rest of the tag.
        let said = self.memory.observe_u64(at + DATA_END + tag::SEQUENCE);
        for word in END_WORD..END_WORD + (tag::SIZE / 4) as u32 {
            self.copy_word(at, word);
        }
        let ring = self.target.geometry.ring();
        Tag::load_by(self.crc, &self.page).filter(|tag| {
            let is_ours = tag.boot_id == self.target.boot_id && tag.core == self.target.core;
            is_ours && tag.sequence == said && tag.sequence % ring == sequence % ring
        })
    }

    /// Whether events of a sub-buffer have been published: then all those before it have been, too.
    fn has_begun(&mut self, sequence: u64) -> bool {
        let is_there = self.tag(sequence).is_some_and(|tag| tag.sequence >= sequence);
        is_there && self.memory.observe_u64(self.subbuf(sequence) + SUBBUF_COMMIT) & COMMIT_MASK > 0
    }

    fn subbuf(&self, sequence: u64) -> u64 {
        let geometry: &Geometry = &self.target.geometry;
        geometry.bank(self.target.bank) + geometry.subbuf(self.target.core, sequence)
    }

    fn verifies(&self, word: u32) -> Option<Framed> {
        let event = SubBuf::new(&self.page, self.sequence)?.verifies(self.crc, self.seed, word)?;
        // What is published ends with a whole event.
        (event.end(word) <= self.copied).then_some(event)
    }

    /// Moves over an event that verifies.
    fn event(&mut self, framed: &Framed) -> Option<Recovered<'_>> {
        let word = self.word;
        self.time = framed.time.after(self.time);
        self.word = framed.end(word);
        self.index += 1;
        let subbuf = SubBuf::new(&self.page, self.sequence)?;
        Some(subbuf.read(self.target.core, word, framed, (self.time, true), Verdict::Good))
    }
}
