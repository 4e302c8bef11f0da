//! How many QEMUs run at a time: `cargo test` starts as many tests as there are cores, and each machine has several.

use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

/// The variable that says how many.
const VARIABLE: &str = "AFTERGLOW_QEMU_JOBS";

/// A number of permits, of which each is held by one run.
struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

/// The right to run, until it is dropped.
pub(crate) struct Permit(&'static Permits);

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.returned.notify_one();
    }
}

/// Waits until a machine may run. Every run ends by its own limit, so this ends too.
pub(crate) fn acquire() -> Permit {
    static PERMITS: OnceLock<Permits> = OnceLock::new();
    let permits = PERMITS.get_or_init(|| Permits { free: Mutex::new(number()), returned: Condvar::new() });
    let mut free = permits.free.lock().unwrap_or_else(PoisonError::into_inner);
    while *free == 0 {
        free = permits.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
    }
    *free -= 1;
    Permit(permits)
}

fn number() -> usize {
    let wished = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
    wished.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}
