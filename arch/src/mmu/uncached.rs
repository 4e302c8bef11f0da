//! The same memory a second time, past the cache: at its address plus [`WINDOW`], normal non-cacheable.
//!
//! The Arm ARM allows two mappings of different cacheability if software sees to it that no cache holds a line which differs from
//! memory. Whoever stores through the window first cleans and invalidates the range by its ordinary address: from then on no
//! dirty line of it exists. What a core fetches on its own later is clean, and may be older than memory: so nobody reads
//! the range by its ordinary address before the next reset, or before invalidating it again. A clean line is never written back.

use core::ops::Range;

/// What is added to an address: beyond every physical address that the identity map is used for, within 48 bits.
pub const WINDOW: usize = 1 << 46;

/// Maps memory through the window.
///
/// # Errors
/// [`super::MapError`]: there are no tables left, or it is no memory of this CPU.
#[cfg(target_os = "none")]
pub fn map_uncached(range: Range<usize>) -> Result<(), super::MapError> {
    super::live::with_map(|map| map.map_uncached(range, WINDOW))
}
