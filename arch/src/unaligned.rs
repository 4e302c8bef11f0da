//! Loads and stores of words at any address, one instruction each.
//!
//! The target is compiled for strict alignment, because its first code runs with the MMU off, where an unaligned access
//! faults; the compiler therefore takes every unaligned word apart into bytes. In normal memory with the MMU on the core
//! does it in one go (SCTLR_EL1.A is 0), and a recorder that writes at 4-byte boundaries lives from that.

use core::arch::asm;

/// Reads a u32 at any address.
///
/// # Safety
/// The address is readable normal memory, and the MMU is on.
#[inline(always)]
#[must_use]
pub unsafe fn load_u32(at: *const u32) -> u32 {
    let value: u32;
    // SAFETY: the caller's promise.
    unsafe {
        asm!("ldr {value:w}, [{at}]", value = lateout(reg) value, at = in(reg) at, options(nostack, preserves_flags, readonly));
    };
    value
}

/// Reads a u64 at any address.
///
/// # Safety
/// The address is readable normal memory, and the MMU is on.
#[inline(always)]
#[must_use]
pub unsafe fn load_u64(at: *const u64) -> u64 {
    let value: u64;
    // SAFETY: the caller's promise.
    unsafe {
        asm!("ldr {value}, [{at}]", value = lateout(reg) value, at = in(reg) at, options(nostack, preserves_flags, readonly));
    };
    value
}

/// Writes a u32 at any address.
///
/// # Safety
/// The address is writable normal memory that nothing of Rust's refers to, and the MMU is on.
#[inline(always)]
pub unsafe fn store_u32(at: *mut u32, value: u32) {
    // SAFETY: the caller's promise.
    unsafe { asm!("str {value:w}, [{at}]", value = in(reg) value, at = in(reg) at, options(nostack, preserves_flags)) };
}

/// Writes a u64 at any address.
///
/// # Safety
/// The address is writable normal memory that nothing of Rust's refers to, and the MMU is on.
#[inline(always)]
pub unsafe fn store_u64(at: *mut u64, value: u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("str {value}, [{at}]", value = in(reg) value, at = in(reg) at, options(nostack, preserves_flags)) };
}
