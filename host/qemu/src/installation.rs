//! Finds QEMU and the device tree compiler on this machine, and says what to do where they are missing or too old.

use crate::process;
use anyhow::{Context, Result, anyhow, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

/// The oldest QEMU that has what the project needs: the raspi4b machine, and a plugin interface with registers.
const OLDEST: u32 = 10;

const FIX: &str = "run scripts/setup.sh, which installs it";

/// A QEMU for the 64-bit Arm that is new enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    path: PathBuf,
    version: String,
}

impl Qemu {
    /// The one in `PATH`.
    ///
    /// # Errors
    /// There is none, or it is too old.
    pub fn find() -> Result<&'static Self> {
        static FOUND: OnceLock<Result<Qemu, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| find_in_path().map_err(|error| format!("{error:#}")));
        found.as_ref().map_err(|error| anyhow!(error.clone()))
    }

    /// The one in this file.
    ///
    /// # Errors
    /// It does not run, or is too old.
    pub fn at(path: &Path) -> Result<Self> {
        let mut command = Command::new(path);
        command.arg("--version");
        let output = process::output(command).with_context(|| format!("{} does not run: {FIX}", path.display()))?;
        let output = String::from_utf8_lossy(&output);
        let version = output.lines().next().unwrap_or_default().to_owned();
        match major(&version) {
            Some(major) if major >= OLDEST => Ok(Self { path: path.to_owned(), version }),
            Some(major) => bail!("{} is QEMU {major}, and {OLDEST} is the oldest that will do: {FIX}", path.display()),
            None => bail!("{} says {version:?} instead of its version: {FIX}", path.display()),
        }
    }

    /// The program.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line in which it says its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

fn find_in_path() -> Result<Qemu> {
    const NAME: &str = "qemu-system-aarch64";
    let directories = env::var_os("PATH").unwrap_or_default();
    let candidate = env::split_paths(&directories).map(|directory| directory.join(NAME)).find(|path| is_program(path));
    Qemu::at(&candidate.with_context(|| format!("{NAME} is not in PATH: {FIX}"))?)
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// From "QEMU emulator version 10.0.2 (Debian ...)".
fn major(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("version ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Runs a tool of the device tree compiler's package.
///
/// # Errors
/// It is missing, or fails.
pub(crate) fn device_tree_tool(command: Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    match process::output(command) {
        Err(error) if is_missing(&error) => bail!("{name} is not in PATH: {FIX}"),
        other => other.map(drop),
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_any_distribution() {
        assert_eq!(major("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2~bpo12+1)"), Some(10));
        assert_eq!(major("QEMU emulator version 7.2.17"), Some(7));
        assert_eq!(major("QEMU emulator version unknown"), None);
        assert_eq!(major(""), None);
    }
}
