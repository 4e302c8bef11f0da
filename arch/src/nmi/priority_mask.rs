//! Stop by priority: the tick is an ordinary interrupt line of high priority, and the kernel masks all others by
//! the priority mask instead of PSTATE.I.
//!
//! It reaches every core that does not mask DAIF itself. A handler runs with PSTATE.I open again: the priority of
//! the interrupt that it handles keeps its like out until its end, but not the tick.

use super::{Line, StopMeans, Unavailable};
use crate::exceptions::{Frame, Hooks};
use crate::gic::{Class, Gic, IntId};
use crate::irq::Masking;

/// The means, on any interrupt controller with a priority mask.
pub struct PriorityMask {
    gic: &'static dyn Gic,
    /// The physical timer of EL1.
    tick: IntId,
}

impl PriorityMask {
    /// Stop by the priority mask of `gic`; `tick` is the interrupt of the physical timer of EL1 (normally PPI 14).
    #[must_use]
    pub const fn new(gic: &'static dyn Gic, tick: IntId) -> Self {
        Self { gic, tick }
    }
}

impl StopMeans for PriorityMask {
    fn name(&self) -> &'static str {
        match self.gic.masking() {
            Masking::PriorityMaskV3 => "GICv3 priority mask",
            Masking::Daif => "priority mask",
        }
    }

    fn masking(&self) -> Masking {
        self.gic.masking()
    }

    fn reaches_fully_masked(&self) -> bool {
        false
    }

    fn prepare_core(&self) -> Result<(), Unavailable> {
        self.gic.init_core()?;
        Ok(self.gic.enable(self.tick, Class::Nmi)?)
    }

    fn interrupt(&self, line: Line, frame: &mut Frame, hooks: &dyn Hooks) {
        if line == Line::Fiq {
            unexpected(frame);
        }
        let Some(id) = self.gic.acknowledge() else {
            return;
        };
        if id == self.tick {
            tick(|| hooks.nmi_tick(frame));
        } else {
            ordinary(|| hooks.irq(id, frame));
        }
        self.gic.end(id);
    }
}

#[cfg(target_os = "none")]
use crate::exceptions::unexpected;

/// Runs the tick's hook if the timer has really fired; everything stays masked.
#[cfg(target_os = "none")]
fn tick(hook: impl FnOnce()) {
    let core = crate::core_local::this();
    if crate::timer::Tick::Physical.rearm().is_some() {
        core.enter_nmi();
        hook();
        core.leave_nmi();
    }
}

/// Runs an ordinary handler, open for the tick.
#[cfg(target_os = "none")]
fn ordinary(hook: impl FnOnce()) {
    let core = crate::core_local::this();
    core.enter_irq();
    crate::irq::with_nmi_open(hook);
    core.leave_irq();
}

#[cfg(not(target_os = "none"))]
use host::{ordinary, tick, unexpected};
#[cfg(not(target_os = "none"))]
mod host {
    pub(super) fn tick(hook: impl FnOnce()) {
        hook();
    }

    pub(super) fn ordinary(hook: impl FnOnce()) {
        hook();
    }

    pub(super) fn unexpected(frame: &crate::exceptions::Frame) -> ! {
        panic!("unexpected interrupt at {:#x}", frame.elr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exceptions::Fatal;
    use crate::gic::{GicError, Security};
    use std::boxed::Box;
    use std::sync::Mutex;
    use std::vec::Vec;

    #[derive(Debug, PartialEq)]
    enum Seen {
        Acknowledge,
        Tick,
        Irq(u32),
        End(u32),
    }

    static TICK: IntId = IntId::ppi(14).unwrap();

    struct Fake {
        pending: Mutex<Vec<IntId>>,
        seen: Mutex<Vec<Seen>>,
    }

    impl Gic for &'static Fake {
        fn name(&self) -> &'static str {
            "fake"
        }
        fn init_distributor(&self) -> Result<(), GicError> {
            Ok(())
        }
        fn init_core(&self) -> Result<(), GicError> {
            Ok(())
        }
        fn enable(&self, id: IntId, class: Class) -> Result<(), GicError> {
            assert_eq!((id, class), (TICK, Class::Nmi));
            Ok(())
        }
        fn disable(&self, _: IntId) -> Result<(), GicError> {
            Ok(())
        }
        fn acknowledge(&self) -> Option<IntId> {
            self.seen.lock().unwrap().push(Seen::Acknowledge);
            self.pending.lock().unwrap().pop()
        }
        fn end(&self, id: IntId) {
            self.seen.lock().unwrap().push(Seen::End(id.number()));
        }
        fn security(&self) -> Security {
            Security::Single
        }
        fn pending_sgis(&self, _: usize) -> Option<u16> {
            Some(0)
        }
        fn masking(&self) -> Masking {
            Masking::PriorityMaskV3
        }
    }

    impl Hooks for &'static Fake {
        fn nmi_tick(&self, _: &mut Frame) {
            self.seen.lock().unwrap().push(Seen::Tick);
        }
        fn irq(&self, id: IntId, _: &mut Frame) {
            self.seen.lock().unwrap().push(Seen::Irq(id.number()));
        }
        fn fatal(&self, _: &Frame, why: Fatal) -> ! {
            panic!("{why}")
        }
        fn last_resort(&self) -> ! {
            panic!()
        }
    }

    fn run(pending: &[IntId]) -> Vec<Seen> {
        let fake: &'static Fake =
            Box::leak(Box::new(Fake { pending: pending.to_vec().into(), seen: Mutex::default() }));
        let gic: &'static &'static Fake = Box::leak(Box::new(fake));
        let means = PriorityMask::new(gic, TICK);
        means.prepare_core().unwrap();
        means.interrupt(Line::Irq, &mut Frame::EMPTY.clone(), &fake);
        core::mem::take(&mut *fake.seen.lock().unwrap())
    }

    #[test]
    fn the_tick_and_the_others_get_their_hooks_and_their_end() {
        assert_eq!(run(&[TICK]), [Seen::Acknowledge, Seen::Tick, Seen::End(30)]);
        let uart = IntId::spi(1).unwrap();
        assert_eq!(run(&[uart]), [Seen::Acknowledge, Seen::Irq(33), Seen::End(33)]);
    }

    #[test]
    fn a_spurious_interrupt_is_not_ended() {
        assert_eq!(run(&[]), [Seen::Acknowledge]);
    }
}
