//! trace.dat, as the real `trace-cmd report` reads it.

mod support;

use std::io::Write;
use support::{damaged, everything, pathological};
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
fn line(fake: &dyn Trace, event: &trace::Event<'_>) -> Vec<u8> {
    let (seconds, nanos) = (event.time_ns / 1_000_000_000, event.time_ns % 1_000_000_000);
    let task = if event.pid == 0 { "<idle>-0".into() } else { format!("<...>-{}", event.pid) };
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

/// What trace-cmd has to print of a trace with losses: what is dropped before the first event behind each.
fn expected(trace: &dyn Trace) -> Vec<Vec<u8>> {
    let cores = trace.about().cores.len();
    let mut expected = Vec::new();
    let mut missing: Vec<Option<(Option<u64>, String, u64)>> = vec![None; cores];
    for item in support::items(trace) {
        let core = item.core() as usize;
        match item {
            Item::Loss(loss) => {
                let before = missing[core].take();
                let events = match before {
                    Some((events, ..)) => loss.events.zip(events).map(|(a, b)| a + b),
                    None => loss.events,
                };
                missing[core] = Some((events, loss.what.into_owned(), loss.time_ns));
            }
            Item::Event(event) => {
                expected.extend(missing[core].take().map(|(events, ..)| dropped(core, events)));
                expected.push(line(trace, &event));
            }
        }
    }
    // Behind the last event of a core there is none that could say it.
    for (core, missing) in missing.into_iter().enumerate() {
        if let Some((events, what, time)) = missing {
            expected.push(dropped(core, events));
            let (seconds, nanos) = (time / 1_000_000_000, time % 1_000_000_000);
            expected.push(format!("<idle>-0 [{core:03}] {seconds}.{nanos:09}: loss: {what}\n").into_bytes());
        }
    }
    expected
}

fn dropped(core: usize, events: Option<u64>) -> Vec<u8> {
    match events {
        Some(events) => format!("CPU:{core} [{events} EVENTS DROPPED]\n").into_bytes(),
        None => format!("CPU:{core} [EVENTS DROPPED]\n").into_bytes(),
    }
}

#[test]
fn trace_cmd_says_which_events_were_dropped_where() {
    let fake = damaged();
    same(&report(&fake), &expected(&fake));
}

#[test]
fn trace_cmd_reads_a_region_whole_and_damaged() {
    for (image, is_whole) in [(support::region(), true), (support::damaged_region(), false)] {
        support::read_region(image, |trace| {
            let lost = support::items(trace).iter().filter(|item| matches!(item, Item::Loss(_))).count();
            assert_eq!(lost == 0, is_whole, "{lost} losses");
            let expected = expected(trace);
            assert!(expected.len() > 800, "{}", expected.len());
            same(&report(trace), &expected);
        });
    }
}
