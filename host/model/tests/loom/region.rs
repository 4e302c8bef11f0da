//! A region of two sub-buffers a core, some of whose words are atomics of loom.

use loom::sync::atomic::AtomicU32 as Modelled;
use ring::account::Account;
use ring::bank::{About, prepare};
use ring::check::{Crc32c, Table};
use ring::event::Shape;
use ring::fake::{Ram, StepClock};
use ring::format::{DATA_END, Geometry, tag, tail_line};
use ring::linux::{SUBBUF_COMMIT, SUBBUF_SIZE};
use ring::position::FIRST_WORD;
use ring::records::{BankRecord, BankState};
use ring::recover::{Bank, Recovered};
use ring::seams::{Clock, Memory, Observe, Persist};
use ring::writer::{Event, Mode, Slot, Target, Writer};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub const BOOT_ID: u32 = 0x1234_5678;
/// Bytes of a region that is as small as regions are.
const SIZE: u64 = 64 << 10;
/// Bytes of an event's fields: two events fill a sub-buffer.
const FIELDS: usize = 1600;
/// Events in a sub-buffer.
pub const PER_SUBBUF: u64 = 2;
/// What all events hold between their two numbers.
const FILLED_WITH: u8 = 0xa5;

/// An event whose number stands at both ends of its fields.
#[derive(Clone, Copy, Debug)]
pub struct Marked(pub u32);

impl Marked {
    /// The number of an event that is whole.
    pub fn number_of(event: &Recovered<'_>) -> Result<u64, String> {
        let ends =
            [event.fields.first_chunk(), event.fields.last_chunk()].map(|end| end.map(|end| u32::from_le_bytes(*end)));
        let is_filled =
            event.fields.len() == FIELDS && event.fields[4..FIELDS - 4].iter().all(|byte| *byte == FILLED_WITH);
        match ends {
            [Some(first), Some(last)] if first == last && is_filled => Ok(u64::from(first)),
            _ => Err(format!("Marked {ends:x?}")),
        }
    }
}

impl Event for Marked {
    const ID: u16 = 5000;
    fn size(&self) -> usize {
        FIELDS
    }
    fn write<M: Memory>(&self, slot: &Slot<'_, M>) {
        slot.put_u32(0, self.0);
        slot.put_bytes(4, &[FILLED_WITH; FIELDS - 8]);
        slot.put_u32(FIELDS - 4, self.0);
    }
}

/// No check at all: believes every event and every tag.
#[derive(Clone, Copy, Debug)]
pub struct Believing;

impl Crc32c for Believing {
    type Direct = Self;
    fn direct(self) -> Option<Self> {
        Some(self)
    }
    fn u64(self, _: u32, _: u64) -> u32 {
        0
    }
    fn u32(self, _: u32, _: u32) -> u32 {
        0
    }
    fn bytes(self, _: u32, _: &[u8]) -> u32 {
        0
    }
}

/// A clock that cores can share.
#[derive(Debug)]
pub struct Ticks {
    now: AtomicU64,
    step: u64,
}

impl Ticks {
    /// A clock that goes on so many nanoseconds a reading.
    pub fn new(step: u64) -> Self {
        Self { now: AtomicU64::new(1000), step }
    }
}

impl Clock for Ticks {
    fn now_ns(&self) -> u64 {
        self.now.fetch_add(self.step, Ordering::Relaxed)
    }
}

/// The geometry: as many cores as leave two sub-buffers to each.
fn geometry() -> Geometry {
    let all = (1..8).filter_map(|cores| Geometry::new(SIZE, 1, cores).ok());
    all.into_iter().find(|geometry| geometry.ring() == 2).expect("a ring of two sub-buffers")
}

fn target() -> Target {
    Target { geometry: geometry(), bank: 0, boot_id: BOOT_ID, core: 0 }
}

/// The words of the region that are modelled.
fn modelled() -> Vec<u64> {
    let geometry = geometry();
    let words = u64::from(Shape::of(FIELDS).expect("a shape").words());
    let mut places = Vec::new();
    for sequence in 0..geometry.ring() {
        let subbuf = geometry.bank(0) + geometry.subbuf(0, sequence);
        places.push(subbuf + SUBBUF_COMMIT);
        places.extend([tag::CHECK, tag::SEQUENCE, tag::RESERVED].map(|at| subbuf + DATA_END + at));
        for event in 0..PER_SUBBUF {
            let end = subbuf + 4 * (u64::from(FIRST_WORD) + (event + 1) * words);
            let check = end - 4;
            places.extend([check - FIELDS as u64, check - 4, check]);
        }
    }
    let counters = geometry.bank(0) + geometry.tail(Geometry::core_line(0, tail_line::COUNTERS));
    places.extend([counters, counters + ring::format::LINE_CHECK as u64]);
    places.into_iter().map(|at| at / 4).collect()
}

/// Which of the modelled words a word is.
fn index(word: usize) -> Option<usize> {
    static INDEX: OnceLock<Vec<u8>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let mut index = vec![u8::MAX; SIZE as usize / 4];
        for (i, word) in modelled().into_iter().enumerate() {
            index[word as usize] = i as u8;
        }
        index
    });
    index.get(word).filter(|i| **i != u8::MAX).map(|i| usize::from(*i))
}

/// The words of a region.
#[derive(Debug)]
pub struct Region {
    /// All words, as the last store left them.
    words: Vec<AtomicU32>,
    modelled: Vec<Modelled>,
}

loom::lazy_static! {
    /// The region of one execution.
    pub static ref REGION: Region = Region {
        words: (0..SIZE / 4).map(|_| AtomicU32::new(0)).collect(),
        modelled: modelled().into_iter().map(|_| Modelled::new(0)).collect(),
    };
}

/// The memory orders of the two operations that have one.
#[derive(Clone, Copy, Debug)]
pub struct Orders {
    pub publish: Ordering,
    pub observe: Ordering,
}

impl Default for Orders {
    fn default() -> Self {
        Self { publish: Ordering::Release, observe: Ordering::Acquire }
    }
}

/// A region as several cores see it.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    region: &'static Region,
    orders: Orders,
    /// Whether more than one core writes: then a writer's own loads may see an other's store, or not yet.
    several: bool,
}

impl Shared {
    /// A region with these bytes, into which one core writes.
    pub fn new(region: &'static Region, orders: Orders, image: &Prepared) -> Self {
        let new = Self { region, orders, several: false };
        for (word, bytes) in image.bytes.as_chunks::<4>().0.iter().enumerate() {
            let value = u32::from_le_bytes(*bytes);
            region.words[word].store(value, Ordering::Relaxed);
            if let Some(i) = index(word) {
                region.modelled[i].store(value, Ordering::Relaxed);
            }
        }
        new
    }
    /// The same for several cores that write.
    pub fn of_several(self) -> Self {
        Self { several: true, ..self }
    }
    /// The bytes after all stores that have been made.
    pub fn bytes(&self) -> Vec<u8> {
        self.region.words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect()
    }

    fn load(&self, at: u64, order: Ordering) -> u32 {
        assert!(at.is_multiple_of(4));
        let word = (at / 4) as usize;
        match index(word) {
            Some(i) => self.region.modelled[i].load(order),
            None => self.region.words[word].load(Ordering::Relaxed),
        }
    }
    fn store(&self, at: u64, value: u32, order: Ordering) {
        assert!(at.is_multiple_of(4));
        let word = (at / 4) as usize;
        if let Some(i) = index(word) {
            self.region.modelled[i].store(value, order);
        }
        self.region.words[word].store(value, Ordering::Relaxed);
    }
}

impl Memory for Shared {
    fn load_u32(&self, at: u64) -> u32 {
        match self.several {
            true => self.load(at, Ordering::Relaxed),
            false => self.region.words[(at / 4) as usize].load(Ordering::Relaxed),
        }
    }
    fn load_u64(&self, at: u64) -> u64 {
        u64::from(self.load_u32(at)) | u64::from(self.load_u32(at + 4)) << 32
    }
    fn store_u32(&self, at: u64, value: u32) {
        self.store(at, value, Ordering::Relaxed);
    }
    fn store_u64(&self, at: u64, value: u64) {
        self.store_u32(at, value as u32);
        self.store_u32(at + 4, (value >> 32) as u32);
    }
    fn publish_u64(&self, at: u64, value: u64) {
        assert_eq!(value >> 32, 0, "only the lower half is modelled");
        assert!(index((at / 4) as usize).is_some() && at.is_multiple_of(8));
        self.store_u32(at + 4, 0);
        self.store(at, value as u32, self.orders.publish);
    }
    fn address(&self, at: u64) -> u64 {
        at
    }
}

impl Observe for Shared {
    fn observe_u32(&self, at: u64) -> u32 {
        self.load(at, Ordering::Relaxed)
    }
    fn observe_u64(&self, at: u64) -> u64 {
        u64::from(self.load(at, self.orders.observe))
    }
}

impl Persist for Shared {
    fn clean(&self, _: u64, _: u64) -> u64 {
        0
    }
    fn complete(&self) {}
}

/// What a region holds at the beginning of a model.
pub struct Prepared {
    bytes: Vec<u8>,
    record: BankRecord,
    pub target: Target,
}

impl Prepared {
    /// A bank that nobody has recorded into.
    pub fn empty() -> Self {
        let target = target();
        let record = BankRecord {
            state: BankState::Recording,
            boot_id: BOOT_ID,
            boot: 1,
            boot_id_before: 0,
            cores: target.geometry.cores,
            counter_hz: 1_000_000_000,
            counter_start: 0,
        };
        let ram = Ram::new(SIZE);
        prepare(&&ram, &target.geometry, 0, &record, &About { build: b"", board: b"", schema: b"" });
        Self { bytes: ram.cached(), record, target }
    }

    /// The same with sub-buffers that were full once, and whose tags are no tags any more: events numbered from 100.
    pub fn noise<C: Crc32c>(crc: C) -> Self {
        let mut new = Self::empty();
        let ram = Ram::holding(new.bytes);
        let writer = Writer::new(&ram, StepClock::new(1000, 0), crc, new.target, Mode::default());
        for number in 0..new.target.geometry.ring() * PER_SUBBUF {
            writer.record(&Marked(100 + number as u32)).expect("room");
        }
        new.bytes = ram.cached();
        for sequence in 0..new.target.geometry.ring() {
            let at = (new.target.geometry.bank(0) + new.target.geometry.subbuf(0, sequence) + DATA_END) as usize;
            new.bytes[at..at + tag::SIZE as usize].fill(0);
            // The other one's number: without its magic, a tag of zeros must not pass for the first one.
            new.bytes[at + tag::SEQUENCE as usize] = 1 - sequence as u8;
        }
        new
    }

    /// What recovery makes of such a bank's bytes: the numbers of the events, and the account.
    pub fn recover(&self, bytes: &[u8]) -> (Vec<u64>, Account) {
        let bank = &bytes[self.target.geometry.bank(0) as usize..];
        let bank = Bank::new(bank, self.target.geometry, self.record, Table).expect("a bank");
        let core = bank.core(0);
        let numbers = core.events().map(|event| Marked::number_of(&event).expect("a whole event")).collect();
        (numbers, core.account())
    }
}

const _: () = assert!(PER_SUBBUF * (FIELDS as u64 + 20) < SUBBUF_SIZE);
