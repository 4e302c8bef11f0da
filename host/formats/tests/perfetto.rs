//! Perfetto's protocol buffers, as its own schema reads them.
//!
//! `data/perfetto.protoset.gz` is the schema as PyPI's `perfetto` 0.59.1 ships it (Apache-2.0): its file descriptors,
//! serialized.

mod support;

use prost_reflect::{DescriptorPool, DynamicMessage, Value as Proto};
use ring::escape::Escaped;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::io::Read;
use support::{damaged, everything, formats, pathological, with_u32, with_u64};
use trace::fake::Fake;
use trace::{Event, Item, LossKind, Trace, Value};

/// A trace's packets, by Perfetto's schema.
fn parse(bytes: &[u8]) -> Vec<DynamicMessage> {
    let mut schema = Vec::new();
    flate2::read::GzDecoder::new(&include_bytes!("data/perfetto.protoset.gz")[..]).read_to_end(&mut schema).unwrap();
    let pool = DescriptorPool::decode(schema.as_slice()).unwrap();
    let trace = DynamicMessage::decode(pool.get_message_by_name("perfetto.protos.Trace").unwrap(), bytes).unwrap();
    known(&trace);
    list(&trace, "packet")
}

/// Nothing in it is unknown to the schema.
fn known(message: &DynamicMessage) {
    assert_eq!(message.unknown_fields().count(), 0, "{message:?}");
    for (_, value) in message.fields() {
        match value {
            Proto::Message(inner) => known(inner),
            Proto::List(all) => all.iter().filter_map(Proto::as_message).for_each(known),
            _ => {}
        }
    }
}

fn list(message: &DynamicMessage, field: &str) -> Vec<DynamicMessage> {
    let list = message.get_field_by_name(field).unwrap();
    list.as_list().unwrap().iter().map(|inner| inner.as_message().unwrap().clone()).collect()
}

/// A field as JSON; null if it is not there.
fn get(message: &DynamicMessage, field: &str) -> Json {
    if !message.has_field_by_name(field) {
        return Json::Null;
    }
    match &*message.get_field_by_name(field).unwrap() {
        Proto::Bool(value) => json!(value),
        Proto::I32(value) | Proto::EnumNumber(value) => json!(value),
        Proto::I64(value) => json!(value),
        Proto::U32(value) => json!(value),
        Proto::U64(value) => json!(value),
        Proto::String(value) => json!(value),
        value => panic!("{field} is {value:?}"),
    }
}

fn inner(message: &DynamicMessage, field: &str) -> DynamicMessage {
    message.get_field_by_name(field).unwrap().as_message().unwrap().clone()
}

/// The tracks and the packets of a trace. Names that were told once in a sequence are put in their places as Perfetto's trace
/// processor does it: what was told before a packet that says that packets were dropped is forgotten.
fn read(trace: &dyn Trace) -> (Vec<Json>, Vec<Json>) {
    let mut out = Vec::new();
    formats::perfetto::write(trace, &mut out).unwrap();
    let (mut tracks, mut packets) = (Vec::new(), Vec::new());
    let mut told: HashMap<u64, HashMap<(&str, u64), Json>> = HashMap::new();
    for packet in parse(&out) {
        let sequence = get(&packet, "trusted_packet_sequence_id").as_u64().unwrap();
        if packet.has_field_by_name("track_descriptor") {
            let track = inner(&packet, "track_descriptor");
            let name = match track.has_field_by_name("process") {
                true => get(&inner(&track, "process"), "process_name"),
                false => get(&track, "name"),
            };
            tracks.push(json!({ "track": get(&track, "uuid"), "parent": get(&track, "parent_uuid"), "name": name }));
            continue;
        }
        let dropped = get(&packet, "previous_packet_dropped") == json!(1);
        let flags = get(&packet, "sequence_flags").as_u64().unwrap_or(0);
        if dropped {
            told.remove(&sequence);
        }
        if flags & 1 != 0 {
            told.insert(sequence, HashMap::new());
        }
        assert!(flags & 2 == 0 || told.contains_key(&sequence), "it needs names that are forgotten");
        let mut none = HashMap::new();
        let names = told.get_mut(&sequence).unwrap_or(&mut none);
        if packet.has_field_by_name("interned_data") {
            for table in ["event_names", "debug_annotation_names"] {
                for entry in list(&inner(&packet, "interned_data"), table) {
                    names.insert((table, get(&entry, "iid").as_u64().unwrap()), get(&entry, "name"));
                }
            }
        }
        let name = |table, iid: Json| iid.as_u64().map_or(Json::Null, |iid| names[&(table, iid)].clone());
        let event = inner(&packet, "track_event");
        let values = list(&event, "debug_annotations").into_iter().map(|annotation| {
            let kinds = ["uint_value", "int_value", "pointer_value", "string_value"];
            let kind = kinds.into_iter().find(|kind| annotation.has_field_by_name(kind)).unwrap();
            json!([name("debug_annotation_names", get(&annotation, "name_iid")), kind, get(&annotation, kind)])
        });
        let kind = ["", "SLICE_BEGIN", "SLICE_END", "INSTANT"][get(&event, "type").as_u64().unwrap() as usize];
        packets.push(json!({
            "sequence": sequence,
            "time_ns": get(&packet, "timestamp"),
            "dropped": dropped,
            "type": kind,
            "on": get(&event, "track_uuid"),
            "values": values.collect::<Vec<_>>(),
            "name": name("event_names", get(&event, "name_iid")),
        }));
    }
    (tracks, packets)
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
        assert_eq!(tracks[0], json!({"track": 1, "parent": null, "name": "boot 7, panicked"}));
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
    let seen: Vec<_> =
        packets.iter().map(|packet| (packet["time_ns"].as_u64().unwrap(), packet["type"].as_str().unwrap())).collect();
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
