//! The image of a card: an MBR, one FAT32 partition, files. The same files give the same bytes, on any day and any machine.

use anyhow::{Context, Result, ensure};
use fatfs::{Date, DateTime, FatType, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider, format_volume};
use mbrman::{BOOT_ACTIVE, CHS, MBR, MBRPartitionEntry};
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Bytes of a card's image: room for every firmware's files, and small enough to be written in a moment.
pub const SIZE: u64 = 64 << 20;

/// Bytes of a sector.
pub const SECTOR: u32 = 512;

/// Where the partition begins, in sectors: 1 MiB, which every card's erase block divides or is divided by.
pub const PARTITION_AT: u32 = 2048;

/// FAT32 with block addresses: what every boot ROM and U-Boot reads.
const PARTITION_TYPE: u8 = 0x0c;

/// With clusters of a sector even 63 MiB are enough of them to be FAT32, and not FAT16 under a wrong type.
const CLUSTER: u32 = SECTOR;

/// Fixed, so that two images of the same files are the same: "AFGL".
const SIGNATURE: [u8; 4] = *b"AFGL";
const VOLUME_ID: u32 = u32::from_be_bytes(SIGNATURE);
const LABEL: [u8; 11] = *b"AFTERGLOW  ";

/// The time of every file: the same, whenever the card is made.
#[derive(Debug)]
struct NoTime;

impl TimeProvider for NoTime {
    fn get_current_date(&self) -> Date {
        Date { year: 2025, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime { date: self.get_current_date(), time: Time { hour: 0, min: 0, sec: 0, millis: 0 } }
    }
}

static NO_TIME: NoTime = NoTime;

/// A file of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path from the card's root, with `/` between directories.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
}

impl File {
    /// A file.
    pub fn new(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), content: content.into() }
    }
}

/// The image of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    bytes: Vec<u8>,
}

impl Card {
    /// Makes one of these files, in any order; directories are made as they are needed.
    ///
    /// # Errors
    /// The files do not fit, or a path is not one that FAT can have.
    pub fn new(files: &[File]) -> Result<Self> {
        let mut sorted: Vec<&File> = files.iter().collect();
        sorted.sort_by(|a, b| a.path.cmp(&b.path));
        let wanted: u64 = files.iter().map(|file| file.content.len() as u64).sum();
        ensure!(
            wanted < SIZE - (4 << 20),
            "the files are {} MiB and a card's image has {}: leave out what the board does not need",
            wanted >> 20,
            SIZE >> 20
        );
        let mut bytes = vec![0; usize::try_from(SIZE)?];
        let partition_at = u64::from(PARTITION_AT) * u64::from(SECTOR);
        let (before, partition) = bytes.split_at_mut(usize::try_from(partition_at)?);
        write_table(before).context("the partition table cannot be made")?;
        let mut partition = Cursor::new(partition);
        let format = FormatVolumeOptions::new()
            .fat_type(FatType::Fat32)
            .bytes_per_sector(u16::try_from(SECTOR)?)
            .bytes_per_cluster(CLUSTER)
            .total_sectors(sectors())
            .volume_id(VOLUME_ID)
            .volume_label(LABEL)
            .media(0xf8);
        format_volume(&mut partition, format).context("the file system cannot be made")?;
        partition.seek(SeekFrom::Start(0))?;
        let options = FsOptions::new().time_provider(&NO_TIME).update_accessed_date(false);
        let volume = FileSystem::new(partition, options).context("the file system cannot be opened")?;
        for file in sorted {
            write_file(&volume, file).with_context(|| format!("{:?} cannot be put onto the card", file.path))?;
        }
        volume.unmount().context("the file system cannot be finished")?;
        Ok(Self { bytes })
    }

    /// The image.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes it to a file, which is replaced as a whole or not at all. What is only zeros takes no room on the disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        const PIECE: usize = 64 << 10;
        let advice = || format!("{} cannot be written: name a place that can, and has 64 MiB free", path.display());
        let mut file = beside(path).with_context(advice)?;
        file.as_file().set_len(self.bytes.len() as u64).with_context(advice)?;
        for (at, piece) in self.bytes.chunks(PIECE).enumerate() {
            if piece.iter().any(|byte| *byte != 0) {
                file.seek(SeekFrom::Start((at * PIECE) as u64)).with_context(advice)?;
                file.write_all(piece).with_context(advice)?;
            }
        }
        file.persist(path).map_err(|error| error.error).with_context(advice)?;
        Ok(())
    }
}

/// A file that will take the place of this one.
pub(crate) fn beside(path: &Path) -> std::io::Result<NamedTempFile> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As any program makes a file; the umask takes from it.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    tempfile::Builder::new().permissions(mode).tempfile_in(directory)
}

/// Sectors of the partition: all behind its beginning.
fn sectors() -> u32 {
    (SIZE / u64::from(SECTOR)) as u32 - PARTITION_AT
}

fn write_table(before: &mut [u8]) -> Result<()> {
    let mut disk = Cursor::new(before);
    // mbrman asks how large the disk is, and sees only what is before the partition: the sectors are set by hand.
    let mut table = MBR::new_from(&mut disk, SECTOR, SIGNATURE)?;
    table[1] = MBRPartitionEntry {
        boot: BOOT_ACTIVE,
        first_chs: CHS::new(1023, 254, 63), // "see the block address", as every tool of today writes it
        sys: PARTITION_TYPE,
        last_chs: CHS::new(1023, 254, 63),
        starting_lba: PARTITION_AT,
        sectors: sectors(),
    };
    table.write_into(&mut disk)?;
    Ok(())
}

fn write_file<T: fatfs::ReadWriteSeek>(volume: &FileSystem<T>, file: &File) -> Result<()> {
    let mut directory = volume.root_dir();
    let mut parts = file.path.split('/').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_some() {
            directory = directory.create_dir(part)?;
        } else {
            let mut entry = directory.create_file(part)?;
            entry.truncate()?;
            entry.write_all(&file.content)?;
            entry.flush()?;
        }
    }
    Ok(())
}
