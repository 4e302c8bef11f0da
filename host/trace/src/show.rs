//! Events as text, fast: a listing is made of little else. What is written is what `Display` of [`Value`] writes.

use crate::{Field, Format};
use ring::escape::Escaped;
use ring::schema::Value;
use std::fmt::{Result, Write};

/// How many of a field's bytes are shown.
const BYTES_SHOWN: usize = 16;

/// A format's print form, taken apart once.
#[derive(Clone, Debug)]
pub(crate) struct Shown(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    /// A field, and what stands for it where an event has none.
    Field(Field, String),
}

impl Shown {
    pub(crate) fn of(format: &Format) -> Self {
        let mut pieces = Vec::new();
        let text = |text: &str, pieces: &mut Vec<Piece>| match pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(before)) => before.push_str(text),
            _ => pieces.push(Piece::Text(text.into())),
        };
        let mut parts = format.print.split('{');
        text(parts.next().unwrap_or(""), &mut pieces);
        for part in parts {
            let (name, behind) = part.split_once('}').unwrap_or((part, ""));
            let absent = format!("{{{name}?}}");
            match format.fields.iter().find(|field| field.name == name) {
                Some(field) => pieces.push(Piece::Field(field.clone(), absent)),
                None => text(&absent, &mut pieces),
            }
            text(behind, &mut pieces);
        }
        Self(pieces)
    }

    pub(crate) fn write(&self, payload: &[u8], out: &mut dyn Write) -> Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => out.write_str(text),
            Piece::Field(field, absent) => match field.value(payload) {
                Some(found) => value(&found, out),
                None => out.write_str(absent),
            },
        })
    }
}

/// Writes a value: printable ASCII only.
pub(crate) fn value(value: &Value<'_>, out: &mut dyn Write) -> Result {
    match *value {
        Value::Unsigned(number) => decimal(number, false, out),
        Value::Signed(number) => decimal(number.unsigned_abs(), number < 0, out),
        Value::Hex(number) => hexadecimal(number, out),
        Value::Text(text) => escaped(text, out),
        Value::Bytes(bytes) => {
            let mut digits = [0; 2 * BYTES_SHOWN];
            let shown = &bytes[..bytes.len().min(BYTES_SHOWN)];
            for (digits, byte) in digits.chunks_exact_mut(2).zip(shown) {
                digits[0] = DIGITS[usize::from(byte >> 4)];
                digits[1] = DIGITS[usize::from(byte & 15)];
            }
            ascii(&digits[..2 * shown.len()], out)?;
            out.write_str(if bytes.len() > BYTES_SHOWN { "..." } else { "" })
        }
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn ascii(bytes: &[u8], out: &mut dyn Write) -> Result {
    out.write_str(std::str::from_utf8(bytes).unwrap_or(""))
}

fn decimal(mut number: u64, is_negative: bool, out: &mut dyn Write) -> Result {
    let mut digits = [0; 21];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if is_negative {
        at -= 1;
        digits[at] = b'-';
    }
    ascii(&digits[at..], out)
}

fn hexadecimal(mut number: u64, out: &mut dyn Write) -> Result {
    let mut digits = [0; 18];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = DIGITS[(number & 15) as usize];
        number >>= 4;
        if number == 0 {
            break;
        }
    }
    at -= 2;
    digits[at..at + 2].copy_from_slice(b"0x");
    ascii(&digits[at..], out)
}

/// Text that nobody vouches for, what is printable of it in one go.
fn escaped(text: &[u8], out: &mut dyn Write) -> Result {
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'\\';
    let mut rest = text;
    while !rest.is_empty() {
        let (plain, others) = rest.split_at(rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len()));
        ascii(plain, out)?;
        let (odd, others) = others.split_at(others.iter().position(is_plain).unwrap_or(others.len()));
        write!(out, "{}", Escaped(odd))?;
        rest = others;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_they_are_displayed() {
        let all: Vec<u8> = (0..=255).chain(*b"plain \\ text").collect();
        let numbers = [0, 1, 9, 10, 255, 1 << 53 | 1, u64::MAX, i64::MAX as u64, 1 << 63];
        let values = numbers
            .iter()
            .flat_map(|n| [Value::Unsigned(*n), Value::Hex(*n), Value::Signed(n.cast_signed())])
            .chain([0, 1, 15, 16, 17, 256].map(|size| Value::Bytes(&all[..size])))
            .chain([Value::Text(&all), Value::Text(b""), Value::Text(b"plain")]);
        for one in values {
            let mut out = String::new();
            value(&one, &mut out).unwrap();
            assert_eq!(out, one.to_string());
        }
    }
}
