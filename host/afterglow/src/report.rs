//! `afterglow report`: a crash on one page, to look at, to send, to attach to a bug report.

use crate::inputs::{DAMAGED, Inputs, NOTHING, places, shown};
use anyhow::{Context, Result};
use clap::Args;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use trace::Trace;

/// Writes one self-contained HTML page: what happened, a time line of all cores, what became of every event, every event.
///
/// It needs no network, and shows in any browser of the last years. Exit status: 0 written; 1 written, and something was
/// damaged; 2 nothing was found; 125 it could not be read or written.
#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    inputs: Inputs,

    /// The page, for one input [default: INPUT.html]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Report {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let opened = self.inputs.open()?;
        if self.out.is_some() && opened.len() > 1 {
            anyhow::bail!("--out names one page, and there are {} inputs: each gets its own without it", opened.len());
        }
        let kernels = self.inputs.kernels();
        let linux = self.inputs.linux()?;
        let mut status = 0;
        for opened in &opened {
            let reading = opened.read(&linux);
            let chosen = self.inputs.chosen(&reading);
            if chosen.is_empty() {
                eprintln!("afterglow: {}", self.inputs.nothing(opened, &reading));
                status = status.max(NOTHING);
                continue;
            }
            let mut remarks = reading.remarks.clone();
            if !remarks.is_empty() {
                status = status.max(DAMAGED);
            }
            for why in chosen.iter().filter_map(|trace| kernels.of(*trace).err()) {
                if !remarks.contains(&why) {
                    eprintln!("afterglow: {}: {why}", opened.name);
                    remarks.push(why);
                }
            }
            let words = |trace: &dyn Trace, address: u64, is_call: bool| {
                // A page's table has room for the innermost function.
                let places = places(kernels.of(trace).ok().flatten(), address, is_call);
                places.first().map(ToString::to_string)
            };
            let out = self.out.clone().unwrap_or_else(|| format!("{}.html", opened.stem).into());
            let file = File::create(&out).with_context(|| shown(&out))?;
            let mut file = BufWriter::new(file);
            page::write(&opened.name, &remarks, &chosen, &words, &mut file).with_context(|| shown(&out))?;
            file.flush().with_context(|| shown(&out))?;
            eprintln!("afterglow: {}: written", shown(&out));
        }
        Ok(ExitCode::from(status))
    }
}
