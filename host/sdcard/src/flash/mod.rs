//! A card's image onto a device: first what the device is and why it must not be written, then the writing, then the proof.
//!
//! What a disk is comes from sysfs, what uses it from `/proc`. Both are behind [`System`], so that tests refuse disks which no
//! machine has to have. Nothing is asked of udev, which is not everywhere.

mod disk;
mod refuse;
mod write;

pub use disk::{Disk, Partition, System};
pub use refuse::{Permission, Refusal, refusals};
pub use write::{Phase, Target, verify, write};
