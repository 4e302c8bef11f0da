//! Events say what they are: declared in one place, described in the region, shown by whoever finds them.
//!
//! [`events!`](crate::events) makes types of declarations and joins their descriptions into a text, one line an event:
//!
//! ```text
//! 4097 irq_entry intid:u32 pc:hex|intid={intid} pc={pc}
//! ```
//!
//! That is: id, name, fields with their types in the order in which they are stored, the format in which a person reads
//! them. Types: `u32`, `u64`, `i32`, `hex` (a u64 shown as 0x...), `str` (the rest, up to its first zero byte; last only), `bytes` (the rest, shown as hexadecimal digits; last only).
//! Fields follow each other without gaps.

use crate::escape::Escaped;
use core::fmt::Write;

/// Declares events. A `str` or `bytes` field stands last, and its event is declared with the lifetime `'a`.
///
/// ```
/// ring::events! {
///     /// An interrupt is handled.
///     4097 IrqEntry "irq_entry" { intid: u32, pc: hex } "intid={intid} pc={pc}";
///     /// Something was said.
///     4098 Said<'a> "said" { level: u32, text: str } "{text}";
/// }
/// assert_eq!(SCHEMA.lines().count(), 2);
/// ```
#[macro_export]
macro_rules! events {
    ($($(#[$meta:meta])* $id:literal $name:ident $(<$life:lifetime>)? $text:literal { $($field:ident : $type:ident),* $(,)? } $format:literal;)*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name $(<$life>)? {
                $(#[allow(missing_docs)] pub $field: $crate::events!(@type $type),)*
            }
            impl $(<$life>)? $crate::writer::Event for $name $(<$life>)? {
                const ID: u16 = $id;
                #[inline(always)]
                fn size(&self) -> usize {
                    0 $(+ $crate::events!(@size $type self.$field))*
                }
                #[inline(always)]
                #[allow(unused_assignments, unused_mut, unused_variables)]
                fn write<M: $crate::seams::Memory>(&self, slot: &$crate::writer::Slot<'_, M>) {
                    let mut at = 0usize;
                    $(
                        $crate::events!(@put $type slot at self.$field);
                        at += $crate::events!(@size $type self.$field);
                    )*
                }
            }
        )*
        /// The schema of these events, one line each.
        pub const SCHEMA: &str = concat!($($id, " ", $text, $(" ", stringify!($field), ":", stringify!($type),)* "|", $format, "\n"),*);
    };
    (@type u32) => { u32 };
    (@type i32) => { i32 };
    (@type u64) => { u64 };
    (@type hex) => { u64 };
    (@type str) => { &'a [u8] };
    (@type bytes) => { &'a [u8] };
    (@size u32 $value:expr) => { 4 };
    (@size i32 $value:expr) => { 4 };
    (@size u64 $value:expr) => { 8 };
    (@size hex $value:expr) => { 8 };
    (@size bytes $value:expr) => { $value.len() };
    (@size str $value:expr) => { $crate::schema::text_size($value) };
    (@put u32 $slot:ident $at:ident $value:expr) => { $slot.put_u32($at, $value) };
    (@put i32 $slot:ident $at:ident $value:expr) => { $slot.put_u32($at, $value as u32) };
    (@put u64 $slot:ident $at:ident $value:expr) => { $slot.put_u64($at, $value) };
    (@put hex $slot:ident $at:ident $value:expr) => { $slot.put_u64($at, $value) };
    (@put bytes $slot:ident $at:ident $value:expr) => { $slot.put_bytes($at, $value) };
    (@put str $slot:ident $at:ident $value:expr) => { $crate::schema::put_text($slot, $at, $value) };
}

/// How many of a field's bytes are shown.
const BYTES_SHOWN: usize = 16;

/// Longest text that is recorded whole; what is longer is cut.
pub const TEXT_MAX: usize = 1024;

/// Bytes of a text field: the text, cut, and its zero.
#[inline]
#[must_use]
pub fn text_size(text: &[u8]) -> usize {
    text.len().min(TEXT_MAX) + 1
}

/// Writes a text field.
#[inline]
pub fn put_text<M: crate::seams::Memory>(slot: &crate::writer::Slot<'_, M>, at: usize, text: &[u8]) {
    let text = &text[..text.len().min(TEXT_MAX)];
    // The zero: in the text's last word, or one of its own.
    let whole = text.len() & !3;
    slot.put_bytes(at, &text[..whole]);
    let mut last = [0; 4];
    last[..text.len() - whole].copy_from_slice(&text[whole..]);
    slot.put_bytes(at + whole, &last[..text.len() - whole + 1]);
}

/// The description of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description<'s> {
    /// Its id.
    pub id: u16,
    /// Its name.
    pub name: &'s str,
    fields: &'s str,
    format: &'s str,
}

/// A value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'f> {
    /// A number shown in decimal.
    Unsigned(u64),
    /// A number that may be negative.
    Signed(i64),
    /// A number shown in hexadecimal.
    Hex(u64),
    /// Text that nobody vouches for.
    Text(&'f [u8]),
    /// Bytes, of which the first 16 are shown.
    Bytes(&'f [u8]),
}

impl core::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Unsigned(n) => write!(f, "{n}"),
            Self::Signed(n) => write!(f, "{n}"),
            Self::Hex(n) => write!(f, "{n:#x}"),
            Self::Text(text) => write!(f, "{}", Escaped(text)),
            Self::Bytes(bytes) => {
                bytes.iter().take(BYTES_SHOWN).try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(if bytes.len() > BYTES_SHOWN { "..." } else { "" })
            }
        }
    }
}

/// The descriptions in a schema's text; lines that are none are left out.
pub fn descriptions(schema: &[u8]) -> impl Iterator<Item = Description<'_>> {
    schema.split(|b| *b == b'\n').filter_map(|line| {
        let line = core::str::from_utf8(line).ok().filter(|line| line.bytes().all(|b| (b' '..=b'~').contains(&b)))?;
        let (head, format) = line.split_once('|')?;
        let (id, rest) = head.split_once(' ')?;
        let (name, fields) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(Description { id: id.parse().ok()?, name, fields, format })
    })
}

impl<'s> Description<'s> {
    /// The names of its fields with their types, in the order in which they are stored.
    pub fn fields(&self) -> impl Iterator<Item = (&'s str, &'s str)> + use<'s> {
        self.fields.split(' ').filter(|field| !field.is_empty()).map_while(|field| field.split_once(':'))
    }
    /// How a person reads it: text with `{field}` in it.
    #[must_use]
    pub fn print(&self) -> &'s str {
        self.format
    }
    /// The values of an event's fields, with their names; ends where the bytes end.
    pub fn values<'f>(&self, bytes: &'f [u8]) -> impl Iterator<Item = (&'s str, Value<'f>)> + use<'s, 'f> {
        let mut rest = bytes;
        self.fields().map_while(move |(name, kind)| {
            let value = match kind {
                "u32" => Value::Unsigned(u64::from(u32::from_le_bytes(take(&mut rest)?))),
                "i32" => Value::Signed(i64::from(i32::from_le_bytes(take(&mut rest)?))),
                "u64" => Value::Unsigned(u64::from_le_bytes(take(&mut rest)?)),
                "hex" => Value::Hex(u64::from_le_bytes(take(&mut rest)?)),
                "bytes" => Value::Bytes(core::mem::take(&mut rest)),
                "str" => Value::Text(core::mem::take(&mut rest).split(|b| *b == 0).next().unwrap_or(&[])),
                _ => return None,
            };
            Some((name, value))
        })
    }

    /// Writes an event as its format says.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn show(&self, bytes: &[u8], out: &mut impl Write) -> core::fmt::Result {
        let mut parts = self.format.split('{');
        out.write_str(parts.next().unwrap_or(""))?;
        for part in parts {
            let (name, text) = part.split_once('}').unwrap_or((part, ""));
            match self.values(bytes).find(|(field, _)| *field == name) {
                Some((_, value)) => write!(out, "{value}")?,
                None => write!(out, "{{{name}?}}")?,
            }
            out.write_str(text)?;
        }
        Ok(())
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk::<N>()?;
    *rest = others;
    Some(*first)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    const SCHEMA: &[u8] = b"4097 irq_entry intid:u32 pc:hex|intid={intid} pc={pc}\n5 print ip:hex text:str|{text}\nnoise\n7 \x1bbad a:u32|x\n";

    #[test]
    fn an_event_is_shown_as_its_format_says() {
        let all: std::vec::Vec<_> = descriptions(SCHEMA).collect();
        assert_eq!(all.iter().map(|d| d.id).collect::<std::vec::Vec<_>>(), [4097, 5]);
        let mut out = String::new();
        all[0].show(&[27, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0], &mut out).unwrap();
        assert_eq!(out, "intid=27 pc=0x10");
        out.clear();
        all[1].show(b"\0\0\0\0\0\0\0\0hi\x1b[2J\0xx", &mut out).unwrap();
        assert_eq!(out, "hi\\x1b[2J");
    }

    #[test]
    fn an_event_that_is_too_short_shows_what_is_missing() {
        let d = descriptions(SCHEMA).next().unwrap();
        let mut out = String::new();
        d.show(&[27, 0, 0, 0, 1], &mut out).unwrap();
        assert_eq!(out, "intid=27 pc={pc?}");
    }
}
