//! Stop by the timer of EL1, delivered in a way that ordinary masking does not keep out: as an IRQ of high priority, as
//! an FIQ, or with the superpriority of FEAT_NMI. One code path; what differs is a row of [`Way`].

use super::{Line, StopMeans, Ticking, Ticks, Unavailable};
use crate::exceptions::{Frame, Hooks};
use crate::gic::{Class, Gic};
use crate::irq::{Gate, Masking};

/// How the tick is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// IRQ, above the priority mask.
    PriorityMask,
    /// FIQ.
    Fiq,
    /// IRQ with superpriority.
    FeatNmi,
}

/// A means of stop by the timer of EL1, on any interrupt controller that offers the way.
pub struct Timer {
    way: Way,
    gic: &'static dyn Gic,
    ticks: Ticks,
}

impl Timer {
    /// Stop by the timer of EL1 in this way. Whether the machine offers it is found out by [`StopMeans::prepare_core`].
    #[must_use]
    pub const fn new(way: Way, gic: &'static dyn Gic, ticks: Ticks) -> Self {
        Self { way, gic, ticks }
    }

    const fn class(&self) -> Class {
        match self.way {
            Way::PriorityMask => Class::Nmi,
            Way::Fiq => Class::Fiq,
            Way::FeatNmi => Class::Superpriority,
        }
    }

    const fn line(&self) -> Line {
        match self.way {
            Way::PriorityMask | Way::FeatNmi => Line::Irq,
            Way::Fiq => Line::Fiq,
        }
    }
}

impl StopMeans for Timer {
    fn name(&self) -> &'static str {
        match (self.way, self.gic.masking()) {
            (Way::Fiq, _) => "FIQ",
            (Way::FeatNmi, _) => "FEAT_NMI",
            (Way::PriorityMask, Masking::PriorityMaskV2) => "GICv2 priority mask",
            (Way::PriorityMask, _) => "GICv3 priority mask",
        }
    }

    fn masking(&self) -> Masking {
        match self.way {
            Way::PriorityMask => self.gic.masking(),
            Way::Fiq | Way::FeatNmi => Masking::Daif,
        }
    }

    fn gate(&self) -> Gate {
        match self.way {
            Way::PriorityMask => Gate::Priority,
            Way::Fiq => Gate::Fiq,
            Way::FeatNmi => Gate::Superpriority,
        }
    }

    fn prepare_core(&self) -> Result<(), Unavailable> {
        self.gic.init_core()?;
        self.gic.enable(self.ticks.stop, self.class())?;
        self.gic.enable(self.ticks.ordinary, Class::Ordinary)?;
        machine::superpriority(self.way == Way::FeatNmi);
        // Where critical sections use PSTATE.I, the priority mask lets everything through for good.
        if self.way != Way::PriorityMask {
            self.gic.open_priority_mask();
        }
        Ok(())
    }

    fn start_ticks(&self, ticking: Ticking) {
        machine::start(ticking.period);
    }

    fn end_ticks(&self) {
        machine::end();
    }

    fn beats(&self) -> u64 {
        crate::core_local::this().beats()
    }

    fn interrupt(&self, line: Line, frame: &mut Frame, hooks: &dyn Hooks) {
        // A line that this way does not use has nothing to acknowledge, and must not be left standing.
        if line == Line::Fiq && self.line() != Line::Fiq {
            machine::unexpected(frame);
        }
        let Some(id) = self.gic.acknowledge(line) else {
            return;
        };
        if id == self.ticks.stop {
            machine::stop_tick(frame, hooks);
        } else if id == self.ticks.ordinary {
            machine::ordinary_tick(id, frame, hooks);
        } else {
            machine::ordinary(id, frame, hooks);
        }
        self.gic.end(line, id);
    }
}

#[cfg(target_os = "none")]
mod machine {
    use crate::exceptions::{Frame, Hooks};
    use crate::gic::IntId;
    use crate::sysreg::{ID_AA64PFR1, SCTLR, id_aa64pfr1_el1, sctlr_el1};
    use crate::timer::Tick;

    pub(super) use crate::exceptions::unexpected;
    pub(super) use crate::nmi::ordinary;

    /// Turns superpriority on or off on this core, where the CPU has it. Everything stays masked.
    pub(super) fn superpriority(on: bool) {
        if id_aa64pfr1_el1::read().read(ID_AA64PFR1::NMI) == 0 {
            return;
        }
        crate::irq::set_allint(on);
        let mut control = sctlr_el1::read();
        control.modify(SCTLR::NMI.val(u64::from(on)) + SCTLR::SPINTMASK::CLEAR);
        // SAFETY: superpriority is masked, and what it changes about exceptions suits the vectors either way.
        unsafe { sctlr_el1::write(control.get()) };
        aarch64_cpu::asm::barrier::isb(aarch64_cpu::asm::barrier::SY);
    }

    pub(super) fn start(period: u64) {
        Tick::Physical.start(period);
        Tick::Virtual.start(period);
    }

    pub(super) fn end() {
        Tick::Physical.stop();
        Tick::Virtual.stop();
    }

    /// The tick's work, if the timer has really fired.
    pub(super) fn stop_tick(frame: &mut Frame, hooks: &dyn Hooks) {
        if Tick::Physical.rearm().is_some() {
            crate::nmi::stop_tick(frame, hooks);
        }
    }

    /// As above.
    pub(super) fn ordinary_tick(id: IntId, frame: &mut Frame, hooks: &dyn Hooks) {
        if Tick::Virtual.rearm().is_some() {
            crate::nmi::ordinary_tick(id, frame, hooks);
        }
    }
}

#[cfg(not(target_os = "none"))]
mod machine {
    use crate::exceptions::{Frame, Hooks};
    use crate::gic::IntId;

    pub(super) fn superpriority(_: bool) {}
    pub(super) fn start(_: u64) {}
    pub(super) fn end() {}

    pub(super) fn stop_tick(frame: &mut Frame, hooks: &dyn Hooks) {
        hooks.nmi_tick(frame);
    }

    pub(super) fn ordinary_tick(id: IntId, frame: &mut Frame, hooks: &dyn Hooks) {
        hooks.irq(id, frame);
    }

    pub(super) fn ordinary(id: IntId, frame: &mut Frame, hooks: &dyn Hooks) {
        hooks.irq(id, frame);
    }

    pub(super) fn unexpected(frame: &Frame) -> ! {
        panic!("unexpected interrupt at {:#x}", frame.elr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exceptions::Fatal;
    use crate::gic::{GicError, IntId, Interface, Security};
    use std::boxed::Box;
    use std::sync::Mutex;
    use std::vec::Vec;

    #[derive(Debug, PartialEq)]
    enum Seen {
        Enable(u32, Class),
        Open,
        Acknowledge(Line),
        Tick,
        Irq(u32),
        End(Line, u32),
    }
    use Seen::{Acknowledge, Enable, End, Irq, Open, Tick};

    const TICKS: Ticks =
        Ticks { stop: IntId::ppi(14).unwrap(), ordinary: IntId::ppi(11).unwrap(), hypervisor: IntId::ppi(10) };

    #[derive(Default)]
    struct Fake {
        pending: Mutex<Vec<IntId>>,
        seen: Mutex<Vec<Seen>>,
    }

    impl Fake {
        fn see(&self, what: Seen) {
            self.seen.lock().unwrap().push(what);
        }
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
            if class == Class::Superpriority {
                return Err(GicError::NotOffered("superpriority"));
            }
            self.see(Enable(id.number(), class));
            Ok(())
        }
        fn disable(&self, _: IntId) -> Result<(), GicError> {
            Ok(())
        }
        fn open_priority_mask(&self) {
            self.see(Open);
        }
        fn acknowledge(&self, line: Line) -> Option<IntId> {
            self.see(Acknowledge(line));
            self.pending.lock().unwrap().pop()
        }
        fn end(&self, line: Line, id: IntId) {
            self.see(End(line, id.number()));
        }
        fn security(&self) -> Security {
            Security::Single
        }
        fn pending_sgis(&self, _: usize) -> Option<u16> {
            Some(0)
        }
        fn interface(&self) -> Interface {
            Interface::SystemRegisters
        }
        fn masking(&self) -> Masking {
            Masking::PriorityMaskV3
        }
    }

    impl Hooks for &'static Fake {
        fn nmi_tick(&self, _: &mut Frame) {
            self.see(Tick);
        }
        fn irq(&self, id: IntId, _: &mut Frame) {
            self.see(Irq(id.number()));
        }
        fn fatal(&self, _: &Frame, why: Fatal) -> ! {
            panic!("{why}")
        }
        fn last_resort(&self) -> ! {
            panic!()
        }
    }

    fn means(way: Way) -> (&'static Fake, Timer) {
        let fake: &'static Fake = Box::leak(Box::default());
        (fake, Timer::new(way, Box::leak(Box::new(fake)), TICKS))
    }

    /// What an interrupt of `pending` on `line` leads to.
    fn interrupt(way: Way, line: Line, pending: &[IntId]) -> Vec<Seen> {
        let (fake, means) = means(way);
        *fake.pending.lock().unwrap() = pending.to_vec();
        means.interrupt(line, &mut Frame::EMPTY.clone(), &fake);
        core::mem::take(&mut *fake.seen.lock().unwrap())
    }

    #[test]
    fn the_ticks_and_the_others_get_their_hooks_and_their_end() {
        for (way, line) in [(Way::PriorityMask, Line::Irq), (Way::FeatNmi, Line::Irq), (Way::Fiq, Line::Fiq)] {
            assert_eq!(interrupt(way, line, &[TICKS.stop]), [Acknowledge(line), Tick, End(line, 30)]);
            let irq = Line::Irq;
            assert_eq!(interrupt(way, irq, &[TICKS.ordinary]), [Acknowledge(irq), Irq(27), End(irq, 27)]);
            let uart = IntId::spi(1).unwrap();
            assert_eq!(interrupt(way, irq, &[uart]), [Acknowledge(irq), Irq(33), End(irq, 33)]);
        }
    }

    #[test]
    fn a_spurious_interrupt_is_not_ended() {
        assert_eq!(interrupt(Way::PriorityMask, Line::Irq, &[]), [Acknowledge(Line::Irq)]);
        assert_eq!(interrupt(Way::Fiq, Line::Fiq, &[]), [Acknowledge(Line::Fiq)]);
    }

    #[test]
    #[should_panic(expected = "unexpected interrupt")]
    fn an_fiq_that_nobody_asked_for_is_not_taken_for_the_tick() {
        interrupt(Way::PriorityMask, Line::Fiq, &[TICKS.stop]);
    }

    #[test]
    fn each_way_asks_the_controller_for_its_own_delivery_or_says_that_it_is_not_offered() {
        let table = [
            (Way::PriorityMask, Class::Nmi, Masking::PriorityMaskV3, Gate::Priority, &[][..]),
            (Way::Fiq, Class::Fiq, Masking::Daif, Gate::Fiq, &[Open][..]),
        ];
        for (way, class, masking, gate, opened) in table {
            let (fake, means) = means(way);
            means.prepare_core().unwrap();
            let seen = fake.seen.lock().unwrap();
            assert_eq!(seen[..2], [Enable(30, class), Enable(27, Class::Ordinary)], "{way:?}");
            assert_eq!(&seen[2..], opened, "{way:?}");
            assert_eq!((means.masking(), means.gate()), (masking, gate), "{way:?}");
        }
        let (_, means) = means(Way::FeatNmi);
        assert_eq!(means.prepare_core(), Err(Unavailable::Gic(GicError::NotOffered("superpriority"))));
    }
}
