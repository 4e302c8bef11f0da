//! Who recorded a trace, when, and how it ended. All texts are printable ASCII: what came from a region is escaped.

use crate::{Event, Item};
use ring::account::Account;
use std::ops::Range;

/// Whose format it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A bank of an Afterglow region.
    Afterglow {
        /// Version of the format.
        version: u32,
        /// Which bank.
        bank: u32,
    },
    /// Linux's own persistent ring buffer.
    Linux {
        /// The layout in words, as "6.12" or "6.15 to 7.3".
        layout: String,
    },
    /// A listing of events as text.
    Listing,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A panic that came to its end: everything was cleaned.
    Panicked,
    /// A reset came before the panic was through.
    PanicCutShort,
    /// A reset without a word.
    Reset,
    /// As it wanted to.
    Clean,
    /// It was seen by an earlier boot, and how it had ended is not kept.
    Acknowledged,
    /// Nothing says.
    Unknown,
}

impl End {
    /// In a word or two, for tables and machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Panicked => "panic",
            Self::PanicCutShort => "panic cut short",
            Self::Reset => "reset",
            Self::Clean => "clean",
            Self::Acknowledged => "seen",
            Self::Unknown => "unknown",
        }
    }
}

/// What times are counted by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// A word for it, `[a-z0-9_]`: "cntvct", "local".
    pub name: String,
    /// Ticks a second of the counter behind it; 0 if that is not known. Times are nanoseconds all the same.
    pub frequency_hz: u64,
    /// The counter's value at time zero.
    pub zero: u64,
}

/// What is known beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// A line that names it: "boot 7, panicked", "Linux 6.12, ...".
    pub title: String,
    /// Whose format.
    pub origin: Origin,
    /// Bytes of the image that it was read from.
    pub place: Range<u64>,
    /// Number of the boot, if it was counted.
    pub boot: Option<u64>,
    /// Id of the boot in its events' checks.
    pub boot_id: Option<u32>,
    /// How it ended.
    pub end: End,
    /// The board.
    pub board: Option<String>,
    /// Build id of the kernel, in hexadecimal.
    pub build_id: Option<String>,
    /// What times are counted by.
    pub clock: Clock,
    /// Why it died.
    pub panic: Option<Panic>,
    /// One for each core, in order.
    pub cores: Vec<Core>,
    /// What was damaged or had to be worked round, a sentence each.
    pub remarks: Vec<String>,
}

/// A core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Core {
    /// How it came to stand still.
    pub stop: Option<Stop>,
    /// Sub-buffers that it can have, without the reader's.
    pub pages: u64,
}

/// How a core came to stand still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// "panicked", "stopped", "no answer", "did not run".
    pub outcome: &'static str,
    /// When, in nanoseconds; for one that did not answer for how long it was waited for.
    pub time_ns: u64,
    /// By which means, if it was stopped.
    pub means: Option<&'static str>,
    /// Where it stood.
    pub pc: u64,
    /// Where it would have returned to.
    pub lr: u64,
    /// Its stack pointer.
    pub sp: u64,
    /// Its processor state.
    pub pstate: u64,
    /// All of it in a sentence.
    pub words: String,
}

/// x0 to x30, sp, pc, pstate, esr of the core that took an exception.
pub type Registers = [u64; 35];

/// Why a boot died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// The core.
    pub core: u32,
    /// When, in nanoseconds.
    pub time_ns: u64,
    /// What it said.
    pub message: String,
    /// Where in the source.
    pub location: String,
    /// The registers, if it was an exception.
    pub registers: Option<Box<Registers>>,
    /// Fault address, if it was an exception.
    pub fault_address: u64,
    /// The syndrome and the fault address in words, a line each.
    pub explained: Vec<String>,
    /// Return addresses, innermost first.
    pub backtrace: Vec<u64>,
    /// Panics in the panic path, and of other cores.
    pub nested: Vec<Nested>,
}

/// A panic in the panic path, or of another core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nested {
    /// The core.
    pub core: u32,
    /// The step of the panic path; empty if unknown.
    pub step: String,
    /// What it said.
    pub message: String,
    /// Where in the source.
    pub location: String,
    /// Where it stood; 0 if unknown.
    pub pc: u64,
}

/// What became of one core's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that can be shown.
    pub events: u64,
    /// Bytes of them in the region, as their source counts them: as Linux, or header, common header and fields.
    pub bytes: u64,
    /// Times of the first and the last in order, in nanoseconds.
    pub times: Option<(u64, u64)>,
    /// Places where something is lost.
    pub losses: u64,
    /// The whole account, where the region has one (ours).
    pub account: Option<Account>,
}

impl Counts {
    /// Those of a core that is not there.
    pub const NONE: Self = Self { events: 0, bytes: 0, times: None, losses: 0, account: None };

    /// Those of a core's items, of which `bytes` says how many each event takes.
    #[must_use]
    pub fn of<'i>(items: impl Iterator<Item = Item<'i>>, bytes: impl Fn(&Event<'i>) -> u64) -> Self {
        let mut counts = Self::default();
        for item in items {
            match item {
                Item::Loss(_) => counts.losses += 1,
                Item::Event(event) => {
                    counts.events += 1;
                    counts.bytes += bytes(&event);
                    let first = counts.times.map_or(event.time_ns, |(first, _)| first);
                    counts.times = Some((first, event.time_ns));
                }
            }
        }
        counts
    }

    /// Events that somebody tried to record, as far as the region tells.
    #[must_use]
    pub fn attempted(&self) -> u64 {
        self.account.map_or(self.events, |account| account.attempted)
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
