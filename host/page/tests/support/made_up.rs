//! A crash made up: four cores that work and are interrupted, damage, a panic, stops.

use trace::fake::Fake;
use trace::{Account, Core, Field, Format, Kind, LossKind, Nested, Panic, Size, Stop, Trace};

/// What its addresses are called.
pub(crate) fn symbols(_: &dyn Trace, address: u64, _: bool) -> Option<String> {
    let names = ["kernel::schedule::pick_next", "kernel::work::step", "arch::cores::relax", "kernel::timer::rearm"];
    Some(format!("{} at kernel/src/work.rs:{}", names[address as usize / 4 % names.len()], address % 300))
}

fn formats() -> Vec<Format> {
    let number = |name: &str, kind, offset, size| Field { name: name.into(), kind, offset, size: Size::Fixed(size) };
    let rest = |name: &str, kind, offset| Field { name: name.into(), kind, offset, size: Size::Rest };
    let format = |id, name: &str, fields, print: &str| Format { id, name: name.into(), fields, print: print.into() };
    let intid = || number("intid", Kind::Unsigned, 0, 4);
    vec![
        format(1, "irq_entry", vec![intid(), number("pc", Kind::Hex, 4, 8)], "intid={intid} pc={pc}"),
        format(2, "irq_exit", vec![intid()], "intid={intid}"),
        format(
            3,
            "work",
            vec![number("number", Kind::Unsigned, 0, 8), rest("data", Kind::Bytes, 8)],
            "number={number} data={data}",
        ),
        format(4, "tick", vec![number("number", Kind::Unsigned, 0, 8)], "number={number}"),
        format(5, "print", vec![rest("text", Kind::Text, 0)], "{text}"),
        format(
            6,
            "exception",
            vec![number("esr", Kind::Hex, 0, 8), number("pc", Kind::Hex, 8, 8)],
            "esr={esr} pc={pc}",
        ),
    ]
}

/// Pseudo-random numbers: the same ones each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// So many events of work, an interrupt now and then, rests in between, and the end.
pub(crate) fn crash(events: u64) -> Fake {
    let mut fake = Fake::new(4, formats());
    let mut dice = Dice(1);
    let mut times = [1_000_000_000u64; 4];
    let mut counts = [0u64; 4];
    let mut recorded = 0;
    while recorded < events {
        // The core that is behind goes on, so that all reach the end together.
        let core = (0..4).min_by_key(|core| times[*core]).unwrap_or(0);
        let time = &mut times[core];
        *time += 200 + dice.below(1500);
        let on = core as u32;
        counts[core] += 1;
        match dice.below(100) {
            0..8 => {
                let pc = 0x4020_0000 + 4 * dice.below(9000);
                fake.event(on, *time, 1, &[&27u32.to_le_bytes()[..], &pc.to_le_bytes()].concat());
                fake.event(on, *time + 300 + dice.below(200), 4, &(counts[core] / 12).to_le_bytes());
                *time += 900 + dice.below(2500);
                fake.event(on, *time, 2, &27u32.to_le_bytes());
                recorded += 3;
            }
            8 if dice.below(8) == 0 => {
                fake.event(on, *time, 5, format!("queue {} is {} deep\0", core, dice.below(64)).as_bytes());
                recorded += 1;
            }
            9 if dice.below(12) == 0 => *time += 40_000 + dice.below(200_000),
            _ => {
                let data = [0x0d, 0xb4, 0x5b, 0x02, 0xa9, 0x50, 0xf7, 0x9e];
                let size = dice.below(3) as usize * 4;
                fake.event(on, *time, 3, &[&counts[core].to_le_bytes()[..], &data[..size]].concat());
                recorded += 1;
            }
        }
        damage(&mut fake, on, counts[core], events / 4);
    }
    end(&mut fake, times);
    fake
}

fn damage(fake: &mut Fake, core: u32, count: u64, all: u64) {
    match (core, count * 10 / all.max(1), count * 10 % all.max(1) < 10) {
        (0, 2, true) => fake.loss(core, LossKind::Stale, None),
        (1, 3 | 4, true) => fake.loss(core, LossKind::Flipped, Some(3)),
        (2, 5, true) => fake.gap(core, 0, Some(120)),
        (3, 6, true) => fake.gap(core, 2, None),
        _ => {}
    }
}

fn end(fake: &mut Fake, times: [u64; 4]) {
    let last = times.into_iter().max().unwrap_or(0) + 2000;
    let (esr, pc) = (0x9600_0045u64, 0x4020_c8d8u64);
    fake.event(2, last, 6, &[esr.to_le_bytes(), pc.to_le_bytes()].concat());
    fake.loss(1, LossKind::Unfinished, Some(1));
    let stop = |core: u64| {
        let (outcome, means, waited) = match core {
            2 => ("panicked", None, 0),
            3 => ("no answer", None, 0),
            _ => ("stopped", Some("FIQ"), 4200 + 777 * core),
        };
        let time_ns = if core == 3 { 50_000_000 } else { last + waited };
        let pc = if core == 3 { 0 } else { 0x4022_66a8 + 4 * core };
        Stop { outcome, time_ns, means, pc, lr: pc, sp: 0, pstate: 0, words: format!("core {core}: {outcome}") }
    };
    fake.about.title =
        format!("boot 7 panicked on core 2 at {}.{:06} s", last / 1_000_000_000, last / 1000 % 1_000_000);
    fake.about.cores = (0..4).map(|core| Core { stop: Some(stop(core)), pages: 100 }).collect();
    accounts(fake);
    fake.about.remarks.push("sub-buffer 12 of core 3 and the one behind it cannot be read".into());
    fake.about.panic = Some(Panic {
        core: 2,
        time_ns: last,
        message: "synchronous exception: data abort: translation fault, level 1, write".into(),
        location: String::new(),
        registers: Some(Box::new(std::array::from_fn(|i| 0x4020_0000 + i as u64 * 0x1234))),
        fault_address: 0x7fff_0000_0000,
        explained: vec![
            format!("esr {esr:#x}: data abort, translation fault, level 1, write"),
            "far 0x7fff00000000: not mapped".into(),
        ],
        backtrace: vec![pc, 0x4022_5594, 0x4022_5204, 0x4022_6404, 0x4022_efd0],
        nested: vec![Nested {
            core: 0,
            step: "on another core".into(),
            message: "index out of bounds: the len is 3 but the index is 99".into(),
            location: "kernel/src/die.rs:77:13".into(),
            pc: 0x4020_8694,
        }],
    });
}

fn accounts(fake: &mut Fake) {
    for core in 0..4 {
        let recovered = fake.counts(core).events;
        let mut account = Account { recovered, overwritten: recovered * 7, is_final: core != 3, ..Account::default() };
        match core {
            0 => account.stale = 2,
            1 => (account.flipped, account.unfinished) = (6, 1),
            2 => account.refused[3] = 120,
            _ => account.flipped = 150,
        }
        account.attempted = recovered * 8 + account.damaged() + account.unfinished + account.dropped();
        fake.accounts[core as usize] = Some(account);
    }
    // Counts are kept once they were asked for.
    fake.forget_counts();
}
