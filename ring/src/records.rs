//! The records that stand beside the events, each in checked lines of its own: what a bank is, what a core counted, how it
//! was stopped, why the boot died. Their fields are documented where they are read and written, here.

mod panic;

pub use panic::{
    LastWords, NESTED_MAX, Nested, PANIC_FRAMES, PANIC_REGISTERS, PanicRecord, PanicSpace, TEXT_LINES_MAX, TextSpace,
};

use crate::format::{Geometry, domain, tail_line};
use crate::line::{Line, LineSeed};
use crate::seams::Memory;

/// What a bank holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum BankState {
    /// Nothing yet.
    #[default]
    Empty = 0,
    /// A boot records, or was reset without saying anything.
    Recording = 1,
    /// The boot ended in a panic.
    Panicked = 2,
    /// The boot ended as it wanted to.
    Clean = 3,
    /// A crash that somebody has seen.
    Acknowledged = 4,
}

impl BankState {
    /// The state with this number.
    #[must_use]
    pub const fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Empty,
            1 => Self::Recording,
            2 => Self::Panicked,
            3 => Self::Clean,
            4 => Self::Acknowledged,
            _ => return None,
        })
    }
    /// Whether it must be kept until somebody has seen it.
    #[must_use]
    pub const fn is_crash(self) -> bool {
        matches!(self, Self::Recording | Self::Panicked)
    }
}

/// Whose bank it is. In the header and, for bank images that travel alone, in the bank's tail.
///
/// Line: state u32, boot id u32, boot u64, boot id before u32, cores u32, counter Hz u64, counter start u64, whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BankRecord {
    /// What it holds.
    pub state: BankState,
    /// Seed of all its checks.
    pub boot_id: u32,
    /// Number of the boot, counted from 1 since the region was formatted.
    pub boot: u64,
    /// Boot id of the bank's contents before: stale lines may be of that boot.
    pub boot_id_before: u32,
    /// Number of cores.
    pub cores: u32,
    /// Frequency of the counter behind the time stamps, in Hz.
    pub counter_hz: u64,
    /// The counter when time stamps were zero.
    pub counter_start: u64,
}

impl BankRecord {
    /// As a line.
    #[must_use]
    pub fn to_line(&self) -> Line {
        Line::default()
            .u32(self.state as u32)
            .u32(self.boot_id)
            .u64(self.boot)
            .u32(self.boot_id_before)
            .u32(self.cores)
            .u64(self.counter_hz)
            .u64(self.counter_start)
    }
    /// Writes it into the bank's tail.
    pub fn store<M: Memory>(&self, memory: &M, geometry: &Geometry, bank: u32) {
        let at = geometry.bank(bank) + geometry.tail(tail_line::BANK);
        self.to_line().store(memory, at, LineSeed::new(self.boot_id, domain::TAIL), tail_line::BANK, 0);
    }
    /// From a line; `None` for a state that this version does not know.
    #[must_use]
    pub fn from_line(mut line: Line) -> Option<Self> {
        Some(Self {
            state: BankState::of(line.take_u32())?,
            boot_id: line.take_u32(),
            boot: line.take_u64(),
            boot_id_before: line.take_u32(),
            cores: line.take_u32(),
            counter_hz: line.take_u64(),
            counter_start: line.take_u64(),
        })
    }
}

/// What a core reserved and refused.
///
/// Line: reserved u64, sequence u64, refused 7 x u32, in flight u32, last u32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events reserved.
    pub reserved: u64,
    /// Sequence number of the sub-buffer that was open.
    pub sequence: u64,
    /// Events refused, by cause in the order of [`crate::writer::Refused::ALL`].
    pub refused: [u32; 7],
    /// Events reserved and not committed.
    pub in_flight: u32,
    /// Written when the core was stopped: these are the last numbers, not those of some earlier moment.
    pub last: bool,
}

impl Counters {
    /// As a line.
    #[must_use]
    pub fn to_line(&self) -> Line {
        let line = Line::default().u64(self.reserved).u64(self.sequence);
        self.refused.iter().fold(line, |line, n| line.u32(*n)).u32(self.in_flight).u32(u32::from(self.last))
    }
    /// From a line.
    #[must_use]
    pub fn from_line(mut line: Line) -> Self {
        Self {
            reserved: line.take_u64(),
            sequence: line.take_u64(),
            refused: core::array::from_fn(|_| line.take_u32()),
            in_flight: line.take_u32(),
            last: line.take_u32() != 0,
        }
    }
}

/// How a core came to stand still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum StopOutcome {
    /// It never ran.
    #[default]
    NotStarted = 0,
    /// It raised the panic.
    Panicked = 1,
    /// It was stopped and parked itself.
    Stopped = 2,
    /// It did not answer within the bounded wait.
    NoAnswer = 3,
}

/// What stopped a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum StopMeans {
    /// Nothing: it never ran, did not answer, or panicked itself.
    #[default]
    None = 0,
    /// A timer interrupt above the GICv3 priority mask.
    GicV3PriorityMask = 1,
    /// A timer interrupt above the GICv2 priority mask.
    GicV2PriorityMask = 2,
    /// A timer interrupt as FIQ.
    Fiq = 3,
    /// A timer interrupt with FEAT_NMI's superpriority.
    FeatNmi = 4,
    /// A timer interrupt taken by our own EL2.
    OwnEl2 = 5,
}

impl StopMeans {
    /// All means.
    pub const ALL: [Self; 6] =
        [Self::None, Self::GicV3PriorityMask, Self::GicV2PriorityMask, Self::Fiq, Self::FeatNmi, Self::OwnEl2];

    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::GicV3PriorityMask => "GICv3 priority mask",
            Self::GicV2PriorityMask => "GICv2 priority mask",
            Self::Fiq => "FIQ",
            Self::FeatNmi => "FEAT_NMI",
            Self::OwnEl2 => "own EL2",
        }
    }
}

/// What a core was masking when it was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Masked {
    /// Nothing.
    #[default]
    Nothing = 0,
    /// Ordinary interrupts.
    Ordinary = 1,
    /// Everything.
    All = 2,
}

/// How a core was stopped.
///
/// Line: outcome u8, means u8, masked u8, in an interrupt handler u8, lines cleaned u32, time u64, pc u64, lr u64, sp u64, pstate u64, fp u64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopRecord {
    /// How it came to stand still.
    pub outcome: StopOutcome,
    /// What stopped it.
    pub means: StopMeans,
    /// What it was masking.
    pub masked: Masked,
    /// Whether it stood in an interrupt handler.
    pub in_handler: bool,
    /// Cache lines that it wrote back itself.
    pub lines: u32,
    /// When: nanoseconds, as in the events. For a core that did not answer: for how long it was waited for.
    pub time_ns: u64,
    /// Where it stood.
    pub pc: u64,
    /// Its link register.
    pub lr: u64,
    /// Its stack pointer.
    pub sp: u64,
    /// Its PSTATE.
    pub pstate: u64,
    /// Its frame pointer.
    pub fp: u64,
}

impl StopRecord {
    /// Where in its line the time is, for a panicking core that only wants to tell it.
    pub const TIME_AT: u64 = 8;

    /// As a line.
    #[must_use]
    pub fn to_line(&self) -> Line {
        Line::default()
            .u8(self.outcome as u8)
            .u8(self.means as u8)
            .u8(self.masked as u8)
            .u8(u8::from(self.in_handler))
            .u32(self.lines)
            .u64(self.time_ns)
            .u64(self.pc)
            .u64(self.lr)
            .u64(self.sp)
            .u64(self.pstate)
            .u64(self.fp)
    }
    /// From a line; `None` for numbers that this version does not know.
    #[must_use]
    pub fn from_line(mut line: Line) -> Option<Self> {
        let outcome = match line.take_u8() {
            0 => StopOutcome::NotStarted,
            1 => StopOutcome::Panicked,
            2 => StopOutcome::Stopped,
            3 => StopOutcome::NoAnswer,
            _ => return None,
        };
        let means = *StopMeans::ALL.get(usize::from(line.take_u8()))?;
        let masked = match line.take_u8() {
            0 => Masked::Nothing,
            1 => Masked::Ordinary,
            2 => Masked::All,
            _ => return None,
        };
        Some(Self {
            outcome,
            means,
            masked,
            in_handler: line.take_u8() != 0,
            lines: line.take_u32(),
            time_ns: line.take_u64(),
            pc: line.take_u64(),
            lr: line.take_u64(),
            sp: line.take_u64(),
            pstate: line.take_u64(),
            fp: line.take_u64(),
        })
    }
    /// Writes it into a bank's tail.
    pub fn store<M: Memory>(&self, memory: &M, geometry: &Geometry, bank: u32, boot_id: u32, core: u32) {
        let number = Geometry::core_line(core, tail_line::STOP);
        self.to_line().store(
            memory,
            geometry.bank(bank) + geometry.tail(number),
            LineSeed::new(boot_id, domain::TAIL),
            number,
            0,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line as somebody else reads it.
    fn read(line: Line) -> Line {
        Line::of(line.payload())
    }

    #[test]
    fn every_record_comes_back_from_its_line() {
        let stop = StopRecord {
            outcome: StopOutcome::Stopped,
            means: StopMeans::Fiq,
            masked: Masked::Ordinary,
            in_handler: true,
            lines: 1,
            time_ns: 0x0102_0304_0506_0708,
            pc: 3,
            lr: 4,
            sp: 5,
            pstate: 6,
            fp: 7,
        };
        assert_eq!(StopRecord::from_line(read(stop.to_line())), Some(stop));
        let line = stop.to_line();
        assert_eq!(line.payload()[StopRecord::TIME_AT as usize..][..8], stop.time_ns.to_le_bytes());
        let counters = Counters { reserved: 1, sequence: 2, refused: [3, 4, 5, 6, 7, 8, 9], in_flight: 10, last: true };
        assert_eq!(Counters::from_line(read(counters.to_line())), counters);
        let bank = BankRecord {
            state: BankState::Clean,
            boot_id: 1,
            boot: 2,
            boot_id_before: 3,
            cores: 4,
            counter_hz: 5,
            counter_start: 6,
        };
        assert_eq!(BankRecord::from_line(read(bank.to_line())), Some(bank));
    }

    #[test]
    fn numbers_that_nobody_knows_are_refused() {
        assert_eq!(StopRecord::from_line(read(Line::default().u8(9))), None);
        assert_eq!(StopRecord::from_line(read(Line::default().u8(1).u8(99))), None);
        assert_eq!(StopRecord::from_line(read(Line::default().u8(1).u8(1).u8(9))), None);
        assert_eq!(BankRecord::from_line(read(Line::default().u32(5))), None);
    }
}
