//! The two headers: what the region is, how often it was booted, what each bank holds.
//!
//! Every line stands in both headers; a reader takes each from the copy that holds it whole and newer, so that a lost line
//! costs something only when it is lost twice. A writer finishes and cleans one copy before it begins the other.

use crate::format::{
    BANKS_MAX, CORES_MAX, Geometry, HEADER_SIZE, LINE_SIZE, MAGIC, REGION_SIZE_MIN, VERSION, VERSION_PARITY, domain,
    header_line,
};
use crate::line::{Line, LineSeed};
use crate::records::{BankRecord, BankState};
use crate::seams::{Memory, Persist};

/// The highest number of a boot that is believed, so that the next one can be counted whatever a region says.
const BOOT_MAX: u64 = u64::MAX - 1;

/// A region's header, as it is kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The places.
    pub geometry: Geometry,
    /// Number of the newest boot, from 1.
    pub boot: u64,
    /// How many boots in a row ended in a crash.
    pub crashes_in_a_row: u32,
    /// One record per bank; those behind `geometry.banks` are empty.
    pub banks: [BankRecord; BANKS_MAX as usize],
    /// Higher in the newer copy.
    generation: u32,
}

/// What a region turned out to be.
#[allow(clippy::large_enum_variant, reason = "there is no allocator to put the large one behind")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// One of ours.
    Valid(Header),
    /// None of ours, and never was: no signature at all. The byte that fills both header pages, if they hold only one.
    Cold {
        /// Zero after a power-on in an emulator, or when firmware cleared the region; `None` for noise.
        filled_with: Option<u8>,
    },
    /// Ours, but of another version of the format.
    OtherVersion(u32),
    /// Ours, but for a region of another size, or a geometry that cannot be.
    OtherGeometry {
        /// Size of the region that it was written for.
        region_size: u64,
        /// Number of banks.
        banks: u32,
        /// Number of cores.
        cores: u32,
    },
    /// Both headers are lost, but sub-buffers of ours are there: this geometry explains most of their tags.
    Scanned {
        /// The places.
        geometry: Geometry,
        /// Sub-buffers whose tags verify and stand where this geometry puts them.
        tags: u32,
    },
}

/// The checked lines of headers.
fn seed() -> LineSeed {
    LineSeed::new(0, domain::HEADER)
}

impl Header {
    /// A header for a region that holds nothing yet.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            boot: 0,
            crashes_in_a_row: 0,
            banks: [BankRecord::default(); BANKS_MAX as usize],
            generation: 0,
        }
    }

    /// This header for another layout: the boots go on being counted, the banks are empty.
    #[must_use]
    pub fn laid_out_as(&self, geometry: Geometry) -> Self {
        Self { boot: self.boot, generation: self.generation, ..Self::new(geometry) }
    }

    /// The banks that exist.
    #[must_use]
    pub fn banks(&self) -> &[BankRecord] {
        &self.banks[..self.geometry.banks as usize]
    }

    /// Writes both copies, one after the other, each cleaned to memory before the next is touched.
    pub fn store<M: Memory + Persist>(&mut self, memory: &M) {
        self.generation = self.generation.wrapping_add(1);
        for page in [Geometry::HEADER_A, self.geometry.header_b()] {
            let put = |line: Line, number: u32| {
                line.store(memory, page + u64::from(number) * LINE_SIZE, seed(), number, self.generation);
            };
            let g = &self.geometry;
            put(
                Line::default().u64(MAGIC).u32(g.version()).u32(g.banks).u64(g.region_size).u32(g.cores).u32(g.parity),
                header_line::IDENTITY,
            );
            put(Line::default().u64(self.boot).u32(self.crashes_in_a_row), header_line::LIFE);
            for (number, record) in (header_line::BANK..).zip(self.banks()) {
                put(record.to_line(), number);
            }
            let lines = u64::from(header_line::BANK + g.banks);
            memory.clean(page, lines * LINE_SIZE);
            memory.complete();
        }
    }

    /// The bank that the next boot records into: the one longest unused of those that hold nothing unacknowledged. When
    /// every bank holds a crash: the oldest crash (`true`), which is then lost.
    #[must_use]
    pub fn next_bank(&self) -> (u32, bool) {
        let oldest = |crash: bool| {
            let banks = (0u32..).zip(self.banks());
            banks.filter(|(_, b)| b.state.is_crash() == crash).min_by_key(|(_, b)| b.boot).map(|(i, _)| i)
        };
        match oldest(false) {
            Some(bank) => (bank, false),
            None => (oldest(true).unwrap_or(0), true),
        }
    }

    /// The banks that hold crashes which nobody has seen, the oldest boot first.
    pub fn crashes(&self) -> impl Iterator<Item = u32> + '_ {
        let mut after = 0;
        core::iter::from_fn(move || {
            let banks = (0u32..).zip(self.banks());
            let next = banks.filter(|(_, b)| b.state.is_crash() && b.boot > after).min_by_key(|(_, b)| b.boot)?;
            after = next.1.boot;
            Some(next.0)
        })
    }
}

/// Looks at a region of any content.
#[must_use]
pub fn inspect(region: &[u8]) -> Found {
    inspect_part(region, region.len() as u64)
}

/// The same of a region of `size` bytes of which only the first ones are at hand.
#[must_use]
pub fn inspect_part(region: &[u8], size: u64) -> Found {
    if size < REGION_SIZE_MIN || region.len() < HEADER_SIZE as usize {
        return Found::Cold { filled_with: None };
    }
    let line = |number| newer(region, size, number);
    let Some((mut identity, generation)) = line(header_line::IDENTITY) else {
        return without_headers(region);
    };
    if identity.take_u64() != MAGIC {
        return without_headers(region);
    }
    let version = identity.take_u32();
    if ![VERSION, VERSION_PARITY].contains(&version) {
        return Found::OtherVersion(version);
    }
    let (banks, region_size, cores) = (identity.take_u32(), identity.take_u64(), identity.take_u32());
    // Version 1 has no parity, whatever stands in the free bytes of its line.
    let parity = if version == VERSION_PARITY { identity.take_u32() } else { 0 };
    let geometry = match Geometry::new(region_size, banks, cores).and_then(|plain| plain.with_parity(parity)) {
        Ok(geometry) if region_size == size => geometry,
        _ => return Found::OtherGeometry { region_size, banks, cores },
    };
    let mut header = Header { generation, ..Header::new(geometry) };
    if let Some((mut life, _)) = line(header_line::LIFE) {
        header.boot = life.take_u64();
        header.crashes_in_a_row = life.take_u32();
    }
    for (number, record) in (header_line::BANK..).zip(&mut header.banks[..banks as usize]) {
        *record = line(number).and_then(|(line, _)| BankRecord::from_line(line)).unwrap_or_default();
        // A record that is lost twice: the bank's own copy says whose it is.
        if *record == BankRecord::default()
            && let Some(own) = bank_record(region, &geometry, number - header_line::BANK)
        {
            *record = own;
        }
        header.boot = header.boot.max(record.boot);
    }
    header.boot = header.boot.min(BOOT_MAX);
    Found::Valid(header)
}

/// A header line from whichever copy holds it whole and newer.
fn newer(region: &[u8], size: u64, number: u32) -> Option<(Line, u32)> {
    let at = u64::from(number) * LINE_SIZE;
    let a = Line::load(region, at, seed(), number);
    let b = Line::load(region, size - HEADER_SIZE + at, seed(), number);
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.1.wrapping_sub(a.1).cast_signed() > 0 { b } else { a }),
        (a, b) => a.or(b),
    }
}

fn without_headers(region: &[u8]) -> Found {
    if let Some((geometry, tags)) = crate::scan::geometry(region) {
        return Found::Scanned { geometry, tags };
    }
    let size = region.len();
    let first = region.first().copied();
    let mut pages = region[..HEADER_SIZE as usize].iter().chain(&region[size - HEADER_SIZE as usize..]);
    Found::Cold { filled_with: first.filter(|byte| pages.all(|b| b == byte)) }
}

/// What a bank says of itself in its tail: the boot id is not known beforehand, so it is taken from the sub-buffers' tags.
#[must_use]
pub fn bank_record(region: &[u8], geometry: &Geometry, bank: u32) -> Option<BankRecord> {
    let start = usize::try_from(geometry.bank(bank)).ok()?;
    let bytes = region.get(start..)?.get(..usize::try_from(geometry.bank_size).ok()?)?;
    let boot_id = crate::scan::newest_boot_id(bytes, geometry)?;
    bank_record_of(bytes, geometry, boot_id)
}

/// What a bank says of itself in its tail, for a known boot id.
#[must_use]
pub fn bank_record_of(bank: &[u8], geometry: &Geometry, boot_id: u32) -> Option<BankRecord> {
    let line = crate::format::tail_line::BANK;
    let (line, _) = Line::load(bank, geometry.tail(line), LineSeed::new(boot_id, domain::TAIL), line)?;
    BankRecord::from_line(line).filter(|record| record.boot_id == boot_id && record.cores <= CORES_MAX)
}

/// A header from what a scan found, so that a region whose headers are lost goes on living: each bank that says whose it
/// is, or whose sub-buffers do, is taken as a crash that nobody has seen.
#[must_use]
pub fn rebuild(region: &[u8], geometry: Geometry) -> Header {
    let mut header = Header::new(geometry);
    for bank in 0..geometry.banks {
        let Some(start) = usize::try_from(geometry.bank(bank)).ok() else { continue };
        let Some(bytes) = region.get(start..).and_then(|rest| rest.get(..geometry.bank_size as usize)) else {
            continue;
        };
        let Some(boot_id) = crate::scan::newest_boot_id(bytes, &geometry) else { continue };
        let unknown = BankRecord {
            state: BankState::Recording,
            boot_id,
            boot: u64::from(bank) + 1,
            cores: geometry.cores,
            ..BankRecord::default()
        };
        let record = bank_record_of(bytes, &geometry, boot_id).unwrap_or(unknown);
        header.boot = header.boot.max(record.boot);
        header.banks[bank as usize] = record;
    }
    header.boot = header.boot.min(BOOT_MAX);
    header
}
