//! `afterglow push` as a user has it: the loader boots, a kernel goes over the line, panics, is reset, and is started again by the
//! loader, which kept it; its crash is told whole.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The loader in QEMU, on a serial line of its own; it ends with this.
struct Board {
    qemu: Child,
    line: String,
}

impl Board {
    fn start(options: &[&str]) -> Self {
        let loader = qemu::workspace::loader_file().unwrap();
        let mut qemu = Command::new("timeout")
            .args(["--kill-after=5", "240", env!("CARGO_BIN_EXE_afterglow"), "boot"])
            .arg(loader)
            .args(["--serial", "pty"])
            .args(options)
            .env_remove("AFTERGLOW_APPEND")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(qemu.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = said.find_map(|line| line.split(' ').find(|word| word.starts_with("/dev/pts/")).map(str::to_owned));
        Self { qemu, line: line.expect("QEMU names its line") }
    }

    /// Pushes the kernel; all that the command and the board said.
    fn push(&self, options: &[&str]) -> (Option<i32>, String) {
        let pushed = Command::new("timeout")
            .args(["--kill-after=5", "200", env!("CARGO_BIN_EXE_afterglow"), "push", &self.line])
            .arg(qemu::workspace::kernel_file().unwrap())
            .args(options)
            .output()
            .unwrap();
        let said = [pushed.stdout, pushed.stderr].concat();
        (pushed.status.code(), String::from_utf8_lossy(&said).into_owned())
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // `timeout` passes it on; where all has ended there is nobody left.
        let _ = Command::new("kill").arg(self.qemu.id().to_string()).status();
        let _ = self.qemu.wait();
    }
}

#[test]
fn a_pushed_kernel_panics_and_is_started_again_by_the_loader_that_kept_it() {
    let (status, said) = Board::start(&["--el2"]).push(&["--append", "events=300 tail=0 cycles=1", "--watch"]);
    assert_eq!(status, Some(0), "{said}");
    for text in [
        "pushed in ",
        "it starts the kernel at ",
        "entry      EL2",
        "panic: core 0: asked for on the command line",
        "it has a kernel of ",
        "boot 1 panicked on core 0",
        " events recovered, intact",
    ] {
        assert!(said.contains(text), "it does not say {text:?}\n{said}");
    }
}

#[test]
fn the_loader_stays_small() {
    let loader = qemu::workspace::loader().unwrap();
    assert!(loader.file_size() < 100 << 10, "the loader has {} bytes", loader.file_size());
}
