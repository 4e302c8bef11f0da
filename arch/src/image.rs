//! Where the kernel's own image is, from the symbols of the linker script.

use core::ops::Range;
use core::ptr;
use core::slice;

unsafe extern "C" {
    static __image_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __image_end: u8;
    static __build_id_start: u8;
    static __build_id_end: u8;
}

/// Bytes of an ELF note before its description: three words and the name "GNU\0" (ELF specification, Note Section).
const NOTE_HEADER_SIZE: usize = 16;

/// The whole image in memory, with `.bss`, stacks and page tables: nothing else may be put there.
#[must_use]
pub fn range() -> Range<usize> {
    (&raw const __image_start).addr()..(&raw const __image_end).addr()
}

/// Code.
#[must_use]
pub fn text() -> Range<usize> {
    (&raw const __image_start).addr()..(&raw const __text_end).addr()
}

/// Constants, and pointers that were relocated.
#[must_use]
pub fn rodata() -> Range<usize> {
    (&raw const __text_end).addr()..(&raw const __rodata_end).addr()
}

/// Variables, stacks, page tables.
#[must_use]
pub fn data() -> Range<usize> {
    (&raw const __rodata_end).addr()..(&raw const __image_end).addr()
}

/// The address in the ELF file of something at `address` in memory, for symbolisation. Addresses outside the image
/// come back as they are.
#[must_use]
pub fn link_address(address: u64) -> u64 {
    if range().contains(&(address as usize)) { address - range().start as u64 + link_base() } else { address }
}

fn link_base() -> u64 {
    let base: u64;
    // SAFETY: loads a constant. It is an absolute symbol, so taking its address the position-independent way
    // (relative to the program counter) would give it the load address's offset.
    unsafe {
        core::arch::asm!("ldr {}, =__link_base", out(reg) base, options(pure, nomem, nostack, preserves_flags));
    }
    base
}

/// The build id that the linker computed over the image; empty if it was told not to.
#[must_use]
pub fn build_id() -> &'static [u8] {
    let start = &raw const __build_id_start;
    let size = (&raw const __build_id_end).addr() - start.addr();
    if size <= NOTE_HEADER_SIZE {
        return &[];
    }
    // SAFETY: the two symbols enclose the linker's note, which is constant data of the image.
    unsafe { slice::from_raw_parts(ptr::from_ref(&*start).add(NOTE_HEADER_SIZE), size - NOTE_HEADER_SIZE) }
}
