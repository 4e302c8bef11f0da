//! The writing, and the proof that what was written is there.

use super::disk::{Disk, System};
use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// So much is written or read at a time; a multiple of every disk's sector.
const PIECE: usize = 1 << 20;

/// What direct reads want their memory to begin at a multiple of.
const ALIGNED: usize = 4096;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The image goes to the device.
    Write,
    /// It comes back and is compared.
    Verify,
}

/// A device that may be written.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    file: File,
}

impl Target {
    /// Opens a disk, alone: as long as it is open nobody mounts it, and one that is mounted is not opened.
    ///
    /// # Errors
    /// It is in use, or belongs to somebody else.
    pub fn open(system: &System, disk: &Disk) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true);
        if system.is_real() {
            // Of a device that is there, O_EXCL means: nobody else. Linux, open(2).
            options.custom_flags(OFlags::EXCL.bits().cast_signed());
        }
        let name = disk.path.display();
        match options.open(&disk.path) {
            Ok(file) => Ok(Self { path: disk.path.clone(), file }),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                bail!("{name} is root's: run this with sudo, or join the group that the device file belongs to")
            }
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                bail!("{name} is in use: unmount what is on it, and close what looks at it")
            }
            Err(error) => Err(error).with_context(|| format!("{name} cannot be opened")),
        }
    }
}

/// Writes an image, and waits until the device has it.
///
/// # Errors
/// The device fails: it says where.
pub fn write(image: &[u8], target: &mut Target, progress: &mut dyn FnMut(Phase, u64)) -> Result<()> {
    let name = target.path.display().to_string();
    let mut at = 0;
    for piece in image.chunks(PIECE) {
        let failed = || format!("{name} failed at {at:#x}: it is half written now, try another card");
        target.file.write_all(piece).with_context(failed)?;
        // Now and then, so that the progress is the device's and not the page cache's.
        target.file.sync_data().with_context(failed)?;
        at += piece.len() as u64;
        progress(Phase::Write, at);
    }
    target.file.sync_all().with_context(|| format!("{name} does not keep what it was given: try another card"))
}

/// Reads everything back from the device itself, and compares it.
///
/// # Errors
/// Something differs: the first place, and how much. Or the device cannot be read.
pub fn verify(image: &[u8], target: &Target, progress: &mut dyn FnMut(Phase, u64)) -> Result<()> {
    let mut file =
        past_the_cache(&target.path).with_context(|| format!("{} cannot be read back", target.path.display()))?;
    let mut memory = vec![0; PIECE + ALIGNED];
    let begin = memory.as_ptr().align_offset(ALIGNED).min(ALIGNED);
    let mut at = 0;
    let mut different: Option<(usize, u8, u8)> = None;
    let mut count = 0_u64;
    for piece in image.chunks(PIECE) {
        // Direct reads are of whole sectors: of the last piece too, and what is too much is not looked at.
        let size = piece.len().next_multiple_of(ALIGNED);
        let there = read_up_to(&mut file, &mut memory[begin..begin + size])
            .with_context(|| format!("{} cannot be read back at {at:#x}", target.path.display()))?;
        let there = &memory[begin..begin + there.min(piece.len())];
        count += (piece.len() - there.len()) as u64;
        if there.len() < piece.len() && different.is_none() {
            bail!(
                "{} ends at {:#x}: it is smaller than it says, throw it away",
                target.path.display(),
                at + there.len()
            );
        }
        if there != piece {
            for (offset, (wanted, is)) in piece.iter().zip(there).enumerate().filter(|(_, (wanted, is))| wanted != is) {
                different.get_or_insert((at + offset, *wanted, *is));
                count += 1;
            }
        }
        at += piece.len();
        progress(Phase::Verify, at as u64);
    }
    match different {
        None => Ok(()),
        Some((first, wanted, is)) => bail!(
            "{} did not keep what was written: {count} bytes differ, the first at {first:#x} ({is:#04x} instead of {wanted:#04x}): \
             write it again, or take another card",
            target.path.display()
        ),
    }
}

/// Opens what reads from the device and not from what the kernel remembers of it.
fn past_the_cache(path: &Path) -> std::io::Result<File> {
    let direct = OpenOptions::new().read(true).custom_flags(OFlags::DIRECT.bits().cast_signed()).open(path);
    match direct {
        // Some file systems cannot. Then the kernel is asked to forget.
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            let file = File::open(path)?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
            Ok(file)
        }
        other => other,
    }
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(more) => {
                done += more;
                // A direct read that ends within a sector is the file's end.
                if !done.is_multiple_of(512) {
                    break;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
