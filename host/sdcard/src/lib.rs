//! SD cards that boards boot the kernel from: made as plain files without root, and written to devices with care.
//!
//! | what | where |
//! |---|---|
//! | an MBR, one FAT partition, files: the same bytes each time | [`card`] |
//! | the same files in a directory, for TFTP and rpiboot | [`directory`] |
//! | which files a board wants, one row a board | [`boards`] |
//! | the overlay that fits a board's own device tree | [`overlay`] |
//! | the script by which U-Boot starts the kernel | [`script`] |
//! | board, kernel and firmware put together | [`mod@assemble`] |
//! | which disk a device is, what is on it, why it must not be written | [`flash`] |
//!
//! The kernel comes in as the flat Image that a boot loader loads; nothing here knows of ELF files, or of which kernel it is.

pub mod assemble;
pub mod boards;
pub mod card;
pub mod directory;
pub mod flash;
pub mod overlay;
pub mod script;

pub use assemble::{Order, assemble};
pub use boards::Board;
pub use card::{Card, File};
