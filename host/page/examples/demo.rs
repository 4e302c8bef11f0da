//! A page of made-up events to look at: `cargo run --profile host --target host-tuple -p page --example demo -- OUT EVENTS`.

use std::io::{self, BufWriter};
use trace::fake::Fake;
use trace::{Core, Field, Format, Kind, LossKind, Nested, Panic, Size, Stop, Trace};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().unwrap_or_else(|| "demo.html".into());
    let events: u64 = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(20_000);
    let number = |name: &str, kind, offset, size| Field { name: name.into(), kind, offset, size: Size::Fixed(size) };
    let format = |id, name: &str, fields, print: &str| Format { id, name: name.into(), fields, print: print.into() };
    let mut fake = Fake::new(
        4,
        [
            format(
                1,
                "irq_entry",
                vec![number("intid", Kind::Unsigned, 0, 4), number("pc", Kind::Hex, 4, 8)],
                "intid={intid} pc={pc}",
            ),
            format(2, "irq_exit", vec![number("intid", Kind::Unsigned, 0, 4)], "intid={intid}"),
            format(3, "work", vec![number("number", Kind::Unsigned, 0, 8)], "number={number}"),
            format(4, "tick", vec![number("number", Kind::Unsigned, 0, 8)], "number={number}"),
            format(
                5,
                "print",
                vec![Field { name: "text".into(), kind: Kind::Text, offset: 0, size: Size::Rest }],
                "{text}",
            ),
        ],
    );
    let mut time = 1_000_000_000;
    for n in 0..events {
        let core = (n % 4) as u32;
        time += 300 + n.wrapping_mul(2_654_435_761) % 900 + if n % 1000 > 900 { 20_000 } else { 0 };
        let pc = (0x4020_0000 + n % 9000).to_le_bytes();
        match n / 4 % 8 {
            0 => fake.event(core, time, 1, &[&27u32.to_le_bytes()[..], &pc].concat()),
            1 => fake.event(core, time, 2, &27u32.to_le_bytes()),
            2 if n % 97 == 0 => fake.event(core, time, 5, b"</script><img src=x onerror=\"document.title='ran'\">\0"),
            3 => fake.event(core, time, 4, &n.to_le_bytes()),
            _ => fake.event(core, time, 3, &n.to_le_bytes()),
        }
        if n % (events / 4 + 1) == 1000 {
            fake.loss(core, if core == 0 { LossKind::Stale } else { LossKind::Flipped }, None);
        }
    }
    fake.loss(2, LossKind::Unfinished, Some(1));
    let stop = |core: u64, outcome| Stop {
        outcome,
        time_ns: time + core * 3000,
        means: Some("FIQ"),
        pc: 0x4022_66c8,
        lr: 0,
        sp: 0,
        pstate: 0,
        words: format!("{outcome} at {time}"),
    };
    fake.about.title =
        format!("boot 7 panicked on core 0 at {}.{:06} s", time / 1_000_000_000, time / 1000 % 1_000_000);
    fake.about.cores = (0..4)
        .map(|core| Core { stop: Some(stop(core, if core == 0 { "panicked" } else { "stopped" })), pages: 100 })
        .collect();
    fake.about.panic = Some(Panic {
        core: 0,
        time_ns: time,
        message: "index out of bounds: the len is 3 but the index is 99 <b>no markup</b>".into(),
        location: "kernel/src/die.rs:77:13".into(),
        registers: Some(Box::new([0x1234; 35])),
        fault_address: 0,
        explained: vec!["esr 0x96000045: data abort, translation fault at level 1".into()],
        backtrace: vec![0x4022_f0e0, 0x4020_2430, 0x4020_fd84],
        nested: vec![Nested {
            core: 1,
            step: "on another core".into(),
            message: "too late".into(),
            location: String::new(),
            pc: 0,
        }],
    });
    let symbols =
        |_: &dyn Trace, address: u64, _: bool| Some(format!("kernel::function_{address:x} at kernel/src/panic.rs:12"));
    let name = "demo <i>.region".to_owned();
    page::write(&name, &["a remark".into()], &[&fake], &symbols, &mut BufWriter::new(std::fs::File::create(out)?))
}
