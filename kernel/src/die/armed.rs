//! Ways to die that wait for a moment: inside the handler of an ordinary interrupt, inside a stop tick, at a step of the
//! panic path.
//!
//! They cost a kernel that is not to die in one of them a single relaxed load in each ordinary tick, and nothing in the stop
//! tick, which looks at one word anyway.

use super::{asked_for, clean, others, stacks};
use crate::command_line::Die;
use crate::panic::Step;
use crate::record::rest;
use crate::{ending, stop};
use arch::core_local::{MAX_CORES, this};
use arch::irq::Gate;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// What a core does in its next handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Act {
    /// Its work.
    Nothing,
    /// It spins, and says that it does.
    Spin,
    /// It panics.
    Panic,
    /// It overflows its stack.
    Overflow,
    /// It panics in its stop tick.
    PanicInNmi,
    /// It waits in the handler of an ordinary interrupt for the stop tick, and overflows that one's stack.
    OverflowInNmi,
}

impl Act {
    const ALL: [Self; 6] =
        [Self::Nothing, Self::Spin, Self::Panic, Self::Overflow, Self::PanicInNmi, Self::OverflowInNmi];

    fn of_this_core() -> Self {
        // Relaxed: written by the core itself.
        let act = ACTS.get(this().index()).map_or(0, |act| act.load(Ordering::Relaxed));
        Self::ALL.get(usize::from(act)).copied().unwrap_or(Self::Nothing)
    }
}

static ACTS: [AtomicU8; MAX_CORES] = [const { AtomicU8::new(0) }; MAX_CORES];
/// A core has something to do in a handler.
static ARMED: AtomicBool = AtomicBool::new(false);

/// The panic path never ends.
static HANG: AtomicBool = AtomicBool::new(false);

/// Lets this core do something in its next handler.
pub(super) fn arm(act: Act) {
    if let Some(slot) = ACTS.get(this().index()) {
        slot.store(act as u8, Ordering::Relaxed);
        ARMED.store(true, Ordering::Relaxed);
    }
}

/// Dies in a handler of this core.
pub(super) fn in_handler(die: Die, act: Act) -> ! {
    let in_nmi = matches!(act, Act::PanicInNmi | Act::OverflowInNmi);
    if in_nmi && arch::irq::gate() == Gate::El2 {
        clean::cannot(die, "no stop tick comes to this level: EL2 takes them all");
    }
    arm(act);
    if in_nmi {
        stop::make_tick_lethal();
    }
    rest()
}

/// Called by each ordinary tick.
#[inline(always)]
pub fn in_irq() {
    if ARMED.load(Ordering::Relaxed) {
        act_in_irq();
    }
}

#[cold]
#[inline(never)]
fn act_in_irq() {
    match Act::of_this_core() {
        Act::Nothing | Act::PanicInNmi => {}
        Act::Spin => others::spin(),
        Act::Panic => asked_for(Die::PanicInIrq),
        Act::Overflow => stacks::overflow(),
        Act::OverflowInNmi => loop {
            arch::cores::relax();
        },
    }
}

/// Called by each stop tick, once one is lethal.
#[cold]
#[inline(never)]
pub fn in_nmi() {
    match Act::of_this_core() {
        Act::PanicInNmi => asked_for(Die::PanicInNmi),
        // On a stack of its own only where it interrupts a handler.
        Act::OverflowInNmi if this().irq_depth() > 0 => stacks::overflow(),
        _ => {}
    }
}

/// Lets the panic path fail, if this way to die is about it.
pub(super) fn for_panic_path(die: Die) {
    let name = die.word().strip_prefix("panic-at-");
    if let Some(step) = Step::ALL.into_iter().find(|step| name == Some(step.name())) {
        ending::fail_at(step);
    }
    HANG.store(die == Die::HangInPanic, Ordering::Relaxed);
}

/// Called by the panic path at each of its steps: hangs before it waits for the others, if that was asked for.
pub fn hang_at(step: Step) {
    while step == Step::Wait && HANG.load(Ordering::Relaxed) {
        arch::cores::relax();
    }
}
