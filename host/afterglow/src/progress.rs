//! How far a command is, for a person at a terminal: on the standard error, so that a pipe's reader gets the output alone.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Whether somebody sees a bar: a terminal that can move its cursor.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal() && !std::env::var("TERM").is_ok_and(|term| term == "dumb")
}

/// A bar of so many steps, if that is known, in indicatif's template; nobody sees it where nobody looks.
pub(crate) fn bar(steps: Option<u64>, template: &str) -> ProgressBar {
    let target = if is_watched() { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
    // Only a wrong template fails.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(steps, target).with_style(style)
}
