//! JSON lines: a first one that says what the trace is about, then one for each event and each loss, in the order of time.
//!
//! ```text
//! {"about":{"title":"boot 7 panicked ...","boot":7,"end":"panic","panic":{...},"cores":[{"events":...,"stop":...},...]}}
//! {"time_ns":312847000,"core":1,"name":"irq_entry","id":4097,"pid":2,"flags":"d.h..","nesting":0,"fields":{"intid":27,"pc":"0x40200000"}}
//! {"time_ns":312848000,"core":1,"loss":"stale","events":null,"page":7,"bytes":[416,432],"what":"..."}
//! ```
//!
//! Numbers are exact integers of up to 64 bits, more than a double holds: read them with a reader that keeps them. Hexadecimal
//! fields and bytes are strings. ASCII only: other characters are `\uXXXX`; bytes that are no UTF-8 are shown as `\xNN`.
//! A field that the event is too short for is null.

use crate::ascii::{Ascii, push_escaped, push_hex};
use serde_json::{Value as Json, json};
use std::io::{self, Write};
use trace::{About, Account, Counts, Event, Item, Loss, Origin, Panic, Stop, Trace, Value, merged};

/// Bytes that are written at once.
const FLUSH: usize = 1 << 18;

/// Writes all of a trace.
///
/// # Errors
/// Those of `out`.
pub fn write(trace: &dyn Trace, out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = Ascii(Vec::with_capacity(FLUSH + (1 << 14)));
    let mut scratch = String::new();
    let about = json!({ "about": about(trace) }).to_string();
    ascii(&about, &mut buffer);
    buffer.raw(b"\n");
    for item in merged(trace) {
        match item {
            Item::Event(event) => self::event(trace, &event, &mut scratch, &mut buffer),
            Item::Loss(loss) => self::loss(&loss, &mut buffer),
        }
        if buffer.0.len() >= FLUSH {
            out.write_all(&buffer.0)?;
            buffer.0.clear();
        }
    }
    out.write_all(&buffer.0)
}

/// JSON with every character beyond ASCII as `\uXXXX`; these stand in strings only.
fn ascii(json: &str, out: &mut Ascii) {
    for c in json.chars() {
        match u8::try_from(c) {
            Ok(byte @ b' '..=b'~') => out.raw(&[byte]),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.raw(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
}

/// A string of JSON.
fn string(text: &str, out: &mut Ascii) {
    ascii(&Json::from(text).to_string(), out);
}

fn event(trace: &dyn Trace, event: &Event<'_>, scratch: &mut String, out: &mut Ascii) {
    head(event.time_ns, event.core, out);
    out.raw(b",\"name\":\"");
    out.raw(trace.name(event.id).as_bytes());
    out.raw(b"\",\"id\":");
    out.number(u64::from(event.id), 1, b'0');
    out.raw(b",\"pid\":");
    signed(i64::from(event.pid), out);
    out.raw(b",\"flags\":");
    string(&String::from_utf8_lossy(&trace.context(event)), out);
    out.raw(b",\"nesting\":");
    out.number(u64::from(event.nesting), 1, b'0');
    for (name, is_so) in [
        ("time_is_uncertain", !event.time_is_certain),
        ("beyond_commit", event.beyond_commit),
        ("after_loss", event.after_loss),
    ] {
        if is_so {
            out.raw(b",\"");
            out.raw(name.as_bytes());
            out.raw(b"\":true");
        }
    }
    match trace.schema().get(event.id) {
        None => {
            out.raw(b",\"data\":\"");
            scratch.clear();
            push_hex(event.payload, scratch);
            out.raw(scratch.as_bytes());
            out.raw(b"\"");
        }
        Some(format) => {
            out.raw(b",\"fields\":{");
            for (number, field) in format.fields.iter().enumerate() {
                out.raw(if number == 0 { b"\"" } else { b",\"" });
                out.raw(field.name.as_bytes());
                out.raw(b"\":");
                value(field.value(event.payload), scratch, out);
            }
            out.raw(b"}");
        }
    }
    // What Linux says of an event is more than its fields.
    if matches!(trace.about().origin, Origin::Linux { .. }) {
        scratch.clear();
        // A String takes everything.
        let _ = trace.text(event, scratch);
        out.raw(b",\"text\":");
        string(scratch, out);
    }
    out.raw(b"}\n");
}

fn value(value: Option<Value<'_>>, scratch: &mut String, out: &mut Ascii) {
    match value {
        None => out.raw(b"null"),
        Some(Value::Unsigned(number)) => out.number(number, 1, b'0'),
        Some(Value::Signed(number)) => signed(number, out),
        Some(Value::Hex(number)) => out.raw(format!("\"{number:#x}\"").as_bytes()),
        Some(Value::Text(text)) => match std::str::from_utf8(text) {
            Ok(text) => string(text, out),
            Err(_) => {
                scratch.clear();
                push_escaped(text, scratch);
                string(scratch, out);
            }
        },
        Some(Value::Bytes(bytes)) => {
            scratch.clear();
            push_hex(bytes, scratch);
            out.raw(b"\"");
            out.raw(scratch.as_bytes());
            out.raw(b"\"");
        }
    }
}

fn head(time_ns: u64, core: u32, out: &mut Ascii) {
    out.raw(b"{\"time_ns\":");
    out.number(time_ns, 1, b'0');
    out.raw(b",\"core\":");
    out.number(u64::from(core), 1, b'0');
}

fn signed(number: i64, out: &mut Ascii) {
    if number < 0 {
        out.raw(b"-");
    }
    out.number(number.unsigned_abs(), 1, b'0');
}

fn loss(loss: &Loss<'_>, out: &mut Ascii) {
    head(loss.time_ns, loss.core, out);
    let rest = json!({
        "loss": loss.kind.name(),
        "events": loss.events,
        "page": loss.page,
        "bytes": [loss.bytes.0, loss.bytes.1],
        "what": loss.what,
    });
    out.raw(b",");
    ascii(&rest.to_string()[1..], out);
    out.raw(b"\n");
}

/// What the trace is about.
fn about(trace: &dyn Trace) -> Json {
    let about @ About { title, place, boot, boot_id, end, board, build_id, clock, panic, remarks, .. } = trace.about();
    let cores: Vec<_> =
        (0u32..).zip(&about.cores).map(|(core, about)| counts(core, trace.counts(core), about.stop.as_ref())).collect();
    let origin = match &about.origin {
        Origin::Afterglow { version, bank } => json!({ "format": "afterglow", "version": version, "bank": bank }),
        Origin::Linux { layout } => json!({ "format": "linux", "layout": layout }),
        Origin::Listing => json!({ "format": "listing" }),
    };
    json!({
        "title": title, "origin": origin, "place": [place.start, place.end], "boot": boot, "boot_id": boot_id,
        "end": end.name(), "board": board, "build_id": build_id,
        "clock": { "name": clock.name, "frequency_hz": clock.frequency_hz, "zero": clock.zero },
        "panic": panic.as_ref().map(self::panic), "cores": cores, "remarks": remarks,
    })
}

fn panic(panic: &Panic) -> Json {
    let hex = |numbers: &[u64]| numbers.iter().map(|number| format!("{number:#x}")).collect::<Vec<_>>();
    let nested: Vec<_> = panic
        .nested
        .iter()
        .map(|n| json!({ "core": n.core, "step": n.step, "message": n.message, "location": n.location, "pc": format!("{:#x}", n.pc) }))
        .collect();
    json!({
        "core": panic.core, "time_ns": panic.time_ns, "message": panic.message, "location": panic.location,
        "explained": panic.explained, "fault_address": format!("{:#x}", panic.fault_address),
        "registers": panic.registers.as_ref().map(|registers| hex(&registers[..])),
        "backtrace": hex(&panic.backtrace), "nested": nested,
    })
}

fn counts(core: u32, counts: &Counts, stop: Option<&Stop>) -> Json {
    let Counts { events, bytes, times, losses, account } = counts;
    let stop = stop.map(|stop| {
        json!({
            "outcome": stop.outcome, "time_ns": stop.time_ns, "means": stop.means, "pc": format!("{:#x}", stop.pc),
            "lr": format!("{:#x}", stop.lr), "sp": format!("{:#x}", stop.sp), "pstate": format!("{:#x}", stop.pstate),
            "words": stop.words,
        })
    });
    json!({
        "core": core, "events": events, "bytes": bytes, "first_ns": times.map(|times| times.0),
        "last_ns": times.map(|times| times.1), "losses": losses, "account": account.as_ref().map(self::account), "stop": stop,
    })
}

fn account(account: &Account) -> Json {
    let causes = ring::writer::Refused::ALL.iter().zip(account.refused);
    let dropped: serde_json::Map<_, _> =
        causes.map(|(cause, count)| (cause.name().replace(' ', "_"), count.into())).collect();
    json!({
        "attempted": account.attempted, "recovered": account.recovered, "overwritten": account.overwritten,
        "stale": account.stale, "flipped": account.flipped, "unfinished": account.unfinished, "dropped": dropped,
        "sum_holds": account.sum_holds(), "is_final": account.is_final, "beyond_commit": account.beyond_commit,
        "uncertain_times": account.uncertain_times,
    })
}
