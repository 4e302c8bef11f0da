//! The script by which U-Boot starts the kernel, in the envelope that U-Boot knows its scripts by.
//!
//! The envelope is U-Boot's legacy image format (its documentation: "mkimage", image type script): a header of 64 bytes, then for
//! scripts a list of sizes that ends with zero, then the text. Numbers are big endian, both checksums are the usual CRC-32.

use anyhow::{Context, Result, ensure};
use crc::{CRC_32_ISO_HDLC, Crc};

const MAGIC: u32 = 0x2705_1956;
const HEADER_SIZE: usize = 64;
const NAME_SIZE: usize = 32;

/// Linux, arm64, script, not compressed.
const KIND: [u8; 4] = [5, 22, 6, 0];

/// A name that says where a boot script comes from.
const NAME: &[u8] = b"afterglow";

/// What the script needs to know.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    /// The kernel's command line.
    pub append: &'a str,
    /// The region's first address.
    pub base: u64,
    /// The region's bytes.
    pub size: u64,
    /// The device tree is a file beside the script, not U-Boot's own.
    pub has_tree: bool,
}

/// The name of the script on a card.
pub const ON_CARD: &str = "boot.scr";

/// The name by which U-Boot asks a TFTP server for it.
pub const ON_NETWORK: &str = "boot.scr.uimg";

/// The name of a device tree that the user brought.
pub const TREE: &str = "board.dtb";

/// How the script gets its device tree, and what it says if it does not.
const TREE_OF_USER: [&str; 2] =
    ["${ag_load} ${fdt_addr_r} board.dtb && fdt addr ${fdt_addr_r}", "no board.dtb that can be read, by: ${ag_load}"];

/// A copy, because U-Boot still uses its own.
const TREE_OF_U_BOOT: [&str; 2] = [
    "fdt addr ${fdtcontroladdr} && fdt move ${fdtcontroladdr} ${fdt_addr_r}",
    "no device tree of this U-Boot that could be handed on: make the card with --dtb",
];

/// Fills in a script's source.
///
/// # Errors
/// A command line with a character that U-Boot's shell would take for its own; a size that one cell cannot hold.
pub fn fill(source: &str, words: &Words<'_>) -> Result<String> {
    let special = words.append.chars().find(|c| matches!(c, '"' | '$' | '\\' | '\'' | '`') || c.is_control());
    ensure!(
        special.is_none(),
        "the command line has the character {:?}, which U-Boot's shell would take for its own",
        special.unwrap_or_default()
    );
    let size = u32::try_from(words.size).ok().context("the region is 4 GiB or more: ask for less")?;
    let [tree, no_tree] = if words.has_tree { TREE_OF_USER } else { TREE_OF_U_BOOT };
    Ok(source
        .replace("@TREE@", tree)
        .replace("@NO_TREE@", no_tree)
        .replace("@NODE@", &format!("persistent-ring@{:x}", words.base))
        .replace("@BASE_HIGH@", &format!("{:#x}", words.base >> 32))
        .replace("@BASE_LOW@", &format!("{:#x}", words.base & 0xffff_ffff))
        .replace("@SIZE@", &format!("{size:#x}"))
        .replace("@APPEND@", words.append))
}

/// Puts a script's text into its envelope: what `mkimage -T script` does.
///
/// # Errors
/// The text is longer than the format can say.
pub fn envelope(text: &str) -> Result<Vec<u8>> {
    const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
    let length = u32::try_from(text.len()).ok().context("the script is too long")?;
    let mut body = Vec::with_capacity(text.len() + 8);
    body.extend([length, 0].map(u32::to_be_bytes).as_flattened());
    body.extend(text.as_bytes());
    let mut name = [0; NAME_SIZE];
    name[..NAME.len()].copy_from_slice(NAME);
    let header = |checksum: u32| {
        // Magic, checksum of this header, time, size, address to load to, entry, checksum of the body.
        let words = [MAGIC, checksum, 0, length + 8, 0, 0, CRC.checksum(&body)];
        let mut header = Vec::with_capacity(HEADER_SIZE);
        header.extend(words.map(u32::to_be_bytes).as_flattened());
        header.extend(KIND);
        header.extend(name);
        header
    };
    let checksum = CRC.checksum(&header(0));
    Ok([header(checksum), body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words<'static> {
        Words { append: "tail=all stop=fiq", base: 0x1_5000_0000, size: 8 << 20, has_tree: false }
    }

    #[test]
    fn the_envelope_is_the_one_that_mkimage_makes() {
        // mkimage -A arm64 -O linux -T script -C none -n afterglow, with SOURCE_DATE_EPOCH=0, of "echo hi\n".
        let mut expected = vec![0x27, 0x05, 0x19, 0x56, 0x1d, 0x54, 0x33, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x10];
        expected.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xd9, 0x34, 0x01, 0x62, 5, 22, 6, 0]);
        expected.extend(b"afterglow");
        expected.resize(HEADER_SIZE, 0);
        expected.extend(b"\0\0\0\x08\0\0\0\0echo hi\n");
        assert_eq!(envelope("echo hi\n").unwrap(), expected);
    }

    #[test]
    fn every_word_is_filled_in() {
        let source = include_str!("../../../boards/config/generic/boot.cmd");
        let commands = |filled: String| {
            filled
                .lines()
                .filter(|line| !line.trim_start().starts_with('#'))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        };
        let filled = commands(fill(source, &words()).unwrap());
        assert!(!filled.replace("ring@", "").contains('@'), "{filled}");
        for expected in [
            "bootargs \"tail=all stop=fiq\"",
            "\"0x1 0x50000000\"",
            "persistent-ring@150000000 ",
            "fdt move ${fdtcontroladdr}",
        ] {
            assert!(filled.contains(expected), "{expected}: {filled}");
        }
        let with_tree = commands(fill(source, &Words { has_tree: true, ..words() }).unwrap());
        assert!(with_tree.contains(" board.dtb ") && !with_tree.contains("fdtcontroladdr"), "{with_tree}");
    }

    #[test]
    fn a_command_line_cannot_leave_its_quotes() {
        for bad in ["tail=\"all", "a; $b", "a\\", "it's", "a\nreset", "`a`"] {
            let error = fill("@APPEND@", &Words { append: bad, ..words() }).unwrap_err().to_string();
            assert!(error.contains("U-Boot's shell"), "{error}");
        }
        assert_eq!(fill("@APPEND@", &words()).unwrap(), "tail=all stop=fiq");
        assert!(fill("@SIZE@", &Words { size: 1 << 32, ..words() }).is_err());
    }
}
