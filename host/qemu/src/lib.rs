//! Runs kernels under QEMU, for tests, for `make run` and for loops: each run is bounded in time, leaves no process behind,
//! and its errors name the command that repeats it by hand.
//!
//! ```no_run
//! use qemu::{Image, Machine, Overlay};
//! use std::time::Duration;
//!
//! let kernel = Image::load("target/aarch64-unknown-none-softfloat/release/kernel".as_ref())?;
//! let outcome = Machine::virt()
//!     .kernel(&kernel)
//!     .overlay(Overlay::virt_region())
//!     .append("die_core=2")
//!     .run(Duration::from_secs(60))?;
//! outcome.expect_exit(0)?;
//! for table in qemu::console::tables(&outcome.console) {
//!     assert!(table.accounts.iter().all(|account| account.sum_holds()));
//! }
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! | what | where |
//! |---|---|
//! | an ELF becomes the flat image that boot loaders load | [`image`] |
//! | QEMU's device tree, with an overlay, or bytes that are none | [`devicetree`], [`trampoline`] |
//! | which machine, which options | [`machine`] |
//! | U-Boot as the firmware, and a card | [`uboot`] |
//! | a run: its console, its end | [`running`], [`qmp`], [`ram`], [`trace`] |
//! | a cache that loses, and its reports | [`losing`] |
//! | what the kernel printed | [`console`] |
//! | the kernel of this workspace, for tests | [`workspace`] |
//! | the stop of cores, by every means on every machine | [`stop_matrix`] |
//!
//! At most as many QEMUs run at a time as there are cores, in one process; `AFTERGLOW_QEMU_JOBS` changes that.

mod cache;
mod installation;
mod permits;
mod process;
mod words;

pub mod console;
pub mod devicetree;
pub mod image;
pub mod losing;
pub mod machine;
pub mod qmp;
pub mod ram;
pub mod running;
pub mod stop_matrix;
pub mod trace;
pub mod trampoline;
pub mod uboot;
pub mod workspace;

pub use devicetree::Overlay;
pub use image::Image;
pub use installation::Qemu;
pub use machine::{Board, Machine, Threads};
pub use process::Status;
pub use qmp::Qmp;
pub use ram::Ram;
pub use running::{Outcome, Running};
pub use words::parse_size;
