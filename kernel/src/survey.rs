//! Which RAM survives which reset: fill all that is free, reset, see what is left, and so on by every way and round.
//!
//! | file | what |
//! |---|---|
//! | [`pattern`] | the word that belongs to an address and a fill, and how a block is written |
//! | [`judge`] | what a word that is not there any more has become |
//! | [`state`] | what a boot hands to the next one: counters and damaged ranges, in checked lines |
//! | [`divide`] | which memory is filled, and where the state is kept beside the region |
//! | `run` | the machine: cores, cleans, resets |
//!
//! A fill is one generation. Its blocks are of three classes ([`pattern::Class`]), drawn anew each time, so that in a few rounds
//! every place has been cleaned, dirty and uncached.

pub mod divide;
pub mod judge;
pub mod pattern;
pub mod state;

#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
pub use run::{help, unless_off};

#[cfg(test)]
mod tests;
