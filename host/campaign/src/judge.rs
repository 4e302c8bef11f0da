//! The oracle: what a crash may have lost, and what it must not.
//!
//! The truth is the region as the cores saw it, read by the format's page alone (`truth`, `subbuf`): no code of recovery's
//! judges recovery. What was found is what `ring::recover` makes of the region as memory holds it, which the next boot does
//! as well; its words are compared with that. Both are about the newest boot that the header names; other crashes that nobody
//! has seen must stand as they stood.
//!
//! Of the events that were there, these had to survive:
//!
//! | the boot | promised |
//! |---|---|
//! | came to the end of its panic path: the header, as the cores saw it, says so | every event, also behind the commit word. Of a core that was given up: those in sub-buffers older than the one before the open one, and what its mode promises |
//! | `clean=event` | those up to the last but one of the events that interrupted no other: its `record()` returned before the last one was claimed. Events that nested behind it may have interrupted the last one's claim, and are not |
//! | `clean=subbuffer` | those in sub-buffers older than the one in which that event stands |
//! | `clean=panic` | none |
//!
//! And these lines of 64 bytes had to be in memory:
//!
//! | line | when |
//! |---|---|
//! | of header A | once B has been begun to be written like it; of B, once A is written anew, the panic path is at its end, or the workload records |
//! | what is written once, before the header names the boot: Linux's global header, orders and reader's pages, build id, board, schema; what nobody writes | always |
//! | notes of panics in the panic path | it came to its end, and the machine itself asked for the reset |
//! | all else of the bank, but for cores that were given up (of these the stop record, and sub-buffers as above) | the panic path came to its end |
//! | all of a sub-buffer | its events are promised as a sub-buffer's |
//! | other banks | always, but the one whose turn is next; with parity, they may be under repair |
//!
//! Always: what is found was there, or is of an older lap in a place that a newer one has claimed; an event whose bytes are in
//! memory behind its tag is found; accounts add up; the workload's numbers rise, and its data are right; the next boot tells
//! every crash, in the oracle's numbers and digests, and calls intact what is. Where memory itself was damaged (flips, lost
//! pages, power cuts) nothing is promised; then damage to a panic must not be called intact.
//!
//! A header whose banks are one cannot say whether the next boot has begun to take it over: the oracle wants two at least.

mod found;
mod lines;
mod place;
mod promise;
mod subbuf;
mod told;
mod truth;
mod violation;
mod words;
mod work;

pub use place::{Inside, Part, Place, place};
pub use violation::{Events, Lines, Violation};

use cachesim::report::{Cause, Reset};
use found::{Comparison, Fared, Recovered};
use promise::Promise;
use ring::check::{Crc32c, Table};
use ring::policy::CleanAt;
use ring::records::{BankState, StopOutcome};
use ring::region::{Found, Header, inspect, rebuild};
use told::Told;
use truth::Boot;

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
    /// The boot that crashed. None: the newest boot that the header names is no crash that anybody still has to see.
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
    /// Digests of the next boot that were compared, of all crashes that it told.
    pub digests: u64,
    /// What went wrong; empty if nothing.
    pub violations: Vec<Violation>,
}

/// Judges a crash.
#[must_use]
pub fn judge(crash: &Crash<'_>) -> Verdict {
    #[cfg(target_arch = "x86_64")]
    if let Some(crc) = ring::check::Instruction::detect() {
        return judge_by(crash, crc);
    }
    judge_by(crash, Table)
}

fn judge_by<C: Crc32c>(crash: &Crash<'_>, crc: C) -> Verdict {
    let Reset { before, after, counts, .. } = crash.reset;
    let mut verdict = Verdict::default();
    if before.len() != after.len() {
        let text = format!("the reset's images are of {} and {} bytes", before.len(), after.len());
        verdict.violations.push(Violation::Other(text));
        return verdict;
    }
    let is_damaged = counts.flipped > 0 || counts.pages > 0 || counts.power;
    let content = inspect(after);
    let memory = Memory::read(after, &content, crc);
    let told = Told::read(crash.told);
    if let Some(header) = truth::Header::read(before) {
        let case = Case { crash, crc, header, memory: memory.as_ref(), told: &told, is_damaged };
        case.judge(&mut verdict);
    }
    words::judge(crash.told, &told, &content, memory.as_ref(), &mut verdict);
    verdict
}

/// What memory holds, as the next boot sees it.
struct Memory<'a> {
    header: Header,
    /// The crashes that the next boot has to tell.
    crashes: Vec<(u32, Recovered<'a>)>,
    /// One that goes, since every bank holds a crash: the next boot may leave it out.
    goes: Option<u64>,
}

impl<'a> Memory<'a> {
    /// None where no header is left, nor could be made of what a scan finds.
    fn read<C: Crc32c>(region: &'a [u8], content: &Found, crc: C) -> Option<Self> {
        let header = match content {
            Found::Valid(header) => *header,
            Found::Scanned { geometry, .. } => rebuild(region, *geometry),
            _ => return None,
        };
        let crashes = header.crashes().filter_map(|bank| Some((bank, Recovered::read(region, &header, bank, crc)?)));
        let (next, is_crash) = header.next_bank();
        let goes = header.banks().get(next as usize).filter(|_| is_crash).map(|record| record.boot);
        Some(Self { header, crashes: crashes.collect(), goes })
    }

    /// What is left of a boot.
    fn of(&self, bank: u32, boot_id: u32) -> Option<&Recovered<'a>> {
        let is_it = |(number, found): &&(u32, Recovered<'a>)| *number == bank && found.record.boot_id == boot_id;
        self.crashes.iter().find(is_it).map(|(_, recovered)| recovered)
    }
}

/// A crash beside what memory holds.
struct Case<'c, C> {
    crash: &'c Crash<'c>,
    crc: C,
    header: truth::Header,
    memory: Option<&'c Memory<'c>>,
    told: &'c Told,
    is_damaged: bool,
}

impl<C: Crc32c> Case<'_, C> {
    fn judge(mut self, verdict: &mut Verdict) {
        let before = &self.crash.reset.before;
        let boots: Vec<Boot<'_>> = (0..self.header.geometry.banks)
            .filter(|bank| self.header.records[*bank as usize].state.is_crash())
            .filter_map(|bank| Boot::read(before, &self.header, bank, self.crc))
            .collect();
        let newest = boots.iter().find(|boot| Some(boot.bank) == self.header.newest());
        verdict.boot = newest.map(|boot| boot.record.boot);
        verdict.whole = newest.is_some_and(|boot| boot.record.state == BankState::Panicked);
        self.settle_header(newest);
        self.judge_header(newest, verdict);
        let promises: Vec<Promise> = newest.map_or(Vec::new(), |boot| {
            boot.cores.iter().map(|core| Promise::of(core, self.crash.clean, verdict.whole)).collect()
        });
        if !self.is_damaged {
            let lines = lines::Judge {
                header: &self.header,
                newest: newest.map(|boot| (boot, promises.as_slice())),
                whole: verdict.whole,
                is_end: self.crash.reset.cause == Cause::Guest,
            };
            lines.run(self.crash.reset, &mut verdict.violations);
        }
        for boot in &boots {
            let is_newest = newest.is_some_and(|newest| newest.bank == boot.bank);
            // It may have been taken over already.
            if is_newest || self.header.next() != Some(boot.bank) {
                let fared = self.judge_boot(boot, if is_newest { &promises } else { &[] }, verdict);
                if is_newest {
                    verdict.committed = fared.committed;
                    verdict.promised = fared.promised;
                    verdict.found = fared.found;
                    verdict.lost = fared.lost;
                }
            }
        }
    }

    /// Two equal copies do not say whether the second one's clean is complete. What comes behind it does: the reset at the end
    /// of the panic path, the workload.
    fn settle_header(&mut self, newest: Option<&Boot<'_>>) {
        let Some(boot) = newest.filter(|_| self.header.is_equal) else { return };
        self.header.b_is_settled |= match boot.record.state {
            BankState::Panicked => self.crash.reset.cause == Cause::Guest,
            _ => boot.cores.iter().any(|core| core.events.iter().any(|event| event.id == work::ID)),
        };
    }

    /// Whether memory knows of the newest boot what the header said.
    fn judge_header(&self, newest: Option<&Boot<'_>>, verdict: &mut Verdict) {
        let Some(memory) = self.memory.filter(|_| !self.is_damaged) else {
            if let Some(boot) = newest.filter(|boot| !self.is_damaged && self.is_named(boot)) {
                verdict.violations.push(Violation::BootLost { boot: boot.record.boot });
            }
            return;
        };
        let known = self.header.records.iter().map(|record| record.boot).max().unwrap_or(0);
        let found = memory.header.banks().iter().map(|record| record.boot).max().unwrap_or(0);
        if found > known {
            verdict.violations.push(Violation::BootInvented { boot: found });
        }
        let Some(boot) = newest else { return };
        let record = memory.header.banks().get(boot.bank as usize);
        if self.is_named(boot) && record.is_none_or(|record| record.boot_id != boot.record.boot_id) {
            verdict.violations.push(Violation::BootLost { boot: boot.record.boot });
        } else if self.header.a_is_settled && record != Some(&boot.record) {
            verdict.violations.push(Violation::RecordChanged { bank: boot.bank });
        }
    }

    /// Whether a header in memory names the boot for sure: copy A is there, or the boot has begun to record behind that.
    fn is_named(&self, boot: &Boot<'_>) -> bool {
        self.header.a_is_settled || boot.cores.iter().any(|core| core.newest.is_some())
    }

    /// Compares what was there of a boot with what is found.
    fn judge_boot(&self, boot: &Boot<'_>, promises: &[Promise], verdict: &mut Verdict) -> Fared {
        let mut sum = Fared::default();
        let is_newest = !promises.is_empty();
        let recovered = self.memory.and_then(|memory| memory.of(boot.bank, boot.record.boot_id));
        for (number, core) in (0..).zip(&boot.cores) {
            let Some(recovered) = recovered else {
                let events = core.events.iter().filter(|event| !event.discarded).count() as u64;
                sum.committed += events;
                sum.lost += events;
                continue;
            };
            let promise = promises.get(number as usize).copied().unwrap_or_default();
            let (is_damaged, crc) = (self.is_damaged, self.crc);
            let fared = Comparison { boot, recovered, number, promise, is_damaged, crc }.run(&mut verdict.violations);
            sum.committed += fared.committed;
            sum.promised += fared.promised;
            sum.found += fared.found;
            sum.lost += fared.lost;
            if is_newest {
                self.judge_core(boot, recovered, number, verdict);
            }
        }
        if is_newest && self.is_damaged {
            self.judge_damage(boot, recovered, sum.lost, verdict);
        }
        sum
    }

    /// What else must be right of a core of the newest boot.
    fn judge_core(&self, boot: &Boot<'_>, recovered: &Recovered<'_>, number: u32, verdict: &mut Verdict) {
        let (core, found) = (&boot.cores[number as usize], &recovered.cores[number as usize]);
        let account = &found.account;
        if self.is_damaged {
            return;
        }
        // A boot that died before this reset may have lost what it published.
        let lived = verdict.whole || self.has_changed(boot.bank);
        if let Some((sequence, word)) = core.unsound.first().filter(|_| lived) {
            let (boot, count) = (boot.record.boot, core.unsound.len() as u64);
            let events = Events { boot, core: number, sequence: *sequence, word: *word, count, numbers: None };
            verdict.violations.push(Violation::Unsound(events));
        }
        if !verdict.whole || core.outcome == Some(StopOutcome::NoAnswer) {
            return;
        }
        if account.damaged() > 0 {
            verdict.violations.push(Violation::FalseAlarm { core: number, damaged: account.damaged() });
        }
        if let Some(counters) = core.counters.filter(|counters| counters.last) {
            // Discarded events are among those reserved.
            let refused = counters.refused.iter().take(counters.refused.len() - 1).map(|n| u64::from(*n)).sum();
            let counted = counters.reserved.saturating_add(refused);
            if account.attempted != counted {
                let account = account.attempted;
                verdict.violations.push(Violation::Attempted { core: number, account, counted });
            }
        }
        let explained = account.damaged() + account.unfinished + account.dropped();
        if found.run.missing > explained {
            verdict.violations.push(Violation::Gap { core: number, missing: found.run.missing, explained });
        }
    }

    /// Whether this reset cost a bank anything: then its boot lived until now.
    fn has_changed(&self, bank: u32) -> bool {
        let Reset { before, after, .. } = self.crash.reset;
        let bytes = |region| truth::bank_bytes(region, &self.header.geometry, bank);
        bytes(before) != bytes(after)
    }

    /// Damage that cost a panic events must not be called intact.
    fn judge_damage(&self, boot: &Boot<'_>, recovered: Option<&Recovered<'_>>, lost: u64, verdict: &mut Verdict) {
        let Some(recovered) = recovered else { return };
        let was_panic = verdict.whole && recovered.record.state == BankState::Panicked;
        let told = self.told.crashes.iter().find(|crash| crash.boot == Some(boot.record.boot));
        let is_called_intact = told.and_then(|told| told.verdict).is_some_and(|(_, intact)| intact);
        if was_panic && lost > 0 && is_called_intact {
            verdict.violations.push(Violation::Unnoticed { events: lost });
        }
    }
}
