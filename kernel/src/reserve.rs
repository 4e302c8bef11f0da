//! Which memory is the ring's, and who says so.
//!
//! In this order, so that every boot of the same machine finds the same place:
//! 1. `/reserved-memory` nodes that are [`COMPATIBLE`] and have `reg`: the lowest address.
//! 2. such nodes with `size`: the first in the tree; top-down, as Linux does, before anything else is allocated.
//! 3. `reserve_mem=SIZE:ALIGN:NAME`: top-down as well.
//!
//! Where room has to be found, what the boot loader places (image, device tree, initial RAM disk) counts as whole blocks of
//! [`MARGIN`] bytes, so that a few more bytes of it do not move the region.

mod error;
mod picture;

use core::fmt;

use fdt::nodes::NodeName;

use crate::command_line::{Options, ReserveMem};
use crate::device_tree::{Placement, Reserved, Tree};
use crate::memblock::{Memblock, PAGE, Range, RangeSet};
use crate::memory_map::{Held, Holder, Placed, at_most, find_dynamic, for_each_held};

pub use error::{NodeToAdd, RegionError};
pub use picture::Picture;

/// `compatible` of the region's node.
pub const COMPATIBLE: &str = "afterglow,persistent-ring";

/// The smallest region, in bytes.
pub const SMALLEST: u64 = 64 << 10;

/// What the boot loader places is kept clear of in blocks of this many bytes.
pub const MARGIN: u64 = 2 << 20;

/// Places that are kept clear of: those three, and what a board knows.
const MARGINS_MAX: usize = 8;

/// The ring's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region<'a> {
    /// Physical address of its first byte; a multiple of [`PAGE`].
    pub base: u64,
    /// Bytes; a multiple of [`PAGE`].
    pub size: u64,
    /// Who says so.
    pub source: Source<'a>,
}

impl Region<'_> {
    /// Its addresses.
    ///
    /// None never happens for a region that [`find_region`] gave.
    pub fn range(&self) -> Option<Range> {
        Range::new(self.base, self.size)
    }

    /// The page before and the page after it, which are not to be mapped; None at either end of the address space.
    pub fn guards(&self) -> [Option<Range>; 2] {
        let before = self.base.checked_sub(PAGE).and_then(|base| Range::new(base, PAGE));
        let after = self.base.checked_add(self.size).and_then(|base| Range::new(base, PAGE));
        [before, after]
    }
}

/// Where a region comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// A node under `/reserved-memory` with `reg`.
    Static(NodeName<'a>),
    /// A node under `/reserved-memory` with `size`.
    Dynamic(NodeName<'a>),
    /// The command line.
    ReserveMem(ReserveMem),
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(name) => write!(f, "/reserved-memory/{name} (reg)"),
            Self::Dynamic(name) => write!(f, "/reserved-memory/{name} (size)"),
            Self::ReserveMem(asked) => write!(f, "reserve_mem={asked}"),
        }
    }
}

/// Finds the ring's region, checks it and reserves it, with the free pages beside it that will be its guards. `memblock` holds
/// what has a fixed place (see [`crate::memory_map`]). Every other source that could have given one is told to `unused` (the first
/// few of them).
///
/// # Errors
/// [`RegionError`]: what is wrong with the source, or what to add when there is none.
#[inline(never)]
pub fn find_region<'a>(
    tree: &Tree<'a>,
    options: &Options,
    memblock: &mut Memblock,
    placed: &Placed,
    unused: &mut dyn FnMut(&Source<'a>),
) -> Result<Region<'a>, RegionError<'a>> {
    let (range, source) = match candidates(tree, unused)? {
        Some((node, Placement::Static(_))) => {
            let range = the_static_range(&node)?;
            check_static(tree, memblock, placed, &node, range)?;
            (range, Source::Static(node.name()))
        }
        Some((node, Placement::Dynamic(asked))) => {
            let source = Source::Dynamic(node.name());
            check_size(&source, asked.size)?;
            let found =
                find_dynamic(memblock, &margins(tree, placed), &node, &asked).map_err(RegionError::Malformed)?;
            (found.map_err(|error| RegionError::NoRoom { source: source.clone(), error })?, source)
        }
        None => {
            let asked = options.reserve_mem.clone().ok_or_else(|| no_region(tree, memblock, placed))?;
            let (size, align) = (asked.size, asked.align.max(PAGE));
            let source = Source::ReserveMem(asked);
            check_size(&source, size)?;
            let found = memblock.find_clear_of(&margins(tree, placed), size, align, None);
            return keep(
                memblock,
                found.map_err(|error| RegionError::NoRoom { source: source.clone(), error })?,
                source,
            );
        }
    };
    if let Some(asked) = &options.reserve_mem {
        unused(&Source::ReserveMem(asked.clone()));
    }
    keep(memblock, range, source)
}

/// The node to use: of those with `reg` the one at the lowest address, else the first with `size`. The others go to `unused`.
fn candidates<'a>(
    tree: &Tree<'a>,
    unused: &mut dyn FnMut(&Source<'a>),
) -> Result<Option<(Reserved<'a>, Placement<'a>)>, RegionError<'a>> {
    // Lower is better. Nodes with `size` come after every address.
    let rank = |placement: &Placement<'_>| match placement {
        Placement::Static(reg) => (false, reg.clone().next().map_or(0, |entry| entry.address)),
        Placement::Dynamic(_) => (true, 0),
    };
    let mut unused = at_most(unused);
    let mut best: Option<(Reserved<'a>, Placement<'a>)> = None;
    for node in tree.reserved_memory().filter(|node| node.is_compatible(COMPATIBLE)) {
        let placement = node.placement().map_err(RegionError::Malformed)?;
        let loser = match &best {
            Some((_, so_far)) if rank(so_far) <= rank(&placement) => Some((node, placement)),
            _ => best.replace((node, placement)),
        };
        match loser {
            Some((node, Placement::Static(_))) => unused(&Source::Static(node.name())),
            Some((node, Placement::Dynamic(_))) => unused(&Source::Dynamic(node.name())),
            None => {}
        }
    }
    Ok(best)
}

/// The one range of a node with `reg`.
fn the_static_range<'a>(node: &Reserved<'a>) -> Result<Range, RegionError<'a>> {
    let mut entries = node.node().reg().map_err(RegionError::Malformed)?;
    let count = entries.len();
    match entries.next().filter(|_| count == 1) {
        Some(entry) => node.range("reg", entry).map_err(RegionError::Malformed),
        None => Err(RegionError::NotOneRange { node: node.name(), count }),
    }
}

fn check_size<'a>(source: &Source<'a>, size: u64) -> Result<(), RegionError<'a>> {
    if size < SMALLEST {
        return Err(RegionError::TooSmall { source: source.clone(), size });
    }
    if !size.is_multiple_of(PAGE) {
        return Err(RegionError::NotWholePages { source: source.clone(), base: None, size });
    }
    Ok(())
}

/// Whether a range that somebody chose can be used: whole pages, enough of them, all in memory, and nobody else's.
fn check_static<'a>(
    tree: &Tree<'a>,
    memblock: &Memblock,
    placed: &Placed,
    node: &Reserved<'a>,
    range: Range,
) -> Result<(), RegionError<'a>> {
    let source = Source::Static(node.name());
    if !range.is_aligned(PAGE) {
        return Err(RegionError::NotWholePages { source, base: Some(range.base()), size: range.size() });
    }
    check_size(&source, range.size())?;
    if !memblock.contains(range) {
        let bank = memblock.memory().iter().map(|entry| entry.range).find(|bank| bank.overlaps(range));
        return Err(RegionError::NotInMemory { source, range, bank });
    }
    for_each_held(tree, placed, &mut |held| match held {
        // The node itself.
        Ok(held) if held.holder == Holder::Node(node.name()) && held.range == range => Ok(()),
        // Boot loaders copy reservations into the block in the header.
        Ok(Held { holder: Holder::Memreserve, range: same, .. }) if same == range => Ok(()),
        Ok(Held { holder, range: other, .. }) if other.overlaps(range) => {
            Err(RegionError::Overlap { source: source.clone(), range, holder, other })
        }
        _ => Ok(()),
    })
}

/// What the boot loader placed, in whole blocks of [`MARGIN`].
fn margins(tree: &Tree<'_>, placed: &Placed) -> RangeSet<MARGINS_MAX> {
    let mut margins = RangeSet::new();
    let initrd = tree.initrd().ok().flatten();
    for range in [Some(placed.image), Some(placed.device_tree), initrd].into_iter().flatten() {
        // There is room for the three.
        let _ = margins.add(range.align_outwards(MARGIN), false);
    }
    margins
}

/// Reserves the region, and its guards where they are free: what is there already stays its holder's.
fn keep<'a>(memblock: &mut Memblock, range: Range, source: Source<'a>) -> Result<Region<'a>, RegionError<'a>> {
    let region = Region { base: range.base(), size: range.size(), source };
    memblock.reserve(range).map_err(RegionError::Memblock)?;
    for guard in region.guards().into_iter().flatten() {
        if memblock.is_free(guard) {
            memblock.reserve(guard).map_err(RegionError::Memblock)?;
        }
    }
    Ok(region)
}

/// The error that shows what to add, with a place that is free on this machine.
fn no_region<'a>(tree: &Tree<'a>, memblock: &Memblock, placed: &Placed) -> RegionError<'a> {
    let margins = margins(tree, placed);
    RegionError::NoRegion(NodeToAdd::suggest(memblock.free_clear_of(&margins), tree.reserved_memory_cells()))
}
