//! The one map of the running image, and the registers that turn it on.

use core::fmt;
use core::ops::Range;

use aarch64_cpu::registers::{ID_AA64MMFR0_EL1, Readable, SCTLR_EL1, TCR_EL1};
use spin::mutex::SpinMutex;

use super::attributes::{Kind, MAIR};
use super::map::{Entry, Map, MapError};
use super::{PAGE_SIZE, pool::Pool};
use crate::entry::SCTLR_EL1_OFF;
use crate::stacks::{self, MAX_CORES, Place, Stack};
use crate::{image, irq};

/// What `mmu_on` writes, in this order of memory.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct MmuRegisters {
    mair: u64,
    tcr: u64,
    ttbr0: u64,
    sctlr: u64,
}

/// Bits of a virtual address: four levels of 4 KiB tables.
const VIRTUAL_BITS: u64 = 48;

/// The map. `None` until the entry code has built it. The lock is taken with ordinary interrupts masked; the
/// entry code, alone and without a working lock, goes past it.
static MAP: SpinMutex<Option<Map>> = SpinMutex::new(None);
static mut REGISTERS: MmuRegisters = MmuRegisters { mair: 0, tcr: 0, ttbr0: 0, sctlr: 0 };

/// Builds the first tables: the image by its parts, a hole under each stack, the device tree. Called once by the
/// entry code with the MMU off: no lock, no formatting.
pub(crate) fn build_early(dtb: Option<&[u8]>) -> *const MmuRegisters {
    // SAFETY: called once, by the entry code.
    let mut map = Map::new(unsafe { Pool::of_image() }, physical_bits());
    let image_parts = [(image::text(), Kind::Text), (image::rodata(), Kind::ReadOnly), (image::data(), Kind::Data)];
    let mut done = image_parts.into_iter().try_for_each(|(range, kind)| map.map_pages(range, kind));
    for core in 0..MAX_CORES {
        for stack in Stack::ALL {
            done = done.and_then(|()| map.guard(stacks::guard(core, stack).start));
        }
    }
    if done.is_err() {
        // The image does not fit the CPU or the pool: nobody can be told yet.
        crate::cores::park();
    }
    if let Some(dtb) = dtb {
        let start = dtb.as_ptr().addr();
        // A device tree inside the image's own pages stays readable there.
        let _ = map.map_holes(start..start + dtb.len(), Kind::ReadOnly);
    }
    let registers = MmuRegisters {
        mair: MAIR.0,
        tcr: translation_control().value,
        ttbr0: map.root() as u64,
        sctlr: SCTLR_EL1_OFF
            | (SCTLR_EL1::M::Enable
                + SCTLR_EL1::C::Cacheable
                + SCTLR_EL1::I::Cacheable
                + SCTLR_EL1::SA::Enable
                + SCTLR_EL1::WXN::Enable)
                .value,
    };
    // SAFETY: the boot core is alone and no reference to either exists yet. The lock needs an exclusive access,
    // which memory does not have to support while the MMU is off.
    unsafe {
        *MAP.as_mut_ptr() = Some(map);
        REGISTERS = registers;
    }
    &raw const REGISTERS
}

/// The tables are in use from now on. Called once, right after the MMU was turned on.
pub(crate) fn now_live() {
    if let Some(map) = MAP.lock().as_mut() {
        map.now_live();
    }
}

/// The registers for a core that starts.
pub(crate) fn registers() -> MmuRegisters {
    // SAFETY: written once by the entry code, before anybody can call this.
    unsafe { REGISTERS }
}

fn translation_control() -> tock_registers::fields::FieldValue<u64, TCR_EL1::Register> {
    let ips = ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange).min(0b101); // 52 bits need other tables
    TCR_EL1::T0SZ.val(64 - VIRTUAL_BITS)
        + TCR_EL1::TG0::KiB_4
        + TCR_EL1::SH0::Inner
        + TCR_EL1::ORGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable
        + TCR_EL1::IRGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable
        + TCR_EL1::EPD1::DisableTTBR1Walks
        + TCR_EL1::IPS.val(ips)
}

/// Physical address bits of this CPU (Arm ARM, ID_AA64MMFR0_EL1.PARange).
fn physical_bits() -> u32 {
    match ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange) {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        _ => 48,
    }
}

pub(super) fn with_map<R>(f: impl FnOnce(&mut Map) -> Result<R, MapError>) -> Result<R, MapError> {
    irq::without_irqs(|| MAP.lock().as_mut().ok_or(MapError::Refused).and_then(f))
}

/// Maps memory: read, write, cacheable, never executable. What is mapped already (the image, the device tree, the
/// region) and guard pages stay as they are, so a whole bank of memory may be given.
///
/// # Errors
///
/// [`MapError::OutOfRange`] or [`MapError::NoTables`]; what came before in the range may be mapped then.
pub fn map_normal(range: Range<usize>) -> Result<(), MapError> {
    with_map(|map| map.map_holes(range, Kind::Data))
}

/// Maps device registers. Twice the same page is fine.
///
/// # Errors
///
/// [`MapError::Conflict`] if part of it is memory or a guard page.
pub fn map_device(range: Range<usize>) -> Result<(), MapError> {
    with_map(|map| map.map(range, Kind::Device))
}

/// Maps the persistent region: memory as any other, never executable, with a guard page on both sides. To be
/// called before [`map_normal`] of the memory around it.
///
/// # Errors
///
/// [`MapError::Conflict`] if part of it, or a page beside it, is mapped already: then nothing has changed.
pub fn map_region(range: Range<usize>) -> Result<(), MapError> {
    with_map(|map| {
        let below = range.start.checked_sub(1).ok_or(MapError::OutOfRange)?;
        for beside in [below, range.end] {
            if matches!(map.look_up(beside), Entry::Mapped(_)) {
                return Err(MapError::Conflict);
            }
        }
        map.map(range.clone(), Kind::Data)?;
        map.guard(below)?;
        map.guard(range.end)
    })
}

/// Makes a guard page: unmapped now, and refused to whoever maps it later. Inside a large block of memory the
/// block is unmapped for a moment, so no other core may be using it and no interrupt handler may live in it.
///
/// # Errors
///
/// [`MapError::OutOfRange`] or [`MapError::NoTables`]: nothing has changed.
pub fn unmap_page(address: usize) -> Result<(), MapError> {
    with_map(|map| map.guard(address))
}

/// Runs something with a range of memory mapped, whether it is otherwise or not; what was a hole is one again
/// afterwards.
pub(crate) fn with_memory_mapped(range: Range<usize>, f: impl FnOnce()) -> Result<(), MapError> {
    with_map(|map| {
        let was_hole = map.look_up(range.start) == Entry::Hole;
        map.map(range.clone(), Kind::Data)?;
        f();
        if was_hole { map.unmap(range) } else { Ok(()) }
    })
}

/// How many page tables are left.
#[must_use]
pub fn tables_left() -> usize {
    with_map(|map| Ok(map.tables_left())).unwrap_or(0)
}

/// What the tables say about an address; `None` if another core holds the map right now. Never waits: made for
/// the panic path.
#[must_use]
pub fn look_up(address: usize) -> Option<Entry> {
    let map = MAP.try_lock()?;
    map.as_ref().map(|map| map.look_up(address))
}

/// Says in words what an address is, for the report of a fault.
#[must_use]
pub fn describe(address: usize) -> Description {
    Description { address, place: stacks::find(address), entry: look_up(address) }
}

/// An address in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    address: usize,
    /// The stack it belongs to, if any.
    pub place: Option<Place>,
    /// What the page tables say, unless another core is changing them.
    pub entry: Option<Entry>,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { core, stack, guard }) = self.place {
            let what = if guard { "guard page under the" } else { "in the" };
            return write!(f, "{what} {stack} stack of core {core}");
        }
        let parts = [(image::text(), "code"), (image::rodata(), "constants"), (image::data(), "variables")];
        if let Some((_, name)) = parts.into_iter().find(|(range, _)| range.contains(&self.address)) {
            return write!(f, "in the kernel's {name}");
        }
        f.write_str(match self.entry {
            _ if self.address < PAGE_SIZE => "null page",
            None => "page tables busy",
            Some(Entry::Hole) => "not mapped",
            Some(Entry::Guard) => "guard page",
            Some(Entry::Mapped(Kind::Text)) => "code",
            Some(Entry::Mapped(Kind::ReadOnly)) => "read-only memory",
            Some(Entry::Mapped(Kind::Data)) => "memory",
            Some(Entry::Mapped(Kind::Device)) => "device registers",
        })
    }
}
