//! A lane: one machine in one QEMU that records and dies again and again, with one way to die, one clean mode and one chance
//! of eviction. Each crash is judged as soon as the next boot has told it.

use crate::judge::Verdict;
use anyhow::{Result, bail};
use cachesim::report::Reset;
use qemu::Image;
use ring::policy::CleanAt;
use std::ops::ControlFlow;

/// How the boots of a lane end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By a word of `die=`.
    Die(&'static str),
    /// By a reset that nothing announces, at a seeded operation between these two, counted from the workload's beginning.
    Instant {
        /// The first.
        min: u64,
        /// The last.
        max: u64,
    },
    /// Right behind each store, clean and barrier of the panic path in turn; the lane ends when a panic path comes to its end.
    PanicPoints,
    /// Right behind each store, clean and barrier of the workload in turn; the lane ends when each core has recorded `events`.
    WriterPoints,
}

/// What a lane is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The kind of machine, by its name in [`qemu::stop_matrix::MACHINES`].
    pub machine: &'static str,
    /// `stop=`.
    pub stop: &'static str,
    /// `clean=`.
    pub clean: CleanAt,
    /// Percent of dirty lines that survive by chance.
    pub evict: u32,
    /// How boots end.
    pub end: End,
    /// `others=`.
    pub others: &'static str,
    /// Events on each core before the end.
    pub events: u64,
    /// Of all chance.
    pub seed: u64,
    /// Stores are followed, so that a lost line names the last one: slower.
    pub follow: bool,
    /// Points: so many operations from one to the next.
    pub step: u64,
    /// Most crashes.
    pub crashes: u64,
}

/// A crash of a lane.
#[derive(Clone, Debug)]
pub struct Crashed {
    /// The memory around it.
    pub reset: Reset,
    /// What the next boot printed.
    pub told: String,
    /// The oracle's word.
    pub verdict: Verdict,
}

/// Runs a lane: calls `each` after each crash, until it says that it is enough, or the lane is at its end. Returns how many
/// crashes there were.
///
/// # Errors
/// QEMU or the plugin is missing, or the machine stopped crashing before its time: the error shows its console and how to
/// repeat it.
pub fn run(lane: &Lane, kernel: &Image, each: &mut dyn FnMut(&Crashed) -> ControlFlow<()>) -> Result<u64> {
    let _ = (lane, kernel, each);
    bail!("to be written")
}
