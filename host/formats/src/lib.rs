//! A trace in the formats that people already read.

mod ascii;
mod names;
pub mod text;
pub mod tracedat;
