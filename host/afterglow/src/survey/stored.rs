//! What a survey has left in memory.

use super::Survey;
use crate::inputs::shown;
use anyhow::{Context, Result, bail};
use reader::Image;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use survey::stored::find;

/// Shows all surveys that are in an image; the exit status is that of the first.
pub(super) fn show(wishes: &Survey, path: &Path) -> Result<ExitCode> {
    let image = Image::open(path).with_context(|| shown(path))?;
    let surveys = find(image.bytes());
    let Some(first) = surveys.first() else {
        bail!(
            "{}: no survey has left its state there, or none of its copies is whole: an image of the region or of RAM is wanted, \
             taken after a boot with survey=",
            shown(path)
        )
    };
    for stored in &surveys {
        let state = &stored.state;
        if !wishes.json {
            println!(
                "survey with seed {:#x}, as it stands at {:#x} of {}: {}",
                state.seed.0,
                stored.at,
                shown(path),
                if state.done { "at its end" } else { "not at its end" }
            );
        }
        wishes.show(&stored.found, json!({ "at": stored.at, "done": state.done }))?;
    }
    Ok(ExitCode::from(if first.state.done { first.found.status() } else { 125 }))
}
