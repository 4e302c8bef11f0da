//! CTF, as the real babeltrace2 reads it.

mod support;

use ring::escape::Escaped;
use std::process::Command;
use support::{damaged, everything, pathological};
use trace::fake::Fake;
use trace::{Event, Item, Loss, Trace, Value};

/// What babeltrace2 prints of a trace, and what it warns of.
fn read(fake: &dyn Trace) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    formats::ctf::write(fake, directory.path()).unwrap();
    let arguments = ["--clock-cycles", "--no-delta"];
    let output = Command::new("babeltrace2").args(arguments).arg(directory.path()).env("LC_ALL", "C").output();
    let output = output.expect("scripts/setup.sh --tests installs babeltrace2");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}

/// Text as babeltrace2 shows it.
fn text(text: &[u8]) -> String {
    let escaped = Escaped(text).to_string();
    format!("\"{}\"", escaped.replace('\\', "\\\\").replace('"', "\\\"").replace('\'', "\\'"))
}

/// Bytes as babeltrace2 shows them, with their number before them.
fn bytes(name: &str, length: &str, bytes: &[u8]) -> String {
    let all: Vec<_> = bytes.iter().enumerate().map(|(at, byte)| format!("[{at}] = {byte}")).collect();
    let space = if all.is_empty() { "" } else { " " };
    format!("{length} = {}, {name} = [ {}{space}]", bytes.len(), all.join(", "))
}

fn event(fake: &dyn Trace, event: &Event<'_>) -> String {
    let format = fake.schema().get(event.id);
    let values: Option<Vec<_>> = format.and_then(|format| {
        // The second of one name has a number behind it.
        let mut names: Vec<String> = Vec::new();
        let value = |field: &trace::Field| {
            let (mut name, mut number) = (field.name.clone(), 2);
            while names.contains(&name) {
                name = format!("{}_{number}", field.name);
                number += 1;
            }
            names.push(name.clone());
            Some(match field.value(event.payload)? {
                Value::Text(value) => format!("{name} = {}", text(value)),
                Value::Bytes(value) => bytes(&name, &format!("{name}_length"), value),
                Value::Hex(value) => format!("{name} = 0x{value:X}"),
                value => format!("{name} = {value}"),
            })
        };
        format.fields.iter().map(value).collect()
    });
    let (name, fields) = match (format, values) {
        (Some(format), Some(values)) => (format.name.as_str(), values.join(", ")),
        (Some(format), None) => {
            let name = text(format.name.as_bytes());
            ("truncated", format!("id = {}, name = {name}, {}", event.id, bytes("data", "length", event.payload)))
        }
        _ => ("unknown", format!("id = {}, {}", event.id, bytes("data", "length", event.payload))),
    };
    let marks = u8::from(!event.time_is_certain) | u8::from(event.after_loss) << 1 | u8::from(event.beyond_commit) << 2;
    let fields = if fields.is_empty() { String::new() } else { format!(", {{ {fields} }}") };
    format!(
        "[{:020}] {name}: {{ cpu_id = {} }}, {{ pid = {}, flags = {}, nesting = {}, marks = {marks} }}{fields}",
        event.time_ns, event.core, event.pid, event.flags, event.nesting
    )
}

fn loss(loss: &Loss<'_>) -> String {
    format!(
        "[{:020}] loss: {{ cpu_id = {} }}, {{ pid = 0, flags = 0, nesting = 0, marks = 0 }}, \
         {{ kind = {}, events = {}, what = {} }}",
        loss.time_ns,
        loss.core,
        text(loss.kind.name().as_bytes()),
        loss.events.unwrap_or(0),
        text(loss.what.as_bytes())
    )
}

fn same(said: &str, fake: &dyn Trace) {
    let expected = support::items(fake);
    for (said, expected) in said.lines().zip(&expected) {
        match expected {
            Item::Event(expected) => assert_eq!(said, event(fake, expected)),
            Item::Loss(expected) => assert_eq!(said, loss(expected)),
        }
    }
    assert_eq!(said.lines().count(), expected.len());
}

#[test]
fn babeltrace_tells_every_event_as_the_model_does() {
    for fake in [everything(), pathological(), Fake::new(1, []), Fake::new(64, support::formats())] {
        let (said, warned) = read(&fake);
        same(&said, &fake);
        assert_eq!(warned, "");
    }
}

#[test]
fn babeltrace_tells_losses_as_events_and_warns_of_what_was_counted() {
    let fake = damaged();
    let (said, warned) = read(&fake);
    same(&said, &fake);
    let warned: Vec<_> = warned.lines().map(|line| line.split(" between").next().unwrap()).collect();
    let expected = [
        "WARNING: Tracer may have discarded events",
        "WARNING: Tracer discarded 5 events",
        "WARNING: Tracer discarded 2 packets",
        "WARNING: Tracer discarded 8 events",
        "WARNING: Tracer discarded 1 packet",
    ];
    assert_eq!(warned, expected);
}

#[test]
fn babeltrace_reads_a_region_whole_and_damaged() {
    for (image, is_whole) in [(support::region(), true), (support::damaged_region(), false)] {
        support::read_region(image, |trace| {
            let (said, warned) = read(trace);
            same(&said, trace);
            assert!(said.lines().count() > 800);
            assert!(!is_whole || warned.is_empty(), "{warned}");
        });
    }
}

#[test]
fn a_time_that_goes_back_is_that_of_the_event_before_and_marked() {
    let mut fake = Fake::new(1, support::formats());
    for time in [5_000, 9_000, 7_000, u64::MAX] {
        fake.event(0, time, 4098, &1u32.to_le_bytes());
    }
    let (said, _) = read(&fake);
    let times: Vec<_> = said.lines().map(|line| (&line[1..21], line.contains("marks = 8"))).collect();
    let expected = [5_000, 9_000, 9_000, 1u64 << 62].map(|time| format!("{time:020}"));
    let expected: Vec<_> = expected.iter().map(String::as_str).zip([false, false, true, true]).collect();
    assert_eq!(times, expected);
}

#[test]
fn nothing_of_a_region_is_more_than_text_in_the_metadata() {
    let mut fake = everything();
    fake.about.title = "\"; } env { evil = 1; }; \\".into();
    fake.about.board = Some("a\nb\\\"".into());
    fake.about.remarks = vec!["*/ stream { }".into()];
    fake.about.panic = Some(trace::Panic {
        core: 1,
        time_ns: 5,
        message: "assertion `left == right` failed\\n".into(),
        location: "a.rs:5".into(),
        registers: None,
        fault_address: 0,
        explained: vec![],
        backtrace: vec![],
        nested: vec![],
    });
    let (said, warned) = read(&fake);
    same(&said, &fake);
    assert_eq!(warned, "");
}
