//! A buffer of printable ASCII that is filled fast: what a line of text is made in.

use std::fmt::{Result, Write};

/// Bytes that are written out when there are enough of them.
#[derive(Debug, Default)]
pub(crate) struct Ascii(pub(crate) Vec<u8>);

impl Write for Ascii {
    fn write_str(&mut self, text: &str) -> Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
    fn write_char(&mut self, c: char) -> Result {
        match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => self.0.push(byte),
            _ => write!(self, "\\u{{{:x}}}", u32::from(c))?,
        }
        Ok(())
    }
}

impl Ascii {
    /// Bytes as they are: they must be printable.
    #[inline]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    /// A number, with leading `fill` up to `width` digits.
    #[inline]
    pub(crate) fn number(&mut self, number: u64, width: usize, fill: u8) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        self.0.resize(self.0.len() + width.saturating_sub(digits.len()), fill);
        self.0.extend_from_slice(digits);
    }
    /// Spaces until so many bytes stand behind `start`.
    #[inline]
    pub(crate) fn pad(&mut self, start: usize, width: usize) {
        if self.0.len() < start + width {
            self.0.resize(start + width, b' ');
        }
    }
}

/// Text that nobody vouches for, escaped as everywhere in this project: printable ASCII, `\\`, `\t`, `\n`, `\xNN`.
pub(crate) fn escaped(text: &[u8], out: &mut String) {
    out.clear();
    push_escaped(text, out);
}

/// The same behind what is there.
pub(crate) fn push_escaped(text: &[u8], out: &mut String) {
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'\\';
    let mut rest = text;
    while !rest.is_empty() {
        let plain = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
        let (run, others) = rest.split_at(plain);
        out.push_str(std::str::from_utf8(run).unwrap_or(""));
        let odd = others.iter().position(is_plain).unwrap_or(others.len());
        let (odd, others) = others.split_at(odd);
        // Writing to a String does not fail.
        let _ = write!(out, "{}", ring::escape::Escaped(odd));
        rest = others;
    }
}

/// Bytes as hexadecimal digits, behind what is there.
pub(crate) fn push_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_escaped_as_single_bytes_are() {
        let all: Vec<u8> = (0..=255).chain(*b"abc\\\\\x1b[2J\xff\xfeend").collect();
        let mut out = String::new();
        escaped(&all, &mut out);
        assert_eq!(out, ring::escape::Escaped(&all).to_string());
    }
}
