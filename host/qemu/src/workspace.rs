//! Finds the kernel of the workspace that a test belongs to, and the plugin, and builds them where nobody has.

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
    let file = FILE.get_or_init(|| binary(VARIABLE, "kernel").map_err(|error| format!("{error:#}")));
    file.as_deref().map_err(|error| anyhow!(error.clone()))
}

/// The variable that names the loader's ELF file.
pub const LOADER_VARIABLE: &str = "AFTERGLOW_LOADER";

/// The loader of the workspace: the one that [`LOADER_VARIABLE`] names, else as cargo builds it now. Once per process.
///
/// # Errors
/// It cannot be built, or is not an image.
pub fn loader() -> Result<&'static Image> {
    static LOADER: OnceLock<Result<Image, String>> = OnceLock::new();
    let load = || Image::load(loader_file()?).context("the loader of the workspace");
    let loader = LOADER.get_or_init(|| load().map_err(|error| format!("{error:#}")));
    loader.as_ref().map_err(|error| anyhow!(error.clone()))
}

/// The same as a file: ELF.
///
/// # Errors
/// It cannot be built.
pub fn loader_file() -> Result<&'static Path> {
    static FILE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let file = FILE.get_or_init(|| binary(LOADER_VARIABLE, "loader").map_err(|error| format!("{error:#}")));
    file.as_deref().map_err(|error| anyhow!(error.clone()))
}

/// A binary of the kernel's package: the file that the variable names, else as cargo builds it.
fn binary(variable: &str, name: &str) -> Result<PathBuf> {
    let named = env::var_os(variable).filter(|value| !value.is_empty());
    let built = || {
        build(&["-p", "kernel", "--bin", name, "--target", TARGET], &|message| {
            message.get("executable").and_then(|path| path.as_str()).map(PathBuf::from)
        })
    };
    named.map_or_else(built, |path| Ok(root().join(path)))
}

/// The variable that names the plugin of `host/plugin`.
pub const PLUGIN_VARIABLE: &str = "AFTERGLOW_PLUGIN";

/// The plugin: the one that [`PLUGIN_VARIABLE`] names, else one that lies beside this program, else as cargo builds it now.
///
/// # Errors
/// It cannot be built.
pub fn plugin_file() -> Result<&'static Path> {
    static FILE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let named = env::var_os(PLUGIN_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let beside =
            || env::current_exe().ok().map(|program| program.with_file_name(PLUGIN)).filter(|file| file.exists());
        let file = named.or_else(beside);
        file.map_or_else(
            || {
                build(&["-p", "plugin", "--target", "host-tuple"], &|message| {
                    let files = message.pointer("/filenames")?.as_array()?.iter().filter_map(|name| name.as_str());
                    files.map(PathBuf::from).find(|file| file.file_name().is_some_and(|name| name == PLUGIN))
                })
            },
            Ok,
        )
        .map_err(|error| format!("{error:#}"))
    });
    file.as_deref().map_err(|error| anyhow!(error.clone()))
}

const PLUGIN: &str = "libafterglow_plugin.so";

/// The directory of the workspace, where this crate was compiled.
#[must_use]
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Builds a package, and returns the file that `which` takes out of cargo's messages.
fn build(package: &[&str], which: &dyn Fn(&serde_json::Value) -> Option<PathBuf>) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--release", "--message-format=json"]).args(package);
    // The target's flags are in the configuration that cargo finds from the directory it runs in.
    let output = command.current_dir(root()).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.context("cargo cannot be started")?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut file = None;
    for message in messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        if let Some(text) = message.pointer("/message/rendered").and_then(|text| text.as_str()) {
            eprint!("{text}");
        }
        file = which(&message).or(file);
    }
    let by_hand = format!("run scripts/setup.sh, then cargo build --release {}", package.join(" "));
    ensure!(output.status.success(), "it cannot be built: {by_hand}");
    file.with_context(|| format!("cargo built nothing that could be used: {by_hand}"))
}
