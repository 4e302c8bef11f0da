//! JSON lines and CSV, read back by readers of these.

mod support;

use formats::Output;
use support::{damaged, everything};
use trace::fake::Fake;
use trace::{Item, Trace, merged};

fn written(fake: &Fake, output: Output) -> String {
    let mut bytes = Vec::new();
    formats::stream(fake, output, &mut bytes).unwrap();
    assert!(bytes.iter().all(|byte| *byte == b'\n' || (b' '..=b'~').contains(byte)), "nothing commands a terminal");
    String::from_utf8(bytes).unwrap()
}

#[test]
fn every_event_is_an_object_of_json_with_its_fields_and_every_loss_one_with_its_reason() {
    for fake in [everything(), damaged()] {
        json_of(&fake);
    }
}

fn json_of(fake: &Fake) {
    let text = written(fake, Output::Json);
    let mut lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let about = lines.next().unwrap();
    assert_eq!((&about["about"]["boot"], &about["about"]["end"]), (&7.into(), &"panic".into()));
    assert_eq!(about["about"]["cores"].as_array().unwrap().len(), fake.about().cores.len());
    let (lines, items): (Vec<_>, Vec<_>) = (lines.collect(), merged(fake).collect());
    assert_eq!(lines.len(), items.len());
    for (line, item) in lines.iter().zip(items) {
        assert_eq!(
            (line["time_ns"].as_u64(), line["core"].as_u64()),
            (Some(item.time_ns()), Some(u64::from(item.core())))
        );
        match item {
            Item::Loss(loss) => {
                assert_eq!((line["loss"].as_str(), line["events"].as_u64()), (Some(loss.kind.name()), loss.events));
            }
            Item::Event(event) => {
                assert_eq!(
                    (line["name"].as_str(), line["pid"].as_i64()),
                    (Some(fake.name(event.id)), Some(i64::from(event.pid)))
                );
                for field in fake.schema().get(event.id).iter().flat_map(|format| &format.fields) {
                    let told = &line["fields"][&field.name];
                    match field.value(event.payload) {
                        None => assert!(told.is_null()),
                        Some(trace::Value::Unsigned(n)) => assert_eq!(told.as_u64(), Some(n)),
                        Some(trace::Value::Signed(n)) => assert_eq!(told.as_i64(), Some(n)),
                        Some(trace::Value::Hex(n)) => assert_eq!(told.as_str(), Some(format!("{n:#x}").as_str())),
                        Some(trace::Value::Bytes(bytes)) => assert_eq!(told.as_str(), Some(trace::hex(bytes).as_str())),
                        Some(trace::Value::Text(text)) => {
                            let escaped = ring::escape::Escaped(text).to_string();
                            assert_eq!(told.as_str(), Some(std::str::from_utf8(text).unwrap_or(&escaped)));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_row_of_csv_is_whole_and_none_is_a_formula() {
    for fake in [everything(), damaged()] {
        csv_of(&fake);
    }
}

fn csv_of(fake: &Fake) {
    let text = written(fake, Output::Csv);
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = rows.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.len(), merged(fake).count());
    for (row, item) in rows.iter().zip(merged(fake)) {
        let time = item.time_ns();
        assert_eq!(&row[0], format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000));
        if let Item::Event(event) = item {
            let mut text = String::new();
            fake.text(&event, &mut text).unwrap();
            assert_eq!(row[8].strip_prefix('\'').unwrap_or(&row[8]), text);
        }
        assert!(!row[8].starts_with(['=', '+', '-', '@']));
    }
}
