//! LTTng-UST in snapshot mode, where it is installed: a flight recorder in shared memory, for user programs.
//!
//! A small C program with a tracepoint for each size is compiled on the spot. It waits for "so many events of this size" and
//! answers with its own measure, so that its batches take turns with everybody else's. The session daemon is started for
//! this alone and ended by its process id; one that already runs is used and left as it is. Nothing waits without end.

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What to do about it when it is missing.
const NOT_INSTALLED: &str = "not installed (apt install liblttng-ust-dev lttng-tools)";
/// How long a command, a batch or the end of a process may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often something that is waited for is looked at.
const POLL: Duration = Duration::from_millis(5);

const PROVIDER: &str = include_str!("../lttng/provider.h");
const PROGRAM: &str = include_str!("../lttng/measure.c");

/// A session that records, and the program that records into it.
#[derive(Debug)]
pub(crate) struct Session {
    // Dropped in this order: the program, the session, its daemon, the directory.
    recorder: Recorder,
    _session: Destroyed,
    _daemon: Ended,
    _directory: TempDir,
}

impl Session {
    /// Builds and starts everything; in words, why that is not possible.
    pub(crate) fn start() -> Result<Self, String> {
        let there = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
        if !["lttng", "lttng-sessiond", "cc"].into_iter().all(there) {
            return Err(NOT_INSTALLED.into());
        }
        let directory = TempDir::new().map_err(|error| format!("no temporary directory: {error}"))?;
        match compile(directory.path()) {
            Ok(()) => {}
            Err(Compile::NoHeaders) => return Err(NOT_INSTALLED.into()),
            Err(Compile::Failed(error)) => return Err(format!("does not compile: {error:#}")),
        }
        Self::record_in(directory).map_err(|error| format!("does not start: {error:#}"))
    }

    fn record_in(directory: TempDir) -> Result<Self> {
        let home = directory.path();
        let daemon = start_daemon(home)?;
        let session = Destroyed { name: format!("afterglow-bench-{}", std::process::id()), home: home.into() };
        let name = session.name.as_str();
        let output = format!("--output={}", home.join("traces").display());
        // Four sub-buffers of 256 KiB are 1 MiB for each processor.
        let channel = ["--overwrite", "--subbuf-size=256K", "--num-subbuf=4", "ring"];
        lttng(home, ["create", name, "--snapshot", &output])?;
        lttng(home, ["enable-channel", "--userspace", "--session", name].into_iter().chain(channel))?;
        lttng(home, ["enable-event", "--userspace", "--session", name, "--channel=ring", "afterglow_bench:*"])?;
        lttng(home, ["start", name])?;
        let recorder = Recorder::start(home)?;
        Ok(Self { recorder, _session: session, _daemon: daemon, _directory: directory })
    }

    /// Records so many events with so many bytes of payload; returns what that took.
    pub(crate) fn record(&mut self, bytes: usize, events: u64) -> Result<Duration> {
        self.recorder.record(bytes, events)
    }
}

enum Compile {
    NoHeaders,
    Failed(anyhow::Error),
}

fn compile(directory: &Path) -> Result<(), Compile> {
    let probe = "#include <lttng/tracepoint.h>\nint main(void) { return 0; }\n";
    let written = [("probe.c", probe), ("provider.h", PROVIDER), ("measure.c", PROGRAM)]
        .into_iter()
        .try_for_each(|(name, text)| fs::write(directory.join(name), text));
    written.map_err(|error| Compile::Failed(error.into()))?;
    let cc = |source: &str, program: &str| {
        let mut cc = Command::new("cc");
        cc.args(["-O3", "-I.", source, "-o", program, "-llttng-ust", "-ldl"]).current_dir(directory);
        bounded(cc)
    };
    cc("probe.c", "probe").map_err(|_| Compile::NoHeaders)?;
    cc("measure.c", "measure").map_err(Compile::Failed)
}

fn start_daemon(home: &Path) -> Result<Ended> {
    let mut command = Command::new("lttng-sessiond");
    command.args(["--no-kernel", "--quiet"]).env("LTTNG_HOME", home);
    let mut daemon = Ended::start(quiet(command))?;
    let start = Instant::now();
    // A daemon that was there before ours answers in its place; ours then ends by itself.
    while let Err(error) = lttng(home, ["list"]) {
        let gone = daemon.0.try_wait()?.map(|status| anyhow!("lttng-sessiond ended: {status}"));
        ensure!(start.elapsed() < PATIENCE && gone.is_none(), gone.unwrap_or(error));
        sleep(POLL);
    }
    Ok(daemon)
}

fn lttng<'a>(home: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut command = Command::new("lttng");
    command.arg("--no-sessiond").args(arguments).env("LTTNG_HOME", home);
    bounded(command)
}

fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs a command to its end, or ends it. What it said goes into the error.
fn bounded(command: Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut words = tempfile::tempfile()?;
    let mut command = quiet(command);
    command.stderr(words.try_clone()?);
    let mut child = Ended::start(command)?;
    let status = child.wait(PATIENCE)?.ok_or_else(|| anyhow!("{name} does not end"))?;
    if !status.success() {
        let mut said = String::new();
        words.rewind()?;
        words.read_to_string(&mut said)?;
        bail!("{name}: {status}: {}", said.lines().last().unwrap_or_default());
    }
    Ok(())
}

/// A process that does not outlive this: asked to end first, killed if it does not. It is asked to end as well when this
/// process is gone, however that ended.
#[derive(Debug)]
struct Ended(Child);

impl Ended {
    fn start(mut command: Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        // SAFETY: between fork and exec only one system call is made, which allocates nothing and takes no lock.
        unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?)) };
        Ok(Self(command.spawn().context(name)?))
    }
    /// Its status, unless it takes longer than this.
    fn wait(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            match self.0.try_wait()? {
                None if start.elapsed() < patience => sleep(POLL),
                status => return Ok(status),
            }
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            if let Some(pid) = Pid::from_raw(self.0.id().cast_signed()) {
                let _ = kill_process(pid, Signal::TERM);
            }
            if !matches!(self.wait(PATIENCE), Ok(Some(_))) {
                let _ = self.0.kill();
                let _ = self.0.wait();
            }
        }
    }
}

/// A session that is destroyed in the end.
#[derive(Debug)]
struct Destroyed {
    name: String,
    home: PathBuf,
}

impl Drop for Destroyed {
    fn drop(&mut self) {
        // The daemon may be gone; then so is the session.
        let _ = lttng(&self.home, ["destroy", &self.name]);
    }
}

/// The program that records.
#[derive(Debug)]
struct Recorder {
    orders: ChildStdin,
    answers: Receiver<String>,
    _program: Ended,
}

impl Recorder {
    fn start(home: &Path) -> Result<Self> {
        let program = home.join("measure");
        // Its first event must find the session: it waits for the daemon before `main`, but not without end.
        let mut command = Command::new(program);
        command.env("LTTNG_HOME", home).env("LTTNG_UST_REGISTER_TIMEOUT", PATIENCE.as_millis().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut program = Ended::start(command)?;
        let (Some(orders), Some(output)) = (program.0.stdin.take(), program.0.stdout.take()) else {
            bail!("the program that records has no pipes");
        };
        let (sender, answers) = channel();
        spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut recorder = Self { orders, answers, _program: program };
        recorder.record(8, 1)?;
        Ok(recorder)
    }

    fn record(&mut self, bytes: usize, events: u64) -> Result<Duration> {
        writeln!(self.orders, "{bytes} {events}").context("the program that records is gone")?;
        let answer = self.answers.recv_timeout(PATIENCE).context("the program that records does not answer")?;
        let ns = answer.parse().map_err(|_| anyhow!("LTTng's event of {bytes} bytes: {answer}"))?;
        Ok(Duration::from_nanos(ns))
    }
}
