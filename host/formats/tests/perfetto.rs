//! Perfetto's protocol buffers, as its own schema reads them.

mod support;

use ring::escape::Escaped;
use serde_json::{Value as Json, json};
use std::io::Write;
use std::path::Path;
use support::{damaged, everything, formats, pathological, with_u32, with_u64};
use trace::fake::Fake;
use trace::{Event, Item, LossKind, Trace, Value};

/// The packets by Perfetto's schema: tracks first.
fn read(trace: &dyn Trace) -> (Vec<Json>, Vec<Json>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut out = Vec::new();
    formats::perfetto::write(trace, &mut out).unwrap();
    file.write_all(&out).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../../target/python/bin/python");
    let script = root.join("tests/support/packets.py");
    let said = support::read(python.to_str().unwrap(), &[script.to_str().unwrap()], file.path());
    let lines = said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice::<Json>(line).unwrap()).partition(|line| !line["track"].is_null())
}

/// The annotations that an event has to have.
fn values(fake: &Fake, event: &Event<'_>) -> Vec<Json> {
    let mut values = Vec::new();
    match fake.schema().get(event.id) {
        None => {
            values.push(json!(["common_id", "uint_value", event.id]));
            values.push(json!(["data", "string_value", trace::hex(event.payload)]));
        }
        Some(format) => {
            let mut names: Vec<String> = Vec::new();
            for field in &format.fields {
                let own = match field.name.starts_with("common_") {
                    true => format!("f_{}", field.name),
                    false => field.name.clone(),
                };
                let (mut name, mut number) = (own.clone(), 2);
                while names.contains(&name) {
                    name = format!("{own}_{number}");
                    number += 1;
                }
                names.push(name.clone());
                values.extend(field.value(event.payload).map(|value| match value {
                    Value::Unsigned(number) => json!([name, "uint_value", number]),
                    Value::Signed(number) => json!([name, "int_value", number]),
                    Value::Hex(number) => json!([name, "pointer_value", number]),
                    Value::Text(text) => json!([name, "string_value", Escaped(text).to_string()]),
                    Value::Bytes(bytes) => json!([name, "string_value", trace::hex(bytes)]),
                }));
            }
        }
    }
    values.push(json!(["common_pid", "int_value", event.pid]));
    values.push(json!(["common_flags", "uint_value", event.flags]));
    values.push(json!(["common_nesting", "uint_value", event.nesting]));
    if !event.time_is_certain {
        values.push(json!(["common_time_is_uncertain", "uint_value", 1]));
    }
    values
}

#[test]
fn the_schema_tells_every_event_and_loss_as_the_model_does() {
    for fake in [everything(), damaged(), pathological()] {
        let (tracks, packets) = read(&fake);
        let cores = fake.about().cores.len() as u32;
        assert_eq!(tracks.len() as u32, cores + 1);
        assert_eq!(tracks[0], json!({"track": 1, "parent": 0, "name": "boot 7, panicked"}));
        // Slices that a loss or the end cuts have no event at their ends.
        let mut packets = packets.iter().filter(|packet| !packet["name"].is_null());
        for core in 0..cores {
            assert_eq!(
                tracks[core as usize + 1],
                json!({"track": core + 2, "parent": 1, "name": format!("core {core}")})
            );
            for item in fake.items(core) {
                let packet = packets.next().unwrap();
                assert_eq!((&packet["time_ns"], &packet["on"]), (&json!(item.time_ns()), &json!(core + 2)));
                assert_eq!(packet["sequence"], json!(core + 2));
                assert_eq!(packet["dropped"], json!(matches!(item, Item::Loss(_))));
                match item {
                    Item::Event(event) => {
                        assert_eq!(packet["name"], fake.name(event.id));
                        assert_eq!(packet["values"], Json::Array(values(&fake, &event)));
                    }
                    Item::Loss(loss) => {
                        let mut values = vec![json!(["kind", "string_value", loss.kind.name()])];
                        values.extend(loss.events.map(|events| json!(["events", "uint_value", events])));
                        values.push(json!(["what", "string_value", loss.what]));
                        assert_eq!((&packet["name"], &packet["values"]), (&json!("loss"), &Json::Array(values)));
                    }
                }
            }
        }
        assert_eq!(packets.next(), None);
    }
}

#[test]
fn interrupts_are_slices_and_none_goes_on_over_a_loss() {
    let mut fake = Fake::new(1, formats());
    let entry = |fake: &mut Fake, time| fake.event(0, time, 4097, &with_u32(27, &[0; 8]));
    let exit = |fake: &mut Fake, time| fake.event(0, time, 4098, &27u32.to_le_bytes());
    exit(&mut fake, 10);
    entry(&mut fake, 20);
    entry(&mut fake, 30);
    exit(&mut fake, 40);
    exit(&mut fake, 50);
    entry(&mut fake, 60);
    fake.loss(0, LossKind::Stale, None);
    exit(&mut fake, 70);
    entry(&mut fake, 80);
    fake.event(0, 90, 5, &with_u64(0, b"last\0"));
    let packets = read(&fake).1;
    let seen: Vec<_> = packets
        .iter()
        .map(|packet| {
            (packet["time_ns"].as_u64().unwrap(), packet["type"].as_str().unwrap().trim_start_matches("TYPE_"))
        })
        .collect();
    let expected = [
        (10, "INSTANT"),
        (20, "SLICE_BEGIN"),
        (30, "SLICE_BEGIN"),
        (40, "SLICE_END"),
        (50, "SLICE_END"),
        (60, "SLICE_BEGIN"),
        (60, "SLICE_END"),
        (60, "INSTANT"),
        (70, "INSTANT"),
        (80, "SLICE_BEGIN"),
        (90, "INSTANT"),
        (90, "SLICE_END"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn stops_and_the_panic_are_instants_on_their_cores() {
    let mut fake = everything();
    let stop = trace::Stop {
        outcome: "stopped",
        time_ns: 5_000_000_000_000,
        means: Some("NMI"),
        pc: 0x4008_0000,
        lr: 1,
        sp: 2,
        pstate: 0x3c5,
        words: "stopped by NMI at 0x40080000".into(),
    };
    fake.about.cores[0].stop = Some(trace::Stop { outcome: "panicked", ..stop.clone() });
    fake.about.cores[1].stop = Some(stop.clone());
    fake.about.cores[2].stop = Some(trace::Stop { outcome: "no answer", time_ns: 1_000, ..stop });
    fake.about.panic = Some(trace::Panic {
        core: 0,
        time_ns: 4_999_999_999_999,
        message: "index out of bounds".into(),
        location: "a.rs:5".into(),
        registers: None,
        fault_address: 0,
        explained: vec![],
        backtrace: vec![],
        nested: vec![],
    });
    let packets = read(&fake).1;
    let own = |name: &str| -> Vec<(u64, u64)> {
        let named = packets.iter().filter(|packet| packet["name"] == name && packet["values"][0][0] != "core");
        named.map(|packet| (packet["on"].as_u64().unwrap(), packet["time_ns"].as_u64().unwrap())).collect()
    };
    assert_eq!(own("core stands still"), [(2, 5_000_000_000_000), (3, 5_000_000_000_000), (4, 4_999_999_999_999)]);
    assert_eq!(own("panic"), [(2, 4_999_999_999_999)]);
}
