//! The functions and lines of a panic of the real kernel, as they come and in a capture.

use qemu::workspace;
use std::fs;
use std::process::Command;

/// Its console, and what the command says besides; files are named as from the workspace's directory.
fn shown(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
    let output =
        command.args(arguments).env_remove("AFTERGLOW_APPEND").current_dir(workspace::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A panic of core 1 while the others are in an interrupt handler; the same each time.
fn panic(more: &[&str]) -> String {
    let elf = workspace::kernel_file().unwrap().to_str().unwrap();
    let boot = ["boot", elf, "--icount", "3", "--append", "events=500 tail=0 die_core=1 others=irq-handler"];
    shown(&[&boot, more].concat())
}

#[test]
fn a_backtrace_names_who_called_and_the_consoles_own_lines_stay_as_they_are() {
    let (with, without) = (panic(&[]), panic(&["--no-symbols"]));
    let (added, own): (Vec<&str>, Vec<&str>) = with.lines().partition(|line| line.starts_with("    0x"));
    assert_eq!(own, without.lines().collect::<Vec<_>>());
    let below = with.split_once("panic: backtrace: ").unwrap().1;
    let frames: Vec<&str> = below.lines().skip(1).take_while(|line| line.starts_with("    0x")).collect();
    let has = |text: &str| frames.iter().any(|frame| frame.contains(text));
    for text in
        ["kernel::ending::panicked at kernel/src/ending.rs:", "core::panicking::panic_fmt", "kernel::die::end at "]
    {
        assert!(has(text), "{text:?} is missing in {frames:#?}");
    }
    // A core other than the first one came from its entry; each of the two that were stopped spins in its handler.
    assert!(has("arch::entry::secondary::"), "{frames:#?}");
    assert!(added.iter().filter(|line| line.contains("kernel::die::others::spin at ")).count() >= 3, "{with}");
    assert!(!with.contains("not in the kernel's code"), "{with}");
}

#[test]
fn a_capture_gets_the_same_and_not_from_the_file_of_another_kernel() {
    let (with, capture) = (panic(&[]), panic(&["--no-symbols"]));
    let elf = workspace::kernel_file().unwrap().to_str().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let symbols = |text: &str| {
        fs::write(file.path(), text).unwrap();
        shown(&["symbols", elf, file.path().to_str().unwrap()])
    };
    assert_eq!(symbols(&capture), with);
    let build = capture.split_once("  build      ").unwrap().1.lines().next().unwrap();
    let other = symbols(&capture.replace(build, "00c0ffee"));
    assert!(other.contains("this is another kernel than the ELF file") && !other.contains("kernel::die"), "{other}");
}
