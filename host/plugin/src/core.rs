//! Which core is at it.
//!
//! QEMU 10.0 hands the core's number to a callback as a constant where one thread runs all cores (without `CF_PARALLEL`): that
//! of the core for which the code was translated, whoever executes it. Its variable `current_cpu` is exported, and right.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr;

thread_local! {
    /// Cores that this thread runs: what `current_cpu` is while one does, and its number.
    static CORES: RefCell<Vec<(*const c_void, u32)>> = const { RefCell::new(Vec::new()) };
    /// Where this thread's `current_cpu` is.
    static CURRENT: Cell<*const *const c_void> = const { Cell::new(ptr::null()) };
}

/// The core that this thread runs at the moment; None where QEMU does not tell.
fn current() -> Option<*const c_void> {
    let place = CURRENT.get();
    // SAFETY: the place of a pointer, for as long as this thread lives; only this thread writes it.
    (!place.is_null()).then(|| unsafe { *place })
}

/// A core begins on this thread.
pub(crate) fn begins(number: u32) {
    // SAFETY: a string with its end. For a variable of a thread the answer is the place of this thread's own.
    CURRENT.set(unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"current_cpu".as_ptr()) }.cast::<*const c_void>());
    if let Some(core) = current() {
        CORES.with_borrow_mut(|cores| cores.push((core, number)));
    }
}

/// The number of the core that executes, of which a callback says that it is `told`.
pub(crate) fn number(told: u32) -> u32 {
    let Some(core) = current() else { return told };
    CORES.with_borrow(|cores| cores.iter().find(|(known, _)| *known == core).map_or(told, |(_, number)| *number))
}
