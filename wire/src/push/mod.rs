#![doc = include_str!("../../PUSH.md")]

mod packed;
mod receive;
mod store;

pub use packed::Model;
pub use receive::{Line, Receiver, Stage};
pub use store::{APPEND_MAX, CHUNK, CHUNKS, DATA, LIMIT, Persist, STORE_SIZE, Store};

/// Version of the talk.
pub const VERSION: u8 = 2;
/// Most bytes of memory that a kernel may need from the 2 MiB boundary before it.
pub const MEMORY: u32 = 8 << 20;
/// Ranges of chunks in a request.
pub const RANGES_MAX: usize = 32;
/// Chunks that are asked for at once: three seconds of a line at 115200 baud at most, so little is sent in vain.
pub const WINDOW: u32 = 8;

/// Types of frames, beside those of [`crate::frame::kind`].
pub mod kind {
    /// Host: is a loader there?
    pub const KNOCK: u8 = 32;
    /// Loader: yes, and this is what it has.
    pub const HELLO: u8 = 33;
    /// Host: a kernel of this size and check, with these words for its command line.
    pub const OFFER: u8 = 34;
    /// Loader: send these chunks.
    pub const NEED: u8 = 35;
    /// Host: a chunk as it is.
    pub const DATA: u8 = 36;
    /// Host: that was all that the request asked for.
    pub const END: u8 = 37;
    /// Loader: what became of the offer.
    pub const VERDICT: u8 = 38;
    /// Host: start it.
    pub const START: u8 = 39;
    /// Host: a chunk, packed.
    pub const PACKED: u8 = 40;
}

/// What a loader has and can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u8,
    /// Whether what it has is whole.
    pub whole: bool,
    /// Bytes of a chunk.
    pub chunk: u32,
    /// Bytes of the largest image.
    pub limit: u32,
    /// Bytes of the image that it has, or has begun with; 0: none.
    pub size: u32,
    /// CRC-32C of that.
    pub check: u32,
}

impl Hello {
    /// Bytes of its payload.
    pub const SIZE: usize = 20;

    /// Its payload.
    #[must_use]
    pub fn store(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let words = [self.chunk, self.limit, self.size, self.check];
        let (head, rest) = bytes.split_at_mut(4);
        head.copy_from_slice(&[self.version, u8::from(self.whole), 0, 0]);
        for (to, word) in rest.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// What a payload says.
    #[must_use]
    pub fn load(payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::SIZE] = payload.first_chunk()?;
        let version = bytes[0];
        let whole = bytes[1] == 1;
        Some(Self {
            version,
            whole,
            chunk: word(bytes, 4)?,
            limit: word(bytes, 8)?,
            size: word(bytes, 12)?,
            check: word(bytes, 16)?,
        })
    }
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// All is there and checked: it starts when the host says so, or soon.
    Whole = 0,
    /// More bytes than there is room for, or none.
    BadSize = 1,
    /// More words for the command line than there is room for, or not plain ASCII.
    BadAppend = 2,
    /// Every chunk came, and yet their check is not the one offered.
    BadCheck = 3,
    /// It does not begin as an arm64 Image.
    NoImage = 4,
    /// Its header asks for what this loader does not give: big endian, other pages, too much memory.
    BadHeader = 5,
    /// What came for a chunk does not unpack to it.
    BadChunk = 6,
}

impl Verdict {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Whole, Self::BadSize, Self::BadAppend, Self::BadCheck, Self::NoImage, Self::BadHeader, Self::BadChunk];

    /// The one with this number.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Whether this begins as an image that a loader can start: `Whole`, or why not.
#[must_use]
pub fn judge(image: &[u8]) -> Verdict {
    let double = |at: usize| image.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let (Some(text_offset), Some(size), Some(flags), Some(b"ARM\x64")) =
        (double(8), double(16), double(24), image.get(56..60))
    else {
        return Verdict::NoImage;
    };
    // Little endian; pages of 4 KiB, or none in particular.
    let flags_fit = flags & 1 == 0 && matches!(flags >> 1 & 3, 0 | 1);
    let end = text_offset.checked_add(size.max(image.len() as u64));
    match end {
        Some(end) if flags_fit && size > 0 && text_offset < 2 << 20 && end <= u64::from(MEMORY) => Verdict::Whole,
        _ => Verdict::BadHeader,
    }
}

/// The offset behind a 2 MiB boundary at which an image wants to be, that [`judge`] called fit.
#[must_use]
pub fn text_offset(image: &[u8]) -> usize {
    image.get(8..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes) as usize)
}

/// Whether these bytes may be put on a command line.
#[must_use]
pub fn append_is_fit(append: &[u8]) -> bool {
    append.len() <= APPEND_MAX && append.iter().all(|byte| (b' '..=b'~').contains(byte))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}
