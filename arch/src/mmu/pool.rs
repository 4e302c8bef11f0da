//! Page tables come from a fixed pool, because they are needed before there is a heap and while it is broken.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use aarch64_paging::descriptor::{El1Attributes, PhysicalAddress};
use aarch64_paging::paging::{PageTable, Translation};

type Table = PageTable<El1Attributes>;

/// Number of tables. A contiguous range needs at most two at each of three levels; the image, its device tree,
/// a few devices, the region and two banks of memory need about 20.
pub const POOL_TABLES: usize = 48;

#[repr(C, align(4096))]
struct Tables(UnsafeCell<MaybeUninit<[Table; POOL_TABLES]>>);

// SAFETY: only the one `Pool` of this image hands out its elements, each to one owner at a time.
unsafe impl Sync for Tables {}

#[cfg(target_os = "none")]
#[unsafe(link_section = ".noinit.tables")]
static TABLES: Tables = Tables(UnsafeCell::new(MaybeUninit::uninit()));

/// Hands out tables. Identity map: a table's physical address is its address.
pub(super) struct Pool {
    tables: NonNull<Table>,
    used: u64,
}

const _: () = assert!(POOL_TABLES <= u64::BITS as usize);

// SAFETY: the pool owns its tables; the lock around the only mapping that has it gives them to one core at a time.
unsafe impl Send for Pool {}

impl Pool {
    /// The pool of the image.
    ///
    /// # Safety
    ///
    /// Called at most once.
    #[cfg(target_os = "none")]
    pub(super) unsafe fn of_image() -> Self {
        // SAFETY: the address of a static is not null.
        Self { tables: unsafe { NonNull::new_unchecked(TABLES.0.get().cast()) }, used: 0 }
    }

    /// A pool for a test, never freed.
    #[cfg(test)]
    pub(super) fn leaked() -> Self {
        let tables: std::boxed::Box<Tables> = std::boxed::Box::new(Tables(UnsafeCell::new(MaybeUninit::uninit())));
        Self { tables: NonNull::from(std::boxed::Box::leak(tables)).cast(), used: 0 }
    }

    /// How many tables are left.
    pub(super) fn available(&self) -> usize {
        POOL_TABLES - self.used.count_ones() as usize
    }
}

impl Translation<El1Attributes> for Pool {
    /// Panics when the pool is empty: its user compares what it may need with [`Pool::available`] first.
    fn allocate_table(&mut self) -> (NonNull<Table>, PhysicalAddress) {
        let index = self.used.trailing_ones() as usize;
        assert!(index < POOL_TABLES, "page table pool empty");
        self.used |= 1 << index;
        // SAFETY: index is inside the pool.
        let table = unsafe { self.tables.add(index) };
        // SAFETY: an all-zero table is an empty one, and it was free, so nobody else has it.
        unsafe { table.write_bytes(0, 1) };
        (table, PhysicalAddress(table.addr().get()))
    }

    unsafe fn deallocate_table(&mut self, table: NonNull<Table>) {
        let index = (table.addr().get() - self.tables.addr().get()) / size_of::<Table>();
        self.used &= !(1 << index);
    }

    fn physical_to_virtual(&self, pa: PhysicalAddress) -> NonNull<Table> {
        let offset = pa.0 - self.tables.addr().get();
        // SAFETY: a table's physical address came from `allocate_table`, so it is inside the pool.
        unsafe { self.tables.byte_add(offset) }
    }
}
