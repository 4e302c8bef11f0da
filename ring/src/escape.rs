//! Shows bytes that nobody vouches for: printable ASCII as it is, everything else as `\xNN`, so that nothing in a region, a
//! device tree or a file name can command a terminal.

use core::fmt::{Display, Formatter, Result, Write};

/// Bytes to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<'a>(pub &'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for byte in self.0 {
            match byte {
                b'\\' => f.write_str("\\\\")?,
                b' '..=b'~' => f.write_char(char::from(*byte))?,
                b'\t' => f.write_str("\\t")?,
                b'\n' => f.write_str("\\n")?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn no_byte_can_command_a_terminal() {
        let all: std::vec::Vec<u8> = (0..=255).collect();
        let shown = Escaped(&all).to_string();
        assert!(shown.bytes().all(|b| (b' '..=b'~').contains(&b)));
        assert_eq!(Escaped(b"a\x1b[2J\\n\n").to_string(), "a\\x1b[2J\\\\n\\n");
    }
}
