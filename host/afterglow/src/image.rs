//! `afterglow image`: an SD card's image, as a file, without root; or its files in a directory.

use crate::boot::parse_region;
use anyhow::{Context, Result};
use clap::Args;
use clap::builder::PossibleValuesParser;
use sdcard::assemble::Made;
use sdcard::{Board, Card, File, Order, assemble, directory};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Makes the image of an SD card that a board boots the kernel from; `afterglow flash` writes it
///
/// With --directory its files go into a directory instead, for a TFTP server or rpiboot: see boards/docs/without-a-card.md.
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

    /// A device tree beside the kernel, on generic, instead of the one that U-Boot has
    #[arg(long, value_name = "DTB")]
    dtb: Option<PathBuf>,

    /// Where the image goes; a file that is there is replaced
    #[arg(long, short, value_name = "FILE", required_unless_present = "directory")]
    out: Option<PathBuf>,

    /// Writes the card's files into this directory instead, which is made if it is not there
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "out")]
    directory: Option<PathBuf>,

    /// Replaces files in the directory that have these names and another content
    #[arg(long, requires = "directory")]
    replace: bool,
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
        if let Some(path) = &self.out {
            let card = Card::new(&made.files)?;
            card.save(path)?;
            println!("{}: {} MiB for {}", path.display(), card.bytes().len() >> 20, board.name);
            list(&made.files);
        }
        if let Some(path) = &self.directory {
            into_directory(&made, path, self.replace, board)?;
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

fn into_directory(made: &Made, path: &Path, replace: bool, board: &Board) -> Result<()> {
    let files = made.served();
    let saved = directory::save(&files, path, replace)?;
    print!("{}: for {}, {} files written", path.display(), board.name, saved.written);
    println!("{}", if saved.same > 0 { format!(", {} were there already", saved.same) } else { String::new() });
    list(&files);
    Ok(())
}

fn list(files: &[File]) {
    for file in files {
        println!("  {:>9}  {}", file.content.len(), file.path);
    }
}
