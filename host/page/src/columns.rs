//! The events of a trace as columns, which a page of a million events can hold and search.
//!
//! A description in JSON, then all columns behind each other, deflated, in base64. n items, little endian:
//!
//! | column | bytes | what |
//! |---|---|---|
//! | times | `times` | per item a zigzag LEB128: nanoseconds since the item before; the first since `start` |
//! | cores | 2 n | u16 |
//! | shapes | 2 n | u16: which of `shapes`, and by that which of `kinds` |
//! | contexts | n | u8: which of `contexts` |
//! | pids | 4 n | i32 |
//! | numbers | `numbers` | per shape, per number in it, per item: a zigzag LEB128, the difference to that of the item before |
//! | texts | the rest | of shapes that have one a text and a newline, printable ASCII, in the order of items |

use crate::html;
use crate::shapes::{ANY, take_apart};
use base64::{engine::general_purpose::STANDARD, write::EncoderWriter};
use flate2::{Compression, write::DeflateEncoder};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, Write};
use trace::{Event, Item, Loss, Trace, merged};

/// A browser's memory ends somewhere: what came before these is left out, and the page says so.
const ITEMS_MOST: u64 = 4_000_000;
/// More kinds than a person tells apart; the rest are one, and their names part of their texts.
const KINDS_MOST: usize = 1024;
/// A kind that says more different things than this says them in texts of their own; so do long texts.
const SHAPES_PER_KIND_MOST: usize = 256;
const SHAPES_MOST: usize = 8192;
const SHAPE_LENGTH_MOST: usize = 256;

#[derive(Default)]
struct Columns {
    times: Vec<u8>,
    cores: Vec<u8>,
    of_shapes: Vec<u8>,
    contexts: Vec<u8>,
    pids: Vec<u8>,
    texts: String,
    count: usize,
    newest: u64,
    kinds: Vec<Kind>,
    of_event: HashMap<u16, u16>,
    /// The kind of all that came when there were too many.
    others: Option<u16>,
    of_loss: HashMap<&'static str, u16>,
    of_context: HashMap<[u8; 5], u8>,
    marks: Vec<[u8; 5]>,
    shapes: Vec<Shape>,
    /// What an item says, and what of it stays; kept for their room.
    text: String,
    shape: String,
    numbers: Vec<u64>,
}

/// What is told apart by colour.
struct Kind {
    name: String,
    loss: Option<&'static str>,
    shapes: HashMap<String, u16>,
}

/// What stays of a text.
struct Shape {
    kind: u16,
    text: String,
    numbers: Vec<Numbers>,
}

/// Numbers that stand in one place of a shape.
#[derive(Default)]
struct Numbers {
    encoded: Vec<u8>,
    newest: u64,
}

/// Writes the description and the columns of a trace.
pub(crate) fn write(trace: &dyn Trace, number: usize, out: &mut dyn Write) -> io::Result<()> {
    write_newest(trace, number, ITEMS_MOST, out)
}

fn write_newest(trace: &dyn Trace, number: usize, most: u64, out: &mut dyn Write) -> io::Result<()> {
    let of_core = |core| trace.counts(core).events.saturating_add(trace.counts(core).losses);
    let all = (0..trace.about().cores.len() as u32).map(of_core).fold(0, u64::saturating_add);
    let left_out = all.saturating_sub(most);
    let mut columns = Columns::default();
    let mut start = None;
    for item in merged(trace).skip(usize::try_from(left_out).unwrap_or(usize::MAX)) {
        let time = item.time_ns();
        columns.newest = if columns.count == 0 { time } else { columns.newest };
        start.get_or_insert(time);
        columns.add(trace, &item);
    }
    let description = columns.description(trace, start.unwrap_or(0), left_out);
    writeln!(out, "<section class=\"events\" data-trace=\"{number}\"></section>")?;
    writeln!(out, "<script type=\"application/json\" id=\"about{number}\">{}</script>", html::json(&description))?;
    write!(out, "<script type=\"text/plain\" id=\"columns{number}\">")?;
    let mut encoder = DeflateEncoder::new(EncoderWriter::new(&mut *out, &STANDARD), Compression::new(6));
    columns.write(&mut encoder)?;
    encoder.finish()?.finish()?;
    writeln!(out, "</script>")
}

impl Columns {
    fn description(&self, trace: &dyn Trace, start: u64, left_out: u64) -> Value {
        let about = trace.about();
        let stops = about.cores.iter().map(|core| {
            let stop = core.stop.as_ref()?;
            Some(json!({"outcome": stop.outcome, "time": stop.time_ns.to_string(), "text": stop.words}))
        });
        let panic = about
            .panic
            .as_ref()
            .map(|panic| json!({"core": panic.core, "time": panic.time_ns.to_string(), "text": panic.message}));
        let mark = |mark: &[u8; 5]| String::from_utf8_lossy(mark).into_owned();
        json!({
            "count": self.count,
            "leftOut": left_out,
            "start": start.to_string(),
            "cores": about.cores.len(),
            "times": self.times.len(),
            "numbers": self.numbers().map(|column| column.encoded.len()).sum::<usize>(),
            "kinds": self.kinds.iter().map(|kind| json!({"name": kind.name, "loss": kind.loss})).collect::<Vec<_>>(),
            "shapes": self.shapes.iter().map(|shape| json!([shape.kind, shape.text])).collect::<Vec<_>>(),
            "contexts": self.marks.iter().map(mark).collect::<Vec<_>>(),
            "stops": stops.collect::<Vec<_>>(),
            "panic": panic,
        })
    }

    fn numbers(&self) -> impl Iterator<Item = &Numbers> {
        self.shapes.iter().flat_map(|shape| &shape.numbers)
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let fixed = [&self.times, &self.cores, &self.of_shapes, &self.contexts, &self.pids];
        fixed.into_iter().try_for_each(|part| out.write_all(part))?;
        self.numbers().try_for_each(|column| out.write_all(&column.encoded))?;
        out.write_all(self.texts.as_bytes())
    }

    fn add(&mut self, trace: &dyn Trace, item: &Item<'_>) {
        let time = item.time_ns();
        zigzag(time.wrapping_sub(self.newest).cast_signed(), &mut self.times);
        self.newest = time;
        self.cores.extend((item.core() as u16).to_le_bytes());
        self.text.clear();
        let (kind, context, pid) = match item {
            Item::Event(event) => (self.event(trace, event), self.context(trace.context(event)), event.pid),
            Item::Loss(loss) => (self.loss(loss), self.context(*b"     "), 0),
        };
        self.contexts.push(context);
        self.pids.extend(pid.to_le_bytes());
        // Printable ASCII is what a trace promises; the page relies on it.
        if !self.text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            self.text = self.text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
        }
        let shape = self.take_apart(kind);
        self.of_shapes.extend(shape.to_le_bytes());
        self.count += 1;
    }

    // What an event or a loss says goes into `self.text`: a String takes everything.

    fn event(&mut self, trace: &dyn Trace, event: &Event<'_>) -> u16 {
        let name = trace.name(event.id);
        let is_name = name != "unknown" && !name.is_empty();
        let name = || if is_name { name.into() } else { format!("event {}", event.id) };
        let known = self.of_event.get(&event.id).copied();
        let kind = match known {
            Some(kind) => kind,
            None if self.of_event.len() < KINDS_MOST => {
                let kind = Kind::push(&mut self.kinds, name(), None);
                self.of_event.insert(event.id, kind);
                kind
            }
            None => {
                self.text.push_str(&name());
                self.text.push_str(": ");
                *self.others.get_or_insert_with(|| Kind::push(&mut self.kinds, "other".into(), None))
            }
        };
        let _ = trace.text(event, &mut self.text);
        kind
    }

    fn loss(&mut self, loss: &Loss<'_>) -> u16 {
        self.text.push_str(&loss.what);
        if let Some(events) = loss.events {
            self.text.push_str(&format!(" ({events} events)"));
        }
        let (name, kinds) = (loss.kind.name(), &mut self.kinds);
        *self.of_loss.entry(name).or_insert_with(|| Kind::push(kinds, format!("lost, {name}"), Some(name)))
    }

    /// The 255th and later contexts look like the last.
    fn context(&mut self, context: [u8; 5]) -> u8 {
        let marks = &mut self.marks;
        *self.of_context.entry(context).or_insert_with(|| {
            if marks.len() < 255 {
                marks.push(context.map(|c| if (b' '..=b'~').contains(&c) { c } else { b'?' }));
            }
            (marks.len() - 1) as u8
        })
    }

    /// Puts the item's text where it belongs; returns its shape.
    fn take_apart(&mut self, kind: u16) -> u16 {
        self.shape.clear();
        self.numbers.clear();
        if self.text.len() <= SHAPE_LENGTH_MOST {
            take_apart(&self.text, &mut self.shape, &mut self.numbers);
        }
        let is_short = self.text.len() <= SHAPE_LENGTH_MOST;
        let of_kind = &self.kinds[usize::from(kind)].shapes;
        let has_room = of_kind.len() < SHAPES_PER_KIND_MOST && self.shapes.len() < SHAPES_MOST;
        let known = of_kind.get(&self.shape).copied();
        let shape = match known {
            Some(shape) if is_short => shape,
            None if is_short && has_room => self.new_shape(kind),
            _ => return self.text_of_its_own(kind),
        };
        for (column, number) in self.shapes[usize::from(shape)].numbers.iter_mut().zip(&self.numbers) {
            zigzag(number.wrapping_sub(column.newest).cast_signed(), &mut column.encoded);
            column.newest = *number;
        }
        shape
    }

    fn text_of_its_own(&mut self, kind: u16) -> u16 {
        self.texts.push_str(&self.text);
        self.texts.push('\n');
        self.shape.clear();
        self.shape.push(ANY);
        self.numbers.clear();
        let known = self.kinds[usize::from(kind)].shapes.get(&self.shape).copied();
        known.unwrap_or_else(|| self.new_shape(kind))
    }

    /// There are never as many as a u16 counts: no more than [`SHAPES_MOST`], and one for each kind.
    fn new_shape(&mut self, kind: u16) -> u16 {
        let numbers = self.numbers.iter().map(|_| Numbers::default()).collect();
        self.shapes.push(Shape { kind, text: self.shape.clone(), numbers });
        let shape = (self.shapes.len() - 1) as u16;
        self.kinds[usize::from(kind)].shapes.insert(self.shape.clone(), shape);
        shape
    }
}

impl Kind {
    fn push(kinds: &mut Vec<Self>, name: String, loss: Option<&'static str>) -> u16 {
        kinds.push(Self { name, loss, shapes: HashMap::new() });
        (kinds.len() - 1) as u16
    }
}

fn zigzag(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    loop {
        let low = (rest & 0x7f) as u8;
        rest >>= 7;
        if rest == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::fake::Fake;
    use trace::{Format, LossKind};

    #[test]
    fn what_is_too_much_for_a_browser_is_left_out_and_counted_oldest_first() {
        let format = Format { id: 1, name: "work".into(), fields: Vec::new(), print: "x".into() };
        let mut fake = Fake::new(2, [format]);
        for n in 0..30u64 {
            fake.event((n % 2) as u32, 1000 + n, 1, &[]);
        }
        fake.loss(1, LossKind::Stale, None);
        for (most, start, left_out) in [(10, 1021, 21), (31, 1000, 0), (1000, 1000, 0)] {
            let mut html = Vec::new();
            write_newest(&fake, 0, most, &mut html).unwrap();
            let html = String::from_utf8(html).unwrap();
            let about = html.split("id=\"about0\">").nth(1).unwrap().split("</script>").next().unwrap();
            let about: Value = serde_json::from_str(about).unwrap();
            assert_eq!(about["count"], json!(31 - left_out));
            assert_eq!((&about["start"], &about["leftOut"]), (&json!(start.to_string()), &json!(left_out)));
        }
    }
}
