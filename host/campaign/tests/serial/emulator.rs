//! QEMU as a board: its serial line is a pseudo-terminal, as an adapter's would be.

use qemu::{Machine, Overlay, workspace};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// QEMU looks once a second whether somebody has opened its terminal.
const HEARD: Duration = Duration::from_millis(1500);

/// A machine before its first instruction.
pub(crate) struct Emulator {
    child: Child,
    device: PathBuf,
    goes: bool,
}

/// Starts our kernel with these arguments, up to the moment before its first instruction.
pub(crate) fn start(arguments: &str) -> Emulator {
    let machine = Machine::virt().kernel(workspace::kernel().unwrap()).overlay(Overlay::virt_region());
    // It stays when the kernel powers off: what nobody has read yet would go with the terminal.
    let machine = machine.append(arguments).extra(["-S", "-no-shutdown", "-qmp", "stdio"]);
    let mut command = machine.command_line().unwrap();
    // As on a board, nobody listens to semihosting.
    for (from, to) in [("-serial stdio", "-serial pty"), ("enable=on,target=native", "enable=off,target=native")] {
        assert!(command.contains(from), "{command}");
        command = command.replace(from, to);
    }
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec timeout 200 {command}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut said = Vec::new();
    let mut device = None;
    for line in out.lines().map_while(Result::ok) {
        device = line.split_whitespace().find(|word| word.starts_with("/dev/pts/")).map(PathBuf::from);
        said.push(line);
        if device.is_some() {
            break;
        }
    }
    let device = device.unwrap_or_else(|| panic!("QEMU names no terminal: {said:?}"));
    Emulator { child, device, goes: false }
}

impl Emulator {
    pub(crate) fn device(&self) -> &Path {
        &self.device
    }

    /// Lets it run, once somebody has listened for long enough that QEMU has seen it.
    pub(crate) fn go_on_when_heard(&mut self, silent: Duration) {
        if !self.goes && silent > HEARD {
            self.goes = true;
            let orders = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"cont\"}\n";
            self.child.stdin.as_mut().unwrap().write_all(orders.as_bytes()).unwrap();
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // A signal that `timeout` hands on.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
