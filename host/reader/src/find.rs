//! Where regions of ours are in an image of any content.
//!
//! One pass over the pages notes those that begin as a header does, and those that end in a tag. A header that verifies
//! says where its region begins and ends, whichever of the two it is. Sub-buffers that no header accounts for are left to
//! [`orphans`].

mod orphans;

use ring::format::{BANKS_MAX, HEADER_SIZE, MAGIC, REGION_SIZE_MAX, REGION_SIZE_MIN, tag};
use ring::linux::SUBBUF_SIZE;
use ring::region::{Found, Header, inspect, inspect_part, rebuild};
use ring::scan::{Tag, stands_right};
use std::ops::Range;

/// Bytes of a page.
const PAGE: usize = SUBBUF_SIZE as usize;
/// How many candidates may turn out to be none: an image that holds more was made to waste time.
const CANDIDATES_MAX: usize = 4096;

/// A region in an image.
#[derive(Clone, Debug)]
pub struct Region {
    /// Its bytes in the image; what lies behind the image's end is missing.
    pub place: Range<u64>,
    /// What it says of itself, or what a scan tells.
    pub header: Header,
    /// Where bank 0 begins in the image; behind header A, if there is one.
    first_bank: u64,
}

impl Region {
    /// Its banks: where in the image, and which.
    pub fn banks(&self) -> impl Iterator<Item = (Range<u64>, u32)> + use<> {
        let (first, size, banks) = (self.first_bank, self.header.geometry.bank_size, self.header.geometry.banks);
        (0..banks.min(BANKS_MAX)).map(move |bank| {
            let start = first + u64::from(bank) * size;
            (start..start + size, bank)
        })
    }

    /// How many of these sub-buffers stand where a bank of it has them.
    fn holds(&self, tagged: &[Tagged]) -> usize {
        let geometry = &self.header.geometry;
        let in_region = |at: u64| Some(at.checked_sub(self.first_bank)? + geometry.bank(0));
        let own = |(at, tag): &&Tagged| {
            self.place.contains(at) && in_region(*at).is_some_and(|at| stands_right(geometry, at, tag))
        };
        tagged.iter().filter(own).count()
    }

    /// With header A at the place's beginning.
    fn headed(place: Range<u64>, header: Header) -> Self {
        Self { first_bank: place.start + HEADER_SIZE, place, header }
    }
}

/// A sub-buffer that says whose it is, and where it stands.
type Tagged = (u64, Tag);

/// All of them, in order of their places. What had to be worked round is remarked.
pub(crate) fn regions(image: &[u8], remarks: &mut Vec<String>) -> Vec<Region> {
    let mut regions = Vec::new();
    let mut scanned = None;
    // The usual case first: it is one region, whole, whatever became of its headers.
    match inspect(image) {
        Found::Valid(header) => return vec![Region::headed(0..image.len() as u64, header)],
        Found::Scanned { geometry, tags } => scanned = Some((geometry, tags)),
        Found::OtherVersion(version) => {
            let known = ring::format::VERSION_PARITY;
            remarks.push(format!("it holds format version {version}, this program knows versions up to {known}"));
        }
        Found::Cold { .. } | Found::OtherGeometry { .. } => {}
    }
    let mut tagged: Vec<Tagged> = Vec::new();
    let (mut free_from, mut in_vain) = (0, 0);
    for (number, page) in image.chunks_exact(PAGE).enumerate() {
        let at = (number * PAGE) as u64;
        if at < free_from {
            continue;
        }
        if page.starts_with(&MAGIC.to_le_bytes()) && in_vain < CANDIDATES_MAX {
            match headed(image, at, regions.last(), &tagged) {
                Some(region) => {
                    free_from = region.place.end;
                    tagged.retain(|(at, _)| !region.place.contains(at));
                    regions.push(region);
                    continue;
                }
                None => in_vain += 1,
            }
        }
        if page[ring::format::DATA_END as usize..].starts_with(&tag::VALUE.to_le_bytes())
            && let Some(tag) = Tag::load(page)
        {
            tagged.push((at, tag));
        }
    }
    if in_vain > 0 {
        remarks.push(format!("{in_vain} pages begin as a header does, and are none"));
    }
    // A region whose headers are lost explains all of them; something else may explain half of them by chance.
    let mut said = Vec::new();
    let banks = orphans::regions(image, tagged.clone(), &mut said);
    match scanned.filter(|_| regions.is_empty()) {
        Some((geometry, tags))
            if tagged.iter().filter(|(at, tag)| stands_right(&geometry, *at, tag)).count()
                >= banks.iter().map(|bank| bank.holds(&tagged)).sum() =>
        {
            remarks.push(format!("both headers are invalid: recovered by scan ({tags} sub-buffers say who they are)"));
            return vec![Region::headed(0..image.len() as u64, rebuild(image, geometry))];
        }
        _ => {
            remarks.append(&mut said);
            regions.extend(banks);
        }
    }
    for region in &regions {
        let missing = region.place.end.saturating_sub(image.len() as u64);
        if missing > 0 {
            remarks.push(format!("the last {missing} bytes of the region at {:#x} are missing", region.place.start));
        }
    }
    regions
}

/// Whether a sub-buffer of ours stands somewhere in a place, wherever it belongs.
pub(crate) fn is_ours(image: &[u8], place: &Range<u64>) -> bool {
    let end = image.len().min(place.end as usize);
    let pages = image.get(place.start as usize..end).unwrap_or(&[]).chunks_exact(PAGE);
    pages.into_iter().any(|page| Tag::load(page).is_some())
}

/// The region of a header page: both of its headers say the same. It is the last page if sub-buffers before it stand where
/// that puts them, else the first.
fn headed(image: &[u8], at: u64, before: Option<&Region>, tagged: &[Tagged]) -> Option<Region> {
    // Third field of the identity line; it verifies when the region does.
    let size = u64::from_le_bytes(*image.get(at as usize + 16..)?.first_chunk()?);
    if !(REGION_SIZE_MIN..=REGION_SIZE_MAX).contains(&size) {
        return None;
    }
    let from = |start: u64| {
        let part = &image[start as usize..image.len().min((start + size) as usize)];
        match inspect_part(part, size) {
            Found::Valid(header) => Some(Region::headed(start..start + size, header)),
            _ => None,
        }
    };
    let is_free = |start: &u64| before.is_none_or(|before| before.place.end <= *start);
    let as_last = (at + HEADER_SIZE).checked_sub(size).filter(is_free).and_then(from);
    as_last.filter(|region| region.holds(tagged) > 0).or_else(|| from(at))
}
