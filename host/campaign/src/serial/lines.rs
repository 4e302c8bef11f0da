//! Bytes of a serial line become lines: for programs without what cannot be the kernel's, for people with all of it escaped.

use ring::escape::Escaped;

/// A line is not longer than this: noise has no newlines. The kernel's longest are some hundred bytes.
const LONGEST: usize = 2048;
/// A line with fewer characters says nothing.
const READABLE_LEAST: usize = 3;

/// A line, or a piece of something that does not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its printable ASCII, without colours.
    pub text: String,
    /// All of it, escaped.
    pub shown: String,
    /// Bytes that are no text.
    pub noise: usize,
}

impl Line {
    fn new(bytes: &[u8]) -> Self {
        let (mut text, mut noise) = (String::with_capacity(bytes.len()), 0);
        let mut rest = bytes;
        while let [first, behind @ ..] = rest {
            rest = behind;
            match first {
                b' '..=b'~' => text.push(char::from(*first)),
                b'\t' => text.push(' '),
                0x1b if let Some(behind) = behind_sequence(behind) => rest = behind,
                _ => noise += 1,
            }
        }
        Self { text: text.trim_end().to_owned(), shown: Escaped(bytes).to_string(), noise }
    }

    /// Whether somebody speaks: the kernel or a boot loader, not a cable without a board.
    pub fn is_readable(&self) -> bool {
        let letters = self.text.bytes().filter(u8::is_ascii_graphic).count();
        letters >= READABLE_LEAST && letters > 2 * self.noise
    }
}

/// What follows the rest of a control sequence such as a colour; None if it is none.
fn behind_sequence(bytes: &[u8]) -> Option<&[u8]> {
    let parameters = bytes.strip_prefix(b"[")?;
    let end = parameters.iter().position(|byte| !matches!(byte, b'0'..=b'?'))?;
    parameters[end].is_ascii_alphabetic().then(|| &parameters[end + 1..])
}

/// Cuts bytes into lines. Both CR and LF end one, in any mixture; empty ones are nobody's loss.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
}

impl Lines {
    /// The lines that are whole now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for byte in bytes {
            let ends = matches!(byte, b'\n' | b'\r');
            if !ends {
                self.held.push(*byte);
            }
            if ends || self.held.len() == LONGEST {
                lines.extend(self.rest());
            }
        }
        lines
    }

    /// What has come of the last one.
    pub fn rest(&mut self) -> Option<Line> {
        let held = std::mem::take(&mut self.held);
        (!held.is_empty()).then(|| Line::new(&held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8]) -> Vec<(String, usize)> {
        let whole: Vec<Line> = {
            let mut lines = Lines::default();
            lines.push(bytes).into_iter().chain(lines.rest()).collect()
        };
        let mut lines = Lines::default();
        let mut single: Vec<Line> = bytes.iter().flat_map(|byte| lines.push(&[*byte])).collect();
        single.extend(lines.rest());
        assert_eq!(single, whole, "pieces do not matter");
        whole.into_iter().map(|line| (line.text, line.noise)).collect()
    }

    #[test]
    fn any_mixture_of_cr_and_lf_ends_a_line() {
        let lines = texts(b"one\r\ntwo\n\rthree\r\r\nfour\n\nfive");
        assert_eq!(lines, ["one", "two", "three", "four", "five"].map(|text| (text.to_owned(), 0)));
    }

    #[test]
    fn noise_is_counted_and_left_out_and_colours_are_no_noise() {
        assert_eq!(texts(b"\x00\xffboot\x80 1\n"), [("boot 1".to_owned(), 3)]);
        assert_eq!(texts(b"\x1b[1;31mred\x1b[0m \x1b[2Jx\n"), [("red x".to_owned(), 0)]);
        assert_eq!(texts("cut \u{b5}".as_bytes().split_last().unwrap().1), [("cut".to_owned(), 1)]);
        assert_eq!(texts(b"\x1b[12"), [("[12".to_owned(), 1)]);
    }

    #[test]
    fn what_is_shown_commands_no_terminal() {
        let all: Vec<u8> = (0..=255).collect();
        let mut lines = Lines::default();
        let shown: String = lines.push(&all).into_iter().chain(lines.rest()).map(|line| line.shown).collect();
        assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown}");
    }

    #[test]
    fn noise_without_end_is_cut_and_is_not_readable() {
        let mut lines = Lines::default();
        let pieces = lines.push(&[0xff; 3 * LONGEST]);
        assert_eq!(pieces.len(), 3);
        assert!(!pieces[0].is_readable());
        assert!(Line::new(b"U-Boot 2025.01\xff").is_readable());
        assert!(!Line::new(b"a\xff\xffb\x80c").is_readable());
    }
}
