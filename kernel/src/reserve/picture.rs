//! A picture of memory for a region that was refused: who has what, where the region was to be, and the nearest place that it
//! could have instead.

use core::fmt;

use super::{MARGIN, RegionError, Source, margins};
use crate::device_tree::{Cells, Tree, show_cells};
use crate::memblock::{Memblock, PAGE, Range, Size};
use crate::memory_map::{Held, Holder, Placed, for_each_held};

/// Holders that are named; further ones are shown as reserved.
const NAMED_MAX: usize = 40;
/// Most lines: a hostile tree must not fill the console.
const LINES_MAX: usize = 48;

/// Its Display is the picture, a line for each stretch of memory.
pub struct Picture<'p, 'a> {
    memblock: &'p Memblock,
    held: heapless::Vec<Held<'a>, NAMED_MAX>,
    region: Range,
    place: Option<Range>,
    cells: Cells,
}

impl<'p, 'a> Picture<'p, 'a> {
    /// Of a machine whose `memblock` holds what has a fixed place; the refused region's own reservation in it ends here. None if
    /// the error is not about what is where. What is advised keeps clear of `avoid`, too.
    #[inline(never)]
    pub fn new(
        tree: &Tree<'a>,
        memblock: &'p mut Memblock,
        placed: &Placed,
        error: &RegionError<'a>,
        avoid: impl Iterator<Item = Range>,
    ) -> Option<Self> {
        let (source, region) = error.place()?;
        // Further holders than have names, and ranges that memblock has no room for, are rather not shown than not booted with:
        // this boot ends here.
        let _ = memblock.release(region);
        let mut held = heapless::Vec::<Held<'a>, NAMED_MAX>::new();
        let _ = for_each_held(tree, placed, &mut |one| match one {
            Ok(one) if !is_of(&one, source) => {
                let _ = memblock.reserve(one.range);
                held.push(one).map_err(drop)
            }
            _ => Ok(()),
        });
        let cells = tree.reserved_memory_cells();
        let mut clear_of = margins(tree, placed);
        for range in avoid {
            let _ = clear_of.add(range, false);
        }
        let place = nearest(memblock.free_clear_of(&clear_of), region, cells);
        Some(Self { memblock, held, region, place, cells })
    }

    /// What is at an address: the name of its holder, or what it is.
    fn at(&self, address: u64) -> At<'_, 'a> {
        let here = |range: Range| range.base() <= address && address <= range.last();
        if let Some(held) = self.held.iter().find(|held| here(held.range)) {
            return At::Held(held);
        }
        let is_in = |entries: &[crate::memblock::Entry]| entries.iter().any(|entry| here(entry.range));
        match (is_in(self.memblock.memory()), is_in(self.memblock.reserved())) {
            (_, true) => At::Reserved,
            (true, false) => At::Free,
            (false, false) => At::Nothing,
        }
    }

    /// The first address after this one at which something begins or has ended.
    fn next(&self, address: u64) -> Option<u64> {
        let memblock = self.memblock.memory().iter().chain(self.memblock.reserved()).map(|entry| entry.range);
        let held = self.held.iter().map(|held| held.range);
        let edges = memblock.chain(held).chain([self.region]).flat_map(|range| [Some(range.base()), range.end()]);
        edges.flatten().filter(|edge| *edge > address).min()
    }
}

/// A size in KiB, or in MiB where that is enough.
fn rounded(size: u64) -> (u64, &'static str) {
    if size >= 10 << 20 { (size >> 20, "MiB") } else { (size.div_ceil(1 << 10), "KiB") }
}

/// What is at an address.
#[derive(Clone, Copy, PartialEq)]
enum At<'p, 'a> {
    Held(&'p Held<'a>),
    Reserved,
    Free,
    Nothing,
}

impl fmt::Display for At<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Held(held) if held.no_map => write!(f, "{} (no-map)", held.holder),
            At::Held(held) => held.holder.fmt(f),
            At::Reserved => f.write_str("reserved"),
            At::Free => f.write_str("free"),
            At::Nothing => f.write_str("no memory"),
        }
    }
}

impl fmt::Display for Picture<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory, and where the region was to be (#):\n")?;
        let first = self.memblock.memory().first().map(|entry| entry.range.base());
        let mut from = Some(first.unwrap_or(u64::MAX).min(self.region.base()));
        let mut lines = 0;
        while let Some(base) = from
            && lines < LINES_MAX
        {
            let (at, is_region) = (self.at(base), self.has(base));
            // To where something else is.
            let mut end = self.next(base);
            while let Some(edge) = end
                && self.at(edge) == at
                && self.has(edge) == is_region
            {
                end = self.next(edge);
            }
            let last = end.map_or(u64::MAX, |end| end - 1);
            // Behind everything there is nothing to be shown.
            let Some(range) = Range::inclusive(base, last).filter(|_| end.is_some() || at != At::Nothing) else {
                break;
            };
            let mark = if is_region { '#' } else { '|' };
            let (size, unit) = rounded(range.size());
            writeln!(f, "  {base:#11x} {mark} {size:>6} {unit}  {at}")?;
            (from, lines) = (end, lines + 1);
        }
        let Some(place) = self.place else {
            return write!(f, "no room for {}: make it smaller", Size(self.region.size()));
        };
        write!(f, "nearest room for {}: reg = <", Size(place.size()))?;
        show_cells(f, place.base(), self.cells.address)?;
        f.write_str(" ")?;
        show_cells(f, place.size(), self.cells.size)?;
        f.write_str(">;")
    }
}

/// Whether a holder is the region itself.
fn is_of<'a>(held: &Held<'a>, source: &Source<'a>) -> bool {
    matches!((&held.holder, source), (Holder::Node(node), Source::Static(name)) if node == name)
}

impl Picture<'_, '_> {
    fn has(&self, address: u64) -> bool {
        self.region.base() <= address && address <= self.region.last()
    }
}

/// The free place for so many bytes that is the nearest to where they were to be, in whole blocks of [`MARGIN`] and within the
/// reach of its cells.
fn nearest(free: impl Iterator<Item = Range>, region: Range, cells: Cells) -> Option<Range> {
    let reach = if cells.address < 2 { u64::from(u32::MAX) } else { u64::MAX };
    let size = region.align_outwards(PAGE).size();
    let candidates = free.filter_map(|free| {
        let highest = free.last().min(reach).checked_sub(size - 1)? & !(MARGIN - 1);
        let lowest = free.base().checked_next_multiple_of(MARGIN)?;
        // Neither is always less than the other: a free range may hold no whole block.
        (lowest <= highest)
            .then(|| region.base().clamp(lowest, highest) & !(MARGIN - 1))
            .and_then(|base| Range::new(base, size))
    });
    candidates.min_by_key(|place| place.base().abs_diff(region.base()))
}
