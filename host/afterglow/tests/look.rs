//! The commands that look at a crash, as a person or a script calls them.

use ring::format::Geometry;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn afterglow(directory: &Path, arguments: &[&OsStr]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_afterglow"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("AFTERGLOW_KERNEL")
        .env_remove("NO_COLOR")
        .output()
        .unwrap()
}

fn run(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = afterglow(directory, &arguments.iter().map(OsStr::new).collect::<Vec<_>>());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// An image of the corpus.
fn image(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/corpus/{name}.region.gz"));
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn statuses_tell_whole_damaged_nothing_and_failure_apart() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let whole = image("virt-panic");
    std::fs::write(place.join("whole"), &whole).unwrap();
    let mut damaged = whole.clone();
    // An event of the crash, in the first bank.
    damaged[0x4000 + 100] ^= 1;
    damaged[..4096].fill(0);
    std::fs::write(place.join("damaged"), &damaged[..damaged.len() - 8192]).unwrap();
    // One bit of an event, and nothing else: no remark, only a loss.
    let geometry = Geometry::new(whole.len() as u64, 2, 4).unwrap();
    let mut flipped = whole.clone();
    flipped[(geometry.bank(0) + geometry.subbuf(0, 29)) as usize + 100] ^= 1;
    std::fs::write(place.join("flipped"), flipped).unwrap();
    std::fs::write(place.join("nothing"), [0; 70_000]).unwrap();
    for command in ["show", "decode"] {
        let (status, out, _) = run(place, &[command, "whole"]);
        assert_eq!(status, 0, "{out}");
        assert!(out.contains("boot 1 panicked on core 0") || command == "decode");
        assert_eq!(run(place, &[command, "damaged"]).0, 1);
        assert_eq!(run(place, &[command, "flipped"]).0, 1);
        let (status, out, error) = run(place, &[command, "nothing"]);
        assert_eq!((status, out.as_str()), (2, ""));
        assert!(error.contains("reads as zeros"), "{error}");
        let (status, _, error) = run(place, &[command, "not-there"]);
        assert_eq!(status, 125);
        assert!(error.contains("not-there"), "{error}");
        let (status, _, error) = run(place, &[command, "whole", "--boot", "77"]);
        assert_eq!(status, 2);
        assert!(error.contains("no boot 77 is in it, but 1, 2"), "{error}");
    }
    let (status, _, error) = run(place, &["decode", "whole", "--to", "excel"]);
    assert_eq!(status, 125);
    assert!(error.contains("text, json, csv, trace.dat, ctf, perfetto"), "{error}");
}

#[test]
fn inputs_come_from_files_directories_and_pipes() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    std::fs::create_dir(place.join("all")).unwrap();
    std::fs::write(place.join("all/a.bin"), image("virt-panic")).unwrap();
    std::fs::write(place.join("all/b.bin"), image("raspi4b")).unwrap();
    let (status, out, _) = run(place, &["show", "all", "-n", "0"]);
    assert_eq!((status, out.matches("panicked on core").count()), (0, 2), "{out}");
    let mut piped = Command::new(env!("CARGO_BIN_EXE_afterglow"));
    let child =
        piped.args(["show", "-", "-n", "0"]).stdin(Stdio::from(std::fs::File::open(place.join("all/a.bin")).unwrap()));
    let out = String::from_utf8(child.output().unwrap().stdout).unwrap();
    assert!(out.starts_with("standard input: region, 2 boots\n"), "{out}");
    let (_, text, _) = run(place, &["decode", "all/a.bin"]);
    std::fs::write(place.join("listing"), &text).unwrap();
    let (status, again, _) = run(place, &["decode", "listing"]);
    assert_eq!(status, 0);
    let events = |text: &str| text.lines().filter(|line| line.contains(" [00")).count();
    assert!(events(&text) > 100 && events(&again) == events(&text), "a listing can be read again");
}

#[test]
fn files_are_named_by_the_input_and_nothing_else_is_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    std::fs::write(place.join("ram.img"), [vec![7; 8192], image("virt-panic")].concat()).unwrap();
    let (status, _, error) = run(place, &["decode", "ram.img", "--to", "trace.dat"]);
    assert_eq!(status, 0, "{error}");
    assert!(place.join("ram-boot1.dat").is_file(), "{error}");
    let (status, _, error) = run(place, &["decode", "ram.img", "--to", "perfetto", "--boot", "all", "--out", "every"]);
    assert_eq!(status, 0, "{error}");
    assert!(place.join("every/ram-boot1.pftrace").is_file() && place.join("every/ram-boot2.pftrace").is_file());
    let (status, _, error) = run(place, &["decode", "ram.img", "--to", "ctf", "--out", "every"]);
    assert_eq!(status, 125, "what is in a directory stays");
    assert!(error.contains("every"), "{error}");
    assert_eq!(run(place, &["report", "ram.img"]).0, 0);
    assert!(std::fs::read_to_string(place.join("ram.html")).unwrap().contains("boot 1 panicked on core 0"));
    let (status, out, _) = run(place, &["extract", "ram.img"]);
    assert_eq!((status, out.as_str()), (0, "ram-0x2000.region: 192 KiB, boot 2\n"));
    assert_eq!(std::fs::read(place.join("ram-0x2000.region")).unwrap(), image("virt-panic"));
    assert_eq!(run(place, &["extract", "ram.img"]).0, 125, "it is there");
}

#[test]
fn a_wrong_kernel_is_said_and_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    std::fs::write(place.join("region"), image("virt-panic")).unwrap();
    let kernel = qemu::workspace::kernel_file().unwrap().to_str().unwrap();
    let (status, out, _) = run(place, &["show", "region", "--elf", kernel]);
    assert_eq!(status, 0);
    assert!(out.contains("is another build") && out.contains("its symbols are not used"), "{out}");
    assert!(!out.contains("kernel::"), "{out}");
    std::fs::write(place.join("no-elf"), "text").unwrap();
    assert!(run(place, &["show", "region", "--elf", "no-elf"]).1.contains("no symbols: no-elf"));
}

#[test]
fn no_name_and_no_pipe_gets_a_control_sequence() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let name = OsStr::from_bytes(b"\x1b]0;title\x07\xff");
    std::fs::write(place.join(name), image("virt-panic")).unwrap();
    let output = afterglow(place, &[OsStr::new("show"), name]);
    assert_eq!(output.status.code(), Some(0));
    let plain = |bytes: &[u8]| bytes.iter().all(|byte| *byte == b'\n' || (b' '..=b'~').contains(byte));
    assert!(plain(&output.stdout), "no colour in a pipe, no name raw");
    assert!(output.stdout.starts_with(b"\\x1b]0;title\\x07\\xff: region"));
    let output = afterglow(place, &[OsStr::new("decode"), OsStr::new("--to"), OsStr::new("trace.dat"), name]);
    assert_eq!(output.status.code(), Some(0));
    assert!(plain(&output.stderr), "{}", String::from_utf8_lossy(&output.stderr));
    for entry in std::fs::read_dir(place).unwrap() {
        let made = entry.unwrap().file_name();
        assert!(made == name || plain(made.as_bytes()), "{made:?}");
    }
}

#[test]
fn shells_complete_every_command() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (status, out, _) = run(directory.path(), &["completions", shell]);
        assert_eq!(status, 0);
        for command in ["capture", "decode", "extract", "loop", "report", "show"] {
            assert!(out.contains(command), "{shell}: {command}");
        }
    }
}
