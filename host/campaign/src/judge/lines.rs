//! Lines that had to be in memory and were not.

use super::place::{Part, Place, place};
use super::promise::Promise;
use super::truth::{Boot, Header};
use super::violation::{Lines, Violation};
use cachesim::report::{Lost, Reset};
use ring::format::{LINE_SIZE, header_line, tail_line};
use std::ops::Range;

/// What is known of the boot that died, for judging lines.
pub(super) struct Judge<'a> {
    pub(super) header: &'a Header,
    /// The newest boot, if it is a crash, and what its cores were promised.
    pub(super) newest: Option<(&'a Boot<'a>, &'a [Promise])>,
    /// Its panic path came to its end.
    pub(super) whole: bool,
    /// And the reset is the one that it asked for.
    pub(super) is_end: bool,
}

/// Lines of a tail in which panics in the panic path are noted.
const NOTES: [Range<u32>; 2] = [tail_line::PANIC_NESTED..tail_line::PANIC, tail_line::PANIC_SECOND..tail_line::SCHEMA];

impl Judge<'_> {
    /// Compares the region as the cores saw it with what is in memory. Only where nothing but the cache has lost anything.
    pub(super) fn run(&self, reset: &Reset, violations: &mut Vec<Violation>) {
        let size = LINE_SIZE as usize;
        let lines = reset.before.chunks(size).zip(reset.after.chunks(size)).enumerate();
        let mut found: Vec<Lines> = Vec::new();
        for (number, (before, after)) in lines.filter(|(_, (before, after))| before != after) {
            // A line may hold the end of one thing and the beginning of another.
            let first = before.iter().zip(after).position(|(before, after)| before != after).unwrap_or(0);
            let at = (number * size + first) as u64;
            let place = self.named(place(&self.header.geometry, at));
            if !self.had_to_be_there(&place) {
                continue;
            }
            // By name: a text has several lines.
            if let Some(last) = found.last_mut().filter(|last| last.place.to_string() == place.to_string()) {
                last.count += 1;
                continue;
            }
            let at = (number * size) as u64;
            let lost = of(&reset.lost, at);
            let (stored, unfinished) = lost.map_or((None, false), |lost| (lost.stored, lost.unfinished));
            found.push(Lines { place, count: 1, at, stored, unfinished });
        }
        violations.extend(found.into_iter().map(Violation::Line));
    }

    /// With the sequence number of the sub-buffer.
    fn named(&self, place: Place) -> Place {
        let Place::Bank { bank, part: Part::SubBuffer { core, slot, inside, .. } } = place else { return place };
        let boot = self.newest.map(|(boot, _)| boot).filter(|boot| boot.bank == bank);
        let sequence = boot.and_then(|boot| boot.cores.get(core as usize)?.in_slot(slot));
        Place::Bank { bank, part: Part::SubBuffer { core, slot, sequence, inside } }
    }

    fn had_to_be_there(&self, place: &Place) -> bool {
        match *place {
            Place::Nobodys => true,
            Place::Header { copy, line } => {
                let is_used = line < header_line::BANK + self.header.geometry.banks;
                !is_used || if copy == 'A' { self.header.a_is_settled } else { self.header.b_is_settled }
            }
            Place::Bank { bank, part } => match self.newest.filter(|(boot, _)| boot.bank == bank) {
                Some((boot, promises)) => self.of_newest(boot, promises, part),
                // Nobody writes there, but who takes it over next; and who repairs it.
                None => self.header.next() != Some(bank) && !self.is_newest(bank) && self.header.geometry.parity == 0,
            },
        }
    }

    /// The newest boot's bank, also if that boot is no crash: what it leaves is its own affair.
    fn is_newest(&self, bank: u32) -> bool {
        self.header.newest() == Some(bank)
    }

    /// In the bank of the boot that died.
    fn of_newest(&self, boot: &Boot<'_>, promises: &[Promise], part: Part) -> bool {
        let promise = |core: u32| promises.get(core as usize).copied().unwrap_or_default();
        match part {
            // Written once, before the header named the boot.
            Part::Global | Part::Order { .. } | Part::ReadersPage { .. } | Part::Gap => true,
            // Notes of panics in the path come behind its clean, and are cleaned alone.
            Part::Tail { line } if NOTES.iter().any(|notes| notes.contains(&line)) => self.whole && self.is_end,
            Part::Tail { line } => {
                self.whole || matches!(line, tail_line::BUILD | tail_line::BOARD) || line >= tail_line::SCHEMA
            }
            Part::SubBuffer { core, sequence, .. } => {
                let promise = promise(core);
                promise.holds_for_all() || sequence.is_some_and(|sequence| promise.holds_for_lines_of(sequence))
            }
            // Of a core that was given up, the one who did that writes it.
            Part::Core { core, line: tail_line::STOP } => self.whole && is_known(boot, core),
            Part::Core { core, .. } | Part::LinuxHeader { core } | Part::Parity { core, .. } => {
                promise(core).holds_for_all()
            }
        }
    }
}

/// Whether a core's stop record was written whole.
fn is_known(boot: &Boot<'_>, core: u32) -> bool {
    boot.cores.get(core as usize).is_some_and(|core| core.outcome.is_some())
}

/// What is known of a line that was lost.
fn of(lost: &[Lost], at: u64) -> Option<&Lost> {
    // Lines of the cache may be longer than ours.
    lost[..lost.partition_point(|lost| lost.at <= at)].last()
}
