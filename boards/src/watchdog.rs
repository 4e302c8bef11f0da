//! Watchdogs: a way to reset where no firmware offers one, and the dead man that resets a panic which hangs.
//!
//! `set_up` takes the one watchdog that the device tree names, or that is found on its PCI bus. From then on it is a way to
//! reset ([`crate::ResetWay::Watchdog`]), and, where it is seen to count, `dead_man` arms it when a panic begins.
//!
//! One file is one chip. A chip takes its registers from outside, so that its tests see what it does to them, in order.

use core::ops::Range;

mod bcm2835;
mod i6300esb;
mod sbsa;
mod sp805;

/// Longest that a panic may take before the dead man resets the machine, in milliseconds. What is bounded in its path: the
/// wait for the other cores (a second or two), cleaning (milliseconds for each 8 MiB), 4 KiB of text at 115200 baud (0.4 s). A
/// few times that, for a machine that is slow; and within what chips can: 16 s (BCM2835), 8.6 s (SBSA at 1 GHz, clipped).
pub const DEAD_MAN_MS: u32 = 10_000;

/// A watchdog as the device tree describes it; `set_up` maps its registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchdogInfo {
    /// Which chip.
    pub kind: WatchdogKind,
    /// Its registers; for one on PCI, the configuration space from bus 0 on.
    pub registers: Range<usize>,
    /// For one on PCI: the bus's memory below 4 GiB, where the bus has the CPU's addresses.
    pub window: Range<usize>,
    /// The frequency of its clock in Hz, if the device tree says it.
    pub clock_hz: Option<u32>,
}

/// Chips with a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchdogKind {
    /// The power management block of the Raspberry Pi.
    Bcm2835,
    /// `arm,sp805`.
    Sp805,
    /// The generic watchdog of Arm's SBSA.
    Sbsa,
    /// A PCI bus, which may have an Intel 6300ESB.
    Pci,
}

impl WatchdogKind {
    /// By a name in the node's `compatible`.
    #[must_use]
    pub fn from_compatible(name: &str) -> Option<Self> {
        match name {
            "brcm,bcm2835-pm-wdt" | "brcm,bcm2711-pm" | "brcm,bcm2712-pm" => Some(WatchdogKind::Bcm2835),
            "arm,sp805" => Some(WatchdogKind::Sp805),
            "arm,sbsa-gwdt" => Some(WatchdogKind::Sbsa),
            "pci-host-ecam-generic" => Some(WatchdogKind::Pci),
            _ => None,
        }
    }
}

/// A watchdog: a counter that resets the machine when it comes to its end.
pub trait Watchdog: Sync {
    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// Resets the machine after so many milliseconds, or the longest that it can if that is less. Also if it was armed before.
    fn arm(&self, ms: u32);

    /// Stops it.
    fn disarm(&self);

    /// Whether it is going to reset the machine.
    fn is_armed(&self) -> bool;

    /// Whether it is seen to count, found out without the risk of a reset; `pause` lets a few milliseconds pass. It is
    /// disarmed afterwards. A chip that does not show its count is believed if it takes and gives back its settings.
    fn counts(&self, pause: &dyn Fn()) -> bool;

    /// Has the firmware leave the machine off at the next reset. False: it cannot.
    fn stay_off(&self) -> bool {
        false
    }
}

/// When a panic arms it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// If it is seen to count.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// What `set_up` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The watchdog.
    pub name: &'static str,
    /// The boot before left it armed; it was stopped.
    pub was_armed: bool,
    /// A panic is going to arm it.
    pub dead_man: bool,
}

/// Finds out what a watchdog is good for; stops it if it runs.
fn examine(watchdog: &dyn Watchdog, choice: Choice, pause: &dyn Fn()) -> Report {
    let was_armed = watchdog.is_armed();
    if was_armed {
        watchdog.disarm();
    }
    let dead_man = match choice {
        Choice::Auto => watchdog.counts(pause),
        Choice::On => true,
        Choice::Off => false,
    };
    Report { name: watchdog.name(), was_armed, dead_man }
}

#[cfg(target_os = "none")]
pub use target::{dead_man, found, power_off, reset, set_up};

/// On a host there is none.
#[cfg(not(target_os = "none"))]
pub(crate) fn found() -> Option<&'static dyn Watchdog> {
    None
}

/// On a host there is nothing to be reset.
#[cfg(not(target_os = "none"))]
pub(crate) fn reset() {}

#[cfg(target_os = "none")]
mod target {
    use core::sync::atomic::{AtomicBool, Ordering};

    use arch::mmu::map_device;
    use arch::timer;
    use spin::Once;

    use super::bcm2835::Bcm2835;
    use super::i6300esb::{self, I6300Esb};
    use super::sbsa::Sbsa;
    use super::sp805::Sp805;
    use super::{Choice, DEAD_MAN_MS, Report, Watchdog, WatchdogInfo, WatchdogKind, examine};
    use crate::registers::Mmio;

    /// A chip on its registers.
    enum Chip {
        Bcm2835(Bcm2835<Mmio>),
        Sp805(Sp805<Mmio>),
        Sbsa(Sbsa<Mmio>),
        I6300Esb(I6300Esb<Mmio>),
    }

    static CHIP: Once<Chip> = Once::new();
    /// The next panic arms it.
    static READY: AtomicBool = AtomicBool::new(false);
    /// Longest that a reset is waited for, in milliseconds: the chips need one.
    const RESET_MAX_MS: u64 = 500;

    /// The machine's watchdog, once `set_up` has found it.
    #[must_use]
    pub fn found() -> Option<&'static dyn Watchdog> {
        Some(match CHIP.get()? {
            Chip::Bcm2835(chip) => chip,
            Chip::Sp805(chip) => chip,
            Chip::Sbsa(chip) => chip,
            Chip::I6300Esb(chip) => chip,
        })
    }

    /// Takes the machine's watchdog: it is a way to reset from now on, and the dead man if that is wished and it counts. None
    /// if it is not there, or cannot be used.
    pub fn set_up(info: &WatchdogInfo, choice: Choice) -> Option<Report> {
        let chip = open(info)?;
        CHIP.call_once(|| chip);
        let report = examine(found()?, choice, &|| pause(2));
        READY.store(report.dead_man, Ordering::Relaxed);
        Some(report)
    }

    fn open(info: &WatchdogInfo) -> Option<Chip> {
        let start = info.registers.start;
        let map = |size: usize| {
            if size > info.registers.len() || !start.is_multiple_of(size_of::<u64>()) {
                return None;
            }
            let range = start..start.checked_add(size)?;
            map_device(range.clone()).ok()?;
            // SAFETY: the device tree says that these are the chip's registers, and they are mapped as such.
            Some(unsafe { Mmio::new(range) })
        };
        Some(match info.kind {
            WatchdogKind::Bcm2835 => Chip::Bcm2835(Bcm2835(map(Bcm2835::<Mmio>::SIZE)?)),
            WatchdogKind::Sp805 => Chip::Sp805(Sp805 { registers: map(Sp805::<Mmio>::SIZE)?, hz: info.clock_hz? }),
            WatchdogKind::Sbsa => Chip::Sbsa(Sbsa { registers: map(Sbsa::<Mmio>::SIZE)?, hz: timer::frequency() }),
            WatchdogKind::Pci => {
                let config = i6300esb::find(&map(i6300esb::BUS_SIZE)?)?;
                let function = start + config..start + config + i6300esb::FUNCTION_SIZE;
                // SAFETY: one function's part of the configuration space that was mapped above.
                let config = unsafe { Mmio::new(function) };
                let memory = i6300esb::place(&config, &info.window)?;
                map_device(memory.clone()).ok()?;
                // SAFETY: the chip's registers, where it was told to have them, mapped as such.
                Chip::I6300Esb(I6300Esb { config, memory: unsafe { Mmio::new(memory) } })
            }
        })
    }

    /// The dead man: called when a panic begins. The machine is reset after [`DEAD_MAN_MS`], whatever becomes of the panic.
    /// Further calls change nothing, so that panics in the panic path do not put it off.
    pub fn dead_man() {
        if READY.swap(false, Ordering::Relaxed)
            && let Some(watchdog) = found()
        {
            watchdog.arm(DEAD_MAN_MS);
        }
    }

    /// Resets the machine by its watchdog. Returns only if there is none, or if that does not work.
    pub fn reset() {
        if let Some(watchdog) = found() {
            watchdog.arm(1);
            pause(RESET_MAX_MS);
        }
    }

    /// Switches the machine off, if its firmware does that at a reset. Returns only if that does not work.
    pub fn power_off() {
        if found().is_some_and(Watchdog::stay_off) {
            reset();
        }
    }

    fn pause(ms: u64) {
        let start = timer::now();
        while timer::now().wrapping_sub(start) < timer::frequency() / 1000 * ms {
            arch::cores::relax();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    struct Fake {
        counts: bool,
        armed: Cell<bool>,
    }
    // SAFETY: used by one thread.
    unsafe impl Sync for Fake {}

    impl Watchdog for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }
        fn arm(&self, _: u32) {
            self.armed.set(true);
        }
        fn disarm(&self) {
            self.armed.set(false);
        }
        fn is_armed(&self) -> bool {
            self.armed.get()
        }
        fn counts(&self, pause: &dyn Fn()) -> bool {
            pause();
            self.counts
        }
    }

    #[test]
    fn the_dead_man_is_a_watchdog_that_counts_unless_somebody_knows_better() {
        for (counts, choice, dead_man) in [
            (true, Choice::Auto, true),
            (false, Choice::Auto, false),
            (false, Choice::On, true),
            (true, Choice::Off, false),
        ] {
            let fake = Fake { counts, armed: Cell::new(false) };
            let report = examine(&fake, choice, &|| assert_eq!(choice, Choice::Auto, "only then it is asked"));
            assert_eq!(report, Report { name: "fake", was_armed: false, dead_man });
        }
    }

    #[test]
    fn a_watchdog_that_runs_at_boot_is_stopped() {
        let fake = Fake { counts: true, armed: Cell::new(true) };
        assert!(examine(&fake, Choice::Off, &|| {}).was_armed);
        assert!(!fake.is_armed());
    }

    #[test]
    fn chips_are_known_by_compatible() {
        for name in ["brcm,bcm2835-pm-wdt", "brcm,bcm2711-pm", "brcm,bcm2712-pm"] {
            assert_eq!(WatchdogKind::from_compatible(name), Some(WatchdogKind::Bcm2835));
        }
        assert_eq!(WatchdogKind::from_compatible("arm,sp804"), None);
    }
}
