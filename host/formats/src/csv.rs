//! CSV with a heading, a row for each event and each loss in the order of time. Printable ASCII; texts that a spreadsheet
//! would take for a formula have a `'` before them.
//!
//! | column | what |
//! |---|---|
//! | `time_s` | seconds with nine places; `time_is_certain` says whether it follows from records that verify |
//! | `core`, `kind` | `event`, or which loss |
//! | `name`, `id`, `pid`, `flags` | of an event |
//! | `text` | what it says; of a loss what is lost |
//! | `events` | of a loss: how many, if that is known |

use std::borrow::Cow;
use std::io::{self, Write};
use trace::{Item, Trace, merged};

/// Writes all of a trace.
///
/// # Errors
/// Those of `out`.
pub fn write(trace: &dyn Trace, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    let columns = ["time_s", "time_is_certain", "core", "kind", "name", "id", "pid", "flags", "text", "events"];
    rows.write_record(columns)?;
    let mut text = String::new();
    for item in merged(trace) {
        let time = item.time_ns();
        let time = format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000);
        let core = item.core().to_string();
        text.clear();
        match item {
            Item::Event(event) => {
                // A String takes everything.
                let _ = trace.text(&event, &mut text);
                let flags = trace.context(&event);
                rows.write_record([
                    time.as_str(),
                    if event.time_is_certain { "yes" } else { "no" },
                    &core,
                    "event",
                    trace.name(event.id),
                    &event.id.to_string(),
                    &event.pid.to_string(),
                    &harmless(&String::from_utf8_lossy(&flags)),
                    &harmless(&text),
                    "",
                ])?;
            }
            Item::Loss(loss) => {
                let events = loss.events.map(|events| events.to_string()).unwrap_or_default();
                rows.write_record([
                    time.as_str(),
                    "yes",
                    &core,
                    loss.kind.name(),
                    "",
                    "",
                    "",
                    "",
                    &harmless(&loss.what),
                    &events,
                ])?;
            }
        }
    }
    rows.flush()
}

/// A text that no spreadsheet computes.
fn harmless(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@']) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_a_spreadsheet_would_compute_is_quoted() {
        for formula in ["=cmd()", "+1", "-1", "@x"] {
            assert_eq!(harmless(formula), format!("'{formula}"));
        }
        assert_eq!(harmless("1+1"), "1+1");
    }
}
