//! Cells: how addresses and sizes are written, and how a bus's addresses become the CPU's.
//!
//! Devicetree Specification 0.4: 2.3.5 (`#address-cells`, `#size-cells`), 2.3.6 (`reg`), 2.3.8 (`ranges`).

use core::fmt;

use fdt::nodes::NodeName;

use super::RawNode;
use super::structure::{double_word, word};
use crate::memblock::Range;

/// Bytes of one cell.
const CELL: usize = 4;

/// How many 32-bit cells an address and a size have in the children of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells {
    /// `#address-cells`.
    pub address: u32,
    /// `#size-cells`.
    pub size: u32,
}

impl Cells {
    /// What the specification says where a node does not.
    pub const DEFAULT: Self = Self { address: 2, size: 1 };
}

/// What a node says about the addresses in its children, read once when the node is reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bus<'a> {
    /// How they are written; else the property that is not one cell long.
    pub(super) cells: Result<Cells, &'static str>,
    /// How they map to the addresses of the bus this one is on; None if not at all.
    ranges: Option<&'a [u8]>,
}

impl<'a> Bus<'a> {
    /// Of no node at all.
    pub(super) const NONE: Self = Self { cells: Ok(Cells::DEFAULT), ranges: None };

    /// One pass over the node's properties.
    pub(super) fn of(node: &RawNode<'a>) -> Self {
        let [mut address, mut size, mut ranges] = [None; 3];
        // Only a tree that did not pass the validator has properties that cannot be read.
        for property in node.properties().into_iter().flat_map(|all| all.into_iter()).map_while(Result::ok) {
            match property.name {
                "#address-cells" => address = Some(property.value),
                "#size-cells" => size = Some(property.value),
                "ranges" => ranges = Some(property.value),
                _ => {}
            }
        }
        let one_cell = |value: Option<&[u8]>, absent, name| match value {
            None => Ok(absent),
            Some(value) => word(value, 0).filter(|_| value.len() == CELL).ok_or(name),
        };
        let cells = one_cell(address, Cells::DEFAULT.address, "#address-cells").and_then(|address| {
            let size = one_cell(size, Cells::DEFAULT.size, "#size-cells")?;
            Ok(Cells { address, size })
        });
        Self { cells, ranges }
    }

    /// An address on this bus as `outer`, the bus this one is on, sees it.
    pub(super) fn translate(&self, outer: &Self, address: u64) -> Result<u64, Problem> {
        let value = self.ranges.ok_or(Problem::Missing)?;
        if value.is_empty() {
            return Ok(address);
        }
        let inner = self.cells.map_err(|_| Problem::NotOneCell)?;
        let outer = outer.cells.map_err(|_| Problem::NotOneCell)?;
        for cells in [inner, outer] {
            if !(1..=2).contains(&cells.address) || cells.size > 2 {
                return Err(Problem::Cells(cells));
            }
        }
        let entry = (inner.address + outer.address + inner.size) as usize * CELL;
        if !value.len().is_multiple_of(entry) || value.len() / entry > MOST_RANGES {
            return Err(Problem::RangesLength { bytes: value.len(), entry });
        }
        let mut cursor = Cursor(value);
        while let Some(from) = cursor.take(inner.address)
            && let Some(to) = cursor.take(outer.address)
            && let Some(size) = cursor.take(inner.size)
        {
            if let Some(offset) = address.checked_sub(from)
                && offset < size
            {
                return to.checked_add(offset).ok_or(Problem::NotMapped(address));
            }
        }
        Err(Problem::NotMapped(address))
    }
}

/// Most entries of a `ranges` that are looked through: it happens for each child, and trees in the field have a few dozen.
const MOST_RANGES: usize = 1024;

/// Shows a number as dts cells: `0x0 0x50000000` for two.
pub(crate) fn show_cells(f: &mut fmt::Formatter<'_>, value: u64, cells: u32) -> fmt::Result {
    match cells {
        0 => Ok(()),
        1 => write!(f, "{value:#x}"),
        _ => write!(f, "{:#x} {:#x}", value >> 32, value & u64::from(u32::MAX)),
    }
}

/// An address and a size, as one entry of `reg` has them. The size may be 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Address of the first byte.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

impl Region {
    /// The addresses; None if there are none, or if they go past 2^64.
    pub fn range(self) -> Option<Range> {
        Range::new(self.address, self.size)
    }
}

/// What is wrong with one property of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed<'a> {
    /// Levels below the root.
    pub(super) depth: usize,
    pub(super) parent: NodeName<'a>,
    /// Which node.
    pub node: NodeName<'a>,
    /// Which property.
    pub property: &'static str,
    /// What about it.
    pub problem: Problem,
}

/// What can be wrong with a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The property is not there and must be.
    Missing,
    /// Its length is not a multiple of an entry's under the parent's cells.
    Length {
        /// Its length in bytes.
        bytes: usize,
        /// The parent's cells.
        cells: Cells,
    },
    /// Its length is not a multiple of an entry's, or it has very many.
    RangesLength {
        /// Its length in bytes.
        bytes: usize,
        /// Bytes of one entry.
        entry: usize,
    },
    /// Its length is not that of one number of so many cells.
    SizeLength {
        /// Its length in bytes.
        bytes: usize,
        /// `#size-cells` of the parent.
        cells: u32,
    },
    /// Its length is not a multiple of one interrupt's.
    InterruptLength {
        /// Its length in bytes.
        bytes: usize,
        /// `#interrupt-cells` of the controller.
        cells: u32,
    },
    /// Addresses of none or more than two cells, or sizes of more than two, cannot be numbers of 64 bits.
    Cells(Cells),
    /// It must be one cell and is not.
    NotOneCell,
    /// It must be one or two cells and is not.
    NotANumber,
    /// It must be one of a few words and is not.
    NotAWord {
        /// The words.
        expected: &'static str,
    },
    /// There is no entry of this index.
    NoSuchEntry(usize),
    /// An entry of this address and size goes past 2^64, or is empty where it must not be.
    Impossible(Region),
    /// A bus does not map this address to its parent.
    NotMapped(u64),
    /// It refers to a node that is not there.
    NoSuchNode,
}

impl fmt::Display for Malformed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.depth {
            0 => f.write_str("/")?,
            1 => write!(f, "/{}", self.node)?,
            2 => write!(f, "/{}/{}", self.parent, self.node)?,
            _ => write!(f, "node {} (in {})", self.node, self.parent)?,
        }
        write!(f, ": {} ", self.property)?;
        match self.problem {
            Problem::Missing => f.write_str("is missing: add it"),
            Problem::Length { bytes, cells: Cells { address, size } } => {
                let entry = (address as usize).saturating_add(size as usize).saturating_mul(CELL);
                write!(
                    f,
                    "is {bytes} bytes, but with #address-cells = {address} and #size-cells = {size} of its parent each entry has \
                     {entry}: write every address and size with that many cells"
                )
            }
            Problem::RangesLength { bytes, entry } => write!(
                f,
                "is {bytes} bytes, but each entry (address here, address outside, size) has {entry}, and {MOST_RANGES} are the most: \
                 write each with the right number of cells"
            ),
            Problem::SizeLength { bytes, cells } => write!(
                f,
                "is {bytes} bytes, but must be one number of {cells} cells, #size-cells of its parent: write it so"
            ),
            Problem::InterruptLength { bytes, cells } => write!(
                f,
                "is {bytes} bytes, but each interrupt has {cells} cells, #interrupt-cells of its controller (1 to 4 are possible): \
                 write it so"
            ),
            Problem::Cells(Cells { address, size }) => write!(
                f,
                "cannot be read with #address-cells = {address} and #size-cells = {size} of its parent: use 1 or 2 for each"
            ),
            Problem::NotOneCell => f.write_str("is not one cell: write it as <number>"),
            Problem::NotANumber => f.write_str("is neither one cell nor two: write it as <number> or <high low>"),
            Problem::NotAWord { expected } => write!(f, "is none of {expected}: use one of them"),
            Problem::NoSuchEntry(index) => write!(f, "has no entry {index} (the first is 0): add it"),
            Problem::Impossible(Region { address, size }) => {
                write!(f, "has an entry at {address:#x} of {size:#x} bytes, which is empty or goes past 2^64: mend it")
            }
            Problem::NotMapped(address) => {
                write!(f, "does not map address {address:#x} to the parent bus: add an entry for it")
            }
            Problem::NoSuchNode => f.write_str("refers to a node that does not exist: mend the reference"),
        }
    }
}

/// The entries of a `reg`, or of a property written like it.
#[derive(Clone, Debug)]
pub struct Reg<'a> {
    rest: &'a [u8],
    cells: Cells,
}

impl Default for Reg<'_> {
    fn default() -> Self {
        Self { rest: &[], cells: Cells::DEFAULT }
    }
}

impl<'a> Reg<'a> {
    /// Refuses what cannot be cut into entries, so that iteration yields every pair there is.
    pub(super) fn new(value: &'a [u8], cells: Cells) -> Result<Self, Problem> {
        if !(1..=2).contains(&cells.address) || cells.size > 2 {
            return Err(Problem::Cells(cells));
        }
        let reg = Self { rest: value, cells };
        if value.len().is_multiple_of(reg.entry()) {
            Ok(reg)
        } else {
            Err(Problem::Length { bytes: value.len(), cells })
        }
    }

    fn entry(&self) -> usize {
        (self.cells.address as usize + self.cells.size as usize) * CELL
    }
}

impl Iterator for Reg<'_> {
    type Item = Region;

    fn next(&mut self) -> Option<Region> {
        let mut cursor = Cursor(self.rest);
        let address = cursor.take(self.cells.address)?;
        let size = cursor.take(self.cells.size)?;
        self.rest = cursor.0;
        Some(Region { address, size })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rest.len() / self.entry().max(CELL);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Reg<'_> {}

/// Takes numbers of so many cells off the front of a value.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    /// A number of no, one or two cells; None at the end, or for a number that has more.
    fn take(&mut self, cells: u32) -> Option<u64> {
        let (value, rest) = match cells {
            0 => (0, self.0),
            1 => (u64::from(word(self.0, 0)?), self.0.get(CELL..)?),
            2 => (double_word(self.0, 0)?, self.0.get(2 * CELL..)?),
            _ => return None,
        };
        self.0 = rest;
        Some(value)
    }
}

/// A number of exactly `cells` cells, as `size` and `alignment` of a reserved-memory node are.
pub(super) fn single(value: &[u8], cells: u32) -> Option<u64> {
    let mut cursor = Cursor(value);
    cursor.take(cells).filter(|_| cursor.0.is_empty() && cells > 0)
}
