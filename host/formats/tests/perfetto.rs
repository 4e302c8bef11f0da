//! What Perfetto's own schema reads of our packets.
//!
//! `data/perfetto.protoset.gz` is the schema as PyPI's `perfetto` 0.59.1 ships it (Apache-2.0): its file descriptors,
//! serialized.

mod support;

use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};
use std::io::Read;
use support::{damaged, everything};
use trace::fake::Fake;
use trace::{Item, Trace};

fn parse(bytes: &[u8]) -> Vec<DynamicMessage> {
    let mut schema = Vec::new();
    flate2::read::GzDecoder::new(&include_bytes!("data/perfetto.protoset.gz")[..]).read_to_end(&mut schema).unwrap();
    let pool = DescriptorPool::decode(schema.as_slice()).unwrap();
    let kind = pool.get_message_by_name("perfetto.protos.Trace").unwrap();
    let trace = DynamicMessage::decode(kind, bytes).unwrap();
    known(&trace);
    let packets = trace.get_field_by_name("packet").unwrap();
    packets.as_list().unwrap().iter().map(|packet| packet.as_message().unwrap().clone()).collect()
}

/// Nothing in it is unknown to the schema.
fn known(message: &DynamicMessage) {
    assert_eq!(message.unknown_fields().count(), 0, "{}", message.descriptor().full_name());
    for (_, value) in message.fields() {
        match value {
            Value::Message(inner) => known(inner),
            Value::List(all) => all.iter().filter_map(Value::as_message).for_each(known),
            _ => {}
        }
    }
}

fn number(message: &DynamicMessage, field: &str) -> u64 {
    let value = message.get_field_by_name(field).unwrap();
    value
        .as_u64()
        .or_else(|| value.as_u32().map(u64::from))
        .or_else(|| value.as_enum_number().map(|n| n as u64))
        .unwrap()
}

fn inner(message: &DynamicMessage, field: &str) -> DynamicMessage {
    message.get_field_by_name(field).unwrap().as_message().unwrap().clone()
}

#[test]
fn every_event_and_loss_is_in_it_under_its_name_and_track() {
    for fake in [everything(), damaged()] {
        packets_of(&fake);
    }
}

fn packets_of(fake: &Fake) {
    let mut bytes = Vec::new();
    formats::stream(fake, formats::Output::Perfetto, &mut bytes).unwrap();
    let packets = parse(&bytes);
    let mut names = std::collections::HashMap::new();
    let mut seen = Vec::new();
    let mut dropped = 0;
    for packet in &packets {
        if packet.has_field_by_name("interned_data") {
            let data = inner(packet, "interned_data");
            for name in data.get_field_by_name("event_names").unwrap().as_list().unwrap() {
                let name = name.as_message().unwrap();
                let text = name.get_field_by_name("name").unwrap().as_str().unwrap().to_owned();
                names.insert((number(packet, "trusted_packet_sequence_id"), number(name, "iid")), text);
            }
        }
        if !packet.has_field_by_name("track_event") {
            continue;
        }
        dropped += number(packet, "previous_packet_dropped");
        let event = inner(packet, "track_event");
        let name = match number(&event, "name_iid") {
            0 => event.get_field_by_name("name").unwrap().as_str().unwrap().to_owned(),
            iid => names[&(number(packet, "trusted_packet_sequence_id"), iid)].clone(),
        };
        seen.push((number(&event, "track_uuid") - 2, number(packet, "timestamp"), name));
    }
    let mut expected = Vec::new();
    for core in 0..fake.about().cores.len() as u32 {
        expected.extend(fake.items(core).map(|item| {
            let name = match &item {
                Item::Event(event) if fake.schema().get(event.id).is_none() => format!("event {}", event.id),
                Item::Event(event) => fake.name(event.id).to_owned(),
                Item::Loss(loss) => format!("lost ({})", loss.kind.name()),
            };
            let name = name.strip_suffix("_entry").or(name.strip_suffix("_exit")).unwrap_or(&name).to_owned();
            (u64::from(core), item.time_ns(), name)
        }));
        // What has begun and not ended is ended.
        let begun = seen.iter().filter(|(of, ..)| *of == u64::from(core)).count()
            - expected.iter().filter(|(of, ..)| *of == u64::from(core)).count();
        let ended = seen.iter().rev().filter(|(of, ..)| *of == u64::from(core)).take(begun);
        assert!(ended.clone().all(|(_, _, name)| name.is_empty()));
        let at: Vec<_> = seen
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, (of, ..))| *of == u64::from(core))
            .take(begun)
            .map(|(at, _)| at)
            .collect();
        at.into_iter().for_each(|at| drop(seen.remove(at)));
    }
    assert_eq!(seen, expected);
    let losses = (0..2).flat_map(|core| fake.items(core)).filter(|item| matches!(item, Item::Loss(_))).count();
    assert!(dropped >= losses as u64, "{dropped} of {losses}");
    assert_eq!(
        packets.iter().filter(|packet| packet.has_field_by_name("track_descriptor")).count(),
        1 + fake.about().cores.len()
    );
}
