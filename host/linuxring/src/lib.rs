//! Reads what Linux's own persistent ring buffer left in memory: both of its layouts, whole or damaged.
//!
//! ```text
//!   image ─► find ─► Region::parse ─► Linux: the model that all formats are written from (trace::Trace)
//!            magic   headers, order    │
//!                    of sub-buffers    ├─ events and losses, sub-buffer by sub-buffer
//!                                      ├─ Formats: built in and recognised by shape, or a tracefs `events` directory
//!                                      └─ Symbols: a kallsyms or System.map
//! ```
//!
//! A region has no checksums, no sequence numbers and no descriptions of its events. What can be held against each other is:
//! headers of the processors, the order of the sub-buffers and their time stamps, the events that fill a sub-buffer without a
//! gap. Everything here is total: any bytes give events, losses and remarks, in time that is bounded by their number.

mod divide;
mod event;
mod find;
mod items;
mod layout;
mod model;
mod order;
mod page;
mod print;
mod recognise;
mod region;
mod symbols;
mod table;
mod tracefs;

pub use event::Formats;
pub use find::{Found, find};
pub use layout::Layout;
pub use model::Linux;
pub use region::{Cpu, Notes, Region};
pub use symbols::Symbols;
