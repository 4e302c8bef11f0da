//! A trace in the formats that people already read.

mod ascii;
pub mod csv;
pub mod ctf;
pub mod jsonl;
mod names;
pub mod perfetto;
pub mod text;
pub mod tracedat;
