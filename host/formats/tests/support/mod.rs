//! Traces that the tests of all formats write, and what the model says of them.
#![allow(dead_code, unreachable_pub, reason = "each test has its own part of it")]

use kernel::events::{IrqEntry, Print, SCHEMA, Work};
use ring::check::Table;
use ring::fake::{Ram, StepClock};
use ring::format::Geometry;
use ring::records::BankState;
use ring::writer::{Mode, Target, Writer};
use std::path::Path;
use std::process::Command;
use trace::fake::Fake;
use trace::{Event, Field, Format, Item, Kind, LossKind, Size, Trace, Value, merged};

/// A field.
pub fn field(name: &str, kind: Kind, offset: u16, size: Size) -> Field {
    Field { name: name.into(), kind, offset, size }
}

/// Formats as regions have them, and one with everything that a field can be.
pub fn formats() -> Vec<Format> {
    let text = b"5 print ip:hex text:str|{text}\n\
        4097 irq_entry intid:u32 pc:hex|intid={intid} pc={pc}\n\
        4098 irq_exit intid:u32|intid={intid}\n\
        4103 panic core:u32 message:str|core={core}: {message}\n\
        4104 work number:u64 data:bytes|number={number} data={data}\n\
        4200 \"odd\" a:i32 b:u64|100% \"{a}\" \\n {b} {none} {\n";
    let mut formats = trace::Schema::of_region(text).formats().to_vec();
    let fields = vec![
        field("small", Kind::Signed, 0, Size::Fixed(1)),
        field("tiny", Kind::Unsigned, 1, Size::Fixed(1)),
        field("short", Kind::Signed, 2, Size::Fixed(2)),
        field("where", Kind::Text, 4, Size::DataLoc),
        field("comm", Kind::Text, 8, Size::Fixed(8)),
        field("mac", Kind::Bytes, 16, Size::Fixed(6)),
        field("three", Kind::Hex, 22, Size::Fixed(2)),
        field("big", Kind::Signed, 24, Size::Fixed(8)),
    ];
    let print = "small={small} tiny={tiny} short={short} where={where} comm={comm} mac={mac} three={three} big={big}";
    formats.push(Format { id: 700, name: "all_kinds".into(), fields, print: print.into() });
    formats
}

/// An event of the format with all kinds of fields.
pub fn all_kinds(text: &[u8]) -> Vec<u8> {
    let mut payload = vec![0x80, 0xff, 0xfe, 0xff];
    payload.extend([40, 0, text.len() as u8 + 1, 0]);
    payload.extend(b"swapper\0\x01\x02\x03\x04\xfe\xff");
    payload.extend([0xcd, 0xab]);
    payload.extend((-5_000_000_000i64).to_le_bytes());
    payload.extend(text);
    payload.push(0);
    payload
}

/// Joins a number and bytes.
pub fn with_u64(number: u64, bytes: &[u8]) -> Vec<u8> {
    [&number.to_le_bytes(), bytes].concat()
}

/// Joins a number and bytes.
pub fn with_u32(number: u32, bytes: &[u8]) -> Vec<u8> {
    [&number.to_le_bytes(), bytes].concat()
}

/// Everything that can be in a trace, on three cores, of which the last is empty. Its times are far enough from each other that
/// they differ in microseconds.
pub fn everything() -> Fake {
    let mut fake = Fake::new(3, formats());
    let mut time = 1_000_000;
    let mut next = || {
        time += 1_234;
        time
    };
    let texts: [&[u8]; 7] = [
        b"plain",
        b"",
        b"tab\tnewline\nescape\x1b[31mred\x7f",
        b"\"quotes\" 'and' \\backslash\\ %s %d %%",
        b"{braces} } {text}",
        b"not utf-8: \xff\xfe\xc3\x28, utf-8: \xc3\xa4",
        b"<b>&amp;</b> =1+1",
    ];
    for text in texts {
        fake.event(0, next(), 5, &with_u64(0xffff_0000_4008_0000, &[text, b"\0"].concat()));
        fake.event(1, next(), 4103, &with_u32(1, &[text, b"\0"].concat()));
        fake.event(1, next(), 700, &all_kinds(text));
    }
    for size in [0, 1, 4, 16, 17, 88, 89, 100, 105, 200, 1000] {
        let data: Vec<u8> = (0..size).map(|n| n as u8 ^ 0x5a).collect();
        fake.event(0, next(), 4104, &with_u64(u64::MAX - size, &data));
    }
    fake.event(0, next(), 5, &with_u64(1, &[&[b'x'; 1024][..], b"\0"].concat()));
    // Text that nothing ends.
    fake.event(0, next(), 5, &with_u64(2, b"text without end"));
    // Too short, empty, unknown.
    fake.event(1, next(), 4097, &27u32.to_le_bytes());
    fake.event(1, next(), 4097, &[]);
    fake.event(1, next(), 4200, &with_u32(-7i32 as u32, &(1u64 << 53 | 1).to_le_bytes()));
    fake.event(1, next(), 77, b"nobody knows");
    fake.event(1, next(), 78, &[]);
    // Places outside the event.
    let mut lost = all_kinds(b"x");
    lost[4] = 200;
    fake.event(1, next(), 700, &lost);
    // Longer than 27 bits of nanoseconds, and than 27 bits of those.
    let later = next() + (1 << 27) + 5;
    fake.event(0, later, 4098, &27u32.to_le_bytes());
    fake.event(1, later + (1 << 40), 4098, &28u32.to_le_bytes());
    fake
}

/// Losses of every kind, on two cores.
pub fn damaged() -> Fake {
    let mut fake = Fake::new(2, formats());
    let mut time = 5_000_000;
    let mut events = |fake: &mut Fake, core, count| {
        for _ in 0..count {
            time += 2_345;
            fake.event(core, time, 4097, &with_u32(time as u32 % 90, &time.to_le_bytes()));
        }
    };
    events(&mut fake, 0, 3);
    fake.loss(0, LossKind::Flipped, Some(2));
    events(&mut fake, 0, 2);
    fake.loss(0, LossKind::Stale, None);
    events(&mut fake, 0, 400);
    fake.gap(0, 0, Some(5));
    events(&mut fake, 0, 3);
    fake.gap(0, 2, None);
    events(&mut fake, 0, 300);
    events(&mut fake, 1, 1);
    fake.gap(1, 1, Some(7));
    events(&mut fake, 1, 4);
    fake.loss(1, LossKind::Unfinished, Some(1));
    fake
}

/// What readers could stumble over: names that mean something to them, the same name twice, very many fields.
pub fn pathological() -> Fake {
    let odd = [
        "event",
        "struct",
        "string",
        "integer",
        "stream",
        "trace",
        "clock",
        "env",
        "typealias",
        "enum",
        "variant",
        "int",
        "char",
        "const",
        "void",
        "signed",
        "unsigned",
        "long",
        "float",
        "double",
        "floating_point",
        "callsite",
        "typedef",
        "id",
        "timestamp",
        "v",
        "name",
        "align",
        "common_pid",
        "common_type",
        "REC",
        "__data_loc",
        "__rel_loc",
        "__get_str",
        "print",
        "fmt",
        "if",
        "sizeof",
        "_length",
        "_data_length",
        "data",
        "a",
        "a",
        "a",
        "a_2",
        "_",
        "__",
        "_1",
    ];
    let field_at = |(at, name): (usize, &&str)| field(name, Kind::Unsigned, at as u16 * 4, Size::Fixed(4));
    let mut fields: Vec<_> = odd.iter().enumerate().map(field_at).collect();
    fields.push(field("\"; rm -rf {", Kind::Bytes, odd.len() as u16 * 4, Size::Rest));
    let print = odd.iter().map(|name| format!("{name}:{{{name}}} ")).collect::<String>() + "{}} {{ { } %n%s\\";
    let many: Vec<_> = (0..300).map(|n| field(&format!("f{n}"), Kind::Unsigned, n * 4, Size::Fixed(4))).collect();
    let print_many = many.iter().map(|field| format!("{{{}}} ", field.name)).collect();
    let mut formats = formats();
    formats.push(Format { id: 1, name: "event".into(), fields, print });
    formats.push(Format { id: 65535, name: "many fields; }".into(), fields: many, print: print_many });
    formats.push(Format { id: 0, name: String::new(), fields: vec![], print: String::new() });
    let clash = vec![field("x", Kind::Signed, 4, Size::Rest), field("y", Kind::Text, 4, Size::Fixed(0))];
    formats.push(Format { id: 2, name: "clash".into(), fields: clash, print: "{x}{y}".into() });
    let mut fake = Fake::new(64, formats);
    for core in 0..64 {
        let time = 1_000_000 + u64::from(core) * 10_000;
        let numbers: Vec<u8> = (0..300u32).flat_map(|n| (n * 1_000_003 + core).to_le_bytes()).collect();
        fake.event(core, time, 1, &numbers[..odd.len() * 4 + 8]);
        fake.event(core, time + 1000, 65535, &numbers);
        fake.event(core, time + 2000, 65535, &numbers[..600]);
        fake.event(core, time + 3000, 0, &numbers[..8]);
        for size in [4, 8, 12, 16] {
            fake.event(core, time + 3000 + size as u64 * 100, 2, &numbers[..size]);
        }
    }
    fake
}

/// All that the model says, in the order of time.
pub fn items<'t>(fake: &'t dyn Trace) -> Vec<Item<'t>> {
    merged(fake).collect()
}

/// The events of it.
pub fn events<'t>(fake: &'t dyn Trace) -> Vec<Event<'t>> {
    let event = |item| match item {
        Item::Event(event) => Some(event),
        Item::Loss(_) => None,
    };
    merged(fake).filter_map(event).collect()
}

/// An event's text with the bytes of its fields as they are.
pub fn raw_text(fake: &dyn Trace, event: &Event<'_>) -> Vec<u8> {
    let Some(format) = fake.schema().get(event.id) else {
        return format!("id={} data={}", event.id, Value::Bytes(event.payload)).into_bytes();
    };
    let mut parts = format.print.split('{');
    let mut out = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let (name, text) = part.split_once('}').unwrap_or((part, ""));
        match format.fields.iter().find(|field| field.name == name).and_then(|field| field.value(event.payload)) {
            Some(Value::Text(text)) => out.extend(text),
            Some(value) => out.extend(value.to_string().bytes()),
            None => out.extend(format!("{{{name}?}}").bytes()),
        }
        out.extend(text.bytes());
    }
    out
}

/// Runs a reader on what was written. Its words are checked for complaints.
pub fn read(program: &str, arguments: &[&str], path: &Path) -> Vec<u8> {
    let output = Command::new(program).args(arguments).arg(path).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|why| panic!("{program}: {why}; scripts/setup.sh --tests installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {}\n{said}", output.status);
    output.stdout
}

const BOOT_ID: u32 = 0x1234_5678;

/// A region as a kernel leaves it: two cores, whose rings have gone round, one bank.
pub fn region() -> Vec<u8> {
    let size = 128 << 10;
    let ram = Ram::new(size);
    let geometry = Geometry::new(size, 1, 2).unwrap();
    let about = ring::bank::About { build: &[0xab; 20], board: b"a board", schema: SCHEMA.as_bytes() };
    let (mut header, bank) = ring::fake::boot(&ram, geometry, BOOT_ID, &about);
    header.banks[bank as usize].state = BankState::Panicked;
    header.store(&&ram);
    for core in 0..2 {
        let target = Target { geometry, bank, boot_id: BOOT_ID, core };
        let writer = Writer::new(&ram, StepClock::new(1000, 1700 + u64::from(core)), Table, target, Mode::default());
        for number in 0..3000u64 {
            let data: Vec<u8> = (0..number % 150).map(|at| (number + at) as u8).collect();
            writer.record(&Work { number, data: &data }).unwrap();
            writer.record(&IrqEntry { intid: 27, pc: number }).unwrap();
            writer.record(&Print { ip: 5, text: format!("number {number}\tof core {core}").as_bytes() }).unwrap();
        }
        writer.close();
    }
    ram.cached()
}

/// Reads a region and does something with its boot.
pub fn read_region(image: Vec<u8>, with: impl FnOnce(&dyn Trace)) {
    let input = reader::Input::new(reader::Image::of(image));
    let reading = input.read();
    assert_eq!(reading.traces.len(), 1);
    with(&*reading.traces[0]);
}

/// The same region with bytes flipped in the middle of sub-buffers, at the same places each time.
pub fn damaged_region() -> Vec<u8> {
    let mut image = region();
    for place in (9_000..image.len() - 30_000).step_by(9_001) {
        image[place] ^= 0x55;
    }
    image
}
