//! A row of crashes is broken: after so many the workload does not run any more until somebody acknowledges them.

mod kernel;
use kernel::{machine, run, says};
use qemu::Outcome;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

/// Bounds what hangs; no test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Boots that recorded.
fn recorded(outcome: &Outcome) -> usize {
    outcome.console.matches("recording 300 events").count()
}

#[test]
fn after_so_many_crashes_that_nobody_acknowledges_the_workload_does_not_run() {
    for die in ["panic", "reset", "panic-in-panic"] {
        let outcome = run(&machine(&format!("die={die} cycles=100 ack=no crash_loop=3 events=300 tail=0")), 3);
        assert_eq!(recorded(&outcome), 3, "{die}: {}", outcome.story());
        says(&outcome, "crash loop: 3 boots in a row have crashed since boot 1");
        says(&outcome, "crash in bank 2:");
        says(&outcome, "power off with status 3");
    }
}

#[test]
fn crashes_that_are_acknowledged_are_no_loop() {
    let outcome = run(&machine("cycles=5 crash_loop=2 events=300 tail=0"), 0);
    assert_eq!(recorded(&outcome), 5, "{}", outcome.story());
    assert!(!outcome.console.contains("crash loop"), "{}", outcome.story());
}

#[test]
fn with_crash_loop_0_it_goes_on_for_ever() {
    let outcome = run(&machine("cycles=7 ack=no crash_loop=0 events=300 tail=0"), 0);
    assert_eq!(recorded(&outcome), 7, "{}", outcome.story());
}

#[test]
fn a_loop_that_was_broken_is_left_by_acknowledging_it() {
    let machine = machine("cycles=100 crash_loop=2 events=300 tail=0");
    let ram = machine.make_ram().unwrap();
    run(&machine.clone().append("ack=no").ram(&ram), 3);
    // To boot again is no way out.
    let again = run(&machine.clone().append("ack=no").ram(&ram), 3);
    says(&again, "crash loop: 2 boots in a row have crashed since boot 1");
    let next = run(&machine.append("ack=yes cycles=6").ram(&ram), 0);
    says(&next, "acknowledged: 2 banks are free again");
    assert_eq!(recorded(&next), 2, "{}", next.story());
}

#[test]
fn a_telling_that_crashes_is_left_out_at_last() {
    let outcome = run(&machine("die=panic-in-dump cycles=100 crash_loop=1 events=300 tail=0"), 3);
    says(&outcome, "asked for by die=panic-in-dump");
    says(&outcome, "the crashes are not told");
}

#[test]
fn banks_that_are_kept_do_not_keep_a_loop_from_being_seen() {
    let outcome = run(&machine("banks=2 keep=first cycles=100 ack=no crash_loop=4 events=300 tail=0"), 3);
    says(&outcome, "this boot records nothing");
    says(&outcome, "crash loop: 4 boots in a row have crashed");
}

/// Reads the line until it has said this.
fn hear(line: &mut UnixStream, heard: &mut String, text: &str) {
    let mut buffer = [0; 4096];
    while !heard.contains(text) {
        let count = line.read(&mut buffer).unwrap_or(0);
        assert!(count > 0, "it does not say {text:?}\n{heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

#[test]
fn a_key_runs_the_workload_once_more() {
    let machine = machine("cycles=100 crash_loop=1 events=300 tail=0 ack=no");
    let ram = machine.make_ram().unwrap();
    run(&machine.clone().ram(&ram), 3);
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("serial");
    let listener = UnixListener::bind(&socket).unwrap();
    let machine = machine.append("after=halt").ram(&ram).serial(format!("unix:{}", socket.display()));
    let running = machine.start(PATIENCE).unwrap();
    let (mut line, _) = listener.accept().unwrap();
    line.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = String::new();
    hear(&mut line, &mut heard, "crash loop: press a key to run the workload once more");
    line.write_all(b"k").unwrap();
    hear(&mut line, &mut heard, "recording 300 events on each of 4 cores");
    running.kill().unwrap();
}
