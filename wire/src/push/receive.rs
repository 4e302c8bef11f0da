//! The loader's side: fed with each byte of the line and with the time, it fills a store and says when to start what is in it.
//!
//! It answers, and never speaks first but to say what it still needs, while a transfer goes on.
//!
//! Chunks that come packed are unpacked once the host has ended or the line is quiet: unpacking takes longer than the receiver
//! of a UART lasts.

use crate::frame::{self, Frame, Read, Reader, body};

use super::store::{CHUNK, LIMIT, Persist, Store};
use super::{Hello, RANGES_MAX, VERSION, Verdict, WINDOW, append_is_fit, kind, word};

/// Chunks of one request that are kept as they came, packed.
const PACKED_MAX: usize = WINDOW as usize;

/// A line that is quiet for so long during a transfer has lost something: what is missing is said again, in milliseconds.
const QUIET: u64 = 400;
/// So often it is said to nobody.
const UNANSWERED_MAX: u32 = 8;
/// After a verdict the host has so long to say that it heard, and hears it again so often.
const VERDICT_EVERY: u64 = 250;
const VERDICTS_MAX: u32 = 4;

/// The line to the host.
pub trait Line {
    /// Sends bytes, in one piece.
    fn write(&mut self, bytes: &[u8]);
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is none.
    Idle,
    /// A host is there, and may make an offer until then (milliseconds).
    Greeted(u64),
    /// Chunks come.
    Busy,
    /// All is there, and the host is being told.
    Whole,
    /// To be started now.
    Start,
}

/// Bytes of the largest frame that either side of this talk sends: marks, and each byte escaped.
const OUT_MAX: usize = 2 * (body::PAYLOAD + 8 * (RANGES_MAX + 1) + body::CHECK_SIZE) + 2;
/// Bytes of the largest body that is taken: an offer with all its words.
const IN_MAX: usize = body::PAYLOAD + 8 + CHUNK + body::CHECK_SIZE;

/// The loader's side of a talk.
#[derive(Debug)]
pub struct Receiver {
    reader: Reader,
    buffer: [u8; IN_MAX],
    talk: Talk,
}

/// Where the talk stands.
#[derive(Debug)]
struct Talk {
    stage: Stage,
    /// Number of the last request or verdict.
    number: u32,
    /// When something came or was said last, in milliseconds.
    last: u64,
    /// How often something was said since something came.
    said: u32,
    /// Chunks that came packed, with the bytes that they have so.
    packed: [(u32, usize); PACKED_MAX],
    packed_count: usize,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// How long a host that has knocked may take to make an offer, in milliseconds.
    pub const PATIENCE: u64 = 2000;

    /// One that has heard nothing.
    #[must_use]
    pub const fn new() -> Self {
        let packed = [(0, 0); PACKED_MAX];
        let talk = Talk { stage: Stage::Idle, number: 0, last: 0, said: 0, packed, packed_count: 0 };
        Self { reader: Reader::NEW, buffer: [0; IN_MAX], talk }
    }

    /// How far it is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.talk.stage
    }

    /// Takes a byte of the line, `now` in milliseconds.
    pub fn take<P: Persist>(&mut self, byte: u8, now: u64, store: &mut Store<'_, P>, line: &mut dyn Line) {
        self.talk.last = now;
        let Read::Body(size) = self.reader.take(byte, &mut self.buffer) else { return };
        if let Some(frame) = self.buffer.get(..size).and_then(Frame::of) {
            self.talk.frame(&frame, now, store, line);
        }
    }

    /// Time has passed.
    pub fn tick<P: Persist>(&mut self, now: u64, store: &mut Store<'_, P>, line: &mut dyn Line) {
        self.talk.tick(now, store, line);
    }
}

impl Talk {
    fn tick<P: Persist>(&mut self, now: u64, store: &mut Store<'_, P>, line: &mut dyn Line) {
        let quiet = now.saturating_sub(self.last);
        match self.stage {
            Stage::Greeted(until) if now >= until => self.stage = Stage::Idle,
            Stage::Busy if quiet >= QUIET => {
                if self.said >= UNANSWERED_MAX {
                    self.stage = Stage::Idle;
                    return;
                }
                self.said += 1;
                self.last = now;
                self.unpack(store);
                self.need(store, line);
            }
            Stage::Whole if quiet >= VERDICT_EVERY => {
                if self.said >= VERDICTS_MAX {
                    self.stage = Stage::Start;
                    return;
                }
                self.said += 1;
                self.last = now;
                self.verdict(Verdict::Whole, store.id().1, line);
            }
            _ => {}
        }
    }

    fn frame<P: Persist>(&mut self, frame: &Frame<'_>, now: u64, store: &mut Store<'_, P>, line: &mut dyn Line) {
        let (size, check) = store.id();
        let is_ours = size > 0 && frame.transfer == check;
        match frame.kind {
            kind::KNOCK => self.hello(now, store, line),
            kind::OFFER => self.offer(frame, store, line),
            kind::DATA if self.stage == Stage::Busy && is_ours => {
                self.said = 0;
                // A chunk that is there already was checked when it came.
                if !store.has(frame.number) {
                    store.put(frame.number, frame.payload);
                }
            }
            kind::PACKED if self.stage == Stage::Busy && is_ours => {
                self.said = 0;
                self.keep_packed(frame.number, frame.payload, store);
            }
            kind::END if self.stage == Stage::Busy && is_ours && frame.number == self.number => {
                self.said = 0;
                self.go_on(store, line);
            }
            kind::START if self.stage == Stage::Whole && is_ours => self.stage = Stage::Start,
            _ => {}
        }
    }

    /// Keeps a packed chunk until there is time for it. More of them than were asked for are no loss: they are asked for again.
    fn keep_packed<P: Persist>(&mut self, index: u32, bytes: &[u8], store: &mut Store<'_, P>) {
        let known = self.packed[..self.packed_count].iter().position(|(known, _)| *known == index);
        let place = known.unwrap_or(self.packed_count);
        if let Some(to) = self.packed.get_mut(place)
            && store.keep_packed(index, bytes)
        {
            *to = (index, bytes.len());
            self.packed_count = self.packed_count.max(place + 1);
        }
    }

    /// Unpacks what was kept. Whether each is what its check says.
    fn unpack<P: Persist>(&mut self, store: &mut Store<'_, P>) -> bool {
        let count = core::mem::take(&mut self.packed_count);
        // One that came as it is, too, is there.
        self.packed[..count]
            .iter()
            .fold(true, |good, (index, size)| (store.has(*index) || store.unpack(*index, *size)) && good)
    }

    fn hello<P: Persist>(&mut self, now: u64, store: &Store<'_, P>, line: &mut dyn Line) {
        if matches!(self.stage, Stage::Idle | Stage::Greeted(_)) {
            self.stage = Stage::Greeted(now + Receiver::PATIENCE);
        }
        let (size, check) = store.id();
        let whole = store.verdict() == Verdict::Whole;
        let hello = Hello { version: VERSION, whole, chunk: CHUNK as u32, limit: LIMIT, size, check };
        say(kind::HELLO, check, 0, &hello.store(), line);
    }

    fn offer<P: Persist>(&mut self, frame: &Frame<'_>, store: &mut Store<'_, P>, line: &mut dyn Line) {
        let (Some(size), Some(append)) = (word(frame.payload, 0), frame.payload.get(4..)) else { return };
        let check = frame.transfer;
        let refusal = match () {
            () if !(1..=LIMIT).contains(&size) => Verdict::BadSize,
            () if !append_is_fit(append) => Verdict::BadAppend,
            () => Verdict::Whole,
        };
        // They may be of another image.
        self.packed_count = 0;
        if refusal != Verdict::Whole {
            self.stage = Stage::Idle;
            return self.verdict(refusal, check, line);
        }
        store.begin(size, check, append);
        (self.stage, self.said) = (Stage::Busy, 0);
        self.go_on(store, line);
    }

    /// Asks for what is missing, or judges what is there.
    fn go_on<P: Persist>(&mut self, store: &mut Store<'_, P>, line: &mut dyn Line) {
        if !self.unpack(store) {
            // Its frame was good: to ask again would bring the same again.
            self.stage = Stage::Idle;
            return self.verdict(Verdict::BadChunk, store.id().1, line);
        }
        if store.missing() > 0 {
            return self.need(store, line);
        }
        let (verdict, check) = (store.verdict(), store.id().1);
        self.stage = if verdict == Verdict::Whole { Stage::Whole } else { Stage::Idle };
        self.said = 1;
        if verdict != Verdict::Whole {
            store.clear();
        }
        self.verdict(verdict, check, line);
    }

    /// Asks for the first chunks that are missing.
    fn need<P: Persist>(&mut self, store: &Store<'_, P>, line: &mut dyn Line) {
        let mut payload = [0; 8 * (RANGES_MAX + 1)];
        let (head, rest) = payload.split_at_mut(8);
        head[..4].copy_from_slice(&store.missing().to_le_bytes());
        head[4..].copy_from_slice(&store.chunks().to_le_bytes());
        let (mut left, mut index, mut ranges) = (WINDOW, 0, 0);
        let end = store.chunks();
        for to in rest.chunks_exact_mut(8) {
            while index < end && store.has(index) {
                index += 1;
            }
            let first = index;
            while index < end && left > 0 && !store.has(index) {
                (index, left) = (index + 1, left - 1);
            }
            if first == index {
                break;
            }
            to[..4].copy_from_slice(&first.to_le_bytes());
            to[4..].copy_from_slice(&(index - 1).to_le_bytes());
            ranges += 1;
        }
        self.number = self.number.wrapping_add(1);
        say(kind::NEED, store.id().1, self.number, &payload[..8 * (ranges + 1)], line);
    }

    fn verdict(&mut self, verdict: Verdict, check: u32, line: &mut dyn Line) {
        self.number = self.number.wrapping_add(1);
        say(kind::VERDICT, check, self.number, &[verdict as u8], line);
    }
}

fn say(kind: u8, transfer: u32, number: u32, payload: &[u8], line: &mut dyn Line) {
    let mut whole = [0; body::PAYLOAD + 8 * (RANGES_MAX + 1) + body::CHECK_SIZE];
    let mut out = [0; OUT_MAX];
    if let Some(to) = whole.get_mut(body::PAYLOAD..body::PAYLOAD + payload.len()) {
        to.copy_from_slice(payload);
    }
    let size = frame::write(&mut whole, kind, transfer, number, payload.len(), &mut out);
    line.write(out.get(..size).unwrap_or_default());
}
