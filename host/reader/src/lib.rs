//! Whatever somebody hands over, recognised: a region, one bank of it, a whole RAM image with regions somewhere in it, a
//! listing in the form of Linux's `trace` file, a console's output with a binary dump in it, Linux's own persistent ring buffer.
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
use capture::Assembler;
use kernel::plan::Absence;
use linuxring::{Formats, Linux, Symbols};
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
    /// A console's output with the frames of a binary dump in it.
    Capture,
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
            Self::Capture => "capture",
            Self::Listing => "listing",
            Self::Unknown => "unknown",
        }
    }
}

/// What helps to read what Linux left: descriptions of its events, and its symbols.
#[derive(Clone, Debug, Default)]
pub struct OfLinux {
    /// Descriptions, where the built-in ones do not do.
    pub formats: Formats,
    /// A kallsyms or System.map.
    pub symbols: Symbols,
}

/// An input in which everything of ours has been found, and repaired where parity allows it.
#[derive(Debug)]
pub struct Input {
    parts: Vec<Part>,
    remarks: Vec<String>,
    is_capture: bool,
}

/// A picture of memory.
#[derive(Debug)]
struct Part {
    image: Image,
    regions: Vec<Region>,
}

impl Input {
    /// Looks for regions of ours, and lets parity put right what it can.
    #[must_use]
    pub fn new(image: Image) -> Self {
        let mut remarks = Vec::new();
        let captured = captured(&image, &mut remarks);
        let is_capture = !captured.is_empty();
        let images = if is_capture { captured } else { vec![image] };
        let parts = images.into_iter().map(|image| Part::new(image, &mut remarks)).collect();
        Self { parts, remarks, is_capture }
    }

    /// Where regions of ours are, with their bytes: fewer than the place says where the image is cut off.
    pub fn regions(&self) -> impl Iterator<Item = (&Region, &[u8])> {
        self.parts.iter().flat_map(|part| part.regions.iter().map(|region| (region, part.bytes(&region.place))))
    }

    /// Everything that is in it.
    #[must_use]
    pub fn read(&self) -> Reading<'_> {
        self.read_with(&OfLinux::default())
    }

    /// The same with what is known of a Linux.
    #[must_use]
    pub fn read_with(&self, linux: &OfLinux) -> Reading<'_> {
        let mut reading = Reading { kind: Kind::Unknown, traces: Vec::new(), remarks: self.remarks.clone() };
        self.parts.iter().for_each(|part| part.read(linux, &mut reading));
        if self.is_capture {
            reading.kind = Kind::Capture;
            // The newest boot was sent last.
            reading.traces.sort_by_key(|trace| std::cmp::Reverse(trace.about().boot));
        }
        reading
    }
}

/// The largest input in which frames of a binary dump are looked for: a console's output is no larger.
const CAPTURE_MAX: usize = 256 << 20;
/// Fed at a time.
const PIECE: usize = 64 << 10;

/// The banks that were sent over a console whose output this is. What is missing of them is remarked.
fn captured(image: &Image, remarks: &mut Vec<String>) -> Vec<Image> {
    let bytes = image.bytes();
    // A picture of memory is mostly zeros, or begins with a header; frames begin with one zero each.
    let sample = &bytes[..bytes.len().min(PIECE)];
    let zeros = sample.iter().filter(|byte| **byte == 0).count();
    if bytes.len() > CAPTURE_MAX || zeros > sample.len() / 8 || bytes.starts_with(&ring::format::MAGIC.to_le_bytes()) {
        return Vec::new();
    }
    let mut assembler = Assembler::default();
    bytes.chunks(PIECE).for_each(|piece| assembler.feed(piece, &mut |_, _| {}));
    assembler.finish(&mut |_, _| {});
    let mut images = Vec::new();
    for transfer in assembler.transfers() {
        let missing = transfer.missing().count();
        if missing > 0 {
            remarks.push(format!("boot id {:#010x}: {missing} pages of its bank did not come", transfer.id()));
        }
        images.extend(transfer.image().map(Image::of));
    }
    images
}

impl Part {
    fn new(image: Image, remarks: &mut Vec<String>) -> Self {
        let regions = find::regions(image.bytes(), remarks);
        // What is cut off reads as zeros, so that the banks it has begun can be read as well.
        let end = regions.iter().map(|region| region.place.end).max().unwrap_or(0);
        let image = if end > image.bytes().len() as u64 { image.padded(end) } else { image };
        let mut part = Self { image, regions };
        part.repair(remarks);
        part
    }

    fn repair(&mut self, remarks: &mut Vec<String>) {
        for region in self.regions.iter().filter(|region| region.header.geometry.parity > 0) {
            for (place, number) in region.banks() {
                let record = region.header.banks[number as usize];
                let bytes = self.image.bytes_mut().get_mut(place.start as usize..place.end as usize);
                let Some(bytes) = bytes.filter(|_| record.state != BankState::Empty) else { continue };
                for core in 0..region.header.geometry.cores {
                    let repaired = by_best_crc!(crc => repair(bytes, &region.header.geometry, &record, core, crc));
                    if repaired.corrected > 0 || repaired.beyond > 0 {
                        let words = kernel::dump::Repairs(&repaired);
                        remarks.push(format!("boot {}, core {core}: parity: {words}", record.boot));
                    }
                }
            }
        }
    }

    /// Bytes of it, as far as they are there.
    fn bytes(&self, place: &Range<u64>) -> &[u8] {
        let all = self.image.bytes();
        let end = all.len().min(place.end as usize);
        all.get(place.start as usize..end).unwrap_or(&[])
    }

    fn read<'a>(&'a self, linux: &OfLinux, reading: &mut Reading<'a>) {
        let bytes = self.image.bytes();
        for region in &self.regions {
            self.region(region, reading);
        }
        let ours: Vec<Range<u64>> = self.regions.iter().map(|region| region.place.clone()).collect();
        for found in linuxring::find(bytes, &ours) {
            // Linux has no checks: what of ours is read as Linux's would be believed whatever it says.
            if find::is_ours(bytes, &found.place) {
                let at = found.place.start;
                reading.remarks.push(format!("a bank of ours at {at:#x} cannot be read: its sub-buffers fit nowhere"));
                continue;
            }
            if let Some(region) = linuxring::Region::parse(bytes, found.place.start) {
                reading.traces.push(Box::new(Linux::new(region, linux.formats.clone(), linux.symbols.clone())));
            }
        }
        if reading.traces.is_empty() {
            let listings = listing::listings(bytes);
            reading.kind = if listings.is_empty() { Kind::Unknown } else { Kind::Listing };
            reading.traces.extend(listings.into_iter().map(|listing| Box::new(listing) as Box<dyn Trace + 'a>));
            if reading.traces.is_empty() {
                reading.remarks.push(self.absence());
            }
            return;
        }
        let is_all = |region: &Region| {
            region.place == (0..bytes.len() as u64) && region.header.geometry.region_size == region.place.end
        };
        reading.kind = match &self.regions[..] {
            [only] if is_all(only) => Kind::Region,
            _ => Kind::Image,
        };
    }

    /// Why nothing was found.
    fn absence(&self) -> String {
        let bytes = self.image.bytes();
        if bytes.is_empty() {
            return "it is empty".into();
        }
        if bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"\xfd7zXZ") || bytes.starts_with(&[0x1f, 0x8b]) {
            let first = Escaped(&bytes[..4.min(bytes.len())]);
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
            let Some(bytes) = self.image.bytes().get(place.start as usize..place.end as usize) else {
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
