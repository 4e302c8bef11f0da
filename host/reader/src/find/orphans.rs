//! Banks that no header accounts for: a bank's image alone, or a region in RAM whose headers are both lost.
//!
//! Tags say core and sequence number, and where they stand says the rest. With a ring of n sub-buffers, number s stands
//! (s mod n) pages behind its core's first; the cores' first ones are one chunk apart, which again is n pages and a little.
//! The n under which most tags agree on where their cores begin is the bank's; where its tail verifies is its end.

use super::{PAGE, Region, Tagged};
use ring::format::{CORES_MAX, Geometry, HEADER_SIZE, tail_size};
use ring::linux;
use ring::records::{BankRecord, BankState};
use ring::region::{Header, bank_record_of};
use std::collections::BTreeMap;

/// Tags that a guess is tried on.
const SAMPLES: usize = 64;
/// Most banks that are looked for in one image.
const BANKS_MAX: usize = 16;

/// The banks of these sub-buffers, each as a region of its own.
pub(super) fn regions(image: &[u8], mut tagged: Vec<Tagged>, remarks: &mut Vec<String>) -> Vec<Region> {
    let mut regions = Vec::new();
    for _ in 0..BANKS_MAX {
        // The boot that most of them are of: a bank's.
        let mut of_boot: BTreeMap<u32, usize> = BTreeMap::new();
        tagged.iter().for_each(|(_, tag)| *of_boot.entry(tag.boot_id).or_default() += 1);
        let Some((boot_id, count)) = of_boot.into_iter().max_by_key(|(_, count)| *count) else { break };
        let own: Vec<Tagged> = tagged.iter().filter(|(_, tag)| tag.boot_id == boot_id).copied().collect();
        let Some(region) = bank(image, &own, boot_id) else {
            let (at, _) = own[0];
            remarks.push(format!(
                "{count} sub-buffer{} of a boot {boot_id:#010x} stand{} at {at:#x} and behind, and fit into no bank",
                if count == 1 { "" } else { "s" },
                if count == 1 { "s" } else { "" }
            ));
            tagged.retain(|(_, tag)| tag.boot_id != boot_id);
            continue;
        };
        let found = &region.header.banks[0];
        remarks.push(format!(
            "no header of the region is left: boot {} was found at {:#x} by its {count} sub-buffers{}",
            found.boot,
            region.place.start,
            if found.boot == 0 { "; its tail is lost as well" } else { "" }
        ));
        tagged.retain(|(at, tag)| tag.boot_id != boot_id && !region.place.contains(at));
        regions.push(region);
    }
    regions.sort_by_key(|region| region.place.start);
    regions
}

/// The bank of a boot's sub-buffers.
fn bank(image: &[u8], own: &[Tagged], boot_id: u32) -> Option<Region> {
    let samples: Vec<Tagged> = own.iter().step_by(own.len().div_ceil(SAMPLES).max(1)).copied().collect();
    let most_pages = (image.len() / PAGE) as u64;
    let highest = samples.iter().map(|(_, tag)| tag.sequence).max()?;
    // A ring that never was full has any length from its highest number on; the chunks tell where there are two cores.
    let (start, subbufs, agreed) = (linux::SUBBUFS_MIN
        ..most_pages.max(linux::SUBBUFS_MIN).min(highest.max(1 << 18) + 3))
        .filter_map(|subbufs| {
            let (start, agreed) = start(&samples, subbufs)?;
            Some((start, subbufs, agreed))
        })
        .max_by_key(|(_, subbufs, agreed)| (*agreed, std::cmp::Reverse(*subbufs)))?;
    if 2 * agreed <= samples.len() {
        return None;
    }
    let cores_least = own.iter().map(|(_, tag)| tag.core).max()? + 1;
    let (header, size) = tail(image, start, subbufs, cores_least, boot_id).or_else(|| {
        let header = header_of(without_tail(subbufs, cores_least)?, unknown(boot_id, cores_least));
        Some((header, header.geometry.bank_size))
    })?;
    Some(Region { place: start..start + size, header, first_bank: start })
}

/// Where the bank begins, if its cores have so many sub-buffers each, and how many samples say so.
fn start(samples: &[Tagged], subbufs: u64) -> Option<(u64, usize)> {
    let start_by = |(at, tag): &Tagged| {
        let page = 1 + tag.sequence % (subbufs - 1);
        at.checked_sub(linux::subbufs_offset(u64::from(tag.core), subbufs) + page * linux::SUBBUF_SIZE)
    };
    // The candidate of most: the first that more than half of them name, if there is one.
    let mut candidate = None;
    let mut votes = 0usize;
    for start in samples.iter().map(start_by) {
        if votes == 0 {
            candidate = start;
        }
        votes = if start.is_some() && start == candidate { votes + 1 } else { votes.saturating_sub(1) };
    }
    let start = candidate?;
    let agreed = samples.iter().filter(|sample| start_by(sample) == Some(start)).count();
    Some((start, agreed))
}

/// The bank's header by its tail, which must verify, and its size.
fn tail(image: &[u8], start: u64, subbufs: u64, cores_least: u32, boot_id: u32) -> Option<(Header, u64)> {
    let bytes = image.get(start as usize..)?;
    for cores in cores_least..=CORES_MAX {
        let least = linux::subbufs_offset(u64::from(cores) - 1, subbufs) + subbufs * linux::SUBBUF_SIZE;
        // What is not enough for one more sub-buffer on each core.
        let room = (u64::from(cores) + 2) * (linux::SUBBUF_SIZE + 64);
        for linux_size in (least..least + room).step_by(PAGE) {
            for parity in ring::parity::CHOICES {
                let Some(geometry) = geometry_with(linux_size, cores, parity) else { continue };
                if geometry.subbufs != subbufs || geometry.linux_size != linux_size {
                    continue;
                }
                if let Some(record) = bank_record_of(bytes, &geometry, boot_id) {
                    return Some((header_of(geometry, record), geometry.bank_size));
                }
            }
        }
    }
    None
}

/// The geometry of a region that is one bank and its headers.
fn geometry_of_bank(bank_size: u64, cores: u32) -> Option<Geometry> {
    Geometry::new(bank_size + 2 * HEADER_SIZE, 1, cores).ok()
}

/// The geometry of one bank whose Linux part has this size.
fn geometry_with(linux_size: u64, cores: u32, parity: u32) -> Option<Geometry> {
    let plain = linux_size + tail_size(cores);
    if parity == 0 {
        return geometry_of_bank(plain, cores);
    }
    // Parity takes its share of what is there: the size is met from below, page by page.
    let each = u64::from(1 + parity) * ring::format::LINE_SIZE;
    let share = (linux_size / linux::SUBBUF_SIZE * each).next_multiple_of(linux::SUBBUF_SIZE);
    (plain + share.saturating_sub(4 * linux::SUBBUF_SIZE)..=plain + share + 4 * linux::SUBBUF_SIZE)
        .step_by(PAGE)
        .filter_map(|size| geometry_of_bank(size, cores)?.with_parity(parity).ok())
        .find(|geometry| geometry.linux_size == linux_size)
}

/// The smallest geometry with so many sub-buffers and cores: its tail is nowhere, and nothing of it is believed.
fn without_tail(subbufs: u64, cores: u32) -> Option<Geometry> {
    let linux = linux::subbufs_offset(u64::from(cores) - 1, subbufs) + subbufs * linux::SUBBUF_SIZE;
    let geometry = geometry_of_bank(linux + tail_size(cores), cores)?;
    (geometry.subbufs == subbufs).then_some(geometry)
}

fn unknown(boot_id: u32, cores: u32) -> BankRecord {
    BankRecord { state: BankState::Recording, boot_id, cores, ..BankRecord::default() }
}

fn header_of(geometry: Geometry, record: BankRecord) -> Header {
    let mut header = Header::new(geometry);
    header.boot = record.boot;
    header.banks[0] = record;
    header
}
