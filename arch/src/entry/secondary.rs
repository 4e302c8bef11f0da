//! How a core other than the first gets from firmware to Rust: MMU off, one pointer in x0, nothing else.
//!
//! Everything it reads before its MMU is on is in its [`BootRecord`], which the starting core cleaned to the point
//! of coherency; from then on it uses the same tables as everybody.

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::AtomicU64;

use crate::core_local::CoreLocal;
use crate::exceptions::vectors::exception_vectors;
use crate::mmu::MmuRegisters;

/// What a starting core needs. Lines of its own, so that cleaning it cannot touch anything else.
#[repr(C, align(128))]
pub(crate) struct BootRecord {
    /// The MMU's registers; at offset 0, where `mmu_on` reads them.
    pub(crate) mmu: MmuRegisters,
    /// The core's block, for TPIDR_EL1.
    pub(crate) core: *const CoreLocal,
    /// Top of its IRQ stack, for SP_EL1.
    pub(crate) irq_top: u64,
    /// Top of its thread stack, for SP_EL0.
    pub(crate) thread_top: u64,
    /// Where it goes from there.
    pub(crate) main: fn(&'static CoreLocal) -> !,
}

const _: () = assert!(offset_of!(BootRecord, mmu) == 0);

/// The record of the core that a spin table releases: such cores enter with x0 = 0. One is started at a time.
pub(crate) static SPIN_TABLE_RECORD: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    /// Entry for PSCI CPU_ON; the context id is the address of a [`BootRecord`].
    pub(crate) safe fn secondary_entry();
    /// Entry for spin tables; the record is in [`SPIN_TABLE_RECORD`].
    pub(crate) safe fn spin_table_entry();
}

global_asm!(
    r#"
    .pushsection .text.entry, "ax"
    .global spin_table_entry
spin_table_entry:
    adrp    x0, {spin_record}
    ldr     x0, [x0, :lo12:{spin_record}]

    .global secondary_entry
secondary_entry:
    msr     daifset, #0xf
    mov     x19, x0
    bl      drop_to_el1
    mov     x0, x19
    bl      mmu_on
    ldr     x0, [x19, #{core}]
    msr     tpidr_el1, x0
    adrp    x1, {vectors}
    add     x1, x1, :lo12:{vectors}
    msr     vbar_el1, x1
    ldp     x2, x3, [x19, #{irq_top}]
    mov     sp, x2
    msr     spsel, #0
    mov     sp, x3
    isb
    mov     x29, #0
    mov     x30, #0
    mov     x1, x22
    ldr     x2, [x19, #{main}]
    b       {rust}

// Turns on the MMU with the registers at x0, on a core whose translations and instructions may be stale.
// Clobbers x1-x4.
    .global mmu_on
mmu_on:
    ldp     x1, x2, [x0]
    ldp     x3, x4, [x0, #16]
    dsb     sy
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    msr     mair_el1, x1
    msr     tcr_el1, x2
    msr     ttbr0_el1, x3
    isb
    msr     sctlr_el1, x4
    isb
    ret
    .popsection
"#,
    spin_record = sym SPIN_TABLE_RECORD,
    vectors = sym exception_vectors,
    core = const offset_of!(BootRecord, core),
    irq_top = const offset_of!(BootRecord, irq_top),
    main = const offset_of!(BootRecord, main),
    rust = sym enter,
);

/// First Rust code of a started core.
#[allow(improper_ctypes_definitions, reason = "the address of a function is one register in every convention")]
extern "C" fn enter(core: &'static CoreLocal, entry_el: u64, main: fn(&'static CoreLocal) -> !) -> ! {
    core.set_entry_el(entry_el as u8);
    crate::gic::v3::enable_system_registers(); // the priority mask, which critical sections may use from now on
    core.set_online();
    main(core)
}
