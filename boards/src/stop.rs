//! Which means of stop a machine gets: the best that it has, or the one that the command line forces.

use core::fmt;

use arch::gic::GicError;
use arch::nmi::Unavailable;

/// The means of stop, by the names that `stop=` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The timer of EL2, taken there.
    El2,
    /// FEAT_NMI: an interrupt with superpriority.
    FeatNmi,
    /// FIQ.
    Fiq,
    /// The priority mask of the interrupt controller.
    PriorityMask,
}

impl Means {
    /// All of them, the best first: those that a core cannot refuse, then those that cost critical sections least. Which of
    /// them a machine has is probed.
    pub const ALL: [Means; 4] = [Means::El2, Means::FeatNmi, Means::Fiq, Means::PriorityMask];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Means::El2 => "el2",
            Means::FeatNmi => "feat-nmi",
            Means::Fiq => "fiq",
            Means::PriorityMask => "priority-mask",
        }
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
    /// The interrupt controller cannot be used.
    InterruptController(GicError),
    /// The device tree describes no timer.
    NoTimer,
    /// The last one that was tried (the only one, if it was forced) does not work here.
    Unavailable(Means, Unavailable),
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopError::NoInterruptController => f.write_str("no interrupt controller that we know"),
            StopError::InterruptController(error) => write!(f, "the interrupt controller: {error}"),
            StopError::NoTimer => f.write_str("no timer in the device tree"),
            StopError::Unavailable(means, why) => write!(f, "stop={means}: {why}"),
        }
    }
}

#[cfg(target_os = "none")]
pub use target::{interrupt_controller, set_up};

#[cfg(target_os = "none")]
mod target {
    use arch::gic::Gic;
    use arch::gic::bcm2836::Bcm2836;
    use arch::gic::v2::GicV2;
    use arch::gic::v3::GicV3;
    use arch::nmi::el2::OwnEl2;
    use arch::nmi::timer::{Timer, Way};
    use arch::nmi::{self, StopMeans, Ticks, Unavailable};
    use spin::Once;

    use super::{Means, StopError};
    use crate::board::{Found, GicInfo};

    static GIC_V2: Once<GicV2> = Once::new();
    static GIC_V3: Once<GicV3> = Once::new();
    static BCM2836: Once<Bcm2836> = Once::new();
    static OWN_EL2: Once<OwnEl2> = Once::new();
    static TIMERS: [Once<Timer>; 3] = [const { Once::new() }; 3];

    /// The interrupt controller, once [`set_up`] has found it.
    #[must_use]
    pub fn interrupt_controller() -> Option<&'static dyn Gic> {
        let v3 = GIC_V3.get().map(|gic| gic as &dyn Gic);
        let v2 = GIC_V2.get().map(|gic| gic as &dyn Gic);
        v3.or(v2).or(BCM2836.get().map(|local| local as &dyn Gic))
    }

    /// Sets up the interrupt controller and the best means of stop that the machine has, or the forced one, on the boot
    /// core. Registers must be mapped, hooks set, everything masked. Afterwards the others call `prepare_core` of
    /// [`nmi::current`]. What does not work is told to `passed_over`.
    ///
    /// # Errors
    ///
    /// [`StopError`]: the machine cannot stop its cores without interrupting them, so the kernel must not go on
    /// as if it could.
    pub fn set_up(
        found: &Found,
        forced: Option<Means>,
        mut passed_over: impl FnMut(Means, Unavailable),
    ) -> Result<&'static dyn StopMeans, StopError> {
        let gic: &'static dyn Gic = match &found.gic {
            None => return Err(StopError::NoInterruptController),
            Some(GicInfo::V2(regions)) => {
                GIC_V2.try_call_once(|| GicV2::new(regions.clone())).map_err(StopError::InterruptController)?
            }
            Some(GicInfo::V3(regions)) => {
                GIC_V3.try_call_once(|| GicV3::new(regions.clone())).map_err(StopError::InterruptController)?
            }
            Some(GicInfo::Bcm2836(regions)) => {
                BCM2836.try_call_once(|| Bcm2836::new(regions.clone())).map_err(StopError::InterruptController)?
            }
        };
        let ticks = found.timers.ok_or(StopError::NoTimer)?;
        gic.init_distributor().map_err(StopError::InterruptController)?;
        if let Some(means) = forced {
            return choose(means, gic, ticks).map_err(|why| StopError::Unavailable(means, why));
        }
        let mut result = Err(StopError::NoInterruptController);
        for means in Means::ALL {
            match choose(means, gic, ticks) {
                Ok(chosen) => return Ok(chosen),
                Err(why) => {
                    passed_over(means, why);
                    result = Err(StopError::Unavailable(means, why));
                }
            }
        }
        result
    }

    fn choose(means: Means, gic: &'static dyn Gic, ticks: Ticks) -> Result<&'static dyn StopMeans, Unavailable> {
        let timer = |way: Way| TIMERS[way as usize].call_once(|| Timer::new(way, gic, ticks));
        let means: &'static dyn StopMeans = match means {
            Means::El2 => OWN_EL2.call_once(|| OwnEl2::new(gic, ticks)),
            Means::FeatNmi => timer(Way::FeatNmi),
            Means::Fiq => timer(Way::Fiq),
            Means::PriorityMask => timer(Way::PriorityMask),
        };
        nmi::choose(means)?;
        Ok(means)
    }
}
