//! Files that are made once and found again by what they are made of: device trees, images. Safe to use in parallel.

use anyhow::{Context, Result};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs};

/// A file `name-KEY.extension` of the cache; `make` writes it when it is not there yet.
///
/// Whoever finds the file finds it whole: it is written under another name first.
///
/// # Errors
/// Those of `make`, or the directory cannot be written.
pub(crate) fn file(
    name: &str,
    extension: &str,
    key: &impl Hash,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let directory = directory();
    let path = directory.join(format!("{name}-{:016x}.{extension}", hash(key)));
    if path.exists() {
        return Ok(path);
    }
    let advice = || format!("{} cannot be written: free some space, or set CARGO_TARGET_DIR", directory.display());
    fs::create_dir_all(directory).with_context(advice)?;
    let new = tempfile::Builder::new().prefix(".new-").tempdir_in(directory).with_context(advice)?;
    let unfinished = new.path().join("file");
    make(&unfinished)?;
    fs::rename(&unfinished, &path).with_context(advice)?;
    Ok(path)
}

/// A file with this content.
///
/// # Errors
/// The directory cannot be written.
pub(crate) fn content(name: &str, extension: &str, bytes: &[u8]) -> Result<PathBuf> {
    file(name, extension, &bytes, |path| {
        fs::write(path, bytes).with_context(|| format!("{} cannot be written: free some space", path.display()))
    })
}

fn hash(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// `qemu` in cargo's target directory, so that `cargo clean` takes it too.
///
/// The directory is the one that cargo was told, or the one in which this program is; a program that was installed
/// elsewhere uses the user's cache directory.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let here = env::current_exe().unwrap_or_default();
        // Cargo marks its target directory, and the directory of each target within it, with this file.
        let target = here.ancestors().filter(|directory| directory.join("CACHEDIR.TAG").is_file()).last();
        if let Some(target) = target {
            return target.join("qemu");
        }
        let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        cache.unwrap_or_else(env::temp_dir).join("afterglow")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_once_is_not_made_again() {
        let key = std::process::id();
        let first = file("once", "test", &key, |path| Ok(fs::write(path, "first")?)).unwrap();
        let second = file("once", "test", &key, |_| panic!("it is there")).unwrap();
        assert_eq!(first, second);
        assert_eq!(fs::read(&second).unwrap(), b"first");
        fs::remove_file(first).unwrap();
    }

    #[test]
    fn what_could_not_be_made_leaves_nothing() {
        let key = ("failed", std::process::id());
        let make = |path: &Path| {
            fs::write(path, "half")?;
            anyhow::bail!("no")
        };
        assert!(file("failed", "test", &key, make).is_err());
        let path = file("failed", "test", &key, |path| Ok(fs::write(path, "whole")?)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        fs::remove_file(path).unwrap();
    }
}
