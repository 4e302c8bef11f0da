//! Virtual is physical, from the first table to the panic: an identity map in which a page is writable or executable
//! or neither, with holes where a fault is wanted (page 0, under each stack, around the persistent region).
//!
//! The entry code maps the image and the device tree page by page, so that nothing is mapped by accident at 2 MiB
//! granularity; the kernel adds the region, devices and memory once it has read the device tree.
//!
//! Orders the kernel keeps to: the region first (`map_region` puts its guard pages), then the banks of memory
//! that hold it (`map_normal` fills holes and leaves everything else alone).

mod attributes;
mod map;
mod pool;
pub mod uncached;

#[cfg(target_os = "none")]
mod live;

pub use attributes::{Kind, MAIR};
pub use map::{Entry, MapError};
pub use pool::POOL_TABLES;

#[cfg(target_os = "none")]
pub use live::{MmuRegisters, describe, look_up, map_device, map_normal, map_region, tables_left, unmap_page};
#[cfg(target_os = "none")]
pub(crate) use live::{build_early, now_live, registers, with_memory_mapped};

/// Bytes of a page.
pub const PAGE_SIZE: usize = aarch64_paging::paging::PAGE_SIZE;
