//! The `afterglow` command: what a user does on the host. One sub-command is one file.

mod board_matrix;
mod boot;
mod capture;
mod completions;
mod crash_loop;
mod decode;
mod extract;
mod flash;
mod image;
mod inputs;
mod mutants;
mod progress;
mod push;
mod report;
mod show;
mod size;
mod stop_matrix;
mod style;
mod survey;
mod symbols;
mod terminal;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// The exit status of a failure of this command itself, which no guest uses.
const OWN_FAILURE: u8 = 125;

/// A flight recorder for arm64: boots the test kernel, and looks at what survived a crash.
#[derive(Debug, Parser)]
#[command(name = "afterglow", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Boot(boot::Boot),
    Capture(capture::Capture),
    Completions(completions::Completions),
    Decode(decode::Decode),
    Extract(extract::Extract),
    Flash(flash::Flash),
    Image(image::Image),
    Loop(Box<crash_loop::Loop>),
    Matrix(board_matrix::BoardMatrix),
    Mutants(mutants::Mutants),
    Push(push::Push),
    Report(report::Report),
    Show(show::Show),
    Size(size::Size),
    StopMatrix(stop_matrix::StopMatrix),
    Survey(survey::Survey),
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
        Command::Capture(capture) => capture.run(),
        Command::Completions(completions) => completions.run(Cli::command()),
        Command::Decode(decode) => decode.run(),
        Command::Extract(extract) => extract.run(),
        Command::Flash(flash) => flash.run(),
        Command::Image(image) => image.run(),
        Command::Loop(crash_loop) => crash_loop.run(),
        Command::Matrix(matrix) => matrix.run(),
        Command::Mutants(mutants) => mutants.run(),
        Command::Push(push) => push.run(),
        Command::Report(report) => report.run(),
        Command::Show(show) => show.run(),
        Command::Size(size) => size.run(),
        Command::StopMatrix(matrix) => matrix.run(),
        Command::Survey(survey) => survey.run(),
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
