//! The means of stop: how each core's own tick reaches it while it masks ordinary interrupts. No core ever
//! interrupts another.
//!
//! A means is chosen once, at run time; it then owns both interrupt lines of every core, decides how critical
//! sections mask ([`crate::irq`]), and tells its tick from everything else.

use core::fmt;

use crate::exceptions::{Frame, Hooks};
use crate::gic::GicError;
use crate::irq::Masking;

pub mod priority_mask;

/// Which line an interrupt came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// IRQ.
    Irq,
    /// FIQ.
    Fiq,
}

/// Why a means of stop does not work on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The interrupt controller will not do it.
    Gic(GicError),
    /// The machine lacks something, in words.
    Missing(&'static str),
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
        }
    }
}

/// A means of stop.
pub trait StopMeans: Sync {
    /// Its name, for people and for the record.
    fn name(&self) -> &'static str;

    /// How critical sections keep ordinary interrupts out under it.
    fn masking(&self) -> Masking;

    /// Whether it also reaches a core that has masked all of DAIF.
    fn reaches_fully_masked(&self) -> bool;

    /// Makes the calling core ready: interrupt controller, priority of the tick; ordinary interrupts stay masked. The timer is
    /// started afterwards. Everything must be masked by DAIF.
    ///
    /// # Errors
    ///
    /// [`Unavailable`]: then the core must not open interrupts.
    fn prepare_core(&self) -> Result<(), Unavailable>;

    /// Handles what came in by a line: tells the tick from the rest and calls the right hook.
    fn interrupt(&self, line: Line, frame: &mut Frame, hooks: &dyn Hooks);
}

#[cfg(target_os = "none")]
pub use target::{choose, current};

#[cfg(target_os = "none")]
mod target {
    use spin::Once;

    use super::{StopMeans, Unavailable};
    use crate::irq;

    static CURRENT: Once<&'static dyn StopMeans> = Once::new();

    /// Chooses the means for this boot and makes the boot core ready for it. Once, on the boot core, before the
    /// others are started; they call [`StopMeans::prepare_core`] of [`current`].
    ///
    /// # Errors
    ///
    /// [`Unavailable`]: nothing was chosen, another one may be tried.
    pub fn choose(means: &'static dyn StopMeans) -> Result<(), Unavailable> {
        means.prepare_core()?;
        CURRENT.call_once(|| means);
        irq::set_masking(means.masking());
        Ok(())
    }

    /// The chosen means.
    #[must_use]
    pub fn current() -> Option<&'static dyn StopMeans> {
        CURRENT.get().copied()
    }
}
