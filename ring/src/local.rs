//! Atomics between a core and its own interrupts: the only concurrency that two writers of one ring can have.
//!
//! A nested writer runs to its end before the interrupted one goes on, on the same core, so the hardware's memory order
//! plays no part; only the compiler must keep the order written, and a read-modify-write must be one instruction or one
//! exclusive pair (an exception's return clears the exclusive monitor, Arm ARM B2.12). Other cores may read these words
//! for a look, and write only the switch that turns a recorder off.

use core::sync::atomic::Ordering;
#[cfg(not(loom))]
use core::sync::atomic::{AtomicU64, compiler_fence};
#[cfg(loom)]
use loom::sync::atomic::AtomicU64;

/// A model has no compiler that could change the order.
#[cfg(loom)]
fn compiler_fence(_: Ordering) {}

/// A 64-bit word shared between a core and its own interrupts.
#[derive(Debug, Default)]
pub struct Local(AtomicU64);

impl Local {
    /// A word that holds `value`.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }
    /// A word that holds `value`.
    #[cfg(loom)]
    #[must_use]
    pub fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// Reads the word.
    #[inline(always)]
    #[must_use]
    pub fn get(&self) -> u64 {
        point();
        let value = self.0.load(Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        value
    }

    /// Writes the word; everything written before it in the program is before it for the core's own interrupts.
    #[inline(always)]
    pub fn set(&self, value: u64) {
        compiler_fence(Ordering::SeqCst);
        self.0.store(value, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        point();
    }

    /// Replaces `current` by `new` unless an interrupt of this core changed it (or, without a cause, the exclusive
    /// monitor was lost: callers try again a bounded number of times).
    #[inline(always)]
    #[must_use]
    pub fn replace(&self, current: u64, new: u64) -> bool {
        point();
        compiler_fence(Ordering::SeqCst);
        let done = exchange(&self.0, current, new);
        compiler_fence(Ordering::SeqCst);
        point();
        done
    }

    /// Adds to a counter that interrupts of this core add to as well.
    pub fn add(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }
}

/// Without the lock prefix: another core never writes these words, and the prefix costs more than the whole reserve.
#[cfg(all(target_arch = "x86_64", not(any(miri, loom))))]
#[inline(always)]
fn exchange(word: &AtomicU64, current: u64, new: u64) -> bool {
    let done: u8;
    // SAFETY: `word` is valid and aligned for a u64 that only this core writes; one instruction is not interruptible.
    unsafe {
        core::arch::asm!(
            "cmpxchg qword ptr [{word}], {new}",
            "sete {done}",
            word = in(reg) word.as_ptr(),
            new = in(reg) new,
            done = out(reg_byte) done,
            inout("rax") current => _,
            options(nostack),
        );
    }
    done != 0
}

#[cfg(not(all(target_arch = "x86_64", not(any(miri, loom)))))]
#[inline(always)]
fn exchange(word: &AtomicU64, current: u64, new: u64) -> bool {
    word.compare_exchange_weak(current, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

#[cfg(not(feature = "fake"))]
#[inline(always)]
fn point() {}

/// Under test, a place where an interrupt may arrive.
#[cfg(feature = "fake")]
fn point() {
    crate::fake::interrupt::point();
}
