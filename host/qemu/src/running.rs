//! A machine that runs: what it prints as it prints it, and its end.

use crate::losing::{self, Losses};
use crate::machine::{Machine, losses_socket, qmp_socket, trace_log};
use crate::permits;
use crate::process::{Process, State, Status};
use crate::qmp::Qmp;
use crate::ram::Ram;
use anyhow::{Context, Result, bail};
use cachesim::report::Reset;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Of a console, errors show this much of its end.
const SHOWN: usize = 2000;

/// How a run ended, and what it said.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// The console, with what is no UTF-8 replaced.
    pub console: String,
    /// The console as the guest wrote it.
    pub bytes: Vec<u8>,
    /// What QEMU itself said.
    pub errors: String,
    /// The trace events that were asked for by [`Machine::trace`].
    pub trace: String,
    /// From QEMU's start to its end.
    pub duration: Duration,
    /// What repeats the run by hand.
    pub command_line: String,
}

impl Outcome {
    /// Itself, if the guest ended with this exit status.
    ///
    /// # Errors
    /// It ended otherwise; the error says how, shows the end of the console, and names the command line.
    pub fn expect_exit(&self, code: i32) -> Result<&Self> {
        if self.status != Status::Exit(code) {
            bail!("QEMU {}, and exit status {code} was expected\n{}", self.status, self.story());
        }
        Ok(self)
    }

    /// The end of the console, what QEMU said, and the command line: for messages about a run that went wrong.
    #[must_use]
    pub fn story(&self) -> String {
        story(&self.bytes, &self.errors, &self.command_line)
    }
}

fn story(console: &[u8], errors: &str, command_line: &str) -> String {
    let from = console.len().saturating_sub(SHOWN);
    let cut = if from > 0 { "..." } else { "" };
    let errors = if errors.is_empty() { String::new() } else { format!("--- QEMU said\n{}\n", errors.trim_end()) };
    let end = String::from_utf8_lossy(&console[from..]);
    format!("--- console\n{cut}{}\n{errors}--- to repeat it\n{command_line}", end.trim_end())
}

/// A machine that runs. Dropping it kills it.
pub struct Running {
    process: Process,
    machine: Machine,
    command_line: String,
    directory: TempDir,
    /// How much of the console [`Running::expect`] and the like have consumed.
    consumed: usize,
    qmp: Option<Qmp>,
    losses: Option<Losses>,
}

pub(crate) fn start(machine: &Machine, limit: Duration) -> Result<Running> {
    let directory = tempfile::Builder::new().prefix("afterglow-").tempdir();
    let directory = directory.context("no temporary directory can be made: free some space, or set TMPDIR")?;
    let qemu = machine.qemu()?;
    let arguments = machine.arguments(Some(directory.path()))?;
    let losses = match &machine.losing {
        Some(_) => Some(Losses::listen(losses_socket(directory.path()))?),
        None => None,
    };
    let command_line = machine.command_line()?;
    let mut command = Command::new(qemu.path());
    command.args(arguments);
    let permit = permits::acquire();
    let process = Process::start(command, limit, Some(permit)).with_context(|| command_line.clone())?;
    Ok(Running { process, machine: machine.clone(), command_line, directory, consumed: 0, qmp: None, losses })
}

impl Running {
    /// Waits until the console shows this, and returns what it showed up to and with it since the last such call.
    ///
    /// # Errors
    /// It does not come in time, or the machine ends without it.
    pub fn expect(&mut self, text: &str, timeout: Duration) -> Result<String> {
        let mut searched = self.consumed;
        let found = self.look_for(timeout, |state| {
            let from = searched;
            searched = state.output.len().saturating_sub(text.len()).max(searched);
            let at = state.output[from..].windows(text.len().max(1)).position(|window| window == text.as_bytes())?;
            Some(from + at + text.len())
        });
        match found {
            Some(found) => Ok(found),
            None => bail!("{text:?} did not come: {}", self.why_not()),
        }
    }

    /// Waits for a whole line of which `is_it` is true, and returns it; lines before it are passed over.
    ///
    /// # Errors
    /// It does not come in time, or the machine ends without it.
    pub fn expect_line(&mut self, is_it: impl Fn(&str) -> bool, timeout: Duration) -> Result<String> {
        let deadline = Instant::now() + timeout;
        while let Some(line) = self.line(deadline.saturating_duration_since(Instant::now())) {
            if is_it(&line) {
                return Ok(line);
            }
        }
        bail!("the expected line did not come: {}", self.why_not())
    }

    /// The next whole line, without its end. The last one may have none.
    ///
    /// None: there is no such line in time, or the machine has ended.
    pub fn line(&mut self, timeout: Duration) -> Option<String> {
        let from = self.consumed;
        let line = self.look_for(timeout, |state| {
            let rest = &state.output[from..];
            let end = rest.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
            end.or_else(|| (state.ended.is_some() && !rest.is_empty()).then_some(rest.len())).map(|end| from + end)
        })?;
        Some(line.trim_end_matches(['\n', '\r']).to_owned())
    }

    /// The lines to come, until the machine ends.
    pub fn lines(&mut self) -> impl Iterator<Item = String> {
        std::iter::from_fn(|| self.line(Duration::MAX))
    }

    /// Waits until there is more on the console, and returns all of it.
    ///
    /// None: the machine has ended, and everything was returned.
    pub fn bytes(&mut self) -> Option<Vec<u8>> {
        let from = self.consumed;
        let bytes = self.process.wait_for(None, |state| {
            let rest = &state.output[from..];
            (!rest.is_empty() || state.ended.is_some()).then(|| rest.to_vec())
        })?;
        self.consumed += bytes.len();
        (!bytes.is_empty()).then_some(bytes)
    }

    /// The machine's RAM, if it was given by [`Machine::ram`].
    #[must_use]
    pub fn ram(&self) -> Option<&Ram> {
        self.machine.ram.as_deref()
    }

    /// The connection to QEMU.
    ///
    /// # Errors
    /// [`Machine::qmp`] was not called, or QEMU does not answer.
    pub fn qmp(&mut self) -> Result<&mut Qmp> {
        if !self.machine.qmp {
            bail!("the machine has no QMP socket: call Machine::qmp() when it is made");
        }
        if self.qmp.is_none() {
            let connected = Qmp::connect(&qmp_socket(self.directory.path()));
            self.qmp = Some(connected.map_err(|error| error.context(self.why_not()))?);
        }
        self.qmp.as_mut().context("there is no connection")
    }

    /// Waits for the next reset of a machine that loses ([`Machine::losing`]); None: it has ended without another. Returns what
    /// the console showed up to the reset, since the one before, too.
    ///
    /// # Errors
    /// The machine was not made to lose, or does not reset in time.
    pub fn next_reset(&mut self, timeout: Duration) -> Result<Option<(Reset, String)>> {
        let Some(losses) = &mut self.losses else {
            bail!("the machine does not lose: call Machine::losing when it is made")
        };
        let reset = losses.next(timeout).map_err(|error| error.context(self.why_not()))?;
        let Some(reset) = reset else { return Ok(None) };
        let mark = losing::mark(reset.number);
        let mut told = self.expect(&mark, timeout)?;
        told.truncate(told.len() - mark.len());
        Ok(Some((reset, told)))
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.look(|state| state.ended.is_none())
    }

    /// What repeats the run by hand.
    #[must_use]
    pub fn command_line(&self) -> &str {
        &self.command_line
    }

    /// Kills it, as a power cut would; what was on the console is in the outcome.
    ///
    /// # Errors
    /// The trace cannot be read.
    pub fn kill(mut self) -> Result<Outcome> {
        self.process.kill();
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The trace cannot be read.
    pub fn wait(self) -> Result<Outcome> {
        let ended = self.process.wait();
        let bytes = self.process.look(|state| state.output.clone());
        let log = trace_log(self.directory.path());
        let trace = if log.exists() { fs::read(&log).context("QEMU's trace cannot be read")? } else { Vec::new() };
        Ok(Outcome {
            status: ended.status,
            console: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
            errors: String::from_utf8_lossy(&ended.errors).into_owned(),
            trace: String::from_utf8_lossy(&trace).into_owned(),
            duration: ended.duration,
            command_line: self.command_line,
        })
    }

    /// Waits until `find` says where in the whole output something ends, and consumes up to there.
    fn look_for(&mut self, timeout: Duration, mut find: impl FnMut(&State) -> Option<usize>) -> Option<String> {
        let until = Instant::now().checked_add(timeout);
        let from = self.consumed;
        let found = self.process.wait_for(until, |state| match find(state) {
            Some(end) => Some(Some((end, String::from_utf8_lossy(&state.output[from..end]).into_owned()))),
            None => state.ended.is_some().then_some(None),
        });
        let (end, text) = found??;
        self.consumed = end;
        Some(text)
    }

    /// What became of the machine, in words, with the command line.
    fn why_not(&self) -> String {
        self.process.look(|state| {
            let (end, errors) = match &state.ended {
                Some(ended) => (format!("QEMU {}", ended.status), String::from_utf8_lossy(&ended.errors).into_owned()),
                None => ("QEMU still runs".to_owned(), String::new()),
            };
            format!("{end}\n{}", story(&state.output, &errors, &self.command_line))
        })
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("command_line", &self.command_line).finish_non_exhaustive()
    }
}
