//! Linux's part of a bank: the bytes that Linux 7.2 and later read and write in their own persistent ring buffer.
//!
//! Everything here is somebody else's format, kept apart so that it is never confused with ours. All of it is little
//! endian, for 64-bit kernels with 4 KiB pages.
//!
//! ```text
//! +0      global header (24 bytes)
//! +24     scratch (8216 bytes), all zero in our banks: clock id 0 means nanoseconds, no module is loaded
//! +8240   core 0: per-CPU header (32 bytes), i32 order[subbufs], up to the next 4096: sub-buffers
//! ...     core 1.. : the same, each chunk beginning on a 4096 boundary
//! ```

/// Size of a sub-buffer and of the pages that everything is aligned to, in bytes.
pub const SUBBUF_SIZE: u64 = 4096;
/// Bytes of a sub-buffer before its data: time stamp and commit word.
pub const SUBBUF_HEADER: u64 = 16;
/// Where in a sub-buffer the time stamp of its first event is (u64, nanoseconds).
pub const SUBBUF_TIME: u64 = 0;
/// Where in a sub-buffer the commit word is (u64): bytes of committed data in the low bits.
pub const SUBBUF_COMMIT: u64 = 8;
/// Bits of the commit word that count bytes. (Bit 31: events were missed; bit 30: their number stands behind the data.)
pub const COMMIT_MASK: u64 = (1 << 20) - 1;

/// First word of the region.
pub const MAGIC: u32 = 0x0bad_feed;
/// Size of the per-CPU header (low half) and of the global header (high half): Linux's only key to the layout.
pub const STRUCT_SIZES: u32 = (GLOBAL_HEADER as u32) << 16 | CPU_HEADER as u32;
/// Size of the global header, in bytes.
pub const GLOBAL_HEADER: u64 = 24;
/// Size of the scratch area behind the global header, in bytes.
pub const SCRATCH: u64 = 8216;
/// Where the first core's header begins, from the start of the bank.
pub const BUFFERS_OFFSET: u64 = GLOBAL_HEADER + SCRATCH;
/// Size of a per-CPU header, in bytes.
pub const CPU_HEADER: u64 = 32;
/// Size of one entry of the order array, in bytes.
pub const ORDER_ENTRY: u64 = 4;

/// Offsets in the global header.
pub mod global {
    /// u32: [`super::MAGIC`].
    pub const MAGIC: u64 = 0;
    /// u32: [`super::STRUCT_SIZES`].
    pub const STRUCT_SIZES: u64 = 4;
    /// u64: size of the whole Linux region, in bytes.
    pub const TOTAL_SIZE: u64 = 8;
    /// u64: [`super::BUFFERS_OFFSET`].
    pub const BUFFERS_OFFSET: u64 = 16;
}

/// Offsets in a per-CPU header.
pub mod cpu {
    /// u64: address of sub-buffer 0 in the boot that wrote it.
    pub const FIRST_BUFFER: u64 = 0;
    /// u64: address of the oldest sub-buffer.
    pub const HEAD_BUFFER: u64 = 8;
    /// u64: address of the sub-buffer that is being written.
    pub const COMMIT_BUFFER: u64 = 16;
    /// u32: [`super::SUBBUF_SIZE`].
    pub const SUBBUF_SIZE: u64 = 24;
    /// u32: number of sub-buffers, the reader's page included.
    pub const SUBBUFS: u64 = 28;
}

const _: () = assert!(BUFFERS_OFFSET == 0x2030);
const _: () = assert!(STRUCT_SIZES == 0x0018_0020);
const _: () = assert!(BUFFERS_OFFSET.is_multiple_of(8));

/// Smallest number of sub-buffers per core that Linux accepts: the reader's page and a ring of two.
pub const SUBBUFS_MIN: u64 = 3;

/// Where one core's header begins, from the start of the bank, when each core has `subbufs` sub-buffers.
///
/// The chunk of core 0 begins unaligned, directly behind the scratch area; all later ones begin on a page.
#[must_use]
pub const fn cpu_offset(core: u64, subbufs: u64) -> u64 {
    if core == 0 {
        return BUFFERS_OFFSET;
    }
    let first_end = subbufs_offset_at(BUFFERS_OFFSET, subbufs) + subbufs * SUBBUF_SIZE;
    let chunk = subbufs_offset_at(0, subbufs) + subbufs * SUBBUF_SIZE;
    first_end + (core - 1) * chunk
}

/// Where one core's sub-buffer 0 begins, from the start of the bank.
#[must_use]
pub const fn subbufs_offset(core: u64, subbufs: u64) -> u64 {
    subbufs_offset_at(cpu_offset(core, subbufs), subbufs)
}

const fn subbufs_offset_at(header: u64, subbufs: u64) -> u64 {
    (header + CPU_HEADER + subbufs * ORDER_ENTRY).next_multiple_of(SUBBUF_SIZE)
}

/// Number of sub-buffers per core that Linux would use in `size` bytes for `cores` possible CPUs: what fits into an equal
/// share, lowered until every aligned chunk fits. `None` where that is less than [`SUBBUFS_MIN`].
#[must_use]
pub const fn subbufs(size: u64, cores: u64) -> Option<u64> {
    if cores == 0 || size <= BUFFERS_OFFSET {
        return None;
    }
    let share = (size - BUFFERS_OFFSET) / cores;
    if share <= CPU_HEADER {
        return None;
    }
    let mut subbufs = (share - CPU_HEADER) / (SUBBUF_SIZE + ORDER_ENTRY);
    // Alignment costs each core at most one page and its order array at most one more: few steps.
    while subbufs >= SUBBUFS_MIN {
        let end = subbufs_offset(cores - 1, subbufs) + subbufs * SUBBUF_SIZE;
        if end <= size {
            return Some(subbufs);
        }
        subbufs -= 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures that Linux's own regions show for four possible CPUs.
    #[test]
    fn sub_buffers_are_counted_as_linux_counts_them() {
        assert_eq!(subbufs(256 << 10, 4), Some(14));
        assert_eq!(subbufs(512 << 10, 4), Some(30));
        assert_eq!(subbufs(12 << 20, 4), Some(766));
    }

    #[test]
    fn the_last_chunk_ends_inside_for_every_small_size() {
        for pages in 1..600u64 {
            for cores in 1..9u64 {
                let size = pages * SUBBUF_SIZE;
                let Some(n) = subbufs(size, cores) else { continue };
                assert!(subbufs_offset(cores - 1, n) + n * SUBBUF_SIZE <= size);
                for core in 1..cores {
                    assert!(cpu_offset(core, n).is_multiple_of(SUBBUF_SIZE));
                    assert!(cpu_offset(core, n) >= subbufs_offset(core - 1, n) + n * SUBBUF_SIZE);
                }
            }
        }
    }

    #[test]
    fn a_region_too_small_for_linux_has_no_sub_buffers() {
        assert_eq!(subbufs(0, 4), None);
        assert_eq!(subbufs(BUFFERS_OFFSET, 1), None);
        assert_eq!(subbufs(1 << 20, 0), None);
        assert_eq!(subbufs(5 * SUBBUF_SIZE, 1), None);
    }
}
