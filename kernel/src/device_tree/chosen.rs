//! `/chosen`: what the boot loader tells this kernel (Devicetree Specification 0.4, 3.6).

use super::cells::{Malformed, Problem, Region};
use super::{Node, Tree};
use crate::memblock::Range;

/// Where the console is, as the tree says.
#[derive(Clone, Debug)]
pub struct Stdout<'a> {
    /// The device.
    pub node: Node<'a>,
    /// What follows the colon: `115200n8`.
    pub options: Option<&'a str>,
}

impl<'a> Tree<'a> {
    /// The command line, without its NUL. Not checked: show it escaped. Empty if there is none.
    pub fn bootargs(&self) -> &'a [u8] {
        self.chosen().and_then(|chosen| chosen.first_string("bootargs")).unwrap_or_default()
    }

    /// `stdout-path`, followed through an alias. None if the tree has none.
    ///
    /// # Errors
    /// [`Malformed`]: it names a node that is not there.
    pub fn stdout(&self) -> Result<Option<Stdout<'a>>, Malformed<'a>> {
        let Some(chosen) = self.chosen() else { return Ok(None) };
        // The second is what it was called before 2014.
        for property in ["stdout-path", "linux,stdout-path"] {
            if !chosen.has(property) {
                continue;
            }
            let node = chosen.text(property).and_then(|text| {
                let (path, options) =
                    text.split_once(':').map_or((text, None), |(path, options)| (path, Some(options)));
                Some(Stdout { node: self.node(path)?, options })
            });
            return node.map(Some).ok_or_else(|| chosen.malformed(property, Problem::NoSuchNode));
        }
        Ok(None)
    }

    /// Where the boot loader put the initial RAM disk. None if it brought none.
    ///
    /// # Errors
    /// [`Malformed`]: only one of the two addresses, or an end that is not after the start.
    pub fn initrd(&self) -> Result<Option<Range>, Malformed<'a>> {
        const START: &str = "linux,initrd-start";
        const END: &str = "linux,initrd-end";
        let Some(chosen) = self.chosen().filter(|chosen| chosen.has(START) || chosen.has(END)) else { return Ok(None) };
        let address = |name| chosen.number(name).ok_or_else(|| chosen.malformed(name, Problem::NotANumber));
        let (start, end) = (address(START)?, address(END)?);
        // U-Boot leaves both at the same address when there is no disk after all.
        if start == end {
            return Ok(None);
        }
        let range = end.checked_sub(1).and_then(|last| Range::inclusive(start, last));
        let impossible = Problem::Impossible(Region { address: start, size: end.wrapping_sub(start) });
        range.map(Some).ok_or_else(|| chosen.malformed(END, impossible))
    }

    /// Random bytes from the boot loader: `rng-seed`. Empty if there are none.
    pub fn rng_seed(&self) -> &'a [u8] {
        self.chosen().and_then(|chosen| chosen.property("rng-seed")).unwrap_or_default()
    }

    /// Random bytes from the boot loader: `kaslr-seed`. Empty if there are none.
    pub fn kaslr_seed(&self) -> &'a [u8] {
        self.chosen().and_then(|chosen| chosen.property("kaslr-seed")).unwrap_or_default()
    }

    /// The node `/chosen` itself, for what a board's firmware adds to it.
    pub fn chosen(&self) -> Option<Node<'a>> {
        self.root().child("chosen")
    }
}
