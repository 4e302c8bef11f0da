//! Which cores there are, starting them, and parking for good.

/// The affinity fields of MPIDR_EL1: what names a core in PSCI, in device trees and in GIC registers.
pub(crate) const AFFINITY_MASK: u64 = 0xff_00ff_ffff;

/// A core's name: its MPIDR_EL1 without flags.
#[must_use]
pub const fn affinity(mpidr: u64) -> u64 {
    mpidr & AFFINITY_MASK
}

/// How many of a machine's cores are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Cores with a logical index, the boot core included.
    pub used: usize,
    /// Cores beyond [`crate::stacks::MAX_CORES`]: they stay off.
    pub left_out: usize,
}

/// Gives logical indices: 0 to the boot core, the others in their order. Returns how many there are; those beyond
/// the capacity of `table` are only counted. A core that is named twice counts once.
pub fn number_cores(boot: u64, others: impl Iterator<Item = u64>, table: &mut [u64]) -> Registered {
    let mut registered = Registered { used: 0, left_out: 0 };
    for mpidr in core::iter::once(boot).chain(others).map(affinity) {
        if table[..registered.used].contains(&mpidr) {
            continue;
        }
        match table.get_mut(registered.used) {
            Some(entry) => {
                *entry = mpidr;
                registered.used += 1;
            }
            None => registered.left_out += 1,
        }
    }
    registered
}

pub use crate::core_local::{CoreLocal, this};
pub use crate::stacks::MAX_CORES;

#[cfg(target_os = "none")]
pub use target::{
    StartError, StartMethod, count, index_of, mpidr_of, park, register, relax, start, wait_for_interrupt, wait_online,
};

#[cfg(target_os = "none")]
mod target {
    use core::cell::UnsafeCell;
    use core::fmt;
    use core::mem::MaybeUninit;
    use core::sync::atomic::{AtomicUsize, Ordering};

    use super::{Registered, affinity, number_cores};
    use crate::core_local::{CORES, CoreLocal};
    use crate::entry::secondary::{BootRecord, SPIN_TABLE_RECORD, secondary_entry, spin_table_entry};
    use crate::mmu::MapError;
    use crate::psci::{self, Psci};
    use crate::stacks::{self, MAX_CORES, Stack};
    use crate::{cache, mmu, timer};

    /// Cores with a logical index.
    static COUNT: AtomicUsize = AtomicUsize::new(1);

    /// The record of each core that was started.
    struct Records([UnsafeCell<MaybeUninit<BootRecord>>; MAX_CORES]);
    // SAFETY: `start` writes the record of a core that is off; the core reads it; nobody else does.
    unsafe impl Sync for Records {}
    #[unsafe(link_section = ".noinit.records")]
    static RECORDS: Records = Records([const { UnsafeCell::new(MaybeUninit::uninit()) }; MAX_CORES]);

    /// How a core is got out of its sleep: the `enable-method` of its device tree node.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum StartMethod {
        /// `psci`.
        Psci(Psci),
        /// `spin-table`, with its `cpu-release-addr`. The word may lie in a page that is not mapped.
        SpinTable(usize),
    }

    /// Why a core was not started.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum StartError {
        /// No core has this logical index, or it is the boot core's.
        NoSuchCore,
        /// The firmware refused.
        Psci(psci::Error),
        /// The spin table's word is in no memory that can be mapped.
        SpinTable(MapError),
    }

    impl fmt::Display for StartError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                StartError::NoSuchCore => f.write_str("no such core"),
                StartError::Psci(error) => write!(f, "PSCI CPU_ON: {error}"),
                StartError::SpinTable(error) => write!(f, "spin table: {error}"),
            }
        }
    }

    /// Gives every core of the machine a logical index. Called once, by the boot core, with the `reg` of each
    /// cpu node in order; the boot core may be among them or not.
    pub fn register(mpidrs: impl Iterator<Item = u64>) -> Registered {
        let mut table = [0; MAX_CORES];
        let registered = number_cores(CORES[0].mpidr(), mpidrs, &mut table);
        for (index, &mpidr) in table[..registered.used].iter().enumerate().skip(1) {
            CORES[index].prepare(index, mpidr);
        }
        COUNT.store(registered.used, Ordering::Release); // pairs with count
        registered
    }

    /// How many cores have a logical index, on or off.
    #[must_use]
    pub fn count() -> usize {
        COUNT.load(Ordering::Acquire) // pairs with register
    }

    /// A core's name by its logical index.
    #[must_use]
    pub fn mpidr_of(index: usize) -> Option<u64> {
        CORES[..count()].get(index).map(CoreLocal::mpidr)
    }

    /// A core's logical index by its MPIDR.
    #[must_use]
    pub fn index_of(mpidr: u64) -> Option<usize> {
        CORES[..count()].iter().position(|core| core.mpidr() == affinity(mpidr))
    }

    /// Starts a core: it comes up with the same tables, on a stack of its own, everything masked, in `main`.
    /// Does not wait for it ([`wait_online`]). One core is started at a time.
    ///
    /// # Errors
    ///
    /// [`StartError`]: the core stays as it was.
    pub fn start(index: usize, method: StartMethod, main: fn(&'static CoreLocal) -> !) -> Result<(), StartError> {
        if index == 0 || index >= count() {
            return Err(StartError::NoSuchCore);
        }
        let record = RECORDS.0[index].get();
        // SAFETY: the core is off, or the firmware refuses below and nobody reads the record.
        unsafe {
            (*record).write(BootRecord {
                mmu: mmu::registers(),
                core: &raw const CORES[index],
                irq_top: stacks::range(index, Stack::Irq).end as u64,
                thread_top: stacks::range(index, Stack::Thread).end as u64,
                main,
            });
        }
        // It reads this before its MMU is on.
        cache::clean_to_poc(record.addr()..record.addr() + size_of::<BootRecord>());
        match method {
            StartMethod::Psci(psci) => psci
                .cpu_on(CORES[index].mpidr(), secondary_entry as *const () as u64, record.addr() as u64)
                .map_err(StartError::Psci),
            StartMethod::SpinTable(release) => release_spinning(release, record.addr() as u64),
        }
    }

    fn release_spinning(release: usize, record: u64) -> Result<(), StartError> {
        SPIN_TABLE_RECORD.store(record, Ordering::Relaxed);
        let word = (&raw const SPIN_TABLE_RECORD).addr();
        cache::clean_to_poc(word..word + size_of::<u64>());
        mmu::with_memory_mapped(release..release + size_of::<u64>(), || {
            let word = core::ptr::with_exposed_provenance_mut::<u64>(release);
            // SAFETY: the device tree says that this word releases a core and is used for nothing else; it is
            // mapped for the length of this call.
            unsafe { word.write_volatile(spin_table_entry as *const () as u64) };
            cache::clean_to_poc(release..release + size_of::<u64>());
        })
        .map_err(StartError::SpinTable)?;
        // SAFETY: an event, for whoever waits for one. It says nothing and interrupts nobody.
        unsafe { core::arch::asm!("sev", options(nostack, preserves_flags)) };
        Ok(())
    }

    /// Waits until a started core is there, at most for so many counter ticks.
    #[must_use]
    pub fn wait_online(index: usize, ticks_max: u64) -> bool {
        let Some(core) = CORES.get(index) else {
            return false;
        };
        let start = timer::now();
        while !core.is_online() {
            if timer::now().wrapping_sub(start) > ticks_max {
                return false;
            }
            relax();
        }
        true
    }

    /// To be called in loops that wait for another core. YIELD: an emulator that runs all cores on one thread goes
    /// on with another core then (`core::hint::spin_loop` is an ISB, at which it does not).
    #[inline(always)]
    pub fn relax() {
        // SAFETY: a hint.
        unsafe { core::arch::asm!("yield", options(nomem, nostack, preserves_flags)) };
    }

    /// Sleeps until this core's next interrupt, and handles it.
    pub fn wait_for_interrupt() {
        // SAFETY: only waits; the tick ends it.
        unsafe { core::arch::asm!("wfi", options(nomem, nostack, preserves_flags)) };
    }

    /// Stops this core for good: everything masked, asleep. Interrupts still wake it; it goes back to sleep.
    pub fn park() -> ! {
        crate::irq::mask_everything();
        loop {
            // SAFETY: waits.
            unsafe { core::arch::asm!("wfi", options(nostack, preserves_flags)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_core_is_core_0_wherever_the_device_tree_puts_it() {
        let mut table = [0; 8];
        let registered = number_cores(0x8100_0200, [0u64, 0x100, 0x200, 0x300].into_iter(), &mut table);
        assert_eq!(registered, Registered { used: 4, left_out: 0 });
        assert_eq!(table[..4], [0x200, 0, 0x100, 0x300]);
    }

    #[test]
    fn cores_beyond_the_table_are_counted() {
        let mut table = [0; 8];
        let registered = number_cores(0, 0..20, &mut table);
        assert_eq!(registered, Registered { used: 8, left_out: 12 });
        assert_eq!(table, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_device_tree_without_the_boot_core_or_with_doubles_is_survived() {
        let mut table = [0; 4];
        assert_eq!(number_cores(7, [1, 1, 7, 2].into_iter(), &mut table).used, 3);
        assert_eq!(table[..3], [7, 1, 2]);
    }

    #[test]
    fn flags_are_no_part_of_a_name() {
        assert_eq!(affinity(0x8000_0003), 3);
        assert_eq!(affinity(0x05_c100_0102), 0x05_0000_0102);
    }
}
