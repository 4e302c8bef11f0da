//! Both sides over a line that loses bytes, turns bits over and makes some up: what arrives is what was there, or missing.

#[path = "../../../wire/tests/support/mod.rs"]
mod support;

use capture::{Assembler, Event, Missing};
use support::{BOOT_ID, Seeded, bank, plan, region, told};
use wire::plan::{Place, VERSION};
use wire::send::{PROMPTS_MAX, Sender, UNANSWERED_MAX, Wire};

fn sender() -> Box<Sender> {
    Box::new(Sender::NEW)
}

/// A line with noise, and the host at its other end.
struct Noisy {
    chance: Seeded,
    /// One byte in so many is lost, turned over, or followed by another one; 0: none.
    one_in: u64,
    answers: bool,
    host: Assembler,
    back: std::collections::VecDeque<u8>,
    sent: usize,
    text: Vec<u8>,
    prompts: u32,
}

impl Noisy {
    fn new(seed: u64, one_in: u64, answers: bool) -> Self {
        let (host, back) = (Assembler::default(), std::collections::VecDeque::new());
        Self { chance: Seeded(seed), one_in, answers, host, back, sent: 0, text: Vec::new(), prompts: 0 }
    }

    fn spoil(chance: &mut Seeded, one_in: u64, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if one_in == 0 || chance.below(one_in) > 0 {
                out.push(*byte);
                continue;
            }
            match chance.below(3) {
                0 => {}
                1 => out.push(byte ^ 1 << chance.below(8)),
                _ => out.extend([*byte, chance.next() as u8]),
            }
        }
        out
    }

    fn hear(&mut self, bytes: &[u8]) {
        let mut prompts = Vec::new();
        let text = &mut self.text;
        self.host.feed(bytes, &mut |host, event| match event {
            Event::Prompt(transfer) => prompts.push(host.answer(transfer)),
            Event::Text(piece) => text.extend(piece),
            Event::Broken(_) | Event::Plan(_) | Event::Page(_) => {}
        });
        self.prompts += prompts.len() as u32;
        for answer in prompts.into_iter().filter(|_| self.answers) {
            self.back.extend(Self::spoil(&mut self.chance, self.one_in, &answer));
        }
    }
}

impl Wire for Noisy {
    fn write(&mut self, bytes: &[u8]) {
        self.sent += bytes.len();
        let heard = Self::spoil(&mut self.chance, self.one_in, bytes);
        // In pieces, as they come.
        for piece in heard.chunks(97) {
            self.hear(piece);
        }
    }
    fn listen(&mut self) {}
    fn read(&mut self) -> Option<u8> {
        self.back.pop_front()
    }
}

/// Sends the region's bank; whether the target knows that all arrived.
fn send(region: &[u8], line: &mut Noisy) -> bool {
    sender().send(&plan(region), BOOT_ID, bank(region).bytes(), line)
}

/// Whatever is in an image stands in the region as well.
fn nothing_is_invented(region: &[u8], line: &Noisy) {
    assert!(line.host.transfers().iter().all(|transfer| transfer.id() == BOOT_ID));
    for (at, bytes) in line.host.transfers().iter().flat_map(capture::Transfer::parts) {
        let there = &region[at as usize..][..bytes.len()];
        // Lines of the tail that do not verify are left out.
        let same = |(a, b): (&[u8], &[u8])| a == b || b.iter().all(|byte| *byte == 0);
        assert!(there.chunks(64).zip(bytes.chunks(64)).all(same), "at {at}");
    }
}

#[test]
fn a_quiet_line_brings_the_bank_whole_and_recovery_reads_it_alike() {
    for (size, parity, events) in [(112 << 10, 0, 0), (112 << 10, 0, 5), (128 << 10, 0, 100), (256 << 10, 4, 3000)] {
        let region = region(size, parity, events);
        let mut line = Noisy::new(1, 0, true);
        assert!(send(&region, &mut line));
        let transfer = &line.host.transfers()[0];
        assert!(transfer.is_whole() && line.prompts == 1 && line.text.is_empty());
        assert_eq!(told(&transfer.image().unwrap()), told(&region));
        nothing_is_invented(&region, &line);
    }
}

#[test]
fn a_damaged_bank_arrives_with_its_damage() {
    let mut chance = Seeded(5);
    for _ in 0..30 {
        let mut region = region(128 << 10, 0, 2000);
        let begin = bank(&region).geometry().bank(1) as usize;
        for _ in 0..chance.below(200) {
            let at = begin + chance.below(56 << 10) as usize;
            region[at] ^= 1 << chance.below(8);
        }
        let mut line = Noisy::new(1, 0, true);
        assert!(send(&region, &mut line));
        assert_eq!(told(&line.host.transfers()[0].image().unwrap()), told(&region));
    }
}

#[test]
fn a_noisy_line_brings_it_whole_with_requests() {
    let region = region(256 << 10, 0, 3000);
    for seed in 0..20 {
        let mut line = Noisy::new(seed, 2500, true);
        send(&region, &mut line);
        let transfer = &line.host.transfers()[0];
        assert!(transfer.is_whole(), "seed {seed}: {:?} is missing", transfer.missing().collect::<Vec<_>>());
        assert!(line.host.broken() > 0, "seed {seed}: the line was not noisy");
        assert_eq!(told(&transfer.image().unwrap()), told(&region));
        nothing_is_invented(&region, &line);
    }
}

#[test]
fn without_requests_there_is_what_came_and_a_list_of_the_rest() {
    let region = region(256 << 10, 0, 3000);
    let mut missing_in_all = 0;
    for seed in 0..20 {
        let mut line = Noisy::new(seed, 2500, false);
        assert!(!send(&region, &mut line));
        let Some(transfer) = line.host.transfers().first().filter(|transfer| transfer.plan().is_some()) else {
            continue;
        };
        let missing: Vec<Missing> = transfer.missing().collect();
        let (there, expected) = transfer.pages();
        assert_eq!(there + missing.len(), expected.unwrap());
        missing_in_all += missing.len();
        nothing_is_invented(&region, &line);
        let image = transfer.image().unwrap();
        // Every event of every sub-buffer that came.
        let (whole, rest) = (bank(&region), bank(&image));
        for core in 0..2 {
            let lost = |sequence| {
                missing
                    .iter()
                    .any(|m| m.sequence == sequence && matches!(m.place, Place::SubBuffer { core: c, .. } if c == core))
            };
            let of = |bank: &ring::recover::Bank<'_, _>| -> Vec<_> {
                bank.core(core)
                    .events()
                    .filter(|e| !lost(e.sequence))
                    .map(|e| (e.sequence, e.word, e.fields.to_vec()))
                    .collect()
            };
            assert_eq!(of(&rest), of(&whole), "seed {seed}");
        }
    }
    assert!(missing_in_all > 20, "the line was not noisy");
}

#[test]
fn each_byte_lost_or_turned_over_costs_no_more_than_its_own_page() {
    let region = region(112 << 10, 0, 40);
    let mut record = Recorded(Vec::new());
    sender().send(&plan(&region), BOOT_ID, bank(&region).bytes(), &mut record);
    let line = &record.0;
    let mut chance = Seeded(9);
    // Where a frame's marks are spoilt two may go, where they touch.
    // All around the marks; of the rest, which is one like the other, some.
    let near =
        |at: usize| line[at.saturating_sub(2)..(at + 3).min(line.len())].iter().any(|byte| [2, 3].contains(byte));
    for at in (0..line.len()).filter(|at| at % 29 == 0 || near(*at)) {
        let mut changed = line.clone();
        match at % 3 {
            0 => drop(changed.remove(at)),
            1 => changed[at] ^= 1 << chance.below(8),
            _ => changed.insert(at, chance.next() as u8),
        }
        let mut noisy = Noisy::new(0, 0, false);
        noisy.hear(&changed);
        let transfer = &noisy.host.transfers()[0];
        assert!(transfer.plan().is_some() && transfer.missing().count() <= 2, "at {at}");
        nothing_is_invented(&region, &noisy);
    }
}

/// All that a target sends to nobody.
struct Recorded(Vec<u8>);

impl Wire for Recorded {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }
    fn listen(&mut self) {}
    fn read(&mut self) -> Option<u8> {
        None
    }
}

#[test]
fn text_between_frames_passes_through() {
    let region = region(112 << 10, 0, 40);
    let mut record = Recorded(Vec::new());
    sender().send(&plan(&region), BOOT_ID, bank(&region).bytes(), &mut record);
    // Each frame ends with ETX, which stands nowhere else.
    let frames: Vec<&[u8]> = record.0.split_inclusive(|byte| *byte == 3).collect();
    let mut noisy = Noisy::new(0, 0, false);
    for (n, frame) in frames.iter().enumerate() {
        noisy.hear(format!("line {n}\r\n").as_bytes());
        noisy.hear(frame);
    }
    let expected: String = (0..frames.len()).map(|n| format!("line {n}\r\n")).collect();
    assert_eq!(String::from_utf8(noisy.text).unwrap(), expected);
    assert!(noisy.host.transfers()[0].is_whole());
}

#[test]
fn who_never_answers_is_prompted_a_few_times_and_who_babbles_not_for_ever() {
    let region = region(112 << 10, 0, 5);
    let mut line = Noisy::new(1, 0, false);
    assert!(!send(&region, &mut line));
    assert_eq!(line.prompts, UNANSWERED_MAX);

    /// Asks for page 0 again and again, without end, beside noise.
    struct Greedy {
        request: Vec<u8>,
        at: usize,
        prompts: u32,
    }
    impl Wire for Greedy {
        fn write(&mut self, _: &[u8]) {}
        fn listen(&mut self) {
            self.prompts += 1;
        }
        fn read(&mut self) -> Option<u8> {
            self.at += 1;
            Some(self.request[self.at % self.request.len()])
        }
    }
    let request = Assembler::default();
    assert!(request.answer(0).is_empty(), "there is nobody to be told");
    let mut host = Assembler::default();
    let mut record = Recorded(Vec::new());
    sender().send(&plan(&region), BOOT_ID, bank(&region).bytes(), &mut record);
    let plan_only: Vec<u8> = record.0.split_inclusive(|byte| *byte == 3).next().unwrap().to_vec();
    host.feed(&plan_only, &mut |_, _| {});
    for request in [host.answer(0), vec![0xff; 10]] {
        let mut greedy = Greedy { request, at: 0, prompts: 0 };
        assert!(!sender().send(&plan(&region), BOOT_ID, bank(&region).bytes(), &mut greedy));
        assert!(greedy.prompts == PROMPTS_MAX || greedy.prompts == UNANSWERED_MAX, "{}", greedy.prompts);
    }
}

#[test]
fn a_plan_of_another_version_is_said() {
    let region = region(112 << 10, 0, 5);
    let mut payload = [0; wire::plan::PLAN_MAX];
    let size = plan(&region).store(&mut payload);
    assert_eq!(wire::plan::Plan::load(&payload[..size]), Ok(plan(&region)));
    for at in 0..size {
        let mut changed = payload;
        changed[at] ^= 0x41;
        let read = wire::plan::Plan::load(&changed[..size]);
        // What stands for itself may be anything; the version, the geometry and its checks may not.
        let is_free = at == 1 || at == 2 || at == 3 || (12 + 64..).contains(&at);
        assert!(is_free || read.is_err(), "byte {at}: {read:?}");
    }
    payload[0] = VERSION + 1;
    let error = wire::plan::Plan::load(&payload[..size]).unwrap_err();
    assert_eq!(error.to_string(), "the dump has version 2, and 1 is known");
}

/// What version 1 of the format sent stays readable; `UPDATE_DATA=1` writes it anew, which a released format never needs.
#[test]
fn what_was_stored_once_is_read_for_ever() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/version-1.capture");
    let region = region(112 << 10, 0, 40);
    let mut record = Recorded(Vec::new());
    sender().send(&plan(&region), BOOT_ID, bank(&region).bytes(), &mut record);
    if std::env::var_os("UPDATE_DATA").is_some() {
        std::fs::write(path, &record.0).unwrap();
    }
    let stored = std::fs::read(path).unwrap();
    let mut host = Assembler::default();
    host.feed(&stored, &mut |_, _| {});
    assert_eq!(told(&host.transfers()[0].image().unwrap()), told(&region));
    assert!(stored == record.0, "the target sends something else now: that needs a new version, and a new file");
}

#[test]
fn hostile_bytes_are_borne() {
    let region = region(112 << 10, 0, 40);
    let mut record = Recorded(Vec::new());
    sender().send(&plan(&region), BOOT_ID, bank(&region).bytes(), &mut record);
    let mut chance = Seeded(11);
    for _ in 0..300 {
        let mut bytes = record.0.clone();
        bytes.rotate_left(chance.below(record.0.len() as u64) as usize);
        for _ in 0..chance.below(100) {
            let at = chance.below(bytes.len() as u64) as usize;
            bytes[at] = chance.next() as u8;
        }
        let mut host = Assembler::default();
        host.feed(&bytes, &mut |_, _| {});
        host.finish(&mut |_, _| {});
        for transfer in host.transfers() {
            let _ = (transfer.image(), transfer.missing().count());
        }
    }
}
