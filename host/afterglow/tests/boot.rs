//! `afterglow boot` as a shell sees it: what it prints where, and with which status it ends.

#[path = "../../qemu/tests/support/mod.rs"]
mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::Guest;
use tempfile::TempDir;

/// A kernel of a few instructions, as a file.
fn kernel(guest: Guest) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kernel image");
    fs::write(&path, guest.build().bytes()).unwrap();
    (directory, path)
}

fn afterglow(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
    command.args(arguments).env_remove("AFTERGLOW_APPEND");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn boot(guest: Guest, arguments: &[&str]) -> Output {
    let (_directory, path) = kernel(guest);
    afterglow(&["boot", path.to_str().unwrap()]).args(arguments).output().unwrap()
}

#[test]
fn the_console_is_shown_and_the_status_is_the_guests() {
    for status in [0, 3] {
        let output = boot(Guest::new().print("one\n\ttwo \x1b[32mgreen\x1b[0m\n").exit(status), &["--smp", "1"]);
        assert_eq!(text(&output.stdout), "one\n\ttwo \x1b[32mgreen\x1b[0m\n");
        assert_eq!(text(&output.stderr), "");
        assert_eq!(output.status.code(), Some(status as i32));
    }
}

#[test]
fn nothing_but_text_reaches_the_terminal() {
    let output = boot(Guest::new().print("\x1b]0;title\x07\x1b[2J\n").exit(0), &["--no-region"]);
    assert_eq!(text(&output.stdout), "\\x1b]0;title\\x07\\x1b[2J\n");
}

#[test]
fn a_guest_that_hangs_is_ended_with_a_sentence() {
    let output = boot(Guest::new().print("alive\n").hang(), &["--timeout", "2"]);
    assert_eq!(output.status.code(), Some(124));
    assert_eq!(text(&output.stdout), "alive\n");
    let said = text(&output.stderr);
    assert!(said.contains("no end after 2 s") && said.contains("--timeout"), "{said}");
}

#[test]
fn the_command_that_it_prints_does_the_same() {
    let (_directory, path) = kernel(Guest::new().print("it's me\n").exit(6));
    let options = ["--append", "die=none it's", "--cpu", "max", "--el2", "--icount", "3", "--print-command"];
    let printed =
        afterglow(&["boot", path.to_str().unwrap()]).args(options).args(["--", "-name", "x"]).output().unwrap();
    assert!(printed.status.success());
    let line = text(&printed.stdout);
    for part in ["virtualization=on", "-cpu max", "-icount shift=3", "-dtb ", r"-append 'die=none it'\''s'", "-name x"]
    {
        assert!(line.contains(part), "{part:?} is missing in {line}");
    }
    let repeated = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
    assert_eq!((text(&repeated.stdout).as_str(), repeated.status.code()), ("it's me\n", Some(6)));
}

#[test]
fn what_cannot_be_booted_is_a_sentence_and_a_status_of_its_own() {
    let (directory, path) = kernel(Guest::new());
    let kernel = path.to_str().unwrap();
    let text_file = directory.path().join("text");
    fs::write(&text_file, "no kernel").unwrap();
    let cases: [(&[&str], &str); 6] = [
        (&["boot", "no-such-file"], "no-such-file cannot be read"),
        (&["boot", text_file.to_str().unwrap()], "arm64 Image header"),
        (&["boot", kernel, "--memory", "much"], "not a size such as 512M"),
        (&["boot", kernel, "--region", "8M"], "BASE:SIZE"),
        (&["boot", kernel, "--overlay", "no-such-file"], "no-such-file cannot be read"),
        (&["boot", kernel, "--board", "toaster"], "virt"),
    ];
    for (arguments, part) in cases {
        let output = afterglow(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
        assert!(text(&output.stderr).contains(part), "{part:?} is missing in {}", text(&output.stderr));
    }
}

#[test]
fn without_qemu_it_says_how_to_get_it() {
    let (_directory, path) = kernel(Guest::new());
    let output = afterglow(&["boot", path.to_str().unwrap()]).env("PATH", "").output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125));
    assert!(said.contains("qemu-system-aarch64 is not in PATH") && said.contains("scripts/setup.sh"), "{said}");
}

/// Processes whose parent is this one.
fn children(parent: u32) -> Vec<PathBuf> {
    let status = |path: &PathBuf| fs::read_to_string(path.join("status")).unwrap_or_default();
    let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    entries.filter(|path| status(path).contains(&format!("\nPPid:\t{parent}\n"))).collect()
}

#[test]
fn qemu_ends_with_it_whatever_ends_it() {
    for signal in ["INT", "TERM", "KILL"] {
        let (_directory, path) = kernel(Guest::new().print("up\n").hang());
        // Whoever runs the tests in the background of a shell has SIGINT ignored, and so would this.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_afterglow"), "boot"]).env_remove("AFTERGLOW_APPEND");
        command.arg(&path).args(["--timeout", "0"]);
        let mut running = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut console = BufReader::new(running.stdout.take().unwrap());
        let mut line = String::new();
        console.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        let qemus = children(running.id());
        assert_eq!(qemus.len(), 1, "{qemus:?}");
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", running.id())]).status().unwrap();
        assert!(sent.success());
        assert!(!running.wait().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(20);
        while qemus[0].exists() {
            assert!(Instant::now() < deadline, "QEMU outlives {signal}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_kernels_size_is_told() {
    let (_directory, path) = kernel(Guest::new());
    let output = afterglow(&["size", path.to_str().unwrap()]).output().unwrap();
    let lines: Vec<_> =
        text(&output.stdout).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines[0], "image (flat, as flashed) 68 bytes 1 KiB");
    assert_eq!(lines[2], "memory in all 1048576 bytes 1024 KiB");
}
