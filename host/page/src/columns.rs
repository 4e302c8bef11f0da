//! The events of a trace as columns, which a page of a million events can hold and search.
//!
//! A description in JSON, then all columns behind each other, deflated, in base64. n items, little endian:
//!
//! | column | bytes | what |
//! |---|---|---|
//! | times | `times` | per item a zigzag LEB128: nanoseconds since the item before; the first since `start` |
//! | cores | 2 n | u16 |
//! | kinds | 2 n | u16: which of `kinds` |
//! | contexts | n | u8: which of `contexts` |
//! | pids | 4 n | i32 |
//! | texts | the rest | `name: text` and a newline, printable ASCII |

use crate::html;
use base64::{engine::general_purpose::STANDARD, write::EncoderWriter};
use flate2::{Compression, write::DeflateEncoder};
use serde_json::json;
use std::collections::HashMap;
use std::io::{self, Write};
use trace::{Item, Trace, merged};

#[derive(Default)]
struct Columns {
    times: Vec<u8>,
    cores: Vec<u8>,
    kinds: Vec<u8>,
    contexts: Vec<u8>,
    pids: Vec<u8>,
    texts: String,
    count: usize,
    newest: u64,
    /// What is told apart by colour: name, and the kind of loss if it is one.
    names: Vec<(String, Option<&'static str>)>,
    of_event: HashMap<u16, u16>,
    of_loss: HashMap<&'static str, u16>,
    of_context: HashMap<[u8; 5], u8>,
    marks: Vec<[u8; 5]>,
}

/// Writes the description and the columns of a trace.
pub(crate) fn write(trace: &dyn Trace, number: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut columns = Columns::default();
    let mut start = None;
    for item in merged(trace) {
        let time = item.time_ns();
        columns.newest = if columns.count == 0 { time } else { columns.newest };
        start.get_or_insert(time);
        columns.add(trace, &item);
    }
    let about = trace.about();
    let stops: Vec<_> = about
        .cores
        .iter()
        .enumerate()
        .filter_map(|(core, about)| Some((core, about.stop.as_ref()?)))
        .filter(|(_, stop)| matches!(stop.outcome, "stopped" | "panicked"))
        .map(|(core, stop)| json!({"core": core, "time": stop.time_ns.to_string(), "text": stop.words}))
        .collect();
    let kinds: Vec<_> = columns.names.iter().map(|(name, loss)| json!({"name": name, "loss": loss})).collect();
    let marks: Vec<_> = columns.marks.iter().map(|mark| String::from_utf8_lossy(mark).into_owned()).collect();
    let description = json!({
        "count": columns.count,
        "start": start.unwrap_or(0).to_string(),
        "cores": about.cores.len(),
        "times": columns.times.len(),
        "kinds": kinds,
        "contexts": marks,
        "stops": stops,
        "panic": about.panic.as_ref().map(|panic| json!({
            "core": panic.core, "time": panic.time_ns.to_string(), "text": panic.message,
        })),
    });
    writeln!(out, "<section class=\"events\" data-trace=\"{number}\"></section>")?;
    writeln!(out, "<script type=\"application/json\" id=\"about{number}\">{}</script>", html::json(&description))?;
    write!(out, "<script type=\"text/plain\" id=\"columns{number}\">")?;
    let mut encoder = DeflateEncoder::new(EncoderWriter::new(&mut *out, &STANDARD), Compression::new(5));
    let parts: [&[u8]; 6] =
        [&columns.times, &columns.cores, &columns.kinds, &columns.contexts, &columns.pids, columns.texts.as_bytes()];
    parts.into_iter().try_for_each(|part| encoder.write_all(part))?;
    encoder.finish()?.finish()?;
    writeln!(out, "</script>")
}

impl Columns {
    fn add(&mut self, trace: &dyn Trace, item: &Item<'_>) {
        let time = item.time_ns();
        zigzag(time.wrapping_sub(self.newest).cast_signed(), &mut self.times);
        self.newest = time;
        self.cores.extend((item.core() as u16).to_le_bytes());
        let (kind, context, pid) = match item {
            Item::Event(event) => (self.event(trace, event.id), self.context(trace.context(event)), event.pid),
            Item::Loss(loss) => (self.loss(loss.kind.name()), self.context(*b"     "), 0),
        };
        self.kinds.extend(kind.to_le_bytes());
        self.contexts.push(context);
        self.pids.extend(pid.to_le_bytes());
        let from = self.texts.len();
        self.texts.push_str(&self.names[usize::from(kind)].0);
        self.texts.push_str(": ");
        // A String takes everything.
        let _ = match item {
            Item::Event(event) => trace.text(event, &mut self.texts),
            Item::Loss(loss) => {
                self.texts.push_str(&loss.what);
                loss.events.map_or(Ok(()), |events| {
                    std::fmt::Write::write_fmt(&mut self.texts, format_args!(" ({events} events)"))
                })
            }
        };
        // Printable ASCII is what a trace promises; the page relies on it.
        if !self.texts.as_bytes()[from..].iter().all(|byte| (b' '..=b'~').contains(byte)) {
            let clean: String =
                self.texts[from..].chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
            self.texts.truncate(from);
            self.texts.push_str(&clean);
        }
        self.texts.push('\n');
        self.count += 1;
    }

    fn event(&mut self, trace: &dyn Trace, id: u16) -> u16 {
        let names = &mut self.names;
        *self.of_event.entry(id).or_insert_with(|| {
            let name = trace.name(id);
            let name = if name == "unknown" || name.is_empty() { format!("event {id}") } else { name.into() };
            names.push((name, None));
            (names.len() - 1) as u16
        })
    }

    fn loss(&mut self, kind: &'static str) -> u16 {
        let names = &mut self.names;
        *self.of_loss.entry(kind).or_insert_with(|| {
            names.push((format!("lost, {kind}"), Some(kind)));
            (names.len() - 1) as u16
        })
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
