//! The device at which the board is heard: a terminal set to its speed and to raw bytes, or anything else that can be read.

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, write};
use rustix::termios::{ControlModes, OptionalActions, isatty, tcgetattr, tcsetattr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// What came of waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// None in time.
    Nothing,
    /// There will be none any more: why.
    Gone(String),
}

/// An open device.
#[derive(Debug)]
pub struct Port {
    device: OwnedFd,
    is_terminal: bool,
}

impl Port {
    /// Opens it to listen and, if it is a terminal, sets it to 8N1 at this speed, with no flow control and no meaning of any
    /// byte.
    ///
    /// # Errors
    /// It cannot be opened, or not be set so.
    pub fn open(device: &Path, baud: u32) -> Result<Self> {
        Self::open_with(device, baud, OFlags::RDONLY)
    }

    /// The same, to talk as well.
    ///
    /// # Errors
    /// As [`Port::open`].
    pub fn open_to_talk(device: &Path, baud: u32) -> Result<Self> {
        Self::open_with(device, baud, OFlags::RDWR)
    }

    fn open_with(device: &Path, baud: u32, access: OFlags) -> Result<Self> {
        let name = device.display();
        // Nonblocking: the open would wait for a carrier that a three-wire cable does not have.
        let flags = access | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = open(device, flags, Mode::empty()).with_context(|| {
            format!("{name} cannot be opened (is it plugged in? may you? the group is often called dialout)")
        })?;
        let is_terminal = isatty(&opened);
        if is_terminal {
            set_up(&opened, baud).with_context(|| format!("{name} cannot be set to {baud} baud, raw bytes"))?;
        }
        Ok(Self { device: opened, is_terminal })
    }

    /// Waits so long for bytes.
    pub fn read(&mut self, buffer: &mut [u8], wait: Duration) -> Read {
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut ready = [PollFd::new(&self.device, PollFlags::IN)];
        match poll(&mut ready, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Read::Nothing,
            Ok(_) => {}
            Err(error) => return Read::Gone(error.to_string()),
        }
        match read(&self.device, buffer) {
            Ok(0) if !self.is_terminal => Read::Gone("it has come to its end".into()),
            Ok(count @ 1..) => Read::Bytes(count),
            Err(Errno::AGAIN | Errno::INTR) => Read::Nothing,
            // What a terminal says whose other end is gone: an adapter that was pulled, an emulator that ended.
            Ok(0) | Err(Errno::IO) => Read::Gone("the device at its other end is gone".into()),
            Err(error) => Read::Gone(error.to_string()),
        }
    }
}

impl Port {
    /// Sends bytes, and waits so long at most for the device to take them. Says how many it took.
    pub fn write(&mut self, bytes: &[u8], wait: Duration) -> usize {
        let begin = Instant::now();
        let mut sent = 0;
        while sent < bytes.len() {
            match write(&self.device, &bytes[sent..]) {
                Ok(count @ 1..) => sent += count,
                Ok(0) | Err(Errno::AGAIN | Errno::INTR) => {
                    let Some(left) = wait.checked_sub(begin.elapsed()) else { break };
                    let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
                    // Whether it is ready is seen by writing.
                    let _ = poll(&mut [PollFd::new(&self.device, PollFlags::OUT)], Some(&timeout));
                }
                Err(_) => break,
            }
        }
        sent
    }
}

fn set_up(terminal: &OwnedFd, baud: u32) -> Result<()> {
    let mut settings = tcgetattr(terminal)?;
    settings.make_raw();
    settings.control_modes.remove(ControlModes::CSTOPB | ControlModes::CRTSCTS);
    // Closing must not drop DTR, which resets some boards.
    settings.control_modes.remove(ControlModes::HUPCL);
    settings.control_modes.insert(ControlModes::CREAD | ControlModes::CLOCAL);
    settings.set_speed(baud)?;
    // What came before, at whatever speed, is nobody's word.
    tcsetattr(terminal, OptionalActions::Flush, &settings)?;
    Ok(())
}
