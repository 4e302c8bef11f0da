//! What the events of a trace are: names, fields, and how a person reads them.

use ring::schema::{Description, Value};
use std::fmt::{Result, Write};

/// How a field's value is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Unsigned,
    /// A number that may be negative.
    Signed,
    /// A number that is read in hexadecimal: an address, a register.
    Hex,
    /// Text, up to its first zero byte.
    Text,
    /// Bytes.
    Bytes,
}

/// Where a field ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So many bytes; 1, 2, 4 or 8 for numbers.
    Fixed(u16),
    /// The rest of the event.
    Rest,
    /// Somewhere behind: a word here says where (low half, from the start of the common header) and how long (high half).
    DataLoc,
}

/// A field of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, `[A-Za-z0-9_]`.
    pub name: String,
    /// How it is meant.
    pub kind: Kind,
    /// Where it begins, behind the 8 bytes of the common header.
    pub offset: u16,
    /// How long it is.
    pub size: Size,
}

/// Length of the common header: type u16, flags u8, preempt count u8, pid i32.
const COMMON: usize = 8;

impl Field {
    /// Its value in an event's payload; `None` where the payload ends before it.
    #[must_use]
    pub fn value<'e>(&self, payload: &'e [u8]) -> Option<Value<'e>> {
        let rest = payload.get(usize::from(self.offset)..)?;
        let bytes = match self.size {
            Size::Fixed(size) => rest.get(..usize::from(size))?,
            Size::Rest => rest,
            Size::DataLoc => {
                let word = u32::from_le_bytes(*rest.first_chunk()?);
                let (at, size) = ((word & 0xffff) as usize, (word >> 16) as usize);
                payload.get(at.checked_sub(COMMON)?..)?.get(..size)?
            }
        };
        let number = || {
            let mut number = [0; 8];
            number.get_mut(..bytes.len())?.copy_from_slice(bytes);
            Some(u64::from_le_bytes(number))
        };
        Some(match self.kind {
            Kind::Unsigned => Value::Unsigned(number()?),
            Kind::Hex => Value::Hex(number()?),
            Kind::Signed => {
                let number = number()?; // no more than eight bytes
                let unused = 64 - 8 * bytes.len() as u32;
                Value::Signed(number.checked_shl(unused)?.cast_signed() >> unused)
            }
            Kind::Text => Value::Text(bytes.split(|b| *b == 0).next().unwrap_or(&[])),
            Kind::Bytes => Value::Bytes(bytes),
        })
    }
}

/// A kind of event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Its id.
    pub id: u16,
    /// Its name, `[A-Za-z0-9_]`.
    pub name: String,
    /// Its fields, in the order in which they are stored.
    pub fields: Vec<Field>,
    /// How a person reads it: text with `{field}` in it. Printable ASCII.
    pub print: String,
}

impl Format {
    /// Writes an event as its format says; printable ASCII only.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn show(&self, payload: &[u8], out: &mut dyn Write) -> Result {
        let mut parts = self.print.split('{');
        out.write_str(parts.next().unwrap_or(""))?;
        for part in parts {
            let (name, text) = part.split_once('}').unwrap_or((part, ""));
            match self.fields.iter().find(|field| field.name == name).and_then(|field| field.value(payload)) {
                Some(value) => write!(out, "{value}")?,
                None => write!(out, "{{{name}?}}")?,
            }
            out.write_str(text)?;
        }
        Ok(())
    }
}

/// A piece of a print form, taken apart once.
#[derive(Clone, Debug)]
enum Piece {
    /// Text as it is.
    Text(String),
    /// The value of a field.
    Value(Field),
}

impl Format {
    /// What [`Format::show`] writes, as pieces.
    fn pieces(&self) -> Vec<Piece> {
        let mut parts = self.print.split('{');
        let mut pieces = vec![Piece::Text(parts.next().unwrap_or("").into())];
        for part in parts {
            let (name, text) = part.split_once('}').unwrap_or((part, ""));
            pieces.push(match self.fields.iter().find(|field| field.name == name) {
                Some(field) => Piece::Value(field.clone()),
                None => Piece::Text(format!("{{{name}?}}")),
            });
            pieces.push(Piece::Text(text.into()));
        }
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        pieces
    }
}

/// Writes a value as [`Value`] shows it; numbers without the machinery of formatting, since there are millions of them.
fn show(value: &Value<'_>, out: &mut dyn Write) -> Result {
    match value {
        Value::Unsigned(number) => out.write_str(itoa::Buffer::new().format(*number)),
        Value::Signed(number) => out.write_str(itoa::Buffer::new().format(*number)),
        Value::Hex(number) => {
            let digits = (64 - (number | 1).leading_zeros()).div_ceil(4) as usize;
            let mut text = *b"0x0000000000000000";
            for (place, digit) in text[2..2 + digits].iter_mut().enumerate() {
                *digit = b"0123456789abcdef"[(number >> (4 * (digits - 1 - place)) & 15) as usize];
            }
            out.write_str(std::str::from_utf8(&text[..2 + digits]).unwrap_or(""))
        }
        Value::Text(text) if text.iter().all(|byte| (b' '..=b'~').contains(byte) && *byte != b'\\') => {
            out.write_str(std::str::from_utf8(text).unwrap_or(""))
        }
        other => write!(out, "{other}"),
    }
}

/// All kinds of events of a trace, found by their id.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    formats: Vec<Format>,
    /// Of each format its print form, taken apart.
    pieces: Vec<Vec<Piece>>,
    /// Place in `formats` plus one, by id; as long as the highest id needs.
    by_id: Vec<u16>,
}

impl Schema {
    /// These formats. Of several with one id the first counts; names and print forms are made printable.
    #[must_use]
    pub fn new(formats: impl IntoIterator<Item = Format>) -> Self {
        let mut schema = Self::default();
        for mut format in formats {
            let id = usize::from(format.id);
            if schema.get(format.id).is_some() || schema.formats.len() >= usize::from(u16::MAX) {
                continue;
            }
            format.name = identifier(&format.name);
            format.fields.iter_mut().for_each(|field| field.name = identifier(&field.name));
            format.print.retain(|c| (' '..='~').contains(&c));
            if schema.by_id.len() <= id {
                schema.by_id.resize(id + 1, 0);
            }
            schema.pieces.push(format.pieces());
            schema.formats.push(format);
            schema.by_id[id] = schema.formats.len() as u16;
        }
        schema
    }

    /// The formats that a region's own schema text describes ([`ring::schema`]).
    #[must_use]
    pub fn of_region(text: &[u8]) -> Self {
        Self::new(ring::schema::descriptions(text).map(|description| Format::of(&description)))
    }

    /// Writes an event as [`Format::show`] does, faster; one of an unknown kind as bytes.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn show(&self, id: u16, payload: &[u8], out: &mut dyn Write) -> Result {
        let Some(pieces) = self.place(id).and_then(|place| self.pieces.get(place)) else {
            return show(&Value::Bytes(payload), out);
        };
        pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => out.write_str(text),
            Piece::Value(field) => match field.value(payload) {
                Some(value) => show(&value, out),
                None => write!(out, "{{{}?}}", field.name),
            },
        })
    }

    /// The place of a kind of event in `formats`.
    fn place(&self, id: u16) -> Option<usize> {
        usize::from(*self.by_id.get(usize::from(id))?).checked_sub(1)
    }

    /// The kind of event with this id.
    #[must_use]
    pub fn get(&self, id: u16) -> Option<&Format> {
        self.formats.get(self.place(id)?)
    }

    /// All of them.
    #[must_use]
    pub fn formats(&self) -> &[Format] {
        &self.formats
    }
}

/// A name that is one in every format: letters, digits and underscores, no digit first.
fn identifier(name: &str) -> String {
    let mut name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        name.insert(0, '_');
    }
    name
}

impl Format {
    /// From a line of a region's schema. A field behind one of unknown size is left out.
    fn of(description: &Description<'_>) -> Self {
        let mut offset = Some(0u16);
        let fields = description.fields().filter_map(|(name, kind)| {
            let (kind, size) = match kind {
                "u32" => (Kind::Unsigned, Size::Fixed(4)),
                "i32" => (Kind::Signed, Size::Fixed(4)),
                "u64" => (Kind::Unsigned, Size::Fixed(8)),
                "hex" => (Kind::Hex, Size::Fixed(8)),
                "str" => (Kind::Text, Size::Rest),
                "bytes" => (Kind::Bytes, Size::Rest),
                _ => {
                    offset = None;
                    return None;
                }
            };
            let at = offset?;
            offset = match size {
                Size::Fixed(size) => at.checked_add(size),
                _ => None,
            };
            Some(Field { name: name.into(), kind, offset: at, size })
        });
        let fields = fields.collect();
        Self { id: description.id, name: description.name.into(), fields, print: description.print().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regions_schema_becomes_formats_whose_values_are_those_of_the_region() {
        let text = b"4097 irq_entry intid:u32 pc:hex|intid={intid} pc={pc}\n5 print ip:hex text:str|{text}\n7 odd a:float b:u32|x\n";
        let schema = Schema::of_region(text);
        let mut out = String::new();
        schema.get(4097).unwrap().show(&[27, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0], &mut out).unwrap();
        schema.get(5).unwrap().show(b"\0\0\0\0\0\0\0\0hi\x1b\0xx", &mut out).unwrap();
        schema.get(4097).unwrap().show(&[27, 0, 0, 0], &mut out).unwrap();
        let mut fast = String::new();
        schema.show(4097, &[27, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0], &mut fast).unwrap();
        schema.show(5, b"\0\0\0\0\0\0\0\0hi\x1b\0xx", &mut fast).unwrap();
        schema.show(4097, &[27, 0, 0, 0], &mut fast).unwrap();
        assert_eq!(fast, out);
        assert_eq!(out, "intid=27 pc=0x10hi\\x1bintid=27 pc={pc?}");
        assert!(schema.get(7).unwrap().fields.is_empty(), "what lies behind an unknown type is nowhere");
        assert!(schema.get(6).is_none() && schema.get(u16::MAX).is_none());
    }

    #[test]
    fn values_of_every_size_are_read_and_none_outside_the_event() {
        let field = |kind, offset, size| Field { name: "f".into(), kind, offset, size };
        let payload = [0xff, 0xfe, 3, 4, 14, 0, 2, 0, 5, 6];
        assert_eq!(field(Kind::Signed, 0, Size::Fixed(1)).value(&payload), Some(Value::Signed(-1)));
        assert_eq!(field(Kind::Signed, 0, Size::Fixed(2)).value(&payload), Some(Value::Signed(-257)));
        assert_eq!(field(Kind::Hex, 2, Size::Fixed(2)).value(&payload), Some(Value::Hex(0x403)));
        assert_eq!(field(Kind::Bytes, 4, Size::DataLoc).value(&payload), Some(Value::Bytes(&[2, 0])));
        assert_eq!(field(Kind::Bytes, 0, Size::DataLoc).value(&payload), None, "behind the end");
        assert_eq!(field(Kind::Signed, 0, Size::Fixed(0)).value(&payload), None);
        assert_eq!(field(Kind::Signed, 0, Size::Rest).value(&payload), None, "no number has ten bytes");
        assert_eq!(field(Kind::Unsigned, 0, Size::Fixed(9)).value(&payload), None, "no number has nine bytes");
        assert_eq!(field(Kind::Unsigned, 8, Size::Fixed(4)).value(&payload), None);
        assert_eq!(field(Kind::Text, 11, Size::Rest).value(&payload), None);
    }

    #[test]
    fn values_look_the_same_however_they_are_written() {
        let all = [0, 1, 15, 16, 0xfff, u64::from(u32::MAX), u64::MAX - 1, u64::MAX];
        let numbers = all.iter().flat_map(|n| [Value::Unsigned(*n), Value::Hex(*n), Value::Signed(n.cast_signed())]);
        let texts: [&[u8]; 4] = [b"", b"plain", b"a\\b", b"\x1b\xff"];
        for value in numbers.chain(texts.into_iter().flat_map(|text| [Value::Text(text), Value::Bytes(text)])) {
            let mut out = String::new();
            show(&value, &mut out).unwrap();
            assert_eq!(out, value.to_string());
        }
    }

    #[test]
    fn names_are_identifiers_and_the_first_of_two_with_one_id_counts() {
        let format = |name: &str| Format { id: 9, name: name.into(), fields: Vec::new(), print: "a\x1bb".into() };
        let schema = Schema::new([format("2 \x1b[2J"), format("second")]);
        assert_eq!(schema.get(9).unwrap().name, "_2___2J");
        assert_eq!(schema.get(9).unwrap().print, "ab");
        assert_eq!(schema.formats().len(), 1);
    }
}
