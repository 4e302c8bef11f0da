//! What this boot does, decided from what the region holds and what the command line says. Pure, so that it can be tested.

use ring::records::BankState;
use ring::region::{Found, Header};

/// What this boot does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Banks with crashes that nobody has seen are shown, and acknowledged if wished.
    pub dump: bool,
    /// The workload runs, and ends as the command line says.
    pub record: bool,
    /// Nothing is recorded in this boot: every bank holds a crash, and `keep=first` protects them.
    pub recorder_off: bool,
    /// The workload would run, but for so many crashes in a row: [`Self::record`] is false.
    pub crash_loop: Option<CrashLoop>,
}

/// Crashes in a row, too many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashLoop {
    /// How many.
    pub crashes: u32,
    /// Number of the boot that crashed first.
    pub since_boot: u64,
}

/// What the command line says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// So many boots record and die, then one only dumps.
    pub cycles: u64,
    /// Full banks are kept, and nothing is recorded.
    pub keep_first: bool,
    /// What is dumped is acknowledged.
    pub ack: bool,
    /// Crashes in a row after which the workload does not run; 0 is never.
    pub crash_loop: u32,
}

/// Decides. `header` is the region's before this boot counted itself, its crashes in a row as [`crashes_in_a_row`] says.
///
/// A boot that shows its crashes and acknowledges them runs the workload: somebody is looking. But when twice as many boots
/// crashed, then it is showing them that crashes; it is left out too.
#[must_use]
pub fn plan(header: &Header, wishes: &Wishes) -> Plan {
    let Wishes { cycles, keep_first, ack, crash_loop } = *wishes;
    let (_, all_banks_hold_crashes) = header.next_bank();
    let crashes = header.crashes_in_a_row;
    let dump = header.crashes().next().is_some() && (crash_loop == 0 || crashes < crash_loop.saturating_mul(2));
    let is_loop = crash_loop != 0 && crashes >= crash_loop && !(dump && ack);
    let wanted = header.boot < cycles;
    // Boots that said so and ended in order may stand behind the last crash.
    let newest = header.crashes().last().map_or(header.boot, |bank| header.banks[bank as usize].boot);
    let since_boot = (newest + 1).saturating_sub(u64::from(crashes)).max(1);
    Plan {
        dump,
        record: wanted && !is_loop,
        recorder_off: all_banks_hold_crashes && keep_first,
        crash_loop: (wanted && is_loop).then_some(CrashLoop { crashes, since_boot }),
    }
}

/// Crashes in a row up to now: those that the header knows of, and the newest boot if it ended without a word. A panic that
/// came to its end has counted itself; one that was cut short has not.
#[must_use]
pub fn crashes_in_a_row(header: &Header) -> u32 {
    let cut_short = header.banks().iter().any(|bank| bank.boot == header.boot && bank.state == BankState::Recording);
    header.crashes_in_a_row.saturating_add(u32::from(cut_short))
}

/// The region's state in words, for the first message about it: an absence always has a reason.
#[derive(Debug)]
pub struct Absence<'a>(pub &'a Found);

impl core::fmt::Display for Absence<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Found::Valid(header) if header.boot == 1 => f.write_str("1 boot before this one"),
            Found::Valid(header) => write!(f, "{} boots before this one", header.boot),
            Found::Cold { filled_with: Some(0) } => {
                f.write_str("cold: no signature (it reads as zeros: a first boot, or firmware cleared it)")
            }
            Found::Cold { filled_with: Some(byte) } => {
                write!(f, "cold: no signature (it is filled with {byte:#04x}: firmware cleared it)")
            }
            Found::Cold { filled_with: None } => {
                f.write_str("cold: no signature (noise: RAM lost its content, or was never ours)")
            }
            Found::OtherVersion(version) => {
                write!(
                    f,
                    "it holds format version {version}, this kernel writes {}: formatted anew",
                    ring::format::VERSION
                )
            }
            Found::OtherGeometry { region_size, banks, cores } => write!(
                f,
                "it was written for another geometry ({} KiB, {banks} banks, {cores} cores): formatted anew",
                region_size >> 10
            ),
            Found::Scanned { tags, .. } => {
                write!(f, "both headers are invalid: recovered by scan ({tags} sub-buffers say who they are)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::format::Geometry;
    use ring::records::BankState;

    fn header(boot: u64, crashes: usize) -> Header {
        let mut header = Header::new(Geometry::new(8 << 20, 4, 4).unwrap());
        header.boot = boot;
        for (i, bank) in header.banks.iter_mut().take(crashes).enumerate() {
            bank.state = BankState::Panicked;
            bank.boot = i as u64 + 1;
        }
        header
    }

    fn in_a_row(crashes: u32, mut header: Header) -> Header {
        header.crashes_in_a_row = crashes;
        header
    }

    const WISHES: Wishes = Wishes { cycles: 1, keep_first: false, ack: true, crash_loop: 5 };

    #[test]
    fn the_first_boot_records_and_the_second_dumps() {
        assert_eq!(plan(&header(0, 0), &WISHES), Plan { record: true, ..Plan::default() });
        assert_eq!(plan(&header(1, 1), &WISHES), Plan { dump: true, ..Plan::default() });
    }

    #[test]
    fn in_a_loop_each_boot_dumps_and_records() {
        let wishes = Wishes { cycles: 100, ..WISHES };
        assert_eq!(plan(&header(5, 1), &wishes), Plan { dump: true, record: true, ..Plan::default() });
    }

    #[test]
    fn with_keep_first_full_banks_are_not_recorded_over() {
        let wishes = Wishes { cycles: 9, keep_first: true, ..WISHES };
        assert!(plan(&header(4, 4), &wishes).recorder_off);
        assert!(!plan(&header(4, 4), &Wishes { keep_first: false, ..wishes }).recorder_off);
        assert!(!plan(&header(3, 3), &wishes).recorder_off);
    }

    #[test]
    fn crashes_in_a_row_that_nobody_acknowledges_keep_the_workload_from_running() {
        // Crashes in a row, ack=, crash_loop=, boots wanted; dumps, records, is called a loop.
        let table = [
            (4, false, 5, 100, (true, true, false)),
            (5, false, 5, 100, (true, false, true)),
            (9, false, 5, 100, (true, false, true)),
            (10, false, 5, 100, (false, false, true)),
            (5, true, 5, 100, (true, true, false)),
            (10, true, 5, 100, (false, false, true)),
            (1, false, 1, 100, (true, false, true)),
            (1000, false, 0, 100_000, (true, true, false)),
            (5, false, 5, 3, (true, false, false)),
            (u32::MAX, false, 5, 100, (false, false, true)),
        ];
        for row @ (crashes, ack, crash_loop, cycles, expected) in table {
            let header = in_a_row(crashes, header(12, 1));
            let plan = plan(&header, &Wishes { cycles, keep_first: false, ack, crash_loop });
            assert_eq!((plan.dump, plan.record, plan.crash_loop.is_some()), expected, "{row:?}");
        }
        let mut five = in_a_row(5, header(14, 1));
        five.banks[0].boot = 12;
        let since = plan(&five, &Wishes { cycles: 100, ack: false, ..WISHES }).crash_loop;
        assert_eq!(since, Some(CrashLoop { crashes: 5, since_boot: 8 }));
    }

    #[test]
    fn a_boot_that_ended_without_a_word_counts_as_a_crash_once() {
        let mut header = in_a_row(2, header(4, 4));
        assert_eq!(crashes_in_a_row(&header), 2, "the newest one panicked, and has counted itself");
        header.banks[3].state = BankState::Recording;
        assert_eq!(crashes_in_a_row(&header), 3);
        header.banks[0].state = BankState::Recording;
        assert_eq!(crashes_in_a_row(&header), 3, "older ones have been counted by the boot behind them");
        header.banks[3].state = BankState::Clean;
        assert_eq!(crashes_in_a_row(&header), 2);
    }
}
