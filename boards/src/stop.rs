//! Which means of stop a machine gets: the best that it has, or the one that the command line forces.

use core::fmt;

use arch::nmi::Unavailable;

/// The means of stop, by the names that `stop=` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The priority mask of the interrupt controller.
    PriorityMask,
}

impl Means {
    /// All of them.
    pub const ALL: [Means; 1] = [Means::PriorityMask];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Means::PriorityMask => "priority-mask",
        }
    }

    /// By its name on the command line.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|means| means.name() == name)
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a machine has no means of stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopError {
    /// The device tree describes no interrupt controller that has a driver.
    NoInterruptController,
    /// The device tree describes no timer.
    NoTimer,
    /// The last one that was tried (the only one, if it was forced) does not work here.
    Unavailable(Means, Unavailable),
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopError::NoInterruptController => f.write_str("no interrupt controller that we know"),
            StopError::NoTimer => f.write_str("no timer in the device tree"),
            StopError::Unavailable(means, why) => write!(f, "stop={means}: {why}"),
        }
    }
}

#[cfg(target_os = "none")]
pub use target::{interrupt_controller, set_up};

#[cfg(target_os = "none")]
mod target {
    use arch::gic::v3::GicV3;
    use arch::gic::{Gic, IntId};
    use arch::nmi::priority_mask::PriorityMask;
    use arch::nmi::{self, StopMeans, Unavailable};
    use spin::Once;

    use super::{Means, StopError};
    use crate::board::{Board, Found, GicInfo};

    static GIC_V3: Once<GicV3> = Once::new();
    static PRIORITY_MASK: Once<PriorityMask> = Once::new();

    /// The interrupt controller, once [`set_up`] has found it.
    #[must_use]
    pub fn interrupt_controller() -> Option<&'static dyn Gic> {
        GIC_V3.get().map(|gic| gic as &dyn Gic)
    }

    /// Sets up the interrupt controller and the best means of stop that the board knows and the machine has, or
    /// the forced one, on the boot core. Registers must be mapped, hooks set, everything masked. Afterwards the
    /// others call `prepare_core` of [`nmi::current`].
    ///
    /// # Errors
    ///
    /// [`StopError`]: the machine cannot stop its cores without interrupting them, so the kernel must not go on
    /// as if it could.
    pub fn set_up(
        board: &dyn Board,
        found: &Found,
        forced: Option<Means>,
    ) -> Result<&'static dyn StopMeans, StopError> {
        let first = forced.or(board.stop_means().first().copied()).unwrap_or(Means::PriorityMask);
        let gic: &'static dyn Gic = match &found.gic {
            None => return Err(StopError::NoInterruptController),
            Some(GicInfo::V3(regions)) => GIC_V3
                .try_call_once(|| GicV3::new(regions.clone()))
                .map_err(|error| StopError::Unavailable(first, error.into()))?,
        };
        let tick = found.physical_timer.ok_or(StopError::NoTimer)?;
        gic.init_distributor().map_err(|error| StopError::Unavailable(first, error.into()))?;

        let forced = forced.as_slice();
        let candidates = if forced.is_empty() { board.stop_means() } else { forced };
        let mut result = Err(StopError::Unavailable(first, Unavailable::Missing("means of stop")));
        for &means in candidates {
            result = choose(means, gic, tick).map_err(|why| StopError::Unavailable(means, why));
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn choose(means: Means, gic: &'static dyn Gic, tick: IntId) -> Result<&'static dyn StopMeans, Unavailable> {
        let means: &'static dyn StopMeans = match means {
            Means::PriorityMask => PRIORITY_MASK.call_once(|| PriorityMask::new(gic, tick)),
        };
        nmi::choose(means)?;
        Ok(means)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_found_by_their_names() {
        for means in Means::ALL {
            assert_eq!(Means::from_name(means.name()), Some(means));
        }
        assert_eq!(Means::from_name("ipi"), None);
    }
}
