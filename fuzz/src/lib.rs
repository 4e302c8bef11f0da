//! What the fuzz targets do with their input. The same bodies replay the stored corpus in `ring/tests/fuzz_corpus.rs`.
//!
//! A region has at least 64 KiB, an input has a few hundred bytes: it describes what is done to a region.

use ring::check::{Crc32c, Table, seed};
use ring::event::{Frame, frame};
use ring::fake::{Ram, StepClock};
use ring::format::{DATA_END, Geometry, HEADER_SIZE, LINE_SIZE, MAGIC, REGION_SIZE_MIN, VERSION, domain, tag};
use ring::line::{Line, LineSeed};
use ring::linux::SUBBUF_SIZE;
use ring::merge::Merge;
use ring::position::{END_WORD, FIRST_WORD, Position};
use ring::records::{BankRecord, BankState, PanicRecord, PanicSpace};
use ring::recover::{Bank, Item, Recovered};
use ring::region::{Found, Header, inspect, rebuild};
use ring::seams::{Memory, Persist};
use ring::writer::{Event, Mode, Slot, Target, Writer};
use std::collections::HashMap;
use std::sync::OnceLock;

const SIZE: u64 = REGION_SIZE_MIN;
const BOOT_ID: u32 = 0xb007_0003;
const OLDER_BOOTS: [u32; 2] = [0xb007_0001, 0xb007_0002];

/// The input, taken piece by piece; zeros behind its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        head
    }
    fn number(&mut self, bytes: usize) -> u64 {
        self.bytes(bytes).iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
    /// Small numbers mostly, any number sometimes: those that overflow are at the ends.
    fn wide(&mut self) -> u64 {
        match self.number(1) {
            0xff => u64::MAX - self.number(2),
            0xfe => self.number(8),
            0xfd => 1 << (self.number(1) % 64),
            small => small,
        }
    }
}

/// A region of any content, also such that its author knew every check: whatever it is, recovery ends, and adds up.
pub fn recovery(input: &[u8]) {
    let mut input = Input(input);
    let size = SIZE + input.number(1) % 4 * SUBBUF_SIZE;
    let ram = Ram::holding(vec![input.number(1) as u8; size as usize]);
    let header_line = |number: u64, line: Line, generation: u32| {
        for page in [0, size - HEADER_SIZE] {
            let at = page + number * LINE_SIZE;
            line.store(&ram, at, LineSeed::new(0, domain::HEADER), number as u32, generation);
        }
    };
    let (banks, cores) = (1 + input.number(1) as u32 % 3, 1 + input.number(1) as u32 % 3);
    let Ok(geometry) = Geometry::new(size, banks, cores).or_else(|_| Geometry::new(size, 1, 1)) else { return };
    while !input.is_empty() {
        let bank = geometry.bank(input.number(1) as u32 % geometry.banks);
        match input.number(1) % 8 {
            0 => {
                let at = input.number(3) % size;
                let count = (1 + input.number(1)).min(size - at);
                let bytes = input.bytes(count as usize);
                bytes.iter().zip(at..).for_each(|(byte, at)| put(&ram, at, *byte));
            }
            1 => {
                let sequence = input.wide();
                let at = bank + geometry.subbuf(input.number(1) as u32 % geometry.cores, sequence % geometry.ring());
                store_tag(&ram, at + DATA_END, input.number(4) as u32, input.wide() as u32, sequence, &mut input);
            }
            2 => {
                let number = input.number(1) as u32;
                let line = payload(&mut input);
                line.store(&ram, bank + geometry.tail(number % 190), tail_seed(&mut input), number % 190, 0);
            }
            3 => header_line(input.number(1) % 64, payload(&mut input), input.number(4) as u32),
            4 => {
                let (version, claimed) = (input.number(1) as u32 % 3, size.wrapping_add(input.wide()));
                let version = if version == 0 { VERSION } else { version };
                let claimed = if input.number(1) % 2 == 0 { size } else { claimed };
                let line = Line::default().u64(MAGIC).u32(version).u32(banks).u64(claimed).u32(cores);
                header_line(0, line, input.number(4) as u32);
            }
            5 => {
                let record = BankRecord {
                    state: BankState::of(input.number(1) as u32 % 5).unwrap_or_default(),
                    boot_id: input.number(4) as u32,
                    boot: input.wide(),
                    boot_id_before: input.number(4) as u32,
                    cores: input.wide() as u32,
                    counter_hz: input.wide(),
                    counter_start: input.wide(),
                };
                header_line(2 + input.number(1) % u64::from(banks), record.to_line(), 1);
            }
            6 => {
                // A core's counters.
                let core = input.number(1) as u32 % geometry.cores;
                let number = Geometry::core_line(core, 0);
                let line = Line::default().u64(input.wide()).u64(input.wide());
                let line = (0..9).fold(line, |line, _| line.u32(input.wide() as u32));
                line.store(&ram, bank + geometry.tail(number), tail_seed(&mut input), number, 0);
            }
            _ => {
                let core = input.number(1) as u32 % geometry.cores;
                let sequence = input.wide();
                let at = bank + geometry.subbuf(core, sequence % geometry.ring());
                let boot_id = input.number(4) as u32;
                store_event(&ram, at, seed(boot_id, core as u16), sequence, &mut input);
            }
        }
    }
    look_at_everything(&ram.cached());
}

fn put(ram: &Ram, at: u64, byte: u8) {
    let word = at & !3;
    let shift = 8 * (at & 3);
    ram.store_u32(word, ram.load_u32(word) & !(0xff << shift) | u32::from(byte) << shift);
}

fn payload(input: &mut Input<'_>) -> Line {
    let size = input.number(1) as usize % 57;
    Line::of(input.bytes(size))
}

fn tail_seed(input: &mut Input<'_>) -> LineSeed {
    LineSeed::new(input.number(4) as u32, domain::TAIL)
}

fn store_tag(ram: &Ram, at: u64, boot_id: u32, core: u32, sequence: u64, input: &mut Input<'_>) {
    let (reserved, time) = (input.wide(), input.wide());
    let head = u64::from(tag::VALUE) | u64::from(boot_id) << 32;
    let register = Table.u32(Table.u64(seed(boot_id, domain::TAG), head), core);
    let check = Table.u64(Table.u64(Table.u64(register, sequence), reserved), time);
    ram.store_u64(at + tag::MAGIC, head);
    ram.store_u64(at + tag::CORE, u64::from(core) | u64::from(check) << 32);
    ram.store_u64(at + tag::SEQUENCE, sequence);
    ram.store_u64(at + tag::RESERVED, reserved);
    ram.store_u64(at + tag::TIME, time);
}

/// Writes words somewhere into a sub-buffer; if they have the shape of an event, its check is made to fit.
fn store_event(ram: &Ram, subbuf: u64, seed: u32, sequence: u64, input: &mut Input<'_>) {
    let word = FIRST_WORD + input.number(2) as u32 % (END_WORD - FIRST_WORD);
    let count = input.number(1) as u32 % 16;
    let start = subbuf + 4 * u64::from(word);
    for n in 0..count.min(END_WORD - word) {
        ram.store_u32(start + 4 * u64::from(n), input.number(4) as u32);
    }
    let load = |w: u32| ram.load_u32(subbuf + 4 * u64::from(w));
    if let Frame::Event(event) = frame(word, load) {
        let register = Table.u64(seed, Position::new(0, sequence, word).checked());
        let check = (word..event.end(word) - 1).fold(register, |register, w| Table.u32(register, load(w)));
        ram.store_u32(subbuf + 4 * u64::from(event.end(word) - 1), check);
    }
}

/// Everything that a boot or a host tool would ask of a region.
fn look_at_everything(region: &[u8]) {
    let mut header = match inspect(region) {
        Found::Valid(header) => header,
        Found::Scanned { geometry, .. } => rebuild(region, geometry),
        _ => return,
    };
    let _ = (header.next_bank(), header.crashes().count());
    header.boot += 1;
    let g = header.geometry;
    for (number, record) in (0..).zip(header.banks()) {
        let Some(bank) = Bank::new(&region[g.bank(number) as usize..], g, *record, Table) else { continue };
        let _ = PanicRecord::load(bank.bytes(), &g, record.boot_id, &mut PanicSpace::default());
        let mut events = 0;
        for core in 0..g.cores {
            let _ = bank.stop_record(core);
            let ring = bank.core(core);
            let account = ring.account();
            let (mut found, mut holes) = (0, 0);
            for item in ring.items() {
                match item {
                    Item::Event(event) => found += u64::from(!event.discarded),
                    Item::Hole(hole) => {
                        holes += 1;
                        assert!(!hole.to_string().is_empty() && hole.from < hole.to);
                    }
                }
            }
            assert_eq!(account.recovered, found);
            assert!(found + holes <= g.ring() * 1024);
            events += found;
            let _ = account.sum_holds();
        }
        assert_eq!(Merge::<_, 8>::new(&bank).count() as u64, events);
    }
}

/// An event with any payload.
struct Payload(u64);

impl Event for Payload {
    const ID: u16 = 4100;
    fn size(&self) -> usize {
        8 + (self.0 * 37 % 211) as usize
    }
    fn write<M: Memory>(&self, slot: &Slot<'_, M>) {
        slot.put_u64(0, self.0);
        let bytes: Vec<u8> = (8..self.size()).map(|i| (self.0 as u8).wrapping_mul(i as u8)).collect();
        slot.put_bytes(8, &bytes);
    }
}

/// A good region, and what is in it.
struct Good {
    region: Vec<u8>,
    /// What it was at the end of the boot before, and a lap ago.
    older: [Vec<u8>; 2],
    geometry: Geometry,
    /// By sub-buffer and word.
    events: HashMap<(u64, u32), Recovered<'static>>,
}

fn good() -> &'static Good {
    static GOOD: OnceLock<Good> = OnceLock::new();
    GOOD.get_or_init(|| {
        let geometry = Geometry::new(SIZE, 1, 1).expect("a geometry");
        let ram = Ram::new(SIZE);
        let mut header = Header::new(geometry);
        let mut older = [Vec::new(), Vec::new()];
        for (boot_id_before, boot_id) in
            [0, OLDER_BOOTS[0], OLDER_BOOTS[1]].into_iter().zip([OLDER_BOOTS[0], OLDER_BOOTS[1], BOOT_ID])
        {
            if boot_id == BOOT_ID {
                older[0] = ram.cached();
            }
            header.boot += 1;
            let state = BankState::Panicked;
            let record =
                BankRecord { state, boot_id, boot: header.boot, boot_id_before, cores: 1, ..BankRecord::default() };
            let about = ring::bank::About { build: b"fuzz", board: b"fuzz", schema: b"" };
            ring::bank::prepare(&&ram, &geometry, 0, &record, &about);
            header.banks[0] = record;
            header.store(&ram);
            let target = Target { geometry, bank: 0, boot_id, core: 0 };
            let writer = Writer::new(&ram, StepClock::new(1000, 7), Table, target, Mode::default());
            let mut number = 0;
            while writer.counters().sequence < 3 * geometry.ring() + 2 {
                if boot_id == BOOT_ID && writer.counters().sequence == 2 * geometry.ring() + 2 {
                    older[1] = ram.cached();
                }
                if number % 31 == 30 {
                    writer.discard(writer.reserve(Payload::ID, 20).expect("a place"));
                }
                if number % 17 == 16 {
                    let outer = writer.reserve(Payload::ID, 12).expect("a place");
                    writer.record(&Payload(number)).expect("a place");
                    outer.put_u64(0, 1);
                    outer.put_u32(8, 2);
                    writer.commit(outer);
                }
                writer.record(&Payload(number)).expect("a place");
                number += 1;
            }
            writer.close();
        }
        ram.clean(0, SIZE);
        ram.complete();
        let region = ram.persistent();
        // Events of the lap before are in what the edits bring: true ones, should the newer ones be lost.
        let mut events = HashMap::new();
        for moment in [&older[1], &region] {
            let bytes: &'static [u8] = moment.clone().leak();
            let bank = &bytes[geometry.bank(0) as usize..];
            let bank = Bank::new(bank, geometry, header.banks[0], Table).expect("a bank");
            for item in bank.core(0).items() {
                let Item::Event(event) = item else { panic!("a hole in a good region: {item:?}") };
                assert!(event.time_is_certain);
                events.insert((event.sequence, event.word), event);
            }
        }
        assert!(events.len() > 100);
        Good { region, older, geometry, events }
    })
}

/// A good region with edits, none of which can know a check: nothing is invented, nothing is wrong and certain, the sum holds.
pub fn structured(input: &[u8]) {
    let good = good();
    let mut region = good.region.clone();
    let size = region.len();
    let mut input = Input(input);
    while !input.is_empty() {
        let what = input.number(1);
        let at = input.number(2) as usize % size;
        let line = at / 64 * 64;
        match what % 6 {
            0 => region[at] ^= 1 << (what >> 5),
            1 => region[at..(at + 1 + input.number(1) as usize * 4).min(size)].fill((what >> 3) as u8),
            2 => region[line..line + 64].copy_from_slice(&good.older[(what >> 3) as usize % 2][line..line + 64]),
            3 => {
                let from = input.number(2) as usize % size / 64 * 64;
                let count = (64 * (1 + input.number(1) as usize % 64)).min(size - from.max(line));
                region.copy_within(from..from + count, line);
            }
            4 => {
                // Any time and commit word.
                let geometry = &good.geometry;
                let subbuf = geometry.bank(0) + geometry.subbuf(0, at as u64);
                let field = (subbuf + what / 6 % 2 * 8) as usize;
                region[field..field + 8].copy_from_slice(&input.wide().to_le_bytes());
            }
            _ => {
                // Any number in Linux's headers.
                let field = (good.geometry.bank(0) as usize + at % 8400) & !7;
                region[field..field + 8].copy_from_slice(&input.wide().to_le_bytes());
            }
        }
    }
    let header = match inspect(&region) {
        Found::Valid(header) => header,
        Found::Scanned { geometry, .. } => rebuild(&region, geometry),
        _ => return,
    };
    // A lost header may leave too little to say whose bank it is: then nothing of it is shown.
    let bank = Bank::new(&region[header.geometry.bank(0) as usize..], header.geometry, header.banks[0], Table);
    let Some(bank) = bank.filter(|bank| bank.record().boot_id == BOOT_ID && header.geometry == good.geometry) else {
        return;
    };
    let ring = bank.core(0);
    let account = ring.account();
    let mut found = 0;
    for item in ring.items() {
        let Item::Event(event) = item else { continue };
        let was = good.events.get(&(event.sequence, event.word)).expect("not invented");
        let content = |e: &Recovered<'_>| (e.id, e.flags, e.nesting, e.pid, e.discarded);
        assert_eq!((content(&event), event.fields), (content(was), was.fields));
        assert!(!event.time_is_certain || event.time_ns == was.time_ns, "{event:?}, not {was:?}");
        found += u64::from(!event.discarded);
    }
    assert_eq!(account.recovered, found);
    assert!(account.sum_holds(), "{account:?}");
}

/// One sub-buffer of any content: the walker finds what a walker finds that reads every claim, word by word.
pub fn walker(input: &[u8]) {
    let good = good();
    let ram = Ram::holding(good.region.clone());
    let mut input = Input(input);
    let sequence = 2 * good.geometry.ring() + 4 + input.number(1) % good.geometry.ring();
    let subbuf = good.geometry.bank(0) + good.geometry.subbuf(0, sequence);
    let newest = 3 * good.geometry.ring() + 2;
    let Some(sequence) = (newest + 1 - good.geometry.ring()..=newest)
        .find(|s| s % good.geometry.ring() == sequence % good.geometry.ring())
    else {
        return;
    };
    if input.number(1).is_multiple_of(2) {
        (0..END_WORD).for_each(|w| ram.store_u32(subbuf + 4 * u64::from(w), 0));
    }
    while !input.is_empty() {
        let boot_id = [BOOT_ID, OLDER_BOOTS[1], OLDER_BOOTS[0], 0][input.number(1) as usize % 4];
        let lap = input.number(1) % 8;
        let under = sequence.saturating_sub((lap % 3) * good.geometry.ring());
        match lap {
            7 => ram.store_u64(subbuf + 8, input.wide()),
            6 => store_tag(&ram, subbuf + DATA_END, boot_id, 0, under, &mut input),
            _ => store_event(&ram, subbuf, seed(boot_id, 0), under, &mut input),
        }
    }
    let region = ram.cached();
    look_at_everything(&region);
    let Found::Valid(header) = inspect(&region) else { panic!("the headers are whole") };
    let bank =
        Bank::new(&region[good.geometry.bank(0) as usize..], good.geometry, header.banks[0], Table).expect("a bank");
    let page = &region[subbuf as usize..][..SUBBUF_SIZE as usize];
    let ring = bank.core(0);
    // A tag that was made up may have moved the ring on.
    if !ring.sequences().contains(&sequence) {
        return;
    }
    let found = ring.items().filter_map(|item| match item {
        Item::Event(event) if event.sequence == sequence => Some(event.word),
        _ => None,
    });
    assert_eq!(found.collect::<Vec<_>>(), naive(page, sequence));
}

/// The words at which events of a sub-buffer verify, one behind the other.
fn naive(page: &[u8], sequence: u64) -> Vec<u32> {
    let load = |w: u32| u32::from_le_bytes(*page[4 * w as usize..].first_chunk().expect("inside"));
    let seed = seed(BOOT_ID, 0);
    let (mut words, mut word) = (Vec::new(), FIRST_WORD);
    while word < END_WORD {
        let verified = match frame(word, load) {
            Frame::Event(event) => {
                let bytes = &page[4 * word as usize..4 * event.end(word) as usize - 4];
                let register = Table.u64(seed, Position::new(0, sequence, word).checked());
                (Table.bytes(register, bytes) == load(event.end(word) - 1)).then(|| event.end(word))
            }
            _ => None,
        };
        match verified {
            Some(end) => {
                words.push(word);
                word = end;
            }
            None => word += 1,
        }
    }
    words
}
