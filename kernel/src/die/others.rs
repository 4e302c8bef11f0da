//! What the cores do that do not end the boot, when it ends: the states in which stopping them is hard.
//!
//! They have recorded their events by then, and the core that ends the boot waits, bounded, until each is in the state that
//! was asked for.

use super::armed::{Act, arm};
use crate::command_line::{Die, Others};
use crate::console;
use crate::record::rest;
use arch::core_local::{MAX_CORES, this};
use arch::{cores, irq, timer};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// What they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Task {
    /// They go on recording.
    Work,
    /// They spin in the handler of an ordinary interrupt.
    IrqHandler,
    /// They spin with ordinary interrupts masked.
    Masked,
    /// They spin with all of DAIF masked.
    AllMasked,
    /// They take exceptions without end.
    Wild,
    /// One holds the console's lock, the rest wait for it.
    Console,
    /// They panic, all at once.
    Panic,
}

impl Task {
    const ALL: [Self; 7] =
        [Self::Work, Self::IrqHandler, Self::Masked, Self::AllMasked, Self::Wild, Self::Console, Self::Panic];

    /// Some ways to die need the others.
    pub(super) fn of(die: Die, others: Others) -> Self {
        match (die, others) {
            (Die::PanicEverywhere, _) => Self::Panic,
            (Die::LockUpOthers, _) => Self::Masked,
            (_, Others::Work) => Self::Work,
            (_, Others::IrqHandler) => Self::IrqHandler,
            (_, Others::Masked) => Self::Masked,
            (_, Others::AllMasked) => Self::AllMasked,
            (_, Others::Wild) => Self::Wild,
            (_, Others::Console) => Self::Console,
        }
    }
}

/// The [`Task`] that was given.
static TASK: AtomicU8 = AtomicU8::new(Task::Work as u8);
/// Cores that are at it.
static AT_IT: [AtomicBool; MAX_CORES] = [const { AtomicBool::new(false) }; MAX_CORES];
/// Somebody has the console's lock.
static LOCKED: AtomicBool = AtomicBool::new(false);
/// The counter at which all panic; 0 is not known yet.
static TOGETHER: AtomicU64 = AtomicU64::new(0);

/// Longest that is waited for the others, in milliseconds. The boot ends all the same, only less hard than was asked for.
const WAIT_MAX_MS: u64 = 1000;
/// From the decision to the common panic, in microseconds: enough for each core to have read when.
const TOGETHER_US: u64 = 200;

/// Gives the others, of so many cores, something to do, and waits until they are at it.
pub(super) fn give(task: Task, cores: usize) {
    if task == Task::Work {
        return;
    }
    TASK.store(task as u8, Ordering::Relaxed);
    let deadline = timer::now() + timer::frequency() / 1000 * WAIT_MAX_MS;
    // Relaxed: nothing that they write goes with it.
    let at_it = |core: usize| core == this().index() || AT_IT[core].load(Ordering::Relaxed);
    let locked = || task != Task::Console || LOCKED.load(Ordering::Relaxed);
    while !((0..cores).all(at_it) && locked()) && timer::now() < deadline {
        cores::relax();
    }
}

/// Whether there is something else to do than recording.
pub fn is_given() -> bool {
    TASK.load(Ordering::Relaxed) != Task::Work as u8
}

/// Does what was given.
pub fn obey() -> ! {
    match Task::ALL.get(usize::from(TASK.load(Ordering::Relaxed))) {
        Some(Task::IrqHandler) => arm(Act::Spin),
        Some(Task::Masked) => spin_masked(),
        Some(Task::AllMasked) => spin_all_masked(),
        Some(Task::Wild) => {
            say_at_it();
            arch::provoke::go_wild()
        }
        Some(Task::Console) => {
            say_at_it();
            if let Some(console) = console::get() {
                console.while_locked(&mut || {
                    LOCKED.store(true, Ordering::Relaxed);
                    spin()
                });
            }
        }
        Some(Task::Panic) => {
            say_at_it();
            panic_when_told()
        }
        Some(Task::Work) | None => {}
    }
    rest()
}

fn say_at_it() {
    if let Some(at_it) = AT_IT.get(this().index()) {
        at_it.store(true, Ordering::Relaxed);
    }
}

/// Spins for ever in the state that the caller is in.
pub(super) fn spin() -> ! {
    say_at_it();
    loop {
        cores::relax();
    }
}

/// Spins with ordinary interrupts masked.
pub(super) fn spin_masked() -> ! {
    let _masked = irq::local_irq_save();
    spin()
}

/// Spins with all of DAIF masked.
pub(super) fn spin_all_masked() -> ! {
    irq::mask_daif();
    spin()
}

/// Panics at the same instant as all others, to which [`Task::Panic`] was given.
pub(super) fn panic_together() -> ! {
    TOGETHER.store(timer::now() + timer::frequency() * TOGETHER_US / 1_000_000, Ordering::Relaxed);
    panic_when_told()
}

fn panic_when_told() -> ! {
    loop {
        let when = TOGETHER.load(Ordering::Relaxed);
        if when != 0 && timer::now() >= when {
            panic!("asked for by die=panic-everywhere: core {} takes part", this().index());
        }
        cores::relax();
    }
}
