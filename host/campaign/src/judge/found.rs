//! What recovery makes of memory, beside what was there.

use super::promise::Promise;
use super::subbuf::{Event, SubBuf, Writer};
use super::truth::{Boot, Core, bank_bytes, subbuf};
use super::violation::{Events, Violation};
use super::work;
use ring::account::Account;
use ring::check::Crc32c;
use ring::digest::Digest;
use ring::format::Geometry;
use ring::parity;
use ring::records::{BankRecord, BankState};
use ring::recover::{Bank, Item};
use ring::region::Header;
use std::borrow::Cow;

/// What recovery finds of a core.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Where its events are, discarded ones included.
    places: Vec<Place>,
    pub(super) account: Account,
    pub(super) digest: (u32, u64),
    pub(super) run: work::Run,
}

/// The place of an event that recovery found.
#[derive(Clone, Copy, Debug)]
struct Place {
    sequence: u64,
    word: u32,
    discarded: bool,
}

/// What recovery finds of a boot.
#[derive(Clone, Debug)]
pub(super) struct Recovered<'a> {
    pub(super) record: BankRecord,
    geometry: Geometry,
    /// The bank, as parity has put it back.
    bytes: Cow<'a, [u8]>,
    pub(super) cores: Vec<Found>,
}

impl<'a> Recovered<'a> {
    /// Recovers a bank as the next boot does.
    pub(super) fn read<C: Crc32c>(region: &'a [u8], header: &Header, number: u32, crc: C) -> Option<Self> {
        let (geometry, record) = (header.geometry, *header.banks().get(number as usize)?);
        let mut bytes = Cow::Borrowed(bank_bytes(region, &geometry, number)?);
        if geometry.parity > 0 {
            for core in 0..geometry.cores {
                parity::repair(bytes.to_mut(), &geometry, &record, core, crc);
            }
        }
        let bank = Bank::new(&bytes, geometry, record, crc)?;
        let cores = (0..geometry.cores).map(|core| Found::read(&bank, core, crc)).collect();
        Some(Self { record, geometry, bytes, cores })
    }

    /// What the next boot has to call it.
    pub(super) fn is_intact(&self) -> bool {
        let is_promised = self.record.state == BankState::Panicked;
        self.cores.iter().all(|core| {
            let account = &core.account;
            let whole = account.is_final && account.damaged() == 0 && core.run.missing == 0 && core.run.falls.is_none();
            account.sum_holds() && (whole || !is_promised)
        })
    }

    /// Events recovered on all cores.
    pub(super) fn events(&self) -> u64 {
        self.cores.iter().map(|core| core.account.recovered).sum()
    }
}

impl Found {
    fn read<C: Crc32c>(bank: &Bank<'_, C>, core: u32, crc: C) -> Self {
        let ring = bank.core(core);
        let (mut places, mut digest, mut run) = (Vec::new(), Digest::new(crc), work::Run::default());
        for item in ring.items() {
            let Item::Event(event) = item else { continue };
            places.push(Place { sequence: event.sequence, word: event.word, discarded: event.discarded });
            if !event.discarded {
                digest.add(&event);
                run.add(event.id, event.fields);
            }
        }
        Self { places, account: ring.account(), digest: (digest.number(), digest.events()), run }
    }
}

/// How a core's events fared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fared {
    pub(super) committed: u64,
    pub(super) promised: u64,
    pub(super) found: u64,
    pub(super) lost: u64,
}

/// Compares one core's events, as they were there and as recovery finds them.
pub(super) struct Comparison<'a, C> {
    pub(super) boot: &'a Boot<'a>,
    pub(super) recovered: &'a Recovered<'a>,
    pub(super) number: u32,
    pub(super) promise: Promise,
    /// Nothing is promised: memory itself was damaged.
    pub(super) is_damaged: bool,
    pub(super) crc: C,
}

impl<C: Crc32c> Comparison<'_, C> {
    pub(super) fn run(&self, violations: &mut Vec<Violation>) -> Fared {
        let (Some(core), Some(found)) =
            (self.boot.cores.get(self.number as usize), self.recovered.cores.get(self.number as usize))
        else {
            return Fared::default();
        };
        let mut lists = Lists::new(self.boot.record.boot, self.number);
        let mut fared = Fared::default();
        // Both go up: sequence number, then word.
        let mut places = found.places.iter().peekable();
        for event in &core.events {
            while let Some(place) = places.next_if(|it| (it.sequence, it.word) < (event.sequence, event.word)) {
                self.unknown(core, place, &mut lists, &mut fared);
            }
            let is_found = places.next_if(|it| (it.sequence, it.word) == (event.sequence, event.word)).is_some();
            self.known(core, event, is_found, &mut lists, &mut fared);
        }
        places.for_each(|place| self.unknown(core, place, &mut lists, &mut fared));
        lists.into(violations);
        fared
    }

    fn after(&self, sequence: u64) -> Option<SubBuf<'_>> {
        subbuf(&self.recovered.bytes, &self.recovered.geometry, self.number, sequence)
    }

    /// An event that was there.
    fn known(&self, core: &Core<'_>, event: &Event, is_found: bool, lists: &mut Lists, fared: &mut Fared) {
        let (Some(before), Some(after)) = (core.subbuf(event.sequence), self.after(event.sequence)) else { return };
        let is_promised = !self.is_damaged && self.promise.holds_for(event);
        let number = work::number(event.id, before.fields(event));
        let counts = u64::from(!event.discarded);
        fared.committed += counts;
        fared.promised += if is_promised { counts } else { 0 };
        fared.found += if is_found { counts } else { 0 };
        let is_same = before.all(event) == after.all(event);
        match is_found {
            true if !is_same => lists.changed.add(event.sequence, event.word, number),
            true => {}
            false if is_promised => lists.lost.add(event.sequence, event.word, number),
            // Whoever finds the tag finds all that verify behind it.
            false if is_same && core.is_tagged(event.sequence) && before.tag_bytes() == after.tag_bytes() => {
                lists.overlooked.add(event.sequence, event.word, number);
            }
            false => fared.lost += counts,
        }
    }

    /// An event that recovery finds, and that was not there. It may be what an overwritten one left in memory: of an older
    /// lap, in a place that a newer one has claimed, or may have claimed without having written anything that verifies.
    fn unknown(&self, core: &Core<'_>, place: &Place, lists: &mut Lists, fared: &mut Fared) {
        fared.found += u64::from(!place.discarded);
        let ring = self.recovered.geometry.ring();
        let is_overwritten = core.newest.is_some_and(|newest| place.sequence + ring <= newest + 1);
        let event = || {
            let writer = Writer::new(self.crc, self.boot.record.boot_id, self.number);
            writer.event(self.after(place.sequence)?, place.sequence, place.word)
        };
        if !is_overwritten || event().is_none() {
            lists.invented.add(place.sequence, place.word, None);
        }
    }
}

/// Events that something is wrong with, by kind.
struct Lists {
    lost: List,
    overlooked: List,
    changed: List,
    invented: List,
}

impl Lists {
    fn new(boot: u64, core: u32) -> Self {
        let list = || List { boot, core, events: Vec::new() };
        Self { lost: list(), overlooked: list(), changed: list(), invented: list() }
    }
    fn into(self, violations: &mut Vec<Violation>) {
        violations.extend(self.lost.events.into_iter().map(Violation::Lost));
        violations.extend(self.overlooked.events.into_iter().map(Violation::Overlooked));
        violations.extend(self.changed.events.into_iter().map(Violation::Changed));
        violations.extend(self.invented.events.into_iter().map(Violation::Invented));
    }
}

/// Events of a core, those of a sub-buffer together.
struct List {
    boot: u64,
    core: u32,
    events: Vec<Events>,
}

impl List {
    fn add(&mut self, sequence: u64, word: u32, number: Option<u64>) {
        if let Some(last) = self.events.last_mut().filter(|last| last.sequence == sequence) {
            last.count += 1;
            last.numbers = match (last.numbers, number) {
                (Some((first, _)), Some(number)) => Some((first, number)),
                (numbers, number) => numbers.or(number.map(|number| (number, number))),
            };
            return;
        }
        let Self { boot, core, .. } = *self;
        let numbers = number.map(|number| (number, number));
        self.events.push(Events { boot, core, sequence, word, count: 1, numbers });
    }
}
