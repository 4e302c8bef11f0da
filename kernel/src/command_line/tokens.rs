//! Cuts a command line into `name` and `name=value`, the way Linux does.

/// One word of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// What stands before the first `=`.
    pub(super) name: &'a [u8],
    /// What stands behind it, without quotes around it; None without `=`.
    pub(super) value: Option<&'a [u8]>,
}

/// The words of `line`, up to a bare `--`. Blanks separate them, except within double quotes, which may stand around a whole
/// word or around a value. A quote that nothing closes runs to the end.
pub(super) fn tokens(line: &[u8]) -> impl Iterator<Item = Token<'_>> {
    let mut rest = line;
    core::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let length = length_of_word(rest);
        let (word, after) = rest.split_at_checked(length)?;
        rest = after;
        if word.is_empty() || word == b"--" {
            rest = &[];
            return None;
        }
        Some(token(unquoted(word)))
    })
}

/// Bytes up to the first blank that is not within quotes.
fn length_of_word(text: &[u8]) -> usize {
    let mut quoted = false;
    let ends = |byte: &u8| {
        quoted ^= *byte == b'"';
        !quoted && byte.is_ascii_whitespace()
    };
    text.iter().position(ends).unwrap_or(text.len())
}

fn token(word: &[u8]) -> Token<'_> {
    match word.iter().position(|byte| *byte == b'=').and_then(|at| word.split_at_checked(at)) {
        Some((name, value)) => Token { name, value: value.strip_prefix(b"=").map(unquoted) },
        None => Token { name: word, value: None },
    }
}

/// Without the quote at its start, and then without the one at its end.
fn unquoted(text: &[u8]) -> &[u8] {
    match text.strip_prefix(b"\"") {
        Some(inner) => inner.strip_suffix(b"\"").unwrap_or(inner),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn words(line: &str) -> Vec<String> {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
        tokens(line.as_bytes())
            .map(|token| match token.value {
                Some(value) => shown(token.name) + "=" + &shown(value),
                None => shown(token.name),
            })
            .collect()
    }

    #[test]
    fn blanks_separate_however_many_there_are() {
        assert_eq!(words("  ro\tbanks=4 \n root=/dev/sda=1  "), ["ro", "banks=4", "root=/dev/sda=1"]);
        assert!(words(" \t ").is_empty() && words("").is_empty());
    }

    #[test]
    fn quotes_hold_blanks_together_and_are_taken_off() {
        assert_eq!(words(r#"a="b c" "d=e f" "g h" i=j"k l"m"#), ["a=b c", "d=e f", "g h", r#"i=j"k l"m"#]);
    }

    #[test]
    fn a_quote_that_nothing_closes_runs_to_the_end() {
        assert_eq!(words(r#"a="b c banks=4"#), ["a=b c banks=4"]);
        assert_eq!(words(r#"""#), [""]);
    }

    #[test]
    fn two_dashes_end_the_options() {
        assert_eq!(words("banks=2 -- banks=3"), ["banks=2"]);
        assert_eq!(words("banks=2 --banks=3"), ["banks=2", "--banks=3"]);
    }
}
