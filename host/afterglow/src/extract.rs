//! `afterglow extract`: the regions of a RAM image, each as a file of its own.

use crate::inputs::{NOTHING, Opened, shown};
use anyhow::{Context, Result};
use clap::Args;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Cuts the regions out of an image, for keeping and sending: each becomes INPUT-ADDRESS.region
///
/// Only Afterglow's own; sub-buffers that parity could put right are written as they should be. Exit status: 0 done;
/// 2 nothing was found; 125 it could not be read or written.
#[derive(Debug, Args)]
pub(crate) struct Extract {
    /// RAM images, or other files with regions in them
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The directory for the files [default: this one]
    #[arg(long, short, value_name = "DIRECTORY")]
    out: Option<PathBuf>,

    /// Writes over files that are there
    #[arg(long)]
    force: bool,
}

impl Extract {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let mut status = 0;
        for path in &self.inputs {
            let opened = Opened::of(path)?;
            if opened.regions().next().is_none() {
                eprintln!("afterglow: {}: no region is in it", opened.name);
                status = NOTHING;
            }
            for (region, bytes) in opened.regions() {
                let to = self
                    .out
                    .clone()
                    .unwrap_or_default()
                    .join(format!("{}-{:#x}.region", opened.stem, region.place.start));
                self.write(&to, bytes)?;
                println!("{}: {} KiB, boot {}", shown(&to), bytes.len() >> 10, region.header.boot);
            }
        }
        Ok(ExitCode::from(status))
    }

    fn write(&self, to: &PathBuf, bytes: &[u8]) -> Result<()> {
        let mut options = File::options();
        options.write(true);
        let file =
            if self.force { options.create(true).truncate(true).open(to) } else { options.create_new(true).open(to) };
        let name = || format!("{}: --force writes over a file that is there", shown(to));
        file.with_context(name)?.write_all(bytes).with_context(|| shown(to))
    }
}
