//! Names of addresses: a kallsyms or System.map of the kernel that wrote a region.

use ring::escape::Escaped;
use std::fmt::{Result, Write};

/// Functions that are as long as this at most; what lies further behind one is not part of it.
const LENGTH_MAX: u64 = 1 << 20;

/// Symbols by address.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// Address and place of the name; sorted, the first of several at one address first.
    entries: Vec<(u64, std::ops::Range<u32>)>,
    names: Vec<u8>,
    /// What is added to an address of the region before it is looked up.
    delta: u64,
}

impl Symbols {
    /// Reads lines of address, type and name, as /proc/kallsyms and System.map have them. Lines that are none are passed over.
    #[must_use]
    pub fn load(text: &[u8]) -> Self {
        let mut symbols = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let address = words.next().and_then(|word| std::str::from_utf8(word).ok());
            let (Some(address), Some(kind), Some(name)) = (address, words.next(), words.next()) else { continue };
            let Ok(address) = u64::from_str_radix(address, 16) else { continue };
            // Addresses that are hidden are all zero; marks of the assembler and values are no functions.
            if address == 0 || kind.len() != 1 || kind == b"a" || kind == b"A" || name.starts_with(b"$") {
                continue;
            }
            let start = symbols.names.len();
            let Ok(range) =
                u32::try_from(start).and_then(|start| Ok(start..u32::try_from(start as usize + name.len())?))
            else {
                break;
            };
            symbols.names.extend_from_slice(name);
            symbols.entries.push((address, range));
        }
        symbols.entries.sort_by_key(|(address, _)| *address);
        symbols
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The address of a symbol; what compilers append to names, as `.isra.0`, does not count.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<u64> {
        let is_it = |range: &std::ops::Range<u32>| {
            let bytes = self.bytes(range);
            bytes.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'.')
        };
        self.entries.iter().find(|(_, range)| is_it(range)).map(|(address, _)| *address)
    }

    /// Moves them: a kernel that is loaded elsewhere at each boot wrote `theirs` for what is at `ours` here.
    pub(crate) fn moved(&mut self, theirs: u64, ours: u64) {
        self.delta = ours.wrapping_sub(theirs);
    }

    fn bytes(&self, range: &std::ops::Range<u32>) -> &[u8] {
        self.names.get(range.start as usize..range.end as usize).unwrap_or(&[])
    }

    /// The symbol that an address belongs to: name, distance from its beginning, and its length.
    fn of(&self, address: u64) -> Option<(&[u8], u64, u64)> {
        let address = address.wrapping_add(self.delta);
        let behind = self.entries.partition_point(|(entry, _)| *entry <= address);
        let start = self.entries.get(behind.checked_sub(1)?)?.0;
        let first = self.entries[..behind].partition_point(|(entry, _)| *entry < start);
        let length = self.entries.get(behind).map_or(0, |(next, _)| next - start);
        let distance = address - start;
        (distance < LENGTH_MAX).then(|| (self.bytes(&self.entries[first].1), distance, length))
    }

    /// Writes an address as Linux does: its symbol, if it is wished with the distance and the length, or the number.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn show(&self, address: u64, with_distance: bool, out: &mut dyn Write) -> Result {
        match self.of(address) {
            Some((name, distance, length)) if with_distance => {
                write!(out, "{}+{distance:#x}/{length:#x}", Escaped(name))
            }
            Some((name, ..)) => write!(out, "{}", Escaped(name)),
            None => write!(out, "{address:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_named_by_the_symbol_before_it() {
        let text = b"0000000000000000 T hidden\nffff800080000000 T _text\nffff800080000100 t first\nffff800080000100 t alias\nffff800080000100 t $x\nnonsense\nffff800080000180 T last.isra.0\t[mod]\n";
        let mut symbols = Symbols::load(text);
        let shown = |symbols: &Symbols, address, with| {
            let mut out = String::new();
            symbols.show(address, with, &mut out).unwrap();
            out
        };
        assert_eq!(shown(&symbols, 0xffff_8000_8000_0108, false), "first");
        assert_eq!(shown(&symbols, 0xffff_8000_8000_0108, true), "first+0x8/0x80");
        assert_eq!(shown(&symbols, 0xffff_8000_9000_0000, false), "0xffff800090000000");
        assert_eq!(shown(&symbols, 0x10, false), "0x10");
        assert_eq!(symbols.address("last"), Some(0xffff_8000_8000_0180));
        symbols.moved(0xffff_8001_0000_0000, 0xffff_8000_8000_0000);
        assert_eq!(shown(&symbols, 0xffff_8001_0000_0184, false), "last.isra.0");
    }
}
