//! Which RAM survives which reset: fill all that is free, reset, see what is left, and so on by every way and round.
//!
//! | file | what |
//! |---|---|
//! | [`pattern`] | the word that belongs to an address and a fill, and how a block is written |
//! | [`judge`] | what a word that is not there any more has become |
//! | [`spots`] | where something happened, and after how many resets |
//! | [`divide`] | which memory is filled, and where the state is kept beside the region |
//! | [`ways`] | the ways to reset |
//! | [`state`] | what a boot hands to the next one, in checked lines |
//! | [`course`] | what each boot makes of it, and does next |
//! | [`report`] | what is told at the end |
//! | `run` | the machine: cores, cleans, resets |
//!
//! A fill is one generation. Its blocks are of three classes ([`pattern::Class`]), drawn anew each time, so that in a few rounds
//! every place has been cleaned, dirty and uncached.

pub mod course;
pub mod divide;
pub mod judge;
pub mod pattern;
pub mod report;
pub mod spots;
pub mod state;
pub mod ways;

#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
pub use run::{help, unless_off};

#[cfg(test)]
mod tests;
