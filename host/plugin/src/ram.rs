//! The machine's RAM, mapped a second time.

use cachesim::cache::Seen;
use cachesim::dram::Dram;
use memmap2::{MmapOptions, MmapRaw};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

/// From this size on, in bytes, memory is worth large pages.
const LARGE: usize = 64 << 20;
/// A large page of the host's.
const LARGE_PAGE: usize = 2 << 20;

/// Has the system take large pages for DRAM where most of it will be written: a fault for each small one costs more than what
/// is done with it, and the others wait meanwhile.
pub(crate) fn advise_large(dram: &Dram) {
    let (start, size) = dram.place();
    if size < LARGE {
        return;
    }
    let before = start.addr().wrapping_neg() % LARGE_PAGE;
    // SAFETY: inside of what the allocator gave us for the words, from a page on; advice changes nothing that is there. A system
    // that does not take it goes on as before.
    unsafe { libc::madvise(start.byte_add(before).cast_mut().cast(), size - before, libc::MADV_HUGEPAGE) };
}

/// A range of RAM. Cores write it at any moment, so it is only copied from and to, never borrowed.
#[derive(Debug)]
pub(crate) struct Ram {
    file: File,
    map: MmapRaw,
    /// The physical address of its first byte.
    base: u64,
}

impl Ram {
    /// Maps a whole file as RAM from `base` on.
    pub(crate) fn new(path: &str, base: u64) -> Result<Self, String> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|why| format!("ram={path}: {why}"))?;
        let map = MmapOptions::new().map_raw(&file).map_err(|why| format!("ram={path}: {why}"))?;
        Ok(Self { file, map, base })
    }

    /// Where `size` bytes from a physical address on are; None where they are not all RAM.
    fn at(&self, address: u64, size: usize) -> Option<*mut u8> {
        let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
        // SAFETY: inside the map.
        (offset.checked_add(size)? <= self.map.len()).then(|| unsafe { self.map.as_mut_ptr().add(offset) })
    }

    /// Whether there is RAM of this size.
    pub(crate) fn has(&self, address: u64, size: u64) -> bool {
        usize::try_from(size).is_ok_and(|size| self.at(address, size).is_some())
    }

    /// Copies out by way of the file: RAM that nobody has written yet takes no room by being looked at.
    pub(crate) fn read_file(&self, address: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, address.wrapping_sub(self.base))
    }

    /// Copies out; false where that is not all RAM.
    pub(crate) fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let Some(from) = self.at(address, bytes.len()) else { return false };
        // SAFETY: inside the map. Cores may store meanwhile: the copy may be torn, as any observer's would be.
        unsafe { std::ptr::copy_nonoverlapping(from.cast_const(), bytes.as_mut_ptr(), bytes.len()) };
        true
    }

    /// Copies in; false where that is not all RAM.
    pub(crate) fn write(&self, address: u64, bytes: &[u8]) -> bool {
        let Some(to) = self.at(address, bytes.len()) else { return false };
        // SAFETY: inside the map; `bytes` is memory of our own.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        true
    }
}

/// A part of RAM, which begins at a physical address: as the cores see it. What is outside of RAM is neither read nor written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) ram: &'a Ram,
    pub(crate) start: u64,
}

impl Seen for Part<'_> {
    fn read(&self, at: usize, to: &mut [u8]) {
        self.ram.read(self.start + at as u64, to);
    }

    fn write(&mut self, at: usize, from: &[u8]) {
        self.ram.write(self.start + at as u64, from);
    }
}
