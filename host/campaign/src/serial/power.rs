//! The board's power, cycled by a command of the user's: `uhubctl`, `labgrid-client power cycle`, a relay's page.

use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// So long the command may take: a switch that waits for capacitors to empty takes some seconds.
const POWER_MAX: Duration = Duration::from_secs(60);

/// The command, under way. Meanwhile the line goes on to be read: the board may talk before the command ends.
pub(super) struct Switching {
    child: Child,
    since: Instant,
}

impl Switching {
    pub(super) fn begin(command: &str) -> Result<Self, String> {
        // A group of its own, to end all of it where it hangs. What it says goes where our errors go.
        let begun = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn();
        match begun {
            Ok(child) => Ok(Self { child, since: Instant::now() }),
            Err(error) => Err(format!("{command:?} cannot be run: {error}")),
        }
    }

    /// What became of it, once it has ended or has to.
    pub(super) fn ended(&mut self) -> Option<Result<(), String>> {
        match self.child.try_wait() {
            Ok(Some(status)) if status.success() => Some(Ok(())),
            Ok(Some(status)) => Some(Err(format!("its command ended with {status}"))),
            Ok(None) if self.since.elapsed() < POWER_MAX => None,
            Ok(None) => Some(Err(format!("its command takes longer than {} s", POWER_MAX.as_secs()))),
            Err(error) => Some(Err(format!("nobody knows what became of its command: {error}"))),
        }
    }
}

impl Drop for Switching {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}
