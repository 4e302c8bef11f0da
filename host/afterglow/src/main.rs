//! The `afterglow` command: what a user does on the host. One sub-command is one file.

mod boot;
mod crash_loop;
mod mutants;
mod size;
mod stop_matrix;
mod symbols;
mod terminal;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The exit status of a failure of this command itself, which no guest uses.
const OWN_FAILURE: u8 = 125;

/// A flight recorder for arm64: boots the test kernel, and looks at what survived.
#[derive(Debug, Parser)]
#[command(name = "afterglow", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Boot(boot::Boot),
    Loop(Box<crash_loop::Loop>),
    Mutants(mutants::Mutants),
    Size(size::Size),
    StopMatrix(stop_matrix::StopMatrix),
    Symbols(symbols::Symbolise),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Help goes to the standard output, and is no failure. Nothing can be done where nobody reads it.
            let _ = message.print();
            return if message.use_stderr() { ExitCode::from(OWN_FAILURE) } else { ExitCode::SUCCESS };
        }
    };
    let done: Result<ExitCode> = match cli.command {
        Command::Boot(boot) => boot.run(),
        Command::Loop(crash_loop) => crash_loop.run(),
        Command::Mutants(mutants) => mutants.run(),
        Command::Size(size) => size.run(),
        Command::StopMatrix(matrix) => matrix.run(),
        Command::Symbols(symbolise) => symbolise.run(),
    };
    done.unwrap_or_else(|error| {
        eprintln!("afterglow: {}", chain(&error));
        ExitCode::from(OWN_FAILURE)
    })
}

/// An error and its causes, in one sentence.
fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
