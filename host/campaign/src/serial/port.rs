//! The device at which the board is heard: a terminal set to its speed and to raw bytes, or anything else that can be read.

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read};
use rustix::termios::{ControlModes, OptionalActions, isatty, tcgetattr, tcsetattr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// What came of waiting.
pub(super) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// None in time.
    Nothing,
    /// There will be none any more: why.
    Gone(String),
}

/// An open device.
pub(super) struct Port {
    device: OwnedFd,
    is_terminal: bool,
}

impl Port {
    /// Opens it and, if it is a terminal, sets it to 8N1 at this speed, with no flow control and no meaning of any byte.
    pub(super) fn open(device: &Path, baud: u32) -> Result<Self> {
        let name = device.display();
        // Nonblocking: the open would wait for a carrier that a three-wire cable does not have.
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
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
    pub(super) fn read(&mut self, buffer: &mut [u8], wait: Duration) -> Read {
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
