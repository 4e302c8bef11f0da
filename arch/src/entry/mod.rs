//! From the first instruction to the kernel's main function, on the boot core.
//!
//! `early` runs with the MMU off: its memory is Device memory then, so it does nothing that needs more
//! (no read-modify-write atomics, no unaligned access, no formatting). `with_mmu` is ordinary Rust.

use core::ptr;
use core::slice;

use aarch64_cpu::registers::{MPIDR_EL1, Readable};

use crate::cores::affinity;
use crate::mmu::{self, MmuRegisters};
use crate::{cache, core_local, image};

/// Does `dc` with this operation to each line of what this image writes: read-only data (relocated) up to the end. Clobbers
/// x0 to x3.
macro_rules! own_lines {
    ($operation:literal) => {
        concat!(
            "adrp x0, __text_end\n",
            "adrp x1, __image_end\n",
            "mrs  x2, ctr_el0\n",
            "ubfx x2, x2, #16, #4\n", // DminLine: log2 of words
            "mov  x3, #4\n",
            "lsl  x3, x3, x2\n",
            "1: dc ",
            $operation,
            ", x0\n",
            "add  x0, x0, x3\n",
            "cmp  x0, x1\n",
            "b.lo 1b\n",
            "dsb  sy",
        )
    };
}

mod drop;
mod head;
mod leave;
pub(crate) mod secondary;

pub(crate) use drop::SCTLR_EL1_OFF;
pub use leave::leave;

/// First word of a flattened device tree, big endian (devicetree specification 5.2).
const FDT_MAGIC: u32 = 0xd00d_feed;
/// Bytes of the smallest possible device tree: its header.
const FDT_HEADER_SIZE: usize = 40;
/// The largest device tree that the arm64 boot protocol allows, 2 MiB.
pub const FDT_SIZE_MAX: usize = 2 << 20;
/// QEMU starts an ELF file with x0 = 0 and leaves the device tree at the start of RAM. On every board known
/// here RAM starts on a multiple of this.
const RAM_START_ALIGNMENT: usize = 1 << 30;

/// What the entry code found.
#[derive(Debug)]
pub struct BootInfo {
    /// Exception level at entry: 1, 2 or 3. At 3 there is no firmware below: no PSCI, nobody to reset the machine.
    pub entry_el: u8,
    /// The device tree: its magic number and total size (at most [`FDT_SIZE_MAX`]) were checked, nothing else.
    pub dtb: Option<&'static [u8]>,
    /// Register x0 as the boot loader left it.
    pub x0: u64,
    /// Where the image was loaded.
    pub load_address: usize,
    /// CNTVCT at the first instructions.
    pub entry_ticks: u64,
}

static mut BOOT: BootInfo = BootInfo { entry_el: 0, dtb: None, x0: 0, load_address: 0, entry_ticks: 0 };

unsafe extern "Rust" {
    /// The kernel's main function, on the boot core: MMU on, thread stack, everything masked.
    ///
    /// The binary defines it as `#[unsafe(no_mangle)] extern "Rust" fn kernel_main(boot: &'static BootInfo) -> !`.
    safe fn kernel_main(boot: &'static BootInfo) -> !;
}

/// Finds the device tree and builds the first page tables. Called once, by the entry code, MMU off.
extern "C" fn early(x0: u64, load_address: usize, entry_el: u64, entry_ticks: u64) -> *const MmuRegisters {
    core_local::CORES[0].prepare(0, affinity(MPIDR_EL1.get()));
    core_local::CORES[0].set_entry_el(entry_el as u8);
    let dtb = find_dtb(x0 as usize).or_else(|| find_dtb(load_address & !(RAM_START_ALIGNMENT - 1)));
    // SAFETY: this core is alone and nothing has borrowed BOOT yet.
    unsafe {
        BOOT = BootInfo { entry_el: entry_el as u8, dtb, x0, load_address, entry_ticks };
    }
    mmu::build_early(dtb)
}

/// Goes on with the MMU on.
extern "C" fn with_mmu() -> ! {
    mmu::now_live();
    core_local::this().set_online();
    // SAFETY: `early` filled it in and nobody writes it again.
    let boot: &'static BootInfo = unsafe { &*ptr::addr_of!(BOOT) };
    debug_assert_eq!(boot.load_address, image::range().start);
    kernel_main(boot)
}

/// Takes the bytes at `address` for a device tree if they begin like one.
fn find_dtb(address: usize) -> Option<&'static [u8]> {
    if address == 0 {
        return None;
    }
    // The boot loader may have written it through a cache that it then turned off.
    cache::clean_to_poc(address..address + FDT_HEADER_SIZE);
    let word = |offset: usize| {
        let mut bytes = [0; 4];
        for (i, byte) in bytes.iter_mut().enumerate() {
            let source = ptr::with_exposed_provenance::<u8>(address + offset + i);
            // SAFETY: the boot protocol says that x0 is a device tree; the start of RAM, the other candidate, is
            // RAM because the image lies in the same GiB. A boot loader that breaks this ends in a fault here.
            // Bytes, because a device tree may be unaligned and the MMU is off.
            *byte = unsafe { source.read_volatile() };
        }
        u32::from_be_bytes(bytes)
    };
    let total_size = word(4) as usize;
    if word(0) != FDT_MAGIC || !(FDT_HEADER_SIZE..=FDT_SIZE_MAX).contains(&total_size) {
        return None;
    }
    // SAFETY: it begins like a device tree of this size, in RAM; the first page tables map all of it read-only,
    // and nothing writes to it.
    Some(unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(address), total_size) })
}
