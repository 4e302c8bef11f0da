//! A persistent trace ring whose events verify themselves: the product.
//!
//! ```text
//!  region   | header A | bank 0 | bank 1 | ... | bank K-1 | header B |        one boot a bank
//!
//!  bank     | Linux's headers | core 0's sub-buffers | core 1's ... | tail |   laid out as Linux lays out its own
//!
//!  sub-     | time | commit | event | event | event | ...        | tag |      the commit word is a hint;
//!  buffer                      |                                    |         boot, core, sequence, events before
//!                              '-- header, data, check              '-- and the check of all that
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`linux`], [`mod@format`], [`position`], [`mod@event`], [`line`](mod@line), [`records`] | every byte of it |
//! | [`check`] | CRC-32C, seeded with who wrote it and where |
//! | [`seams`], `fake` | the machine, and a machine that loses its cache |
//! | [`local`], [`policy`], [`slot`], [`writer`], [`bank`] | recording; [`point`] names the places where a core may die |
//! | [`live`] | reading it from another core meanwhile |
//! | [`parity`] | repairing, if asked for |
//! | [`region`], [`scan`], [`recover`], `search`, `subbuf`, [`verdict`], [`account`], [`merge`] | what a crash left |
//! | [`digest`], [`schema`], [`escape`] | comparing it, showing it |
//!
//! No allocation, no lock, no architecture, no board; `unsafe` only in [`local`] and [`check`], for an instruction or two each.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod account;
pub mod bank;
pub mod check;
pub mod digest;
pub mod escape;
pub mod event;
#[cfg(feature = "fake")]
pub mod fake;
pub mod format;
pub mod line;
pub mod linux;
pub mod live;
pub mod local;
pub mod merge;
pub mod parity;
pub mod point;
pub mod policy;
pub mod position;
pub mod records;
pub mod recover;
pub mod region;
pub mod scan;
pub mod schema;
pub mod seams;
mod search;
pub mod slot;
mod subbuf;
pub mod verdict;
pub mod writer;
