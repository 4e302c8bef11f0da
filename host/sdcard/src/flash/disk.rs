//! A disk: its name, its size, what is on it, who uses it.

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// sysfs counts in sectors of this many bytes, whatever the disk's own are.
const SECTOR: u64 = 512;

/// Where a system tells what it has.
#[derive(Clone, Debug)]
pub struct System {
    root: PathBuf,
    is_real: bool,
}

/// A disk, or what was taken for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// The kernel's name for it: `sdb`.
    pub name: String,
    /// Its device file.
    pub path: PathBuf,
    /// Vendor and model, as it says itself.
    pub model: String,
    /// Bytes; 0 for a reader without a card.
    pub size: u64,
    /// The disk that this is only a partition of.
    pub partition_of: Option<String>,
    /// Its medium can be taken out, or it is on USB.
    pub is_removable: bool,
    /// It cannot be written.
    pub is_read_only: bool,
    /// What is on it.
    pub partitions: Vec<Partition>,
    /// Where it, or what is made of it, is mounted.
    pub mounts: Vec<Mount>,
    /// Swap on it, by name.
    pub swaps: Vec<String>,
    /// LVM, encryption, RAID and the like that are made of it.
    pub holders: Vec<String>,
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// The kernel's name for it: `sdb1`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its file system and label, as far as they are known by sight.
    pub content: Option<String>,
}

/// A place where something is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What: a disk, a partition, or what is made of it.
    pub name: String,
    /// Where.
    pub at: PathBuf,
}

impl System {
    /// The one that this runs on.
    #[must_use]
    pub fn real() -> Self {
        Self { root: "/".into(), is_real: true }
    }

    /// One that is told by the directories `sys`, `proc` and `dev` below this one, whose devices are plain files.
    #[must_use]
    pub fn told_by(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), is_real: false }
    }

    /// What a device file stands for. Links such as those of `/dev/disk/by-id` are followed.
    ///
    /// # Errors
    /// It is not there, or is no block device.
    pub fn disk(&self, device: &Path) -> Result<Disk> {
        let path = fs::canonicalize(device).with_context(|| {
            format!("{} is not there: lsblk lists the disks; is the reader plugged in?", device.display())
        })?;
        let name =
            path.file_name().and_then(|name| name.to_str()).context("the device's name is not in UTF-8")?.to_owned();
        let sys = self.block(&name);
        if self.is_real {
            let metadata = fs::metadata(&path).with_context(|| format!("{} cannot be looked at", path.display()))?;
            ensure!(
                metadata.file_type().is_block_device(),
                "{} is no block device, so no card is behind it: an image is copied to a file with cp",
                path.display()
            );
            // The name could be anybody's: what counts is the number.
            let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
            let known = number(&sys);
            ensure!(
                known.as_deref() == Some(&format!("{major}:{minor}")),
                "{} is device {major}:{minor}, and the kernel's {name} is another: use the device file that lsblk shows",
                path.display()
            );
        }
        ensure!(sys.exists(), "{name} is unknown to the kernel: lsblk lists the disks");
        self.read(name, path, &sys)
    }

    fn read(&self, name: String, path: PathBuf, sys: &Path) -> Result<Disk> {
        let whole = fs::canonicalize(sys).with_context(|| format!("{} cannot be read", sys.display()))?;
        let mut disk = Disk {
            model: model(&whole),
            size: size(sys)?,
            is_read_only: word(&sys.join("ro")).is_some_and(|word| word != "0"),
            is_removable: is_removable(&whole),
            ..Disk::default()
        };
        if sys.join("partition").exists() {
            let parent = whole.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
            disk.partition_of = Some(parent.unwrap_or_default());
        }
        // The disk, its partitions, and whatever is made of them, however deep.
        let mut users = vec![name.clone()];
        for name in names(sys) {
            let below = sys.join(&name);
            if below.join("partition").exists() {
                let content = content(&self.root.join("dev").join(&name));
                disk.partitions.push(Partition { size: size(&below)?, content, name: name.clone() });
                users.push(name);
            }
        }
        disk.partitions.sort_by_key(|partition| (partition.name.len(), partition.name.clone()));
        let mut at = 0;
        while let Some(user) = users.get(at) {
            for holder in names(&self.block(user).join("holders")) {
                if !users.contains(&holder) {
                    disk.holders.push(holder.clone());
                    users.push(holder);
                }
            }
            at += 1;
        }
        disk.mounts = self.mounts(&users)?;
        disk.swaps = self.swaps(&users)?;
        (disk.name, disk.path) = (name, path);
        Ok(disk)
    }

    fn block(&self, name: &str) -> PathBuf {
        self.root.join("sys/class/block").join(name)
    }

    fn mounts(&self, users: &[String]) -> Result<Vec<Mount>> {
        let text = self.proc("self/mountinfo")?;
        let numbers: Vec<_> = users.iter().map(|user| number(&self.block(user))).collect();
        // "36 35 8:17 / /mnt rw,relatime shared:1 - ext4 /dev/sdb1 rw": the number is the file system's; those that span
        // several disks have one of their own, and only the name tells.
        Ok(text
            .lines()
            .filter_map(|line| {
                let fields: Vec<&str> = line.split(' ').collect();
                let source = fields.iter().position(|field| *field == "-").and_then(|at| fields.get(at + 2)).copied();
                let source = source.map(unescaped).map(|source| self.short(&source));
                let (mounted, at) = (fields.get(2).copied()?, fields.get(4).copied()?);
                let user = users.iter().zip(&numbers).find(|(user, number)| {
                    number.as_deref() == Some(mounted) || source.as_deref() == Some(user.as_str())
                });
                user.map(|(user, _)| Mount { name: user.clone(), at: unescaped(at).into() })
            })
            .collect())
    }

    fn swaps(&self, users: &[String]) -> Result<Vec<String>> {
        let text = self.proc("swaps")?;
        let names = text.lines().skip(1).filter_map(|line| line.split_whitespace().next());
        let names = names.map(unescaped).map(|path| self.short(&path));
        Ok(names.filter(|name| users.contains(name)).collect())
    }

    /// The kernel's name for a device file: of `/dev/mapper/root`, which is a link, `dm-0`.
    fn short(&self, path: &str) -> String {
        let real = fs::canonicalize(self.root.join(path.trim_start_matches('/')));
        let path = real.unwrap_or_else(|_| path.into());
        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Without it nobody knows what is in use: no disk is written then.
    fn proc(&self, name: &str) -> Result<String> {
        let path = self.root.join("proc").join(name);
        match fs::read_to_string(&path) {
            // A kernel without swap has no such file.
            Err(error) if name == "swaps" && error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            other => other.with_context(|| format!("{} cannot be read: what is mounted is unknown", path.display())),
        }
    }

    /// Whether devices are plain files.
    pub(super) fn is_real(&self) -> bool {
        self.is_real
    }
}

/// The first line of a file of sysfs.
fn word(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn number(sys: &Path) -> Option<String> {
    word(&sys.join("dev"))
}

fn size(sys: &Path) -> Result<u64> {
    let sectors = word(&sys.join("size")).and_then(|word| word.parse::<u64>().ok());
    match sectors.and_then(|sectors| sectors.checked_mul(SECTOR)) {
        Some(size) => Ok(size),
        None => bail!("{} does not say a size", sys.display()),
    }
}

/// What is in a directory, by name; nothing if it is none.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Vendor and model. Whatever a stick calls itself, nothing of it reaches a terminal but what can be printed.
fn model(whole: &Path) -> String {
    let device = [whole.join("device"), whole.join("../device")].into_iter().find(|path| path.exists());
    let words = device.iter().flat_map(|device| ["vendor", "model", "name"].map(|name| word(&device.join(name))));
    printable(&words.flatten().filter(|word| !word.starts_with("0x")).collect::<Vec<_>>().join(" "))
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(60).collect()
}

/// Card readers inside a machine say 0 in `removable`, with a card of type SD; disks on USB may say 0 as well.
fn is_removable(whole: &Path) -> bool {
    let says = |name: &str| word(&whole.join(name)).or_else(|| word(&whole.join("..").join(name)));
    let is_card = says("device/type").is_some_and(|kind| kind == "SD");
    let is_usb = whole.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb"));
    is_card || is_usb || says("removable").is_some_and(|word| word == "1")
}

/// `\040` is a blank in the files of `/proc`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let digits = more.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[3..];
            }
            None => {
                bytes.push(first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A file system and its label: FAT and ext, which are what cards have.
fn content(device: &Path) -> Option<String> {
    const EXT_MAGIC_AT: usize = 0x438;
    const EXT_LABEL_AT: usize = 0x478;
    let mut begin = vec![0; 2048];
    fs::File::open(device).ok()?.read_exact(&mut begin).ok()?;
    let label = |at: usize, size: usize| {
        let bytes = &begin[at..at + size];
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(size);
        printable(String::from_utf8_lossy(&bytes[..end]).trim())
    };
    // What a boot sector of FAT32 and of FAT16 has at these places, and the label before it.
    if begin[82..87] == *b"FAT32" {
        Some(format!("vfat {:?}", label(71, 11)))
    } else if begin[54..57] == *b"FAT" {
        Some(format!("vfat {:?}", label(43, 11)))
    } else if begin[EXT_MAGIC_AT..EXT_MAGIC_AT + 2] == [0x53, 0xef] {
        Some(format!("ext {:?}", label(EXT_LABEL_AT, 16)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_proc_are_read_and_nothing_else_is_changed() {
        assert_eq!(unescaped(r"/media/my\040card"), "/media/my card");
        assert_eq!(unescaped(r"/a\b\04"), r"/a\b\04");
        assert_eq!(unescaped(r"\134\"), r"\\");
    }

    #[test]
    fn a_stick_s_name_cannot_reach_the_terminal_as_more_than_a_name() {
        assert_eq!(printable("Evil\x1b[2J\u{202e}Stick\n"), "Evil[2JStick");
    }
}
