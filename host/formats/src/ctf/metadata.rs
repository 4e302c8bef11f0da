//! The text that tells how the streams of a CTF directory are to be read.

use crate::names;
use std::fmt::Write;
use std::path::Path;
use trace::{About, Field, Format, Kind, Size, Trace};

/// Events of our own, behind the ids that a region can have.
pub(super) const LOSS: u32 = 0x1_0000;
pub(super) const UNKNOWN: u32 = 0x1_0001;
pub(super) const TRUNCATED: u32 = 0x1_0002;

/// How a directory of ours begins.
const FIRST: &str = "/* CTF 1.8 */\n/* Written by afterglow. */\n";

/// Whether a directory is one of ours, which may be replaced.
#[must_use]
pub fn is_ours(directory: &Path) -> bool {
    let mut first = vec![0; FIRST.len()];
    std::fs::File::open(directory.join("metadata"))
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut first))
        .is_ok_and(|()| first == FIRST.as_bytes())
}

/// A number for the trace that is the same whenever it is written.
pub(super) fn uuid(about: &About) -> [u8; 16] {
    let mut uuid = [0; 16];
    let text = format!("{:?} {:?} {:?} {:?} {}", about.build_id, about.boot, about.boot_id, about.origin, about.title);
    for (half, seed) in uuid.chunks_mut(8).zip([0xcbf2_9ce4_8422_2325u64, 0x6c62_272e_07bb_0142]) {
        // FNV-1a.
        let hash = text.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        half.copy_from_slice(&hash.to_le_bytes());
    }
    // Version 8, made as one likes (RFC 9562).
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

/// All of it.
pub(super) fn text(trace: &dyn Trace, uuid: [u8; 16]) -> String {
    let hex = trace::hex(&uuid);
    let uuid = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    let mut text = FIRST.to_string();
    for (name, size, signed) in
        [("uint8_t", 8, false), ("uint32_t", 32, false), ("uint64_t", 64, false), ("int32_t", 32, true)]
    {
        let _ = writeln!(text, "typealias integer {{ size = {size}; align = 8; signed = {signed}; }} := {name};");
    }
    let _ = write!(
        text,
        "trace {{\n\tmajor = 1;\n\tminor = 8;\n\tuuid = \"{uuid}\";\n\tbyte_order = le;\n\
         \tpacket.header := struct {{ uint32_t magic; uint8_t uuid[16]; uint32_t stream_id; }};\n}};\n"
    );
    environment(trace.about(), &mut text);
    let _ = write!(
        text,
        "clock {{\n\tname = \"nanoseconds\";\n\tuuid = \"{uuid}\";\n\tdescription = {};\n\
         \tfreq = 1000000000;\n\toffset = 0;\n}};\n",
        quoted(&format!("counter {} of {} Hz", trace.about().clock.name, trace.about().clock.frequency_hz))
    );
    text.push_str(STREAM);
    let bytes = "uint32_t _length; uint8_t _data[_length];";
    let own = [
        (LOSS, "loss", "string _kind; uint64_t _events; string _what;".to_string()),
        (UNKNOWN, "unknown", format!("uint32_t _id; {bytes}")),
        (TRUNCATED, "truncated", format!("uint32_t _id; string _name; {bytes}")),
    ];
    for (id, name, fields) in own {
        event(id, name, &fields, &mut text);
    }
    for format in trace.schema().formats() {
        event(format.id.into(), &format.name, &fields(format), &mut text);
    }
    text
}

/// Packets and events of every core.
const STREAM: &str =
    "typealias integer { size = 64; align = 8; signed = false; map = clock.nanoseconds.value; } := time_t;
stream {
\tid = 0;
\tpacket.context := struct {
\t\ttime_t timestamp_begin; time_t timestamp_end; uint64_t content_size; uint64_t packet_size;
\t\tuint64_t packet_seq_num; uint64_t events_discarded; uint32_t cpu_id;
\t};
\tevent.header := struct { uint32_t id; time_t timestamp; };
\t/* marks: 1 the time is uncertain, 2 first behind a loss, 4 beyond the commit word, 8 the time was moved */
\tevent.context := struct { int32_t _pid; uint8_t _flags; uint8_t _nesting; uint8_t _marks; };
};
";

/// Text in quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars().filter(|c| (' '..='~').contains(c)) {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted + "\""
}

/// Who recorded, and how it ended.
fn environment(about: &About, text: &mut String) {
    let mut texts = vec![
        ("tracer_name".to_string(), "afterglow".to_string()),
        ("title".into(), about.title.clone()),
        ("origin".into(), format!("{:?}", about.origin)),
        ("end".into(), about.end.name().into()),
    ];
    let mut told = |name: &str, value: Option<String>| texts.extend(value.map(|value| (name.into(), value)));
    told("board", about.board.clone());
    told("build_id", about.build_id.clone());
    told("boot", about.boot.map(|boot| boot.to_string()));
    told("boot_id", about.boot_id.map(|id| format!("{id:#010x}")));
    if let Some(panic) = &about.panic {
        told("panic_reason", Some(panic.message.clone()));
        told("panic_location", Some(panic.location.clone()));
        told("panic_core", Some(panic.core.to_string()));
        told("panic_time_ns", Some(panic.time_ns.to_string()));
    }
    for (core, stop) in about.cores.iter().enumerate() {
        told(&format!("stop_{core}"), stop.stop.as_ref().map(|stop| stop.words.clone()));
    }
    for (number, remark) in about.remarks.iter().enumerate().take(100) {
        told(&format!("remark_{number}"), Some(remark.clone()));
    }
    text.push_str("env {\n");
    for (name, value) in texts {
        let _ = writeln!(text, "\t{name} = {};", quoted(&value));
    }
    text.push_str("};\n");
}

fn event(id: u32, name: &str, fields: &str, text: &mut String) {
    let _ = writeln!(text, "event {{\n\tid = {id};\n\tname = {};\n\tstream_id = 0;", quoted(name));
    if !fields.is_empty() {
        let _ = writeln!(text, "\tfields := struct {{ {fields} }};");
    }
    text.push_str("};\n");
}

/// The fields of an event. Readers take one underscore off a name: behind it no name is a word of theirs.
fn fields(format: &Format) -> String {
    let names = names::unique(format, |_| false);
    let mut text = String::new();
    for (field, name) in format.fields.iter().zip(&names) {
        let _ = match field.kind {
            Kind::Text => write!(text, "string _{name}; "),
            Kind::Bytes => {
                let mut length = format!("{name}_length");
                while names.contains(&length) {
                    length.push('_');
                }
                write!(text, "uint32_t _{length}; uint8_t _{name}[_{length}]; ")
            }
            Kind::Unsigned | Kind::Signed | Kind::Hex => number(field, name, &mut text),
        };
    }
    text.trim_end().into()
}

fn number(field: &Field, name: &str, text: &mut String) -> std::fmt::Result {
    let size = match field.size {
        Size::Fixed(size) => usize::from(size).clamp(1, 8),
        Size::Rest | Size::DataLoc => 8,
    };
    let (signed, base) = (field.kind == Kind::Signed, if field.kind == Kind::Hex { 16 } else { 10 });
    let bits = size * 8;
    write!(text, "integer {{ size = {bits}; align = 8; signed = {signed}; base = {base}; }} _{name}; ")
}
