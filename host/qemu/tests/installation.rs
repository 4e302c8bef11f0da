//! A QEMU that is missing, too old or broken is a sentence that says what to do.

use anyhow::Result;
use qemu::Qemu;
use std::path::{Path, PathBuf};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

#[test]
fn the_one_of_this_machine_will_do() -> Result<()> {
    let qemu = Qemu::find()?;
    assert!(qemu.version().starts_with("QEMU emulator version "), "{}", qemu.version());
    assert_eq!(Qemu::at(qemu.path())?, *qemu);
    Ok(())
}

#[test]
fn one_that_will_not_do_says_why_and_what_to_do() {
    let cases: [(PathBuf, &[&str]); 3] = [
        (data("qemu-7"), &["is QEMU 7", "10 is the oldest that will do"]),
        (data("qemu-mute"), &["does not run", "libslirp"]),
        (data("qemu-that-is-not-there"), &["does not run", "No such file"]),
    ];
    for (path, parts) in cases {
        let error = format!("{:#}", Qemu::at(&path).unwrap_err());
        for part in parts.iter().chain(&["scripts/setup.sh"]) {
            assert!(error.contains(part), "{part:?} is missing in: {error}");
        }
    }
}
