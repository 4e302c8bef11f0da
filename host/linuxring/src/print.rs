//! How an event is printed: texts and values, as the subset of C's and Linux's formats that events use.

use crate::event::{Holds, Is, Kind, number};
use crate::symbols::Symbols;
use ring::escape::Escaped;
use std::fmt::{Result, Write};

/// A part of what is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text as it is.
    Text(String),
    /// A value.
    Value { what: What, how: How },
}

/// Which value: of a field, or of something computed from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct What {
    /// Place of the field.
    pub(crate) field: u16,
    /// Of a field that is several numbers the one with this place.
    pub(crate) element: Option<u16>,
    /// Less the value of this field.
    pub(crate) minus: Option<u16>,
    /// Only these bits.
    pub(crate) mask: Option<u64>,
    /// Moved down by so many bits.
    pub(crate) shift: u8,
}

/// In which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// As the field is: decimal, text, bytes.
    Plain,
    /// Decimal, filled with zeros or spaces.
    Decimal { signed: bool, width: u8, zeros: bool },
    /// Hexadecimal digits.
    Hex { prefix: bool, width: u8, zeros: bool },
    /// An address. (Linux shows a hash of it.)
    Pointer,
    /// The name of a function; with its distance and length.
    Symbol { distance: bool },
    /// One text or another.
    Choice(String, String),
    /// A name for each value; others in hexadecimal.
    Names(Vec<(u64, String)>),
    /// Names of bits between separators, the rest in hexadecimal; a text if there are none.
    Flags { separator: String, names: Vec<(u64, String)>, none: String },
    /// The state in which the scheduler left a task.
    State,
}

/// Letters of the states of a task, from the lowest bit on.
const STATES: &str = "SDTtXZPI";
/// It was preempted.
const PREEMPTED: u64 = 0x100;

/// Writes text of a region: printable ASCII as it is, as Linux shows it; what could command a terminal is escaped.
pub(crate) fn plain(text: &[u8], out: &mut dyn Write) -> Result {
    let mut rest = text;
    while !rest.is_empty() {
        let is_printable = |byte: &u8| (b' '..=b'~').contains(byte);
        let run = rest.iter().position(|byte| !is_printable(byte)).unwrap_or(rest.len());
        let (run, others) = rest.split_at(run);
        out.write_str(std::str::from_utf8(run).unwrap_or(""))?;
        let odd = others.iter().position(is_printable).unwrap_or(others.len());
        let (odd, others) = others.split_at(odd);
        write!(out, "{}", Escaped(odd))?;
        rest = others;
    }
    Ok(())
}

/// Writes a number, filled up to `width`. Numbers are most of what is written, and this is several times as fast as the
/// general way.
fn digits(number: u64, is_negative: bool, base: u64, width: u8, zeros: bool, out: &mut dyn Write) -> Result {
    const LENGTH: usize = 64;
    let mut text = [if zeros { b'0' } else { b' ' }; LENGTH];
    let (mut at, mut rest) = (LENGTH, number);
    while rest != 0 || at == LENGTH {
        at -= 1;
        text[at] = b"0123456789abcdef"[(rest % base) as usize];
        rest /= base;
    }
    let filled = LENGTH - usize::from(width).min(LENGTH - 1);
    let sign = |at: usize| at - usize::from(is_negative);
    if zeros {
        at = if is_negative { at.min(filled + 1) } else { at.min(filled) };
    }
    if is_negative {
        at = sign(at);
        text[at] = b'-';
    }
    at = at.min(filled);
    out.write_str(std::str::from_utf8(&text[at..]).unwrap_or(""))
}

impl What {
    fn value<'e>(&self, kind: &Kind, payload: &'e [u8]) -> Option<Is<'e>> {
        let field = kind.fields.get(usize::from(self.field))?;
        let value = match (self.element, field.holds) {
            (Some(element), Holds::Numbers(each)) => {
                let at = usize::from(field.offset) + usize::from(element) * usize::from(each);
                Is::Unsigned(number(payload.get(at..)?.get(..usize::from(each))?)?)
            }
            _ => field.value(payload)?,
        };
        if self.minus.is_none() && self.mask.is_none() && self.shift == 0 {
            return Some(value);
        }
        let other = |place: u16| kind.fields.get(usize::from(place))?.value(payload)?.number();
        let minus = self.minus.map_or(Some(0), other)?;
        let number = value.number()?.wrapping_sub(minus) & self.mask.unwrap_or(u64::MAX);
        let number = number >> self.shift;
        Some(if self.minus.is_some() { Is::Signed(number.cast_signed()) } else { Is::Unsigned(number) })
    }

    /// Bytes of the field, by which a number's sign is found.
    fn bytes(&self, kind: &Kind) -> u32 {
        kind.fields.get(usize::from(self.field)).map_or(8, |field| match field.holds {
            Holds::Numbers(each) => u32::from(each),
            _ => u32::from(field.size),
        })
    }
}

impl Piece {
    pub(crate) fn show(&self, kind: &Kind, payload: &[u8], symbols: &Symbols, out: &mut dyn Write) -> Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Value { what, how } => match what.value(kind, payload) {
                Some(value) => how.show(value, what.bytes(kind), symbols, out),
                None => out.write_str("(cut off)"),
            },
        }
    }
}

impl How {
    fn show(&self, value: Is<'_>, bytes: u32, symbols: &Symbols, out: &mut dyn Write) -> Result {
        let number = match value {
            Is::Text(text) => return plain(text, out),
            Is::Bytes(bytes) => return bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}")),
            Is::Unsigned(number) => number,
            Is::Signed(number) => number.cast_unsigned(),
        };
        let unused = 64 - 8 * bytes.clamp(1, 8);
        let cut = number << unused >> unused;
        match self {
            Self::Plain => match value {
                Is::Signed(number) => digits(number.unsigned_abs(), number < 0, 10, 0, false, out),
                _ => digits(number, false, 10, 0, false, out),
            },
            Self::Decimal { signed, width, zeros } => {
                let number = if *signed { (number << unused).cast_signed() >> unused } else { 0 };
                let (size, is_negative) = if *signed { (number.unsigned_abs(), number < 0) } else { (cut, false) };
                digits(size, is_negative, 10, *width, *zeros, out)
            }
            Self::Hex { prefix, width, zeros } => {
                out.write_str(if *prefix { "0x" } else { "" })?;
                digits(cut, false, 16, *width, *zeros, out)
            }
            Self::Pointer => digits(number, false, 16, 16, true, out),
            Self::Symbol { distance } => symbols.show(number, *distance, out),
            Self::Choice(yes, no) => out.write_str(if cut != 0 { yes } else { no }),
            Self::Names(names) => match names.iter().find(|(value, _)| *value == cut) {
                Some((_, name)) => out.write_str(name),
                None => write!(out, "{cut:#x}"),
            },
            Self::Flags { separator, names, none } => flags(cut, separator, names, none, out),
            Self::State => state(number, out),
        }
    }
}

/// The names of a number's bits: of those that overlap the first that is whole counts.
fn flags(number: u64, separator: &str, names: &[(u64, String)], none: &str, out: &mut dyn Write) -> Result {
    if number == 0 {
        return out.write_str(none);
    }
    let mut rest = number;
    let mut between = "";
    for (bits, name) in names {
        if rest & bits == *bits && *bits != 0 {
            rest &= !bits;
            write!(out, "{between}{name}")?;
            between = separator;
        }
    }
    if rest != 0 { write!(out, "{between}{rest:#x}") } else { Ok(()) }
}

fn state(number: u64, out: &mut dyn Write) -> Result {
    let mut between = "";
    for (bit, letter) in STATES.chars().enumerate() {
        if number & 1 << bit != 0 {
            write!(out, "{between}{letter}")?;
            between = "|";
        }
    }
    if between.is_empty() {
        out.write_str("R")?;
    }
    out.write_str(if number & PREEMPTED != 0 { "+" } else { "" })
}

/// Field of the events of single system calls; Linux shows these in a way of its own.
const CALL_NUMBER: &str = "__syscall_nr";

/// Whether it is an event of one system call.
pub(crate) fn is_call(kind: &Kind) -> bool {
    kind.fields.first().is_some_and(|field| field.name == CALL_NUMBER)
}

/// A system call as Linux shows it: `sys_close(fd: b)`, `sys_close -> 0x0`.
pub(crate) fn call(kind: &Kind, payload: &[u8], out: &mut dyn Write) -> Result {
    let number = |field: &crate::event::Field| field.value(payload).and_then(Is::number).unwrap_or(0);
    if let (Some(name), Some(ret)) = (kind.name.strip_prefix("sys_exit_"), kind.fields.get(1)) {
        return write!(out, "sys_{name} -> {:#x}", number(ret));
    }
    write!(out, "sys_{}(", kind.name.strip_prefix("sys_enter_").unwrap_or(&kind.name))?;
    let mut between = "";
    for field in kind.fields.iter().filter(|field| field.name != CALL_NUMBER) {
        match field.value(payload) {
            Some(Is::Text(text)) => {
                out.write_str(" \"")?;
                plain(text, out)?;
                out.write_str("\"")?;
            }
            Some(Is::Bytes(_)) | None => {}
            Some(_) => write!(out, "{between}{}: {:x}", field.name, number(field))?,
        }
        between = ", ";
    }
    out.write_str(")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_everywhere() {
        for number in [0i64, 7, -7, 999, -999, i64::MAX, i64::MIN] {
            for width in [0u8, 3, 20] {
                let shown = |base, zeros| {
                    let mut out = String::new();
                    let (size, is_negative) =
                        if base == 16 { (number.cast_unsigned(), false) } else { (number.unsigned_abs(), number < 0) };
                    digits(size, is_negative, base, width, zeros, &mut out).unwrap();
                    out
                };
                let width = usize::from(width);
                assert_eq!(shown(10, false), format!("{number:width$}"));
                assert_eq!(shown(10, true), format!("{number:0width$}"));
                assert_eq!(shown(16, false), format!("{number:width$x}"));
                assert_eq!(shown(16, true), format!("{number:0width$x}"));
            }
        }
    }

    #[test]
    fn states_are_letters() {
        for (number, shown) in [(0, "R"), (0x100, "R+"), (1, "S"), (2, "D"), (0x80, "I"), (0x21, "S|Z")] {
            let mut out = String::new();
            state(number, &mut out).unwrap();
            assert_eq!(out, shown);
        }
    }

    #[test]
    fn the_first_of_overlapping_flags_counts_and_the_rest_is_a_number() {
        let names = [(3, "both".to_string()), (1, "one".to_string()), (4, "four".to_string())];
        for (number, shown) in [(0, "none"), (1, "one"), (7, "both|four"), (0x11, "one|0x10")] {
            let mut out = String::new();
            flags(number, "|", &names, "none", &mut out).unwrap();
            assert_eq!(out, shown);
        }
    }

    #[test]
    fn text_of_a_region_commands_nothing() {
        let mut out = String::new();
        plain(b"a\\b\x1b[2J\n\xff", &mut out).unwrap();
        assert_eq!(out, "a\\b\\x1b[2J\\n\\xff");
    }
}
