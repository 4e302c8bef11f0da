//! The loader: a small image in the kernel's place on the card, that takes the kernel over the serial line and keeps it over
//! warm resets ([`wire::push`]).
//!
//! | what | where |
//! |---|---|
//! | which memory is its own | [`Arena`] |
//! | the device tree that the kernel is handed | [`handed`] |
//! | what touches the machine | `run` |

pub mod handed;
#[cfg(target_os = "none")]
pub mod run;

use crate::memblock::{Memblock, MemblockError, Range};
use wire::push::{MEMORY, STORE_SIZE};

/// What the boot protocol wants a kernel's place to be a multiple of; also room for a device tree, which must not lie across
/// such a boundary.
const BLOCK: u64 = 2 << 20;
/// Where the device tree goes, from the arena's begin.
const TREE: u64 = STORE_SIZE as u64;
/// Where the kernel's block begins.
const KERNEL: u64 = TREE + BLOCK;
/// Bytes in all.
const SIZE: u64 = KERNEL + MEMORY as u64;
/// Everything lies below this: registers that firmware and devices need are then reachable with 32 bits.
const BELOW: u64 = 1 << 32;

/// How long a loader that has a kernel waits for a host, unless the command line says otherwise, in milliseconds.
const WAIT: u64 = 500;
/// The longest that it can be told to.
const WAIT_MAX: u64 = 600_000;

/// The loader's memory beside its image: store, device tree, kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arena {
    base: u64,
}

impl Arena {
    /// Finds it: top-down, clear of everything that has a fixed place, so that each boot of the same machine finds it there.
    ///
    /// # Errors
    /// There is no room.
    pub fn find(memblock: &Memblock) -> Result<Self, MemblockError> {
        memblock.find(SIZE, BLOCK, Range::new(0, BELOW)).map(|range| Self { base: range.base() })
    }

    /// All of it.
    #[must_use]
    pub fn all(self) -> core::ops::Range<usize> {
        self.part(0, SIZE)
    }

    /// What stays over a reset, and is nobody else's.
    #[must_use]
    pub fn store(self) -> core::ops::Range<usize> {
        self.part(0, TREE)
    }

    /// Where the device tree goes.
    #[must_use]
    pub fn tree(self) -> core::ops::Range<usize> {
        self.part(TREE, BLOCK)
    }

    /// Where the kernel goes.
    #[must_use]
    pub fn kernel(self) -> core::ops::Range<usize> {
        self.part(KERNEL, u64::from(MEMORY))
    }

    fn part(self, offset: u64, size: u64) -> core::ops::Range<usize> {
        let start = (self.base + offset) as usize;
        start..start + size as usize
    }
}

/// `loader.wait=MS` of a command line: how long a loader that has a kernel waits for a host. What is no number is passed over.
#[must_use]
pub fn wait_ms(arguments: &[u8]) -> u64 {
    let words = arguments.split(u8::is_ascii_whitespace);
    let mut said = words
        .filter_map(|word| word.strip_prefix(b"loader.wait="))
        .filter_map(|value| core::str::from_utf8(value).ok()?.parse::<u64>().ok());
    said.next_back().map_or(WAIT, |said| said.min(WAIT_MAX))
}

#[cfg(test)]
mod tests;
