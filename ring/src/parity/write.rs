//! The writer's part: parity of sub-buffers that are not written any more.

use super::code::{Data, parity_of};
use super::{Cover, start};
use crate::check::Crc32c;
use crate::format::LINE_SIZE;
use crate::seams::{Memory, Persist};
use crate::writer::Target;
use core::ops::Range;

/// Writes the parity of a core's sub-buffers as they stand. Nobody writes into them meanwhile: they are closed, and nested
/// writers do not come round to what their outermost one has not published; or their core stands still.
#[inline]
pub(crate) fn cover<M: Memory, C: Crc32c>(memory: &M, crc: C, target: &Target, sequences: Range<u64>) {
    if target.geometry.parity > 0 {
        sequences.for_each(|sequence| cover_one(memory, crc, target, sequence));
    }
}

#[cold]
#[inline(never)]
fn cover_one<M: Memory, C: Crc32c>(memory: &M, crc: C, target: &Target, sequence: u64) {
    let Target { geometry, core, boot_id, .. } = target;
    let bank = geometry.bank(target.bank);
    let subbuf = bank + geometry.subbuf(*core, sequence);
    // One look, so that check and parity are of the same bytes, whatever a core that did not answer goes on writing.
    let data: Data = core::array::from_fn(|word| memory.load_u64(subbuf + 8 * word as u64));
    let check = data.iter().fold(start(crc, *boot_id, *core, sequence), |register, word| crc.u64(register, *word));
    let parity = parity_of(geometry.parity, &data);
    let at = bank + geometry.tail(geometry.parity_line(*core, sequence));
    for (line, words) in (1..).zip(&parity[..geometry.parity as usize]) {
        for (word, value) in (0..).zip(words) {
            memory.store_u64(at + line * LINE_SIZE + word * 8, *value);
        }
    }
    Cover { sequence, lines: geometry.parity, check }.store(memory, bank, geometry, *boot_id, *core);
}

/// Begins to write back the parity of a core's sub-buffers; returns how many lines.
#[inline]
pub(crate) fn clean<M: Persist>(memory: &M, target: &Target, sequences: Range<u64>) -> u64 {
    let geometry = &target.geometry;
    if geometry.parity == 0 {
        return 0;
    }
    let size = u64::from(1 + geometry.parity) * LINE_SIZE;
    let at = |sequence| geometry.bank(target.bank) + geometry.tail(geometry.parity_line(target.core, sequence));
    sequences.map(|sequence| memory.clean(at(sequence), size)).sum()
}
