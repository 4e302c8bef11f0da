//! `afterglow push`: a kernel goes over a serial line to the loader that waits on the board.

use crate::inputs;
use crate::progress;
use crate::terminal::Filter;
use anyhow::{Context, Result, anyhow, bail};
use campaign::serial::port::{Port, Read};
use clap::Args;
use indicatif::ProgressBar;
use push::{Pusher, State, line_bytes, meaning};
use qemu::Image;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wire::push::Verdict;

/// How long the line is listened to at once.
const SLICE: Duration = Duration::from_millis(20);
/// Longest that the line may take a piece of what is sent.
const WRITE_MAX: Duration = Duration::from_millis(500);
/// Bytes that are written before the line is listened to again.
const PIECE: usize = 1024;
/// A loader that has answered and says nothing any more is given up after so long. What it asks for at once takes 42 s at 9600 baud.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Bits of a byte on the line: a start bit, eight, a stop bit.
const BITS: u64 = 10;

/// Sends a kernel over a serial line to the loader on the board, which checks it, keeps it over warm resets, and starts it.
///
/// The loader must be on the board's card in the kernel's place. What an earlier push left there of the same kernel is not
/// sent again. The status is 0 once the loader has all of it, 1 where it refuses it, 125 if it is no
/// kernel, nobody answers or the line fails.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The serial line: /dev/ttyUSB0, a pty
    device: PathBuf,

    /// The kernel: an ELF file or an arm64 Image
    kernel: PathBuf,

    /// Words behind the kernel's command line; kept with the kernel
    #[arg(long, default_value = "", value_name = "WORDS")]
    append: String,

    /// Speed of the line
    #[arg(long, default_value_t = 115_200)]
    baud: u32,

    /// Seconds to wait for a loader
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    time: u64,

    /// Shows the console afterwards, until Ctrl-C or until the line is gone
    #[arg(long)]
    watch: bool,
}

impl Push {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let image = Image::load(&self.kernel)?;
        let name = inputs::shown(&self.kernel);
        let mut pusher = Pusher::new(image.bytes().to_vec(), &self.append)
            .map_err(|why| anyhow!("{name} cannot be pushed: {why}"))?;
        if !is_character_device(&self.device)? {
            bail!("{} is no serial line: name one, such as /dev/ttyUSB0", inputs::shown(&self.device));
        }
        let mut port = Port::open_to_talk(&self.device, self.baud)?;
        let stop = Arc::new(AtomicBool::new(false));
        let on_signal = stop.clone();
        ctrlc::set_handler(move || on_signal.store(true, Ordering::Relaxed)).context("Ctrl-C cannot be caught")?;

        let bytes = line_bytes(image.bytes(), &self.append);
        eprintln!(
            "{name}: {} bytes (check {:08x}), {bytes} on the line: {:.1} s at {} baud",
            image.file_size(),
            pusher.check(),
            (bytes * BITS) as f64 / f64::from(self.baud.max(1)),
            self.baud
        );
        let mut shown = Shown::new();
        let begin = Instant::now();
        let verdict = self.talk(&mut pusher, &mut port, &mut shown, &stop);
        shown.bar.finish_and_clear();
        let verdict = verdict?;
        if verdict != Verdict::Whole {
            eprintln!("afterglow: the loader refuses it: {}", meaning(verdict));
            return Ok(ExitCode::from(1));
        }
        let (kib, had) = (kib(pusher.size()), kib(pusher.resumed()));
        let rest = if had > 0 { ", the loader had the rest" } else { "" };
        eprintln!("pushed in {:.1} s: {} of {kib} KiB were sent{rest}", begin.elapsed().as_secs_f32(), kib - had);
        if self.watch {
            watch(&mut port, &mut shown, &stop);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Until the loader has said what it thinks.
    fn talk(&self, pusher: &mut Pusher, port: &mut Port, shown: &mut Shown, stop: &AtomicBool) -> Result<Verdict> {
        let begin = Instant::now();
        let now = || begin.elapsed().as_millis() as u64 + 1;
        let mut buffer = vec![0; 4096];
        let mut out = Vec::new();
        loop {
            if stop.load(Ordering::Relaxed) {
                bail!("stopped: the loader keeps what it has, push again to go on");
            }
            out.extend(pusher.output(now()));
            let wait = if out.is_empty() { SLICE } else { Duration::ZERO };
            match port.read(&mut buffer, wait) {
                Read::Bytes(count) => shown.text(&pusher.feed(&buffer[..count], now())),
                Read::Nothing => {}
                Read::Gone(why) => bail!("the serial line is gone: {why}"),
            }
            let piece = out.len().min(PIECE);
            if piece > 0 {
                let sent = port.write(&out[..piece], WRITE_MAX);
                out.drain(..sent);
                pusher.sent(now());
            }
            shown.progress(pusher, pusher.pending() + out.len());
            match pusher.state() {
                State::Done(verdict) => {
                    out.extend(pusher.output(now()));
                    port.write(&out, WRITE_MAX);
                    return Ok(verdict);
                }
                State::OtherVersion(version) => bail!(
                    "the loader speaks version {version} of the protocol, this command {}: put a loader of this build on the card",
                    wire::push::VERSION
                ),
                State::Knocking if begin.elapsed() >= Duration::from_secs(self.time) => bail!(
                    "no loader has answered for {} s: reset the board; is the loader on its card (make image LOADER=1), is {} \
                     the right line, is {} baud its speed?",
                    self.time,
                    inputs::shown(&self.device),
                    self.baud
                ),
                State::Sending if now().saturating_sub(pusher.heard()) >= SILENCE_MAX.as_millis() as u64 => bail!(
                    "the loader has said nothing for {} s: reset the board and push again, it keeps what it has",
                    SILENCE_MAX.as_secs()
                ),
                State::Knocking | State::Sending => {}
            }
        }
    }
}

/// Shows the console.
fn watch(port: &mut Port, shown: &mut Shown, stop: &AtomicBool) {
    let mut buffer = vec![0; 4096];
    while !stop.load(Ordering::Relaxed) && !shown.is_deaf {
        match port.read(&mut buffer, Duration::from_millis(200)) {
            Read::Bytes(count) => shown.text(&buffer[..count]),
            Read::Nothing => {}
            Read::Gone(_) => break,
        }
    }
}

fn kib(bytes: u64) -> u64 {
    bytes.div_ceil(1024)
}

fn is_character_device(path: &Path) -> Result<bool> {
    use std::os::unix::fs::FileTypeExt;
    let name = inputs::shown(path);
    let kind = std::fs::metadata(path).with_context(|| format!("{name} cannot be opened"))?.file_type();
    Ok(kind.is_char_device())
}

/// What is shown while it goes on.
struct Shown {
    filter: Filter,
    bar: ProgressBar,
    /// Whether it was told what an earlier push left.
    has_begun: bool,
    /// Of what is on its way, bytes for the line in all.
    on_its_way: usize,
    is_deaf: bool,
}

impl Shown {
    fn new() -> Self {
        let bar = progress::bar(None, "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
        Self { filter: Filter::default(), bar, has_begun: false, on_its_way: 0, is_deaf: false }
    }

    fn text(&mut self, bytes: &[u8]) {
        let text = self.filter.pass(bytes);
        if !text.is_empty() {
            let mut out = std::io::stdout();
            self.is_deaf |= self.bar.suspend(|| out.write_all(text.as_bytes()).and_then(|()| out.flush())).is_err();
        }
    }

    /// So many bytes for the line are still to be written.
    fn progress(&mut self, pusher: &Pusher, rest: usize) {
        let Some((there, asked)) = pusher.progress() else { return };
        self.on_its_way = if rest == 0 { 0 } else { self.on_its_way.max(rest) };
        let written = asked - (asked * rest as u64).checked_div(self.on_its_way as u64).unwrap_or(0);
        self.bar.set_length(pusher.size());
        self.bar.set_position((there + written).min(pusher.size()));
        if !self.has_begun {
            self.has_begun = true;
            let had = pusher.resumed();
            if had > 0 {
                let line = format!("it goes on: the loader has {} of {} KiB", kib(had), kib(pusher.size()));
                self.bar.suspend(|| eprintln!("{line}"));
            }
            // What was there already tells nothing of the line's rate.
            self.bar.reset_eta();
        }
    }
}
