//! What the commands that look at a crash have in common: which inputs, which boot of them, whose symbols.

use crate::symbols::{Place, Symbols};
use anyhow::{Context, Result, bail};
use clap::Args;
use linuxring::{Formats, Symbols as LinuxSymbols};
use reader::{Image, Input, OfLinux, Reading, Region};
use ring::escape::Escaped;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use trace::{Origin, Trace};

/// The exit status of a command that found damage in what it read.
pub(crate) const DAMAGED: u8 = 1;
/// The exit status of a command that found nothing to read.
pub(crate) const NOTHING: u8 = 2;

/// The arguments that all of them take.
#[derive(Debug, Args)]
pub(crate) struct Inputs {
    /// Regions, banks, RAM images, console captures, Linux's persistent ring buffers, or directories of them; - is the
    /// standard input
    #[arg(required = true, value_name = "INPUT")]
    paths: Vec<PathBuf>,

    /// Which boot: its number, "newest" (a crash that nobody has seen, if there is one), or "all"
    #[arg(long, default_value = "newest", value_parser = parse_which)]
    boot: Which,

    /// The kernel's ELF file: the one whose build id is the trace's is used, others are said to be wrong
    #[arg(long, value_name = "FILE", env = "AFTERGLOW_KERNEL", hide_env_values = true)]
    elf: Vec<PathBuf>,

    /// For what Linux left: its /proc/kallsyms or System.map
    #[arg(long, value_name = "FILE", help_heading = "For Linux's regions")]
    symbols: Option<PathBuf>,

    /// For what Linux left: a copy of its /sys/kernel/tracing/events, or `format` files of it one behind the other
    #[arg(long, value_name = "PATH", help_heading = "For Linux's regions")]
    formats: Option<PathBuf>,
}

/// Which boots of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The first that the reader gives.
    Newest,
    /// Every one.
    All,
    /// The one of this number.
    Number(u64),
}

fn parse_which(text: &str) -> Result<Which, String> {
    match text {
        "newest" => Ok(Which::Newest),
        "all" => Ok(Which::All),
        number => number.parse().map(Which::Number).map_err(|_| "a number, \"newest\" or \"all\"".into()),
    }
}

/// An input that was opened.
pub(crate) struct Opened {
    /// Its name, printable.
    pub(crate) name: String,
    /// What it is called without directories and ending, for files that are made of it: letters, digits, `-_.`.
    pub(crate) stem: String,
    input: Input,
}

impl Inputs {
    /// All inputs, those of directories by name.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub(crate) fn open(&self) -> Result<Vec<Opened>> {
        let mut opened = Vec::new();
        for path in &self.paths {
            if !path.is_dir() {
                opened.push(Opened::of(path)?);
                continue;
            }
            let mut files: Vec<PathBuf> = std::fs::read_dir(path)
                .and_then(|all| all.map(|entry| entry.map(|entry| entry.path())).collect())
                .with_context(|| shown(path))?;
            files.retain(|file| file.is_file());
            files.sort();
            if files.is_empty() {
                bail!("{}: no file is in it", shown(path));
            }
            for file in files {
                opened.push(Opened::of(&file)?);
            }
        }
        Ok(opened)
    }

    /// What is known of the Linux whose regions are read.
    ///
    /// # Errors
    /// A file that was named cannot be read, or holds nothing of the kind.
    pub(crate) fn linux(&self) -> Result<OfLinux> {
        let mut linux = OfLinux::default();
        if let Some(path) = &self.symbols {
            linux.symbols = LinuxSymbols::load(&std::fs::read(path).with_context(|| shown(path))?);
            if linux.symbols.is_empty() {
                bail!("{}: no line of it is an address, a letter and a name, as in /proc/kallsyms", shown(path));
            }
        }
        if let Some(path) = &self.formats {
            linux.formats = if path.is_dir() {
                Formats::load_directory(path).with_context(|| shown(path))?
            } else {
                let text = std::fs::read(path).with_context(|| shown(path))?;
                Formats::load(&String::from_utf8_lossy(&text))
            };
            if linux.formats.is_empty() {
                bail!("{}: no event's format is in it, as in /sys/kernel/tracing/events/*/*/format", shown(path));
            }
        }
        Ok(linux)
    }

    /// Whether more than one trace may be asked for.
    pub(crate) fn may_be_several(&self) -> bool {
        self.boot == Which::All || self.paths.len() > 1 || self.paths.iter().any(|path| path.is_dir())
    }

    /// The symbols that can be used.
    pub(crate) fn kernels(&self) -> Kernels {
        Kernels::load(&self.elf)
    }

    /// The traces of an input that are asked for, in the reader's order, and how many there are in all.
    pub(crate) fn chosen<'t, 'a>(&self, reading: &'t Reading<'a>) -> Vec<&'t (dyn Trace + 'a)> {
        let all = reading.traces.iter().map(AsRef::as_ref);
        match self.boot {
            Which::All => all.collect(),
            // Linux does not count its boots: each of its instances is its newest.
            Which::Newest => {
                let mut traces = reading.traces.iter().map(AsRef::as_ref);
                let first = traces.next();
                let is_linux = |trace: &&(dyn Trace + 'a)| matches!(trace.about().origin, Origin::Linux { .. });
                let others = traces.filter(is_linux).filter(|_| first.as_ref().is_some_and(is_linux));
                first.into_iter().chain(others).collect()
            }
            Which::Number(number) => all.filter(|trace| trace.about().boot == Some(number)).collect(),
        }
    }

    /// What is said where an input has nothing that was asked for.
    pub(crate) fn nothing(&self, opened: &Opened, reading: &Reading<'_>) -> String {
        let name = &opened.name;
        if let (Which::Number(number), false) = (self.boot, reading.traces.is_empty()) {
            let there: Vec<_> =
                reading.traces.iter().filter_map(|trace| trace.about().boot).map(|boot| boot.to_string()).collect();
            return format!("{name}: no boot {number} is in it, but {}", there.join(", "));
        }
        format!("{name}: nothing to read: {}", reading.remarks.join("; "))
    }
}

impl Opened {
    /// Opens one.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let image = Image::open(path).with_context(|| shown(path))?;
        let stem = path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
        let keep = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let stem: String = stem.chars().map(keep).collect();
        let stem = if stem.trim_matches(['-', '.']).is_empty() { "trace".into() } else { stem };
        Ok(Self { name: shown(path), stem, input: Input::new(image) })
    }

    /// The regions of ours in it, and their bytes.
    pub(crate) fn regions(&self) -> impl Iterator<Item = (&Region, &[u8])> {
        self.input.regions()
    }

    /// What is in it.
    pub(crate) fn read(&self, linux: &OfLinux) -> Reading<'_> {
        self.input.read_with(linux)
    }
}

/// A file's name as it may reach a terminal.
pub(crate) fn shown(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "standard input".into(),
        Some(name) if !name.chars().any(char::is_control) => name.into(),
        _ => Escaped(path.as_os_str().as_bytes()).to_string(),
    }
}

/// ELF files by their build ids.
pub(crate) struct Kernels {
    loaded: Vec<(PathBuf, Symbols)>,
    failed: Vec<String>,
}

impl Kernels {
    fn load(paths: &[PathBuf]) -> Self {
        let (mut loaded, mut failed) = (Vec::new(), Vec::new());
        for path in paths {
            match Symbols::load(path) {
                Ok(symbols) => loaded.push((path.clone(), symbols)),
                Err(error) => failed.push(format!("no symbols: {}", crate::chain(&error))),
            }
        }
        Self { loaded, failed }
    }

    /// The symbols of the kernel that recorded a trace, or why there are none.
    pub(crate) fn of(&self, trace: &dyn Trace) -> Result<Option<&Symbols>, String> {
        if let Some(failed) = self.failed.first() {
            return Err(failed.clone());
        }
        let Some(build) = &trace.about().build_id else {
            return match self.loaded.is_empty() || !matches!(trace.about().origin, Origin::Afterglow { .. }) {
                true => Ok(None),
                false => Err("the trace does not say which build recorded it: symbols are not used".into()),
            };
        };
        let found = self.loaded.iter().find(|(_, symbols)| symbols.is_of(build));
        match (found, self.loaded.first()) {
            (Some((_, symbols)), _) => Ok(Some(symbols)),
            (None, None) => Ok(None),
            (None, Some((path, symbols))) => Err(format!(
                "{} is another build ({}) than the one that recorded this ({build}): its symbols are not used",
                shown(path),
                symbols.build()
            )),
        }
    }
}

/// The places of an address: a line each, the innermost inlined function first.
pub(crate) fn places(symbols: Option<&Symbols>, address: u64, is_call: bool) -> Vec<Place> {
    symbols.map(|symbols| symbols.describe(address, is_call)).unwrap_or_default()
}
