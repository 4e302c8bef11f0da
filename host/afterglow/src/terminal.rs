//! Lets a guest's text pass to a person's terminal, and nothing else: no cursor movement, no title, no clipboard.
//!
//! What passes: printable characters, newline, tab, and the sequences that set colours (`ESC [ numbers m`). The rest is shown
//! as an escape such as `\x1b`, except a carriage return before a newline, which goes.

/// A sequence for colours is not longer than this.
const SEQUENCE_MAX: usize = 32;
const RESET: &str = "\x1b[0m";

/// Takes the guest's bytes piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// What may yet become a character or a sequence.
    held: Vec<u8>,
    coloured: bool,
}

impl Filter {
    /// What may be shown of the bytes so far.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> String {
        self.held.extend(bytes);
        let held = std::mem::take(&mut self.held);
        let mut out = String::new();
        let mut rest = held.as_slice();
        while !rest.is_empty() {
            match self.next(rest, &mut out) {
                Some(used) => rest = &rest[used..],
                None => break,
            }
        }
        self.held = rest.to_vec();
        out
    }

    /// What may be shown at the end: nothing stays held back, and no colour stays set.
    pub(crate) fn finish(&mut self) -> String {
        let mut out = String::new();
        while !self.held.is_empty() {
            // Its end does not come; what is behind it may be harmless.
            let rest = self.held.split_off(1);
            escape(std::mem::take(&mut self.held)[0], &mut out);
            out.push_str(&self.pass(&rest));
        }
        if std::mem::take(&mut self.coloured) {
            out.push_str(RESET);
        }
        out
    }

    /// Shows the first thing and says how long it is; None if its end is not there yet.
    fn next(&mut self, rest: &[u8], out: &mut String) -> Option<usize> {
        match rest[0] {
            byte @ (b'\n' | b'\t' | b' '..=b'~') => {
                out.push(char::from(byte));
                Some(1)
            }
            b'\r' => match rest.get(1)? {
                b'\n' => Some(1),
                _ => Some(escape(b'\r', out)),
            },
            0x1b => self.sequence(rest, out),
            first if first < 0x80 => Some(escape(first, out)),
            first => character(first, rest, out),
        }
    }

    fn sequence(&mut self, rest: &[u8], out: &mut String) -> Option<usize> {
        for (at, byte) in rest.iter().enumerate().skip(1).take(SEQUENCE_MAX) {
            match (at, byte) {
                (1, b'[') | (2.., b'0'..=b'9' | b';') => {}
                (2.., b'm') => {
                    let sequence = String::from_utf8_lossy(&rest[..=at]);
                    self.coloured = !matches!(sequence.as_ref(), "\x1b[m" | RESET);
                    out.push_str(&sequence);
                    return Some(at + 1);
                }
                _ => return Some(escape(rest[0], out)),
            }
        }
        (rest.len() > SEQUENCE_MAX).then(|| escape(rest[0], out))
    }
}

/// Shows a byte as an escape; its length is one.
fn escape(byte: u8, out: &mut String) -> usize {
    out.push_str(&format!("\\x{byte:02x}"));
    1
}

/// A character beyond ASCII.
fn character(first: u8, rest: &[u8], out: &mut String) -> Option<usize> {
    let size = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Some(escape(first, out)),
    };
    let there = &rest[..size.min(rest.len())];
    match std::str::from_utf8(there) {
        Ok(text) if text.chars().all(is_harmless) => out.push_str(text),
        Ok(_) => there.iter().for_each(|byte| {
            escape(*byte, out);
        }),
        // Cut off, and not wrong so far.
        Err(error) if error.error_len().is_none() => return None,
        Err(_) => return Some(escape(first, out)),
    }
    Some(size)
}

/// Neither a control character nor one that turns the direction of text around or is not seen.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole, and byte by byte.
    fn shown(bytes: &[u8]) -> String {
        let mut filter = Filter::default();
        let whole = filter.pass(bytes) + &filter.finish();
        let single: String = bytes.iter().map(|byte| filter.pass(&[*byte])).collect();
        assert_eq!(single + &filter.finish(), whole, "pieces do not matter");
        whole
    }

    #[test]
    fn text_and_colours_pass() {
        for text in ["boot 1\n\tcore 0: 100 %\n", "µs → ✓", "\x1b[1;31mred\x1b[0m", "\x1b[m"] {
            assert_eq!(shown(text.as_bytes()), text);
        }
        assert_eq!(shown(b"one\r\ntwo"), "one\ntwo");
        assert_eq!(shown(b"\x1b[32mstill green"), "\x1b[32mstill green\x1b[0m", "the terminal is not left green");
    }

    #[test]
    fn what_could_do_something_to_a_terminal_is_shown_instead() {
        let cases: [(&[u8], &str); 12] = [
            (b"\x1b[2J", r"\x1b[2J"),
            (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
            (b"\x1bc", r"\x1bc"),
            (b"\x1b", r"\x1b"),
            (b"\x1b[31", r"\x1b[31"),
            (b"\x1b\x1b[31m", "\\x1b\x1b[31m\x1b[0m"),
            (b"over\rwritten", r"over\x0dwritten"),
            (b"\x08\x7f\x00", r"\x08\x7f\x00"),
            (b"\xff\xc3", r"\xff\xc3"),
            (b"\xc2\x9b2J", r"\xc2\x9b2J"),
            (b"\xe2\x80\xae", r"\xe2\x80\xae"),
            (b"\xe2\x80x", r"\xe2\x80x"),
        ];
        for (bytes, text) in cases {
            assert_eq!(shown(bytes), text);
        }
        assert!(shown(&[b"\x1b[".as_slice(), &[b'1'; 100], b"m"].concat()).starts_with(r"\x1b[111"));
    }

    #[test]
    fn nothing_waits_for_an_end_that_does_not_come() {
        let mut filter = Filter::default();
        assert_eq!(filter.pass(b"text\x1b["), "text");
        assert_eq!(filter.pass(b"3"), "");
        assert_eq!(filter.pass(b"x"), r"\x1b[3x");
    }
}
