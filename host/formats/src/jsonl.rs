//! JSON lines: a line about the trace, then one for each event and each loss, in the order of time.
//!
//! ```text
//! {"about":{"title":"boot 7, panicked",...,"cores":[{"core":0,"counts":{"events":5,...},"stop":{...}},...]}}
//! {"type":"event","time_ns":6264634123,"core":1,"name":"irq_entry","id":4097,...,"fields":{"intid":27,"pc":"0x40080000"},...}
//! {"type":"loss","time_ns":6264634123,"core":1,"kind":"stale","events":null,"page":3,"bytes":[416,432],"what":"..."}
//! ```
//!
//! Numbers are JSON integers of up to 64 bits: a reader that takes them for floating point loses digits beyond 2^53.
//! Addresses are strings, `"0x..."`; bytes are strings of hexadecimal digits, all of them; texts are escaped as everywhere in
//! this project, and then as JSON. A field that an event is too short for is `null`.

use crate::ascii::{Ascii, escaped, push_hex};
use crate::names;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::json;
use std::collections::HashMap;
use std::io::{self, Write};
use trace::{About, Counts, Event, Format, Item, Loss, Origin, Panic, Stop, Trace, Value, merged};

/// Writes all of a trace.
///
/// # Errors
/// Those of `out`.
pub fn write(trace: &dyn Trace, out: &mut dyn Write) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(1 << 18, out);
    line(&json!({ "about": about(trace) }), &mut out)?;
    let names: HashMap<_, _> =
        trace.schema().formats().iter().map(|format| (format.id, names::unique(format, |_| false))).collect();
    let mut text = Ascii::default();
    for item in merged(trace) {
        match item {
            Item::Loss(loss) => line(&lost(&loss), &mut out)?,
            Item::Event(event) => {
                text.0.clear();
                trace.text(&event, &mut text).map_err(io::Error::other)?;
                let text = std::str::from_utf8(&text.0).unwrap_or("");
                let format = trace.schema().get(event.id).map(|format| (format, &names[&event.id][..]));
                line(&Line { name: trace.name(event.id), event, format, text }, &mut out)?;
            }
        }
    }
    out.flush()
}

fn line(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// A number that is read in hexadecimal.
fn hex(number: u64) -> String {
    format!("{number:#x}")
}

/// All that is known of the whole.
fn about(trace: &dyn Trace) -> serde_json::Value {
    let About { title, place, boot, boot_id, end, board, build_id, clock, panic, remarks, .. } = trace.about();
    let origin = match &trace.about().origin {
        Origin::Afterglow { version, bank } => json!({ "format": "afterglow", "version": version, "bank": bank }),
        Origin::Listing => json!({ "format": "listing" }),
        Origin::Linux { layout } => json!({ "format": "linux", "layout": layout }),
    };
    let cores = trace.about().cores.iter().zip(0..).map(|(core, number)| {
        json!({
            "core": number,
            "pages": core.pages,
            "counts": counts(trace.counts(number)),
            "stop": core.stop.as_ref().map(stop),
        })
    });
    json!({
        "title": title,
        "origin": origin,
        "place": [place.start, place.end],
        "boot": boot,
        "boot_id": boot_id.map(|id| format!("{id:#010x}")),
        "end": end.name(),
        "board": board,
        "build_id": build_id,
        "clock": { "name": clock.name, "frequency_hz": clock.frequency_hz, "zero": clock.zero },
        "panic": panic.as_ref().map(panicked),
        "cores": cores.collect::<Vec<_>>(),
        "remarks": remarks,
    })
}

fn counts(counts: &Counts) -> serde_json::Value {
    let account = counts.account.map(|account| {
        json!({
            "attempted": account.attempted,
            "recovered": account.recovered,
            "overwritten": account.overwritten,
            "stale": account.stale,
            "flipped": account.flipped,
            "unfinished": account.unfinished,
            "dropped": account.dropped(),
            "is_final": account.is_final,
            "beyond_commit": account.beyond_commit,
            "uncertain_times": account.uncertain_times,
        })
    });
    json!({
        "events": counts.events,
        "bytes": counts.bytes,
        "first_ns": counts.times.map(|(first, _)| first),
        "last_ns": counts.times.map(|(_, last)| last),
        "losses": counts.losses,
        "account": account,
    })
}

fn stop(stop: &Stop) -> serde_json::Value {
    let Stop { outcome, time_ns, means, pc, lr, sp, pstate, words } = stop;
    json!({
        "outcome": outcome, "time_ns": time_ns, "means": means, "pc": hex(*pc), "lr": hex(*lr), "sp": hex(*sp),
        "pstate": hex(*pstate), "words": words,
    })
}

fn panicked(panic: &Panic) -> serde_json::Value {
    let Panic { core, time_ns, message, location, registers, fault_address, explained, backtrace, nested } = panic;
    let nested = nested.iter().map(|nested| {
        json!({
            "core": nested.core, "step": nested.step, "message": nested.message, "location": nested.location,
            "pc": hex(nested.pc),
        })
    });
    json!({
        "core": core,
        "time_ns": time_ns,
        "message": message,
        "location": location,
        "registers": registers.as_ref().map(|registers| registers.iter().map(|value| hex(*value)).collect::<Vec<_>>()),
        "fault_address": hex(*fault_address),
        "explained": explained,
        "backtrace": backtrace.iter().map(|pc| hex(*pc)).collect::<Vec<_>>(),
        "nested": nested.collect::<Vec<_>>(),
    })
}

fn lost(loss: &Loss<'_>) -> serde_json::Value {
    json!({
        "type": "loss",
        "time_ns": loss.time_ns,
        "core": loss.core,
        "kind": loss.kind.name(),
        "events": loss.events,
        "page": loss.page,
        "bytes": [loss.bytes.0, loss.bytes.1],
        "what": loss.what,
    })
}

/// An event.
struct Line<'t> {
    name: &'t str,
    event: Event<'t>,
    format: Option<(&'t Format, &'t [String])>,
    text: &'t str,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = &self.event;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "event")?;
        map.serialize_entry("time_ns", &event.time_ns)?;
        map.serialize_entry("core", &event.core)?;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("id", &event.id)?;
        map.serialize_entry("pid", &event.pid)?;
        map.serialize_entry("flags", &event.flags)?;
        map.serialize_entry("nesting", &event.nesting)?;
        // Said where it is not as usual.
        let marks = [
            ("time_is_uncertain", !event.time_is_certain),
            ("after_loss", event.after_loss),
            ("beyond_commit", event.beyond_commit),
        ];
        marks.iter().filter(|(_, is)| *is).try_for_each(|(name, _)| map.serialize_entry(name, &true))?;
        map.serialize_entry("fields", &Fields(event, self.format))?;
        map.serialize_entry("text", self.text)?;
        map.end()
    }
}

/// The fields of an event; of one that nobody described its bytes.
struct Fields<'t>(&'t Event<'t>, Option<(&'t Format, &'t [String])>);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut space = String::new();
        let Some((format, names)) = self.1 else {
            push_hex(self.0.payload, &mut space);
            map.serialize_entry("data", &space)?;
            return map.end();
        };
        for (field, name) in format.fields.iter().zip(names) {
            space.clear();
            match field.value(self.0.payload) {
                None => map.serialize_entry(name, &())?,
                Some(Value::Unsigned(number)) => map.serialize_entry(name, &number)?,
                Some(Value::Signed(number)) => map.serialize_entry(name, &number)?,
                Some(Value::Hex(number)) => map.serialize_entry(name, &format_args!("{number:#x}"))?,
                Some(Value::Text(text)) => {
                    escaped(text, &mut space);
                    map.serialize_entry(name, &space)?;
                }
                Some(Value::Bytes(bytes)) => {
                    push_hex(bytes, &mut space);
                    map.serialize_entry(name, &space)?;
                }
            }
        }
        map.end()
    }
}
