//! Perfetto's protocol buffers, for its web page and its trace processor.
//!
//! The boot is a process, each core a track in it and a packet sequence of its own. An event is an instant with its fields as
//! annotations; an interrupt's entry and exit are the ends of a slice. A loss is an instant, and its packet says that packets
//! before it were dropped; names that were told before are then told again, as the format wants it. The stop and the panic
//! are instants on their cores. Texts are escaped, as everywhere.

mod message;

use crate::ascii::{escaped, push_hex};
use crate::names;
use message::{Message, field};
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use trace::{Event, Item, Loss, Trace, Value};

/// The process's track. Those of the cores follow.
const PROCESS: u64 = 1;
const FIRST_CORE: u64 = 2;

/// What a packet's event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Begin = 1,
    End = 2,
    Instant = 3,
}

/// Bits of a packet's sequence flags.
const STATE_CLEARED: u64 = 1;
const NEEDS_STATE: u64 = 2;

/// Events that are the ends of one slice, strictly within each other on a core.
const PAIRS: [(&str, &str); 3] =
    [("irq_entry", "irq_exit"), ("irq_handler_entry", "irq_handler_exit"), ("softirq_entry", "softirq_exit")];

/// Writes all of a trace.
///
/// # Errors
/// Those of `out`.
pub fn write(trace: &dyn Trace, out: &mut dyn Write) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(1 << 18, out);
    let mut descriptor = Message::default();
    descriptor.within(field::packet::TRACK_DESCRIPTOR, |track| {
        track.number(field::track::UUID, PROCESS).within(field::track::PROCESS, |process| {
            process.number(field::process::PID, 1).bytes(field::process::NAME, trace.about().title.as_bytes());
        });
    });
    put(&mut descriptor, 1, &mut out)?;
    let names = Names::new(trace);
    for core in 0..trace.about().cores.len() as u32 {
        Sequence::new(trace, core, &names, &mut out).all()?;
    }
    out.flush()
}

/// A packet of a sequence, which is empty afterwards.
fn put(packet: &mut Message, sequence: u64, out: &mut impl Write) -> io::Result<()> {
    packet.number(field::packet::SEQUENCE, sequence);
    let mut whole = Message::default();
    whole.bytes(field::trace::PACKET, &packet.0);
    packet.clear();
    out.write_all(&whole.0)
}

/// Names by number: told once in a sequence, then only their number.
#[derive(Default)]
struct Names {
    events: Vec<String>,
    annotations: Vec<String>,
    numbers: HashMap<String, usize>,
    /// By id: the event's name, and its fields'.
    formats: HashMap<u16, (usize, Vec<usize>)>,
}

/// Names that we give: first in their tables.
mod name {
    pub(super) const UNKNOWN: usize = 0;
    pub(super) const LOSS: usize = 1;
    pub(super) const STOP: usize = 2;
    pub(super) const PANIC: usize = 3;
    pub(super) const EVENTS: [&str; 4] = ["unknown", "loss", "core stands still", "panic"];

    pub(super) const PID: usize = 0;
    pub(super) const FLAGS: usize = 1;
    pub(super) const NESTING: usize = 2;
    pub(super) const ID: usize = 3;
    pub(super) const DATA: usize = 4;
    pub(super) const KIND: usize = 5;
    pub(super) const COUNT: usize = 6;
    pub(super) const WHAT: usize = 7;
    pub(super) const PC: usize = 8;
    pub(super) const LR: usize = 9;
    pub(super) const SP: usize = 10;
    pub(super) const PSTATE: usize = 11;
    pub(super) const WHERE: usize = 12;
    pub(super) const CERTAIN: usize = 13;
    pub(super) const ANNOTATIONS: [&str; 14] = [
        "common_pid",
        "common_flags",
        "common_nesting",
        "common_id",
        "data",
        "kind",
        "events",
        "what",
        "pc",
        "lr",
        "sp",
        "pstate",
        "location",
        "common_time_is_uncertain",
    ];
}

impl Names {
    fn new(trace: &dyn Trace) -> Self {
        let mut names = Self { events: name::EVENTS.map(String::from).to_vec(), ..Self::default() };
        for own in name::ANNOTATIONS {
            names.annotation(own);
        }
        for format in trace.schema().formats() {
            let fields = names::unique(format, |name| name.starts_with("common_"));
            let fields = fields.iter().map(|field| names.annotation(field)).collect();
            names.formats.insert(format.id, (names.events.len(), fields));
            names.events.push(format.name.clone());
        }
        names
    }

    fn annotation(&mut self, name: &str) -> usize {
        let next = self.annotations.len();
        let number = *self.numbers.entry(name.into()).or_insert(next);
        if number == next {
            self.annotations.push(name.into());
        }
        number
    }
}

/// One core's packets.
struct Sequence<'t, W> {
    trace: &'t dyn Trace,
    names: &'t Names,
    out: &'t mut W,
    core: u32,
    /// Names that were told since the last loss.
    told: HashSet<(u64, usize)>,
    /// Whether the next packet begins anew, and whether something is lost before it.
    is_fresh: bool,
    after_loss: bool,
    /// Slices that have begun: which pair.
    open: Vec<usize>,
    last: u64,
    /// The event being made, its packet, names that it tells; kept for their room.
    event: Message,
    packet: Message,
    interned: Message,
    annotation: Message,
    text: String,
}

impl<'t, W: Write> Sequence<'t, W> {
    fn new(trace: &'t dyn Trace, core: u32, names: &'t Names, out: &'t mut W) -> Self {
        Self {
            trace,
            names,
            out,
            core,
            told: HashSet::new(),
            is_fresh: true,
            after_loss: false,
            open: Vec::new(),
            last: 0,
            event: Message::default(),
            packet: Message::default(),
            interned: Message::default(),
            annotation: Message::default(),
            text: String::new(),
        }
    }

    fn sequence(&self) -> u64 {
        u64::from(self.core) + 2
    }

    fn all(mut self) -> io::Result<()> {
        let mut track = Message::default();
        track
            .number(field::track::UUID, FIRST_CORE + u64::from(self.core))
            .bytes(field::track::NAME, format!("core {}", self.core).as_bytes())
            .number(field::track::PARENT, PROCESS);
        self.packet.bytes(field::packet::TRACK_DESCRIPTOR, &track.0);
        let sequence = self.sequence();
        put(&mut self.packet, sequence, self.out)?;
        for item in self.trace.items(self.core) {
            match item {
                Item::Event(event) => self.event(&event)?,
                Item::Loss(loss) => self.loss(&loss)?,
            }
        }
        self.close(self.last)?;
        self.stop()?;
        self.panic()
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        let format = self.trace.schema().get(event.id);
        let kind = format.map_or(Type::Instant, |format| self.kind(&format.name));
        let known = self.names.formats.get(&event.id);
        self.begin(kind, known.map_or(name::UNKNOWN, |(name, _)| *name));
        match (format, known) {
            (Some(format), Some((_, names))) => {
                for (field, name) in format.fields.iter().zip(names) {
                    self.value(*name, field.value(event.payload));
                }
            }
            _ => {
                self.value(name::ID, Some(Value::Unsigned(event.id.into())));
                self.value(name::DATA, Some(Value::Bytes(event.payload)));
            }
        }
        self.value(name::PID, Some(Value::Signed(event.pid.into())));
        self.value(name::FLAGS, Some(Value::Unsigned(event.flags.into())));
        self.value(name::NESTING, Some(Value::Unsigned(event.nesting.into())));
        if !event.time_is_certain {
            self.value(name::CERTAIN, Some(Value::Unsigned(1)));
        }
        self.last = self.last.max(event.time_ns);
        self.end(event.time_ns)
    }

    /// Whether an event begins or ends a slice. An end without its beginning is an instant.
    fn kind(&mut self, name: &str) -> Type {
        if let Some(pair) = PAIRS.iter().position(|(entry, _)| *entry == name) {
            self.open.push(pair);
            return Type::Begin;
        }
        match PAIRS.iter().position(|(_, exit)| *exit == name) {
            Some(pair) if self.open.last() == Some(&pair) => {
                self.open.pop();
                Type::End
            }
            _ => Type::Instant,
        }
    }

    /// The ends of slices may be among what is lost: none goes on over a loss.
    fn loss(&mut self, loss: &Loss<'_>) -> io::Result<()> {
        self.close(loss.time_ns)?;
        (self.is_fresh, self.after_loss) = (true, true);
        self.begin(Type::Instant, name::LOSS);
        self.value(name::KIND, Some(Value::Text(loss.kind.name().as_bytes())));
        self.value(name::COUNT, loss.events.map(Value::Unsigned));
        self.value(name::WHAT, Some(Value::Text(loss.what.as_bytes())));
        self.last = self.last.max(loss.time_ns);
        self.end(loss.time_ns)
    }

    /// Ends all slices.
    fn close(&mut self, time_ns: u64) -> io::Result<()> {
        while self.open.pop().is_some() {
            self.event.clear();
            let track = FIRST_CORE + u64::from(self.core);
            self.event.number(field::event::TYPE, Type::End as u64).number(field::event::TRACK, track);
            self.end(time_ns)?;
        }
        Ok(())
    }

    /// How the core came to stand still. When one that did not answer did so is not known.
    fn stop(&mut self) -> io::Result<()> {
        let about = self.trace.about();
        let Some(stop) = about.cores.get(self.core as usize).and_then(|core| core.stop.as_ref()) else { return Ok(()) };
        if stop.outcome == "did not run" {
            return Ok(());
        }
        self.begin(Type::Instant, name::STOP);
        self.value(name::KIND, Some(Value::Text(stop.outcome.as_bytes())));
        self.told_text(name::WHAT, &stop.words);
        for (name, value) in
            [(name::PC, stop.pc), (name::LR, stop.lr), (name::SP, stop.sp), (name::PSTATE, stop.pstate)]
        {
            self.value(name, Some(Value::Hex(value)));
        }
        let panic = about.panic.as_ref().map_or(0, |panic| panic.time_ns);
        self.end(if stop.outcome == "no answer" { self.last.max(panic) } else { stop.time_ns })
    }

    fn panic(&mut self) -> io::Result<()> {
        let Some(panic) = self.trace.about().panic.as_ref().filter(|panic| panic.core == self.core) else {
            return Ok(());
        };
        self.begin(Type::Instant, name::PANIC);
        self.told_text(name::WHAT, &panic.message);
        self.told_text(name::WHERE, &panic.location);
        self.end(panic.time_ns)
    }

    /// An event begins: what it is, and its name.
    fn begin(&mut self, kind: Type, name: usize) {
        self.event.clear();
        if std::mem::take(&mut self.is_fresh) {
            self.told.clear();
            let flags = STATE_CLEARED | NEEDS_STATE;
            self.packet.number(field::packet::SEQUENCE_FLAGS, flags);
            if std::mem::take(&mut self.after_loss) {
                self.packet.number(field::packet::PREVIOUS_PACKET_DROPPED, 1);
            }
        } else {
            self.packet.number(field::packet::SEQUENCE_FLAGS, NEEDS_STATE);
        }
        self.tell(field::interned::EVENT_NAMES, name);
        self.event
            .number(field::event::TYPE, kind as u64)
            .number(field::event::TRACK, FIRST_CORE + u64::from(self.core))
            .number(field::event::NAME_IID, name as u64 + 1);
    }

    /// Tells a name if it was not told yet.
    fn tell(&mut self, table: u64, number: usize) {
        if !self.told.insert((table, number)) {
            return;
        }
        let names = if table == field::interned::EVENT_NAMES { &self.names.events } else { &self.names.annotations };
        let name = names.get(number).map_or("", String::as_str);
        self.interned.within(table, |entry| {
            entry.number(field::interned::IID, number as u64 + 1).bytes(field::interned::NAME, name.as_bytes());
        });
    }

    /// An annotation; none where there is no value.
    fn value(&mut self, name: usize, value: Option<Value<'_>>) {
        let Some(value) = value else { return };
        self.tell(field::interned::ANNOTATION_NAMES, name);
        self.annotation.clear();
        self.annotation.number(field::annotation::NAME_IID, name as u64 + 1);
        self.text.clear();
        match value {
            Value::Unsigned(number) => self.annotation.number(field::annotation::UNSIGNED, number),
            Value::Signed(number) => self.annotation.number(field::annotation::SIGNED, number.cast_unsigned()),
            Value::Hex(number) => self.annotation.number(field::annotation::POINTER, number),
            Value::Text(text) => {
                escaped(text, &mut self.text);
                self.annotation.bytes(field::annotation::TEXT, self.text.as_bytes())
            }
            Value::Bytes(bytes) => {
                push_hex(bytes, &mut self.text);
                self.annotation.bytes(field::annotation::TEXT, self.text.as_bytes())
            }
        };
        self.event.bytes(field::event::ANNOTATION, &self.annotation.0);
    }

    /// A text that is escaped already.
    fn told_text(&mut self, name: usize, text: &str) {
        self.tell(field::interned::ANNOTATION_NAMES, name);
        self.event.within(field::event::ANNOTATION, |annotation| {
            annotation
                .number(field::annotation::NAME_IID, name as u64 + 1)
                .bytes(field::annotation::TEXT, text.as_bytes());
        });
    }

    /// The packet is whole.
    fn end(&mut self, time_ns: u64) -> io::Result<()> {
        self.packet.number(field::packet::TIMESTAMP, time_ns);
        if !self.interned.0.is_empty() {
            self.packet.bytes(field::packet::INTERNED_DATA, &self.interned.0);
            self.interned.clear();
        }
        self.packet.bytes(field::packet::TRACK_EVENT, &self.event.0);
        let sequence = self.sequence();
        put(&mut self.packet, sequence, self.out)
    }
}
