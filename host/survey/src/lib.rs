//! A survey of RAM, seen from outside the board that does it: the kernel fills all free memory, resets by each way it has, and
//! prints what became of it (`survey=` on its command line). This listens, and draws.
//!
//! | what | where |
//! |---|---|
//! | what a survey found | `model.rs` |
//! | which lines of the console say something | `words.rs` |
//! | lines become a report, or the reason why there is none | `watch.rs` |
//! | a board at a serial port | `serial.rs` |
//! | a survey of which memory still holds the state | `stored.rs` |
//! | a survey in QEMU, held against what was done to its memory | `injected.rs` |
//! | memory drawn as cells | `map.rs` |
//! | the whole report for a person | `draw.rs` |

pub mod draw;
pub mod injected;
pub mod map;
pub mod model;
pub mod serial;
pub mod stored;
pub mod watch;
mod words;

pub use model::Report;
pub use watch::{Ending, Found, Watch};
