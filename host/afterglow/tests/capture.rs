//! `afterglow capture` as a user runs it: on what was stored, and on a line at whose other end a board sends.

#[path = "../../../wire/tests/support/mod.rs"]
mod support;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use support::{BOOT_ID, Seeded, bank, plan, region, told};
use wire::frame::{ESCAPE, kind};
use wire::send::{Sender, Wire};

/// What a target sends to nobody, with console text that wants to command a terminal.
struct Recorded(Vec<u8>);

impl Wire for Recorded {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend(b"a line of text \x1b[2J\r\n");
        self.0.extend(bytes);
    }
    fn listen(&mut self) {}
    fn read(&mut self) -> Option<u8> {
        None
    }
}

fn recorded(region: &[u8]) -> Vec<u8> {
    let mut record = Recorded(Vec::new());
    assert!(!send_to(region, &mut record));
    record.0
}

fn afterglow(arguments: &[&Path]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
    command.arg("capture").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it on bytes that were stored; returns what it said and the image, if it wrote one.
fn capture(bytes: &[u8]) -> (Output, Option<Vec<u8>>) {
    let directory = tempfile::tempdir().unwrap();
    let (stored, out) = (directory.path().join("stored"), directory.path().join("out.region"));
    std::fs::write(&stored, bytes).unwrap();
    let output = afterglow(&[&stored, "--out".as_ref(), &out]).output().unwrap();
    (output, std::fs::read(&out).ok())
}

#[test]
fn a_stored_capture_becomes_the_region_and_its_text_is_escaped() {
    let region = region(112 << 10, 0, 500);
    let (output, image) = capture(&recorded(&region));
    let (text, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(told(&image.unwrap()), told(&region));
    assert!(text.starts_with("a line of text \\x1b[2J\n") && !text.contains('\x1b'), "{text}");
    assert!(said.contains("boot 7 (id 13020d10)") && said.contains("whole"), "{said}");
}

#[test]
fn what_is_damaged_is_named_and_the_rest_is_there() {
    let region = region(112 << 10, 0, 500);
    let mut bytes = recorded(&region);
    let mut chance = Seeded(4);
    for _ in 0..6 {
        let at = chance.below(bytes.len() as u64) as usize;
        bytes[at] = b'!';
    }
    let (output, image) = capture(&bytes);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("\n  missing: ") && said.contains("INCOMPLETE"), "{said}");
    assert!(!told(&image.unwrap()).is_empty());
}

#[test]
fn what_is_no_dump_is_said_to_be_none() {
    let (output, image) = capture(b"U-Boot 2025.01\r\nboot 1 records into bank 0\r\n");
    assert_eq!((output.status.code(), image), (Some(1), None));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no dump in it"));
    let output = afterglow(&["no-such-file".as_ref()]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
}

/// A board at the other end of a terminal. Until somebody answers, none of its pages arrive; of what comes then, so many frames
/// lose a byte.
struct Board {
    terminal: File,
    chance: Seeded,
    is_heard: bool,
    spoils: u64,
}

impl Wire for Board {
    fn write(&mut self, bytes: &[u8]) {
        let is_prompt = bytes[1..].starts_with(&[ESCAPE, kind::PROMPT ^ 0x40]);
        if !self.is_heard && !is_prompt {
            return;
        }
        let mut sent = bytes.to_vec();
        if self.is_heard && self.spoils > 0 {
            self.spoils -= 1;
            sent.remove(self.chance.below(bytes.len() as u64) as usize);
        }
        self.terminal.write_all(&sent).unwrap();
    }
    fn listen(&mut self) {}
    fn read(&mut self) -> Option<u8> {
        let mut byte = [0];
        // Far longer than an answer takes; a prompt that was lost is worth another one.
        let wait = Timespec { tv_sec: if self.is_heard { 5 } else { 1 }, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&self.terminal, PollFlags::IN)], Some(&wait)).unwrap();
        self.is_heard |= ready > 0;
        (ready > 0).then(|| self.terminal.read_exact(&mut byte)).and_then(Result::ok).map(|()| byte[0])
    }
}

fn send_to(region: &[u8], wire: &mut dyn Wire) -> bool {
    let mut sender = Box::new(Sender::NEW);
    sender.send(&plan(region), BOOT_ID, bank(region).bytes(), wire)
}

#[test]
fn a_live_line_is_asked_again_until_all_is_there() {
    let region = region(112 << 10, 0, 500);
    let directory = tempfile::tempdir().unwrap();
    let board = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&board).unwrap();
    unlockpt(&board).unwrap();
    let name = ptsname(&board, Vec::new()).unwrap().into_string().unwrap();
    // Held open, so that the terminal does not end before the command has opened it; and raw from the beginning.
    let held = File::options().read(true).write(true).open(&name).unwrap();
    let mut settings = rustix::termios::tcgetattr(&held).unwrap();
    settings.make_raw();
    rustix::termios::tcsetattr(&held, rustix::termios::OptionalActions::Now, &settings).unwrap();
    let running = afterglow(&[name.as_ref(), "--out".as_ref(), directory.path(), "--time".as_ref(), "60".as_ref()])
        .spawn()
        .unwrap();
    let mut board = Board { terminal: File::from(board), chance: Seeded(8), is_heard: false, spoils: 3 };
    let is_done = send_to(&region, &mut board);
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(is_done && board.spoils == 0, "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
    let image = std::fs::read(directory.path().join("boot-7-13020d10.region")).unwrap();
    assert_eq!(told(&image), told(&region));
    assert!(said.contains("frames came damaged"), "{said}");
}
