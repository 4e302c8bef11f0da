//! A chip's registers: the device, or a fake that remembers what was done to it.

use core::ops::Range;
use core::ptr;

/// Registers by their offset in bytes, in the widths that chips insist on.
pub(crate) trait Registers {
    /// Reads 32 bits.
    fn read(&self, at: usize) -> u32;
    /// Writes 32 bits.
    fn write(&self, at: usize, value: u32);
    /// Reads 8 bits.
    fn read_8(&self, at: usize) -> u8;
    /// Writes 8 bits.
    fn write_8(&self, at: usize, value: u8);
    /// Writes 16 bits.
    fn write_16(&self, at: usize, value: u16);
}

/// A device.
pub(crate) struct Mmio(Range<usize>);

impl Mmio {
    /// # Safety
    ///
    /// The range is mapped as device registers for good, and accesses of the chip's driver to them do no harm.
    pub(crate) unsafe fn new(range: Range<usize>) -> Self {
        Self(range)
    }

    fn at<T>(&self, at: usize) -> *mut T {
        debug_assert!(at + size_of::<T>() <= self.0.len() && at.is_multiple_of(size_of::<T>()));
        ptr::with_exposed_provenance_mut(self.0.start + at)
    }
}

impl Registers for Mmio {
    fn read(&self, at: usize) -> u32 {
        // SAFETY: a register of the range that `new` was given: drivers take ranges of their chip's size.
        unsafe { self.at::<u32>(at).read_volatile() }
    }
    fn write(&self, at: usize, value: u32) {
        // SAFETY: as above.
        unsafe { self.at::<u32>(at).write_volatile(value) }
    }
    fn read_8(&self, at: usize) -> u8 {
        // SAFETY: as above.
        unsafe { self.at::<u8>(at).read_volatile() }
    }
    fn write_8(&self, at: usize, value: u8) {
        // SAFETY: as above.
        unsafe { self.at::<u8>(at).write_volatile(value) }
    }
    fn write_16(&self, at: usize, value: u16) {
        // SAFETY: as above.
        unsafe { self.at::<u16>(at).write_volatile(value) }
    }
}

/// Memory that remembers every write.
#[cfg(test)]
pub(crate) mod fake {
    use super::Registers;
    use core::cell::RefCell;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    /// Words by offset, 0 where nothing was written; and the writes, as (offset, bits, value).
    #[derive(Default)]
    pub(crate) struct Fake {
        pub(crate) words: RefCell<BTreeMap<usize, u32>>,
        pub(crate) writes: RefCell<Vec<(usize, u32, u32)>>,
    }

    // SAFETY: used by one thread.
    unsafe impl Sync for Fake {}

    impl Fake {
        pub(crate) fn with(words: &[(usize, u32)]) -> Self {
            Self { words: RefCell::new(words.iter().copied().collect()), ..Self::default() }
        }

        pub(crate) fn set(&self, at: usize, value: u32) {
            self.words.borrow_mut().insert(at, value);
        }

        /// The writes since the last call.
        pub(crate) fn taken(&self) -> Vec<(usize, u32, u32)> {
            self.writes.take()
        }

        fn put(&self, at: usize, bits: u32, value: u32) {
            self.writes.borrow_mut().push((at, bits, value));
            let (word, shift) = (at & !3, (at & 3) as u32 * 8);
            let mask = ((1u64 << bits) - 1) as u32;
            let old = self.read(word);
            self.set(word, old & !(mask << shift) | (value & mask) << shift);
        }
    }

    impl Registers for Fake {
        fn read(&self, at: usize) -> u32 {
            assert!(at.is_multiple_of(4));
            self.words.borrow().get(&at).copied().unwrap_or(0)
        }
        fn write(&self, at: usize, value: u32) {
            assert!(at.is_multiple_of(4));
            self.put(at, 32, value);
        }
        fn read_8(&self, at: usize) -> u8 {
            (self.read(at & !3) >> ((at & 3) * 8)) as u8
        }
        fn write_8(&self, at: usize, value: u8) {
            self.put(at, 8, value.into());
        }
        fn write_16(&self, at: usize, value: u16) {
            assert!(at.is_multiple_of(2));
            self.put(at, 16, value.into());
        }
    }
}
