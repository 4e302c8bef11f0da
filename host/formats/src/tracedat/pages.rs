//! A core's sub-buffers in a trace.dat: copied where all of a sub-buffer can be believed, encoded anew where not.

use super::forms::Forms;
use std::io::{self, Write};
use trace::{Event, Item, Page};

/// Bytes that are written at once.
const FLUSH: usize = 1 << 20;
/// Time stamp and commit word.
const HEAD: usize = 16;
/// Linux's bits of a commit word: events are missing before this page, and how many stands behind its data.
const MISSED: u64 = 1 << 31;
const MISSED_STORED: u64 = 1 << 30;
/// Longest time between two events that an event's header holds, and one more.
const DELTA_END: u64 = 1 << 27;
/// Types of Linux's event headers.
const PADDING: u32 = 29;
const TIME_EXTEND: u32 = 30;
/// Most words of data that a header alone can tell.
const WORDS_MAX: usize = 28;

/// Events that are missing: how many, if that is known of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Missing(Option<u64>);

/// What became of one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Bytes of its pages.
    pub(super) bytes: u64,
    /// Events in them.
    pub(super) events: u64,
    /// Events that are known to be missing, one at least for each place where some are.
    pub(super) lost: u64,
}

/// Writes one core after the other.
pub(super) struct Pages<'p, 's> {
    out: &'p mut dyn Write,
    forms: &'p mut Forms<'s>,
    /// Bytes of a sub-buffer.
    size: usize,
    /// Bytes behind each event that are no field of it.
    trailer: usize,
    buffer: Vec<u8>,
    counts: Written,
    /// The page being encoded: where in the buffer, how far, time of its last event.
    open: Option<(usize, usize, u64)>,
    missing: Option<Missing>,
    /// Of the last loss: when, and in words.
    last_loss: (u64, String),
}

impl<'p, 's> Pages<'p, 's> {
    pub(super) fn new(out: &'p mut dyn Write, forms: &'p mut Forms<'s>, size: usize, trailer: usize) -> Self {
        let buffer = Vec::with_capacity(FLUSH + 2 * size);
        let last_loss = (0, String::new());
        Self { out, forms, size, trailer, buffer, counts: Written::default(), open: None, missing: None, last_loss }
    }

    /// One core. `loss` is the id of the event that says what is lost behind all others.
    pub(super) fn core<'t>(
        &mut self,
        core: u32,
        pages: impl Iterator<Item = Page<'t>>,
        loss: u16,
    ) -> io::Result<Written> {
        self.counts = Written::default();
        let mut next = None;
        for page in pages {
            if page.missed.is_some() || next.is_some_and(|next| page.sequence > next) {
                self.miss(page.missed.filter(|events| *events > 0));
                let words = format!("events before sub-buffer {} are missing", page.sequence);
                self.last_loss = (time(page.bytes), words);
            }
            next = Some(page.sequence.saturating_add(1));
            if !(page.whole && self.copy(&page)) {
                page.items.iter().try_for_each(|item| {
                    self.item(item);
                    self.make_room()
                })?;
            }
            self.make_room()?;
        }
        self.end(core, loss);
        self.flush()?;
        Ok(self.counts)
    }

    fn miss(&mut self, events: Option<u64>) {
        self.counts.lost = self.counts.lost.saturating_add(events.unwrap_or(1));
        self.missing = Some(match (self.missing, events) {
            (None, events) => Missing(events),
            (Some(Missing(Some(before))), Some(events)) => Missing(Some(before.saturating_add(events))),
            _ => Missing(None),
        });
    }

    fn item(&mut self, item: &Item<'_>) {
        match item {
            Item::Loss(loss) => {
                self.last_loss = (loss.time_ns, loss.what.to_string());
                self.miss(loss.events);
            }
            Item::Event(event) => {
                let id = self.forms.id(event.id, event.payload);
                self.encode(event, id);
            }
        }
    }

    /// What is lost behind the last event has no page that could say so: an event of ours does.
    fn end(&mut self, core: u32, id: u16) {
        let (time_ns, words) = std::mem::take(&mut self.last_loss);
        if self.missing.is_some() {
            let mut payload = words.into_bytes();
            payload.truncate(self.size / 2);
            payload.push(0);
            let event = Event {
                core,
                page: 0,
                at: 0,
                time_ns,
                time_is_certain: false,
                beyond_commit: false,
                after_loss: true,
                id,
                flags: 0,
                nesting: 0,
                pid: 0,
                payload: &payload,
            };
            self.encode(&event, id);
        }
        self.close();
    }

    /// A page as it is, but for ids that need another. Whether it is what it claims to be.
    fn copy(&mut self, page: &Page<'_>) -> bool {
        let data = page.data as usize;
        if page.bytes.len() != self.size || data > self.size - HEAD {
            return false;
        }
        self.close();
        let start = self.buffer.len();
        self.buffer.extend_from_slice(page.bytes);
        let copied = &mut self.buffer[start..];
        let Some(events) = each(&mut copied[HEAD..HEAD + data], self.trailer, self.forms) else {
            self.buffer.truncate(start);
            return false;
        };
        self.counts.events += events;
        self.finish(start, data);
        true
    }

    /// Sets a page's commit word, and what is missing before it.
    fn finish(&mut self, start: usize, data: usize) {
        let page = &mut self.buffer[start..start + self.size];
        let mut commit = data as u64;
        if let Some(Missing(events)) = self.missing.take() {
            commit |= MISSED;
            if let (Some(events), Some(room)) = (events, page.get_mut(HEAD + data..HEAD + data + 8)) {
                commit |= MISSED_STORED;
                room.copy_from_slice(&events.to_le_bytes());
            }
        }
        page[8..HEAD].copy_from_slice(&commit.to_le_bytes());
    }

    /// Ends the page being encoded. Its commit word is written already, but for its length.
    fn close(&mut self) {
        let Some((start, used, _)) = self.open.take() else { return };
        let data = (used - HEAD) as u64;
        let commit = &mut self.buffer[start + 8..start + HEAD];
        let flags = u64::from_le_bytes(*commit.first_chunk().unwrap_or(&[0; 8]));
        commit.copy_from_slice(&(flags | data).to_le_bytes());
        // The number of missing events was kept at the page's end until it was known where the data end.
        let number = start + self.size - 8;
        if flags & MISSED_STORED != 0 {
            self.buffer.copy_within(number..number + 8, start + used);
            self.buffer[number.max(start + used + 8)..start + self.size].fill(0);
        }
    }

    /// An event behind those before it, in a new page where it has to be one.
    fn encode(&mut self, event: &Event<'_>, id: u16) {
        let data = 8 + event.payload.len().next_multiple_of(4);
        let is_long = data / 4 > WORDS_MAX;
        let most = 8 + 4 + if is_long { 4 } else { 0 } + data;
        // The last eight bytes are kept for the number of missing events.
        let end = self.size - 8;
        if HEAD + most > end {
            return self.miss(Some(1));
        }
        let fits = |(_, used, time): (usize, usize, u64)| {
            self.missing.is_none() && event.time_ns >= time && (event.time_ns - time) >> 59 == 0 && used + most <= end
        };
        let (start, mut used, time) = match self.open {
            Some(open) if fits(open) => open,
            _ => self.begin(event.time_ns),
        };
        let mut put = |bytes: &[u8]| {
            self.buffer[start + used..start + used + bytes.len()].copy_from_slice(bytes);
            used += bytes.len();
        };
        let mut delta = event.time_ns - time;
        if delta >= DELTA_END {
            put(&(((delta % DELTA_END) as u32) << 5 | TIME_EXTEND).to_le_bytes());
            put(&((delta / DELTA_END) as u32).to_le_bytes());
            delta = 0;
        }
        let words = if is_long { 0 } else { data as u32 / 4 };
        put(&((delta as u32) << 5 | words).to_le_bytes());
        if is_long {
            put(&(data as u32 + 4).to_le_bytes());
        }
        put(&id.to_le_bytes());
        put(&[event.flags, event.nesting]);
        put(&event.pid.to_le_bytes());
        put(event.payload);
        self.counts.events += 1;
        used = used.next_multiple_of(4);
        self.open = Some((start, used, event.time_ns));
    }

    /// A new page, empty, before which is missing what was.
    fn begin(&mut self, time_ns: u64) -> (usize, usize, u64) {
        self.close();
        let start = self.buffer.len();
        self.buffer.resize(start + self.size, 0);
        let mut commit = 0;
        if let Some(Missing(events)) = self.missing.take() {
            commit = MISSED;
            if let Some(events) = events {
                commit |= MISSED_STORED;
                self.buffer[start + self.size - 8..].copy_from_slice(&events.to_le_bytes());
            }
        }
        self.buffer[start..start + 8].copy_from_slice(&time_ns.to_le_bytes());
        self.buffer[start + 8..start + HEAD].copy_from_slice(&u64::to_le_bytes(commit));
        (start, HEAD, time_ns)
    }

    /// Writes what there is if it is much.
    fn make_room(&mut self) -> io::Result<()> {
        if self.buffer.len() < FLUSH {
            return Ok(());
        }
        self.close();
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.counts.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// When a page begins.
fn time(page: &[u8]) -> u64 {
    page.first_chunk().map_or(0, |time| u64::from_le_bytes(*time))
}

/// Goes through the events of a page's data and gives each the id under which it is described. How many there are, if all of it
/// is events.
#[inline]
fn each(data: &mut [u8], trailer: usize, forms: &mut Forms<'_>) -> Option<u64> {
    let word = |data: &[u8], at: usize| Some(u32::from_le_bytes(*data.get(at..)?.first_chunk()?));
    let (mut at, mut events) = (0, 0);
    while at < data.len() {
        let header = word(data, at)?;
        at += 4;
        let length = match header & 31 {
            0 => {
                at += 4;
                word(data, at - 4)?.checked_sub(4)? as usize
            }
            // The end of the data, before the commit word says so.
            PADDING if header >> 5 == 0 => return Some(events),
            PADDING => {
                at += word(data, at)? as usize;
                continue;
            }
            TIME_EXTEND.. => {
                at += 4;
                continue;
            }
            words => words as usize * 4,
        };
        let event = data.get_mut(at..at + length)?;
        at += length;
        events += 1;
        let (common, payload) = event.get(..length.checked_sub(trailer)?)?.split_first_chunk::<8>()?;
        let id = u16::from_le_bytes([common[0], common[1]]);
        let known = forms.id(id, payload);
        if known != id {
            event[..2].copy_from_slice(&known.to_le_bytes());
        }
    }
    (at == data.len()).then_some(events)
}
