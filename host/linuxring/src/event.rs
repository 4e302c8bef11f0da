//! Kinds of events: where their fields are, and how Linux prints them.

use crate::print::Piece;
use crate::symbols::Symbols;
use std::collections::HashMap;
use std::fmt::{Result, Write};

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A number.
    Unsigned,
    /// A number that may be negative.
    Signed,
    /// Text of a fixed room, up to its first zero.
    Text,
    /// Text somewhere behind: a word here says where and how long.
    TextElsewhere,
    /// Bytes somewhere behind.
    BytesElsewhere,
    /// Numbers of this many bytes each.
    Numbers(u16),
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) holds: Holds,
    /// Behind the common header.
    pub(crate) offset: u16,
    /// Bytes.
    pub(crate) size: u16,
}

/// A kind of event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) print: Vec<Piece>,
}

/// What a field has in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is<'e> {
    Unsigned(u64),
    Signed(i64),
    Text(&'e [u8]),
    Bytes(&'e [u8]),
}

/// Bytes of the common header: places that an event itself tells count from its beginning.
const COMMON: usize = crate::page::COMMON;

/// A little-endian number of at most eight bytes.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    let mut number = [0; 8];
    number.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(number))
}

impl Field {
    /// Where the text or the bytes that it tells of are, from the start of the payload, and how many.
    pub(crate) fn elsewhere(&self, payload: &[u8]) -> Option<(usize, usize)> {
        let word = number(payload.get(usize::from(self.offset)..)?.get(..4)?)?;
        let (at, len) = ((word & 0xffff) as usize, (word >> 16) as usize);
        let at = at.checked_sub(COMMON)?;
        (at + len <= payload.len()).then_some((at, len))
    }

    /// Its value in an event; `None` where the event ends before it.
    pub(crate) fn value<'e>(&self, payload: &'e [u8]) -> Option<Is<'e>> {
        let until_zero = |bytes: &'e [u8]| bytes.split(|byte| *byte == 0).next().unwrap_or(&[]);
        if let Holds::TextElsewhere | Holds::BytesElsewhere = self.holds {
            let (at, len) = self.elsewhere(payload)?;
            let bytes = payload.get(at..at + len)?;
            return Some(match self.holds {
                Holds::TextElsewhere => Is::Text(until_zero(bytes)),
                _ => Is::Bytes(bytes),
            });
        }
        let bytes = payload.get(usize::from(self.offset)..)?.get(..usize::from(self.size))?;
        Some(match self.holds {
            Holds::Unsigned => Is::Unsigned(number(bytes)?),
            Holds::Signed => {
                let unused = 64 - 8 * u32::try_from(bytes.len()).ok()?;
                Is::Signed(number(bytes)?.checked_shl(unused)?.cast_signed() >> unused)
            }
            Holds::Text => Is::Text(until_zero(bytes)),
            _ => Is::Bytes(bytes),
        })
    }
}

impl Is<'_> {
    /// As a number.
    pub(crate) fn number(self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(number),
            Self::Signed(number) => Some(number.cast_unsigned()),
            Self::Text(_) | Self::Bytes(_) => None,
        }
    }
}

impl Kind {
    /// Bytes of an event's fixed part behind the common header, rounded up as a compiler does.
    pub(crate) fn size(&self) -> usize {
        let end = self.fields.iter().map(|field| usize::from(field.offset + field.size)).max().unwrap_or(0);
        let align = |field: &Field| match field.holds {
            Holds::Text => 1,
            Holds::Numbers(each) => each,
            _ => field.size,
        };
        let align = self.fields.iter().map(align).max().unwrap_or(1).clamp(4, 8);
        (COMMON + end).next_multiple_of(usize::from(align)) - COMMON
    }

    /// Writes an event as Linux does; printable ASCII only.
    pub(crate) fn show(&self, payload: &[u8], symbols: &Symbols, out: &mut dyn Write) -> Result {
        self.print.iter().try_for_each(|piece| piece.show(self, payload, symbols, out))
    }
}

/// Descriptions of events that somebody has: by their ids.
#[derive(Clone, Debug, Default)]
pub struct Formats {
    pub(crate) by_id: HashMap<u16, Kind>,
}

impl Formats {
    /// Reads `format` files as tracefs has them, any number one behind the other.
    #[must_use]
    pub fn load(text: &str) -> Self {
        Self { by_id: crate::tracefs::kinds(text) }
    }

    /// Reads all files called `format` below a directory: a copy of tracefs' `events`.
    ///
    /// # Errors
    /// Where a directory or a file cannot be read.
    pub fn load_directory(directory: &std::path::Path) -> std::io::Result<Self> {
        let mut formats = Self::default();
        let mut left = vec![(directory.to_path_buf(), 0)];
        while let Some((directory, depth)) = left.pop() {
            for entry in std::fs::read_dir(directory)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() && depth < 4 {
                    left.push((entry.path(), depth + 1));
                } else if kind.is_file() && entry.file_name() == "format" {
                    let text = std::fs::read(entry.path())?;
                    formats.by_id.extend(crate::tracefs::kinds(&String::from_utf8_lossy(&text)));
                }
            }
        }
        Ok(formats)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}
