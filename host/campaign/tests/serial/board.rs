//! A board that is not there: the other end of a pseudo-terminal, at which somebody says what a board said.

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, write};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::tcgetattr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

/// Bytes that a line of 230,400 baud carries in a pause.
const PIECE: usize = 46;
const PAUSE: Duration = Duration::from_millis(2);

/// What a board does.
pub(crate) enum Says {
    /// As fast as they are read.
    AtOnce(Vec<u8>),
    /// At a line's pace.
    Slowly(Vec<u8>),
    /// Again and again, until nobody listens, or for a minute.
    Again(Vec<u8>),
    /// Nothing, until this file is there.
    Until(PathBuf),
    /// Nothing any more, but it is there.
    Nothing,
}

/// A board before it is switched on.
pub(crate) struct Board {
    line: OwnedFd,
    device: PathBuf,
    acts: Vec<Says>,
}

impl Board {
    pub(crate) fn new(acts: impl IntoIterator<Item = Says>) -> Self {
        let line = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        // A write that waits would wait for ever for one who has gone.
        fcntl_setfl(&line, OFlags::NONBLOCK).unwrap();
        grantpt(&line).unwrap();
        unlockpt(&line).unwrap();
        let device = ptsname(&line, Vec::new()).unwrap().into_string().unwrap().into();
        Self { line, device, acts: acts.into_iter().collect() }
    }

    pub(crate) fn device(&self) -> &Path {
        &self.device
    }

    /// The speed that the one who listens has set.
    pub(crate) fn speed(&self) -> u32 {
        tcgetattr(&self.line).unwrap().input_speed()
    }

    /// Switches it on.
    pub(crate) fn speak(self) -> Speaking {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let thread = spawn(move || {
            let line = self.line;
            for act in self.acts {
                match act {
                    Says::AtOnce(bytes) => say(&line, &bytes, &stopped),
                    Says::Slowly(bytes) => bytes.chunks(PIECE).for_each(|piece| {
                        say(&line, piece, &stopped);
                        sleep(PAUSE);
                    }),
                    Says::Again(bytes) => {
                        for _ in 0..3000 {
                            if stopped.load(Ordering::Relaxed) {
                                break;
                            }
                            say(&line, &bytes, &stopped);
                            sleep(10 * PAUSE);
                        }
                    }
                    Says::Until(file) => {
                        while !file.exists() && !stopped.load(Ordering::Relaxed) {
                            sleep(PAUSE);
                        }
                    }
                    Says::Nothing => {
                        while !stopped.load(Ordering::Relaxed) {
                            sleep(PAUSE);
                        }
                    }
                }
            }
            // It is there until nobody listens any more.
            while !stopped.load(Ordering::Relaxed) {
                sleep(PAUSE);
            }
        });
        Speaking { stop, thread: Some(thread) }
    }
}

fn say(line: &OwnedFd, mut bytes: &[u8], stopped: &AtomicBool) {
    while !bytes.is_empty() && !stopped.load(Ordering::Relaxed) {
        match write(line, bytes) {
            Ok(count) => bytes = &bytes[count..],
            // The one who listens is slow, or gone.
            Err(Errno::AGAIN) => sleep(PAUSE),
            Err(_) => return,
        }
    }
}

/// A board that is on; dropping it switches it off, and its adapter is gone.
pub(crate) struct Speaking {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread is one of the test's own.
            let _ = thread.join();
        }
    }
}
