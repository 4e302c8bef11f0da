//! `afterglow push` as a user has it: the loader boots, a kernel goes over the line, panics, is reset, and is started again by the
//! loader, which kept it; its crash is told whole.

use qemu::{Machine, Overlay, Running};
use serde_json::json;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Bounds what hangs; no test waits for it.
const PATIENCE: Duration = Duration::from_secs(240);

/// The loader in QEMU, on a serial line of its own; its cores stand still at first.
struct Board {
    running: Running,
    line: String,
}

impl Board {
    fn start() -> Self {
        let machine = Machine::virt().el2(true).kernel(qemu::workspace::loader().unwrap());
        let machine = machine.overlay(Overlay::virt_region()).serial("pty").qmp().extra(["-S"]);
        let mut running = machine.start(PATIENCE).unwrap();
        let said = running.expect_line(|line| line.contains("/dev/pts/"), PATIENCE).unwrap();
        let line = said.split(' ').find(|word| word.starts_with("/dev/pts/")).unwrap().to_owned();
        Self { running, line }
    }

    fn go(&mut self) {
        self.running.qmp().unwrap().execute("cont", json!({})).unwrap();
    }

    /// Begins to push the kernel.
    fn push(&self, options: &[&str]) -> Child {
        Command::new("timeout")
            .args(["--kill-after=5", "200", env!("CARGO_BIN_EXE_afterglow"), "push", &self.line])
            .arg(qemu::workspace::kernel_file().unwrap())
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// All that the command said, and the board.
fn ended(pushing: Child) -> (Option<i32>, String) {
    let pushed = pushing.wait_with_output().unwrap();
    let said = [pushed.stdout, pushed.stderr].concat();
    (pushed.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_pushed_kernel_panics_and_is_started_again_by_the_loader_that_kept_it() {
    let mut board = Board::start();
    let pushing = board.push(&["--append", "events=300 tail=0 cycles=1", "--watch"]);
    // QEMU looks once a second whether somebody is at the line. Then knocks fill the receiver before the loader sets it up.
    std::thread::sleep(Duration::from_secs(2));
    board.go();
    let (status, said) = ended(pushing);
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
