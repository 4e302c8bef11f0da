//! A crash that lost what had to survive: what is said of it, and what is kept so that it can be looked at and had again.

use crate::symbols::Symbols;
use crate::terminal::Filter;
use anyhow::{Context, Result};
use cachesim::report::{Cause, Lost};
use campaign::lane::{Crashed, Lane};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Of the lost lines, stores of so many kinds are named.
const NAMED: usize = 20;

/// What went wrong in a lane.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One line for each thing.
    pub(crate) why: Vec<String>,
    crash: Option<Kept>,
    /// Lost lines of the same lane with their stores.
    named: Vec<Lost>,
}

/// What is kept of a crash.
#[derive(Debug)]
struct Kept {
    number: u64,
    cause: Cause,
    before: Vec<u8>,
    after: Vec<u8>,
    lost: Vec<Lost>,
    console: String,
}

impl Failure {
    pub(crate) fn new(crashed: &Crashed) -> Self {
        let reset = &crashed.reset;
        let why = crashed.verdict.violations.iter().map(|violation| shown(&violation.to_string())).collect();
        Self {
            why,
            crash: Some(Kept {
                number: reset.number,
                cause: reset.cause,
                before: reset.before.clone(),
                after: reset.after.clone(),
                lost: reset.lost.clone(),
                console: crashed.told.clone(),
            }),
            named: reset.lost.iter().filter(|lost| lost.stored.is_some()).copied().collect(),
        }
    }

    /// The machine did not go on crashing.
    pub(crate) fn of_lane(error: &anyhow::Error) -> Self {
        Self { why: vec![shown(&format!("{error:#}"))], crash: None, named: Vec::new() }
    }

    /// Lines are lost, and nobody knows who stored to them.
    pub(crate) fn wants_names(&self) -> bool {
        self.named.is_empty() && self.crash.as_ref().is_some_and(|crash| !crash.lost.is_empty())
    }

    /// The same happened again, with stores followed.
    pub(crate) fn add_names(&mut self, crashed: &Crashed) {
        self.named = crashed.reset.lost.clone();
    }

    /// The command that repeats it.
    pub(crate) fn command(&self, kernel: &Path, lane: &Lane) -> String {
        // Boots depend on those before: up to this one.
        let crashes = self.crash.as_ref().map_or(lane.crashes, |crash| crash.number);
        format!("afterglow loop {} --lane '{}'", kernel.display(), Lane { crashes, ..lane.clone() })
    }

    fn directory(artefacts: &Path, lane: &Lane) -> PathBuf {
        let name: String = lane.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        artefacts.join(name)
    }

    /// For a person.
    pub(crate) fn told(&self, kernel: &Path, lane: &Lane, artefacts: &Path) -> String {
        let number = self.crash.as_ref().map_or(String::new(), |crash| format!(", crash {}", crash.number));
        let mut text = format!("FAILED: {lane}{number}\n");
        for why in self.why.iter().take(NAMED) {
            // Writing to a String does not fail.
            let _ = writeln!(text, "  {why}");
        }
        let _ = writeln!(text, "  again: {}", self.command(kernel, lane));
        let _ = write!(text, "  kept:  {}", Self::directory(artefacts, lane).display());
        text
    }

    /// Keeps the region before and after, the console, and why.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep(&self, artefacts: &Path, kernel: &Path, lane: &Lane, symbols: &Symbols) -> Result<()> {
        let directory = Self::directory(artefacts, lane);
        let write = |name: &str, bytes: &[u8]| {
            let file = directory.join(name);
            fs::write(&file, bytes).with_context(|| format!("{} cannot be written", file.display()))
        };
        fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        if let Some(crash) = &self.crash {
            write("before.img", &crash.before)?;
            write("after.img", &crash.after)?;
            write("console.txt", crash.console.as_bytes())?;
        }
        write("why.txt", self.report(kernel, lane, symbols).as_bytes())
    }

    fn report(&self, kernel: &Path, lane: &Lane, symbols: &Symbols) -> String {
        let mut text = self.told(kernel, lane, Path::new(""));
        text.truncate(text.rfind("\n  kept:").unwrap_or(text.len()));
        text.push('\n');
        if let Some(crash) = &self.crash {
            let _ = writeln!(text, "cause: {:?}\nlost lines: {}", crash.cause, crash.lost.len());
        }
        let mut stores: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
        for lost in &self.named {
            if let Some((pc, _)) = lost.stored {
                stores.entry(pc).or_insert((0, lost.at)).0 += 1;
            }
        }
        if !stores.is_empty() {
            text.push_str("the last stores to lost lines:\n");
        }
        for (pc, (lines, first)) in stores.iter().take(NAMED) {
            let places = symbols.places(*pc).unwrap_or_default().join(" in ");
            let _ = writeln!(text, "  {pc:#x}  {lines} lines, the first at {first:#x} of the region: {places}");
        }
        text
    }
}

/// Only text goes on.
fn shown(text: &str) -> String {
    Filter::default().pass(text.as_bytes())
}
