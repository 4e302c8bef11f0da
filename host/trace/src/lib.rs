//! What a region tells, in one model: whatever is read ends in it (our banks, Linux's persistent ring buffer), whatever is
//! shown or exported is written from it.
//!
//! ```text
//!   region, RAM image, capture ─► reader ─► Trace ─► text, JSON, CSV, trace.dat, CTF, Perfetto, page
//!                                             │
//!                          about()  who, when, how it ended      schema()  what the events' fields are
//!                          items(c) events and losses in order   pages(c)  sub-buffers as they stand
//! ```
//!
//! Nothing here owns a region's bytes: a [`Trace`] borrows them from a mapped file, and hands out events one by one, so that
//! memory does not grow with the region. Everything that a region says is untrusted: [`About`] holds texts that are escaped
//! already, an event's fields are raw bytes, and whoever shows them escapes them ([`ring::escape::Escaped`]).

mod about;
#[cfg(feature = "fake")]
pub mod fake;
mod item;
mod merge;
mod schema;
mod show;

pub use about::{About, Clock, Core, Counts, End, Nested, Origin, Panic, Registers, Stop, hex};
pub use item::{Event, Item, Loss, LossKind, Page};
pub use merge::{Merged, merged};
pub use ring::account::Account;
pub use ring::schema::Value;
pub use schema::{Field, Format, Kind, Schema, Size};

use std::fmt::{Result, Write};

/// One boot's events, or those of one Linux instance: what all formats are written from.
///
/// Cores are numbered from 0 to `about().cores.len()`; other numbers have nothing to tell.
pub trait Trace {
    /// Who recorded, when, and how it ended. Cheap: no event has been looked at.
    fn about(&self) -> &About;
    /// What the events are.
    fn schema(&self) -> &Schema;
    /// What became of one core's events. Goes through all of them when it is asked for the first time.
    fn counts(&self, core: u32) -> &Counts;
    /// One core's events and losses, in the order in which they were written.
    fn items(&self, core: u32) -> Box<dyn Iterator<Item = Item<'_>> + '_>;
    /// One core's sub-buffers, oldest first, for whoever copies them as they are.
    fn pages(&self, core: u32) -> Box<dyn Iterator<Item = Page<'_>> + '_>;
    /// The lines above a listing in the form of Linux's `trace` file: which column is what.
    ///
    /// # Errors
    /// Those of `out`.
    fn heading(&self, out: &mut dyn Write) -> Result;
    /// The flags of an event's context as that listing shows them, one character a column.
    fn context(&self, event: &Event<'_>) -> [u8; 5];
    /// What an event says, without its name: printable ASCII only.
    ///
    /// # Errors
    /// Those of `out`.
    fn text(&self, event: &Event<'_>, out: &mut dyn Write) -> Result {
        self.schema().show(event.id, event.payload, out)
    }
    /// The name of an event's kind, printable ASCII.
    fn name(&self, id: u16) -> &str {
        self.schema().get(id).map_or("unknown", |format| format.name.as_str())
    }
    /// What stands behind an event's time in a listing in the form of Linux's `trace` file: its name and its text, where
    /// that event has a name there. Printable ASCII, and newlines between the lines of a stack.
    ///
    /// # Errors
    /// Those of `out`.
    fn listed(&self, event: &Event<'_>, out: &mut dyn Write) -> Result {
        match self.name(event.id) {
            "" => {}
            "unknown" => write!(out, "unknown: id={} data=", event.id)?,
            name => {
                out.write_str(name)?;
                out.write_str(": ")?;
            }
        }
        self.text(event, out)
    }
}

/// Whether something that was recorded is gone. Sub-buffers that are whole are not gone through event by event.
#[must_use]
pub fn is_damaged(trace: &dyn Trace) -> bool {
    let is_damage = |item: &Item<'_>| matches!(item, Item::Loss(loss) if loss.kind.is_damage());
    (0..trace.about().cores.len() as u32).any(|core| trace.pages(core).any(|page| page.items.iter().any(is_damage)))
}
