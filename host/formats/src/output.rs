//! Which formats there are, and where they go.

use crate::{csv, ctf, jsonl, perfetto, text, tracedat};
use std::fs::File;
use std::fs::Permissions;
use std::io::{self, Write};
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

/// Writes a trace to a path. A file is there whole or not at all; what stood there before stays until then.
///
/// # Errors
/// It cannot be written; for CTF, something that is no such trace of ours is there.
pub fn write(trace: &dyn Trace, output: Output, path: &Path) -> io::Result<()> {
    if output == Output::Ctf {
        return directory(trace, path);
    }
    // A device or a pipe is written to, not replaced; a directory is neither.
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        let mut there = File::options().write(true).open(path)?;
        return match output {
            Output::TraceDat => Err(io::Error::new(io::ErrorKind::NotSeekable, "trace.dat needs a file")),
            _ => stream(trace, output, &mut there),
        };
    }
    let mut file = made(0o666).tempfile_in(beside(path))?;
    match output {
        // It writes much at once by itself.
        Output::TraceDat => tracedat::write(trace, file.as_file_mut())?,
        _ => stream(trace, output, file.as_file_mut())?,
    }
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
    builder.prefix(".afterglow-").permissions(Permissions::from_mode(mode));
    builder
}

/// Writes a directory. An older one of ours is replaced, and stays until the new one is whole; anything else that is there stays.
fn directory(trace: &dyn Trace, path: &Path) -> io::Result<()> {
    let is_there = path.symlink_metadata().is_ok();
    let is_empty = || path.read_dir().is_ok_and(|mut entries| entries.next().is_none());
    if is_there && !ctf::is_ours(path) && !is_empty() {
        let what = "it is there, and is not a CTF trace of ours: name another directory";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    let room = made(0o700).tempdir_in(beside(path))?;
    let (new, old) = (room.path().join("new"), room.path().join("old"));
    std::fs::create_dir(&new)?;
    ctf::write(trace, &new)?;
    if is_there {
        std::fs::rename(path, &old)?;
    }
    std::fs::rename(&new, path).inspect_err(|_| {
        // What was there is put back; that it could not be replaced is said in any case.
        let _ = std::fs::rename(&old, path);
    })
}
