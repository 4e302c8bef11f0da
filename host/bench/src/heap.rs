//! A region on the heap, and the ring's view of it: plain loads and stores, nothing to write back.

use ring::seams::{Memory, Persist, store_rest};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// A region begins at a cache line, as a real one does.
const ALIGN: usize = 64;

/// Memory that is there in whole: every page has been touched.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    layout: Layout,
}

impl Region {
    /// Zeros.
    pub(crate) fn new(size: u64) -> Self {
        let layout = Layout::from_size_align(size as usize, ALIGN).expect("a size that a region can have");
        assert!(layout.size() > 0);
        // SAFETY: the size is not zero.
        let Some(start) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the whole allocation. Writing takes the page faults out of what is measured.
        unsafe { start.write_bytes(0xff, layout.size()) };
        // SAFETY: as above.
        unsafe { start.write_bytes(0, layout.size()) };
        Self { start, layout }
    }

    /// For writers; each keeps to its own core's places.
    pub(crate) fn view(&self) -> View<'_> {
        View { start: self.start, size: self.layout.size(), region: PhantomData }
    }

    /// What is there, when no writer is left.
    pub(crate) fn bytes(&mut self) -> &[u8] {
        // SAFETY: the whole initialised allocation; `&mut` says that no view is left to write through.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and no view outlives the region.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

// SAFETY: an allocation belongs to no thread; `Region` itself gives out its bytes only by `&mut`.
unsafe impl Sync for Region {}

/// A region as a writer sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'r> {
    start: NonNull<u8>,
    size: usize,
    region: PhantomData<&'r Region>,
}

// SAFETY: the region is alive, and writers on other threads keep to other cores' places in it.
unsafe impl Send for View<'_> {}

impl View<'_> {
    #[inline(always)]
    fn at<T>(&self, at: u64) -> *mut T {
        debug_assert!(at as usize + size_of::<T>() <= self.size);
        // SAFETY: the trait's callers stay inside the region.
        unsafe { self.start.as_ptr().add(at as usize).cast() }
    }
}

impl Memory for View<'_> {
    #[inline(always)]
    fn load_u32(&self, at: u64) -> u32 {
        // SAFETY: inside the region (`at`), initialised, written by this core only.
        u32::from_le(unsafe { self.at::<u32>(at).read_unaligned() })
    }
    #[inline(always)]
    fn load_u64(&self, at: u64) -> u64 {
        // SAFETY: as for load_u32.
        u64::from_le(unsafe { self.at::<u64>(at).read_unaligned() })
    }
    #[inline(always)]
    fn store_u32(&self, at: u64, value: u32) {
        // SAFETY: as for load_u32.
        unsafe { self.at::<u32>(at).write_unaligned(value.to_le()) }
    }
    #[inline(always)]
    fn store_u64(&self, at: u64, value: u64) {
        // SAFETY: as for load_u32.
        unsafe { self.at::<u64>(at).write_unaligned(value.to_le()) }
    }
    #[inline(always)]
    fn store_bytes(&self, at: u64, bytes: &[u8]) {
        let (words, _) = bytes.as_chunks::<8>();
        let words = words.as_flattened();
        // SAFETY: as for load_u32; the bytes are somebody else's.
        unsafe { self.at::<u8>(at).copy_from_nonoverlapping(words.as_ptr(), words.len()) };
        store_rest(self, at + words.len() as u64, bytes);
    }
    #[inline(always)]
    fn publish_u64(&self, at: u64, value: u64) {
        // SAFETY: inside the region; the trait's callers publish aligned words only.
        unsafe { AtomicU64::from_ptr(self.at(at)) }.store(value.to_le(), Ordering::Release);
    }
    fn address(&self, at: u64) -> u64 {
        self.start.addr().get() as u64 + at
    }
}

impl Persist for View<'_> {
    fn clean(&self, _: u64, size: u64) -> u64 {
        size.div_ceil(ALIGN as u64)
    }
    fn complete(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_at_an_odd_place_comes_back_and_lies_there_little_endian() {
        let mut region = Region::new(4096);
        let view = region.view();
        view.store_u64(13, 0x0807_0605_0403_0201);
        view.store_u32(101, 0x0c0b_0a09);
        assert_eq!((view.load_u64(13), view.load_u32(101)), (0x0807_0605_0403_0201, 0x0c0b_0a09));
        view.publish_u64(64, 7);
        assert_eq!(region.bytes()[13..21], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(region.bytes()[101..105], [9, 10, 11, 12]);
        assert_eq!(region.bytes()[64..72], [7, 0, 0, 0, 0, 0, 0, 0]);
    }
}
