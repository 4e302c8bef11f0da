//! The next boot's part: puts back what the parity of the boot before still knows.
//!
//! Total over any bytes: no panic, no allocation, and no more than a bounded number of steps for each sub-buffer. What is
//! changed is a sub-buffer's bytes, and only to those whose check its core has written beside the parity. A place where the
//! next lap has left anything of its own has another number than its parity then, and is left alone: recovery finds that
//! number from tags, counters and events, as it does for walking ([`crate::recover`]).

use super::code::{LINES, Parity, Syndromes, parity_of};
use super::{Cover, start};
use crate::check::Crc32c;
use crate::format::{Geometry, LINE_SIZE};
use crate::linux::SUBBUF_SIZE;
use crate::records::BankRecord;
use crate::recover::Bank;

/// What was found, and done, in the sub-buffers of one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Sub-buffers that are as they were covered.
    pub clean: u32,
    /// Sub-buffers that are so again.
    pub corrected: u32,
    /// Lines that were changed in them.
    pub lines: u32,
    /// Bytes that were changed in those.
    pub bytes: u32,
    /// Sub-buffers that are damaged beyond what their parity can repair: left as they are.
    pub beyond: u32,
    /// Sub-buffers without parity of their own: not closed before a reset, or its line is lost. Left as they are.
    pub without: u32,
}

impl Repaired {
    /// All sub-buffers that were looked at.
    #[must_use]
    pub fn checked(&self) -> u32 {
        self.clean + self.corrected + self.beyond + self.without
    }
}

/// Repairs what one core left in a bank, before anybody walks it. Nothing happens where the bank has no parity.
pub fn repair<C: Crc32c>(bank: &mut [u8], geometry: &Geometry, record: &BankRecord, core: u32, crc: C) -> Repaired {
    let mut repaired = Repaired::default();
    let Some(ring) = Bank::new(bank, *geometry, *record, crc).map(|bank| bank.core(core).sequences()) else {
        return repaired;
    };
    if geometry.parity == 0 || core >= geometry.cores {
        return repaired;
    }
    // A checked line is one more witness of how far the core had come: the newest tag may be what is lost.
    let cover = |bank: &[u8], sequence| Cover::load(bank, geometry, record.boot_id, core, sequence);
    let covered = (0..geometry.ring()).filter_map(|place| cover(bank, place)).map(|cover| cover.sequence + 1).max();
    let end = ring.end.max(covered.unwrap_or(0));
    for sequence in end.saturating_sub(geometry.ring())..end {
        let outcome = match cover(bank, sequence).filter(|cover| cover.sequence == sequence) {
            Some(cover) => one(bank, geometry, record, core, &cover, crc),
            None => Outcome::Without,
        };
        match outcome {
            Outcome::Clean => repaired.clean += 1,
            Outcome::Without => repaired.without += 1,
            Outcome::Beyond => repaired.beyond += 1,
            Outcome::Corrected { lines, bytes } => {
                repaired.corrected += 1;
                repaired.lines += lines;
                repaired.bytes += bytes;
            }
        }
    }
    repaired
}

/// What became of a sub-buffer.
enum Outcome {
    Clean,
    Without,
    Beyond,
    Corrected { lines: u32, bytes: u32 },
}

/// Repairs one sub-buffer.
fn one<C: Crc32c>(
    bank: &mut [u8],
    geometry: &Geometry,
    record: &BankRecord,
    core: u32,
    cover: &Cover,
    crc: C,
) -> Outcome {
    let parity = geometry.tail(geometry.parity_line(core, cover.sequence)) + LINE_SIZE;
    let Some(stands) = stored(bank, parity, cover.lines) else { return Outcome::Without };
    let at = geometry.subbuf(core, cover.sequence) as usize;
    let Some(subbuf) = bank.get_mut(at..).and_then(|rest| rest.get_mut(..SUBBUF_SIZE as usize)) else {
        return Outcome::Without;
    };
    let begin = start(crc, record.boot_id, core, cover.sequence);
    if is_whole(subbuf, begin, cover, crc) {
        return Outcome::Clean;
    }
    let data = core::array::from_fn(|word| word_at(subbuf, 8 * word));
    let syndromes = Syndromes::of(cover.lines, &stands, &parity_of(cover.lines, &data));
    for way in syndromes.ways() {
        let Some(changed) = syndromes.apply(way, subbuf) else { continue };
        if is_whole(subbuf, begin, cover, crc) {
            return Outcome::Corrected { lines: changed.lines.count_ones(), bytes: changed.bytes };
        }
        // The same errors once more: as it was.
        syndromes.apply(way, subbuf);
    }
    Outcome::Beyond
}

/// Whether a sub-buffer's bytes are the ones that were covered.
fn is_whole<C: Crc32c>(subbuf: &[u8], begin: u32, cover: &Cover, crc: C) -> bool {
    crc.bytes(begin, subbuf) == cover.check
}

/// The parity lines at a place.
#[inline]
fn stored(bank: &[u8], at: u64, lines: u32) -> Option<Parity> {
    let bytes = bank.get(usize::try_from(at).ok()?..)?;
    let mut parity = Parity::default();
    let lines = parity.get_mut(..lines as usize)?;
    let bytes = bytes.get(..lines.len() * LINE_SIZE as usize)?;
    for (to, from) in lines.as_flattened_mut().iter_mut().zip(bytes.as_chunks::<8>().0) {
        *to = u64::from_le_bytes(*from);
    }
    Some(parity)
}

#[inline]
fn word_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
}

const _: () = assert!(LINES as u64 * LINE_SIZE == SUBBUF_SIZE);
