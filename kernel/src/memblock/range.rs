//! One physical address range: the only type in which device tree, memblock and region speak of memory.

use core::fmt;

/// Bytes in a page: the granule of everything that is mapped or reserved for the ring.
pub const PAGE: u64 = 4096;

/// A range of physical addresses, never empty. It is kept by its first and last byte, so that a range which ends exactly at
/// 2^64 needs no special case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    base: u64,
    last: u64,
}

impl Range {
    /// The range of `size` bytes from `base`. None if it would be empty or go past 2^64.
    pub const fn new(base: u64, size: u64) -> Option<Self> {
        let Some(more) = size.checked_sub(1) else { return None };
        match base.checked_add(more) {
            Some(last) => Some(Self { base, last }),
            None => None,
        }
    }

    /// The range from byte `base` to byte `last`, both included. None if `last` is before `base`.
    pub const fn inclusive(base: u64, last: u64) -> Option<Self> {
        if last < base { None } else { Some(Self { base, last }) }
    }

    /// Address of the first byte.
    pub const fn base(self) -> u64 {
        self.base
    }

    /// Address of the last byte.
    pub const fn last(self) -> u64 {
        self.last
    }

    /// Bytes in the range (the whole 64-bit space, which is one more than fits, says `u64::MAX`).
    pub const fn size(self) -> u64 {
        (self.last - self.base).saturating_add(1)
    }

    /// Address of the first byte after the range; None if the range touches 2^64.
    pub const fn end(self) -> Option<u64> {
        self.last.checked_add(1)
    }

    /// Whether every byte of `other` lies in this range.
    pub const fn contains(self, other: Self) -> bool {
        self.base <= other.base && other.last <= self.last
    }

    /// Whether any byte lies in both.
    pub const fn overlaps(self, other: Self) -> bool {
        self.base <= other.last && other.base <= self.last
    }

    /// The bytes in both.
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::inclusive(self.base.max(other.base), self.last.min(other.last))
    }

    /// The part of this range with addresses less than `address`.
    pub fn below(self, address: u64) -> Option<Self> {
        Self::inclusive(self.base, self.last.min(address.checked_sub(1)?))
    }

    /// The part of this range with addresses greater than `address`.
    pub fn above(self, address: u64) -> Option<Self> {
        Self::inclusive(self.base.max(address.checked_add(1)?), self.last)
    }

    /// The smallest range of whole granules which contains this one; `granule` is a power of two (anything else is taken as 1).
    pub const fn align_outwards(self, granule: u64) -> Self {
        if !granule.is_power_of_two() {
            return self;
        }
        let low_bits = granule - 1;
        Self { base: self.base & !low_bits, last: self.last | low_bits }
    }

    /// Whether base and size are multiples of `granule`, a power of two.
    pub const fn is_aligned(self, granule: u64) -> bool {
        let aligned = self.align_outwards(granule);
        aligned.base == self.base && aligned.last == self.last
    }
}

/// First and last byte, as Linux prints ranges, and the size in words.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}-{:#x} ({})", self.base, self.last, Size(self.size()))
    }
}

/// A number of bytes, shown in the largest unit that divides it: `8 MiB`, `12 KiB`, `100 bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{} {unit}", self.0 >> shift);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_range_may_touch_the_end_of_the_address_space_but_not_pass_it() {
        let top = Range::new(u64::MAX - 0xfff, 0x1000).unwrap();
        assert_eq!((top.last(), top.end(), top.size()), (u64::MAX, None, 0x1000));
        assert_eq!(Range::new(u64::MAX - 0xfff, 0x1001), None);
        assert_eq!(Range::new(7, 0), None);
        assert_eq!(top.above(u64::MAX), None);
        assert_eq!(Range::inclusive(0, 9).unwrap().below(0), None);
        assert_eq!(Range::inclusive(0, u64::MAX).unwrap().size(), u64::MAX);
    }

    #[test]
    fn a_range_is_cut_at_an_address_without_losing_a_byte() {
        let range = Range::inclusive(10, 19).unwrap();
        assert_eq!(range.below(15), Range::inclusive(10, 14));
        assert_eq!(range.above(15), Range::inclusive(16, 19));
        assert_eq!((range.below(10), range.above(19)), (None, None));
        assert_eq!((range.below(99), range.above(9)), (Some(range), Some(range)));
    }

    #[test]
    fn alignment_goes_outwards_to_whole_granules() {
        let range = Range::new(0x1010, 0xff0).unwrap();
        assert_eq!(range.align_outwards(PAGE), Range::new(0x1000, 0x1000).unwrap());
        assert!(!range.is_aligned(PAGE) && range.align_outwards(PAGE).is_aligned(PAGE));
        assert_eq!(range.align_outwards(3), range);
    }

    #[test]
    fn sizes_read_in_the_largest_unit_that_divides_them() {
        let shown = [8 << 20, 3 << 30, 12 << 10, 100, 0].map(|size| Size(size).to_string());
        assert_eq!(shown, ["8 MiB", "3 GiB", "12 KiB", "100 bytes", "0 bytes"]);
        assert_eq!(Range::new(0x4000_0000, 8 << 20).unwrap().to_string(), "0x40000000-0x407fffff (8 MiB)");
    }
}
