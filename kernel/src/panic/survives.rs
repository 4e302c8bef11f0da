//! What the next boot finds of a boot that was reset in the middle of its panic path: documentation, data and the subject
//! of a test that resets at each step.

use super::Step;
use ring::records::BankState;

/// What became of the panicking core's cache at the reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// All of it happens to be in memory.
    Kept,
    /// Nothing of it but what was cleaned.
    Lost,
}

/// What the next boot finds.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The step at which the machine is reset.
    pub step: Step,
    /// What became of the cache.
    pub cache: Cache,
    /// What the header says of the bank.
    pub state: BankState,
    /// The panic record is there.
    pub record: bool,
    /// The events of the core that panics are there, up to the last.
    pub own: bool,
    /// The cores that stopped themselves have said so, and all their events are there.
    pub stopped: bool,
    /// A core that did not answer is named.
    pub unanswered: bool,
}

const fn row(
    step: Step,
    cache: Cache,
    state: BankState,
    record: bool,
    own: bool,
    stopped: bool,
    unanswered: bool,
) -> Row {
    Row { step, cache, state, record, own, stopped, unanswered }
}

use BankState::{Panicked, Recording};
use Cache::{Kept, Lost};

/// What survives, where the other cores stop as soon as the stop word is up. A core that stops itself needs nobody: its events are in memory
/// however far the panicking core comes.
#[rustfmt::skip]
pub static SURVIVES: [Row; 14] = [
    //                                    record own    stopped unanswered
    row(Step::Stop,   Kept, Recording, false, true,  false,  false),
    row(Step::Stop,   Lost, Recording, false, false, false,  false),
    row(Step::Record, Kept, Recording, false, true,  true,   false),
    row(Step::Record, Lost, Recording, false, false, true,   false),
    row(Step::Say,    Kept, Recording, true,  true,  true,   false),
    row(Step::Say,    Lost, Recording, false, false, true,   false),
    row(Step::Wait,   Kept, Recording, true,  true,  true,   false),
    row(Step::Wait,   Lost, Recording, false, false, true,   false),
    row(Step::Clean,  Kept, Recording, true,  true,  true,   true),
    row(Step::Clean,  Lost, Recording, false, false, true,   false),
    row(Step::Tell,   Kept, Panicked,  true,  true,  true,   true),
    row(Step::Tell,   Lost, Panicked,  true,  true,  true,   true),
    row(Step::Reset,  Kept, Panicked,  true,  true,  true,   true),
    row(Step::Reset,  Lost, Panicked,  true,  true,  true,   true),
];
