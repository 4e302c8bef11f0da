//! `afterglow image`: an SD card's image, as a file, without root.

use crate::boot::parse_region;
use anyhow::{Context, Result};
use clap::Args;
use clap::builder::PossibleValuesParser;
use sdcard::{Board, Card, Order, assemble};
use std::path::PathBuf;
use std::process::ExitCode;

/// Makes the image of an SD card that a board boots the kernel from; `afterglow flash` writes it
///
/// The same files give the same bytes. A Raspberry Pi's own firmware files are yours: a directory with them is wanted, and
/// what is missing in it is named. Exit status: 0 done; 125 it could not be made.
#[derive(Debug, Args)]
pub(crate) struct Image {
    /// The board
    #[arg(long, value_parser = PossibleValuesParser::new(sdcard::boards::BOARDS.iter().map(|board| board.id)))]
    board: String,

    /// The kernel: an ELF file or an arm64 Image
    #[arg(long, value_name = "FILE")]
    kernel: PathBuf,

    /// The directory with the board's firmware files: a copy of boot/ of raspberrypi/firmware, for example
    #[arg(long, value_name = "DIRECTORY")]
    firmware: Option<PathBuf>,

    /// The kernel's command line [default: boards/config/BOARD/cmdline.txt]
    #[arg(long, allow_hyphen_values = true)]
    append: Option<String>,

    /// The region [default: 0xb000000:8M on Raspberry Pis; generic has none]
    #[arg(long, value_name = "BASE:SIZE", value_parser = parse_region)]
    region: Option<(u64, u64)>,

    /// A device tree for the card, on generic, instead of the one that U-Boot has
    #[arg(long, value_name = "DTB")]
    dtb: Option<PathBuf>,

    /// Where the image goes; a file that is there is replaced
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
}

impl Image {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let board = Board::by_id(&self.board).context("there is no such board")?;
        let tree = match &self.dtb {
            Some(path) => Some(std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?),
            None => None,
        };
        let made = assemble(&Order {
            board,
            kernel: qemu::Image::load(&self.kernel)?.bytes().to_vec(),
            firmware: self.firmware.clone(),
            append: self.append.clone(),
            region: self.region,
            tree,
        })?;
        let card = Card::new(&made.files)?;
        card.save(&self.out)?;
        println!("{}: {} MiB for {}", self.out.display(), card.bytes().len() >> 20, board.name);
        for file in &made.files {
            println!("  {:>9}  {}", file.content.len(), file.path);
        }
        let (base, size) = made.region;
        print!("  region of {} KiB at {base:#x}", size >> 10);
        match made.cells {
            Some(cells) => println!(
                ", written with {} address and {} size cells, as the device tree wants it",
                cells.address, cells.size
            ),
            None => println!(", written by boot.scr as the device tree wants it"),
        }
        Ok(ExitCode::SUCCESS)
    }
}
