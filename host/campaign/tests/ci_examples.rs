//! The examples for CI in `examples/ci`: their steps run as they stand, with fewer crashes, and publish what is there then.

use saphyr::{LoadableYamlNode, Yaml};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How many crashes, by the variable that both examples read.
const CRASHES: (&str, &str) = ("CRASHES", "8");
/// Where both examples want their results, from the project's directory.
const RESULTS: &str = "crash-loop";

/// A file of the examples.
fn example(name: &str) -> Yaml<'static> {
    let path = qemu::workspace::root().join("examples/ci").join(name);
    let text = fs::read_to_string(path).unwrap();
    // A test is short.
    let text: &str = text.leak();
    let mut documents = Yaml::load_from_str(text).unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// What is at this path of keys; a number is a place in a list.
#[track_caller]
fn at<'a>(yaml: &'a Yaml<'static>, path: &[&str]) -> &'a Yaml<'static> {
    path.iter().fold(yaml, |yaml, key| {
        let found = key.parse().map_or_else(|_| yaml.as_mapping_get(key), |place: usize| yaml.as_sequence_get(place));
        found.unwrap_or_else(|| panic!("no {key} of {path:?}"))
    })
}

#[track_caller]
fn text<'a>(yaml: &'a Yaml<'static>, path: &[&str]) -> &'a str {
    at(yaml, path).as_str().unwrap_or_else(|| panic!("{path:?} is no text"))
}

/// The results of whoever ran the examples by hand are put aside while a test runs them.
struct Aside {
    results: PathBuf,
    kept: PathBuf,
}

impl Aside {
    fn put() -> Self {
        let results = qemu::workspace::root().join(RESULTS);
        let kept = results.with_extension("kept");
        if results.exists() && !kept.exists() {
            fs::rename(&results, &kept).unwrap();
        }
        Self { results, kept }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Nothing is there where a step failed early; nothing was kept where nothing was there before.
        let _ = fs::remove_dir_all(&self.results);
        let _ = fs::rename(&self.kept, &self.results);
    }
}

/// Runs a script in the project's directory as CI does: it ends at the first command that fails.
#[track_caller]
fn run(script: &str, variables: &BTreeMap<&str, String>) {
    let mut command = Command::new("bash");
    command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
    command.current_dir(qemu::workspace::root()).stdin(Stdio::null()).envs(variables);
    // The `make` that runs this test is none of the script's business.
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "N", "ARGS"] {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&said));
}

/// A file that is published: below the project's directory.
#[track_caller]
fn published(path: &str) -> PathBuf {
    let path = qemu::workspace::root().join(path);
    assert!(path.exists(), "{} is published, and is not there", path.display());
    path
}

/// What a CI page makes of a JUnit file: cases that ran, none of which failed.
#[track_caller]
fn check_junit(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(matches!(document.root_element().tag_name().name(), "testsuites" | "testsuite"), "{text}");
    let all = |name: &'static str| document.descendants().filter(move |node| node.has_tag_name(name));
    assert!(all("testcase").count() > 0, "{text}");
    assert!(all("testcase").all(|case| case.attribute("name").is_some_and(|name| !name.is_empty())), "{text}");
    assert_eq!(all("failure").count() + all("error").count(), 0, "{text}");
    for suite in all("testsuite") {
        let cases = suite.children().filter(|node| node.has_tag_name("testcase")).count().to_string();
        assert_eq!(suite.attribute("tests"), Some(cases.as_str()), "{text}");
    }
}

fn check_summary(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.lines().any(|line| line.starts_with('|')), "there is no table in it: {text}");
}

// Both in one test: they want the same files.
#[test]
fn the_steps_of_the_examples_run_as_they_stand() {
    let aside = Aside::put();
    github_actions();
    drop(aside);
    let _aside = Aside::put();
    gitlab();
}

fn github_actions() {
    let workflow = example("github-actions.yml");
    let summary = tempfile::NamedTempFile::new().unwrap();
    let mut variables = BTreeMap::from([("GITHUB_STEP_SUMMARY", summary.path().display().to_string())]);
    for (name, value) in at(&workflow, &["env"]).as_mapping().unwrap() {
        let (name, value) = (name.as_str().unwrap(), value.as_str().unwrap());
        // What only the service can evaluate is our number of crashes.
        assert_eq!((name, value.contains("${{")), (CRASHES.0, true));
        variables.insert("CRASHES", CRASHES.1.into());
    }
    let job = at(&workflow, &["jobs", "loop"]);
    assert_eq!(text(job, &["defaults", "run", "shell"]), "bash", "in a container the default is another one");
    let mut uses = Vec::new();
    let mut looped = false;
    for step in at(job, &["steps"]).as_vec().unwrap() {
        if looped {
            assert_eq!(text(step, &["if"]), "${{ !cancelled() }}", "a loop that failed is published too");
        }
        match step.as_mapping_get("run") {
            Some(script) => {
                let script = script.as_str().unwrap();
                assert!(!script.contains("${{"), "nobody but the service can run {script}");
                looped |= script.contains("make loop");
                run(script, &variables);
            }
            None => uses.push(step),
        }
    }
    assert!(looped);
    let by = |name: &str| {
        let step = uses.iter().find(|step| text(step, &["uses"]).split('@').next() == Some(name));
        step.unwrap_or_else(|| panic!("no step uses {name}"))
    };
    check_junit(&published(text(by("mikepenz/action-junit-report"), &["with", "report_paths"])));
    published(text(by("actions/upload-artifact"), &["with", "path"]));
    check_summary(summary.path());
}

fn gitlab() {
    let pipeline = example("gitlab-ci.yml");
    text(&pipeline, &["variables", CRASHES.0, "value"]).parse::<u32>().unwrap();
    let variables = BTreeMap::from([(CRASHES.0, CRASHES.1.to_owned())]);
    let job = at(&pipeline, &["crash-loop"]);
    // GitLab runs both parts as one script.
    let parts = ["before_script", "script"].map(|part| at(job, &[part]).as_vec().unwrap());
    let lines: Vec<&str> = parts.into_iter().flatten().map(|line| line.as_str().unwrap()).collect();
    assert!(lines.iter().any(|line| line.contains("make loop")));
    run(&lines.join("\n"), &variables);
    let artefacts = at(job, &["artifacts"]);
    assert_eq!(text(artefacts, &["when"]), "always", "a loop that failed is published too");
    check_junit(&published(text(artefacts, &["reports", "junit"])));
    let results = published(text(artefacts, &["paths", "0"]));
    check_summary(&results.join("summary.md"));
}
