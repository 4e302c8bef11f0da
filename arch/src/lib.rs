//! Everything that is true of an aarch64 core and false of a board: entry, exceptions, MMU, caches, timers,
//! interrupt controllers, PSCI, starting and parking cores.
//!
//! # The life of a core
//! 1. `entry`: any exception level, MMU off, any load address. Down to EL1, relocate, zero `.bss`, build the
//!    tables of [`mmu`] (identity map, a page is writable or executable, never both), turn it on, call the kernel.
//! 2. The other cores enter by PSCI or a spin table ([`cores`]) and use the same tables.
//! 3. Code of the kernel runs on the thread stack (SP_EL0); exceptions arrive on SP_EL1 ([`stacks`],
//!    [`exceptions`]): an interrupt on the IRQ stack, an interrupt of an interrupt handler on the NMI stack,
//!    anything fatal on the emergency stack. Under each lies an unmapped guard page.
//! 4. [`irq`] masks ordinary interrupts the way the chosen means of stop ([`nmi`]) wants it, so that the tick that
//!    looks for the stop word arrives while they are masked.
//!
//! # Rules
//! - No function here sends an inter-processor interrupt. There is none to find.
//! - Caches are cleaned by address only. Nothing waits for another core.
//! - What exists is read from ID registers and read back after writing; nothing is assumed from a CPU's name.
//!
//! Modules that touch the machine exist on the target only; arithmetic (syndromes, cache geometry, interrupt
//! controller registers, page tables) is compiled and tested on any host.
#![no_std]
#![cfg_attr(not(target_os = "none"), allow(dead_code, unused_imports, reason = "its users touch the machine"))]

#[cfg(test)]
extern crate std;

pub mod cache;
pub mod core_local;
pub mod cores;
pub mod exceptions;
pub mod gic;
pub mod irq;
pub mod mmu;
pub mod nmi;
pub mod psci;
pub mod stacks;
mod sysreg;
pub mod timer;

#[cfg(target_os = "none")]
pub mod crc;
#[cfg(target_os = "none")]
pub mod entry;
#[cfg(target_os = "none")]
pub mod image;
#[cfg(target_os = "none")]
pub mod provoke;
#[cfg(target_os = "none")]
pub mod semihosting;
#[cfg(target_os = "none")]
pub mod unaligned;
