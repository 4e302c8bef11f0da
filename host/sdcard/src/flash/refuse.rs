//! Why a disk is not written: every reason, not only the first.

use super::disk::Disk;
use std::fmt;
use std::path::PathBuf;

/// Where a system that runs has its own files.
const SYSTEM: &[&str] =
    &["/", "/boot", "/boot/efi", "/boot/firmware", "/usr", "/var", "/home", "/etc", "/nix", "/nix/store"];

/// What a user may allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    /// Disks that cannot be taken out.
    pub not_removable: bool,
}

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The running system is on it. Nothing allows this.
    System {
        /// What of it.
        name: String,
        /// Mounted there.
        at: PathBuf,
    },
    /// It is in use.
    Mounted {
        /// What of it.
        name: String,
        /// Mounted there.
        at: PathBuf,
    },
    /// The system swaps to it.
    Swap {
        /// What of it.
        name: String,
    },
    /// LVM, encryption or RAID is made of it.
    Held {
        /// By which device.
        by: String,
    },
    /// A partition, and an image is a whole disk.
    Partition {
        /// Of this disk.
        of: String,
    },
    /// There is no card in the reader.
    Empty,
    /// It is smaller than the image.
    TooSmall {
        /// Bytes of the disk.
        size: u64,
        /// Bytes of the image.
        image: u64,
    },
    /// It cannot be written.
    ReadOnly,
    /// It is built in, as far as the kernel knows.
    NotRemovable,
}

/// Everything that speaks against writing an image of so many bytes to a disk.
#[must_use]
pub fn refusals(disk: &Disk, image: u64, allowed: Permission) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for mount in &disk.mounts {
        let (name, at) = (mount.name.clone(), mount.at.clone());
        let is_system = SYSTEM.iter().any(|place| mount.at.as_os_str() == *place);
        refusals.push(if is_system { Refusal::System { name, at } } else { Refusal::Mounted { name, at } });
    }
    refusals.extend(disk.swaps.iter().map(|name| Refusal::Swap { name: name.clone() }));
    refusals.extend(disk.holders.iter().map(|by| Refusal::Held { by: by.clone() }));
    refusals.extend(disk.partition_of.iter().map(|of| Refusal::Partition { of: of.clone() }));
    if disk.size == 0 {
        refusals.push(Refusal::Empty);
    } else if disk.size < image {
        refusals.push(Refusal::TooSmall { size: disk.size, image });
    }
    if disk.is_read_only {
        refusals.push(Refusal::ReadOnly);
    }
    if !disk.is_removable && !allowed.not_removable {
        refusals.push(Refusal::NotRemovable);
    }
    refusals
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { name, at } => write!(f, "this system runs from it: {name} is {at:?}"),
            Self::Mounted { name, at } => write!(f, "{name} is mounted at {at:?}: umount {at:?} first"),
            Self::Swap { name } => write!(f, "the system swaps to {name}: it is no card, or swapoff /dev/{name} first"),
            Self::Held { by } => {
                write!(f, "{by} is made of it (LVM, encryption or RAID): it is no card, or take {by} down first")
            }
            Self::Partition { of } => {
                write!(f, "it is a partition, and an image is a whole disk: did you mean /dev/{of}?")
            }
            Self::Empty => write!(f, "there is no card in it"),
            Self::TooSmall { size, image } => {
                write!(f, "it has {} MiB, and the image {}: take a larger card", size >> 20, image >> 20)
            }
            Self::ReadOnly => write!(f, "it cannot be written: look for the lock on the card's side"),
            Self::NotRemovable => {
                write!(f, "it cannot be taken out, as far as the kernel knows: --force if it is a card all the same")
            }
        }
    }
}
