//! How far a panic has come: who panics, at which step of the path, and the figures of it.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

/// The steps of the path, at the beginning of each of which tests let it fail. What a reset there leaves is in
/// [`super::SURVIVES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The stop word is raised.
    Stop,
    /// Why this boot dies is written into the region.
    Record,
    /// Two short lines go to the console.
    Say,
    /// The other cores are waited for.
    Wait,
    /// What may be dirty is brought to memory.
    Clean,
    /// The details go to the console.
    Tell,
    /// The machine is asked for its reset.
    Reset,
}

impl Step {
    /// All of them, in the order in which they come.
    pub const ALL: [Self; 7] = [Self::Stop, Self::Record, Self::Say, Self::Wait, Self::Clean, Self::Tell, Self::Reset];

    /// Its name, of 8 letters at most.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Record => "record",
            Self::Say => "say",
            Self::Wait => "wait",
            Self::Clean => "clean",
            Self::Tell => "tell",
            Self::Reset => "reset",
        }
    }

    /// The one behind it.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::ALL.get(self as usize + 1).copied()
    }
}

/// What a core that panics has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The whole path.
    First,
    /// A panic in the path, the first one, the second and so on: note it, then go on behind the step that panicked.
    Nested(u32),
    /// Another core panics already: stand still and be recorded.
    Bystander,
}

/// Who panicked, and how far the path has come.
#[derive(Debug)]
pub struct Progress {
    /// The electing word: 0, or the panicking core's number plus one.
    owner: AtomicU32,
    /// How often that core has entered.
    entered: AtomicU32,
    /// The step at which the path is: its place in [`Step::ALL`].
    step: AtomicU8,
    /// How often that step has been begun.
    tries: AtomicU8,
    /// Why the boot dies has been written.
    pub(super) recorded: AtomicBool,
    /// The figures. All of them are the panicking core's alone.
    pub(super) figures: Figures,
}

/// What a panic took, for the line before the reset.
#[derive(Debug)]
pub(super) struct Figures {
    /// When it began: nanoseconds, as in the events.
    pub(super) entry_ns: AtomicU64,
    /// From then until the last core stood still, or was given up.
    pub(super) stopped_ns: AtomicU64,
    /// Spent in waiting for the others.
    pub(super) waited_ns: AtomicU64,
    /// Spent in cleaning.
    pub(super) cleaning_ns: AtomicU64,
    /// Cache lines cleaned by the panicking core.
    pub(super) lines: AtomicU64,
}

impl Figures {
    /// The panic began; the first beginning counts.
    pub(super) fn begin(&self, entry_ns: u64) {
        if self.entry_ns.load(Ordering::Relaxed) == 0 {
            self.entry_ns.store(entry_ns, Ordering::Relaxed);
        }
    }
}

impl Progress {
    /// Nobody panics yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            owner: AtomicU32::new(0),
            entered: AtomicU32::new(0),
            step: AtomicU8::new(Step::Stop as u8),
            tries: AtomicU8::new(0),
            recorded: AtomicBool::new(false),
            figures: Figures {
                entry_ns: AtomicU64::new(0),
                stopped_ns: AtomicU64::new(0),
                waited_ns: AtomicU64::new(0),
                cleaning_ns: AtomicU64::new(0),
                lines: AtomicU64::new(0),
            },
        }
    }

    /// One core wins; its further panics are counted.
    pub fn enter(&self, core: u32) -> Role {
        // Acquire and release: the winner's later stores are not seen by a loser that still believes it won.
        let won = self.owner.compare_exchange(0, core + 1, Ordering::AcqRel, Ordering::Acquire);
        if won.is_err_and(|owner| owner != core + 1) {
            return Role::Bystander;
        }
        match self.entered.fetch_add(1, Ordering::Relaxed) {
            0 => Role::First,
            before => Role::Nested(before),
        }
    }

    /// The step at which the path is.
    #[must_use]
    pub fn step(&self) -> Step {
        Step::ALL.get(usize::from(self.step.load(Ordering::Relaxed))).copied().unwrap_or(Step::Reset)
    }

    /// Where the path goes on after a panic in it: behind the step that panicked; but what must not be left out is tried
    /// once more. `None`: nothing is left to try.
    #[must_use]
    pub(super) fn resume(&self) -> Option<Step> {
        let step = self.step();
        let again = match step {
            Step::Stop | Step::Wait | Step::Clean | Step::Reset => true,
            Step::Record => !self.recorded.load(Ordering::Relaxed),
            Step::Say | Step::Tell => false,
        };
        if again && self.tries.load(Ordering::Relaxed) < 2 { Some(step) } else { step.next() }
    }

    /// A step begins.
    pub(super) fn begin(&self, step: Step) {
        let tries = if step == self.step() { self.tries.load(Ordering::Relaxed) } else { 0 };
        self.tries.store(tries.saturating_add(1), Ordering::Relaxed);
        self.step.store(step as u8, Ordering::Relaxed);
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_core_wins_and_its_further_panics_are_counted() {
        let progress = Progress::new();
        assert_eq!(progress.enter(2), Role::First);
        assert_eq!(progress.enter(0), Role::Bystander);
        assert_eq!(progress.enter(2), Role::Nested(1));
        assert_eq!(progress.enter(2), Role::Nested(2));
        assert_eq!(progress.enter(0), Role::Bystander);
    }

    #[test]
    fn a_path_that_always_panics_comes_to_an_end_and_tries_to_stop_to_clean_and_to_reset_twice() {
        let progress = Progress::new();
        let mut begun = std::vec::Vec::new();
        let mut next = Some(Step::Stop);
        while let Some(step) = next {
            progress.begin(step);
            begun.push(step);
            next = progress.resume();
        }
        use Step::{Clean, Record, Reset, Say, Stop, Tell, Wait};
        assert_eq!(begun, [Stop, Stop, Record, Record, Say, Wait, Wait, Clean, Clean, Tell, Reset, Reset]);
    }

    #[test]
    fn the_steps_are_in_order_and_their_names_fit_a_record() {
        for (number, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, number);
            assert!(step.name().len() <= 8);
        }
    }
}
