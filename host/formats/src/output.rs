//! All formats behind one name: which there are, and writing one of them so that it is there whole or not at all.

use crate::{csv, ctf, jsonl, perfetto, text, tracedat};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use trace::Trace;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Linux's `trace` file.
    Text,
    /// JSON lines.
    Json,
    /// CSV.
    Csv,
    /// trace.dat, version 6.
    TraceDat,
    /// CTF 1.8.
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

    /// How its files' names end, behind a dot. A CTF is a directory.
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

    /// What it is, in a line.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::Text => "text as Linux's trace file shows it",
            Self::Json => "JSON lines: one object for each event and each loss, one about the trace first",
            Self::Csv => "a table for spreadsheets: one row for each event and each loss",
            Self::TraceDat => "trace.dat (version 6), for trace-cmd report and KernelShark",
            Self::Ctf => "a directory in the Common Trace Format 1.8, for babeltrace2 and Trace Compass",
            Self::Perfetto => "protocol buffers for ui.perfetto.dev and Perfetto's trace processor",
        }
    }

    /// The format with this name, or whose files end so.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|output| output.name() == name || output.extension() == name)
    }

    /// Whether it can be written to a pipe.
    #[must_use]
    pub const fn is_a_stream(self) -> bool {
        !matches!(self, Self::TraceDat | Self::Ctf)
    }

    /// Writes a trace to a stream. A trace.dat is made in a temporary file first.
    ///
    /// # Errors
    /// Those of `out`; [`io::ErrorKind::Unsupported`] for a CTF, which is a directory.
    pub fn stream(self, trace: &dyn Trace, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text => text::write(trace, out),
            Self::Json => jsonl::write(trace, out),
            Self::Csv => csv::write(trace, out),
            Self::Perfetto => perfetto::write(trace, out),
            Self::TraceDat => {
                let mut file = tempfile::tempfile()?;
                tracedat::write(trace, &mut file)?;
                io::Seek::rewind(&mut file)?;
                io::copy(&mut file, out).map(|_| ())
            }
            Self::Ctf => Err(io::Error::new(io::ErrorKind::Unsupported, "a CTF is a directory: give it a name")),
        }
    }

    /// Writes a trace to a file, or a directory if that is what the format is. What stood there before stays until all is
    /// written, and is replaced then.
    ///
    /// # Errors
    /// Those of the file system; [`io::ErrorKind::AlreadyExists`] if a directory is there that is not a CTF of ours.
    pub fn write(self, trace: &dyn Trace, path: &Path) -> io::Result<()> {
        if self == Self::Ctf {
            return directory(trace, path);
        }
        if path.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, format!("{} is a directory", path.display())));
        }
        // A device or a pipe is written to, not replaced.
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return self.stream(trace, &mut std::fs::File::options().write(true).open(path)?);
        }
        let mut file = temporary().tempfile_in(beside(path))?;
        match self {
            Self::TraceDat => tracedat::write(trace, file.as_file_mut())?,
            _ => self.stream(trace, file.as_file_mut())?,
        }
        file.persist(path)?;
        Ok(())
    }
}

/// Something temporary, with the rights that a file which is simply made would have.
fn temporary() -> tempfile::Builder<'static, 'static> {
    #[cfg(unix)]
    fn rights() -> std::fs::Permissions {
        std::os::unix::fs::PermissionsExt::from_mode(0o666)
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".afterglow-");
    #[cfg(unix)]
    builder.permissions(rights());
    builder
}

/// Where something stands that takes a path's place later.
fn beside(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// A CTF.
fn directory(trace: &dyn Trace, path: &Path) -> io::Result<()> {
    let is_there = path.symlink_metadata().is_ok();
    if is_there && !ctf::is_ours(path) {
        let empty = path.read_dir().is_ok_and(|mut entries| entries.next().is_none());
        if !empty {
            let why = format!("{} is there and is not a CTF of afterglow: it stays as it is", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
    }
    let room = tempfile::Builder::new().prefix(".afterglow-").tempdir_in(beside(path))?;
    let (new, old) = (room.path().join("new"), room.path().join("old"));
    std::fs::create_dir(&new)?;
    ctf::write(trace, &new)?;
    if is_there {
        std::fs::rename(path, &old)?;
    }
    std::fs::rename(&new, path).inspect_err(|_| {
        // What was there is put back; that it cannot be is said by the error that is returned anyway.
        let _ = std::fs::rename(&old, path);
    })
}
