//! Why there is no region, and what to do about it.

use core::fmt;

use fdt::nodes::NodeName;

use super::{COMPATIBLE, SMALLEST, Source};
use crate::device_tree::{Cells, Malformed, show_cells};
use crate::memblock::{MemblockError, PAGE, Range, Size};
use crate::memory_map::Holder;

/// Why no region can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegionError<'a> {
    /// Neither the device tree nor the command line names one.
    NoRegion(NodeToAdd),
    /// The node's properties do not make sense.
    Malformed(Malformed<'a>),
    /// The node has another number of ranges than one.
    NotOneRange {
        /// The node.
        node: NodeName<'a>,
        /// Entries of its `reg`.
        count: usize,
    },
    /// Base or size are not multiples of [`PAGE`].
    NotWholePages {
        /// Who says so.
        source: Source<'a>,
        /// Physical address of the first byte; None where there is none yet.
        base: Option<u64>,
        /// Bytes.
        size: u64,
    },
    /// There are fewer bytes than [`SMALLEST`].
    TooSmall {
        /// Who says so.
        source: Source<'a>,
        /// Bytes.
        size: u64,
    },
    /// Some or all of it is not memory.
    NotInMemory {
        /// Who says so.
        source: Source<'a>,
        /// Where it was to be.
        range: Range,
        /// Memory that has at least a part of it.
        bank: Option<Range>,
    },
    /// Some of it is someone else's.
    Overlap {
        /// Who says so.
        source: Source<'a>,
        /// Where it was to be.
        range: Range,
        /// Who else has it.
        holder: Holder<'a>,
        /// What they have.
        other: Range,
    },
    /// There is no place for it.
    NoRoom {
        /// Who asks.
        source: Source<'a>,
        /// What memblock says.
        error: MemblockError,
    },
    /// memblock cannot hold the reservation.
    Memblock(MemblockError),
}

impl<'a> RegionError<'a> {
    /// Who wants the region where, if it is refused for what is there: a picture of memory then helps.
    pub(super) fn place(&self) -> Option<(&Source<'a>, Range)> {
        match self {
            Self::NotInMemory { source, range, .. } | Self::Overlap { source, range, .. } => Some((source, *range)),
            _ => None,
        }
    }
}

impl fmt::Display for RegionError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRegion(node) => write!(f, "no region for the ring. {node}"),
            Self::Malformed(malformed) => write!(f, "no region for the ring: {malformed}"),
            Self::NotOneRange { node, count } => {
                write!(f, "/reserved-memory/{node} has {count} entries in reg, the ring needs one: leave one")
            }
            Self::NotWholePages { source, base: Some(base), size } => write!(
                f,
                "{source}: base {base:#x} and size {size:#x} must be multiples of {PAGE:#x} (one page): round the base up and the \
                 size down"
            ),
            Self::NotWholePages { source, base: None, size } => {
                write!(f, "{source}: size {size:#x} must be a multiple of {PAGE:#x} (one page): round it up")
            }
            Self::TooSmall { source, size } => {
                write!(
                    f,
                    "{source}: {} are too few, the ring needs at least {}: give it more",
                    Size(*size),
                    Size(SMALLEST)
                )
            }
            Self::NotInMemory { source, range, bank: None } => {
                write!(f, "{source}: {range} is not in this machine's memory: choose an address in it")
            }
            Self::NotInMemory { source, range, bank: Some(bank) } => {
                write!(f, "{source}: {range} goes past the memory {bank}: move it, or make it smaller")
            }
            Self::Overlap { source, range, holder, other } => {
                write!(f, "{source}: {range} overlaps {holder}, {other}: move one of them")
            }
            Self::NoRoom { source, error } => write!(f, "{source}: {error}"),
            Self::Memblock(error) => write!(f, "no region for the ring: {error}"),
        }
    }
}

/// The node that would give the ring a region on this machine: its Display is device tree source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeToAdd {
    /// Cells of `/reserved-memory`.
    cells: Cells,
    /// A free place.
    place: Option<Range>,
}

/// What is suggested, in bytes, and how it is aligned.
const SUGGESTED: u64 = 8 << 20;
const SUGGESTED_ALIGN: u64 = 2 << 20;

impl NodeToAdd {
    /// In the middle of the largest free range: boot loaders work at either end of memory, and a reset runs them again.
    pub(crate) fn suggest(free: impl Iterator<Item = Range>, cells: Cells) -> Self {
        // One cell has no room for an address above 4 GiB.
        let reach = if cells.address < 2 { u64::from(u32::MAX) } else { u64::MAX };
        let reachable = free.filter_map(|free| Range::inclusive(free.base(), free.last().min(reach)));
        let place = reachable.max_by_key(|free| free.size()).and_then(|free| {
            let middle = free.size().checked_sub(SUGGESTED)? / 2;
            let base = free.base().checked_add(middle)? & !(SUGGESTED_ALIGN - 1);
            Range::new(base, SUGGESTED).filter(|place| free.contains(*place))
        });
        Self { cells, place }
    }
}

impl NodeToAdd {
    /// The place that it names, if there is one.
    #[must_use]
    pub fn place(&self) -> Option<Range> {
        self.place
    }
}

impl fmt::Display for NodeToAdd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cells { address, size } = self.cells;
        f.write_str("Add this to the device tree")?;
        f.write_str(if self.place.is_some() {
            " (the place is free on this machine):\n"
        } else {
            " (at a place that is free):\n"
        })?;
        let base = self.place.map_or(0, Range::base);
        writeln!(f, "    / {{")?;
        writeln!(f, "        reserved-memory {{")?;
        writeln!(f, "            #address-cells = <{address}>;")?;
        writeln!(f, "            #size-cells = <{size}>;")?;
        writeln!(f, "            ranges;")?;
        writeln!(f, "            persistent-ring@{base:x} {{")?;
        writeln!(f, "                compatible = \"{COMPATIBLE}\";")?;
        f.write_str("                reg = <")?;
        show_cells(f, base, address)?;
        f.write_str(" ")?;
        show_cells(f, SUGGESTED, size)?;
        f.write_str(">;\n")?;
        writeln!(f, "            }};")?;
        writeln!(f, "        }};")?;
        writeln!(f, "    }};")?;
        write!(f, "or this to the command line: reserve_mem=8M:{PAGE}:afterglow")
    }
}
