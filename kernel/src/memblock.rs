//! Who owns which physical memory, before anything else can allocate: memory and reservations, as Linux's memblock keeps them.
//!
//! Two bounded lists, `memory` and `reserved`; what is free is the first without the second. Allocation goes top-down and is a
//! function of the two lists alone, so that the same machine finds the same place in each boot.

pub mod range;
pub mod set;

use core::fmt;

pub use range::{PAGE, Range, Size};
use set::Full;
pub use set::{Entry, RangeSet, without};

/// Ranges that each of the two lists can hold. The largest trees in the field have some sixty reservations.
pub const CAPACITY: usize = 128;

/// The two lists. About 6 KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memblock<const N: usize = CAPACITY> {
    memory: RangeSet<N>,
    reserved: RangeSet<N>,
}

/// Why memblock refused; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemblockError {
    /// The named list would need more than `capacity` ranges.
    Full {
        /// `memory` or `reserved`.
        list: &'static str,
        /// Ranges that fit.
        capacity: usize,
    },
    /// Nothing free is large enough.
    NoRoom {
        /// Bytes asked for.
        size: u64,
        /// Alignment asked for, in bytes.
        align: u64,
        /// Where it had to be, if anywhere in particular.
        window: Option<Range>,
    },
    /// The alignment is not a power of two.
    BadAlignment(u64),
    /// Zero bytes were asked for.
    NothingAsked,
}

impl fmt::Display for MemblockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full { list, capacity } => {
                write!(
                    f,
                    "more than {capacity} {list} ranges: join neighbours in the device tree, or raise memblock::CAPACITY"
                )
            }
            Self::NoRoom { size, align, window } => {
                write!(f, "no free memory of {} aligned to {align:#x}", Size(size))?;
                if let Some(window) = window {
                    write!(f, " within {window}")?;
                }
                f.write_str(": ask for less, or give the machine more")
            }
            Self::BadAlignment(align) => {
                write!(f, "alignment {align:#x} is not a power of two: use 0x1000, for example")
            }
            Self::NothingAsked => f.write_str("a size of 0 bytes was asked for: give a size"),
        }
    }
}

impl<const N: usize> Memblock<N> {
    /// Knows of no memory and of no reservation.
    pub const fn new() -> Self {
        Self { memory: RangeSet::new(), reserved: RangeSet::new() }
    }

    /// Adds memory; overlaps and neighbours are joined.
    ///
    /// # Errors
    /// [`MemblockError::Full`].
    pub fn add(&mut self, range: Range) -> Result<(), MemblockError> {
        self.memory.add(range, false).map_err(Self::memory_full)
    }

    /// Takes `range` out of the memory, for good: it is neither free nor mapped.
    ///
    /// # Errors
    /// [`MemblockError::Full`].
    pub fn remove(&mut self, range: Range) -> Result<(), MemblockError> {
        self.memory.remove(range).map_err(Self::memory_full)
    }

    /// Reserves `range`, whether or not it is memory or already reserved.
    ///
    /// # Errors
    /// [`MemblockError::Full`].
    pub fn reserve(&mut self, range: Range) -> Result<(), MemblockError> {
        self.reserved.add(range, false).map_err(Self::reserved_full)
    }

    /// Reserves `range`, which the kernel must not even map.
    ///
    /// # Errors
    /// [`MemblockError::Full`].
    pub fn reserve_no_map(&mut self, range: Range) -> Result<(), MemblockError> {
        self.reserved.add(range, true).map_err(Self::reserved_full)
    }

    /// Gives a reservation back.
    ///
    /// # Errors
    /// [`MemblockError::Full`]: a hole in a reservation makes two of it.
    pub fn release(&mut self, range: Range) -> Result<(), MemblockError> {
        self.reserved.remove(range).map_err(Self::reserved_full)
    }

    /// All memory, in ascending order.
    pub fn memory(&self) -> &[Entry] {
        self.memory.entries()
    }

    /// All reservations, in ascending order.
    pub fn reserved(&self) -> &[Entry] {
        self.reserved.entries()
    }

    /// Whether every byte of `range` is memory, reserved or not.
    pub fn contains(&self, range: Range) -> bool {
        self.memory.covers(range)
    }

    /// Whether any byte of `range` is reserved.
    pub fn is_reserved(&self, range: Range) -> bool {
        self.reserved.overlaps(range)
    }

    /// Whether every byte of `range` is memory and none is reserved.
    pub fn is_free(&self, range: Range) -> bool {
        self.contains(range) && !self.is_reserved(range)
    }

    /// What is memory and not reserved, in ascending order.
    pub fn free(&self) -> impl Iterator<Item = Range> {
        without(self.memory().iter().map(|entry| entry.range), self.reserved())
    }

    /// As [`Self::free`], and clear of `avoid`, too.
    pub fn free_clear_of<const M: usize>(&self, avoid: &RangeSet<M>) -> impl Iterator<Item = Range> {
        without(self.free(), avoid.entries())
    }

    /// All memory but what the kernel must not map: what to map, from which the ring's region and its guards are still to be
    /// taken, because they are mapped otherwise.
    ///
    /// # Errors
    /// [`MemblockError::Full`].
    pub fn mappable(&self) -> Result<RangeSet<N>, MemblockError> {
        let mut mappable = self.memory.clone();
        for entry in self.reserved().iter().filter(|entry| entry.no_map) {
            mappable.remove(entry.range).map_err(Self::memory_full)?;
        }
        Ok(mappable)
    }

    /// The highest free `size` bytes whose base is a multiple of `align`, within `window` if there is one. Nothing is reserved.
    ///
    /// # Errors
    /// [`MemblockError::NoRoom`], [`MemblockError::BadAlignment`], [`MemblockError::NothingAsked`].
    pub fn find(&self, size: u64, align: u64, window: Option<Range>) -> Result<Range, MemblockError> {
        self.find_clear_of(&RangeSet::<0>::new(), size, align, window)
    }

    /// As [`Self::find`], and clear of `avoid`, too.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_clear_of<const M: usize>(
        &self,
        avoid: &RangeSet<M>,
        size: u64,
        align: u64,
        window: Option<Range>,
    ) -> Result<Range, MemblockError> {
        if !align.is_power_of_two() {
            return Err(MemblockError::BadAlignment(align));
        }
        let more = size.checked_sub(1).ok_or(MemblockError::NothingAsked)?;
        let highest_in = |free: Range| {
            let room = window.map_or(Some(free), |window| free.intersection(window))?;
            let base = room.last().checked_sub(more)? & !(align - 1);
            (base >= room.base()).then_some(base)
        };
        // Free ranges come in ascending order: the last that has room is the highest.
        let base = self.free_clear_of(avoid).filter_map(highest_in).last();
        base.and_then(|base| Range::new(base, size)).ok_or(MemblockError::NoRoom { size, align, window })
    }

    /// As [`Self::find`], and reserves what it found.
    ///
    /// # Errors
    /// As [`Self::find`], and [`MemblockError::Full`].
    pub fn allocate(&mut self, size: u64, align: u64, window: Option<Range>) -> Result<Range, MemblockError> {
        let range = self.find(size, align, window)?;
        self.reserve(range)?;
        Ok(range)
    }

    fn memory_full(Full: Full) -> MemblockError {
        MemblockError::Full { list: "memory", capacity: N }
    }

    fn reserved_full(Full: Full) -> MemblockError {
        MemblockError::Full { list: "reserved", capacity: N }
    }
}

#[cfg(test)]
mod tests;
