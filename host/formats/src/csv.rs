//! CSV: a row for each event and each loss, in the order of time, for spreadsheets and scripts.
//!
//! Columns: time in seconds, core, kind (`event` or what kind of loss), name, pid, context, text, fields as `name=value; ...`.
//! No cell is a formula: before a text that a spreadsheet would take for one stands a `'`.

use crate::ascii::Ascii;
use std::fmt::Write as _;
use std::io::{self, Write};
use trace::{Event, Item, Loss, Trace, merged};

const COLUMNS: [&str; 8] = ["time", "core", "kind", "name", "pid", "context", "text", "fields"];

/// Writes all of a trace.
///
/// # Errors
/// Those of `out`.
pub fn write(trace: &dyn Trace, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::WriterBuilder::new().buffer_capacity(1 << 18).from_writer(out);
    csv.write_record(COLUMNS)?;
    let mut row = Row::default();
    for item in merged(trace) {
        row.cells.iter_mut().for_each(|cell| cell.0.clear());
        match item {
            Item::Event(event) => row.event(trace, &event),
            Item::Loss(loss) => row.loss(&loss),
        }
        .map_err(io::Error::other)?;
        row.cells.iter_mut().skip(3).for_each(defuse);
        csv.write_record(row.cells.iter().map(|cell| &cell.0))?;
    }
    csv.flush()
}

/// The cells of a row, which are used again for the next.
#[derive(Default)]
struct Row {
    cells: [Ascii; COLUMNS.len()],
}

impl Row {
    fn event(&mut self, trace: &dyn Trace, event: &Event<'_>) -> std::fmt::Result {
        let [time, core, kind, name, pid, context, text, fields] = &mut self.cells;
        seconds(event.time_ns, time);
        core.number(event.core.into(), 1, b'0');
        kind.raw(b"event");
        name.raw(trace.name(event.id).as_bytes());
        write!(pid, "{}", event.pid)?;
        context.raw(trace.context(event).trim_ascii());
        trace.text(event, text)?;
        let Some(format) = trace.schema().get(event.id) else {
            return write!(fields, "id={}", event.id);
        };
        for field in &format.fields {
            if let Some(value) = field.value(event.payload) {
                fields.raw(if fields.0.is_empty() { b"" } else { b"; " });
                write!(fields, "{}={value}", field.name)?;
            }
        }
        Ok(())
    }

    fn loss(&mut self, loss: &Loss<'_>) -> std::fmt::Result {
        let [time, core, kind, name, _, _, text, fields] = &mut self.cells;
        seconds(loss.time_ns, time);
        core.number(loss.core.into(), 1, b'0');
        kind.raw(loss.kind.name().as_bytes());
        name.raw(b"loss");
        text.raw(loss.what.as_bytes());
        loss.events.map_or(Ok(()), |events| write!(fields, "events={events}"))
    }
}

/// Nanoseconds as seconds, none of them lost.
fn seconds(time_ns: u64, cell: &mut Ascii) {
    cell.number(time_ns / 1_000_000_000, 1, b'0');
    cell.raw(b".");
    cell.number(time_ns % 1_000_000_000, 9, b'0');
}

/// What a spreadsheet would take for a formula is text. A number that is negative stays one.
fn defuse(cell: &mut Ascii) {
    let is_number = cell.0.len() > 1 && cell.0[1..].iter().all(u8::is_ascii_digit);
    if matches!(cell.0.first(), Some(b'=' | b'+' | b'@' | b'\t' | b'\r')) || cell.0.first() == Some(&b'-') && !is_number
    {
        cell.0.insert(0, b'\'');
    }
}
