//! What was there before the loss: a walk along the words of each sub-buffer, as the format says, up to where the commit word
//! says that all is written; and behind it as far as events verify.

use ring::check::{Crc32c, Table, seed};
use ring::event::END_OF_DATA;
use ring::format::{DATA_END, Geometry};
use ring::linux::{COMMIT_MASK, SUBBUF_COMMIT, SUBBUF_HEADER, SUBBUF_SIZE};
use ring::records::{BankRecord, BankState, StopOutcome, StopRecord};
use ring::recover::Bank;
use ring::region::{Found, inspect};
use ring::scan::Tag;
use std::ops::Range;

/// The id of the workload's events: numbered.
pub(super) const WORK: u16 = 4104;

/// An event that was there.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) sequence: u64,
    pub(super) word: u32,
    /// How many events it interrupted.
    pub(super) nesting: u8,
    pub(super) is_committed: bool,
    /// Where in the region it is, check included.
    pub(super) bytes: Range<usize>,
}

/// What was there of a core, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Core {
    pub(super) events: Vec<Event>,
    /// The oldest sub-buffer that was there.
    pub(super) oldest: Option<u64>,
    /// How it ended.
    pub(super) outcome: Option<StopOutcome>,
}

/// What was there of the newest boot.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) geometry: Geometry,
    pub(super) bank: u32,
    pub(super) record: BankRecord,
    pub(super) cores: Vec<Core>,
}

/// Reads it; None where no boot had taken a bank yet.
pub(super) fn read(region: &[u8]) -> Option<Truth> {
    let Found::Valid(header) = inspect(region) else { return None };
    let geometry = header.geometry;
    let (bank, record) = (0..).zip(header.banks()).find(|(_, bank)| {
        bank.boot == header.boot && matches!(bank.state, BankState::Recording | BankState::Panicked)
    })?;
    let start = geometry.bank(bank) as usize;
    let stops = Bank::new(region.get(start..)?, geometry, *record, Table)?;
    let cores = (0..geometry.cores)
        .map(|core| Core {
            outcome: stops.stop_record(core).map(|stop: StopRecord| stop.outcome),
            ..read_core(region, &geometry, start, record.boot_id, core)
        })
        .collect();
    Some(Truth { geometry, bank, record: *record, cores })
}

fn read_core(region: &[u8], geometry: &Geometry, bank: usize, boot_id: u32, core: u32) -> Core {
    let mut subbufs: Vec<(u64, usize)> = (0..geometry.ring())
        .filter_map(|slot| {
            let at = bank + geometry.subbuf(core, slot) as usize;
            let tag = Tag::load(region.get(at..at + SUBBUF_SIZE as usize)?)?;
            let is_here = tag.sequence % geometry.ring() == slot;
            (tag.boot_id == boot_id && tag.core == core && is_here).then_some((tag.sequence, at))
        })
        .collect();
    subbufs.sort_unstable();
    // What an older lap left beside a newer one is overwritten: the writer has claimed its place.
    let newest = subbufs.last().map_or(0, |(sequence, _)| *sequence);
    subbufs.retain(|(sequence, _)| sequence + geometry.ring() > newest);
    // So is the oldest once the writer has claimed its place for the next, though nothing but a nested event may say so yet.
    let subbuf = |at: usize| &region[at..at + SUBBUF_SIZE as usize];
    if let (Some((oldest, slot)), Some((_, last))) = (subbufs.first().copied(), subbufs.last().copied())
        && oldest + geometry.ring() == newest + 1
        && (is_left(subbuf(last), newest, seed(boot_id, core as u16))
            || is_begun(subbuf(slot), newest + 1, seed(boot_id, core as u16)))
    {
        subbufs.remove(0);
    }
    let mut all = Core { oldest: subbufs.first().map(|(sequence, _)| *sequence), ..Core::default() };
    for (sequence, at) in subbufs {
        walk(&region[at..at + SUBBUF_SIZE as usize], at, sequence, seed(boot_id, core as u16), &mut all.events);
    }
    all
}

fn word_of(subbuf: &[u8], word: usize) -> Option<u32> {
    subbuf.get(word * 4..).and_then(|rest| rest.first_chunk()).map(|it| u32::from_le_bytes(*it))
}

/// Whether the writer has gone on to the next sub-buffer: behind this one's events is a mark, or no room. (Behind them may also
/// stand what an older lap left.)
fn is_left(subbuf: &[u8], sequence: u64, seed: u32) -> bool {
    let mut events = Vec::new();
    walk(subbuf, 0, sequence, seed, &mut events);
    let word = events.last().map_or(SUBBUF_HEADER as usize, |event| event.bytes.end) / 4;
    word >= DATA_END as usize / 4 || word_of(subbuf, word) == Some(END_OF_DATA)
}

/// Whether an event that was written for this sequence number stands anywhere in it.
fn is_begun(subbuf: &[u8], sequence: u64, seed: u32) -> bool {
    let end = DATA_END as usize / 4;
    (SUBBUF_HEADER as usize / 4..end).any(|word| {
        extent(word, end, &|word| word_of(subbuf, word))
            .is_some_and(|(_, behind)| verifies(subbuf, sequence, word, behind, seed))
    })
}

/// Along the words of a sub-buffer.
fn walk(subbuf: &[u8], at: usize, sequence: u64, seed: u32, events: &mut Vec<Event>) {
    let u32_at = |word| word_of(subbuf, word);
    let commit = u64::from_le_bytes(*subbuf[SUBBUF_COMMIT as usize..].first_chunk().unwrap_or(&[0; 8])) & COMMIT_MASK;
    let committed = (SUBBUF_HEADER + commit) as usize / 4;
    let end = DATA_END as usize / 4;
    let mut word = SUBBUF_HEADER as usize / 4;
    while word < end {
        let Some((data, behind)) = extent(word, end, &u32_at) else { return };
        let is_committed = behind <= committed;
        if !is_committed && !verifies(subbuf, sequence, word, behind, seed) {
            // Nested ones may stand behind it, but nothing says where it would end.
            return;
        }
        let common = u32_at(data).unwrap_or_default();
        events.push(Event {
            sequence,
            word: word as u32,
            nesting: (common >> 24) as u8,
            is_committed,
            bytes: at + word * 4..at + behind * 4,
        });
        word = behind;
    }
}

/// The word at which the event's data begin and the one behind the event; None at the end of all events.
fn extent(word: usize, end: usize, u32_at: &impl Fn(usize) -> Option<u32>) -> Option<(usize, usize)> {
    let mut at = word;
    let mut head = u32_at(at)?;
    // A time record belongs to what stands behind it.
    if matches!(head & 31, 30 | 31) {
        at += 2;
        head = u32_at(at)?;
    }
    let (data, behind) = match head & 31 {
        29 if head >> 5 == 0 => return None,
        29 => (at + 1, at + 1 + u32_at(at + 1)? as usize / 4),
        0 => (at + 2, at + 1 + u32_at(at + 1)? as usize / 4),
        words @ 1..=28 => (at + 1, at + 1 + words as usize),
        _ => return None,
    };
    (behind > data && behind <= end).then_some((data, behind))
}

/// Whether what stands at a sub-buffer's word now stood there before, and is an event.
pub(super) fn was_there(
    (before, after): (&[u8], &[u8]),
    truth: &Truth,
    core: u32,
    (sequence, word): (u64, u32),
) -> bool {
    let seed = seed(truth.record.boot_id, core as u16);
    let at = (truth.geometry.bank(truth.bank) + truth.geometry.subbuf(core, sequence)) as usize;
    let (Some(old), Some(new)) = (before.get(at..at + SUBBUF_SIZE as usize), after.get(at..at + SUBBUF_SIZE as usize))
    else {
        return false;
    };
    let u32_at = |word| word_of(old, word);
    let word = word as usize;
    extent(word, DATA_END as usize / 4, &u32_at).is_some_and(|(_, behind)| {
        old[word * 4..behind * 4] == new[word * 4..behind * 4] && verifies(old, sequence, word, behind, seed)
    })
}

/// Whether an event's check is right: over its place, then over its bytes.
fn verifies(subbuf: &[u8], sequence: u64, word: usize, behind: usize, seed: u32) -> bool {
    let (bytes, check) = subbuf[word * 4..behind * 4].split_at((behind - word - 1) * 4);
    let mut register = Table.u64(seed, sequence << 10 | word as u64);
    for word in bytes.chunks_exact(4) {
        register = Table.u32(register, u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    }
    check == register.to_le_bytes()
}
