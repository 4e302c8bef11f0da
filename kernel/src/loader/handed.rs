//! The device tree that the kernel is handed: the loader's own, with one more `/memreserve/` entry, and with more words in
//! `/chosen/bootargs` where the push says so. Nothing else changes.

use crate::device_tree::{HEADER, Tree};
use core::fmt;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// Words of the header (Devicetree Specification 0.4, 5.2).
mod field {
    pub(super) const TOTAL_SIZE: usize = 1;
    pub(super) const STRUCTURE: usize = 2;
    pub(super) const STRINGS: usize = 3;
    pub(super) const RESERVATIONS: usize = 4;
    pub(super) const STRINGS_SIZE: usize = 8;
    pub(super) const STRUCTURE_SIZE: usize = 9;
}

/// The name of the property, with its end.
const BOOTARGS: &[u8] = b"bootargs\0";

/// The tree cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// There is too little room.
    NoRoom,
    /// The blob is not what it was when it was validated.
    Damaged,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoom => "the device tree with its additions is too large",
            Self::Damaged => "the device tree changed while it was read",
        })
    }
}

/// Writes the tree into `out`, with the reserved range (address and size), and with `append` behind the command line unless that
/// is empty. Returns its size.
///
/// # Errors
/// [`Failed`].
pub fn write(tree: &Tree<'_>, reserve: (u64, u64), append: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
    let from = Blob(tree.bytes());
    let mut to = Out { bytes: out, at: 0 };
    let header = from.range(0, HEADER)?;
    to.put(header)?;

    let reservations = to.at;
    let mut at = from.field(field::RESERVATIONS)?;
    loop {
        let entry = from.range(at, 16)?;
        if entry.iter().all(|byte| *byte == 0) {
            break;
        }
        to.put(entry)?;
        at += entry.len();
    }
    to.put(&reserve.0.to_be_bytes())?;
    to.put(&reserve.1.to_be_bytes())?;
    to.put(&[0; 16])?;

    let structure = to.at;
    let strings = from.range(from.field(field::STRINGS)?, from.field(field::STRINGS_SIZE)?)?;
    let from_structure = from.range(from.field(field::STRUCTURE)?, from.field(field::STRUCTURE_SIZE)?)?;
    // Behind the other names: the name's bytes may be there already, which does no harm.
    let name = if append.is_empty() { None } else { Some(strings.len() as u32) };
    match name {
        None => to.put(from_structure)?,
        Some(name) => Edit { from: Blob(from_structure), strings, name, append }.run(&mut to)?,
    }
    let structure_size = to.at - structure;

    let strings_at = to.at;
    to.put(strings)?;
    if name.is_some() {
        to.put(BOOTARGS)?;
    }
    let strings_size = to.at - strings_at;
    to.align(8)?;

    let total = to.at;
    for (index, value) in [
        (field::TOTAL_SIZE, total),
        (field::STRUCTURE, structure),
        (field::STRINGS, strings_at),
        (field::RESERVATIONS, reservations),
        (field::STRINGS_SIZE, strings_size),
        (field::STRUCTURE_SIZE, structure_size),
    ] {
        let place = to.bytes.get_mut(4 * index..4 * index + 4).ok_or(Failed::NoRoom)?;
        place.copy_from_slice(&(value as u32).to_be_bytes());
    }
    Ok(total)
}

/// Bytes of a tree, every access within bounds.
#[derive(Clone, Copy)]
struct Blob<'a>(&'a [u8]);

impl<'a> Blob<'a> {
    fn range(self, at: usize, size: usize) -> Result<&'a [u8], Failed> {
        at.checked_add(size).and_then(|end| self.0.get(at..end)).ok_or(Failed::Damaged)
    }

    fn word(self, at: usize) -> Result<u32, Failed> {
        self.0.get(at..).and_then(<[u8]>::first_chunk).map(|word| u32::from_be_bytes(*word)).ok_or(Failed::Damaged)
    }

    fn field(self, index: usize) -> Result<usize, Failed> {
        self.word(4 * index).map(|value| value as usize)
    }
}

/// What is being written.
struct Out<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        let end = self.at.checked_add(bytes.len()).ok_or(Failed::NoRoom)?;
        self.bytes.get_mut(self.at..end).ok_or(Failed::NoRoom)?.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    fn word(&mut self, word: u32) -> Result<(), Failed> {
        self.put(&word.to_be_bytes())
    }

    fn align(&mut self, to: usize) -> Result<(), Failed> {
        while !self.at.is_multiple_of(to) {
            self.put(&[0])?;
        }
        Ok(())
    }
}

/// The structure block with another command line.
struct Edit<'a> {
    from: Blob<'a>,
    strings: &'a [u8],
    /// Where the name "bootargs" will stand.
    name: u32,
    append: &'a [u8],
}

impl<'a> Edit<'a> {
    /// One pass: `/chosen` gets its property first of all, an old one is left out, and a missing `/chosen` is made at the end.
    fn run(&self, to: &mut Out<'_>) -> Result<(), Failed> {
        let (mut at, mut depth, mut done, mut within) = (0, 0_usize, false, false);
        loop {
            let begin = at;
            let token = self.from.word(at)?;
            at += 4;
            let mut keep = true;
            match token {
                NOP => {}
                BEGIN_NODE => {
                    let name = self.name_at(at)?;
                    at = (at + name.len() + 1).next_multiple_of(4);
                    depth += 1;
                    if depth == 2 && name == b"chosen" && !done {
                        to.put(self.from.range(begin, at - begin)?)?;
                        self.property(self.old(at)?, to)?;
                        (keep, done, within) = (false, true, true);
                    }
                }
                END_NODE => {
                    if depth == 1 && !done {
                        to.word(BEGIN_NODE)?;
                        to.put(b"chosen\0\0")?;
                        self.property(&[], to)?;
                        to.word(END_NODE)?;
                        done = true;
                    }
                    within &= depth != 2;
                    depth = depth.checked_sub(1).ok_or(Failed::Damaged)?;
                }
                PROPERTY => {
                    let (name, value) = self.property_at(at)?;
                    at = (at + 8 + value.len()).next_multiple_of(4);
                    keep = !(within && depth == 2 && name == b"bootargs");
                }
                END => {
                    to.word(END)?;
                    return Ok(());
                }
                _ => return Err(Failed::Damaged),
            }
            if keep {
                to.put(self.from.range(begin, at - begin)?)?;
            }
        }
    }

    /// The command line among the properties from `at` on.
    fn old(&self, mut at: usize) -> Result<&'a [u8], Failed> {
        loop {
            match self.from.word(at)? {
                NOP => at += 4,
                PROPERTY => {
                    let (name, value) = self.property_at(at + 4)?;
                    if name == b"bootargs" {
                        return Ok(value.split(|byte| *byte == 0).next().unwrap_or_default());
                    }
                    at = (at + 12 + value.len()).next_multiple_of(4);
                }
                _ => return Ok(&[]),
            }
        }
    }

    fn property(&self, old: &[u8], to: &mut Out<'_>) -> Result<(), Failed> {
        let space: &[u8] = if old.is_empty() { b"" } else { b" " };
        to.word(PROPERTY)?;
        to.word((old.len() + space.len() + self.append.len() + 1) as u32)?;
        to.word(self.name)?;
        for part in [old, space, self.append, &[0]] {
            to.put(part)?;
        }
        to.align(4)
    }

    fn name_at(&self, at: usize) -> Result<&'a [u8], Failed> {
        let rest = self.from.0.get(at..).ok_or(Failed::Damaged)?;
        rest.iter().position(|byte| *byte == 0).and_then(|end| rest.get(..end)).ok_or(Failed::Damaged)
    }

    /// Name and value of the property whose length stands at `at`.
    fn property_at(&self, at: usize) -> Result<(&'a [u8], &'a [u8]), Failed> {
        let size = self.from.word(at)? as usize;
        let name = self.strings.get(self.from.word(at + 4)? as usize..).ok_or(Failed::Damaged)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok((name, self.from.range(at + 8, size)?))
    }
}
