//! The loader in QEMU, on a serial line that stays open as an adapter's cable does, and `afterglow push` at its other end.

use qemu::{Machine, Running, workspace};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::json;
use std::fs::File;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;
use wire::frame::{self, FRAME_MAX, Frame, Read, Reader, body};
use wire::push::{Model, Persist, STORE_SIZE, Store};

/// Bounds what hangs; no test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// A kernel that switches off only stops the machine: with QEMU's end the line would lose what nobody had read.
const STAYS: [&str; 4] = ["-S", "-no-shutdown", "-semihosting-config", "enable=off"];

/// A board with the loader.
pub(crate) struct Board {
    running: Running,
    pub(crate) line: String,
    /// The line, held open by somebody who says nothing. Without it QEMU would look only once a second whether anybody is there.
    held: File,
    _alone: MutexGuard<'static, ()>,
}

/// A line is no faster than QEMU's threads take turns, and a loader that waits for it spins: one board at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// A store is only looked at.
struct Nowhere;

impl Persist for Nowhere {
    fn persist(&mut self, _: &[u8], _: usize, _: usize) {}
}

impl Board {
    /// The loader on this machine; its cores stand still at first.
    pub(crate) fn new(machine: Machine) -> Self {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let ram = machine.make_ram().unwrap();
        let machine = machine.kernel(workspace::loader().unwrap()).ram(&ram).serial("pty").qmp().extra(STAYS);
        let mut running = machine.start(PATIENCE).unwrap();
        let said = running.expect_line(|line| line.contains("/dev/pts/"), PATIENCE).unwrap();
        let line = said.split(' ').find(|word| word.starts_with("/dev/pts/")).unwrap().to_owned();
        let held = hold(&line);
        Self { running, line, held, _alone }
    }

    /// The same, at work.
    pub(crate) fn started(machine: Machine) -> Self {
        let mut board = Self::new(machine);
        board.go();
        board
    }

    pub(crate) fn go(&mut self) {
        self.running.qmp().unwrap().execute("cont", json!({})).unwrap();
    }

    fn stop(&mut self) {
        self.running.qmp().unwrap().execute("stop", json!({})).unwrap();
    }

    /// Its reset button; the cores stand still.
    pub(crate) fn reset(&mut self) {
        self.stop();
        self.running.qmp().unwrap().system_reset().unwrap();
    }

    /// Begins to push a kernel.
    pub(crate) fn push(&self, kernel: &Path, options: &[&str]) -> Pushing {
        Pushing::start(&self.line, kernel, options)
    }

    /// Lets a push go on until the loader has so many hundredths of the kernel, and ends the command then. Returns the chunks that
    /// the loader has; the machine runs.
    pub(crate) fn cut(&mut self, mut pushing: Pushing, hundredths: u32) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline && pushing.is_running(), "{}", pushing.said());
            match self.store() {
                Some(store) if store.there * 100 >= store.chunks * hundredths => break,
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        // Whatever the host is busy with, the push does not get further.
        self.stop();
        pushing.kill();
        let store = self.store().unwrap();
        assert!(store.there < store.chunks);
        self.go();
        store.there
    }

    /// What a loader would find in RAM if it were started now.
    pub(crate) fn store(&self) -> Option<Stored> {
        let ram = self.running.ram().unwrap();
        let mut places = (ram.base()..ram.base() + ram.size()).step_by(2 << 20);
        let address = places.find(|at| ram.read_range(*at, 6).is_ok_and(|bytes| bytes == b"AGPUSH"))?;
        let mut memory: Box<[u8; STORE_SIZE]> =
            ram.read_range(address, STORE_SIZE).unwrap().into_boxed_slice().try_into().unwrap();
        let mut model = Box::<Model>::default();
        let store = Store::open(&mut memory, &mut model, Nowhere);
        let chunks = store.chunks();
        let present = (0..chunks).filter(|index| store.has(*index)).collect::<Vec<_>>();
        (chunks > 0).then_some(Stored { address, there: present.len() as u32, chunks, present })
    }

    /// Turns a bit in RAM over.
    pub(crate) fn flip(&self, address: u64) {
        let ram = self.running.ram().unwrap();
        let byte = ram.read_range(address, 1).unwrap()[0];
        ram.write(address, &[byte ^ 4]).unwrap();
    }

    /// Waits, as somebody with a terminal does, until this is on the line.
    pub(crate) fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in {}", String::from_utf8_lossy(&seen));
            let soon = Timespec { tv_sec: 1, tv_nsec: 0 };
            if poll(&mut [PollFd::new(&self.held, PollFlags::IN)], Some(&soon)).unwrap() > 0 {
                let mut bytes = [0; 256];
                let count = self.held.read(&mut bytes).unwrap();
                seen.extend(&bytes[..count]);
            }
        }
    }
}

/// What is in a loader's store.
pub(crate) struct Stored {
    pub(crate) address: u64,
    pub(crate) there: u32,
    pub(crate) chunks: u32,
    /// The numbers of the chunks that are there.
    pub(crate) present: Vec<u32>,
}

/// A command that runs; it does not outlive its test.
pub(crate) struct Pushing {
    child: Child,
    /// All that it says.
    said: NamedTempFile,
}

impl Pushing {
    pub(crate) fn start(line: &str, kernel: &Path, options: &[&str]) -> Self {
        let said = NamedTempFile::new().unwrap();
        // One position for both, so that what is said stands in its order.
        let [out, error] = [(); 2].map(|()| said.as_file().try_clone().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_afterglow"))
            .args(["push".as_ref(), line.as_ref(), kernel.as_os_str()])
            .args(options)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(error)
            .spawn()
            .unwrap();
        Self { child, said }
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it as a closed laptop would: without a word to the loader.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has said this, and ends it with Ctrl-C.
    pub(crate) fn end_after(mut self, text: &str) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        while self.is_running() && !self.said().contains(text) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        if self.is_running() {
            kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        }
        self.end()
    }

    /// Its status and all that it said, once it has ended.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        while self.is_running() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        (self.child.try_wait().unwrap().and_then(|status| status.code()), self.said())
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.said.path()).unwrap()).into_owned()
    }
}

impl Drop for Pushing {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A serial line without a board.
pub(crate) struct Line {
    pub(crate) name: String,
    board: File,
    _held: File,
}

impl Line {
    pub(crate) fn open() -> Self {
        let board = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&board).unwrap();
        unlockpt(&board).unwrap();
        let name = ptsname(&board, Vec::new()).unwrap().into_string().unwrap();
        let _held = hold(&name);
        Self { name, board: board.into(), _held }
    }

    /// Waits for a frame of this type.
    pub(crate) fn hear(&mut self, kind: u8) {
        let (mut reader, mut body) = (Reader::NEW, vec![0; body::MAX]);
        loop {
            let mut byte = [0];
            self.board.read_exact(&mut byte).unwrap();
            match reader.take(byte[0], &mut body) {
                Read::Body(size) if Frame::of(&body[..size]).is_some_and(|frame| frame.kind == kind) => return,
                _ => {}
            }
        }
    }

    pub(crate) fn say(&mut self, kind: u8, payload: &[u8]) {
        let (mut whole, mut out) = (vec![0; body::MAX], vec![0; FRAME_MAX]);
        whole[body::PAYLOAD..][..payload.len()].copy_from_slice(payload);
        let size = frame::write(&mut whole, kind, 0, 0, payload.len(), &mut out);
        self.board.write_all(&out[..size]).unwrap();
    }
}

fn hold(line: &str) -> File {
    open(line, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap().into()
}

/// The workspace's kernel, as a user names it.
pub(crate) fn kernel() -> PathBuf {
    workspace::kernel_file().unwrap().into()
}

/// The loader's own image: the smallest kernel that there is.
pub(crate) fn small() -> PathBuf {
    workspace::loader_file().unwrap().into()
}
