//! The oracle: what a crash may have lost, and what it must not.
//!
//! The truth is the region as the cores saw it, read by a walk of its own ([`truth`]): no code of recovery's judges recovery.
//! What was found is what `ring::recover` makes of the region as memory holds it. Of the events that were there before,
//! these had to survive:
//!
//! | the boot | promised |
//! |---|---|
//! | came to the end of its panic path | every event; and no line of the region may be lost at all, but those of cores that did not answer |
//! | `clean=event` | those before the `record()` that each core was in: its last event that interrupted no other, and what nested in it |
//! | `clean=subbuffer` | those in sub-buffers that were left by a `record()` before that one |
//! | `clean=panic` | none |
//!
//! Always: nothing is found that was not there, unless it is of an older lap, and overwritten; sums hold; the boot is told; the
//! guest says exactly what the oracle's own recovery says, numbers and digests.

mod place;
mod told;
mod truth;

pub use place::place;

use cachesim::report::{Cause, Lost, Reset};
use ring::check::Table;
use ring::digest::Digest;
use ring::policy::CleanAt;
use ring::records::{BankState, StopOutcome};
use ring::recover::Bank;
use ring::region::{Found, Header, inspect, rebuild};
use std::collections::HashMap;
use std::fmt;
use truth::{Core, Event, Truth};

/// One crash, with all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Crash<'a> {
    /// The memory around it.
    pub reset: &'a Reset,
    /// What its boot promised, by `clean=`.
    pub clean: CleanAt,
    /// All that the next boot printed.
    pub told: &'a str,
}

/// What became of the events of one crash; the numbers of all its cores together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The boot that crashed.
    pub boot: Option<u64>,
    /// Its panic path had come to its end: all had to survive.
    pub whole: bool,
    /// Events that were there before the loss.
    pub committed: u64,
    /// Of these, events that had to survive.
    pub promised: u64,
    /// Events that memory holds after it.
    pub found: u64,
    /// Events that were there before and are not now, as the mode allows.
    pub lost: u64,
    /// What went wrong; empty if nothing.
    pub violations: Vec<Violation>,
}

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Events that had to survive are gone.
    Lost {
        /// Whose.
        core: u32,
        /// How many.
        events: u64,
        /// The first one's sub-buffer and word.
        first: (u64, u32),
    },
    /// Events are found that nobody recorded.
    Invented {
        /// Whose they are said to be.
        core: u32,
        /// How many.
        events: u64,
        /// The first one's sub-buffer and word.
        first: (u64, u32),
    },
    /// A line was still in the cache when a panic path had come to its end.
    Line {
        /// What it holds.
        place: String,
        /// The last store to it, if known: program counter and core.
        stored: Option<(u64, u32)>,
        /// It had been cleaned, but no DSB completed that.
        unfinished: bool,
    },
    /// The boot that crashed is not in memory.
    BootLost,
    /// The next boot does not tell of it.
    NotTold,
    /// The next boot tells something else than what memory holds.
    Told {
        /// Of which core.
        core: u32,
        /// What it says.
        says: String,
        /// What is there.
        holds: String,
    },
    /// An account that does not add up.
    Sum {
        /// Whose.
        core: u32,
    },
    /// The workload's numbers do not rise.
    Order {
        /// Whose.
        core: u32,
        /// The number, and the one behind it.
        numbers: (u64, u64),
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { core, events, first: (sequence, word) } => {
                write!(f, "core {core}: {events} promised events are lost, from sub-buffer {sequence}, word {word}")
            }
            Self::Invented { core, events, first: (sequence, word) } => {
                write!(f, "core {core}: {events} events are invented, from sub-buffer {sequence}, word {word}")
            }
            Self::Line { place, stored, unfinished } => {
                write!(f, "{place}: was not in memory at the end of the panic path")?;
                if *unfinished {
                    f.write_str("; cleaned, but no DSB completed it")?;
                }
                match stored {
                    Some((pc, core)) => write!(f, "; last stored to by core {core} at pc {pc:#x}"),
                    None => Ok(()),
                }
            }
            Self::BootLost => f.write_str("the boot that crashed is not in memory"),
            Self::NotTold => f.write_str("the next boot does not tell of the crash"),
            Self::Told { core, says, holds } => {
                write!(f, "core {core}: the next boot says {says:?}, and memory holds {holds:?}")
            }
            Self::Sum { core } => write!(f, "core {core}: the account does not add up"),
            Self::Order { core, numbers: (number, next) } => {
                write!(f, "core {core}: the workload's number {number} is followed by {next}")
            }
        }
    }
}

/// Judges a crash.
#[must_use]
pub fn judge(crash: &Crash<'_>) -> Verdict {
    let Reset { before, after, counts, .. } = crash.reset;
    let mut verdict = Verdict::default();
    let Some(truth) = truth::read(before) else { return verdict };
    verdict.boot = Some(truth.record.boot);
    verdict.whole = truth.record.state == BankState::Panicked;
    verdict.committed = truth.cores.iter().map(|core| core.events.len() as u64).sum();
    let is_damaged = counts.flipped > 0 || counts.pages > 0 || counts.power;
    let header = match inspect(after) {
        Found::Valid(header) => Some(header),
        Found::Scanned { geometry, .. } => Some(rebuild(after, geometry)),
        _ => None,
    };
    let boot = |header: &Header| {
        let mut banks = header.banks().iter().copied().zip(0..);
        banks.find(|(bank, _)| bank.boot_id == truth.record.boot_id && bank.state != BankState::Empty)
    };
    let Some((header, (record, number))) = header.and_then(|header| boot(&header).map(|found| (header, found))) else {
        if !is_damaged {
            verdict.violations.push(Violation::BootLost);
        }
        return verdict;
    };
    let geometry = header.geometry;
    if geometry != truth.geometry || number != truth.bank {
        verdict.violations.push(Violation::BootLost);
        return verdict;
    }
    let Some(bank) =
        after.get(geometry.bank(number) as usize..).and_then(|bytes| Bank::new(bytes, geometry, record, Table))
    else {
        return verdict;
    };
    let told = told::told(crash.told, truth.record.boot);
    if told.is_none() {
        verdict.violations.push(Violation::NotTold);
    }
    let mut deaf = Vec::new();
    for (core, of_core) in (0..).zip(&truth.cores) {
        let answered = of_core.outcome != Some(StopOutcome::NoAnswer);
        if !answered {
            deaf.push(core);
        }
        let promise = match (verdict.whole && answered, is_damaged) {
            (_, true) => 0,
            (true, false) => of_core.events.len(),
            (false, false) => promised(crash.clean, of_core),
        };
        judge_core(&bank, core, &truth, promise, (before, after), &mut verdict);
        if geometry.parity == 0
            && let Some(told) = &told
        {
            verdict.violations.extend(compare(&bank, core, told));
        }
    }
    // A path that was cut short while it wrote the headers, its last act, may lose of these what it had not cleaned.
    if verdict.whole && !is_damaged && crash.reset.cause == Cause::Guest {
        for lost in &crash.reset.lost {
            let place = place(&geometry, lost.at);
            if !place.core.is_some_and(|core| place.bank == Some(number) && deaf.contains(&core)) {
                let Lost { stored, unfinished, .. } = *lost;
                verdict.violations.push(Violation::Line { place: place.to_string(), stored, unfinished });
            }
        }
    }
    verdict
}

/// How many of a core's events, the oldest first, a reset without a panic may not cost.
fn promised(clean: CleanAt, core: &Core) -> usize {
    let open = open_record(core);
    match clean {
        CleanAt::Panic => 0,
        CleanAt::Event => open,
        CleanAt::SubBuffer => {
            // Up to the newest sub-buffer that was begun by a record() that has returned.
            let begins = |at: &usize| *at == 0 || core.events[at - 1].sequence != core.events[*at].sequence;
            (0..open).rev().find(begins).unwrap_or(0)
        }
    }
}

/// Where the events begin that may have been in the writing: the last one that interrupted no other, and those that nested
/// between its beginning and its claim, which stand before it.
fn open_record(core: &Core) -> usize {
    let mut open = core.events.iter().rposition(|event| event.nesting == 0).unwrap_or(0);
    while open > 0 && core.events[open - 1].nesting > 0 {
        open -= 1;
    }
    // What was never published was not promised either.
    core.events[..open].iter().take_while(|event| event.is_committed).count()
}

fn judge_core(
    bank: &Bank<'_, Table>,
    core: u32,
    truth: &Truth,
    promise: usize,
    (before, after): (&[u8], &[u8]),
    verdict: &mut Verdict,
) {
    let of_core = &truth.cores[core as usize];
    let there: HashMap<(u64, u32), (usize, &Event)> =
        of_core.events.iter().enumerate().map(|(at, event)| ((event.sequence, event.word), (at, event))).collect();
    let mut found = vec![false; of_core.events.len()];
    let (mut invented, mut last): (Vec<(u64, u32)>, Option<u64>) = (Vec::new(), None);
    for event in bank.core(core).events() {
        verdict.found += 1;
        let key = (event.sequence, event.word);
        match there.get(&key) {
            Some((at, event)) if before[event.bytes.clone()] == after[event.bytes.clone()] => found[*at] = true,
            _ if of_core.oldest.is_some_and(|oldest| event.sequence < oldest) => {}
            // Behind one that was never finished.
            _ if truth::was_there((before, after), truth, core, key) => {}
            _ => invented.push(key),
        }
        if event.id == truth::WORK
            && !event.discarded
            && let Some(number) = event.fields.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
        {
            if let Some(before) = last.filter(|last| *last >= number) {
                verdict.violations.push(Violation::Order { core, numbers: (before, number) });
            }
            last = Some(number);
        }
    }
    verdict.promised += promise as u64;
    let missing: Vec<usize> = (0..promise).filter(|at| !found[*at]).collect();
    if let Some(first) = missing.first().map(|at| &of_core.events[*at]) {
        let (events, first) = (missing.len() as u64, (first.sequence, first.word));
        verdict.violations.push(Violation::Lost { core, events, first });
    }
    if let Some(first) = invented.first() {
        verdict.violations.push(Violation::Invented { core, events: invented.len() as u64, first: *first });
    }
    verdict.lost += found[promise..].iter().filter(|found| !**found).count() as u64;
    if !bank.core(core).account().sum_holds() {
        verdict.violations.push(Violation::Sum { core });
    }
}

/// What the guest says of a core, and what is there.
fn compare(bank: &Bank<'_, Table>, core: u32, told: &told::Told) -> Option<Violation> {
    let ring = bank.core(core);
    let account = ring.account();
    let mut digest = Digest::new(Table);
    ring.events().for_each(|event| digest.add(&event));
    let holds = told::Row {
        numbers: [
            account.attempted,
            account.recovered,
            account.overwritten,
            account.damaged(),
            account.unfinished,
            account.dropped(),
        ],
        digest: Some((digest.number(), digest.events())),
    };
    let says = told.rows.get(&core);
    // A kernel that was not asked for digests says none.
    let agrees = says
        .is_some_and(|says| says.numbers == holds.numbers && says.digest.is_none_or(|_| says.digest == holds.digest));
    (!agrees).then(|| Violation::Told {
        core,
        says: says.map_or("nothing".into(), ToString::to_string),
        holds: holds.to_string(),
    })
}
