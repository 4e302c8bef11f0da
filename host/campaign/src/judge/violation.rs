//! Everything that can be wrong, in words that name the place.

use super::place::Place;
use std::fmt;

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Events that had to survive are gone.
    Lost(Events),
    /// Events are in memory, under a tag that is, and recovery does not find them.
    Overlooked(Events),
    /// Events are found that were not there.
    Invented(Events),
    /// Events are found with other bytes than they had.
    Changed(Events),
    /// Events that their writer had published did not verify, before anything was lost.
    Unsound(Events),
    /// Lines that had to be in memory were not.
    Line(Lines),
    /// Memory does not know of a boot that its header named.
    BootLost {
        /// Which boot.
        boot: u64,
    },
    /// Memory knows of a boot that never was.
    BootInvented {
        /// Which boot.
        boot: u64,
    },
    /// What the header says of a bank was in memory, and is not what is read there.
    RecordChanged {
        /// Which bank.
        bank: u32,
    },
    /// The next boot does not tell of a crash.
    NotTold {
        /// Which boot's.
        boot: u64,
        /// The last words of the next boot, if it panicked itself.
        died: Option<String>,
    },
    /// The next boot tells of a crash that memory does not hold.
    NobodysCrash {
        /// The boot that it is said to be of.
        boot: Option<u64>,
    },
    /// The next boot says something else than what memory holds.
    Told {
        /// Of which boot.
        boot: u64,
        /// Of which core; all together where there is none.
        core: Option<u32>,
        /// What is told.
        what: &'static str,
        /// What it says.
        says: String,
        /// What is there.
        holds: String,
    },
    /// An account that does not add up.
    Sum {
        /// Of which boot.
        boot: u64,
        /// Of which core.
        core: u32,
    },
    /// An account does not have the number of attempts that the core counted.
    Attempted {
        /// Of which core.
        core: u32,
        /// What the account says.
        account: u64,
        /// What the core had counted.
        counted: u64,
    },
    /// An account knows of damage where there was none.
    FalseAlarm {
        /// Of which core.
        core: u32,
        /// Events said to be damaged.
        damaged: u64,
    },
    /// Damage cost events of a panic, and the next boot calls it intact.
    Unnoticed {
        /// How many.
        events: u64,
    },
    /// The workload's numbers do not rise.
    Order {
        /// Of which core.
        core: u32,
        /// The number, and the one behind it.
        numbers: (u64, u64),
    },
    /// The workload's numbers have a gap that nothing explains.
    Gap {
        /// Of which core.
        core: u32,
        /// Numbers that are missing.
        missing: u64,
        /// Events that were refused, damaged, or in flight.
        explained: u64,
    },
    /// An event of the workload does not hold what the workload wrote.
    Data {
        /// Of which core.
        core: u32,
        /// Its number.
        number: u64,
    },
    /// The region's content is gone, and the next boot does not say why.
    NoReason {
        /// What it should have said.
        reason: String,
    },
    /// The next boot did not take the bank, or the number, that was its turn.
    NextBoot {
        /// What it says.
        says: (u64, u32),
        /// What follows from the header.
        expected: (u64, u32),
    },
    /// What only somebody else than the oracle can see.
    Other(String),
}

/// Events of one sub-buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// The boot that recorded them.
    pub boot: u64,
    /// The core.
    pub core: u32,
    /// Their sub-buffer.
    pub sequence: u64,
    /// The word at which the first one begins.
    pub word: u32,
    /// How many.
    pub count: u64,
    /// The workload's numbers, first and last, if they are the workload's.
    pub numbers: Option<(u64, u64)>,
}

/// Lines of one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// What it is.
    pub place: Place,
    /// How many.
    pub count: u64,
    /// Where the first one begins, in bytes from the region's beginning.
    pub at: u64,
    /// The last store to the first one, if known: the instruction's address, and the core.
    pub stored: Option<(u64, u32)>,
    /// It had been cleaned after that, and no DSB completed the clean.
    pub unfinished: bool,
}

impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { boot, core, sequence, word, count, numbers } = self;
        let s = if *count == 1 { "" } else { "s" };
        write!(f, "boot {boot}, core {core}, sub-buffer {sequence}: {count} event{s} from word {word} on")?;
        match numbers {
            Some((first, last)) if first == last => write!(f, " (number {first})"),
            Some((first, last)) => write!(f, " (numbers {first} to {last})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, count, at, stored, unfinished } = self;
        let s = if *count == 1 { "" } else { "s" };
        write!(f, "{place}: {count} line{s} not in memory, from byte {at:#x} on")?;
        if *unfinished {
            f.write_str(", cleaned, but no DSB completed that")?;
        }
        match stored {
            Some((pc, core)) => write!(f, ", last stored to by core {core} at pc {pc:#x}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(events) => write!(f, "lost: {events}, which had to survive"),
            Self::Overlooked(events) => write!(f, "overlooked: {events}, in memory and not recovered"),
            Self::Invented(events) => write!(f, "invented: {events}, recovered and never recorded"),
            Self::Changed(events) => write!(f, "changed: {events}, recovered with other bytes than were recorded"),
            Self::Unsound(events) => write!(f, "unsound: {events}, published and not verifying, before the loss"),
            Self::Line(lines) => write!(f, "lost line: {lines}"),
            Self::BootLost { boot } => write!(f, "boot {boot} was in the header, and memory does not know it"),
            Self::BootInvented { boot } => write!(f, "memory knows boot {boot}, and there was none"),
            Self::RecordChanged { bank } => write!(f, "the header's record of bank {bank} is not the one in memory"),
            Self::NotTold { boot, died: None } => write!(f, "the next boot does not tell of boot {boot}"),
            Self::NotTold { boot, died: Some(words) } => {
                write!(f, "the next boot does not tell of boot {boot}, but dies: {words}")
            }
            Self::NobodysCrash { boot: Some(boot) } => {
                write!(f, "the next boot tells of boot {boot}, and memory holds no such crash")
            }
            Self::NobodysCrash { boot: None } => f.write_str("the next boot tells of a crash, and not whose"),
            Self::Told { boot, core, what, says, holds } => {
                write!(f, "told: boot {boot}, ")?;
                core.map_or(Ok(()), |core| write!(f, "core {core}, "))?;
                write!(f, "{what}: the next boot says {says}, and memory holds {holds}")
            }
            Self::Sum { boot, core } => write!(f, "boot {boot}, core {core}: the account does not add up"),
            Self::Attempted { core, account, counted } => {
                write!(f, "core {core}: {account} events attempted says the account, {counted} had the core counted")
            }
            Self::FalseAlarm { core, damaged } => {
                write!(f, "core {core}: {damaged} events are called damaged, and nothing was")
            }
            Self::Unnoticed { events } => {
                write!(f, "{events} events of a panic are damaged, and the next boot calls it intact")
            }
            Self::Order { core, numbers: (number, next) } => {
                write!(f, "core {core}: the workload's number {number} is followed by {next}")
            }
            Self::Gap { core, missing, explained } => {
                write!(f, "core {core}: {missing} of the workload's numbers are missing, {explained} of them explained")
            }
            Self::Data { core, number } => write!(f, "core {core}: event {number} does not hold the workload's data"),
            Self::NoReason { reason } => write!(f, "the next boot does not say {reason:?}"),
            Self::NextBoot { says, expected } => write!(
                f,
                "the next boot is number {} and records into bank {}, and it was the turn of {} and bank {}",
                says.0, says.1, expected.0, expected.1
            ),
            Self::Other(text) => f.write_str(text),
        }
    }
}
