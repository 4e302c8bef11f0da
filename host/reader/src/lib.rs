//! Whatever somebody hands over, recognised: a region, one bank of it, a whole RAM image with regions somewhere in it, a
//! listing in the form of Linux's `trace` file.
//!
//! ```text
//!   file, pipe ─► Image ─► repaired ─► read() ─► Reading { traces, remarks }
//!                 mapped   parity      find: headers, tags, Linux's magic
//! ```
//!
//! Total over arbitrary bytes: what cannot be read is a remark. The work is bounded by the size of the image, and memory by
//! the number of events that are held at a time, which is one for each core.

mod about;
mod bank;
mod find;
mod image;
mod listing;

pub use find::Region;
pub use image::{Image, SIZE_MAX};

use bank::BankTrace;
use kernel::plan::Absence;
use ring::check::{Instruction, Table};
use ring::escape::Escaped;
use ring::parity::repair;
use ring::records::BankState;
use ring::recover::Bank;
use ring::region::Found;
use std::ops::Range;
use trace::Trace;

/// Evaluates an expression with the fastest CRC that this machine has.
macro_rules! by_best_crc {
    ($crc:ident => $body:expr) => {
        match Instruction::detect() {
            Some($crc) => $body,
            None => {
                let $crc = Table;
                $body
            }
        }
    };
}

/// What an input turned out to be.
pub struct Reading<'a> {
    /// In which form it was.
    pub kind: Kind,
    /// The boots and instances in it, those that nobody has seen first, of these the newest boot first.
    pub traces: Vec<Box<dyn Trace + 'a>>,
    /// What was found damaged, or not found, and why; a sentence each, printable ASCII.
    pub remarks: Vec<String>,
}

/// The form of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of our regions, from its first byte to its last.
    Region,
    /// Regions or banks somewhere in something larger, or in a part of one.
    Image,
    /// A listing of events as text.
    Listing,
    /// Nothing that is known.
    Unknown,
}

impl Kind {
    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Image => "image",
            Self::Listing => "listing",
            Self::Unknown => "unknown",
        }
    }
}

/// An input in which everything of ours has been found, and repaired where parity allows it.
#[derive(Debug)]
pub struct Input {
    image: Image,
    regions: Vec<Region>,
    remarks: Vec<String>,
}

impl Input {
    /// Looks for regions of ours, and lets parity put right what it can.
    #[must_use]
    pub fn new(image: Image) -> Self {
        let mut remarks = Vec::new();
        let regions = find::regions(image.bytes(), &mut remarks);
        // What is cut off reads as zeros, so that the banks it has begun can be read as well.
        let end = regions.iter().map(|region| region.place.end).max().unwrap_or(0);
        let image = if end > image.bytes().len() as u64 { image.padded(end) } else { image };
        let mut input = Self { image, regions, remarks };
        input.repair();
        input
    }

    fn repair(&mut self) {
        for region in self.regions.iter().filter(|region| region.header.geometry.parity > 0) {
            for (place, number) in region.banks() {
                let record = region.header.banks[number as usize];
                let bytes = self.image.bytes_mut().get_mut(place.start as usize..place.end as usize);
                let Some(bytes) = bytes.filter(|_| record.state != BankState::Empty) else { continue };
                for core in 0..region.header.geometry.cores {
                    let repaired = by_best_crc!(crc => repair(bytes, &region.header.geometry, &record, core, crc));
                    if repaired.corrected > 0 || repaired.beyond > 0 {
                        let words = kernel::dump::Repairs(&repaired);
                        self.remarks.push(format!("boot {}, core {core}: parity: {words}", record.boot));
                    }
                }
            }
        }
    }

    /// Where regions of ours are.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// All its bytes, repaired.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.image.bytes()
    }

    /// Everything that is in it.
    #[must_use]
    pub fn read(&self) -> Reading<'_> {
        let bytes = self.bytes();
        let mut reading = Reading { kind: Kind::Unknown, traces: Vec::new(), remarks: self.remarks.clone() };
        for region in &self.regions {
            self.region(region, &mut reading);
        }
        let ours: Vec<Range<u64>> = self.regions.iter().map(|region| region.place.clone()).collect();
        other_traces(bytes, &ours, &mut reading);
        let is_all = |region: &Region| {
            region.place == (0..bytes.len() as u64) && region.header.geometry.region_size == region.place.end
        };
        reading.kind = match &self.regions[..] {
            [only] if is_all(only) => Kind::Region,
            [] if reading.traces.is_empty() => Kind::Unknown,
            [] if reading.kind == Kind::Listing => Kind::Listing,
            _ => Kind::Image,
        };
        if reading.kind == Kind::Unknown {
            reading.remarks.push(self.absence());
        }
        reading
    }

    /// Why nothing was found.
    fn absence(&self) -> String {
        let bytes = self.bytes();
        if bytes.is_empty() {
            return "it is empty".into();
        }
        if bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"\xfd7zXZ") || bytes.starts_with(&[0x1f, 0x8b]) {
            let first = Escaped(&bytes[..4]);
            return format!("no region is in it; it begins with {first}: is it compressed, or an ELF file?");
        }
        match ring::region::inspect(bytes) {
            Found::Valid(_) | Found::Scanned { .. } => "it holds no boot that recorded anything".into(),
            found => Absence(&found).to_string(),
        }
    }

    fn region<'a>(&'a self, region: &Region, reading: &mut Reading<'a>) {
        let mut banks: Vec<_> = region.banks().collect();
        let record = |number: u32| region.header.banks[number as usize];
        banks.sort_by_key(|(_, number)| {
            let record = record(*number);
            (!record.state.is_crash(), std::cmp::Reverse(record.boot))
        });
        for (place, number) in banks {
            let record = record(number);
            if record.state == BankState::Empty {
                continue;
            }
            let Some(bytes) = self.bytes().get(place.start as usize..place.end as usize) else {
                reading.remarks.push(format!("boot {}: its bank lies behind the end of the file", record.boot));
                continue;
            };
            by_best_crc!(crc => {
                if let Some(bank) = Bank::new(bytes, region.header.geometry, record, crc) {
                    reading.traces.push(Box::new(BankTrace::new(&bank, place.start, number)));
                }
            });
        }
    }
}

/// What is not ours: Linux's regions, else a listing.
fn other_traces<'a>(bytes: &'a [u8], _ours: &[Range<u64>], reading: &mut Reading<'a>) {
    if reading.traces.is_empty() {
        let listings = listing::listings(bytes);
        if !listings.is_empty() {
            reading.kind = Kind::Listing;
        }
        reading.traces.extend(listings.into_iter().map(|listing| Box::new(listing) as Box<dyn Trace + 'a>));
    }
}
