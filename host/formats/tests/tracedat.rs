//! trace.dat, as the real `trace-cmd report` reads it.

mod support;

use std::io::Write;
use support::{damaged, everything, pathological};
use trace::fake::Fake;
use trace::{Item, Trace};

fn file(trace: &dyn Trace) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut out = std::io::Cursor::new(Vec::new());
    formats::tracedat::write(trace, &mut out).unwrap();
    file.write_all(&out.into_inner()).unwrap();
    file
}

/// What trace-cmd prints of it, with times in nanoseconds, without the line that counts the cores.
fn report(trace: &dyn Trace) -> Vec<u8> {
    let file = file(trace);
    let mut said = support::read("trace-cmd", &["report", "-t", "-i"], file.path());
    let end = said.iter().position(|byte| *byte == b'\n').unwrap();
    let first: Vec<u8> = said.drain(..=end).collect();
    assert_eq!(first, format!("cpus={}\n", trace.about().cores.len()).as_bytes());
    said
}

/// A line as trace-cmd prints it.
fn line(fake: &Fake, event: &trace::Event<'_>) -> Vec<u8> {
    let (seconds, nanos) = (event.time_ns / 1_000_000_000, event.time_ns % 1_000_000_000);
    let task = format!("<...>-{}", event.pid);
    let name = format!("{}:", fake.name(event.id));
    let head = format!("{task} [{:03}] {seconds}.{nanos:09}: {name} ", event.core);
    [head.as_bytes(), &support::raw_text(fake, event), b"\n"].concat()
}

/// Compares line by line, blanks of columns aside.
fn same(said: &[u8], expected: &[Vec<u8>]) {
    let blanks = |text: &[u8]| {
        let words = |line: &str| line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        String::from_utf8_lossy(text).split('\n').map(words).collect::<Vec<_>>().join("\n")
    };
    let (said, expected) = (blanks(said), blanks(&expected.concat()));
    for (said, expected) in said.split('\n').zip(expected.split('\n')) {
        assert_eq!(said, expected);
    }
    assert_eq!(said.len(), expected.len(), "{said}\n{expected}");
}

#[test]
fn trace_cmd_tells_every_event_as_the_model_does() {
    for fake in [everything(), pathological()] {
        let expected: Vec<_> = support::events(&fake).iter().map(|event| line(&fake, event)).collect();
        same(&report(&fake), &expected);
    }
}

#[test]
fn trace_cmd_says_which_events_were_dropped_where() {
    let fake = damaged();
    let said = report(&fake);
    // trace-cmd says it before the first event behind the loss.
    let mut expected = Vec::new();
    let mut missing = [None, None];
    for item in support::items(&fake) {
        let core = item.core() as usize;
        match item {
            Item::Loss(loss) => missing[core] = Some((loss.events, loss.what.into_owned(), loss.time_ns)),
            Item::Event(event) => {
                match missing[core].take() {
                    Some((Some(events), ..)) => {
                        expected.push(format!("CPU:{core} [{events} EVENTS DROPPED]\n").into_bytes());
                    }
                    Some((None, ..)) => expected.push(format!("CPU:{core} [EVENTS DROPPED]\n").into_bytes()),
                    None => {}
                }
                expected.push(line(&fake, &event));
            }
        }
    }
    // Behind the last event of a core there is none that could say it.
    let (_, what, time) = missing[1].take().unwrap();
    expected.push(b"CPU:1 [1 EVENTS DROPPED]\n".to_vec());
    expected.push(format!("<idle>-0 [001] 0.{time:09}: loss: {what}\n").into_bytes());
    same(&said, &expected);
}
