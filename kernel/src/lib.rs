//! The story: boot, record, panic, stop, clean, reboot warm, recover, dump.
//!
//! `main.rs` is the story on one screen. What is logic is compiled and tested on any host; what touches the machine exists
//! on the target only.
//!
//! | when | what |
//! |---|---|
//! | boot | [`device_tree`], [`hardware`], [`command_line`], [`memblock`], [`memory_map`], [`reserve`] |
//! | record | [`events`], [`scale`] |
//! | die | [`mod@panic`] |
//! | tell | [`plan`], [`dump`] |
//!
//! [`loader`] is the other binary's.
#![no_std]

extern crate alloc;

#[cfg(test)]
extern crate std;

pub mod command_line;
pub mod device_tree;
pub mod dump;
pub mod events;
pub mod hardware;
pub mod loader;
pub mod memblock;
pub mod memory_map;
pub mod panic;
pub mod plan;
pub mod reserve;
pub mod scale;
pub mod survey;

#[cfg(target_os = "none")]
pub mod boot;
#[cfg(target_os = "none")]
pub mod console;
#[cfg(target_os = "none")]
pub mod die;
#[cfg(target_os = "none")]
pub mod ending;
#[cfg(target_os = "none")]
mod heap;
#[cfg(target_os = "none")]
pub mod life;
#[cfg(target_os = "none")]
pub mod lockup;
#[cfg(target_os = "none")]
pub mod measure;
#[cfg(target_os = "none")]
pub mod nest;
#[cfg(target_os = "none")]
pub mod record;
#[cfg(target_os = "none")]
mod region_memory;
#[cfg(target_os = "none")]
pub mod stop;
#[cfg(target_os = "none")]
pub mod take_over;
#[cfg(target_os = "none")]
pub mod tell;
#[cfg(target_os = "none")]
pub mod trace;
#[cfg(target_os = "none")]
mod transfer;
#[cfg(target_os = "none")]
mod watchdog;
#[cfg(target_os = "none")]
pub mod work;
