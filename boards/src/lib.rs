//! Boards: what differs between machines that one kernel image runs on, chosen at run time.
//!
//! A board is picked by the root node's `compatible` ([`choose`]). It knows what a device tree does not say: in
//! which order to try resets and means of stop, whether the firmware has set up the console already, which memory
//! does not keep its content. Addresses are never its business: they come from the device tree, as a [`Found`],
//! which the kernel fills in.
//!
//! | file | what |
//! |---|---|
//! | `board` | the seam: what a board answers |
//! | `virt`, `rpi3`, `rpi4`, `rpi5`, `generic` | the boards |
//! | `bootloader` | what the firmware of a Raspberry Pi tells |
//! | `console`, `serial` | where bytes go |
//! | `pl011`, `ns16550` | by which chip |
//! | `registers` | a chip's registers, or a fake of them |
//! | `reset` | ways to reset, tried in order |
//! | `watchdog` | one that counts is a way to reset, and the dead man of a panic; a file for each chip |
//! | `stop` | means of stop, the best first |
//!
//! To add one: a file with its `Board`, a line in [`BOARDS`].
#![no_std]
#![cfg_attr(not(target_os = "none"), allow(dead_code, reason = "the users of some drivers touch the machine"))]

#[cfg(test)]
extern crate std;

mod board;
mod bootloader;
pub mod console;
mod generic;
mod ns16550;
mod pl011;
mod registers;
pub mod reset;
mod rpi3;
mod rpi4;
mod rpi5;
mod serial;
pub mod stop;
mod virt;
pub mod watchdog;

pub use board::{Board, ConsoleInfo, ConsoleKind, DeviceTree, Found, GicInfo, MemoryQuirk};
pub use console::{Console, ConsoleError};
pub use reset::ResetWay;
pub use watchdog::{WatchdogInfo, WatchdogKind};

/// All boards that are known by name.
pub static BOARDS: [&dyn Board; 4] = [&virt::Virt, &rpi3::Rpi3, &rpi4::Rpi4, &rpi5::Rpi5];

/// Picks the board for a root node's `compatible`, most specific name first. A machine that nobody knows is generic.
pub fn choose<'a>(compatible: impl IntoIterator<Item = &'a str>) -> &'static dyn Board {
    compatible
        .into_iter()
        .find_map(|name| BOARDS.into_iter().find(|board| board.compatible().contains(&name)))
        .unwrap_or(&generic::Generic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_are_chosen_by_compatible() {
        let table: [(&[&str], &str); 9] = [
            (&["linux,dummy-virt"], "QEMU virt"),
            (&["someone,thing", "linux,dummy-virt"], "QEMU virt"),
            (&["raspberrypi,3-model-b", "brcm,bcm2837"], "Raspberry Pi 3"),
            (&["raspberrypi,3-model-b-plus", "brcm,bcm2837"], "Raspberry Pi 3"),
            (&["raspberrypi,5-model-b", "brcm,bcm2712"], "Raspberry Pi 5"),
            (&["raspberrypi,4-model-b", "brcm,bcm2711"], "Raspberry Pi 4"),
            (&["raspberrypi,4-compute-module", "brcm,bcm2711"], "Raspberry Pi 4"),
            (&["someone,thing"], "generic"),
            (&[], "generic"),
        ];
        for (compatible, name) in table {
            assert_eq!(choose(compatible.iter().copied()).name(), name);
        }
    }

    /// What of a source file is not its tests.
    fn code(path: &std::path::Path) -> std::string::String {
        let text = std::fs::read_to_string(path).unwrap();
        text.split("#[cfg(test)]\nmod tests").next().unwrap().into()
    }

    #[test]
    fn a_board_is_one_file_and_one_row_and_nobody_else_knows_of_it() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources = std::vec::Vec::new();
        let mut rooms = std::vec::Vec::from(["src", "../arch/src", "../kernel/src"].map(|room| root.join(room)));
        while let Some(room) = rooms.pop() {
            for entry in std::fs::read_dir(room).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() { rooms.push(entry) } else { sources.push(entry) }
            }
        }
        let lib = code(&root.join("src/lib.rs"));
        let generic: &dyn Board = &generic::Generic;
        for board in BOARDS.into_iter().chain([generic]) {
            let id = board.id();
            let own = root.join("src").join(std::format!("{id}.rs"));
            let text = code(&own);
            let (_, struct_name) = text.split_once("impl Board for ").unwrap();
            let name = struct_name.split(' ').next().unwrap();
            assert_eq!(lib.matches(&std::format!("&{id}::{name}")).count(), 1, "one row of {id}");
            assert!(lib.contains(&std::format!("\nmod {id};\n")), "{id}");
            let others = sources.iter().filter(|path| **path != own && !path.ends_with("boards/src/lib.rs"));
            for path in others {
                let text = code(path);
                let compatible = board.compatible().iter().map(|name| std::format!("\"{name}\""));
                for word in compatible.chain([std::format!("{id}::")]) {
                    assert!(!text.contains(&word), "{} knows of {word}", path.display());
                }
            }
        }
    }

    #[test]
    fn each_compatible_belongs_to_one_board_and_each_board_can_reset() {
        for (i, board) in BOARDS.into_iter().enumerate() {
            for name in board.compatible() {
                assert!(BOARDS[i + 1..].iter().all(|other| !other.compatible().contains(name)), "{name}");
            }
            assert!(!board.reset_ways().is_empty(), "{}", board.name());
            assert!(BOARDS[i + 1..].iter().all(|other| other.id() != board.id()), "{}", board.id());
        }
    }
}
