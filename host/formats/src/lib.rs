//! A trace in the formats that people already read, one a file.

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
