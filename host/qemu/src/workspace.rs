//! Finds the kernel of the workspace that a test belongs to, and builds it where nobody has.

use crate::image::Image;
use anyhow::{Context, Result, anyhow, ensure};
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The variable that names the kernel's ELF file; the Makefile sets it, so that all tests use the one that it built.
pub const VARIABLE: &str = "AFTERGLOW_KERNEL";

const TARGET: &str = "aarch64-unknown-none-softfloat";

/// The kernel of the workspace, in release: the one that [`VARIABLE`] names, else as cargo builds it now. Once per process.
///
/// # Errors
/// It cannot be built, or is not a kernel.
pub fn kernel() -> Result<&'static Image> {
    static KERNEL: OnceLock<Result<Image, String>> = OnceLock::new();
    let load = || {
        Image::load(kernel_file()?).with_context(|| format!("the kernel of the workspace ({VARIABLE} names another)"))
    };
    let kernel = KERNEL.get_or_init(|| load().map_err(|error| format!("{error:#}")));
    kernel.as_ref().map_err(|error| anyhow!(error.clone()))
}

/// The same as a file: ELF, with its symbols.
///
/// # Errors
/// It cannot be built.
pub fn kernel_file() -> Result<&'static Path> {
    static FILE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let named = env::var_os(VARIABLE).filter(|value| !value.is_empty());
        named.map_or_else(build, |path| Ok(root().join(path))).map_err(|error| format!("{error:#}"))
    });
    file.as_deref().map_err(|error| anyhow!(error.clone()))
}

/// The directory of the workspace, where this crate was compiled.
#[must_use]
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

fn build() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--release", "-p", "kernel", "--target", TARGET, "--message-format=json"]);
    // The target's flags are in the configuration that cargo finds from the directory it runs in.
    let output = command.current_dir(root()).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.context("cargo cannot be started")?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executable = None;
    for message in messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        if let Some(text) = message.pointer("/message/rendered").and_then(|text| text.as_str()) {
            eprint!("{text}");
        }
        if let Some(path) = message.get("executable").and_then(|path| path.as_str()) {
            executable = Some(PathBuf::from(path));
        }
    }
    ensure!(
        output.status.success(),
        "the kernel cannot be built: run scripts/setup.sh, then cargo build --release -p kernel"
    );
    executable.context("cargo built no executable for the package kernel")
}
