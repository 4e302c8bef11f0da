//! The identity map itself: what is mapped, as what, and what stays a hole. Runs on a host as it does on the target.

use core::ops::Range;

use aarch64_paging::Mapping;
use aarch64_paging::descriptor::{El1Attributes, PhysicalAddress};
use aarch64_paging::paging::{Constraints, El1And0, MemoryRegion, PAGE_SIZE, VaRange};

use super::attributes::{GUARD, Kind, UNCACHED};
use super::pool::Pool;

/// Tables of four levels: 48-bit addresses.
const ROOT_LEVEL: usize = 0;
const LEAF_LEVEL: usize = 3;
const ADDRESS_BITS_MAX: u32 = 48;
/// Bytes that one entry covers at level 1 and at level 2.
const LEVEL_SIZES: [usize; 3] = [1 << 39, 1 << 30, 1 << 21];
/// All addresses are global: there is one address space.
const ASID: usize = 0;

/// Why a range could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// Empty, or not all of it can be a physical address of this CPU. The device tree or the caller is wrong.
    OutOfRange,
    /// Something else is mapped there already, or a guard page is. Map less, or earlier.
    Conflict,
    /// The pool of page tables is used up. Map fewer and larger ranges.
    NoTables,
    /// The page tables library refused it. A bug here.
    Refused,
}

impl core::fmt::Display for MapError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            MapError::OutOfRange => "not a range of physical addresses of this CPU",
            MapError::Conflict => "mapped already as something else",
            MapError::NoTables => "no page tables left",
            MapError::Refused => "page tables refused the mapping",
        })
    }
}

/// What the tables say about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    Hole,
    /// A page that must stay unmapped.
    Guard,
    /// A page or block with these rights.
    Mapped(Kind),
}

/// The identity map.
pub(super) struct Map {
    mapping: Mapping<Pool, El1And0>,
    /// First address beyond what the CPU can address.
    end: usize,
}

impl Map {
    /// An empty map for a CPU with so many physical address bits.
    pub(super) fn new(pool: Pool, physical_bits: u32) -> Self {
        Self {
            mapping: Mapping::with_asid_and_va_range(pool, ASID, ROOT_LEVEL, El1And0, VaRange::Lower),
            end: 1 << physical_bits.min(ADDRESS_BITS_MAX),
        }
    }

    /// Physical address of the root table, for TTBR0_EL1.
    pub(super) fn root(&self) -> usize {
        self.mapping.root_address().0
    }

    /// From now on a core walks the tables: changes invalidate TLBs, and what needs break-before-make gets it.
    pub(super) fn now_live(&mut self) {
        self.mapping.mark_active();
    }

    /// Maps pages one by one, never in blocks, so that single ones can be unmapped later without a moment in which
    /// their neighbours are gone too.
    pub(super) fn map_pages(&mut self, range: Range<usize>, kind: Kind) -> Result<(), MapError> {
        let range = self.check(range)?;
        self.expect_free_or(&range, kind)?;
        self.put(&range, kind.attributes(), Constraints::NO_BLOCK_MAPPINGS)
    }

    /// Maps a range, with blocks where they fit. Pages of it that are mapped the same way already are fine.
    pub(super) fn map(&mut self, range: Range<usize>, kind: Kind) -> Result<(), MapError> {
        let range = self.check(range)?;
        self.expect_free_or(&range, kind)?;
        self.fill_holes(&range, kind)
    }

    /// Maps what is still a hole in a range, with blocks where they fit; pages that are mapped as whatever, and
    /// guard pages, stay as they are. Page 0 stays a hole, so that null pointers fault.
    pub(super) fn map_holes(&mut self, range: Range<usize>, kind: Kind) -> Result<(), MapError> {
        let range = self.check(range.start.max(PAGE_SIZE)..range.end)?;
        self.fill_holes(&range, kind)
    }

    /// Maps memory a second time, `window` bytes further up, past the cache.
    pub(super) fn map_uncached(&mut self, range: Range<usize>, window: usize) -> Result<(), MapError> {
        let physical = self.check(range)?;
        let region = MemoryRegion::new(physical.start().0 + window, physical.end().0 + window);
        self.reserve_tables(tables_for(&region, Constraints::empty()))?;
        self.mapping
            .map_range(&region, PhysicalAddress(physical.start().0), UNCACHED, Constraints::empty())
            .map_err(|_| MapError::Refused)
    }

    /// Makes a guard page of the page at `address`, whatever it was.
    ///
    /// If it is part of a block, the whole block is unmapped for a moment and mapped again without it.
    pub(super) fn guard(&mut self, address: usize) -> Result<(), MapError> {
        let page = self.check(address..address.checked_add(1).ok_or(MapError::OutOfRange)?)?;
        let mut found = (El1Attributes::empty(), LEAF_LEVEL);
        self.mapping
            .walk_range(&page, &mut |_, descriptor, level| {
                found = (descriptor.flags(), level);
                Ok(())
            })
            .map_err(|_| MapError::Refused)?;
        let (attributes, level) = found;
        if attributes.contains(El1Attributes::VALID) && level < LEAF_LEVEL {
            let size = LEVEL_SIZES[level];
            let start = page.start().0 & !(size - 1);
            // Break: all of the block. Make: its two sides. Tables for the sides are counted before the break.
            self.reserve_tables(2 * LEVEL_SIZES.len())?;
            self.put(&MemoryRegion::new(start, start + size), El1Attributes::empty(), Constraints::empty())?;
            for side in [start..page.start().0, page.end().0..start + size] {
                if !side.is_empty() {
                    self.put(&MemoryRegion::new(side.start, side.end), attributes, Constraints::empty())?;
                }
            }
        }
        self.put(&page, GUARD, Constraints::empty())
    }

    /// Makes a hole of the pages of a range that was mapped by pages.
    pub(super) fn unmap(&mut self, range: Range<usize>) -> Result<(), MapError> {
        let range = self.check(range)?;
        self.put(&range, El1Attributes::empty(), Constraints::empty())
    }

    /// What is at an address.
    pub(super) fn look_up(&self, address: usize) -> Entry {
        let mut entry = Entry::Hole;
        if let Ok(page) = self.check(address..address.saturating_add(1)) {
            let _ = self.mapping.walk_range(&page, &mut |_, descriptor, _| {
                entry = classify(descriptor.is_valid(), descriptor.flags());
                Ok(())
            });
        }
        entry
    }

    /// How many page tables are left.
    pub(super) fn tables_left(&self) -> usize {
        self.mapping.translation().available()
    }

    fn check(&self, range: Range<usize>) -> Result<MemoryRegion, MapError> {
        if range.is_empty() || range.end > self.end {
            return Err(MapError::OutOfRange);
        }
        Ok(MemoryRegion::new(range.start, range.end))
    }

    fn expect_free_or(&self, range: &MemoryRegion, kind: Kind) -> Result<(), MapError> {
        self.mapping
            .walk_range(range, &mut |_, descriptor, _| match classify(descriptor.is_valid(), descriptor.flags()) {
                Entry::Hole => Ok(()),
                Entry::Mapped(found) if found == kind => Ok(()),
                Entry::Mapped(_) | Entry::Guard => Err(()),
            })
            .map_err(|_| MapError::Conflict)
    }

    fn fill_holes(&mut self, range: &MemoryRegion, kind: Kind) -> Result<(), MapError> {
        let mut from = range.start().0;
        while let Some(hole) = self.next_hole(from..range.end().0) {
            self.put(&MemoryRegion::new(hole.start, hole.end), kind.attributes(), Constraints::empty())?;
            from = hole.end;
        }
        Ok(())
    }

    /// The first run of holes in a range.
    fn next_hole(&self, range: Range<usize>) -> Option<Range<usize>> {
        if range.is_empty() {
            return None;
        }
        let mut hole: Option<Range<usize>> = None;
        // The error only ends the walk early.
        let _ = self.mapping.walk_range(&MemoryRegion::new(range.start, range.end), &mut |part, descriptor, _| {
            let is_hole = classify(descriptor.is_valid(), descriptor.flags()) == Entry::Hole;
            match &mut hole {
                None if is_hole => hole = Some(part.start().0..part.end().0),
                Some(run) if is_hole => run.end = part.end().0,
                None => {}
                Some(_) => return Err(()),
            }
            Ok(())
        });
        hole
    }

    fn put(
        &mut self,
        range: &MemoryRegion,
        attributes: El1Attributes,
        constraints: Constraints,
    ) -> Result<(), MapError> {
        self.reserve_tables(tables_for(range, constraints))?;
        self.mapping
            .map_range(range, PhysicalAddress(range.start().0), attributes, constraints)
            .map_err(|_| MapError::Refused)
    }

    fn reserve_tables(&self, count: usize) -> Result<(), MapError> {
        if self.mapping.translation().available() < count { Err(MapError::NoTables) } else { Ok(()) }
    }
}

fn classify(valid: bool, attributes: El1Attributes) -> Entry {
    if !valid {
        return if attributes.contains(GUARD) { Entry::Guard } else { Entry::Hole };
    }
    let attributes = attributes - El1Attributes::TABLE_OR_PAGE;
    [Kind::Text, Kind::ReadOnly, Kind::Data]
        .into_iter()
        .find(|kind| kind.attributes() == attributes)
        .map_or(Entry::Mapped(Kind::Device), Entry::Mapped)
}

/// The most tables that a range can need: at each level one for each entry of the level above that is covered in
/// part, which are the two ends, or for every entry if there may be no blocks.
fn tables_for(range: &MemoryRegion, constraints: Constraints) -> usize {
    let partial_max = if constraints.contains(Constraints::NO_BLOCK_MAPPINGS) { usize::MAX } else { 2 };
    let entries = |size: usize| range.end().0.div_ceil(size) - range.start().0 / size;
    let [top, middle, low] = LEVEL_SIZES;
    entries(top) + entries(middle).min(partial_max) + entries(low).min(partial_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::ManuallyDrop;
    use std::vec::Vec;

    const MIB: usize = 1 << 20;
    const GIB: usize = 1 << 30;

    /// Never dropped: the library refuses to drop live tables.
    fn map() -> ManuallyDrop<Map> {
        ManuallyDrop::new(Map::new(Pool::leaked(), 40))
    }

    #[test]
    fn a_bank_of_memory_is_mapped_around_what_is_there() {
        let mut map = map();
        map.map_pages(GIB + 2 * MIB..GIB + 3 * MIB, Kind::Text).unwrap();
        map.map_pages(GIB + 3 * MIB..GIB + 4 * MIB, Kind::Data).unwrap();
        map.guard(GIB + 3 * MIB).unwrap();
        map.now_live();
        map.map_holes(GIB..2 * GIB, Kind::Data).unwrap();
        assert_eq!(map.look_up(GIB), Entry::Mapped(Kind::Data));
        assert_eq!(map.look_up(GIB + 2 * MIB), Entry::Mapped(Kind::Text));
        assert_eq!(map.look_up(GIB + 3 * MIB), Entry::Guard);
        assert_eq!(map.look_up(GIB + 3 * MIB + PAGE_SIZE), Entry::Mapped(Kind::Data));
        assert_eq!(map.look_up(2 * GIB - 1), Entry::Mapped(Kind::Data));
        assert_eq!(map.look_up(2 * GIB), Entry::Hole);
    }

    #[test]
    fn a_guard_page_can_be_cut_out_of_a_block() {
        let mut map = map();
        map.now_live();
        map.map_holes(GIB..4 * GIB, Kind::Data).unwrap();
        let hole = 2 * GIB + 5 * MIB + 3 * PAGE_SIZE;
        map.guard(hole).unwrap();
        assert_eq!(map.look_up(hole), Entry::Guard);
        assert_eq!(map.look_up(hole - 1), Entry::Mapped(Kind::Data));
        assert_eq!(map.look_up(hole + PAGE_SIZE), Entry::Mapped(Kind::Data));
        assert_eq!(map.look_up(2 * GIB), Entry::Mapped(Kind::Data));
        assert_eq!(map.look_up(3 * GIB - 1), Entry::Mapped(Kind::Data));
        map.guard(hole).unwrap();
        map.map_holes(GIB..4 * GIB, Kind::Data).unwrap();
        assert_eq!(map.look_up(hole), Entry::Guard);
    }

    #[test]
    fn page_zero_is_never_memory() {
        let mut map = map();
        map.map_holes(0..GIB, Kind::Data).unwrap();
        assert_eq!(map.look_up(0), Entry::Hole);
        assert_eq!(map.look_up(PAGE_SIZE), Entry::Mapped(Kind::Data));
    }

    #[test]
    fn the_same_device_page_twice_is_fine_and_memory_as_device_is_not() {
        let mut map = map();
        map.now_live();
        map.map(0x900_0000..0x900_1000, Kind::Device).unwrap();
        map.map(0x900_0040..0x900_2000, Kind::Device).unwrap();
        map.map_holes(GIB..2 * GIB, Kind::Data).unwrap();
        assert_eq!(map.map(GIB..GIB + 1, Kind::Device), Err(MapError::Conflict));
        assert_eq!(map.look_up(0x900_1fff), Entry::Mapped(Kind::Device));
    }

    #[test]
    fn ranges_that_are_no_addresses_are_refused() {
        let mut map = map();
        for range in [0..0, 5..5, (1 << 40) - 1..(1 << 40) + 1, usize::MAX - 1..usize::MAX] {
            assert_eq!(map.map(range, Kind::Data), Err(MapError::OutOfRange));
        }
        assert_eq!(map.guard(usize::MAX), Err(MapError::OutOfRange));
        assert_eq!(map.look_up(usize::MAX), Entry::Hole);
    }

    #[test]
    fn an_empty_pool_is_an_error_and_nothing_changes() {
        let mut map = map();
        let mut mapped = Vec::new();
        let error = (0..1000)
            .map(|i| i * GIB + 4 * PAGE_SIZE)
            .find_map(|at| match map.map(at..at + PAGE_SIZE, Kind::Device) {
                Ok(()) => {
                    mapped.push(at);
                    None
                }
                Err(error) => Some((at, error)),
            })
            .unwrap();
        assert_eq!(error.1, MapError::NoTables);
        assert_eq!(map.look_up(error.0), Entry::Hole);
        assert!(mapped.len() > 15);
        assert!(mapped.iter().all(|&at| map.look_up(at) == Entry::Mapped(Kind::Device)));
    }
}
