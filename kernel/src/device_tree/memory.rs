//! Where RAM is (`/memory`, Devicetree Specification 0.4, 3.4) and which of it the header says to leave alone (5.3).

use super::cells::{Malformed, Problem, Reg};
use super::structure::{RESERVATION, double_word};
use super::{Children, Tree};
use crate::memblock::Range;

/// Iterates over the machine's memory: see [`Tree::memory`].
pub struct Memory<'a> {
    children: Children<'a>,
    /// What is left of the current node's `reg`, and the node, to name it.
    reg: Option<(super::Node<'a>, Reg<'a>)>,
}

/// Iterates over the memory reservation block: see [`Tree::memreserve`].
#[derive(Clone, Debug)]
pub struct Memreserve<'a> {
    rest: &'a [u8],
}

impl<'a> Tree<'a> {
    /// Every range of RAM: all entries of all enabled nodes whose `device_type` is `memory`, in tree order, as they stand there.
    /// Entries of size 0 (left for the firmware to fill in) are passed over. A malformed one is an error in its place.
    pub fn memory(&self) -> Memory<'a> {
        Memory { children: self.root().children(), reg: None }
    }

    /// The memory reservation block, without entries of size 0.
    pub fn memreserve(&self) -> Memreserve<'a> {
        let start = usize::try_from(self.fdt.header().memory_reserve_map_offset).unwrap_or(usize::MAX);
        Memreserve { rest: self.bytes.get(start..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Memory<'a> {
    type Item = Result<Range, Malformed<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((node, reg)) = &mut self.reg
                && let Some(entry) = reg.find(|entry| entry.size != 0)
            {
                return Some(entry.range().ok_or_else(|| node.malformed("reg", Problem::Impossible(entry))));
            }
            self.reg = None;
            let node = self.children.find(|node| node.text("device_type") == Some("memory") && node.is_enabled())?;
            match node.reg() {
                Ok(reg) => self.reg = Some((node, reg)),
                Err(malformed) => return Some(Err(malformed)),
            }
        }
    }
}

impl Iterator for Memreserve<'_> {
    type Item = Range;

    fn next(&mut self) -> Option<Range> {
        loop {
            let (address, size) = (double_word(self.rest, 0)?, double_word(self.rest, 8)?);
            if address == 0 && size == 0 {
                return None;
            }
            self.rest = self.rest.get(RESERVATION..)?;
            // One that goes past 2^64 reserves what there is up to there.
            let range = Range::new(address, size).or_else(|| Range::inclusive(address, u64::MAX).filter(|_| size != 0));
            if range.is_some() {
                return range;
            }
        }
    }
}
