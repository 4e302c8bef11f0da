//! A bank of an Afterglow region as a trace: recovery's items in the model's words.

use crate::about;
use ring::check::Crc32c;
use ring::format::{DATA_END, DATA_START};
use ring::recover::{Bank, CoreRing, Hole, Item as Found, Items, Recovered};
use ring::verdict::Verdict;
use std::cell::OnceCell;
use std::fmt::{Result, Write};
use trace::{About, Counts, Event, Item, Loss, LossKind, Page, Schema, Trace};

/// A bank.
pub(crate) struct BankTrace<'a, C> {
    about: About,
    schema: Schema,
    cores: Vec<CoreRing<'a, C>>,
    counts: Vec<OnceCell<Counts>>,
}

impl<'a, C: Crc32c> BankTrace<'a, C> {
    /// `place` is where the bank begins in the image, `number` which bank of the region it is.
    pub(crate) fn new(bank: &Bank<'a, C>, place: u64, number: u32) -> Self {
        let cores: Vec<_> = (0..bank.geometry().cores).map(|core| bank.core(core)).collect();
        let mut about = about::of(bank, place, number);
        let schema = schema(bank, &mut about);
        Self { about, schema, counts: cores.iter().map(|_| OnceCell::new()).collect(), cores }
    }

    fn told(&self, core: u32) -> Option<Told<'a, C>> {
        let ring = self.cores.get(core as usize)?;
        let counters = ring.counters();
        Some(Told {
            items: ring.items(),
            time_ns: 0,
            after_loss: None,
            // Of the open end of what a core wrote nothing shows that there was an event, unless the core counted one.
            open_end_counts: counters.is_some_and(|counters| counters.last && counters.in_flight > 0),
        })
    }
}

/// What stands in the bank's schema for a line of it that is lost.
const LOST: &[u8] = b"????????";

/// The bank's own schema; for events whose description is lost, this program's: an id never means anything else.
fn schema<C: Crc32c>(bank: &Bank<'_, C>, about: &mut About) -> Schema {
    let text = about::schema(bank);
    let is_whole = |line: &[u8]| !line.windows(LOST.len()).any(|part| part == LOST);
    let own: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| is_whole(line)).collect();
    let lost = text.windows(LOST.len()).any(|part| part == LOST);
    if lost || text.is_empty() {
        about.remarks.push("part of the schema is lost: this program's own describes the events instead".into());
    }
    let fallback = if lost || text.is_empty() { kernel::events::SCHEMA.as_bytes() } else { &[] };
    Schema::of_region(&[own.join(&b'\n').as_slice(), b"\n", fallback].concat())
}

/// Recovery's items of one core, told in the model's words.
struct Told<'a, C> {
    items: Items<'a, C>,
    /// Time of the last event.
    time_ns: u64,
    /// The sub-buffer in which a loss was the last item.
    after_loss: Option<u64>,
    open_end_counts: bool,
}

impl<'a, C: Crc32c> Iterator for Told<'a, C> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            match self.items.next()? {
                Found::Event(event) if event.discarded => {}
                Found::Event(event) => {
                    self.time_ns = event.time_ns;
                    let after_loss = self.after_loss.take() == Some(event.sequence);
                    return Some(Item::Event(self::event(&event, after_loss)));
                }
                Found::Hole(hole) if is_open(&hole) && !self.open_end_counts => {}
                Found::Hole(hole) => {
                    self.after_loss = Some(hole.sequence);
                    return Some(Item::Loss(loss(&hole, self.time_ns)));
                }
            }
        }
    }
}

/// Whether nothing shows that there was an event at all.
fn is_open(hole: &Hole) -> bool {
    hole.verdict == Verdict::Unfinished && u64::from(hole.to) * 4 == DATA_END
}

fn event<'a>(event: &Recovered<'a>, after_loss: bool) -> Event<'a> {
    Event {
        core: event.core,
        page: event.sequence,
        at: event.word * 4,
        time_ns: event.time_ns,
        time_is_certain: event.time_is_certain,
        beyond_commit: event.verdict == Verdict::BeyondCommit,
        after_loss,
        id: event.id,
        flags: event.flags,
        nesting: event.nesting,
        pid: event.pid,
        payload: event.fields,
    }
}

fn loss<'a>(hole: &Hole, time_ns: u64) -> Loss<'a> {
    let is_whole = u64::from(hole.from) * 4 == DATA_START && u64::from(hole.to) * 4 == DATA_END;
    let kind = match hole.verdict {
        Verdict::Unfinished => LossKind::Unfinished,
        Verdict::StaleLap | Verdict::StaleBoot => LossKind::Stale,
        _ if is_whole => LossKind::Page,
        _ => LossKind::Flipped,
    };
    let bytes = (hole.from * 4, hole.to * 4);
    Loss { core: hole.core, page: hole.sequence, bytes, kind, events: None, time_ns, what: hole.to_string().into() }
}

impl<C: Crc32c> Trace for BankTrace<'_, C> {
    fn about(&self) -> &About {
        &self.about
    }
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn counts(&self, core: u32) -> &Counts {
        let (Some(ring), Some(cell)) = (self.cores.get(core as usize), self.counts.get(core as usize)) else {
            return &Counts::NONE;
        };
        cell.get_or_init(|| {
            let items = self.told(core).into_iter().flatten();
            Counts { account: Some(ring.account()), ..Counts::of(items, |event| event.payload.len() as u64 + 16) }
        })
    }
    fn items(&self, core: u32) -> Box<dyn Iterator<Item = Item<'_>> + '_> {
        Box::new(self.told(core).into_iter().flatten())
    }
    fn pages(&self, core: u32) -> Box<dyn Iterator<Item = Page<'_>> + '_> {
        let Some(ring) = self.cores.get(core as usize) else { return Box::new(std::iter::empty()) };
        Box::new(ring.sequences().filter_map(move |sequence| self.page(ring, sequence)))
    }
    fn heading(&self, out: &mut dyn Write) -> Result {
        out.write_str(kernel::dump::COLUMNS)
    }
    fn context(&self, event: &Event<'_>) -> [u8; 5] {
        let [irqs, context, nesting] = kernel::dump::context(event.flags, event.nesting);
        [irqs, b'.', context, nesting, b' ']
    }
}

impl<'a, C: Crc32c> BankTrace<'a, C> {
    fn page(&self, ring: &CoreRing<'a, C>, sequence: u64) -> Option<Page<'a>> {
        let bytes = ring.bytes_of(sequence)?;
        if let Some(end) = ring.whole(sequence) {
            return Some(Page {
                sequence,
                bytes,
                data: end - DATA_START as u32,
                whole: true,
                missed: None,
                items: Vec::new(),
            });
        }
        let one = Told { items: ring.items_of(sequence), ..self.told(ring.core())? };
        let items: Vec<_> = one.collect();
        let data = (DATA_END - DATA_START) as u32;
        Some(Page { sequence, bytes, data, whole: false, missed: None, items })
    }
}
