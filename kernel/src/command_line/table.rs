//! The one table of options: from it come the fields, the defaults, the parsing and the help.

use core::fmt;

use super::values::{
    After, Clean, Die, Dump, Expected, Full, Keep, LOG_LEVELS, Loss, Others, Parity, Payload, ReserveMem, Stop, Tail,
    Value, Watchdog, YES_OR_NO,
};
use crate::survey::ways::Ways;

/// One option of the table.
pub struct Entry {
    /// What stands before the `=`.
    pub name: &'static str,
    /// What it does. The kernel itself explains nothing, and its image is small.
    #[cfg(not(target_os = "none"))]
    pub doc: &'static str,
    /// What its value must be.
    pub expected: Expected,
    /// Sets its field from the text of a value; None if the text is not as expected.
    pub(super) set: fn(&mut Options, &[u8]) -> Option<()>,
    /// Shows its field.
    pub(super) show: fn(&Options, &mut fmt::Formatter<'_>) -> fmt::Result,
    /// Whether its field has the same value in both.
    pub(super) agrees: fn(&Options, &Options) -> bool,
}

macro_rules! options {
    ($($(#[doc = $doc:literal])+ $name:ident: $ty:ty = $default:expr, $expected:expr;)+) => {
        /// Every option, with its default where the command line does not say.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Options {
            $($(#[doc = $doc])+ pub $name: $ty,)+
        }

        impl Default for Options {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// Every option in the order in which the help shows them.
        pub static TABLE: &[Entry] = &[$(Entry {
            name: stringify!($name),
            #[cfg(not(target_os = "none"))]
            doc: concat!($($doc),+),
            expected: $expected,
            set: |options, text| {
                options.$name = Value::parse(text, $expected)?;
                Some(())
            },
            show: |options, f| options.$name.show(f),
            agrees: |one, other| one.$name == other.$name,
        }),+];
    };
}

options! {
    /// Takes the region from free memory when the device tree names none, as Linux's option does.
    reserve_mem: Option<ReserveMem> = None, ReserveMem::EXPECTED;
    /// Banks in the region: how many boots it remembers.
    banks: u32 = 4, Expected::Number(1, 16);
    /// When every bank holds an unacknowledged crash: last lets the oldest go, first stops recording.
    keep: Keep = Keep::Last, Keep::EXPECTED;
    /// When events are cleaned out of the cache: how much a reset without a panic may lose.
    clean: Clean = Clean::Panic, Clean::EXPECTED;
    /// When a core's bank is full: overwrite the oldest events or drop the newest.
    full: Full = Full::Overwrite, Full::EXPECTED;
    /// Parity lines for each sub-buffer: with n of them the next boot puts back n/2 damaged lines of 64, mostly n-1. 0 is off.
    parity: Parity = Parity::Off, Parity::EXPECTED;
    /// The means by which a panic stops the other cores; auto takes the best there is.
    stop: Stop = Stop::Auto, Stop::EXPECTED;
    /// Microseconds between two ticks of a core's timer: how long a core takes to see the stop word.
    tick_us: u32 = 1000, Expected::Number(100, 1_000_000);
    /// Events that the workload records on each core.
    events: u32 = 100_000, Expected::Number(0, 1_000_000_000);
    /// Bytes of payload in each of them: one size, or a range that sizes are drawn from.
    payload: Payload = Payload { least: 16, most: 16 }, Payload::EXPECTED;
    /// Events per second on each core; 0 is as fast as possible.
    rate: u32 = 0, Expected::Number(0, 1_000_000_000);
    /// Boots that panic and reset before the one that dumps and ends.
    cycles: u32 = 1, Expected::Number(0, 1_000_000);
    /// How the workload ends.
    die: Die = Die::Panic, Die::EXPECTED;
    /// The core on which it ends.
    die_core: u32 = 0, Expected::Number(0, 63);
    /// What the other cores do meanwhile.
    others: Others = Others::Work, Others::EXPECTED;
    /// Seconds without an ordinary tick after which a core counts as locked up, which is a panic; 0 is never.
    hang: u32 = 10, Expected::Number(0, 1_000);
    /// The board's watchdog, armed when a panic begins, so that one which hangs is reset all the same. auto arms one that is seen to count.
    watchdog: Watchdog = Watchdog::Auto, Watchdog::EXPECTED;
    /// Crashes in a row that nobody has acknowledged after which the workload does not run; 0 is never.
    crash_loop: u32 = 5, Expected::Number(0, 1_000_000);
    /// Whether a dump acknowledges the bank, which may then be used again.
    ack: bool = true, YES_OR_NO;
    /// What a boot does that finds something lost which had to survive: ends with status 1, or goes on.
    loss: Loss = Loss::Stop, Loss::EXPECTED;
    /// Only what programs read goes to the console: accounts, results, the figures of a panic.
    terse: bool = false, Expected::Nothing;
    /// Behind each core's account a number that stands for all its recovered events.
    digest: bool = false, Expected::Nothing;
    /// Lines of the merged trace that a dump prints.
    tail: Tail = Tail::Lines(24), Tail::EXPECTED;
    /// How a crash is told: text, with the last events as lines; or binary, which sends the whole bank in frames for `afterglow capture`.
    dump: Dump = Dump::Text, Dump::EXPECTED;
    /// What follows the last dump.
    after: After = After::PowerOff, After::EXPECTED;
    /// The least serious log records that go to the console.
    loglevel: log::LevelFilter = log::LevelFilter::Info, LOG_LEVELS;
    /// Where the workload's pseudo random sequence starts, and a survey's pattern, which takes the counter's value for 0.
    seed: u64 = 0, Expected::Number(0, u64::MAX);
    /// Tells, before the cores are started, how many ticks of the counter an event costs (instructions, in QEMU with -icount).
    measure: bool = false, Expected::Nothing;
    /// Before the workload: an NMI that records comes at every instruction of recording, then so many seeded pairs of an interrupt and an NMI. 0 leaves all that out. Needs a counter that ticks once an instruction (QEMU with -icount).
    nest: u32 = 0, Expected::Number(0, 1_000_000);
    /// Instead of the workload: so many rounds of filling all free memory and resetting by every way there is, to see what survives. 0 is off.
    survey: u32 = 0, Expected::Number(0, 1000);
    /// Ways to reset that a survey leaves out, as one after which this board does not come back.
    survey_without: Ways = Ways::NONE, Ways::EXPECTED;
    /// Only warnings and errors go to the console, whatever loglevel says.
    quiet: bool = false, Expected::Nothing;
}
