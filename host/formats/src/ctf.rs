//! CTF 1.8, a directory: what babeltrace2 and Trace Compass read.
//!
//! ```text
//!   metadata   text: clock, environment (boot, build id, how it ended), the fields of every event
//!   core_0     one file per core that has anything, one packet per sub-buffer
//! ```
//!
//! A sub-buffer that is lost is a packet whose number is missing; events that were counted before they were dropped are
//! counted as discarded; each loss is an event `loss` besides, in words. Times are nanoseconds. A time that goes back on its
//! core, which a stream cannot say, is that of the event before it, and marked. Texts are escaped, as everywhere.

mod metadata;

use crate::ascii::push_escaped;
use metadata::{LOSS, TRUNCATED, UNKNOWN};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use trace::{Event, Field, Item, Loss, Size, Trace, Value};

pub use metadata::is_ours;

const MAGIC: u32 = 0xc1fc_1fc1;
/// Bytes of a packet's header and context.
const HEAD: usize = 4 + 16 + 4 + 6 * 8 + 4;
/// Readers count nanoseconds in signed numbers, and add to them.
const TIME_MAX: u64 = 1 << 62;

/// What is to be known of one event's time and place, as bits of its context.
mod mark {
    pub(super) const UNCERTAIN: u8 = 1;
    pub(super) const AFTER_LOSS: u8 = 2;
    pub(super) const BEYOND_COMMIT: u8 = 4;
    pub(super) const MOVED: u8 = 8;
}

/// Writes all of a trace into a directory that is there and empty.
///
/// # Errors
/// Those of the files.
pub fn write(trace: &dyn Trace, directory: &Path) -> io::Result<()> {
    let uuid = metadata::uuid(trace.about());
    std::fs::write(directory.join("metadata"), metadata::text(trace, uuid))?;
    for core in 0..trace.about().cores.len() as u32 {
        let mut items = trace.items(core).peekable();
        if items.peek().is_some() {
            let out = File::create(directory.join(format!("core_{core}")))?;
            let mut stream = Stream::new(trace, core, uuid, io::BufWriter::with_capacity(1 << 18, out));
            items.try_for_each(|item| stream.item(&item))?;
            stream.end()?;
        }
    }
    Ok(())
}

/// One core's file.
struct Stream<'t, W> {
    trace: &'t dyn Trace,
    out: W,
    core: u32,
    uuid: [u8; 16],
    /// Header, context and events of the packet being made; its sub-buffer.
    packet: Vec<u8>,
    page: Option<u64>,
    /// Times of the packet's first event and of the last.
    first: Option<u64>,
    last: u64,
    discarded: u64,
    /// Losses that belong before the next event.
    losses: Vec<(Option<u64>, &'static str, u64, String)>,
    text: String,
}

impl<'t, W: Write> Stream<'t, W> {
    fn new(trace: &'t dyn Trace, core: u32, uuid: [u8; 16], out: W) -> Self {
        let (packet, text) = (vec![0; HEAD], String::new());
        let losses = Vec::new();
        Self { trace, out, core, uuid, packet, page: None, first: None, last: 0, discarded: 0, losses, text }
    }

    fn item(&mut self, item: &Item<'_>) -> io::Result<()> {
        match item {
            Item::Loss(loss) => self.loss(loss),
            Item::Event(event) => {
                if self.page != Some(event.page) {
                    self.close()?;
                    self.page = Some(event.page);
                }
                self.lost();
                self.event(event);
                Ok(())
            }
        }
    }

    /// A loss goes before the event behind it; within its own sub-buffer, if that has a packet.
    fn loss(&mut self, loss: &Loss<'_>) -> io::Result<()> {
        self.losses.push((loss.events, loss.kind.name(), loss.time_ns, loss.what.to_string()));
        // Of a region that is nothing but losses not all are kept in memory.
        if self.page == Some(loss.page) || self.losses.len() > 1000 {
            self.page.get_or_insert(loss.page);
            self.lost();
        }
        Ok(())
    }

    /// The losses that were waiting.
    fn lost(&mut self) {
        for (events, kind, time_ns, what) in std::mem::take(&mut self.losses) {
            self.discarded = self.discarded.saturating_add(events.unwrap_or(0));
            self.head(LOSS, time_ns, 0, [0; 3]);
            self.packet.extend(kind.bytes().chain([0]));
            self.packet.extend(events.unwrap_or(0).to_le_bytes());
            self.text.clear();
            push_escaped(what.as_bytes(), &mut self.text);
            self.packet.extend(self.text.bytes().chain([0]));
        }
    }

    /// An event's header and context.
    fn head(&mut self, id: u32, time_ns: u64, pid: i32, [flags, nesting, mut marks]: [u8; 3]) {
        let time = time_ns.min(TIME_MAX).max(self.last);
        if time != time_ns {
            marks |= mark::MOVED;
        }
        self.last = time;
        self.first.get_or_insert(time);
        self.packet.extend(id.to_le_bytes());
        self.packet.extend(time.to_le_bytes());
        self.packet.extend(pid.to_le_bytes());
        self.packet.extend([flags, nesting, marks]);
    }

    fn event(&mut self, event: &Event<'_>) {
        let set = |is, mark| if is { mark } else { 0 };
        let marks = set(!event.time_is_certain, mark::UNCERTAIN)
            | set(event.after_loss, mark::AFTER_LOSS)
            | set(event.beyond_commit, mark::BEYOND_COMMIT);
        let context = [event.flags, event.nesting, marks];
        let start = (self.packet.len(), self.last, self.first);
        let format = self.trace.schema().get(event.id);
        if let Some(format) = format {
            self.head(u32::from(event.id), event.time_ns, event.pid, context);
            if format.fields.iter().all(|field| self.field(field, event.payload)) {
                return;
            }
            self.packet.truncate(start.0);
            (self.last, self.first) = (start.1, start.2);
        }
        // Every field has to be there: what has not all of them, or is nobody's, is told in bytes.
        self.head(if format.is_some() { TRUNCATED } else { UNKNOWN }, event.time_ns, event.pid, context);
        self.packet.extend(u32::from(event.id).to_le_bytes());
        if let Some(format) = format {
            self.packet.extend(format.name.bytes().chain([0]));
        }
        self.packet.extend((event.payload.len() as u32).to_le_bytes());
        self.packet.extend(event.payload);
    }

    /// One field; whether it is there.
    fn field(&mut self, field: &Field, payload: &[u8]) -> bool {
        let size = match field.size {
            Size::Fixed(size @ ..8) => usize::from(size),
            _ => 8,
        };
        match field.value(payload) {
            None => return false,
            Some(Value::Unsigned(number) | Value::Hex(number)) => self.packet.extend(&number.to_le_bytes()[..size]),
            Some(Value::Signed(number)) => self.packet.extend(&number.to_le_bytes()[..size]),
            Some(Value::Text(text)) => {
                self.text.clear();
                push_escaped(text, &mut self.text);
                self.packet.extend(self.text.bytes().chain([0]));
            }
            Some(Value::Bytes(bytes)) => {
                self.packet.extend((bytes.len() as u32).to_le_bytes());
                self.packet.extend(bytes);
            }
        }
        true
    }

    /// Writes the packet, if there is one.
    fn close(&mut self) -> io::Result<()> {
        let (Some(page), Some(first)) = (self.page.take(), self.first.take()) else { return Ok(()) };
        let bits = self.packet.len() as u64 * 8;
        let mut head = Vec::with_capacity(HEAD);
        head.extend(MAGIC.to_le_bytes());
        head.extend(self.uuid);
        head.extend(0u32.to_le_bytes());
        for number in [first, self.last, bits, bits, page, self.discarded] {
            head.extend(number.to_le_bytes());
        }
        head.extend(self.core.to_le_bytes());
        self.packet[..HEAD].copy_from_slice(&head);
        self.out.write_all(&self.packet)?;
        self.packet.truncate(HEAD);
        Ok(())
    }

    /// What is lost behind the last event is told in its packet, or in one of its own.
    fn end(mut self) -> io::Result<()> {
        if !self.losses.is_empty() {
            self.page.get_or_insert(0);
            self.lost();
        }
        self.close()?;
        self.out.flush()
    }
}
