//! Crashes by the thousand, each judged by an oracle outside the guest: what the cores had committed, as the plugin saw it
//! before memory lost what was only in the cache, against what the next boot finds and says.
//!
//! | what | where |
//! |---|---|
//! | one machine that dies again and again | [`lane`] |
//! | many of them, from lists of machines, ways to die and modes | [`matrix`] |
//! | the proof that it notices: kernels without one of their cleans or barriers | [`mutants`] |
//! | what a crash may have lost, and what it must not | [`judge`] |
//! | a real board, heard through its serial line | [`serial`] |

pub mod judge;
pub mod lane;
pub mod matrix;
pub mod mutants;
mod name;
pub mod serial;
