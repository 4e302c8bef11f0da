//! What became of a region with a fault in it: nothing, something that recovery says, or something that it does not say.
#![allow(unreachable_pub, reason = "a module of a test")]

use crate::fault::{Fault, Place};
use crate::support::{BOOT_ID, linux_accepts};
use crate::world::{CORES, Core, Random, World, bank_of};
use ring::check::Crc32c;
use ring::format::tail_line;
use ring::linux::SUBBUF_SIZE;
use ring::recover::{Bank, Hole, Item, Recovered};
use ring::region::{Found, Header, inspect, rebuild};
use ring::verdict::{Older, Verdict};
use std::ops::AddAssign;

/// Sums over many faults.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub faults: u64,
    /// Everything that recovery says is what it says of the undamaged region.
    pub no_effect: u64,
    pub noticed: u64,
    /// Something is wrong or missing, and nothing says so. Must be 0.
    pub silent: u64,
    /// Events in the same sub-buffer (or, for faults elsewhere, anywhere) that no byte of the fault touched.
    pub untouched: u64,
    /// Of those, recovered.
    pub kept: u64,
    /// Stale faults that cost an event and brought a whole older one, and those of them that recovery calls stale.
    pub stale: u64,
    pub called_stale: u64,
    /// Called stale, and it was not, or of another lap or boot than is named.
    pub misnamed: u64,
    /// Linux's own checks at boot refuse the bank.
    pub linux: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.faults += other.faults;
        self.no_effect += other.no_effect;
        self.noticed += other.noticed;
        self.silent += other.silent;
        self.untouched += other.untouched;
        self.kept += other.kept;
        self.stale += other.stale;
        self.called_stale += other.called_stale;
        self.misnamed += other.misnamed;
        self.linux += other.linux;
    }
}

/// What recovery says of one fault.
#[derive(Default)]
struct Said {
    /// Something differs from the undamaged region.
    differs: bool,
    /// It says so: a hole, an account that is not whole, a time that is not certain, a line that is lost.
    reported: bool,
    /// What is wrong and not said.
    wrong: Option<String>,
}

impl Said {
    fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.differs = true;
        self.wrong.get_or_insert_with(what);
    }
}

/// Looks at a region that holds a fault. `everything`: also at the cores that it should not concern.
pub fn judge<C: Crc32c>(
    region: &[u8],
    fault: &Fault,
    world: &World,
    crc: C,
    everything: bool,
) -> (Tally, Option<String>) {
    let mut tally = Tally { faults: 1, ..Tally::default() };
    let mut said = Said::default();
    let header = open(region, world, &mut said);
    match header.and_then(|header| bank_of(region, &header, crc)) {
        None => said.reported = true,
        Some(bank) => {
            for core in 0..CORES {
                let ring = world.ring(core);
                let concerned = fault.edits.iter().any(|(at, _)| ring.contains(at));
                if concerned || everything || !in_rings(fault) {
                    judge_core(&bank, core, fault, world, &mut said, &mut tally);
                }
            }
            if everything || fault.place == Place::Tail || fault.place == Place::Headers {
                judge_lines(&bank, world, &mut said);
            }
        }
    }
    match (&said.wrong, said.differs, said.reported) {
        (Some(_), _, _) | (None, true, false) => tally.silent = 1,
        (None, _, true) => tally.noticed = 1,
        (None, false, false) => tally.no_effect = 1,
    }
    let bank = world.bank();
    let linux_part = &region[bank..bank + world.geometry.linux_size as usize];
    tally.linux = u64::from(linux_accepts(linux_part, u64::from(world.geometry.cores)).is_err());
    let silent = tally.silent == 1;
    (tally, silent.then(|| said.wrong.unwrap_or_else(|| "differs, and does not say so".into())))
}

fn in_rings(fault: &Fault) -> bool {
    matches!(fault.place, Place::Events | Place::SubBufferHeader | Place::Tag)
}

/// The header that a boot would go on with.
fn open(region: &[u8], world: &World, said: &mut Said) -> Option<Header> {
    let header = match inspect(region) {
        Found::Valid(header) => header,
        Found::Scanned { geometry, .. } => {
            said.reported = true;
            rebuild(region, geometry)
        }
        _ => return None,
    };
    if header != world.header && !said.reported {
        said.wrong(|| format!("the header says {header:?}"));
    }
    Some(header)
}

fn judge_lines<C: Crc32c>(bank: &Bank<'_, C>, world: &World, said: &mut Said) {
    for (number, truth) in (0..).zip(&world.lines) {
        let found = bank.line(number).map(|line| *line.payload());
        // The bank's record counts only where the header's two are lost.
        if found != *truth && number != tail_line::BANK {
            said.differs = true;
            // A lost line is told by its absence. One that is there is a core's own from earlier: judged by what it says.
            said.reported |= found.is_none();
        }
    }
    for (core, truth) in (0..).zip(&world.cores) {
        let stop = bank.stop_record(core);
        if stop.is_some() && stop != truth.stop {
            said.wrong(|| format!("core {core} was stopped otherwise: {stop:?}"));
        }
        said.reported |= stop != truth.stop;
    }
}

fn judge_core<C: Crc32c>(
    bank: &Bank<'_, C>,
    core: u32,
    fault: &Fault,
    world: &World,
    said: &mut Said,
    tally: &mut Tally,
) {
    let truth = &world.cores[core as usize];
    let ring = bank.core(core);
    let account = ring.account();
    let mut expected = truth.items.iter().zip(&truth.ends).peekable();
    let (mut lost, mut found, mut stale, mut holes) = (0u64, 0u64, false, false);
    let touched = |event: &Recovered<'_>, end: u32| touches(world, core, fault, event, end);
    for item in ring.items() {
        let event = match item {
            Item::Hole(hole) => {
                holes = true;
                said.reported = true;
                if matches!(hole.verdict, Verdict::StaleLap | Verdict::StaleBoot) {
                    let right = is_named_rightly(world, &hole);
                    stale |= right;
                    tally.misnamed += u64::from(!right);
                }
                continue;
            }
            Item::Event(event) => event,
        };
        found += u64::from(!event.discarded);
        // Both run in the order of writing: what stands before this event in the truth was not found.
        let mut known = None;
        while let Some((Item::Event(was), end)) = expected
            .next_if(|(i, _)| matches!(i, Item::Event(e) if (e.sequence, e.word) <= (event.sequence, event.word)))
        {
            if (was.sequence, was.word) == (event.sequence, event.word) {
                known = Some((was, *end));
            } else {
                lost += 1;
                count_lost(world, core, fault, was, touched(was, *end), tally);
            }
        }
        match known {
            Some((was, end)) => {
                compare(&event, was, said);
                if counts(world, core, fault, was) && !touched(was, end) {
                    tally.untouched += 1;
                    tally.kept += 1;
                }
            }
            None => said.wrong(|| format!("invented: {event:?}")),
        }
    }
    for (item, end) in expected {
        let Item::Event(was) = item else { continue };
        lost += 1;
        count_lost(world, core, fault, was, touched(was, *end), tally);
    }
    judge_account(truth, &account, (found, lost, holes), said);
    if fault.brings_an_event && lost > 0 {
        tally.stale += 1;
        tally.called_stale += u64::from(stale);
    }
}

fn judge_account(truth: &Core, account: &ring::account::Account, found: (u64, u64, bool), said: &mut Said) {
    let (found, lost, holes) = found;
    said.differs |= *account != truth.account || lost > 0;
    said.reported |= !account.is_final || account.damaged() + account.unfinished > 0 || account.uncertain_times > 0;
    said.reported |= account.beyond_commit != truth.account.beyond_commit;
    if !account.sum_holds() {
        said.wrong(|| format!("the sum does not hold: {account:?}"));
    }
    if account.recovered != found {
        said.wrong(|| format!("{found} events, accounted for as {account:?}"));
    }
    if account.is_final && account.attempted != truth.account.attempted {
        said.wrong(|| format!("wrong attempts: {account:?}"));
    }
    let told = account.damaged() + account.unfinished;
    if lost > 0 && told == 0 && (!holes || account.is_final) {
        said.wrong(|| format!("{lost} events lost, and the account says nothing of it: {account:?}"));
    }
}

/// An event that was found must be the one that was written.
fn compare(event: &Recovered<'_>, was: &Recovered<'_>, said: &mut Said) {
    let content = |e: &Recovered<'_>| (e.id, e.flags, e.nesting, e.pid, e.discarded);
    if content(event) != content(was) || event.fields != was.fields {
        said.wrong(|| format!("other bytes: {event:?}, not {was:?}"));
    } else if event.time_is_certain && event.time_ns != was.time_ns {
        said.wrong(|| format!("a wrong time called certain: {event:?}, not {was:?}"));
    }
    said.differs |= (event.time_ns, event.time_is_certain, event.verdict) != (was.time_ns, true, was.verdict);
    said.reported |= !event.time_is_certain || event.verdict != was.verdict;
}

/// Whether an event is one of those that must be kept: it stands where the fault is.
fn counts(world: &World, core: u32, fault: &Fault, event: &Recovered<'_>) -> bool {
    let start = subbuf_at(world, core, event.sequence);
    !in_rings(fault) || fault.edits.iter().any(|(at, _)| (start..start + SUBBUF_SIZE as usize).contains(at))
}

fn count_lost(world: &World, core: u32, fault: &Fault, event: &Recovered<'_>, touched: bool, tally: &mut Tally) {
    if counts(world, core, fault, event) && !touched {
        tally.untouched += 1;
    }
}

fn subbuf_at(world: &World, core: u32, sequence: u64) -> usize {
    world.bank() + world.geometry.subbuf(core, sequence) as usize
}

/// Whether a fault put anything into an event's bytes.
fn touches(world: &World, core: u32, fault: &Fault, event: &Recovered<'_>, end: u32) -> bool {
    let start = subbuf_at(world, core, event.sequence);
    let bytes = start + 4 * event.word as usize..start + 4 * end as usize;
    fault.edits.iter().any(|(at, new)| *at < bytes.end && bytes.start < at + new.len())
}

/// Whether a hole that is called stale is called after a lap or boot that had written there.
fn is_named_rightly(world: &World, hole: &Hole) -> bool {
    let at = subbuf_at(world, hole.core, hole.sequence);
    let ring = world.geometry.ring();
    let tag = |region: &Vec<u8>| ring::scan::Tag::load(&region[at..at + SUBBUF_SIZE as usize]);
    let mut tags = world.boots.iter().chain(&world.laps).filter_map(tag);
    match hole.older {
        Some(Older::Lap { sequence }) => sequence < hole.sequence && sequence % ring == hole.sequence % ring,
        Some(Older::Boot { boot_id, sequence }) => {
            tags.any(|tag| tag.boot_id == boot_id && sequence <= tag.sequence && sequence % ring == tag.sequence % ring)
        }
        Some(Older::UnknownBoot) => tags.any(|tag| tag.boot_id != BOOT_ID),
        None => false,
    }
}

/// A number that says which fault it was, for whoever wants to see it again.
pub fn random_of(seed: u64, number: u64) -> Random {
    let mut random = Random::new(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
    random.next();
    random
}
