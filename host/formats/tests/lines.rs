//! JSON lines and CSV, read again by readers that are not ours.

mod support;

use ring::escape::Escaped;
use serde_json::{Value as Json, json};
use support::{damaged, everything, pathological};
use trace::fake::Fake;
use trace::{Event, Item, LossKind, Trace, Value};

fn jsonl(trace: &dyn Trace) -> Vec<Json> {
    let mut out = Vec::new();
    formats::jsonl::write(trace, &mut out).unwrap();
    assert!(out.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~')));
    out.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn rows(trace: &dyn Trace) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    formats::csv::write(trace, &mut out).unwrap();
    assert!(out.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~')));
    let mut reader = csv::Reader::from_reader(&out[..]);
    assert_eq!(reader.headers().unwrap(), vec!["time", "core", "kind", "name", "pid", "context", "text", "fields"]);
    reader.records().map(|row| row.unwrap().iter().map(String::from).collect()).collect()
}

/// A field as JSON has it.
fn value(value: Option<Value<'_>>) -> Json {
    match value {
        None => Json::Null,
        Some(Value::Unsigned(number)) => json!(number),
        Some(Value::Signed(number)) => json!(number),
        Some(Value::Hex(number)) => json!(format!("{number:#x}")),
        Some(Value::Text(text)) => json!(Escaped(text).to_string()),
        Some(Value::Bytes(bytes)) => json!(trace::hex(bytes)),
    }
}

fn text(fake: &Fake, event: &Event<'_>) -> String {
    let mut text = String::new();
    fake.text(event, &mut text).unwrap();
    text
}

#[test]
fn json_tells_every_event_and_loss_as_the_model_does() {
    for fake in [everything(), damaged(), pathological()] {
        let lines = jsonl(&fake);
        let items = support::items(&fake);
        assert_eq!(lines.len(), items.len() + 1);
        for (line, item) in lines[1..].iter().zip(&items) {
            assert_eq!(
                (line["time_ns"].as_u64(), line["core"].as_u64()),
                (Some(item.time_ns()), Some(item.core().into()))
            );
            let event = match item {
                Item::Event(event) => event,
                Item::Loss(loss) => {
                    let told = (&line["type"], &line["kind"], &line["events"], &line["what"]);
                    assert_eq!(
                        told,
                        (&json!("loss"), &json!(loss.kind.name()), &json!(loss.events), &json!(loss.what))
                    );
                    continue;
                }
            };
            assert_eq!((&line["type"], &line["name"]), (&json!("event"), &json!(fake.name(event.id))));
            assert_eq!((&line["id"], &line["pid"]), (&json!(event.id), &json!(event.pid)));
            assert_eq!(line["after_loss"].as_bool().unwrap_or(false), event.after_loss);
            assert_eq!(line["text"], json!(text(&fake, event)));
            match fake.schema().get(event.id) {
                None => assert_eq!(line["fields"], json!({ "data": trace::hex(event.payload) })),
                Some(format) => {
                    let fields = line["fields"].as_object().unwrap();
                    assert_eq!(fields.len(), format.fields.len(), "two of one name are two");
                    for field in &format.fields {
                        let first = format.fields.iter().find(|first| first.name == field.name).unwrap();
                        if field == first && !field.name.starts_with("a_") {
                            assert_eq!(fields[&field.name], value(field.value(event.payload)), "{}", field.name);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn json_says_first_what_the_trace_is() {
    let mut fake = damaged();
    fake.about.cores[1].stop = Some(trace::Stop {
        outcome: "stopped",
        time_ns: u64::MAX,
        means: Some("NMI"),
        pc: 0x4008_0000,
        lr: 1,
        sp: 2,
        pstate: 0x3c5,
        words: "stopped by NMI".into(),
    });
    let about = &jsonl(&fake)[0]["about"];
    assert_eq!((&about["title"], &about["boot"]), (&json!("boot 7, panicked"), &json!(7)));
    assert_eq!((&about["boot_id"], &about["end"]), (&json!("0x12345678"), &json!("panic")));
    let core = &about["cores"][1];
    assert_eq!((&core["counts"]["events"], &core["counts"]["losses"]), (&json!(5), &json!(2)));
    assert_eq!((&core["stop"]["pc"], &core["stop"]["time_ns"]), (&json!("0x40080000"), &json!(u64::MAX)));
}

#[test]
fn csv_has_a_row_for_every_event_and_loss() {
    for fake in [everything(), damaged(), pathological()] {
        let rows = rows(&fake);
        let items = support::items(&fake);
        assert_eq!(rows.len(), items.len());
        for (row, item) in rows.iter().zip(&items) {
            let time = item.time_ns();
            assert_eq!(row[0], format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000));
            assert_eq!(row[1], item.core().to_string());
            match item {
                Item::Loss(loss) => assert_eq!((&row[2][..], &row[6][..]), (loss.kind.name(), &loss.what[..])),
                Item::Event(event) => {
                    assert_eq!(
                        (&row[2][..], &row[3][..], &row[4]),
                        ("event", fake.name(event.id), &event.pid.to_string())
                    );
                    assert_eq!(row[6], text(&fake, event));
                }
            }
        }
    }
    let missed = rows(&damaged()).into_iter().find(|row| row[2] == LossKind::Missed.name()).unwrap();
    assert_eq!(missed[7], "events=5");
}

#[test]
fn no_cell_is_a_formula() {
    let mut fake = Fake::new(1, support::formats());
    for text in ["=1+1", "+1", "-1+cmd|' /C calc'!A0", "@sum(1)", "-5", "a=b"] {
        fake.event(0, 1_000, 5, &support::with_u64(0, &[text.as_bytes(), b"\0"].concat()));
    }
    let texts: Vec<_> = rows(&fake).into_iter().map(|row| row[6].clone()).collect();
    assert_eq!(texts, ["'=1+1", "'+1", "'-1+cmd|' /C calc'!A0", "'@sum(1)", "-5", "a=b"]);
}
