//! What has to be on a machine is found where it is usually put; a QEMU that is missing, too old or broken is a sentence that
//! says what to do.

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

#[test]
fn make_finds_what_cargo_built_though_cargo_is_not_in_path() {
    let mut make = std::process::Command::new("make");
    make.args(["--dry-run", "rates"]).current_dir(qemu::workspace::root()).env_clear().env("PATH", "/usr/bin:/bin");
    for variable in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = std::env::var_os(variable) {
            make.env(variable, value);
        }
    }
    let commands = String::from_utf8(make.output().unwrap().stdout).unwrap();
    let host = format!("/target/{}-", std::env::consts::ARCH);
    let plugin = commands.split_whitespace().find_map(|word| word.strip_prefix("AFTERGLOW_PLUGIN=")).unwrap();
    assert!(plugin.contains(&host) && plugin.ends_with("/debug/libafterglow_plugin.so'"), "{plugin}");
}
