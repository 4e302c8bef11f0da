//! Finds what is ours in bytes whose headers are lost: sub-buffers say who they are, and a geometry must explain where they stand.

use crate::check::{Crc32c, Table};
use crate::format::{BANKS_MAX, CORES_MAX, DATA_END, Geometry, domain, tag};
use crate::linux::SUBBUF_SIZE;
use crate::parity;
use crate::region::bank_record_of;

/// What a sub-buffer's tag says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// Boot that began the sub-buffer.
    pub boot_id: u32,
    /// Core that it belongs to.
    pub core: u32,
    /// Its number among the core's sub-buffers.
    pub sequence: u64,
    /// Events that the core had reserved before it.
    pub reserved: u64,
    /// Time of its beginning.
    pub time_ns: u64,
}

impl Tag {
    /// Reads the tag of a sub-buffer; `None` where it does not verify.
    #[must_use]
    pub fn load(subbuf: &[u8]) -> Option<Self> {
        Self::load_by(Table, subbuf)
    }

    /// The same with a faster way to compute the check.
    #[must_use]
    pub fn load_by<C: Crc32c>(crc: C, subbuf: &[u8]) -> Option<Self> {
        let tag = subbuf.get(DATA_END as usize..)?;
        let u32_at = |at: u64| Some(u32::from_le_bytes(*tag.get(at as usize..)?.first_chunk()?));
        let u64_at = |at: u64| Some(u64::from_le_bytes(*tag.get(at as usize..)?.first_chunk()?));
        if u32_at(tag::MAGIC)? != tag::VALUE {
            return None;
        }
        let found = Self {
            boot_id: u32_at(tag::BOOT_ID)?,
            core: u32_at(tag::CORE)?,
            sequence: u64_at(tag::SEQUENCE)?,
            reserved: u64_at(tag::RESERVED)?,
            time_ns: u64_at(tag::TIME)?,
        };
        let head = u64_at(tag::MAGIC)?;
        let check = tag_check_by(crc, found.boot_id, head, found.core, found.sequence, found.reserved, found.time_ns);
        (u32_at(tag::CHECK)? == check).then_some(found)
    }
}

/// The check of a tag whose first eight bytes are `head`.
pub(crate) fn tag_check_by<C: Crc32c>(
    crc: C,
    boot_id: u32,
    head: u64,
    core: u32,
    sequence: u64,
    reserved: u64,
    time: u64,
) -> u32 {
    let register = crc.u64(crate::check::seed_by(crc, boot_id, domain::TAG), head);
    let register = crc.u32(register, core);
    crc.u64(crc.u64(crc.u64(register, sequence), reserved), time)
}

/// All sub-buffers of ours at page boundaries, with their offsets.
fn tags(bytes: &[u8]) -> impl Iterator<Item = (u64, Tag)> + '_ {
    let pages = (0u64..).step_by(SUBBUF_SIZE as usize).zip(bytes.chunks_exact(SUBBUF_SIZE as usize));
    pages.filter_map(|(at, page)| Some((at, Tag::load(page)?)))
}

/// How many sub-buffers a guess at the geometry is tried on.
const SAMPLES: usize = 64;

/// The geometry that explains most of the sub-buffers in a region whose headers are lost, and how many sub-buffers verify
/// at all. `None` where there are none, or no geometry explains more than half of the sampled ones.
#[must_use]
pub fn geometry(region: &[u8]) -> Option<(Geometry, u32)> {
    let total = tags(region).count();
    let mut samples = [(0u64, Tag::default()); SAMPLES];
    let step = total.div_ceil(SAMPLES).max(1);
    let mut used = 0;
    for (slot, sample) in samples.iter_mut().zip(tags(region).step_by(step)) {
        *slot = sample;
        used += 1;
    }
    let samples = samples.get(..used)?;
    let mut best: Option<(usize, usize, Geometry)> = None;
    for lines in parity::CHOICES {
        for banks in 1..=BANKS_MAX {
            for cores in 1..=CORES_MAX {
                let plain = Geometry::new(region.len() as u64, banks, cores);
                let Ok(geometry) = plain.and_then(|plain| plain.with_parity(lines)) else { continue };
                // A geometry with parity must have its checked lines where it says: two witnesses for each sub-buffer.
                let is_right = |at, tag| stands_right(&geometry, at, tag) && has_parity(region, &geometry, at, tag);
                let explained = samples.iter().filter(|(at, tag)| is_right(*at, tag)).count();
                let witnesses = if lines == 0 { explained } else { 2 * explained };
                if witnesses > best.map_or(0, |(most, ..)| most) {
                    best = Some((witnesses, explained, geometry));
                }
            }
        }
    }
    let (_, explained, geometry) = best?;
    (2 * explained > used).then_some((geometry, total as u32))
}

/// Whether a sub-buffer that begins at `at` of a region stands where the geometry puts it.
#[must_use]
pub fn stands_right(geometry: &Geometry, at: u64, tag: &Tag) -> bool {
    let Some(in_banks) = at.checked_sub(geometry.bank(0)) else { return false };
    tag.core < geometry.cores && in_banks % geometry.bank_size == geometry.subbuf(tag.core, tag.sequence)
}

/// Whether the parity of a sub-buffer that stands right stands where the geometry puts it; a geometry without any has it.
fn has_parity(region: &[u8], geometry: &Geometry, at: u64, tag: &Tag) -> bool {
    if geometry.parity == 0 {
        return true;
    }
    let bank = geometry.bank(((at - geometry.bank(0)) / geometry.bank_size) as u32) as usize;
    region.get(bank..).is_some_and(|bank| parity::is_witness(bank, geometry, tag.boot_id, tag.core, tag.sequence))
}

/// The boot id of a bank's newest boot, from its sub-buffers: the one under which the bank's tail verifies, else the first
/// that is met where it belongs.
#[must_use]
pub fn newest_boot_id(bank: &[u8], geometry: &Geometry) -> Option<u32> {
    let (mut first, mut last) = (None, None);
    for (at, tag) in tags(bank) {
        if tag.core >= geometry.cores || at != geometry.subbuf(tag.core, tag.sequence) || last == Some(tag.boot_id) {
            continue;
        }
        if bank_record_of(bank, geometry, tag.boot_id).is_some() {
            return Some(tag.boot_id);
        }
        last = Some(tag.boot_id);
        first = first.or(last);
    }
    first
}
