//! What a page holds, read back by a reader that knows only how the columns are packed.

#[allow(dead_code)]
#[path = "support/made_up.rs"]
mod made_up;
#[path = "support/talkative.rs"]
mod talkative;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::io::Read;
use talkative::{Talkative, line};
use trace::{Item, Trace, merged};

fn page(traces: &[&dyn Trace]) -> String {
    let mut html = Vec::new();
    page::write("input", &[], traces, &|_, _, _| None, &mut html).unwrap();
    String::from_utf8(html).unwrap()
}

/// The text of an element.
fn element<'h>(html: &'h str, id: &str) -> &'h str {
    let (_, from) = html.split_once(&format!("id=\"{id}\">")).unwrap();
    from.split_once("</script>").unwrap().0
}

struct Bytes(Vec<u8>, usize);

impl Bytes {
    fn take(&mut self, size: usize) -> &[u8] {
        self.1 += size;
        &self.0[self.1 - size..self.1]
    }
    fn zigzag(&mut self) -> i64 {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = self.take(1)[0];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
            }
        }
    }
}

/// Time, core, pid, context and "name: text" of every item.
fn read_back(html: &str, number: usize) -> Vec<(u64, u16, i32, String, String)> {
    let about: Value = serde_json::from_str(element(html, &format!("about{number}"))).unwrap();
    let packed = STANDARD.decode(element(html, &format!("columns{number}"))).unwrap();
    let mut all = Vec::new();
    flate2::read::DeflateDecoder::new(&packed[..]).read_to_end(&mut all).unwrap();
    let n = about["count"].as_u64().unwrap() as usize;
    let mut bytes = Bytes(all, 0);
    let mut time: u64 = about["start"].as_str().unwrap().parse().unwrap();
    let times: Vec<u64> = (0..n)
        .map(|_| {
            time = time.wrapping_add_signed(bytes.zigzag());
            time
        })
        .collect();
    assert_eq!(bytes.1 as u64, about["times"].as_u64().unwrap());
    let words = |bytes: &[u8]| -> Vec<u16> { bytes.as_chunks().0.iter().map(|two| u16::from_le_bytes(*two)).collect() };
    let (cores, shapes) = (words(bytes.take(2 * n)), words(bytes.take(2 * n)));
    let contexts = bytes.take(n).to_vec();
    let pids: Vec<i32> = bytes.take(4 * n).as_chunks().0.iter().map(|four| i32::from_le_bytes(*four)).collect();
    let lines = lines(&about, &shapes, &mut bytes);
    let context = |i: usize| about["contexts"][usize::from(contexts[i])].as_str().unwrap().to_owned();
    (0..n).map(|i| (times[i], cores[i], pids[i], context(i), lines[i].clone())).collect()
}

fn lines(about: &Value, shapes: &[u16], bytes: &mut Bytes) -> Vec<String> {
    let texts: Vec<(&str, &str)> = about["shapes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shape| {
            let kind = shape[0].as_u64().unwrap() as usize;
            (about["kinds"][kind]["name"].as_str().unwrap(), shape[1].as_str().unwrap())
        })
        .collect();
    let begin = bytes.1;
    let mut lines = vec![String::new(); shapes.len()];
    for (shape, (name, text)) in texts.iter().enumerate() {
        let items: Vec<usize> = (0..shapes.len()).filter(|i| usize::from(shapes[*i]) == shape).collect();
        items.iter().for_each(|i| lines[*i] = format!("{name}: "));
        for c in text.chars() {
            let mut sum = 0;
            for i in &items {
                match c {
                    '\u{1}'..='\u{3}' => {
                        sum += bytes.zigzag();
                        let number = match c {
                            '\u{1}' => format!("{sum}"),
                            '\u{2}' => format!("{sum:x}"),
                            _ => format!("{sum:08x}"),
                        };
                        lines[*i].push_str(&number);
                    }
                    c => lines[*i].push(c),
                }
            }
        }
    }
    assert_eq!((bytes.1 - begin) as u64, about["numbers"].as_u64().unwrap());
    let own = std::str::from_utf8(&bytes.0[bytes.1..]).unwrap().to_owned();
    let mut own = own.split_terminator('\n');
    for line in lines.iter_mut().filter(|line| line.ends_with('\u{4}')) {
        line.pop();
        line.push_str(own.next().unwrap());
    }
    assert_eq!(own.next(), None);
    lines
}

fn told(trace: &dyn Trace) -> Vec<(u64, u16, i32, String, String)> {
    let all = merged(trace).map(|item| {
        let (pid, context) = match &item {
            Item::Event(event) => (event.pid, String::from_utf8(trace.context(event).to_vec()).unwrap()),
            Item::Loss(_) => (0, "     ".into()),
        };
        (item.time_ns(), item.core() as u16, pid, context, line(trace, &item))
    });
    all.collect()
}

#[test]
fn every_item_is_read_back_as_it_was_told() {
    let crash = made_up::crash(20_000);
    let html = page(&[&crash]);
    assert_eq!(read_back(&html, 0), told(&crash));
    // What it takes: a million events must not make a page that nobody can send.
    let packed = element(&html, "columns0").len();
    assert!(packed < 6 * 20_000, "{packed} bytes");
}

#[test]
fn texts_that_have_no_shape_are_read_back_too() {
    let talkative = Talkative::new();
    let html = page(&[&made_up::crash(10), &talkative]);
    assert_eq!(read_back(&html, 1), told(&talkative));
    let about: Value = serde_json::from_str(element(&html, "about1")).unwrap();
    assert!(about["shapes"].as_array().unwrap().len() < 10_000, "their number is bounded");
    assert!(about["kinds"].as_array().unwrap().len() <= 1030, "and so is that of kinds");
}

#[test]
fn nothing_told_ends_the_element_in_which_it_stands() {
    let html = page(&[&Talkative::new()]);
    assert_eq!(html.matches("<script").count(), 3, "description, columns, script");
    assert_eq!(html.matches("</script").count(), 3);
    assert!(html.bytes().all(|byte| byte == b'\n' || byte >= b' '), "no control byte");
    assert!(!html.contains("http:") && !html.contains("https:"), "nothing is fetched");
}
