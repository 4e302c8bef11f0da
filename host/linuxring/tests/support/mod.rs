//! The corpus, and the form of Linux's listing.
#![allow(dead_code)]

use flate2::read::GzDecoder;
use linuxring::{Formats, Linux, Region, Symbols};
use std::io::Read;
use std::path::PathBuf;
use trace::{Item, Trace, merged};

/// Regions with everything that Linux said of them.
pub(crate) const NAMES: [&str; 2] = ["6.12.95-quiet", "7.3.4-live"];

/// All of them: besides those two one with prints and raw data on one processor, one of a function tracer, one of eight
/// processors, one of a kernel with pages of 16 KiB.
pub(crate) const ALL: [&str; 6] =
    ["6.12.95-quiet", "7.3.4-live", "6.12.95-prints", "7.3.4-function", "7.3.4-eight", "7.3.4-16k"];

/// A region and what Linux said of it.
pub(crate) struct Corpus {
    pub(crate) region: Vec<u8>,
    pub(crate) trace: String,
    pub(crate) stats: String,
    pub(crate) symbols: String,
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn unpacked(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(path(name)).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

pub(crate) fn corpus(name: &str) -> Corpus {
    Corpus {
        region: unpacked(&format!("{name}.region.gz")),
        trace: String::from_utf8(unpacked(&format!("{name}.trace.gz"))).unwrap(),
        stats: std::fs::read_to_string(path(&format!("{name}.stats"))).unwrap_or_default(),
        symbols: std::fs::read_to_string(path(&format!("{name}.symbols"))).unwrap_or_default(),
    }
}

impl Corpus {
    pub(crate) fn linux(&self) -> Linux<'_> {
        let region = Region::parse(&self.region, 0).unwrap();
        Linux::new(region, Formats::default(), Symbols::load(self.symbols.as_bytes()))
    }
}

/// Linux's listing without its heading, an event a text: the lines of a stack belong to theirs. What would command a
/// terminal is escaped, which Linux does not do.
pub(crate) fn listing(trace: &str) -> Vec<String> {
    let mut events: Vec<String> = Vec::new();
    for line in trace.lines().filter(|line| !line.starts_with('#')) {
        match events.last_mut() {
            Some(event) if line.starts_with(" => ") => {
                event.push('\n');
                event.push_str(line);
            }
            _ => events.push(line.replace('\t', "\\t").replace('\x1b', "\\x1b")),
        }
    }
    events
}

/// The same of ours.
pub(crate) fn shown(linux: &Linux<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for item in merged(linux) {
        let Item::Event(event) = item else { continue };
        let task = if event.pid == 0 { "<idle>" } else { "<...>" };
        let context = String::from_utf8(linux.context(&event).to_vec()).unwrap();
        let micros = (event.time_ns + 500) / 1000;
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        let mut line = format!("{task:>16}-{:<7} [{:03}] {context} {seconds:5}.{micros:06}: ", event.pid, event.core);
        linux.listed(&event, &mut line).unwrap();
        lines.push(line);
    }
    lines
}
