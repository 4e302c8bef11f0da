//! The oracle: what a crash may have lost, and what it must not.

use cachesim::report::Reset;
use ring::policy::CleanAt;
use std::fmt;

/// One crash, with all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Crash<'a> {
    /// The memory around it.
    pub reset: &'a Reset,
    /// What its boot promised, by `clean=`.
    pub clean: CleanAt,
    /// All that the next boot printed.
    pub told: &'a str,
}

/// What became of the events of one crash; the numbers of all its cores together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The boot that crashed.
    pub boot: Option<u64>,
    /// Its panic path had come to its end: all had to survive.
    pub whole: bool,
    /// Events that were there before the loss.
    pub committed: u64,
    /// Of these, events that had to survive.
    pub promised: u64,
    /// Events that memory holds after it.
    pub found: u64,
    /// Events that were there before and are not now, as the mode allows.
    pub lost: u64,
    /// What went wrong; empty if nothing.
    pub violations: Vec<Violation>,
}

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// To be written.
    Other(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Judges a crash.
#[must_use]
pub fn judge(crash: &Crash<'_>) -> Verdict {
    let _ = crash;
    Verdict::default()
}
