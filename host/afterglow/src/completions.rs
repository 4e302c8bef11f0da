//! `afterglow completions`: what a shell needs to complete our commands and options.

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;
use std::process::ExitCode;

/// Prints completions for a shell, as: afterglow completions bash > ~/.local/share/bash-completion/completions/afterglow
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, mut command: Command) -> Result<ExitCode> {
        clap_complete::generate(self.shell, &mut command, "afterglow", &mut std::io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}
