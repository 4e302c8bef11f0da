//! Talks to a running QEMU from outside (QEMU Machine Protocol): resets it as a button would, ends it, asks it things.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long QEMU may take for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a socket that is not there yet is looked for.
const POLL: Duration = Duration::from_millis(2);

/// A connection.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
    line: Vec<u8>,
    events: VecDeque<Value>,
}

impl Qmp {
    /// Connects to QEMU's socket, which may not be there yet.
    pub(crate) fn connect(path: &Path) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                    ensure!(Instant::now() < deadline, "QEMU does not open its QMP socket");
                    std::thread::sleep(POLL);
                }
                Err(error) => {
                    return Err(error).context("QEMU's QMP socket cannot be opened: is TMPDIR too long a path?");
                }
            }
        };
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut qmp = Self { stream: BufReader::new(stream), line: Vec::new(), events: VecDeque::new() };
        let greeting = qmp.message(deadline)?;
        ensure!(greeting.get("QMP").is_some(), "QEMU greets with {greeting}");
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Gives a command, and returns what it answers.
    ///
    /// # Errors
    /// QEMU refuses it, is gone, or does not answer in 20 seconds.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes()).context("QEMU is gone")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut message = self.message(deadline)?;
            if let Some(answer) = message.get_mut("return") {
                return Ok(answer.take());
            }
            if let Some(error) = message.get("error") {
                bail!("QEMU refuses {command}: {error}");
            }
            self.events.push_back(message);
        }
    }

    /// Resets the machine, as its button would: nobody in the guest is asked.
    ///
    /// # Errors
    /// As [`Qmp::execute`].
    pub fn system_reset(&mut self) -> Result<()> {
        self.execute("system_reset", json!({})).map(drop)
    }

    /// Ends QEMU, with exit status 0.
    ///
    /// # Errors
    /// As [`Qmp::execute`].
    pub fn quit(&mut self) -> Result<()> {
        self.execute("quit", json!({})).map(drop)
    }

    /// Waits for an event of this name, such as `RESET`, and returns it; others before it are forgotten.
    ///
    /// # Errors
    /// It does not come in time.
    pub fn event(&mut self, name: &str, timeout: Duration) -> Result<Value> {
        let deadline = Instant::now() + timeout;
        loop {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => self.message(deadline).with_context(|| format!("while waiting for the event {name}"))?,
            };
            if event.get("event").and_then(Value::as_str) == Some(name) {
                return Ok(event);
            }
        }
    }

    /// The next line.
    fn message(&mut self, deadline: Instant) -> Result<Value> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "QEMU does not answer on its QMP socket");
            self.stream.get_ref().set_read_timeout(Some(left))?;
            match self.stream.read_until(b'\n', &mut self.line) {
                Ok(_) if self.line.last() == Some(&b'\n') => {
                    let message = serde_json::from_slice(&self.line).context("QEMU's answer is not JSON");
                    self.line.clear();
                    return message;
                }
                Ok(_) => bail!("QEMU closed its QMP socket"),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                }
                Err(error) => return Err(error).context("QEMU's QMP socket cannot be read"),
            }
        }
    }
}
