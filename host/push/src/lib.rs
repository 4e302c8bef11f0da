//! The host's side of [`wire::push`]: bytes of the line and the time go in, bytes for the line come out.
//!
//! It knocks until a loader answers, offers the kernel, and sends what the loader asks for; whatever is lost on the way, a frame,
//! a board that resets, an earlier host, costs only what is missing.

use ring::check::{Crc32c, Table};
use wire::frame::{self, FRAME_MAX, Frame, Read, Reader, body};
use wire::push::{CHUNK, Hello, LIMIT, Model, RANGES_MAX, VERSION, Verdict, WINDOW, append_is_fit, judge, kind};

/// A loader that has a kernel listens for half a second: it must hear a knock in that time, in milliseconds.
const KNOCK_EVERY: u64 = 100;
/// When nothing was sent and nothing came for so long, the offer is made again, in milliseconds.
const OFFER_EVERY: u64 = 1000;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No loader has answered.
    Knocking,
    /// A loader is there.
    Sending,
    /// The loader has said what it thinks.
    Done(Verdict),
    /// A loader is there that talks another version.
    OtherVersion(u8),
}

/// One kernel, on its way.
#[derive(Debug)]
pub struct Pusher {
    image: Vec<u8>,
    append: Vec<u8>,
    check: u32,
    state: State,
    reader: Reader,
    buffer: Vec<u8>,
    text: Vec<u8>,
    out: Vec<u8>,
    /// The last request that was answered.
    answered: Option<u32>,
    model: Box<Model>,
    missing: Option<u32>,
    /// Chunks that the last request asked for.
    asked: u32,
    first_missing: Option<u32>,
    /// When something was sent or came last, in milliseconds.
    last: Option<u64>,
    heard: u64,
}

impl Pusher {
    /// A kernel, as a flat image, with words for its command line.
    ///
    /// # Errors
    /// No loader would take it: why.
    pub fn new(image: Vec<u8>, append: &str) -> Result<Self, String> {
        if image.len() > LIMIT as usize {
            return Err(format!("it has {} bytes, and a loader takes {LIMIT} at most", image.len()));
        }
        if !append_is_fit(append.as_bytes()) {
            return Err("the words for the command line are too many, or not plain ASCII".into());
        }
        match judge(&image) {
            Verdict::Whole => {}
            refused => return Err(meaning(refused).into()),
        }
        let check = crc(&image);
        Ok(Self {
            image,
            append: append.into(),
            check,
            state: State::Knocking,
            reader: Reader::NEW,
            buffer: vec![0; body::MAX],
            text: Vec::new(),
            out: Vec::new(),
            answered: None,
            model: Box::default(),
            missing: None,
            asked: 0,
            first_missing: None,
            last: None,
            heard: 0,
        })
    }

    /// Takes what came over the line. Returns what was no frame: console text.
    pub fn feed(&mut self, bytes: &[u8], now: u64) -> Vec<u8> {
        for byte in bytes {
            match self.reader.take(*byte, &mut self.buffer) {
                Read::Text(byte) => self.text.push(byte),
                Read::Body(size) => {
                    let whole = std::mem::take(&mut self.buffer);
                    if let Some(frame) = Frame::of(&whole[..size]) {
                        self.frame(&frame, now);
                    }
                    self.buffer = whole;
                }
                Read::Within | Read::Broken(_) => {}
            }
        }
        std::mem::take(&mut self.text)
    }

    /// Bytes for the line, now.
    pub fn output(&mut self, now: u64) -> Vec<u8> {
        let quiet = self.last.map(|last| now.saturating_sub(last));
        match self.state {
            State::Knocking if quiet.is_none_or(|quiet| quiet >= KNOCK_EVERY) => self.say(kind::KNOCK, 0, &[]),
            State::Sending if self.out.is_empty() && quiet.is_none_or(|quiet| quiet >= OFFER_EVERY) => self.offer(),
            _ => {}
        }
        let out = std::mem::take(&mut self.out);
        if !out.is_empty() {
            self.last = Some(now);
        }
        out
    }

    /// Bytes for the line that wait to be taken.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.out.len()
    }

    /// The line took the last of what was to be sent at this time.
    pub fn sent(&mut self, now: u64) {
        self.last = Some(now);
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Bytes of the image that the loader has, as it said last, and bytes that it asked for and was sent since; nothing before it
    /// spoke of them.
    #[must_use]
    pub fn progress(&self) -> Option<(u64, u64)> {
        self.missing.map(|missing| (self.bytes_but(missing), u64::from(self.asked) * CHUNK as u64))
    }

    /// Bytes of the image that the loader had when it first said so: what an earlier push left there.
    #[must_use]
    pub fn resumed(&self) -> u64 {
        self.first_missing.map_or(0, |missing| self.bytes_but(missing))
    }

    /// Bytes of the image.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.image.len() as u64
    }

    /// Bytes of the image but for so many whole chunks.
    fn bytes_but(&self, missing: u32) -> u64 {
        self.size().saturating_sub(u64::from(missing) * CHUNK as u64)
    }

    /// When the loader was heard last; 0: never.
    #[must_use]
    pub fn heard(&self) -> u64 {
        self.heard
    }

    /// Check of the image.
    #[must_use]
    pub fn check(&self) -> u32 {
        self.check
    }

    fn chunks(&self) -> u32 {
        self.image.len().div_ceil(CHUNK) as u32
    }

    fn frame(&mut self, frame: &Frame<'_>, now: u64) {
        if !matches!(frame.kind, kind::HELLO | kind::NEED | kind::VERDICT) {
            return;
        }
        (self.heard, self.last) = (now, Some(now));
        match frame.kind {
            kind::HELLO if self.state == State::Knocking => match Hello::load(frame.payload) {
                Some(hello) if hello.version == VERSION => {
                    self.state = State::Sending;
                    self.offer();
                }
                Some(hello) => self.state = State::OtherVersion(hello.version),
                None => {}
            },
            kind::NEED if frame.transfer == self.check && self.state == State::Sending => {
                self.need(frame.number, frame.payload);
            }
            kind::VERDICT if frame.transfer == self.check && self.state != State::Knocking => {
                if let Some(verdict) = frame.payload.first().and_then(|number| Verdict::of(*number)) {
                    self.state = State::Done(verdict);
                    self.out.clear();
                    if verdict == Verdict::Whole {
                        (self.missing, self.asked) = (Some(0), 0);
                        self.first_missing.get_or_insert(0);
                        // One may be lost; the loader starts it in a second in any case.
                        self.say(kind::START, 0, &[]);
                        self.say(kind::START, 0, &[]);
                    }
                }
            }
            _ => {}
        }
    }

    /// Sends what a request asks for, once.
    fn need(&mut self, number: u32, payload: &[u8]) {
        let word = |bytes: &[u8], at: usize| bytes[at..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        let Some((head, ranges)) = payload.split_at_checked(8) else { return };
        if self.answered == Some(number) {
            return;
        }
        self.answered = Some(number);
        let missing = word(head, 0).min(self.chunks());
        self.missing = Some(missing);
        self.first_missing.get_or_insert(missing);
        let mut left = WINDOW;
        for range in ranges.chunks_exact(8).take(RANGES_MAX) {
            let (first, last) = (word(range, 0), word(range, 4).min(self.chunks().saturating_sub(1)));
            for index in first..=last {
                if left == 0 {
                    break;
                }
                left -= 1;
                let begin = index as usize * CHUNK;
                let (kind, payload) = coded(&mut self.model, &self.image[begin..self.image.len().min(begin + CHUNK)]);
                self.say(kind, index, &payload);
            }
        }
        self.asked = WINDOW - left;
        self.say(kind::END, number, &[]);
    }

    fn offer(&mut self) {
        self.answered = None;
        let mut payload = (self.image.len() as u32).to_le_bytes().to_vec();
        payload.extend(&self.append);
        self.say(kind::OFFER, 0, &payload);
    }

    fn say(&mut self, kind: u8, number: u32, payload: &[u8]) {
        let mut whole = vec![0; body::MAX];
        whole[body::PAYLOAD..body::PAYLOAD + payload.len()].copy_from_slice(payload);
        let mut out = vec![0; FRAME_MAX];
        let size = frame::write(&mut whole, kind, self.check, number, payload.len(), &mut out);
        self.out.extend(&out[..size]);
    }
}

/// Type and payload of the frame that brings this chunk: packed, or as it is where that is shorter.
fn coded(model: &mut Model, chunk: &[u8]) -> (u8, Vec<u8>) {
    // The loader puts zeros at the end back.
    let plain = chunk.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut packed = vec![0; plain];
    let (check, room) = packed.split_at_mut(plain.min(size_of::<u32>()));
    match model.pack(chunk, room) {
        Some(size) => {
            check.copy_from_slice(&crc(chunk).to_le_bytes());
            packed.truncate(size_of::<u32>() + size);
            (kind::PACKED, packed)
        }
        None => (kind::DATA, chunk[..plain].to_vec()),
    }
}

fn crc(bytes: &[u8]) -> u32 {
    !Table.bytes(!0, bytes)
}

/// A verdict in words.
#[must_use]
pub fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Whole => "all of it is there",
        Verdict::BadSize => "the loader has no room for an image of this size",
        Verdict::BadAppend => "the loader does not take these words for the command line",
        Verdict::BadCheck => "all chunks came, and yet their check is wrong: push it again",
        Verdict::NoImage => {
            "it does not begin with the arm64 Image header: push the kernel's ELF file or its flat Image"
        }
        Verdict::BadHeader => {
            "its header asks for what the loader does not give: big endian, pages of another size than 4 KiB, \
             or more than 8 MiB of memory"
        }
        Verdict::BadChunk => {
            "what it was sent does not unpack to what it should: its memory may lose bits; reset the board and push again"
        }
    }
}

/// Bytes that go over the line for an image, when nothing is lost.
#[must_use]
pub fn line_bytes(image: &[u8], append: &str) -> u64 {
    let Ok(mut pusher) = Pusher::new(image.to_vec(), append) else { return 0 };
    pusher.offer();
    let chunks = pusher.chunks();
    for (number, first) in (0..chunks).step_by(WINDOW as usize).enumerate() {
        let words = [chunks - first, chunks, first, (first + WINDOW).min(chunks) - 1];
        pusher.need(number as u32, words.map(u32::to_le_bytes).as_flattened());
    }
    pusher.out.len() as u64
}
