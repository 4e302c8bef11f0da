//! A trace made by hand, for tests: events and losses are told one by one, and stand in sub-buffers that are encoded as in a
//! region: behind each event's payload stand four bytes of a check, which is none here, and behind the page's a tag.

use crate::{
    About, Account, Clock, Core, Counts, End, Event, Format, Item, Loss, LossKind, Origin, Page, Schema, Trace,
};
use std::cell::OnceCell;
use std::fmt::{Result, Write};

/// Bytes of a sub-buffer.
pub const PAGE: usize = 4096;
/// Where its events end at the latest: behind it stands a tag.
const END: usize = 4056;
/// Stands for an event's check. No zero is in it: a text that ends in front of it has to be cut there.
const CHECK: [u8; 4] = *b"CHK!";

/// The trace.
#[derive(Debug)]
pub struct Fake {
    /// What it is about: to be changed as a test needs.
    pub about: About,
    /// What became of each core's events, if that is to be told.
    pub accounts: Vec<Option<Account>>,
    schema: Schema,
    cores: Vec<Vec<Kept>>,
    counts: Vec<OnceCell<Counts>>,
}

/// A page and what stands in it.
#[derive(Debug, Default)]
struct Kept {
    sequence: u64,
    bytes: Vec<u8>,
    /// Bytes of it that are used.
    used: usize,
    newest_ns: u64,
    missed: Option<u64>,
    /// Sub-buffers before it that are missing.
    skipped: u64,
    items: Vec<Told>,
}

#[derive(Debug)]
enum Told {
    Event { at: usize, payload: std::ops::Range<usize>, time_ns: u64, id: u16, pid: i32 },
    Loss { at: usize, kind: LossKind, events: Option<u64>, time_ns: u64 },
}

impl Fake {
    /// A trace of so many cores that has no event yet.
    #[must_use]
    pub fn new(cores: u32, formats: impl IntoIterator<Item = Format>) -> Self {
        let about = About {
            title: "boot 7, panicked".into(),
            origin: Origin::Afterglow { version: 1, bank: 0 },
            place: 0..0,
            boot: Some(7),
            boot_id: Some(0x1234_5678),
            end: End::Panicked,
            board: Some("a board".into()),
            build_id: Some("00112233445566778899aabbccddeeff00112233".into()),
            clock: Clock { name: "cntvct".into(), frequency_hz: 62_500_000, zero: 0 },
            panic: None,
            cores: vec![Core::default(); cores as usize],
            remarks: Vec::new(),
        };
        let accounts = vec![None; cores as usize];
        let cores = (0..cores).map(|_| Vec::new()).collect::<Vec<Vec<Kept>>>();
        let counts = cores.iter().map(|_| OnceCell::new()).collect();
        Self { about, accounts, schema: Schema::new(formats), cores, counts }
    }

    /// Records an event. Where a core's time goes back a new sub-buffer begins.
    ///
    /// # Panics
    /// On a core that is not there and an event that no sub-buffer holds.
    pub fn event(&mut self, core: u32, time_ns: u64, id: u16, payload: &[u8]) {
        let pid = core as i32 + 100;
        let data = 8 + payload.len().next_multiple_of(4) + CHECK.len();
        let needs = |delta: u64| {
            let long = if data > 112 { 4 } else { 0 };
            4 + long + data + if delta >> 27 == 0 { 0 } else { 8 }
        };
        let newest = self.cores[core as usize].last().map_or(0, |page| page.newest_ns);
        let is_full = |page: &Kept| time_ns < page.newest_ns || page.used + needs(time_ns - newest) > END;
        if self.cores[core as usize].last().is_none_or(is_full) {
            self.page(core, time_ns);
        }
        let Some(page) = self.cores[core as usize].last_mut() else { return };
        if page.items.is_empty() {
            page.bytes[..8].copy_from_slice(&time_ns.to_le_bytes());
            page.newest_ns = time_ns;
        }
        let (at, mut delta) = (page.used, time_ns - page.newest_ns);
        if delta >> 27 != 0 {
            page.put(&((delta as u32 & ((1 << 27) - 1)) << 5 | 30).to_le_bytes());
            page.put(&((delta >> 27) as u32).to_le_bytes());
            delta = 0;
        }
        let words = data as u32 / 4;
        let kind = if data > 112 { 0 } else { words };
        page.put(&((delta as u32) << 5 | kind).to_le_bytes());
        if kind == 0 {
            page.put(&(data as u32 + 4).to_le_bytes());
        }
        page.put(&id.to_le_bytes());
        page.put(&[1, 0]);
        page.put(&pid.to_le_bytes());
        let start = page.used;
        page.put(payload);
        page.used = start + data - 8 - CHECK.len();
        page.items.push(Told::Event { at, payload: start..page.used, time_ns, id, pid });
        page.put(&CHECK);
        page.newest_ns = time_ns;
        assert!(page.used <= END, "no sub-buffer holds it");
        page.commit();
    }

    /// Counts are told anew: `accounts` has changed.
    pub fn forget_counts(&mut self) {
        self.counts.iter_mut().for_each(|counts| *counts = OnceCell::new());
    }

    /// Something is lost here, within the sub-buffer: 16 bytes that are nobody's.
    pub fn loss(&mut self, core: u32, kind: LossKind, events: Option<u64>) {
        let newest = self.cores[core as usize].last().map_or(0, |page| page.newest_ns);
        if self.cores[core as usize].last().is_none_or(|page| page.used + 16 > END) {
            self.page(core, newest);
        }
        let Some(page) = self.cores[core as usize].last_mut() else { return };
        let at = page.used;
        page.put(&[0xa5; 16]);
        page.items.push(Told::Loss { at, kind, events, time_ns: newest });
        page.commit();
    }

    /// The next event begins a new sub-buffer, `pages` further on, before which the writer missed `missed` events.
    pub fn gap(&mut self, core: u32, pages: u64, missed: Option<u64>) {
        let newest = self.cores[core as usize].last().map_or(0, |page| page.newest_ns);
        self.page(core, newest);
        if let Some(page) = self.cores[core as usize].last_mut() {
            page.sequence += pages;
            page.skipped = pages;
            page.missed = missed;
        }
    }

    fn page(&mut self, core: u32, time_ns: u64) {
        let pages = &mut self.cores[core as usize];
        let sequence = pages.last().map_or(0, |page| page.sequence + 1);
        let mut bytes = time_ns.to_le_bytes().to_vec();
        bytes.resize(PAGE, 0);
        pages.push(Kept { sequence, bytes, used: 16, newest_ns: time_ns, missed: None, skipped: 0, items: Vec::new() });
    }
}

impl Kept {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }

    fn commit(&mut self) {
        let data = (self.used - 16) as u64;
        self.bytes[8..16].copy_from_slice(&data.to_le_bytes());
    }

    /// What is missing between the sub-buffer before and this one.
    fn before(&self, core: u32) -> Option<Item<'_>> {
        let kind = if self.skipped > 0 { LossKind::Page } else { LossKind::Missed };
        if self.skipped == 0 && self.missed.is_none() {
            return None;
        }
        Some(Item::Loss(Loss {
            core,
            page: self.sequence - self.skipped,
            bytes: (0, 0),
            kind,
            events: self.missed.filter(|events| *events > 0),
            time_ns: u64::from_le_bytes(*self.bytes.first_chunk().unwrap_or(&[0; 8])),
            what: format!("{} sub-buffers before {} are missing", self.skipped, self.sequence).into(),
        }))
    }

    fn items(&self, core: u32) -> impl Iterator<Item = Item<'_>> {
        let mut after_loss = false;
        self.items.iter().map(move |told| match told {
            Told::Event { at, payload, time_ns, id, pid } => Item::Event(Event {
                core,
                page: self.sequence,
                at: *at as u32,
                time_ns: *time_ns,
                time_is_certain: !after_loss,
                beyond_commit: false,
                after_loss: std::mem::take(&mut after_loss),
                id: *id,
                flags: 1,
                nesting: 0,
                pid: *pid,
                payload: &self.bytes[payload.clone()],
            }),
            Told::Loss { at, kind, events, time_ns } => {
                after_loss = true;
                Item::Loss(Loss {
                    core,
                    page: self.sequence,
                    bytes: (*at as u32, *at as u32 + 16),
                    kind: *kind,
                    events: *events,
                    time_ns: *time_ns,
                    what: format!("sub-buffer {}, bytes {at} to {}: {}", self.sequence, at + 16, kind.name()).into(),
                })
            }
        })
    }
}

impl Trace for Fake {
    fn about(&self) -> &About {
        &self.about
    }
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn counts(&self, core: u32) -> &Counts {
        self.counts[core as usize].get_or_init(|| Counts {
            account: self.accounts.get(core as usize).copied().flatten(),
            ..Counts::of(self.items(core), |event| event.payload.len() as u64 + 16)
        })
    }
    fn items(&self, core: u32) -> Box<dyn Iterator<Item = Item<'_>> + '_> {
        Box::new(
            self.cores
                .get(core as usize)
                .into_iter()
                .flatten()
                .flat_map(move |page| page.before(core).into_iter().chain(page.items(core))),
        )
    }
    fn pages(&self, core: u32) -> Box<dyn Iterator<Item = Page<'_>> + '_> {
        Box::new(self.cores.get(core as usize).into_iter().flatten().map(move |page| {
            let whole = page.items.iter().all(|told| matches!(told, Told::Event { .. }));
            Page {
                sequence: page.sequence,
                bytes: &page.bytes,
                data: page.used as u32 - 16,
                whole,
                missed: page.missed,
                items: if whole { Vec::new() } else { page.items(core).collect() },
            }
        }))
    }
    fn heading(&self, out: &mut dyn Write) -> Result {
        writeln!(out, "# tracer: nop")
    }
    fn context(&self, _: &Event<'_>) -> [u8; 5] {
        *b"d...."
    }
}
