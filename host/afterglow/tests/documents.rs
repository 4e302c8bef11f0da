//! The commands in the documents exist: each sub-command, option and target of make that a reader is told to type.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the documents show and is no command: the first words of what the loader and the kernel say.
const NO_COMMANDS: &[&str] = &["loader", "cannot"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The README, and the documents for people at a board or with a farm.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md")];
    for directory in ["boards/docs", "boards/config", "examples/ci", "examples/labgrid"] {
        let entries = fs::read_dir(root().join(directory)).unwrap();
        found.extend(
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "md")),
        );
    }
    found
}

/// Lines of code and spans of code of a document which begin with `afterglow` or `make`, a prompt and sudo left out.
fn commands(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in document.replace("\\\n", " ").lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.push(line.to_owned());
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let bare = |text: String| {
        let text = text.trim_start();
        let text = text.strip_prefix("$ ").unwrap_or(text);
        text.strip_prefix("sudo ").unwrap_or(text).to_owned()
    };
    let is_command = |text: &String| text.starts_with("afterglow ") || text.starts_with("make ");
    found.into_iter().map(bare).filter(is_command).collect()
}

/// Words as a shell splits them, up to a comment, without what is in quotes.
fn words(command: &str) -> Vec<String> {
    let outside: String = command.split(['"', '\'']).step_by(2).collect::<Vec<_>>().join("QUOTED");
    let brackets = outside.replace(['[', ']'], " ");
    brackets.split_whitespace().take_while(|word| !word.starts_with('#')).map(str::to_owned).collect()
}

/// What a sub-command says of itself; empty if there is none of this name.
fn help(command: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_afterglow")).args([command, "--help"]).output().unwrap();
    if output.status.success() { String::from_utf8(output.stdout).unwrap() } else { String::new() }
}

/// Whether a help text has a line that begins with this option.
fn has_option(help: &str, option: &str) -> bool {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    lines.flat_map(|line| line.split([' ', ',', '=', '['])).any(|word| word == option)
}

#[test]
fn each_afterglow_command_of_the_documents_has_its_options() {
    let mut helps = BTreeMap::new();
    let mut seen = 0;
    for path in documents() {
        for command in commands(&fs::read_to_string(&path).unwrap()) {
            let words = words(&command);
            let [program, sub, rest @ ..] = words.as_slice() else { continue };
            // Its own name in what it prints is followed by a version or a colon; COMMAND stands for any.
            let is_word = sub.starts_with(|c: char| c.is_ascii_lowercase()) && !NO_COMMANDS.contains(&sub.as_str());
            if program != "afterglow" || !is_word {
                continue;
            }
            let help = helps.entry(sub.clone()).or_insert_with(|| help(sub));
            assert!(!help.is_empty(), "{}: no sub-command {sub}: {command}", path.display());
            for option in rest.iter().filter(|word| word.starts_with('-')) {
                let option = option.split('=').next().unwrap();
                assert!(has_option(help, option), "{}: {sub} has no {option}: {command}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} commands were found");
}

#[test]
fn each_make_command_of_the_documents_has_its_target_and_its_variables() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut seen = 0;
    for path in documents() {
        for command in commands(&fs::read_to_string(&path).unwrap()) {
            let words = words(&command);
            let [program, target, rest @ ..] = words.as_slice() else { continue };
            if program != "make" {
                continue;
            }
            let is_there = makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
            assert!(is_there, "{}: make has no target {target}: {command}", path.display());
            for (variable, _) in rest.iter().filter_map(|word| word.split_once('=')) {
                let is_used = makefile.contains(&format!("$({variable})"));
                assert!(is_used, "{}: make {target} has no {variable}: {command}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} commands were found");
}
