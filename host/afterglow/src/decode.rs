//! `afterglow decode`: a crash in the formats that people already read.

use crate::inputs::{DAMAGED, Inputs, NOTHING, Opened, shown};
use anyhow::{Context, Result, bail};
use clap::Args;
use formats::Output;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use trace::{Trace, is_damaged};

/// Writes the events of a crash in a format that other tools read.
///
/// Text, JSON lines and CSV go to the standard output, the others into files: INPUT-bootN.dat for trace-cmd and KernelShark,
/// a directory INPUT-bootN.ctf for babeltrace2 and Trace Compass, INPUT-bootN.pftrace for ui.perfetto.dev. Exit status: 0
/// everything is there; 1 something of it is damaged; 2 nothing was found; 125 it could not be read or written.
#[derive(Debug, Args)]
pub(crate) struct Decode {
    #[command(flatten)]
    inputs: Inputs,

    /// The format
    #[arg(long, short, default_value = "text", value_parser = parse_output)]
    to: Output,

    /// The file (for CTF: the directory) to write; for several boots the directory that gets one for each
    #[arg(long, short, value_name = "PATH")]
    out: Option<PathBuf>,
}

fn parse_output(text: &str) -> Result<Output, String> {
    Output::ALL.into_iter().find(|output| output.name() == text).ok_or_else(|| {
        let names: Vec<_> = Output::ALL.iter().map(|output| output.name()).collect();
        format!("one of {}", names.join(", "))
    })
}

impl Decode {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let linux = self.inputs.linux()?;
        let mut status = 0;
        let opened = self.inputs.open()?;
        let mut stream = Stream::default();
        for opened in &opened {
            let reading = opened.read(&linux);
            for remark in &reading.remarks {
                eprintln!("afterglow: {}: {remark}", opened.name);
                status = status.max(DAMAGED);
            }
            let chosen = self.inputs.chosen(&reading);
            if chosen.is_empty() {
                eprintln!("afterglow: {}", self.inputs.nothing(opened, &reading));
                status = status.max(NOTHING);
            }
            let several = chosen.len() > 1 || self.inputs.may_be_several();
            for (number, trace) in chosen.iter().enumerate() {
                if is_damaged(*trace) {
                    status = status.max(DAMAGED);
                }
                self.write(*trace, opened, number, several, &mut stream)?;
            }
            let others = reading.traces.len() - chosen.len();
            if others > 0 && !chosen.is_empty() {
                let title = &chosen[0].about().title;
                eprintln!("afterglow: {}: {title}; {others} more in it: --boot all takes every one", opened.name);
            }
        }
        stream.finish()?;
        Ok(ExitCode::from(status))
    }

    fn write(
        &self,
        trace: &dyn Trace,
        opened: &Opened,
        number: usize,
        several: bool,
        stream: &mut Stream,
    ) -> Result<()> {
        if self.to.is_text() {
            let out = stream.open(self.out.as_deref())?;
            if several && self.to == Output::Text {
                writeln!(out, "# {}: {}", opened.name, trace.about().title).context("nobody reads it")?;
            }
            return formats::stream(trace, self.to, out).context("nobody reads it");
        }
        let path = self.place(trace, opened, number, several)?;
        formats::write(trace, self.to, &path).with_context(|| shown(&path))?;
        eprintln!("afterglow: {}: written", shown(&path));
        Ok(())
    }

    /// Where a trace goes: what it is called comes from the input's name and a number, never from what a region says.
    fn place(&self, trace: &dyn Trace, opened: &Opened, number: usize, several: bool) -> Result<PathBuf> {
        let which = trace.about().boot.map_or_else(|| format!("trace{number}"), |boot| format!("boot{boot}"));
        let name = format!("{}-{which}.{}", opened.stem, self.to.extension());
        match &self.out {
            None => Ok(name.into()),
            // An existing directory gets a file; a CTF trace is a directory itself.
            Some(path) if !several && (self.to == Output::Ctf || !path.is_dir()) => Ok(path.clone()),
            Some(directory) => {
                std::fs::create_dir_all(directory).with_context(|| shown(directory))?;
                if !directory.is_dir() {
                    bail!("{}: several boots need a directory", shown(directory));
                }
                Ok(directory.join(name))
            }
        }
    }
}

/// Where text goes: opened when there is some.
#[derive(Default)]
struct Stream(Option<Box<dyn Write>>);

impl Stream {
    fn open(&mut self, path: Option<&Path>) -> Result<&mut dyn Write> {
        if self.0.is_none() {
            self.0 = Some(match path {
                None => Box::new(BufWriter::new(io::stdout().lock())),
                Some(path) => Box::new(BufWriter::new(File::create(path).with_context(|| shown(path))?)),
            });
        }
        self.0.as_deref_mut().map(|out| out as &mut dyn Write).context("there is no output")
    }

    fn finish(self) -> Result<()> {
        self.0.map_or(Ok(()), |mut out| out.flush()).context("nobody reads it")
    }
}
