//! A machine's RAM as a file that both QEMU and a test look at: to fill it before a run, to see what is in it while the
//! guest runs, to carry it from one run to the next, as a warm reboot does.

use anyhow::{Context, Result, bail};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// RAM that outlives the machine; all zeros at first. Addresses are physical ones of the machine.
#[derive(Debug)]
pub struct Ram {
    path: PathBuf,
    file: File,
    base: u64,
    size: u64,
}

impl Ram {
    /// RAM of `size` bytes from physical address `base` on: for a machine of that memory size and board.
    ///
    /// It is memory of this process, which takes as much room as is written to, and goes with it; whom it starts opens it by its
    /// path. On a disk each page that the guest writes would be accounted for by the file system: with all of 1 GiB written,
    /// that costs more than the guest.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn new(base: u64, size: u64) -> Result<Self> {
        let advice = "the machine's RAM cannot be made: free some memory";
        let file = File::from(memfd_create("afterglow-ram", MemfdFlags::CLOEXEC).context(advice)?);
        file.set_len(size).context(advice)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into();
        Ok(Self { path, file, base, size })
    }

    /// The same in a file that stays: made if it is not there, else as large as it must be.
    ///
    /// # Errors
    /// The file cannot be opened or made, or is of another size.
    pub(crate) fn kept(path: &Path, base: u64, size: u64) -> Result<Self> {
        let name = || format!("the machine's RAM in {}", path.display());
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).with_context(name)?;
        let there = file.metadata().with_context(name)?.len();
        if there != 0 && there != size {
            bail!("{} is {there} bytes, and must be {size}: another file, or --memory", path.display());
        }
        file.set_len(size).with_context(name)?;
        let path = path.canonicalize().with_context(name)?;
        Ok(Self { path, file, base, size })
    }

    /// Copies out what the guest would read from `address` on, if it had no cache.
    ///
    /// # Errors
    /// That is not all RAM.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<()> {
        let at = self.offset(address, bytes.len())?;
        self.file.read_exact_at(bytes, at).context("the machine's RAM cannot be read")
    }

    /// As [`Ram::read`], into a new vector of `size` bytes.
    ///
    /// # Errors
    /// That is not all RAM.
    pub fn read_range(&self, address: u64, size: usize) -> Result<Vec<u8>> {
        self.offset(address, size)?;
        let mut bytes = vec![0; size];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes from `address` on. A guest that runs sees it at any moment.
    ///
    /// # Errors
    /// That is not all RAM.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<()> {
        let at = self.offset(address, bytes.len())?;
        self.file.write_all_at(bytes, at).context("the machine's RAM cannot be written: free some memory or space")
    }

    /// First address.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn offset(&self, address: u64, size: usize) -> Result<u64> {
        let offset = address.checked_sub(self.base);
        match offset.filter(|offset| offset.checked_add(size as u64).is_some_and(|end| end <= self.size)) {
            Some(offset) => Ok(offset),
            None => bail!(
                "{size} bytes at {address:#x} are not RAM of this machine, which is {:#x}..{:#x}",
                self.base,
                self.base + self.size
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_is_an_error_that_says_where_the_ram_is() {
        let ram = Ram::new(0x4000_0000, 4096).unwrap();
        ram.write(0x4000_0ffe, &[1, 2]).unwrap();
        assert_eq!(ram.read_range(0x4000_0ffd, 3).unwrap(), [0, 1, 2]);
        for (address, size) in [(0x3fff_ffff, 1), (0x4000_0fff, 2), (u64::MAX, 2), (0x4000_0000, usize::MAX)] {
            let error = ram.read_range(address, size).unwrap_err().to_string();
            assert!(error.contains("0x40000000..0x40001000"), "{error}");
        }
    }
}
