//! A trace in the formats that people already read.

mod ascii;
pub mod ctf;
mod names;
pub mod text;
pub mod tracedat;
