//! A write-back cache in front of a machine's RAM that loses its dirty lines at a reset: the model, what it is told to do, and
//! what it reports. No emulator is in here; the plugin puts one around it, tests and campaigns read its reports.
//!
//! | what | where |
//! |---|---|
//! | what it is told: range, seed, chances | [`options`] |
//! | lines, cleans, barriers, and what a reset leaves | [`cache`] |
//! | what DRAM holds | [`dram`] |
//! | when the plugin itself resets the machine | [`trigger`] |
//! | what it says after each reset | [`report`] |

pub mod cache;
mod chance;
pub mod dram;
pub mod options;
pub mod report;
pub mod trigger;
