//! Board, kernel and firmware put together: the files of a card.

use crate::boards::{Board, Boot, Firmware, KERNEL, REGION};
use crate::card::File;
use crate::overlay::{self, Cells};
use crate::script::{self, Words};
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// An arm64 Image is known by this, at this place.
const MAGIC_AT: usize = 0x38;
const MAGIC: &[u8] = b"ARM\x64";

/// Bytes of a page: what a region is measured in.
const PAGE: u64 = 4096;

/// What a card is made of.
#[derive(Clone, Debug)]
pub struct Order {
    /// The board.
    pub board: &'static Board,
    /// The kernel, a flat Image.
    pub kernel: Vec<u8>,
    /// The directory with the firmware's files.
    pub firmware: Option<PathBuf>,
    /// The kernel's command line instead of the board's own.
    pub append: Option<String>,
    /// Base and size of the region, in bytes, instead of the board's own.
    pub region: Option<(u64, u64)>,
    /// A device tree for the card, where U-Boot's own is not wanted.
    pub tree: Option<Vec<u8>>,
}

/// The files of a card, and what is worth telling about it.
#[derive(Clone, Debug)]
pub struct Made {
    /// The files.
    pub files: Vec<File>,
    /// Base and size of the region, in bytes.
    pub region: (u64, u64),
    /// How the region is written, where an overlay had to be chosen.
    pub cells: Option<Cells>,
}

impl Made {
    /// The files of a directory that a TFTP server serves: those of the card, with U-Boot's script under its other name as well.
    #[must_use]
    pub fn served(&self) -> Vec<File> {
        let script = self.files.iter().find(|file| file.path == script::ON_CARD);
        let renamed = script.map(|file| File::new(script::ON_NETWORK, file.content.clone()));
        self.files.iter().cloned().chain(renamed).collect()
    }
}

/// Puts a card's files together.
///
/// # Errors
/// Something is missing, each thing by name; or a file is not what it should be.
pub fn assemble(order: &Order) -> Result<Made> {
    let board = order.board;
    ensure!(
        order.kernel.get(MAGIC_AT..MAGIC_AT + MAGIC.len()) == Some(MAGIC),
        "the kernel is no arm64 Image: give the ELF file that cargo built, or a flat Image"
    );
    let append = one_line(order.append.as_deref().unwrap_or(board.command_line))?;
    let mut files = vec![File::new(KERNEL, order.kernel.clone())];
    match &board.boot {
        Boot::RaspberryPi { config, needed, trees, welcome } => {
            ensure!(
                order.tree.is_none(),
                "a {} gets its device tree from the firmware's directory: leave --dtb out",
                board.name
            );
            let region = checked(order.region.unwrap_or(REGION))?;
            let firmware = Directory::of(board, order.firmware.as_deref(), needed, trees)?;
            let found = firmware.take(needed.iter().chain(*trees).chain(*welcome))?;
            let cells = cells_of_all(&found, trees)?;
            let overlay = overlay::compile(overlay::source_for(cells)?)?;
            files.extend(found);
            files.push(File::new("config.txt", with_region(config, region)?));
            files.push(File::new("cmdline.txt", format!("{append}\n")));
            files.push(File::new("overlays/afterglow.dtbo", overlay));
            Ok(Made { files, region, cells: Some(cells) })
        }
        Boot::UBoot { script: source } => {
            ensure!(order.firmware.is_none(), "{} has its firmware already: leave --firmware out", board.name);
            let Some(region) = order.region else {
                bail!(
                    "where the region is to be depends on the board's memory: --region BASE:SIZE, such as \
                     --region 0x50000000:8M, inside RAM, away from its first 64 MiB (kernel and device tree) and its \
                     last 64 (U-Boot)"
                )
            };
            let (base, size) = checked(region)?;
            let words = Words { append: &append, base, size, has_tree: order.tree.is_some() };
            files.push(File::new(script::ON_CARD, script::envelope(&script::fill(source, &words)?)?));
            files.extend(order.tree.iter().map(|tree| File::new(script::TREE, tree.clone())));
            Ok(Made { files, region, cells: None })
        }
    }
}

/// A command line without its end.
fn one_line(text: &str) -> Result<String> {
    let line = text.trim_end();
    ensure!(!line.contains(['\n', '\r']), "the command line is more than one line: only the first would count");
    Ok(line.to_owned())
}

/// A region that the kernel will not refuse for its own sake.
fn checked((base, size): (u64, u64)) -> Result<(u64, u64)> {
    ensure!(
        base.is_multiple_of(PAGE) && size.is_multiple_of(PAGE) && size >= kernel::reserve::SMALLEST,
        "the region of {size:#x} bytes at {base:#x} is not of whole pages of 4 KiB, at least {} KiB of them",
        kernel::reserve::SMALLEST >> 10
    );
    ensure!(base.checked_add(size).is_some(), "the region of {size:#x} bytes at {base:#x} goes beyond all addresses");
    Ok((base, size))
}

/// `config.txt` with the overlay's parameters, where the region is not the usual one.
fn with_region(config: &str, (base, size): (u64, u64)) -> Result<String> {
    const LINE: &str = "dtoverlay=afterglow\n";
    if (base, size) == REGION {
        return Ok(config.to_owned());
    }
    ensure!(
        base + size <= 1 << 30,
        "a region on a Raspberry Pi ends below 1 GiB, which every model has: {base:#x} is too high"
    );
    ensure!(config.contains(LINE), "the board's config.txt has no line {LINE:?}");
    Ok(config.replace(LINE, &format!("dtoverlay=afterglow,base={base:#x},size={size:#x}\n")))
}

/// The cells of all trees of the card: one overlay has to fit each.
fn cells_of_all(found: &[File], trees: &[Firmware]) -> Result<Cells> {
    let mut first: Option<(&str, Cells)> = None;
    for file in found.iter().filter(|file| trees.iter().any(|tree| tree.path == file.path)) {
        let cells = overlay::cells_of(&file.content).with_context(|| file.path.clone())?;
        overlay::source_for(cells).with_context(|| file.path.clone())?;
        match first {
            Some((other, same)) => ensure!(
                same == cells,
                "{} and {other} write reserved memory differently, so they are of different releases: take all files from one",
                file.path
            ),
            None => first = Some((&file.path, cells)),
        }
    }
    first.map(|(_, cells)| cells).context("there is no device tree")
}

/// A directory with a firmware's files.
struct Directory<'a> {
    path: &'a Path,
}

impl<'a> Directory<'a> {
    /// The directory, if it has what is needed.
    fn of(board: &Board, path: Option<&'a Path>, needed: &[Firmware], trees: &[Firmware]) -> Result<Self> {
        let mut text = String::new();
        let there = |file: &Firmware| path.is_some_and(|path| path.join(file.path).is_file());
        for file in needed.iter().filter(|file| !there(file)) {
            let _ = write!(text, "\n  {}: {}", file.path, file.why);
        }
        if !trees.iter().any(there) {
            for tree in trees {
                let or = if trees.len() > 1 { " (one of these is enough)" } else { "" };
                let _ = write!(text, "\n  {}: {}{or}", tree.path, tree.why);
            }
        }
        match path {
            Some(path) if text.is_empty() => Ok(Self { path }),
            None => bail!("a {} needs files of its firmware: --firmware DIRECTORY, with{text}\n{SOURCE}", board.name),
            Some(path) => bail!("{}: a {} needs, and is not there:{text}\n{SOURCE}", path.display(), board.name),
        }
    }

    /// Those of these files that are there.
    fn take<'f>(&self, files: impl Iterator<Item = &'f Firmware>) -> Result<Vec<File>> {
        let mut found = Vec::new();
        for file in files {
            let path = self.path.join(file.path);
            if path.is_file() {
                let content = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
                ensure!(!content.is_empty(), "{} is empty: get it again", path.display());
                found.push(File::new(file.path, content));
            }
        }
        Ok(found)
    }
}

/// Where people get the files. Nothing fetches them: their licence is between the user and Raspberry Pi.
const SOURCE: &str = "They are Raspberry Pi's, and not shipped or fetched by this project: take them from the directory boot/ of the \
repository raspberrypi/firmware, or from /boot/firmware of a card with Raspberry Pi OS; all of one release";
