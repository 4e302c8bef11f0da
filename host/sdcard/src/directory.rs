//! A card's files in a directory: for a TFTP server, for rpiboot, or for a partition that is there already.

use crate::card::{File, beside};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// What became of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Files that were written.
    pub written: usize,
    /// Files that were there already, with the same content.
    pub same: usize,
}

/// Writes the files below a directory, which is made if it is not there. Each file comes whole or not at all, so that a server
/// never sends half of one. What else is in the directory stays.
///
/// # Errors
/// Files of these names are there with another content, and must not be replaced: then nothing is written. Or something
/// cannot be written.
pub fn save(files: &[File], directory: &Path, replace: bool) -> Result<Saved> {
    let mut wanted = Vec::new();
    let mut others = Vec::new();
    for file in files {
        let path = directory.join(&file.path);
        match fs::read(&path) {
            Ok(content) if content == file.content => continue,
            Ok(_) => others.push(file.path.as_str()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} is in the way", path.display())),
        }
        wanted.push((path, &file.content));
    }
    ensure!(
        replace || others.is_empty(),
        "{} has other files of these names: {}; --replace puts the new ones in their place",
        directory.display(),
        others.join(", ")
    );
    for (path, content) in &wanted {
        let advice = || format!("{} cannot be written: name a directory that can", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(advice)?;
        }
        let mut file = beside(path).with_context(advice)?;
        file.write_all(content).with_context(advice)?;
        file.persist(path).map_err(|error| error.error).with_context(advice)?;
    }
    Ok(Saved { written: wanted.len(), same: files.len() - wanted.len() })
}
