//! How a region is divided, found out from headers of which any may be damaged: every division that something speaks for is
//! held against what the processors' headers say, and the one that most of them agree with is taken.

use crate::layout::{ALIGNMENT, BUFFERS_OFFSET, Division, Layout, MAGIC, SUBBUFS_MIN, subbufs, u32_at, u64_at};

/// Most processors that are looked for.
const CPUS_MAX: u64 = 4096;
/// Most processors for which a number of sub-buffers is computed, where no header tells it.
const CPUS_COMPUTED: u64 = 64;
/// So many damaged headers in a row end a region.
const GAP: u64 = 2;
/// Most entries of an order array that are looked at where only its form matters.
const ORDER_SAMPLE: u64 = 64;

/// Longest order array that is followed to find out its length.
const ORDER_MAX: u64 = 1 << 14;

/// The headers of one processor, as they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Address of the first sub-buffer in the boot that wrote it.
    pub(crate) first: u64,
    /// Address of the oldest sub-buffer.
    pub(crate) head: u64,
    /// Address of the one that was written last.
    pub(crate) commit: u64,
    /// Bytes of a sub-buffer.
    pub(crate) size: u64,
    /// Sub-buffers.
    pub(crate) number: u64,
}

impl Header {
    pub(crate) fn read(bytes: &[u8], layout: Layout, at: u64) -> Option<Self> {
        let at = at + layout.addresses();
        let address = |n: u64| u64_at(bytes, at + 8 * n);
        let number = |n: u64| u32_at(bytes, at + 24 + 4 * n).map(u64::from);
        Some(Self { first: address(0)?, head: address(1)?, commit: address(2)?, size: number(0)?, number: number(1)? })
    }

    /// The sub-buffer that an address means.
    pub(crate) fn slot(&self, address: u64, division: &Division) -> Option<u32> {
        let distance = address.wrapping_sub(self.first);
        let number = distance / division.size;
        (distance.is_multiple_of(division.size) && number < division.number).then_some(number as u32)
    }

    /// How many of its five words agree with a division; an order array counts as one.
    fn agrees(&self, bytes: &[u8], at: u64, division: &Division) -> u32 {
        let is_address = |address| self.first != 0 && self.slot(address, division).is_some();
        let order = division.layout.header() + at;
        let mut entries = (0..division.number.min(ORDER_SAMPLE)).map(|n| u32_at(bytes, order + 4 * n));
        let mut zeros = 0;
        let is_order = entries.all(|entry| {
            zeros += u32::from(entry == Some(0));
            zeros <= 1 && entry.is_some_and(|entry| u64::from(entry) < division.number)
        });
        u32::from(self.size == division.size)
            + u32::from(self.number == division.number)
            + u32::from(is_address(self.head))
            + u32::from(is_address(self.commit))
            + u32::from(is_order)
    }
}

/// A region's division, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Divided {
    pub(crate) division: Division,
    pub(crate) cpus: u64,
    /// Bytes of the region.
    pub(crate) size: u64,
    /// Words of headers that agree.
    score: u32,
}

impl Divided {
    /// How much speaks for it: words of headers that agree, and the size of these that the first header tells.
    pub(crate) fn score(&self, bytes: &[u8]) -> u32 {
        let told = u32_at(bytes, 4).map_or(0, |sizes| sizes & 0xffff);
        self.score + 2 * u32::from(u64::from(told) == self.division.layout.header())
    }
}

/// Whether the header at `at` is one of such a division: most of it agrees.
fn is_header(bytes: &[u8], at: u64, division: &Division) -> u32 {
    let agrees = Header::read(bytes, division.layout, at).map_or(0, |header| header.agrees(bytes, at, division));
    if agrees >= 3 { agrees } else { 0 }
}

/// Whether something at `at` looks like the beginning of a region of this layout, at little cost. Of the words that have
/// only one value two must be right.
pub(crate) fn is_candidate(bytes: &[u8], layout: Layout, at: u64) -> bool {
    let word = |offset: u64| u32_at(bytes, at + offset);
    let first = word(0) == Some(MAGIC);
    let sizes = layout.header() as u32;
    match layout {
        Layout::PerCpu => {
            let is_size = word(48).is_some_and(|size| size.is_power_of_two() && size >= 4096);
            let is_number = word(52).is_some_and(|number| number >= SUBBUFS_MIN as u32 && number < 1 << 20);
            let is_form = word(4) == Some(sizes);
            u32::from(first) + u32::from(is_form) + u32::from(is_size && is_number) >= 2
        }
        Layout::Global { .. } => {
            let is_form = word(4) == Some(24 << 16 | sizes);
            let is_offset = u64_at(bytes, at + 16) == Some(BUFFERS_OFFSET);
            u32::from(first) + u32::from(is_form) + u32::from(is_offset) >= 2
        }
    }
}

/// The number of sub-buffers that an order array shows by itself: the longest beginning that is a permutation, which is
/// followed by zeros or by the end of the header.
fn by_order(bytes: &[u8], at: u64) -> Option<u64> {
    let mut highest = 0;
    let mut number = 0;
    let mut sum = 0u64;
    let mut best = None;
    while let Some(entry) = u32_at(bytes, at + 4 * number).map(u64::from) {
        if (entry == 0 && number > 0 && best.is_some()) || entry > ORDER_MAX {
            break;
        }
        highest = highest.max(entry);
        sum += entry;
        number += 1;
        if highest + 1 == number && sum == number * (number - 1) / 2 {
            best = Some(number);
        }
        if number > ORDER_MAX {
            break;
        }
    }
    best.filter(|number| *number >= SUBBUFS_MIN)
}

/// The division of the region of this layout at the beginning of `bytes`.
pub(crate) fn divide(bytes: &[u8], layout: Layout) -> Option<Divided> {
    let here = Header::read(bytes, layout, layout.first())?;
    let total = match layout {
        Layout::Global { .. } => u64_at(bytes, 8).filter(|total| total.is_multiple_of(64) && *total <= 1 << 40),
        Layout::PerCpu => None,
    };
    let own = (here.size, here.number);
    let sizes = [own.0, 4096, 16 << 10, 64 << 10];
    let skews = |size: u64| (0..size.min(64 << 10)).step_by(ALIGNMENT as usize);
    let as_told = skews(own.0).filter_map(|skew| Division::new(layout, own.0, own.1, skew));
    let best = best_of(bytes, total, as_told);
    // Headers of several processors agree in nearly everything, and so it is for most regions. One alone may be what is
    // damaged.
    if best.is_some_and(|best| best.cpus >= 2 && u64::from(best.score) >= 4 * best.cpus) {
        return best;
    }
    let number = by_order(bytes, layout.first() + layout.header());
    let shown = sizes.into_iter().flat_map(|size| skews(size).map(move |skew| (size, skew)));
    let shown = shown.filter_map(|(size, skew)| Division::new(layout, size, number?, skew));
    let inside = total.filter(|total| *total <= bytes.len() as u64);
    let computed = sizes.into_iter().filter(|size| size.is_power_of_two()).take(2).flat_map(|size| {
        let number = move |cpus| Division::new(layout, size, subbufs(layout, inside?, cpus, size, 0)?, 0);
        (1..=CPUS_COMPUTED).filter_map(number)
    });
    let other = best_of(bytes, total, shown.chain(computed));
    best.into_iter().chain(other).reduce(|best, other| if other.score > best.score { other } else { best })
}

/// The division that headers agree with most; of several the first.
fn best_of(bytes: &[u8], total: Option<u64>, divisions: impl Iterator<Item = Division>) -> Option<Divided> {
    let held = divisions.filter_map(|division| held_against(bytes, division, total));
    held.reduce(|best, other| if other.score > best.score { other } else { best })
}

/// How many processors' headers there are if a region is divided so, and how much they agree.
fn held_against(bytes: &[u8], division: Division, total: Option<u64>) -> Option<Divided> {
    let total = total.filter(|total| division.fitting(*total) > 0);
    let most = total.map_or(CPUS_MAX, |total| division.fitting(total).min(CPUS_MAX));
    let (mut score, mut cpus, mut missing) = (0, 0, 0);
    for cpu in 0..most {
        let place = division.place(cpu);
        if place.header + division.layout.header() > bytes.len() as u64 || missing >= GAP {
            break;
        }
        match is_header(bytes, place.header, &division) {
            0 => missing += 1,
            agrees => {
                missing = 0;
                score += agrees;
                cpus = cpu + 1;
            }
        }
    }
    if cpus == 0 {
        return None;
    }
    // Headers at the end may all be damaged: the size of the region tells how many there were.
    let told = total.and_then(|total| {
        let is_so =
            |cpus: &u64| subbufs(division.layout, total, *cpus, division.size, division.skew) == Some(division.number);
        (cpus..=most).rev().find(is_so)
    });
    if told.is_some() {
        score += 1;
    }
    let cpus = told.unwrap_or(cpus);
    let end = division.place(cpus - 1).end;
    let size = total.filter(|total| *total >= end && told.is_some()).unwrap_or(end);
    Some(Divided { division, cpus, size, score })
}
