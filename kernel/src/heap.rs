//! The heap: one range from memblock, usable from every core and from interrupt handlers.

use core::alloc::{GlobalAlloc, Layout};
use core::ops::Range;
use core::ptr::{NonNull, null_mut};
use linked_list_allocator::Heap;
use spin::Mutex;

/// The heap behind a lock that is never held with ordinary interrupts open: a handler that allocates finds it free.
struct Locked(Mutex<Heap>);

#[global_allocator]
static HEAP: Locked = Locked(Mutex::new(Heap::empty()));

/// Gives the heap its memory.
///
/// # Safety
/// The range is mapped, writable, and nobody else's. Called once.
pub(crate) unsafe fn init(range: Range<usize>) {
    let start = core::ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: the caller's promise.
    unsafe { HEAP.0.lock().init(start, range.len()) };
}

// SAFETY: linked_list_allocator's heap gives out disjoint blocks of the layout asked for; the lock serialises it.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = arch::irq::without_irqs(|| self.0.lock().allocate_first_fit(layout));
        block.map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller got the block from `alloc` with this layout.
            arch::irq::without_irqs(|| unsafe { self.0.lock().deallocate(block, layout) });
        }
    }
}
