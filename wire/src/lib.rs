#![doc = include_str!("../FORMAT.md")]
//!
//! # Rooms
//!
//! | room | what |
//! |---|---|
//! | [`frame`] | marks, escapes, checks |
//! | [`plan`] | which pages of a bank are sent |
//! | [`coder`], [`page`] | compression, both ways |
//! | [`send`] | the target's side |
//! | [`push`] | the other direction: a kernel for the loader |
//!
//! The host's side is the crate `capture`. No allocation, no `unsafe`.
#![no_std]
#![forbid(unsafe_code)]

pub mod coder;
pub mod frame;
pub mod page;
pub mod plan;
pub mod push;
pub mod send;
