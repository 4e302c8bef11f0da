//! The command line: `/chosen/bootargs`, as Linux writes it.
//!
//! Words separated by blanks, `name=value`, double quotes around what has blanks in it, `-` and `_` alike in names, the last of
//! several counts, `--` ends the options. An option that nobody knows is named; a bad value is named with what was expected,
//! and what was there before stays. Sizes may end in K, M, G or T; numbers may be `0x` and hexadecimal.
//!
//! ```text
#![doc = include_str!("../tests/data/command-line.txt")]
//! ```

mod foreign;
mod table;
mod tokens;
mod values;

use core::fmt;

use ring::escape::Escaped;

pub use table::{Entry, Options, TABLE};
pub use values::{
    After, Clean, Die, Dump, Expected, Full, Keep, Loss, Others, Parity, Payload, ReserveMem, Stop, Tail, Watchdog,
};

/// Warnings that one command line can cause; the rest are only counted, so that a damaged one does not fill the console.
pub const MOST_WARNINGS: usize = 16;

/// Something about the command line that the user should know.
pub enum Warning<'w> {
    /// Nobody knows this option.
    Unknown {
        /// Its name.
        name: &'w [u8],
    },
    /// The value is not what the option needs.
    BadValue {
        /// The option.
        entry: &'static Entry,
        /// The value; None if there is no `=`.
        value: Option<&'w [u8]>,
        /// The options as they stay.
        options: &'w Options,
    },
    /// There was more to warn about than [`MOST_WARNINGS`].
    More {
        /// How many more.
        count: usize,
    },
}

impl fmt::Display for Warning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => {
                write!(f, "command line: unknown option '{}' is ignored: see the list of options", Escaped(name))
            }
            Self::BadValue { entry, value, options } => {
                write!(f, "command line: {}", entry.name)?;
                if let Some(value) = value {
                    write!(f, "={}", Escaped(value))?;
                }
                write!(f, ": expected {}; it stays at ", entry.expected)?;
                (entry.show)(options, f)
            }
            Self::More { count } => write!(f, "command line: {count} more warnings are not shown"),
        }
    }
}

/// Reads a command line, as text or as the raw bytes that the boot loader left. Calls `warn` for each thing that is wrong with it.
pub fn parse(line: &(impl AsRef<[u8]> + ?Sized), warn: &mut dyn FnMut(&Warning<'_>)) -> Options {
    let mut options = Options::default();
    let mut warnings = 0usize;
    for token in tokens::tokens(line.as_ref()) {
        let entry = TABLE.iter().find(|entry| same(entry.name, token.name));
        let warning = match entry {
            Some(entry) if (entry.set)(&mut options, token.value.unwrap_or_default()).is_some() => continue,
            Some(entry) => Warning::BadValue { entry, value: token.value, options: &options },
            None if foreign::is_foreign(token.name) => continue,
            None => Warning::Unknown { name: token.name },
        };
        if warnings < MOST_WARNINGS {
            warn(&warning);
        }
        warnings += 1;
    }
    match warnings.checked_sub(MOST_WARNINGS) {
        None | Some(0) => {}
        Some(count) => warn(&Warning::More { count }),
    }
    options
}

/// The options, each with what it does and its default, to be shown.
#[cfg(not(target_os = "none"))]
pub fn help() -> impl fmt::Display {
    fmt::from_fn(|f| {
        let defaults = Options::default();
        for entry in TABLE {
            match entry.expected {
                Expected::Nothing => writeln!(f, "{}", entry.name)?,
                expected => writeln!(f, "{}=<{expected}>", entry.name)?,
            }
            write!(f, "   {} Default: ", entry.doc)?;
            (entry.show)(&defaults, f)?;
            f.write_str("\n")?;
        }
        Ok(())
    })
}

/// Shows every option that differs from its default, as it would be written on a command line.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let defaults = Self::default();
        let changed = TABLE.iter().filter(|entry| !(entry.agrees)(self, &defaults));
        for (index, entry) in changed.enumerate() {
            f.write_str(if index == 0 { "" } else { " " })?;
            f.write_str(entry.name)?;
            if entry.expected != Expected::Nothing {
                f.write_str("=")?;
                (entry.show)(self, f)?;
            }
        }
        Ok(())
    }
}

/// Whether names are the same, `-` and `_` being alike, as in Linux.
fn same(known: &str, name: &[u8]) -> bool {
    let plain = |byte: u8| if byte == b'-' { b'_' } else { byte };
    known.len() == name.len() && known.bytes().map(plain).eq(name.iter().copied().map(plain))
}

#[cfg(test)]
mod tests;
