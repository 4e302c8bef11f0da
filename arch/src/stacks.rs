//! Four stacks for each core, each above an unmapped guard page, so that no kind of trouble runs over another's.
//!
//! | stack | used by | register |
//! |---|---|---|
//! | thread | code of the kernel | SP_EL0 |
//! | IRQ | an interrupt (or tick) that interrupted thread code | SP_EL1 |
//! | NMI | an interrupt that interrupted a handler | SP_EL1 |
//! | emergency | whatever is fatal, also a stack overflow | SP_EL1 |
//!
//! They are static: `MAX_CORES` times 144 KiB of memory that is neither in the flat image nor zeroed at entry.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::{MaybeUninit, offset_of};
use core::ops::Range;

/// The most cores that are used; a machine with more runs on this many, and the kernel says so.
pub const MAX_CORES: usize = 8;
/// Bytes of the unmapped page under each stack.
pub const GUARD_SIZE: usize = 4096;
/// Bytes of a thread stack.
pub const THREAD_SIZE: usize = 64 * 1024;
/// Bytes of an IRQ stack.
pub const IRQ_SIZE: usize = 16 * 1024;
/// Bytes of an NMI stack.
pub const NMI_SIZE: usize = 16 * 1024;
/// Bytes of an emergency stack: the panic path formats and cleans on it.
pub const EMERGENCY_SIZE: usize = 32 * 1024;

/// The stacks of one core, lowest address first.
#[repr(C, align(4096))]
pub struct CoreStacks {
    thread_guard: Area<GUARD_SIZE>,
    thread: Area<THREAD_SIZE>,
    irq_guard: Area<GUARD_SIZE>,
    irq: Area<IRQ_SIZE>,
    nmi_guard: Area<GUARD_SIZE>,
    nmi: Area<NMI_SIZE>,
    emergency_guard: Area<GUARD_SIZE>,
    emergency: Area<EMERGENCY_SIZE>,
}

/// Bytes which Rust never looks at through a reference.
#[repr(C)]
struct Area<const SIZE: usize>(UnsafeCell<MaybeUninit<[u8; SIZE]>>);

// SAFETY: nothing reads or writes an `Area` through a reference; a core's stack pointers are the only way in, and
// no two cores get the same ones.
unsafe impl<const SIZE: usize> Sync for Area<SIZE> {}

const _: () = assert!(
    size_of::<CoreStacks>() == THREAD_SIZE + IRQ_SIZE + NMI_SIZE + EMERGENCY_SIZE + Stack::ALL.len() * GUARD_SIZE
);
const _: () = assert!(offset_of!(CoreStacks, thread) % 4096 == 0);
const _: () = assert!(offset_of!(CoreStacks, emergency) % 4096 == 0);

/// Offset of the thread stack's top from the start of a core's stacks, for the entry code.
pub const THREAD_TOP: usize = offset_of!(CoreStacks, thread) + THREAD_SIZE;
/// Offset of the IRQ stack's top from the start of a core's stacks, for the entry code.
pub const IRQ_TOP: usize = offset_of!(CoreStacks, irq) + IRQ_SIZE;

const fn empty() -> CoreStacks {
    CoreStacks {
        thread_guard: Area(UnsafeCell::new(MaybeUninit::uninit())),
        thread: Area(UnsafeCell::new(MaybeUninit::uninit())),
        irq_guard: Area(UnsafeCell::new(MaybeUninit::uninit())),
        irq: Area(UnsafeCell::new(MaybeUninit::uninit())),
        nmi_guard: Area(UnsafeCell::new(MaybeUninit::uninit())),
        nmi: Area(UnsafeCell::new(MaybeUninit::uninit())),
        emergency_guard: Area(UnsafeCell::new(MaybeUninit::uninit())),
        emergency: Area(UnsafeCell::new(MaybeUninit::uninit())),
    }
}

/// All stacks of all cores.
#[cfg_attr(target_os = "none", unsafe(link_section = ".noinit.stacks"))]
pub static STACKS: [CoreStacks; MAX_CORES] = [const { empty() }; MAX_CORES];

/// One of a core's stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// Code of the kernel.
    Thread,
    /// First level of interrupts.
    Irq,
    /// Interrupts of interrupt handlers.
    Nmi,
    /// Fatal exceptions.
    Emergency,
}

impl Stack {
    /// All of them, lowest address first.
    pub const ALL: [Stack; 4] = [Stack::Thread, Stack::Irq, Stack::Nmi, Stack::Emergency];

    const fn place(self) -> (usize, usize) {
        match self {
            Stack::Thread => (offset_of!(CoreStacks, thread), THREAD_SIZE),
            Stack::Irq => (offset_of!(CoreStacks, irq), IRQ_SIZE),
            Stack::Nmi => (offset_of!(CoreStacks, nmi), NMI_SIZE),
            Stack::Emergency => (offset_of!(CoreStacks, emergency), EMERGENCY_SIZE),
        }
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stack::Thread => "thread",
            Stack::Irq => "IRQ",
            Stack::Nmi => "NMI",
            Stack::Emergency => "emergency",
        })
    }
}

/// The addresses of a stack of a core, without its guard page. An index beyond the cores gives an empty range.
#[must_use]
pub fn range(core: usize, stack: Stack) -> Range<usize> {
    let Some(stacks) = STACKS.get(core) else {
        return 0..0;
    };
    let (offset, size) = stack.place();
    let start = core::ptr::from_ref(stacks).addr() + offset;
    start..start + size
}

/// The guard page under a stack of a core.
#[must_use]
pub fn guard(core: usize, stack: Stack) -> Range<usize> {
    let stack = range(core, stack);
    stack.start.saturating_sub(GUARD_SIZE)..stack.start
}

/// Whose stack, or whose guard page, an address lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Logical index of the core.
    pub core: usize,
    /// Which of its stacks.
    pub stack: Stack,
    /// The address is in the guard page: the stack overflowed.
    pub guard: bool,
}

/// Finds the stack that an address belongs to.
#[must_use]
pub fn find(address: usize) -> Option<Place> {
    let base = STACKS.as_ptr().addr();
    let core = address.checked_sub(base)? / size_of::<CoreStacks>();
    if core >= MAX_CORES {
        return None;
    }
    Stack::ALL.into_iter().find_map(|stack| {
        let guard = guard(core, stack).contains(&address);
        (guard || range(core, stack).contains(&address)).then_some(Place { core, stack, guard })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_belongs_to_one_stack_or_its_guard() {
        let base = STACKS.as_ptr().addr();
        for offset in (0..size_of_val(&STACKS)).step_by(512) {
            let place = find(base + offset).unwrap();
            assert_eq!(place.core, offset / size_of::<CoreStacks>());
            assert_eq!(place.guard, guard(place.core, place.stack).contains(&(base + offset)));
        }
        assert_eq!(find(base - 1), None);
        assert_eq!(find(base + size_of_val(&STACKS)), None);
    }

    #[test]
    fn the_byte_below_a_stack_is_its_guard() {
        for stack in Stack::ALL {
            let low = range(3, stack).start;
            assert_eq!(find(low - 1), Some(Place { core: 3, stack, guard: true }));
            assert_eq!(find(low), Some(Place { core: 3, stack, guard: false }));
        }
    }

    #[test]
    fn a_core_that_does_not_exist_has_no_stack() {
        assert!(range(MAX_CORES, Stack::Thread).is_empty());
    }
}
