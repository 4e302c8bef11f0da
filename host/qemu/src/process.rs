//! Runs a program so that nothing can hang and nothing stays behind: its input is closed, its output is always read, its
//! time is limited, and it dies with us.
//!
//! One thread per program, the keeper, starts it, waits for its end and is the only one that kills it. Two more read what
//! it writes. All others look at the shared [`State`].

use crate::permits::Permit;
use anyhow::{Context, Result, bail};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use std::fmt;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A program that writes more than this is ended: nobody reads that, and memory is finite.
const OUTPUT_MAX: usize = 64 << 20;
/// Of what goes to standard error, this much is kept.
const ERRORS_MAX: usize = 1 << 20;
/// For so long output is gathered before it is looked at.
const TOGETHER: Duration = Duration::from_micros(300);
/// How often an exit is looked for after the output has ended.
const POLL: Duration = Duration::from_millis(1);
/// How long the last output may take once the program is gone.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// By itself: the guest's status, or QEMU's own 1 for a wrong option.
    Exit(i32),
    /// By a signal that did not come from here.
    Signal(i32),
    /// Its time was up, and it was killed.
    TimedOut,
    /// It was killed because the caller wished so, or went away.
    Killed,
    /// It wrote more than 64 MiB, and was killed.
    Flooded,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "ended with exit status {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::TimedOut => f.write_str("did not end in time and was killed"),
            Self::Killed => f.write_str("was killed as its caller wished"),
            Self::Flooded => write!(f, "wrote more than {} MiB and was killed", OUTPUT_MAX >> 20),
        }
    }
}

/// The end of a program.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) status: Status,
    pub(crate) errors: Vec<u8>,
    pub(crate) duration: Duration,
}

/// What is known of a program, at any time.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// All that it wrote to its standard output.
    pub(crate) output: Vec<u8>,
    /// Its end, when all of its output is there.
    pub(crate) ended: Option<Ended>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the keeper is told.
enum Message {
    Kill,
    Flooded,
    /// Of the standard output or the standard error.
    EndOfFile,
}

/// A running program; dropping it kills it and waits until it is gone.
pub(crate) struct Process {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
    messages: Sender<Message>,
}

impl Process {
    /// Starts a program that may run for `limit`. It holds the permit until it is gone.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(mut command: Command, limit: Duration, permit: Option<Permit>) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        die_with_us(&mut command);
        let name = command.get_program().to_string_lossy().into_owned();
        let shared = Arc::<Shared>::default();
        let begin = Instant::now();
        let deadline = begin.checked_add(limit);
        let (messages, received) = channel();
        let (started, start) = channel();
        let (kept, to_keeper) = (shared.clone(), messages.clone());
        // The keeper starts the program, since the program dies with the thread that started it.
        let keeper = thread::spawn(move || {
            let _permit = permit;
            let (child, answer) = match command.spawn() {
                Ok(child) => (Some(child), Ok(())),
                Err(error) => (None, Err(error)),
            };
            // Whoever starts a program waits for this.
            let _ = started.send(answer);
            if let Some(child) = child {
                Keeper { child, open: 2, shared: kept, begin, deadline, received, messages: to_keeper }.keep();
            }
        });
        let answer = start.recv().context("the thread that starts programs is gone")?;
        answer.with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { shared, keeper: Some(keeper), messages })
    }

    /// Looks at the state each time it changes, until `look` finds something or the time is up.
    pub(crate) fn wait_for<T>(&self, until: Option<Instant>, mut look: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let mut state = self.shared.lock();
        loop {
            if let Some(found) = look(&state) {
                return Some(found);
            }
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return None,
                Some(left) => self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Looks at the state now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.lock())
    }

    /// Waits for its end, which the limit makes certain.
    pub(crate) fn wait(&self) -> Ended {
        let ended = self.wait_for(None, |state| state.ended.clone());
        ended.unwrap_or(Ended { status: Status::Killed, errors: Vec::new(), duration: Duration::ZERO })
    }

    /// Kills it, if it still runs, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // Fails only if the keeper is done.
        let _ = self.messages.send(Message::Kill);
        if let Some(keeper) = self.keeper.take() {
            // A keeper that panicked says so itself.
            let _ = keeper.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for a program's end.
struct Keeper {
    child: Child,
    /// Outputs that have not ended.
    open: u32,
    shared: Arc<Shared>,
    begin: Instant,
    deadline: Option<Instant>,
    received: Receiver<Message>,
    messages: Sender<Message>,
}

impl Keeper {
    fn keep(mut self) {
        let errors = Arc::new(Mutex::new(Vec::new()));
        if let Some(stderr) = self.child.stderr.take() {
            let (errors, messages) = (errors.clone(), self.messages.clone());
            thread::spawn(move || read_errors(stderr, &errors, &messages));
        }
        if let Some(stdout) = self.child.stdout.take() {
            let (shared, messages) = (self.shared.clone(), self.messages.clone());
            thread::spawn(move || read_output(stdout, &shared, &messages));
        }
        let status = self.wait();
        let errors = errors.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.shared.lock().ended = Some(Ended { status, errors, duration: self.begin.elapsed() });
        self.shared.changed.notify_all();
    }

    /// Until both outputs end, which is the first sign of an exit; then until the exit.
    fn wait(&mut self) -> Status {
        while self.open > 0 {
            match self.next_message() {
                Ok(Message::EndOfFile) => self.open -= 1,
                Ok(Message::Flooded) => return self.kill(Status::Flooded),
                Err(RecvTimeoutError::Timeout) => return self.kill(Status::TimedOut),
                Ok(Message::Kill) | Err(RecvTimeoutError::Disconnected) => return self.kill(Status::Killed),
            }
        }
        loop {
            match self.child.try_wait() {
                Ok(Some(exit)) => return Status::from(exit),
                Ok(None) => {}
                Err(_) => return self.kill(Status::Killed),
            }
            match self.received.recv_timeout(POLL) {
                Ok(Message::Kill) => return self.kill(Status::Killed),
                _ if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                    return self.kill(Status::TimedOut);
                }
                _ => {}
            }
        }
    }

    fn next_message(&self) -> Result<Message, RecvTimeoutError> {
        match self.deadline {
            Some(deadline) => self.received.recv_timeout(deadline.saturating_duration_since(Instant::now())),
            None => self.received.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Kills it. It may have ended by itself a moment before; then that is what happened.
    fn kill(&mut self, why: Status) -> Status {
        // Fails only if it has been waited for.
        let _ = self.child.kill();
        let exit = self.child.wait();
        let until = Instant::now() + LAST_OUTPUT;
        while self.open > 0 {
            match self.received.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Message::EndOfFile) => self.open -= 1,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        match exit {
            Ok(exit) if exit.signal() != Some(Signal::KILL.as_raw()) => Status::from(exit),
            _ => why,
        }
    }
}

impl From<ExitStatus> for Status {
    fn from(exit: ExitStatus) -> Self {
        match exit.code() {
            Some(code) => Self::Exit(code),
            None => Self::Signal(exit.signal().unwrap_or_default()),
        }
    }
}

fn read_output(mut from: impl Read, shared: &Shared, messages: &Sender<Message>) {
    let mut chunk = vec![0; 1 << 16];
    // To the end even if it is too much: a writer whose pipe is closed would die of that, and not because of the keeper.
    while let Some(size) = read_some(&mut from, &mut chunk) {
        let mut state = shared.lock();
        let room = OUTPUT_MAX - state.output.len();
        state.output.extend(&chunk[..size.min(room)]);
        drop(state);
        shared.changed.notify_all();
        // A guest's console comes byte by byte, and each wakes whoever reads: better a few at a time.
        thread::sleep(TOGETHER);
        if size > room {
            // Fails only if the keeper is done.
            let _ = messages.send(Message::Flooded);
        }
    }
    let _ = messages.send(Message::EndOfFile);
}

fn read_errors(mut from: impl Read, errors: &Mutex<Vec<u8>>, messages: &Sender<Message>) {
    let mut chunk = vec![0; 1 << 12];
    while let Some(size) = read_some(&mut from, &mut chunk) {
        let mut errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
        let room = ERRORS_MAX - errors.len();
        errors.extend(&chunk[..size.min(room)]);
    }
    let _ = messages.send(Message::EndOfFile);
}

/// The size of the next piece; None at the end.
fn read_some(from: &mut impl Read, chunk: &mut [u8]) -> Option<usize> {
    loop {
        match from.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) | Ok(0) => return None,
            Ok(size) => return Some(size),
        }
    }
}

/// The program gets SIGKILL when the thread that starts it ends, for whatever reason: a killed test leaves no QEMU behind.
fn die_with_us(command: &mut Command) {
    let us = getpid();
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // We may have died before that.
        if getppid() == Some(us) { Ok(()) } else { Err(io::Error::from(rustix::io::Errno::CHILD)) }
    };
    // SAFETY: runs in the child between fork and exec. It makes two system calls, touches no lock and allocates nothing
    // (an `io::Error` of an error number is two words).
    unsafe { command.pre_exec(prepare) };
}

/// Runs a short helper program to its end.
///
/// # Errors
/// It cannot be started, does not end in 20 seconds, or fails; the error holds what it said.
pub(crate) fn output(command: Command) -> Result<Vec<u8>> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = crate::words::quoted(words);
    let process = Process::start(command, Duration::from_secs(20), None)?;
    let ended = process.wait();
    if ended.status != Status::Exit(0) {
        bail!("{line}\n{}: {}", ended.status, String::from_utf8_lossy(&ended.errors).trim());
    }
    Ok(process.look(|state| state.output.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn shell(script: &str, limit: Duration) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start(command, limit, None).unwrap()
    }

    #[test]
    fn every_way_to_end_has_its_own_status() {
        let short = Duration::from_millis(200);
        let cases = [
            ("exit 5", PATIENCE, Status::Exit(5)),
            ("kill -TERM $$", PATIENCE, Status::Signal(15)),
            ("exec sleep 1000", short, Status::TimedOut),
            ("exec >&- 2>&-; exec sleep 1000", short, Status::TimedOut),
            ("exec yes", PATIENCE, Status::Flooded),
            ("exec cat", PATIENCE, Status::Exit(0)),
            // Somebody else holds the output open: what ended, ended.
            ("sleep 3 & exit 6", short, Status::Exit(6)),
        ];
        for (script, limit, status) in cases {
            assert_eq!(shell(script, limit).wait().status, status, "{script}");
        }
    }

    #[test]
    fn all_output_is_there_at_the_end() {
        let process = shell("echo out; echo err >&2; printf no-newline", PATIENCE);
        assert_eq!(process.wait().errors, b"err\n");
        assert_eq!(process.look(|state| state.output.clone()), b"out\nno-newline");
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = shell("echo $$; exec sleep 1000", PATIENCE);
        let line = process.wait_for(None, |state| state.output.ends_with(b"\n").then(|| state.output.clone())).unwrap();
        let pid = String::from_utf8(line).unwrap();
        let entry = std::path::Path::new("/proc").join(pid.trim());
        assert!(entry.exists());
        drop(process);
        assert!(!entry.exists());
    }

    #[test]
    fn what_cannot_be_started_is_an_error() {
        let error = Process::start(Command::new("/no/such/program"), PATIENCE, None).err().unwrap();
        assert_eq!(error.to_string(), "/no/such/program cannot be started");
    }
}
