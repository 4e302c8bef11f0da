//! What the addresses on a console mean: below a line that names some, a line for each, with function, file and line from the
//! kernel's ELF file. The console's own lines stay as they are, so that whatever reads them still can.

use crate::terminal::Filter;
use addr2line::Loader;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use object::{Object, ObjectSection};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Longer lines are shown and not looked at.
const LINE_MAX: usize = 4096;
/// Most bytes that are read from a capture at a time.
const PIECE: usize = 64 << 10;

/// Shows a captured console with the symbols of its addresses
#[derive(Debug, Args)]
pub(crate) struct Symbolise {
    /// The kernel: the ELF file that ran
    elf: PathBuf,

    /// The capture [default: the standard input]
    capture: Option<PathBuf>,
}

impl Symbolise {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let symbols = Symbols::load(&self.elf)?;
        let mut input: Box<dyn Read> = match &self.capture {
            None => Box::new(std::io::stdin().lock()),
            Some(path) => Box::new(std::fs::File::open(path).with_context(|| path.display().to_string())?),
        };
        let (mut filter, mut annotator) = (Filter::default(), Annotator::new(Some(symbols)));
        let mut out = std::io::stdout().lock();
        let mut piece = vec![0; PIECE];
        loop {
            let size = input.read(&mut piece).context("reading the capture")?;
            let text = if size == 0 { filter.finish() } else { filter.pass(&piece[..size]) };
            let shown = annotator.pass(&text) + if size == 0 { annotator.finish() } else { String::new() }.as_str();
            out.write_all(shown.as_bytes()).context("nobody reads what is shown")?;
            if size == 0 {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// The symbols of a kernel.
pub(crate) struct Symbols {
    loader: Loader,
    text: Range<u64>,
    /// As the console says it, in hexadecimal.
    build: String,
}

impl Symbols {
    /// Reads the ELF file's symbols.
    ///
    /// # Errors
    /// It is no ELF file, or it has none.
    pub(crate) fn load(elf: &Path) -> Result<Self> {
        let bytes = std::fs::read(elf).with_context(|| elf.display().to_string())?;
        let file = object::File::parse(bytes.as_slice()).map_err(|error| anyhow!("{}: {error}", elf.display()))?;
        let text = file.section_by_name(".text").context("it has no code")?;
        if file.section_by_name(".debug_info").is_none() {
            bail!("{}: it has no debug information", elf.display());
        }
        let build = file.build_id().ok().flatten().unwrap_or_default();
        let build = build.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        let loader = Loader::new(elf).map_err(|error| anyhow!("{}: {error}", elf.display()))?;
        Ok(Self { loader, text: text.address()..text.address() + text.size(), build })
    }

    /// Where in the sources an address is: the file and line of what was inlined there, the innermost first, then those of the
    /// function itself. Without what belongs to Rust's own libraries.
    pub(crate) fn places(&self, address: u64) -> Option<Vec<String>> {
        let mut places = Vec::new();
        let mut frames = self.loader.find_frames(address).ok()?;
        while let Ok(Some(frame)) = frames.next() {
            let Some((file, line)) = frame.location.and_then(|at| Some((at.file?, at.line?))) else { continue };
            places.push(format!("{}:{line}", short(file)));
        }
        places.retain(|place| !["core/", "alloc/"].iter().any(|library| place.starts_with(library)));
        (!places.is_empty()).then_some(places)
    }

    /// Its build id, in hexadecimal.
    pub(crate) fn build(&self) -> &str {
        &self.build
    }

    /// Whether this is the kernel of a build id, whose last zeros may be missing.
    pub(crate) fn is_of(&self, build: &str) -> bool {
        !self.build.is_empty() && self.build.trim_end_matches('0') == build.trim_end_matches('0')
    }

    /// The functions at an address, the innermost inlined one first. `call`: it is where a call returns to, so the call itself
    /// is just before it. Empty if it is not in the kernel's code.
    pub(crate) fn describe(&self, address: u64, call: bool) -> Vec<Place> {
        if !self.text.contains(&address) {
            return Vec::new();
        }
        let address = if call { address - 1 } else { address };
        let mut places = Vec::new();
        if let Ok(mut frames) = self.loader.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let name = frame.function.as_ref().and_then(|name| name.demangle().ok().map(|name| name.into_owned()));
                let at = frame.location.and_then(|at| Some(format!("{}:{}", short(at.file?), at.line.unwrap_or(0))));
                places.push(Place::of(name.unwrap_or_else(|| "?".into()), at));
            }
        }
        if places.is_empty() {
            let symbol = self.loader.find_symbol(address).map(|name| addr2line::demangle_auto(name.into(), None));
            places.push(Place::of(symbol.map_or_else(|| "?".into(), |name| name.into_owned()), None));
        }
        places
    }

    /// A line for an address, and one more for each function that was inlined there.
    fn show(&self, address: u64, call: bool, out: &mut String) {
        let places = self.describe(address, call);
        if places.is_empty() {
            line(out, address, "not in the kernel's code");
        }
        for (depth, place) in places.iter().enumerate() {
            let inlined = if depth + 1 < places.len() { " (inlined)" } else { "" };
            line(out, address, &format!("{place}{inlined}"));
        }
    }
}

/// A function, and where in the sources. Names come from a file; they too reach a terminal as text only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    function: String,
    at: Option<String>,
}

impl Place {
    fn of(name: String, at: Option<String>) -> Self {
        let name = name.rsplit_once("::h").filter(|(_, hash)| hash.len() == 16).map_or(&*name, |(name, _)| name);
        let plain = |text: &str| Filter::default().pass(text.as_bytes());
        Self { function: plain(name), at: at.as_deref().map(plain) }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.function)?;
        self.at.as_ref().map_or(Ok(()), |at| write!(f, " at {at}"))
    }
}

fn line(out: &mut String, address: u64, text: &str) {
    // Symbols come from a file; they too only reach the terminal as text. Writing to a String does not fail.
    let _ = writeln!(out, "    {address:#x}  {}", Filter::default().pass(text.as_bytes()));
}

/// A source file as a person in its directory calls it.
fn short(file: &str) -> &str {
    let here = std::env::current_dir().unwrap_or_default();
    let below = here.to_str().and_then(|here| file.strip_prefix(here)).map(|file| file.trim_start_matches('/'));
    below.or_else(|| file.rsplit_once("/library/").map(|(_, file)| file)).unwrap_or(file)
}

/// Takes what is shown piece by piece, and adds lines to it. Nothing waits: a line is shown as it comes.
pub(crate) struct Annotator {
    symbols: Option<Symbols>,
    /// The line so far.
    line: String,
    /// The console said that another kernel runs.
    foreign: bool,
}

impl Annotator {
    pub(crate) fn new(symbols: Option<Symbols>) -> Self {
        Self { symbols, line: String::new(), foreign: false }
    }

    /// The piece, with lines added where lines end in it.
    pub(crate) fn pass(&mut self, piece: &str) -> String {
        if self.symbols.is_none() {
            return piece.to_owned();
        }
        let mut out = String::new();
        for part in piece.split_inclusive('\n') {
            out.push_str(part);
            if self.line.len() + part.len() <= LINE_MAX {
                self.line.push_str(part);
            }
            if part.ends_with('\n') {
                let line = std::mem::take(&mut self.line);
                self.annotate(&line, &mut out);
            }
        }
        out
    }

    /// What is to be added at the end.
    pub(crate) fn finish(&mut self) -> String {
        let mut out = String::new();
        let line = std::mem::take(&mut self.line);
        let mut added = String::new();
        self.annotate(&line, &mut added);
        if !added.is_empty() {
            out.push('\n');
            out.push_str(&added);
        }
        out
    }

    fn annotate(&mut self, line: &str, out: &mut String) {
        let Some(symbols) = &self.symbols else { return };
        if let Some(build) = line.trim_start().strip_prefix("build ") {
            self.foreign = !symbols.build.starts_with(build.trim()) || build.trim().is_empty();
            if self.foreign {
                out.push_str("    (this is another kernel than the ELF file: its addresses are left as they are)\n");
            }
            return;
        }
        if self.foreign {
            return;
        }
        for (address, call) in addresses(line) {
            symbols.show(address, call, out);
        }
    }
}

/// The addresses of code in a line of the console, and whether each is one that a call returns to: `pc 0x…`, `lr 0x…`, and all
/// behind `backtrace:`, of which the first is where it begins.
fn addresses(line: &str) -> Vec<(u64, bool)> {
    let number = |word: &str| {
        let word = word.trim_end_matches([',', ')', ':', ';', '\n']);
        u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
    };
    if let Some((_, list)) = line.split_once("backtrace:") {
        return list.split_whitespace().map_while(number).enumerate().map(|(n, at)| (at, n > 0)).collect();
    }
    let mut found = Vec::new();
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let call = match word {
            "pc" | "panicked:pc" => false,
            "lr" => true,
            _ => continue,
        };
        if let Some(address) = words.peek().copied().and_then(number)
            && !found.contains(&(address, call))
        {
            found.push((address, call));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::ObjectSymbol;

    #[test]
    fn addresses_are_found_where_the_console_names_code() {
        let stop = "  core 1: stopped at     0.2 by own EL2, pc 0x40222a5c, lr 0x402229b0, nothing masked\n";
        assert_eq!(addresses(stop), [(0x4022_2a5c, false), (0x4022_29b0, true)]);
        assert_eq!(addresses("panic: backtrace: 0x10 0x20\n"), [(0x10, false), (0x20, true)]);
        assert_eq!(addresses("  esr 0x0 far 0x50 pc 0x40217e60\n"), [(0x4021_7e60, false)]);
        for none in
            ["", "region 8 KiB at 0x50000000", "backtrace:", "pc", "pc twelve", "pc 0x", "pc 0xfffffffffffffffff"]
        {
            assert_eq!(addresses(none), [], "{none}");
        }
    }

    #[test]
    fn the_kernels_own_functions_are_named_and_others_are_not() {
        let elf = qemu::workspace::kernel_file().unwrap();
        let symbols = Symbols::load(elf).unwrap();
        let bytes = std::fs::read(elf).unwrap();
        let file = object::File::parse(bytes.as_slice()).unwrap();
        let main = file.symbols().find(|symbol| symbol.name() == Ok("kernel_main")).unwrap();
        let (start, build) = (main.address(), symbols.build.clone());
        let mut annotator = Annotator::new(Some(symbols));
        assert_eq!(annotator.pass("no address here\npc 0x"), "no address here\npc 0x");
        let rest = annotator.pass(&format!("{start:x}\n"));
        assert!(
            rest.starts_with(&format!("{start:x}\n    {start:#x}  ")) && rest.contains("kernel_main at "),
            "{rest}"
        );
        assert!(annotator.pass("lr 0x50000000\n").contains("not in the kernel's code"));
        assert!(annotator.pass("  build      00ff\n").contains("another kernel"));
        assert_eq!(annotator.pass(&format!("pc {start:#x}\n")), format!("pc {start:#x}\n"), "not with foreign symbols");
        annotator.pass(&format!("  build      {}\n", &build[..8]));
        assert!(annotator.pass(&format!("pc {start:#x}\n")).contains("kernel_main"));
        assert_eq!(annotator.pass(&"x".repeat(9000)).len(), 9000, "a line without end is shown");
        assert!(annotator.line.len() <= LINE_MAX);
        assert_eq!(annotator.finish(), "");
        annotator.pass(&format!("pc {start:#x}"));
        assert!(annotator.finish().contains("kernel_main"), "a last line without its end counts");
    }

    #[test]
    fn what_is_no_kernel_is_said() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"no ELF file").unwrap();
        assert!(Symbols::load(file.path()).is_err());
        assert!(Symbols::load(Path::new("/nowhere/kernel")).is_err());
    }
}
