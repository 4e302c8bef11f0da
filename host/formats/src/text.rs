//! Text in the form of Linux's `trace` file: a heading, then a line per event in the order of time.
//!
//! ```text
//!           <...>-101     [001] d..1.     6.264634: irq_entry: intid=27 pc=0x40080000
//! CPU:1 [LOST 5 EVENTS]
//! # CPU:1 sub-buffer 3, bytes 416 to 432: stale
//! ```
//!
//! Times are rounded to microseconds, as Linux rounds them; behind one that does not follow from records that verify stands
//! a `?`. Printable ASCII only.

use crate::ascii::Ascii;
use std::io::{self, Write};
use trace::{Event, Item, Loss, Trace, merged};

/// Bytes that are written at once.
const FLUSH: usize = 1 << 18;

/// Writes all of a trace.
///
/// # Errors
/// Those of `out`.
pub fn write(trace: &dyn Trace, out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = Ascii(Vec::with_capacity(FLUSH + (1 << 14)));
    trace.heading(&mut buffer).map_err(io::Error::other)?;
    for item in merged(trace) {
        match item {
            Item::Event(event) => line(trace, &event, &mut buffer),
            Item::Loss(loss) => lost(&loss, &mut buffer),
        }
        .map_err(io::Error::other)?;
        if buffer.0.len() >= FLUSH {
            out.write_all(&buffer.0)?;
            buffer.0.clear();
        }
    }
    out.write_all(&buffer.0)
}

/// One event.
fn line(trace: &dyn Trace, event: &Event<'_>, out: &mut Ascii) -> std::fmt::Result {
    task(event.pid, out);
    out.raw(b" [");
    out.number(u64::from(event.core), 3, b'0');
    out.raw(b"] ");
    out.raw(&trace.context(event));
    out.raw(b" ");
    let micros = event.time_ns.saturating_add(500) / 1000;
    out.number(micros / 1_000_000, 5, b' ');
    out.raw(b".");
    out.number(micros % 1_000_000, 6, b'0');
    out.raw(if event.time_is_certain { b": " } else { b"?: " });
    trace.listed(event, out)?;
    out.raw(b"\n");
    Ok(())
}

/// The name of a task and its pid in their columns. Names are not kept in a region: only that of pid 0 is known; that of a
/// negative one is three X, as Linux has it.
fn task(pid: i32, out: &mut Ascii) {
    out.raw(match pid {
        0 => b"          <idle>-",
        1.. => b"           <...>-",
        ..0 => b"           <XXX>-",
    });
    let start = out.0.len();
    if pid < 0 {
        out.raw(b"-");
    }
    out.number(u64::from(pid.unsigned_abs()), 1, b'0');
    out.pad(start, 7);
}

/// One loss: as Linux says it, then in our words.
fn lost(loss: &Loss<'_>, out: &mut Ascii) -> std::fmt::Result {
    use std::fmt::Write as _;
    match loss.events {
        Some(events) => writeln!(out, "CPU:{} [LOST {events} EVENTS]", loss.core)?,
        None => writeln!(out, "CPU:{} [LOST EVENTS]", loss.core)?,
    }
    writeln!(out, "# CPU:{} {}", loss.core, loss.what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_of_every_length_stand_in_their_column() {
        let shown = |pid| {
            let mut out = Ascii::default();
            task(pid, &mut out);
            String::from_utf8(out.0).unwrap()
        };
        assert_eq!(shown(0), "          <idle>-0      ");
        assert_eq!(shown(593), "           <...>-593    ");
        assert_eq!(shown(-5), "           <XXX>--5     ");
        assert_eq!(shown(i32::MIN), "           <XXX>--2147483648");
    }
}
