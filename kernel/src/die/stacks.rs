//! A stack that overflows: recursion into the guard page below it.

use core::hint::black_box;

/// Uses up the stack that it is called on.
pub(super) fn overflow() -> ! {
    loop {
        black_box(deeper(0));
    }
}

#[inline(never)]
#[allow(unconditional_recursion, reason = "that is the purpose")]
fn deeper(depth: u64) -> u64 {
    let room = black_box([depth; 16]);
    // Used afterwards, so that the call is not the last thing that happens.
    deeper(depth + 1) ^ black_box(room)[0]
}
