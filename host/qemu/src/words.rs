//! How things are written on a command line: paths in QEMU's options, words for a shell, sizes.

use anyhow::{Context, Result};
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// A path as the value in one of QEMU's comma-separated options.
pub(crate) fn option_value(path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let doubled = path.as_os_str().as_bytes().split(|&byte| byte == b',').collect::<Vec<_>>().join(b",,".as_slice());
    OsString::from_vec(doubled)
}

/// Words as a shell reads them.
pub(crate) fn quoted<'a>(words: impl Iterator<Item = &'a OsStr>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    let words = words.map(|word| {
        let word = word.to_string_lossy();
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Reads a size as QEMU takes it: a number with K, M or G behind it, or MiB without.
///
/// # Errors
/// It is none, or larger than an address can be.
pub fn parse_size(text: &str) -> Result<u64> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 20),
    };
    let number: Option<u64> = digits.parse().ok().filter(|number| *number > 0);
    let size = number.and_then(|number| number.checked_mul(1 << shift));
    size.with_context(|| format!("{text:?} is not a size such as 512M or 2G"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let words = ["qemu", "-append", "die=panic seed=7", "it's", ""].map(OsStr::new);
        assert_eq!(quoted(words.into_iter()), r"qemu -append 'die=panic seed=7' 'it'\''s' ''");
    }

    #[test]
    fn a_comma_in_a_path_does_not_end_the_option() {
        assert_eq!(option_value(Path::new("/a,b/c,,d")), "/a,,b/c,,,,d");
    }

    #[test]
    fn sizes_are_read_as_qemu_reads_them() {
        let sizes = ["512M", "512", "2G", "64k"].map(|text| parse_size(text).unwrap());
        assert_eq!(sizes, [512 << 20, 512 << 20, 2 << 30, 64 << 10]);
        for text in ["", "M", "-1M", "0", "1.5G", "99999999999G", "512MB", "é"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
