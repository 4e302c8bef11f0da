//! Which formats there are, and where they go.

use crate::{csv, ctf, jsonl, perfetto, text, tracedat};
use std::ffi::OsString;
use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use trace::Trace;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Linux's `trace` file.
    Text,
    /// JSON lines.
    Json,
    /// Comma-separated values.
    Csv,
    /// trace.dat, version 6.
    TraceDat,
    /// The Common Trace Format, version 1.8: a directory.
    Ctf,
    /// Perfetto's protocol buffers.
    Perfetto,
}

impl Output {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Text, Self::Json, Self::Csv, Self::TraceDat, Self::Ctf, Self::Perfetto];

    /// What it is called on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::TraceDat => "trace.dat",
            Self::Ctf => "ctf",
            Self::Perfetto => "perfetto",
        }
    }

    /// What it is for.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::Text => "as Linux's trace file shows it",
            Self::Json => "JSON lines: what it is about, then an object for each event and each loss",
            Self::Csv => "for spreadsheets",
            Self::TraceDat => "for trace-cmd report and KernelShark",
            Self::Ctf => "the Common Trace Format 1.8, a directory, for babeltrace2 and Trace Compass",
            Self::Perfetto => "for ui.perfetto.dev and trace_processor",
        }
    }

    /// The end of a file's name.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Json => "jsonl",
            Self::Csv => "csv",
            Self::TraceDat => "dat",
            Self::Ctf => "ctf",
            Self::Perfetto => "pftrace",
        }
    }

    /// Whether it can go to a terminal or a pipe.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Json | Self::Csv)
    }
}

/// Writes a trace in a text format.
///
/// # Errors
/// Those of `out`, and formats that need a file.
pub fn stream(trace: &dyn Trace, output: Output, out: &mut dyn Write) -> io::Result<()> {
    match output {
        Output::Text => text::write(trace, out),
        Output::Json => jsonl::write(trace, out),
        Output::Csv => csv::write(trace, out),
        Output::Perfetto => perfetto::write(trace, out),
        Output::TraceDat | Output::Ctf => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} needs a file", output.name())))
        }
    }
}

/// Writes a trace to a path. A file is there whole or not at all.
///
/// # Errors
/// It cannot be written; for CTF, something that is no such trace is there.
pub fn write(trace: &dyn Trace, output: Output, path: &Path) -> io::Result<()> {
    if output == Output::Ctf {
        return directory(trace, path);
    }
    let directory = beside(path);
    let mut file = made(0o666).tempfile_in(directory)?;
    let mut out = BufWriter::with_capacity(1 << 20, file.as_file_mut());
    match output {
        Output::TraceDat => tracedat::write(trace, &mut out)?,
        _ => stream(trace, output, &mut out)?,
    }
    out.flush()?;
    drop(out);
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Where something is made that takes a path's place.
fn beside(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Temporary, and as readable for others as any other file once it is not.
fn made(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.permissions(Permissions::from_mode(mode));
    builder
}

/// Whether a directory is empty, or holds a CTF trace as we write it and nothing else.
fn is_ours(path: &Path) -> io::Result<bool> {
    let names: Vec<_> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
    let is_ours = |name: &OsString| name.to_str().is_some_and(|name| name == "metadata" || name.starts_with("core"));
    if !names.iter().all(is_ours) {
        return Ok(false);
    }
    Ok(names.is_empty() || std::fs::read(path.join("metadata"))?.starts_with(b"/* CTF 1.8"))
}

/// Writes a directory. An older one of the same kind goes; anything else that is there stays.
fn directory(trace: &dyn Trace, path: &Path) -> io::Result<()> {
    let is_there = path.try_exists()?;
    if is_there && !is_ours(path)? {
        let what = "it is there, and holds something else than a CTF trace: name another directory";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    let made = made(0o777).tempdir_in(beside(path))?;
    ctf::write(trace, made.path())?;
    if is_there {
        std::fs::remove_dir_all(path)?;
    }
    std::fs::rename(made.keep(), path)
}
