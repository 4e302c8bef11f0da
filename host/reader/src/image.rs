//! The bytes of an input: a file mapped privately, so that its size costs no memory and repairs stay ours.

use memmap2::{MmapMut, MmapOptions};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest input that is read.
pub const SIZE_MAX: u64 = 64 << 30;

/// An input's bytes.
#[derive(Debug)]
pub struct Image {
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Mapped(MmapMut),
    Held(Vec<u8>),
}

impl Image {
    /// Opens a file, or what a pipe delivers; `-` is the standard input.
    ///
    /// # Errors
    /// It cannot be read, or is larger than [`SIZE_MAX`].
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Self::spool(&mut io::stdin().lock());
        }
        let mut file = File::open(path)?;
        let about = file.metadata()?;
        if about.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
        }
        if !about.is_file() {
            return Self::spool(&mut file);
        }
        Self::map(&file, about.len())
    }

    /// What comes until its end, through a temporary file: it may be large.
    ///
    /// # Errors
    /// It cannot be read, no temporary file can be written, or it is larger than [`SIZE_MAX`].
    pub fn spool(input: &mut dyn Read) -> io::Result<Self> {
        let mut file = tempfile::tempfile()?;
        let size = io::copy(&mut input.take(SIZE_MAX + 1), &mut file)?;
        Self::map(&file, size)
    }

    fn map(file: &File, size: u64) -> io::Result<Self> {
        if size > SIZE_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 GiB"));
        }
        if size == 0 {
            return Ok(Self::of(Vec::new()));
        }
        // SAFETY: the mapping is private, so what is written stays here. Who cuts the file off while it is read makes this
        // process die, and who writes into it makes bytes change that nobody believes before they verify.
        let bytes = unsafe { MmapOptions::new().map_copy(file) }?;
        // All of it is going to be looked at: once instead of page by page. A kernel that cannot does it page by page.
        let _ = bytes.advise(memmap2::Advice::PopulateRead);
        Ok(Self { bytes: Bytes::Mapped(bytes) })
    }

    /// Bytes that are at hand.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { bytes: Bytes::Held(bytes) }
    }

    /// The same with zeros up to a size.
    pub(crate) fn padded(&self, size: u64) -> Self {
        let mut bytes = self.bytes().to_vec();
        bytes.resize(size as usize, 0);
        Self::of(bytes)
    }

    /// All of them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(bytes) => bytes,
            Bytes::Held(bytes) => bytes,
        }
    }

    /// All of them, to be put right.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.bytes {
            Bytes::Mapped(bytes) => bytes,
            Bytes::Held(bytes) => bytes,
        }
    }
}
