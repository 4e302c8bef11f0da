//! A trace in the formats that people already read.
//!
//! | format | for | shows losses as |
//! |---|---|---|
//! | [`text`] | people, `grep`: Linux's `trace` file | `CPU:1 [LOST 5 EVENTS]`, and a `#` line |
//! | [`jsonl`] | scripts | objects of type `loss` |
//! | [`csv`] | spreadsheets | rows of that kind |
//! | [`tracedat`] | `trace-cmd report`, KernelShark | `CPU:1 [5 EVENTS DROPPED]` |
//! | [`ctf`] | babeltrace2, Trace Compass | discarded events and packets, events `loss` |
//! | [`perfetto`] | ui.perfetto.dev, the trace processor | dropped packets, instants `loss` |
//!
//! Each goes through a [`Trace`](trace::Trace) and writes as it goes: memory does not grow with the trace. Nothing in a trace
//! is taken for more than bytes: it is escaped wherever a person, a terminal or a spreadsheet could come to see it, and is
//! never part of a file's name. [`Output`] has them all behind one name.

mod ascii;
pub mod csv;
pub mod ctf;
pub mod jsonl;
mod names;
mod output;
pub mod perfetto;
pub mod text;
pub mod tracedat;

pub use output::{Output, stream, write};
