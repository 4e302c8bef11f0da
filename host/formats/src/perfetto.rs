//! Perfetto's trace: protocol buffers, by hand, since its schema generates a hundred times more than is used here.
//!
//! A track for the boot, below it one for each core; each core is a packet sequence, so that a loss is its dropped packet as
//! well as an instant. Names are interned at the beginning of each sequence. `x_entry` and `x_exit` become slices.
//!
//! | message | fields that are written |
//! |---|---|
//! | Trace | packet 1 |
//! | TracePacket | timestamp 8, sequence 10, track_event 11, interned_data 12, flags 13, previous_packet_dropped 42, track_descriptor 60, first_packet_on_sequence 87 |
//! | TrackDescriptor | uuid 1, name 2, parent_uuid 5 |
//! | InternedData | event_names 2, debug_annotation_names 3: each iid 1, name 2 |
//! | TrackEvent | debug_annotations 4, type 9, name_iid 10, track_uuid 11, categories 22, name 23 |
//! | DebugAnnotation | name_iid 1, uint 3, int 4, string 6, pointer 7, name 10 |

use crate::ascii::{push_escaped, push_hex};
use std::collections::HashMap;
use std::io::{self, Write};
use trace::{Event, Item, Loss, Trace, Value};

/// The track of the boot; those of its cores follow.
const BOOT_TRACK: u64 = 1;

/// Values of TrackEvent.type.
const SLICE_BEGIN: u64 = 1;
const SLICE_END: u64 = 2;
const INSTANT: u64 = 3;

/// Values of TracePacket.sequence_flags.
const STATE_CLEARED: u64 = 1;
const NEEDS_STATE: u64 = 2;

/// A message that is being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
    fn number(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field) << 3);
        self.varint(value);
    }
    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
    fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }
    fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }
}

/// The interned names of a trace.
#[derive(Default)]
struct Names<'t> {
    events: HashMap<&'t str, u64>,
    annotations: HashMap<&'t str, u64>,
}

impl<'t> Names<'t> {
    fn of(trace: &'t dyn Trace) -> Self {
        let mut names = Self::default();
        for format in trace.schema().formats() {
            let next = names.events.len() as u64 + 1;
            names.events.entry(slice_of(&format.name).map_or(format.name.as_str(), |(name, _)| name)).or_insert(next);
            for field in &format.fields {
                let next = names.annotations.len() as u64 + 1;
                names.annotations.entry(&field.name).or_insert(next);
            }
        }
        names
    }
    fn write(&self, out: &mut Message) {
        for (field, names) in [(2, &self.events), (3, &self.annotations)] {
            let mut names: Vec<_> = names.iter().collect();
            names.sort_by_key(|(_, iid)| **iid);
            for (name, iid) in names {
                out.message(field, |entry| {
                    entry.number(1, *iid);
                    entry.text(2, name);
                });
            }
        }
    }
}

/// Whether an event begins or ends something, by its name.
fn slice_of(name: &str) -> Option<(&str, bool)> {
    let begins = name.strip_suffix("_entry").map(|name| (name, true));
    begins.or_else(|| name.strip_suffix("_exit").map(|name| (name, false))).filter(|(name, _)| !name.is_empty())
}

/// Writes all of a trace.
///
/// # Errors
/// Those of `out`.
pub fn write(trace: &dyn Trace, out: &mut dyn Write) -> io::Result<()> {
    let names = Names::of(trace);
    let about = trace.about();
    packet(out, |packet| {
        packet.number(10, 1);
        packet.message(60, |track| {
            track.number(1, BOOT_TRACK);
            track.text(2, &about.title);
        });
    })?;
    for core in 0..about.cores.len() as u32 {
        Core { trace, names: &names, core, open: Vec::new(), last: 0, state_is_known: false }.write(out)?;
    }
    Ok(())
}

fn packet(out: &mut dyn Write, fill: impl FnOnce(&mut Message)) -> io::Result<()> {
    let mut message = Message::default();
    message.message(1, fill);
    out.write_all(&message.0)
}

/// One core's packets.
struct Core<'t> {
    trace: &'t dyn Trace,
    names: &'t Names<'t>,
    core: u32,
    /// What has begun and not ended.
    open: Vec<&'t str>,
    last: u64,
    state_is_known: bool,
}

impl<'t> Core<'t> {
    fn track(&self) -> u64 {
        BOOT_TRACK + 1 + u64::from(self.core)
    }

    fn write(mut self, out: &mut dyn Write) -> io::Result<()> {
        let (track, core) = (self.track(), self.core);
        packet(out, |packet| {
            packet.number(10, track);
            packet.message(60, |descriptor| {
                descriptor.number(1, track);
                descriptor.text(2, &format!("core {core}"));
                descriptor.number(5, BOOT_TRACK);
            });
        })?;
        for item in self.trace.items(core) {
            match item {
                Item::Event(event) => self.event(&event, out)?,
                Item::Loss(loss) => self.loss(&loss, out)?,
            }
        }
        let about = self.trace.about();
        if let Some(panic) = about.panic.as_ref().filter(|panic| panic.core == core) {
            self.mark(panic.time_ns, "panic", &[("message", &panic.message), ("location", &panic.location)], out)?;
        }
        let stop = about.cores.get(core as usize).and_then(|core| core.stop.as_ref());
        if let Some(stop) = stop.filter(|stop| stop.outcome == "stopped") {
            self.mark(stop.time_ns, "stopped", &[("how", &stop.words)], out)?;
        }
        while self.open.pop().is_some() {
            self.packet(self.last, out, |event| event.number(9, SLICE_END), false)?;
        }
        Ok(())
    }

    /// A packet with a track event; the first one says what the names' numbers are.
    fn packet(
        &mut self,
        time_ns: u64,
        out: &mut dyn Write,
        fill: impl FnOnce(&mut Message),
        dropped: bool,
    ) -> io::Result<()> {
        let (track, names, first) = (self.track(), self.names, !self.state_is_known);
        self.state_is_known = true;
        self.last = self.last.max(time_ns);
        packet(out, |packet| {
            packet.number(8, time_ns);
            packet.number(10, track);
            packet.message(11, |event| {
                event.number(11, track);
                fill(event);
            });
            if first {
                packet.message(12, |data| names.write(data));
                packet.number(87, 1);
            }
            packet.number(13, if first { STATE_CLEARED | NEEDS_STATE } else { NEEDS_STATE });
            if dropped {
                packet.number(42, 1);
            }
        })
    }

    fn event(&mut self, event: &Event<'_>, out: &mut dyn Write) -> io::Result<()> {
        let trace = self.trace;
        let name = trace.name(event.id);
        let (kind, shown) = match slice_of(name) {
            Some((name, true)) => {
                self.open.push(name);
                (SLICE_BEGIN, name)
            }
            // What ended something that is not open, or not innermost, lost its beginning.
            Some((name, false)) if self.open.last() == Some(&name) => {
                self.open.pop();
                (SLICE_END, name)
            }
            Some((name, false)) => (INSTANT, name),
            None => (INSTANT, name),
        };
        let iid = self.names.events.get(shown).copied();
        let names = self.names;
        let fill = |message: &mut Message| {
            message.number(9, kind);
            match iid {
                Some(iid) => message.number(10, iid),
                None => message.text(23, &format!("event {}", event.id)),
            }
            annotate(message, "pid", &Value::Signed(i64::from(event.pid)), None);
            match trace.schema().get(event.id) {
                None => annotate(message, "data", &Value::Bytes(event.payload), None),
                Some(format) => {
                    for field in &format.fields {
                        if let Some(value) = field.value(event.payload) {
                            annotate(message, &field.name, &value, names.annotations.get(field.name.as_str()).copied());
                        }
                    }
                }
            }
        };
        self.packet(event.time_ns, out, fill, event.after_loss)
    }

    fn loss(&mut self, loss: &Loss<'_>, out: &mut dyn Write) -> io::Result<()> {
        let fill = |message: &mut Message| {
            message.number(9, INSTANT);
            message.text(22, "loss");
            message.text(23, &format!("lost ({})", loss.kind.name()));
            annotate(message, "what", &Value::Text(loss.what.as_bytes()), None);
            if let Some(events) = loss.events {
                annotate(message, "events", &Value::Unsigned(events), None);
            }
        };
        self.packet(loss.time_ns, out, fill, true)
    }

    fn mark(&mut self, time_ns: u64, name: &str, texts: &[(&str, &String)], out: &mut dyn Write) -> io::Result<()> {
        let fill = |message: &mut Message| {
            message.number(9, INSTANT);
            message.text(22, "end");
            message.text(23, name);
            for (name, text) in texts {
                annotate(message, name, &Value::Text(text.as_bytes()), None);
            }
        };
        self.packet(time_ns, out, fill, false)
    }
}

/// A value beside an event.
fn annotate(event: &mut Message, name: &str, value: &Value<'_>, iid: Option<u64>) {
    event.message(4, |annotation| {
        match iid {
            Some(iid) => annotation.number(1, iid),
            None => annotation.text(10, name),
        }
        match value {
            Value::Unsigned(number) => annotation.number(3, *number),
            Value::Signed(number) => annotation.number(4, number.cast_unsigned()),
            Value::Hex(number) => annotation.number(7, *number),
            Value::Text(text) => {
                let mut shown = String::new();
                push_escaped(text, &mut shown);
                annotation.text(6, &shown);
            }
            Value::Bytes(bytes) => {
                let mut shown = String::new();
                push_hex(bytes, &mut shown);
                annotation.text(6, &shown);
            }
        }
    });
}
