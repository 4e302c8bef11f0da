//! Where a loader keeps a kernel: memory that a warm reset leaves alone, and in which nothing is believed without its check.

use ring::check::{Crc32c, Table};

use super::{Model, Verdict, judge, word};

/// Bytes of a store.
pub const STORE_SIZE: usize = 4 << 20;
/// Bytes of a chunk.
pub const CHUNK: usize = 4096;
/// Most bytes of words for the command line.
pub const APPEND_MAX: usize = 1024;
/// Most chunks.
pub const CHUNKS: usize = (STORE_SIZE - DATA) / CHUNK;
/// Most bytes of an image.
pub const LIMIT: u32 = (CHUNKS * CHUNK) as u32;
/// Where the image begins.
pub const DATA: usize = 8 << 10;

/// Identifies a store, with the version of its layout.
const MAGIC: &[u8; 8] = b"AGPUSH02";
const SIZE: usize = 8;
const CHECK: usize = 12;
const APPEND_SIZE: usize = 16;
const APPEND: usize = 20;
/// CRC-32C of all before.
const HEADER_CHECK: usize = APPEND + APPEND_MAX;
/// One word for each chunk: 0, not there; else what [`mark`] says of it.
const MARKS: usize = 2048;

const _: () = assert!(HEADER_CHECK + 4 <= MARKS && MARKS + 4 * CHUNKS <= DATA);

/// Brings a part of the store to memory for good.
pub trait Persist {
    /// So many bytes from this offset on.
    fn persist(&mut self, store: &[u8], offset: usize, size: usize);
}

/// A store, over its memory.
#[derive(Debug)]
pub struct Store<'a, P> {
    memory: &'a mut [u8; STORE_SIZE],
    model: &'a mut Model,
    persist: P,
    /// From the header, once that verified; the image's size is then within [`LIMIT`].
    size: u32,
    check: u32,
    append: u32,
}

fn crc(bytes: &[u8]) -> u32 {
    !Table.bytes(!0, bytes)
}

/// A chunk's check, never 0.
fn mark(bytes: &[u8]) -> u32 {
    crc(bytes).max(1)
}

impl<'a, P: Persist> Store<'a, P> {
    /// Looks at what the memory holds.
    pub fn open(memory: &'a mut [u8; STORE_SIZE], model: &'a mut Model, persist: P) -> Self {
        let head = &memory[..MARKS];
        let field = |at| word(head, at).unwrap_or(0);
        let (size, check, append) = (field(SIZE), field(CHECK), field(APPEND_SIZE));
        let holds = head.starts_with(MAGIC)
            && crc(&head[..HEADER_CHECK]) == field(HEADER_CHECK)
            && (1..=LIMIT).contains(&size)
            && append as usize <= APPEND_MAX;
        let (size, check, append) = if holds { (size, check, append) } else { (0, 0, 0) };
        let mut store = Self { memory, model, persist, size, check, append };
        // What a reset or a bit error took is asked for again.
        for index in 0..store.chunks() {
            let is = mark(store.chunk(index));
            let said = store.mark_of(index);
            if said != 0 && said != is {
                store.set_mark(index, 0);
            }
        }
        store
    }

    /// Size and check of the image, and 0 where there is none.
    #[must_use]
    pub fn id(&self) -> (u32, u32) {
        (self.size, self.check)
    }

    /// Words for the command line.
    #[must_use]
    pub fn append(&self) -> &[u8] {
        &self.memory[APPEND..APPEND + self.append as usize]
    }

    /// The image, as far as it is there.
    #[must_use]
    pub fn image(&self) -> &[u8] {
        &self.memory[DATA..DATA + self.size as usize]
    }

    /// Number of chunks of the image.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        self.size.div_ceil(CHUNK as u32)
    }

    /// Number of chunks that are not there.
    #[must_use]
    pub fn missing(&self) -> u32 {
        (0..self.chunks()).filter(|index| !self.has(*index)).count() as u32
    }

    /// Whether this chunk is there.
    #[must_use]
    pub fn has(&self, index: u32) -> bool {
        self.mark_of(index) != 0
    }

    /// What to think of the image now that all chunks are there.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.size == 0 || self.missing() > 0 || crc(self.image()) != self.check {
            return Verdict::BadCheck;
        }
        judge(self.image())
    }

    /// Takes an offer. What is there of the same image stays.
    pub fn begin(&mut self, size: u32, check: u32, append: &[u8]) {
        if self.id() != (size, check) {
            // First the old image ends: at no moment does a header stand before the marks of another image.
            self.memory[..8].fill(0);
            self.written(0, 8);
            self.memory[MARKS..DATA].fill(0);
            self.written(MARKS, DATA - MARKS);
        } else if self.append() == append {
            return;
        }
        (self.size, self.check, self.append) = (size, check, append.len() as u32);
        let head = &mut self.memory[..MARKS];
        head.fill(0);
        head[..8].copy_from_slice(MAGIC);
        head[SIZE..CHECK].copy_from_slice(&size.to_le_bytes());
        head[CHECK..APPEND_SIZE].copy_from_slice(&check.to_le_bytes());
        head[APPEND_SIZE..APPEND].copy_from_slice(&self.append.to_le_bytes());
        head[APPEND..APPEND + append.len()].copy_from_slice(append);
        let sum = crc(&head[..HEADER_CHECK]);
        head[HEADER_CHECK..HEADER_CHECK + 4].copy_from_slice(&sum.to_le_bytes());
        self.written(0, MARKS);
    }

    /// Forgets what it has.
    pub fn clear(&mut self) {
        (self.size, self.check, self.append) = (0, 0, 0);
        self.memory[..8].fill(0);
        self.written(0, 8);
    }

    /// Takes a chunk as it is; the zeros at its end may have been left out. Whether it is one.
    pub fn put(&mut self, index: u32, bytes: &[u8]) -> bool {
        if index >= self.chunks() || bytes.len() > self.chunk(index).len() {
            return false;
        }
        let at = DATA + index as usize * CHUNK;
        let size = self.chunk(index).len();
        let (head, tail) = self.memory[at..at + size].split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        tail.fill(0);
        self.written(at, size);
        let mark = mark(self.chunk(index));
        self.set_mark(index, mark);
        true
    }

    /// Puts what came for a chunk, its check and its packed bytes, where the chunk will be: it is not there yet. Whether there
    /// is room.
    pub(super) fn keep_packed(&mut self, index: u32, bytes: &[u8]) -> bool {
        let at = DATA + index as usize * CHUNK;
        let fits = !self.has(index) && bytes.len() <= self.chunk(index).len();
        if fits {
            self.memory[at..at + bytes.len()].copy_from_slice(bytes);
        }
        fits
    }

    /// Unpacks so many bytes that [`Store::keep_packed`] kept. Whether the chunk is what its check says.
    pub(super) fn unpack(&mut self, index: u32, size: usize) -> bool {
        let at = DATA + index as usize * CHUNK;
        let kept = self.memory[..].get(at..at + size).and_then(<[u8]>::split_first_chunk);
        let Some((check, bytes)) = kept else { return false };
        let mut out = [0; CHUNK];
        let chunk = &mut out[..self.chunk(index).len()];
        self.model.unpack(bytes, chunk);
        crc(chunk) == u32::from_le_bytes(*check) && self.put(index, chunk)
    }

    fn chunk(&self, index: u32) -> &[u8] {
        let at = DATA + index as usize * CHUNK;
        let end = DATA + self.size as usize;
        &self.memory[at.min(end)..(at + CHUNK).min(end)]
    }

    fn mark_of(&self, index: u32) -> u32 {
        if index >= self.chunks() { 0 } else { word(&*self.memory, MARKS + 4 * index as usize).unwrap_or(0) }
    }

    fn set_mark(&mut self, index: u32, mark: u32) {
        let at = MARKS + 4 * index as usize;
        self.memory[at..at + 4].copy_from_slice(&mark.to_le_bytes());
        self.written(at, 4);
    }

    fn written(&mut self, offset: usize, size: usize) {
        self.persist.persist(&self.memory[..], offset, size);
    }
}
