//! Frames: bodies that are checked, escaped, and stand between two marks.

use ring::check::{Crc32c, Table};

/// Begins a body.
pub const START: u8 = 0x02;
/// Ends it.
pub const END: u8 = 0x03;
/// The next byte is meant with bit 6 turned over.
pub const ESCAPE: u8 = 0x10;
/// What an escaped byte is turned over by.
const TURNED: u8 = 0x40;

/// What a body never has but escaped, by number: NUL, the marks, line ends, flow control, the beginning of control sequences.
const ESCAPED: u32 =
    1 | 1 << START | 1 << END | 1 << b'\n' | 1 << b'\r' | 1 << ESCAPE | 1 << 0x11 | 1 << 0x13 | 1 << 0x1b;

const _: () = assert!((START as u32) < u32::BITS && (END as u32) < u32::BITS && (ESCAPE as u32) < u32::BITS);

/// Where in a body what stands.
pub mod body {
    /// u8: one of [`super::kind`].
    pub const TYPE: usize = 0;
    /// u32: boot id of the bank.
    pub const TRANSFER: usize = 1;
    /// u32: number of the page.
    pub const NUMBER: usize = 5;
    /// The payload.
    pub const PAYLOAD: usize = 9;
    /// Bytes of the check behind the payload.
    pub const CHECK_SIZE: usize = 4;
    /// Most bytes of payload.
    pub const PAYLOAD_MAX: usize = 4096;
    /// Most bytes of a body.
    pub const MAX: usize = PAYLOAD + PAYLOAD_MAX + CHECK_SIZE;
}

const _: () = assert!(body::TYPE + 1 == body::TRANSFER);
const _: () = assert!(body::TRANSFER + 4 == body::NUMBER);
const _: () = assert!(body::NUMBER + 4 == body::PAYLOAD);

/// Types of frames.
pub mod kind {
    /// What comes.
    pub const PLAN: u8 = 1;
    /// The same once more, and now the target listens.
    pub const PROMPT: u8 = 2;
    /// A page, compressed.
    pub const CODED: u8 = 3;
    /// A page as it is.
    pub const PLAIN: u8 = 4;
    /// Pages to be sent once more.
    pub const AGAIN: u8 = 5;
    /// All is there.
    pub const DONE: u8 = 6;
}

/// Most bytes of a frame: all of its body escaped, and the marks.
pub const FRAME_MAX: usize = 2 * body::MAX + 2;

/// A frame that verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// One of [`kind`], or one of a later version.
    pub kind: u8,
    /// Boot id of the bank.
    pub transfer: u32,
    /// Number of the page.
    pub number: u32,
    /// What else it says.
    pub payload: &'a [u8],
}

fn check(bytes: &[u8]) -> [u8; body::CHECK_SIZE] {
    (!Table.bytes(!0, bytes)).to_le_bytes()
}

impl<'a> Frame<'a> {
    /// The frame whose body this is; `None` where it does not verify.
    #[must_use]
    pub fn of(whole: &'a [u8]) -> Option<Self> {
        let (bytes, found) = whole.split_last_chunk()?;
        let (head, payload) = bytes.split_first_chunk::<{ body::PAYLOAD }>()?;
        if check(bytes) != *found {
            return None;
        }
        let [kind, t0, t1, t2, t3, n0, n1, n2, n3] = *head;
        let (transfer, number) = (u32::from_le_bytes([t0, t1, t2, t3]), u32::from_le_bytes([n0, n1, n2, n3]));
        Some(Self { kind, transfer, number, payload })
    }
}

/// Writes the frame into `out` whose payload stands in `whole`, so many bytes of it from [`body::PAYLOAD`] on; fills in the
/// rest. Returns its size; 0 where there is too little room.
pub fn write(whole: &mut [u8], kind: u8, transfer: u32, number: u32, payload: usize, out: &mut [u8]) -> usize {
    let Some(whole) = whole.get_mut(..body::PAYLOAD + payload + body::CHECK_SIZE) else { return 0 };
    let Some((bytes, sum)) = whole.split_last_chunk_mut() else { return 0 };
    let Some(head) = bytes.first_chunk_mut::<{ body::PAYLOAD }>() else { return 0 };
    let ([t0, t1, t2, t3], [n0, n1, n2, n3]) = (transfer.to_le_bytes(), number.to_le_bytes());
    *head = [kind, t0, t1, t2, t3, n0, n1, n2, n3];
    *sum = check(bytes);
    let mut size = 0;
    let mut put = |byte: u8| {
        if let Some(to) = out.get_mut(size) {
            *to = byte;
        }
        size += 1;
    };
    put(START);
    for byte in whole {
        if *byte < 32 && ESCAPED >> *byte & 1 == 1 {
            put(ESCAPE);
            put(*byte ^ TURNED);
        } else {
            put(*byte);
        }
    }
    put(END);
    if size <= out.len() { size } else { 0 }
}

/// What a byte of the line turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// No part of a frame.
    Text(u8),
    /// A part of one that goes on.
    Within,
    /// The last of one: so many bytes of the buffer are its body, if that verifies.
    Body(usize),
    /// What had begun is no frame: it had so many bytes.
    Broken(usize),
}

/// Finds frames among the bytes of a line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader {
    within: bool,
    escaped: bool,
    len: usize,
}

impl Reader {
    /// One that is outside of any frame.
    pub const NEW: Self = Self { within: false, escaped: false, len: 0 };

    /// Takes the next byte. The body is gathered in `buffer`; a body that exceeds it is broken.
    pub fn take(&mut self, byte: u8, buffer: &mut [u8]) -> Read {
        let Self { within, escaped, len } = *self;
        if byte == START {
            *self = Self { within: true, ..Self::NEW };
            return if within && len > 0 { Read::Broken(len) } else { Read::Within };
        }
        if !within {
            return Read::Text(byte);
        }
        if byte == END {
            *self = Self::NEW;
            return if escaped { Read::Broken(len) } else { Read::Body(len) };
        }
        if byte == ESCAPE {
            self.escaped = true;
            return Read::Within;
        }
        self.escaped = false;
        let Some(to) = buffer.get_mut(len) else {
            *self = Self::NEW;
            return Read::Broken(len);
        };
        *to = if escaped { byte ^ TURNED } else { byte };
        self.len += 1;
        Read::Within
    }

    /// Bytes of a frame that has not ended.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.len
    }
}
