//! The means of stop: how each core's own tick reaches it while it masks ordinary interrupts. No core ever
//! interrupts another.
//!
//! | means | the stop tick is | a core can refuse it by |
//! |---|---|---|
//! | own EL2 | an interrupt that EL2 takes | nothing |
//! | FEAT_NMI | an IRQ with superpriority | PSTATE.ALLINT |
//! | FIQ | an FIQ | PSTATE.F |
//! | priority mask | an IRQ of high priority | PSTATE.I |
//!
//! A means is chosen once, at run time, and proven: its tick must arrive on the boot core while ordinary interrupts are
//! masked. It then owns both interrupt lines and both ticks of every core, decides how critical sections mask
//! ([`crate::irq`]), and tells its ticks from everything else. The stop tick also counts how long the core has had no
//! ordinary tick: a core that spins with interrupts masked is found by itself.

use core::fmt;

use crate::exceptions::{Frame, Hooks};
use crate::gic::{GicError, IntId};
use crate::irq::{Gate, Masking};

pub use crate::gic::Line;

#[cfg(target_os = "none")]
pub mod el2;
pub mod timer;

/// Why a means of stop does not work on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The interrupt controller will not do it.
    Gic(GicError),
    /// The machine lacks something, in words.
    Missing(&'static str),
    /// Everything seemed to be there, and the tick did not come while ordinary interrupts were masked.
    Silent,
}

impl From<GicError> for Unavailable {
    fn from(error: GicError) -> Self {
        Unavailable::Gic(error)
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::Gic(error) => error.fmt(f),
            Unavailable::Missing(what) => write!(f, "this machine has no {what}"),
            Unavailable::Silent => f.write_str("its tick does not come while ordinary interrupts are masked"),
        }
    }
}

/// The interrupts of the timers, from the device tree's timer node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticks {
    /// The physical timer of EL1: the stop tick, where it is taken at EL1 (normally PPI 14).
    pub stop: IntId,
    /// The virtual timer: the ordinary tick (normally PPI 11).
    pub ordinary: IntId,
    /// The physical timer of EL2: the stop tick, where it is taken there (normally PPI 10).
    pub hypervisor: Option<IntId>,
}

/// How the ticks run, the same on all cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticking {
    /// Counter ticks from one tick to the next, at least 1.
    pub period: u64,
    /// Stop ticks in a row without an ordinary one after which the core counts as locked up; 0 is never.
    pub patience: u32,
}

/// A means of stop.
pub trait StopMeans: Sync {
    /// Its name, for people and for the record.
    fn name(&self) -> &'static str;

    /// How critical sections keep ordinary interrupts out under it.
    fn masking(&self) -> Masking;

    /// What its tick has to get past.
    fn gate(&self) -> Gate;

    /// Makes the calling core ready: interrupt controller, priorities; ordinary interrupts stay masked, and no tick
    /// comes before [`Self::start_ticks`]. Everything must be masked by DAIF.
    ///
    /// # Errors
    ///
    /// [`Unavailable`]: then the core must not open interrupts.
    fn prepare_core(&self) -> Result<(), Unavailable>;

    /// Starts both ticks on the calling core, after [`Self::prepare_core`]. May be called again.
    fn start_ticks(&self, ticking: Ticking);

    /// Ends both ticks on the calling core.
    fn end_ticks(&self);

    /// How many stop ticks the calling core has had.
    fn beats(&self) -> u64;

    /// Handles what came in by a line: tells the ticks from the rest and calls the right hook.
    fn interrupt(&self, line: Line, frame: &mut Frame, hooks: &dyn Hooks);
}

#[cfg(target_os = "none")]
pub use target::{STOP_WORD, StopWord, choose, current, end_ticks, set_patience, start_ticks};
#[cfg(target_os = "none")]
pub(crate) use target::{ordinary, ordinary_tick, stop_tick};

#[cfg(target_os = "none")]
mod target {
    use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    use spin::Once;

    use super::{StopMeans, Ticking, Unavailable};
    use crate::core_local::this;
    use crate::exceptions::{Fatal, Frame, Hooks};
    use crate::gic::IntId;
    use crate::{cores, irq, timer};

    /// The means that were tried, in order; the last one is in use. A failed proof leaves one behind.
    static TRIED: [Once<&'static dyn StopMeans>; TRIES_MAX] = [const { Once::new() }; TRIES_MAX];
    /// One each.
    const TRIES_MAX: usize = 4;
    /// Index of the one in use.
    static CURRENT: AtomicUsize = AtomicUsize::new(TRIES_MAX);
    /// [`Ticking::patience`].
    static PATIENCE: AtomicU32 = AtomicU32::new(0);

    /// Period of the tick that proves a means, as a part of a second.
    const PROOF_PERIOD: u64 = 10_000;
    /// How many of these periods it may take. A loaded host holds an emulated core back for more than a hundred milliseconds;
    /// a means that is there must not be passed over for that.
    const PROOF_PERIODS_MAX: u64 = 10_000;

    /// The word that stops the cores: 0, or what their stop ticks are to do. In lines of its own, because a part at EL2 reads it
    /// past the caches.
    #[repr(C, align(128))]
    #[derive(Debug)]
    pub struct StopWord(AtomicU32);

    /// The stop word.
    pub static STOP_WORD: StopWord = StopWord(AtomicU32::new(0));

    impl StopWord {
        /// Reads it, as a stop tick.
        #[inline(always)]
        #[must_use]
        pub fn get(&self) -> u32 {
            // Acquire: pairs with `set`; nothing of what follows comes before.
            self.0.load(Ordering::Acquire)
        }

        /// Writes it, down to where every observer finds it.
        pub fn set(&self, value: u32) {
            // Release: what this core did before is done for whoever sees the word.
            self.0.store(value, Ordering::Release);
            let start = core::ptr::from_ref(self).addr();
            crate::cache::clean_to_poc(start..start + size_of::<Self>());
        }

        /// Writes it if it is still what it was.
        pub fn change(&self, from: u32, to: u32) {
            if self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                self.set(to);
            }
        }
    }

    /// Chooses the means for this boot, makes the boot core ready for it, and proves it. Once, on the boot core, with its
    /// hooks set and everything masked, before the others are started; they call [`StopMeans::prepare_core`] of
    /// [`current`].
    ///
    /// # Errors
    ///
    /// [`Unavailable`]: nothing was chosen, another one may be tried.
    pub fn choose(means: &'static dyn StopMeans) -> Result<(), Unavailable> {
        means.prepare_core()?;
        let free = TRIED.iter().position(|tried| !tried.is_completed()).ok_or(Unavailable::Missing("other means"))?;
        TRIED[free].call_once(|| means);
        CURRENT.store(free, Ordering::Relaxed); // the others are started later, which orders it for them
        irq::set_masking(means.masking(), means.gate());
        prove(means)
    }

    /// Lets the tick come on this core, which masks everything else.
    fn prove(means: &dyn StopMeans) -> Result<(), Unavailable> {
        let period = (timer::frequency() / PROOF_PERIOD).max(1);
        let (before, start) = (means.beats(), timer::now());
        means.start_ticks(Ticking { period, patience: 0 });
        irq::open_gate();
        while means.beats() == before && timer::now().wrapping_sub(start) < period * PROOF_PERIODS_MAX {
            cores::relax();
        }
        irq::mask_everything();
        means.end_ticks();
        if means.beats() == before { Err(Unavailable::Silent) } else { Ok(()) }
    }

    /// The chosen means.
    #[must_use]
    pub fn current() -> Option<&'static dyn StopMeans> {
        TRIED.get(CURRENT.load(Ordering::Relaxed))?.get().copied()
    }

    /// Starts the ticks of the calling core.
    pub fn start_ticks(ticking: Ticking) {
        PATIENCE.store(ticking.patience, Ordering::Relaxed);
        if let Some(means) = current() {
            means.start_ticks(ticking);
        }
    }

    /// Changes [`Ticking::patience`] for the stop ticks that are taken at EL1, on all cores; returns what it was.
    pub fn set_patience(patience: u32) -> u32 {
        PATIENCE.swap(patience, Ordering::Relaxed)
    }

    /// Ends the ticks of the calling core: from now on it is stopped, or it stops the others.
    pub fn end_ticks() {
        if let Some(means) = current() {
            means.end_ticks();
        }
    }

    /// A stop tick that was taken at EL1; everything stays masked.
    pub(crate) fn stop_tick(frame: &mut Frame, hooks: &dyn Hooks) {
        let core = this();
        let unanswered = core.count_stop_tick();
        core.enter_nmi();
        hooks.nmi_tick(frame);
        // Relaxed: a number that all cores set alike.
        let patience = PATIENCE.load(Ordering::Relaxed);
        if patience != 0 && unanswered > patience {
            hooks.fatal(frame, Fatal::LockUp);
        }
        core.leave_nmi();
    }

    /// An ordinary tick: the core makes progress.
    pub(crate) fn ordinary_tick(id: IntId, frame: &mut Frame, hooks: &dyn Hooks) {
        this().count_ordinary_tick();
        ordinary(id, frame, hooks);
    }

    /// An ordinary interrupt: the handler runs open for the stop tick.
    pub(crate) fn ordinary(id: IntId, frame: &mut Frame, hooks: &dyn Hooks) {
        let core = this();
        core.enter_irq();
        irq::with_gate_open(|| hooks.irq(id, frame));
        core.leave_irq();
    }
}
