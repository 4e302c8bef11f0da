//! `afterglow capture`: a kernel's binary dump, from a serial line or from what was stored of one, becomes images of regions.

use crate::inputs;
use crate::progress;
use crate::terminal::Filter;
use anyhow::{Context, Result, bail};
use campaign::serial::port::{Port, Read};
use capture::{Assembler, Event, Transfer};
use clap::Args;
use indicatif::ProgressBar;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The status where something is missing.
const INCOMPLETE: u8 = 1;
/// How often a quiet line is left for a look at the clock.
const HEARTBEAT: Duration = Duration::from_millis(200);
/// Longest that the line may take an answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Missing parts that are named one by one.
const NAMED_MAX: usize = 20;

/// Receives what a kernel with dump=binary sends, asks again for what was lost, and writes the region of each crash.
///
/// The board must boot while this listens, or the line must have been stored. The status is 0 where every bank came whole,
/// 1 where something is missing or nothing came, 125 if this command itself failed.
#[derive(Debug, Args)]
pub(crate) struct Capture {
    /// The serial line (/dev/ttyUSB0, a pty), a file in which its bytes were stored, or - for the standard input
    source: PathBuf,

    /// A file for the region, or a directory for one file per crash, boot-NUMBER-ID.region
    #[arg(long, short, value_name = "FILE|DIR", default_value = ".")]
    out: PathBuf,

    /// Speed of the line
    #[arg(long, default_value_t = 115_200)]
    baud: u32,

    /// Seconds after which listening ends; 0 is never
    #[arg(long, default_value_t = 0)]
    time: u64,

    /// Leaves out the console's text
    #[arg(long, short)]
    quiet: bool,
}

/// What is shown while bytes come.
struct Shown {
    filter: Filter,
    /// The begin of a line whose end is not there yet.
    line: String,
    bar: ProgressBar,
    quiet: bool,
    /// Nobody reads the text any more.
    deaf: bool,
}

impl Shown {
    fn new(quiet: bool) -> Self {
        let bar = progress::bar(None, "{wide_bar} {pos} of {len} pages, {msg}, {eta} left");
        Self { filter: Filter::default(), line: String::new(), bar, quiet, deaf: false }
    }

    fn text(&mut self, bytes: &[u8]) {
        let text = self.filter.pass(bytes);
        self.line.push_str(&text);
        if let Some(end) = self.line.rfind('\n') {
            let rest = self.line.split_off(end + 1);
            let whole = std::mem::replace(&mut self.line, rest);
            self.print(&whole);
        }
    }

    fn print(&mut self, text: &str) {
        if self.quiet || self.deaf {
            return;
        }
        let mut out = std::io::stdout();
        self.deaf = self.bar.suspend(|| out.write_all(text.as_bytes()).and_then(|()| out.flush())).is_err();
    }

    fn page(&self, transfer: &Transfer, broken: u64) {
        let (there, expected) = transfer.pages();
        if let Some(expected) = expected {
            self.bar.set_length(expected as u64);
        }
        self.bar.set_position(there as u64);
        self.bar.set_message(format!("{broken} damaged"));
    }

    fn finish(&mut self) {
        let rest = self.filter.finish();
        let line = std::mem::take(&mut self.line) + &rest;
        if !line.is_empty() {
            self.print(&(line + "\n"));
        }
        self.bar.finish_and_clear();
    }
}

impl Capture {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let mut host = Assembler::default();
        let mut shown = Shown::new(self.quiet);
        let heard = self.hear(&mut host, &mut shown);
        host.finish(&mut |_, event| show(&mut shown, event, 0));
        shown.finish();
        heard?;
        self.write(&host)
    }

    /// Takes everything in, until the source ends or has nothing more to say.
    fn hear(&self, host: &mut Assembler, shown: &mut Shown) -> Result<()> {
        let name = inputs::shown(&self.source);
        if self.source == Path::new("-") {
            return stored(std::io::stdin().lock(), host, shown).context("the standard input cannot be read");
        }
        let kind = std::fs::metadata(&self.source).with_context(|| format!("{name} cannot be opened"))?.file_type();
        if kind.is_dir() {
            bail!("{name} is a directory: name a serial line or a file that holds what one said");
        }
        if kind.is_char_device() {
            return self.live(Port::open_to_talk(&self.source, self.baud)?, host, shown);
        }
        let file = File::open(&self.source).with_context(|| format!("{name} cannot be opened"))?;
        stored(file, host, shown).with_context(|| format!("{name} cannot be read"))
    }

    /// Listens to a line and answers, until the last transfer is whole.
    fn live(&self, mut port: Port, host: &mut Assembler, shown: &mut Shown) -> Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        let on_signal = stop.clone();
        ctrlc::set_handler(move || on_signal.store(true, Ordering::Relaxed)).context("Ctrl-C cannot be caught")?;
        let begin = Instant::now();
        let is_late = || self.time > 0 && begin.elapsed() >= Duration::from_secs(self.time);
        let mut buffer = vec![0; 4096];
        while !stop.load(Ordering::Relaxed) && !is_late() {
            let count = match port.read(&mut buffer, HEARTBEAT) {
                Read::Bytes(count) => count,
                Read::Nothing => continue,
                Read::Gone(_) => break,
            };
            let (mut answers, mut is_over) = (Vec::new(), false);
            host.feed(&buffer[..count], &mut |host, event| {
                if let Event::Prompt(transfer) = event {
                    answers.push(host.answer(transfer));
                    is_over = is_last(&host.transfers()[transfer]);
                }
                look(host, shown, event);
            });
            // What the line does not take is asked for at the next prompt.
            for answer in &answers {
                let _ = port.write(answer, ANSWER_MAX);
            }
            if is_over {
                break;
            }
        }
        Ok(())
    }

    /// Writes the images and says what there is.
    fn write(&self, host: &Assembler) -> Result<ExitCode> {
        let transfers = host.transfers();
        let into_directory = self.out.is_dir();
        if !into_directory && transfers.iter().filter(|transfer| transfer.plan().is_some()).count() > 1 {
            bail!("there are several crashes and --out names one file: name a directory");
        }
        for transfer in transfers {
            let text = about(transfer);
            if transfer.plan().is_none() {
                eprintln!("{text}: nothing is written");
                continue;
            }
            let path = if into_directory { self.out.join(name(transfer)) } else { self.out.clone() };
            let file = File::create(&path).with_context(|| format!("{} cannot be made", inputs::shown(&path)))?;
            transfer.write(&file).with_context(|| format!("{} cannot be written", inputs::shown(&path)))?;
            eprintln!("{text}: {}", inputs::shown(&path));
        }
        if host.broken() > 0 {
            eprintln!("{} frames came damaged", host.broken());
        }
        if transfers.is_empty() {
            eprintln!(
                "no dump in it: the kernel sends one with dump=binary on its command line, when it finds a crash"
            );
        }
        let is_whole = !transfers.is_empty() && transfers.iter().all(Transfer::is_whole);
        Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
    }
}

/// Reads to the end.
fn stored(mut source: impl std::io::Read, host: &mut Assembler, shown: &mut Shown) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match source.by_ref().read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => host.feed(&buffer[..count], &mut |host, event| look(host, shown, event)),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn look(host: &Assembler, shown: &mut Shown, event: Event) {
    if let Event::Page(transfer) | Event::Plan(transfer) = event {
        shown.page(&host.transfers()[transfer], host.broken());
    }
    show(shown, event, host.broken());
}

fn show(shown: &mut Shown, event: Event, broken: u64) {
    match event {
        Event::Text(text) => shown.text(&text),
        Event::Broken(_) => shown.bar.set_message(format!("{broken} damaged")),
        Event::Plan(_) | Event::Page(_) | Event::Prompt(_) => {}
    }
}

/// Whether this is the last that the boot sends, and nothing of it is missing.
fn is_last(transfer: &Transfer) -> bool {
    transfer.is_whole() && transfer.plan().is_some_and(|plan| plan.index + 1 >= plan.count)
}

/// A name for its file: by number for people, by id so that no two regions share it.
fn name(transfer: &Transfer) -> String {
    let boot = transfer.record().map_or(0, |record| record.boot);
    format!("boot-{boot}-{:08x}.region", transfer.id())
}

/// What came of a transfer, and by name what did not.
fn about(transfer: &Transfer) -> String {
    let id = transfer.id();
    let (there, expected) = transfer.pages();
    let whose = match transfer.record() {
        Some(record) => format!("boot {} (id {id:08x})", record.boot),
        None => format!("a boot with id {id:08x}"),
    };
    let Some(expected) = expected else {
        let why = transfer.error().map_or("its plan never came".into(), |error| error.to_string());
        return format!("{whose}: {there} pages, and {why}");
    };
    let payload = transfer.payload();
    let mut text =
        format!("{whose}: {there} of {expected} pages, {} KiB from {} KiB", there * 4, payload.div_ceil(1024));
    let missing: Vec<_> = transfer.missing().collect();
    for missing in missing.iter().take(NAMED_MAX) {
        text.push_str(&format!("\n  missing: {missing}"));
    }
    if let Some(more) = missing.len().checked_sub(NAMED_MAX + 1) {
        text.push_str(&format!("\n  missing: {} more", more + 1));
    }
    text.push_str(if missing.is_empty() { "\n  whole" } else { "\n  INCOMPLETE" });
    text
}
