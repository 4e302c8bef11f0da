//! The cache itself, with the memory behind it.
//!
//! What the cores see is the emulator's RAM, which is always coherent. Beside it stands what DRAM would hold: a line gets there
//! by a clean, which takes effect at the next DSB of the core that cleaned it, or by chance, as caches evict lines when they
//! like. At a reset everything that did not get there is lost.
//!
//! Two things are stricter than one machine at hand would be, and allowed by the architecture: a clean without a DSB does
//! nothing; and, where stores are followed, a clean of a line that another core has stored to since this core's last barrier
//! does nothing either, since nothing orders the two. A clean takes the content that the line has when it is executed.

use crate::chance::Chance;
use crate::dram::Dram;
use crate::options::Options;
use crate::report::{Cause, Counts, Lost, Reset};
use std::collections::BTreeSet;
use std::mem;
use std::num::NonZero;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

/// Questions to chance.
const EVICTED: u64 = 1;
const FLIPPED: u64 = 2;
const PAGE_LOST: u64 = 3;
const NOISE: u64 = 5;
const SPILLED: u64 = 6;

/// A page of DRAM, in bytes.
const PAGE: usize = 4096;
/// What is compared at once, in bytes: whole lines of any size, and small enough for the host's own cache.
const CHUNK: usize = 64 << 10;
/// What a thread of its own is worth, in bytes.
const PART_MIN: usize = 32 << 20;
/// Bits in which flips are counted.
const PER_FLIP: u128 = 1_000_000_000;

/// The last store to a line.
#[derive(Clone, Copy, Debug)]
struct Stored {
    pc: u64,
    core: u32,
    /// How many stores there had been before, to all lines.
    time: u64,
}

/// The range as the cores see it: the emulator's RAM. Places are bytes from the range's beginning.
pub trait Seen: Sync {
    /// Copies out.
    fn read(&self, at: usize, to: &mut [u8]);
    /// Copies in.
    fn write(&mut self, at: usize, from: &[u8]);
}

impl Seen for Vec<u8> {
    fn read(&self, at: usize, to: &mut [u8]) {
        to.copy_from_slice(&self[at..at + to.len()]);
    }

    fn write(&mut self, at: usize, from: &[u8]) {
        self[at..at + from.len()].copy_from_slice(from);
    }
}

/// Cleans that no DSB has completed, in their order.
#[derive(Debug, Default)]
struct Pending {
    /// Each line, and the number of its clean among those of all cores.
    lines: Vec<(usize, u64)>,
    /// What each line held, one behind the other.
    content: Vec<u8>,
}

impl Pending {
    fn iter(&self, line: usize) -> impl Iterator<Item = ((usize, u64), &[u8])> {
        self.lines.iter().copied().zip(self.content.chunks_exact(line))
    }

    /// A later clean of a line has reached memory with this content, which never goes back to what an earlier one found.
    fn overtaken(&mut self, line: usize, number: u64, content: &[u8]) {
        for ((other, earlier), held) in self.lines.iter().zip(self.content.chunks_exact_mut(content.len())) {
            if *other == line && *earlier < number {
                held.copy_from_slice(content);
            }
        }
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.content.clear();
    }
}

/// What is known of a core.
#[derive(Debug, Default)]
struct Core {
    pending: Pending,
    /// How many stores there had been at its last barrier.
    barrier: u64,
}

/// The cache of all cores, and the memory behind it.
#[derive(Debug)]
pub struct Cache {
    options: Options,
    line: usize,
    dram: Arc<Dram>,
    /// By line; empty where stores are not followed.
    stored: Vec<Option<Stored>>,
    stores: u64,
    cleans: u64,
    cores: Vec<Core>,
    counts: Counts,
    resets: u64,
    /// The instant at which everything has stopped to count: the content of the range, and why.
    frozen: Option<(Vec<u8>, Cause)>,
    /// Why there will be a reset, if not by the guest.
    cause: Cause,
}

impl Cache {
    /// A cache in which nothing is dirty, over [`Options::range`] with the content that `read` copies out, as [`Seen::read`].
    #[must_use]
    pub fn new(options: &Options, read: impl Fn(usize, &mut [u8])) -> Self {
        let (line, size) = (options.line as usize, options.range.1 as usize);
        let lines = if options.follows_stores() { size / line } else { 0 };
        let dram = Dram::new(size);
        in_chunks(0..size, read, |at, bytes| {
            // Zeros are there already, and take no room as long as nobody writes.
            if bytes.iter().any(|byte| *byte != 0) {
                dram.write(at, bytes);
            }
        });
        Self {
            line,
            stored: vec![None; lines],
            options: options.clone(),
            dram: Arc::new(dram),
            stores: 0,
            cleans: 0,
            cores: Vec::new(),
            counts: Counts::default(),
            resets: 0,
            frozen: None,
            cause: Cause::Guest,
        }
    }

    /// Resets so far.
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// Memory itself, for stores past the cache.
    #[must_use]
    pub fn dram(&self) -> Arc<Dram> {
        Arc::clone(&self.dram)
    }

    /// What memory holds.
    #[must_use]
    pub fn memory(&self) -> Vec<u8> {
        let mut content = vec![0; self.dram.size()];
        self.dram.read(0, &mut content);
        content
    }

    fn core(&mut self, core: u32) -> &mut Core {
        let core = core as usize;
        if self.cores.len() <= core {
            self.cores.resize_with(core + 1, Core::default);
        }
        &mut self.cores[core]
    }

    /// A core has stored `size` bytes, `at` so many bytes from the range's beginning. What lies outside does not matter.
    pub fn store(&mut self, core: u32, pc: u64, at: u64, size: u64) {
        if self.frozen.is_some() {
            return;
        }
        self.counts.stores += 1;
        let (first, end) = (at as usize / self.line, (at + size).div_ceil(self.line as u64) as usize);
        let stored = Stored { pc, core, time: self.stores };
        self.stores += 1;
        for line in self.stored.iter_mut().take(end).skip(first) {
            *line = Some(stored);
        }
    }

    /// Whether the line of the last store is evicted now. Then it must be [`Cache::evict`]ed.
    #[must_use]
    pub fn is_spilled(&self) -> bool {
        let Options { spill, seed, .. } = self.options;
        spill > 0
            && self.frozen.is_none()
            && Chance::new(seed, self.resets).below(SPILLED, self.stores, 1000) < u64::from(spill)
    }

    /// The line at so many bytes from the range's beginning gets to memory with this content, because a cache likes it.
    pub fn evict(&mut self, at: u64, content: &[u8]) {
        self.counts.spilled += 1;
        self.dram.write(at as usize, content);
    }

    /// A core cleans the line at so many bytes from the range's beginning.
    pub fn clean(&mut self, core: u32, at: u64, seen: &impl Seen) {
        if self.frozen.is_some() {
            return;
        }
        let (size, line) = (self.line, at as usize / self.line);
        let barrier = self.core(core).barrier;
        let stored = self.stored.get(line).copied().flatten();
        if stored.is_some_and(|stored| stored.core != core && stored.time >= barrier) {
            self.counts.unordered += 1;
            return;
        }
        self.cleans += 1;
        let number = self.cleans;
        let Pending { lines, content } = &mut self.core(core).pending;
        lines.push((line, number));
        let end = content.len();
        content.resize(end + size, 0);
        seen.read(line * size, &mut content[end..]);
    }

    /// Whether cleans of this core are under way.
    #[must_use]
    pub fn is_cleaning(&self, core: u32) -> bool {
        self.frozen.is_none() && self.cores.get(core as usize).is_some_and(|core| !core.pending.lines.is_empty())
    }

    /// A core executes a DMB: what others stored before comes before what it cleans now.
    pub fn order(&mut self, core: u32) {
        let now = self.stores;
        self.core(core).barrier = now;
    }

    /// A core executes a DSB: its cleans have taken effect, in their order; and what a DMB does.
    pub fn complete(&mut self, core: u32) {
        if self.frozen.is_some() {
            return;
        }
        self.order(core);
        let mut pending = mem::take(&mut self.core(core).pending);
        for ((line, number), content) in pending.iter(self.line) {
            let at = line * self.line;
            self.cores.iter_mut().for_each(|other| other.pending.overtaken(line, number, content));
            if self.dram.holds(at, content) {
                self.counts.redundant += 1;
            } else {
                self.counts.useful += 1;
                self.dram.write(at, content);
            }
        }
        // Its space is used again.
        pending.clear();
        self.core(core).pending = pending;
    }

    /// Everything that happens from now on, until the reset, has not happened.
    pub fn freeze(&mut self, content: Vec<u8>, cause: Cause) {
        self.frozen = Some((content, cause));
        self.dram.freeze(true);
    }

    /// The next reset has this cause.
    pub fn expect(&mut self, cause: Cause) {
        self.cause = cause;
    }

    /// The machine has been reset; `seen` is the range as the cores saw it, and becomes what memory holds.
    pub fn reset(&mut self, seen: &mut impl Seen) -> Reset {
        self.resets += 1;
        let (frozen, cause) = self.frozen.take().map_or((None, self.cause), |(content, cause)| (Some(content), cause));
        let chance = Chance::new(self.options.seed, self.resets);
        let mut counts = mem::take(&mut self.counts);
        let lost = match &frozen {
            Some(content) => self.lose(content, chance, &mut counts),
            None => self.lose(seen, chance, &mut counts),
        };
        counts.written = counts.useful + counts.evicted + counts.lost;
        let flipped = self.damage(chance, &mut counts);
        let has_frozen = frozen.is_some();
        let before = match frozen {
            _ if !self.options.content => Vec::new(),
            Some(content) => content,
            None => {
                let mut content = vec![0; self.dram.size()];
                seen.read(0, &mut content);
                content
            }
        };
        if has_frozen || counts.power || counts.pages > 0 {
            self.show((0..self.dram.size()).step_by(CHUNK), CHUNK, seen);
        } else {
            // All the rest they see as it is.
            let damaged = flipped.iter().map(|(bit, _)| bit / 8 / self.options.line * self.options.line);
            self.show(lost.iter().map(|lost| lost.at).chain(damaged).map(|at| at as usize), self.line, seen);
        }
        self.stored.fill(None);
        self.cores.clear();
        self.cause = Cause::Guest;
        self.dram.freeze(false);
        let after = if self.options.content { self.memory() } else { Vec::new() };
        Reset { number: self.resets, cause, counts, before, after, lost, flipped, watched: Vec::new() }
    }

    /// The cores see what memory holds, in parts of this size.
    fn show(&self, places: impl Iterator<Item = usize>, size: usize, seen: &mut impl Seen) {
        let mut part = vec![0; size];
        for at in places {
            let part = &mut part[..size.min(self.dram.size() - at)];
            self.dram.read(at, part);
            seen.write(at, part);
        }
    }

    /// Whether the byte at so many bytes from the range's beginning loses nothing.
    fn is_coherent(&self, at: u64) -> bool {
        let address = self.options.range.0 + at;
        self.options.coherent.iter().any(|(start, size)| (*start..start + size).contains(&address))
    }

    /// What loses nothing is in memory.
    fn keep_coherent(&self, seen: &impl Seen) {
        for (start, size) in &self.options.coherent {
            let at = start.saturating_sub(self.options.range.0) as usize;
            let end = at.saturating_add(*size as usize).min(self.dram.size());
            let mut part = vec![0; end.saturating_sub(at)];
            seen.read(at.min(end), &mut part);
            self.dram.write(at, &part);
        }
    }

    /// Dirty lines: some are in memory by chance, all others are lost. Large ranges are gone through in parts at the same time.
    fn lose(&self, seen: &impl Seen, chance: Chance, counts: &mut Counts) -> Vec<Lost> {
        self.keep_coherent(seen);
        let unfinished = &self.unfinished(seen, counts);
        let size = self.dram.size();
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(size.div_ceil(PART_MIN));
        let part = size.div_ceil(threads).next_multiple_of(CHUNK);
        let parts: Vec<(Vec<Lost>, u64)> = thread::scope(|scope| {
            let parts = (0..size).step_by(part).map(|at| at..size.min(at + part));
            let work = |part| move || self.lose_part(part, seen, chance, unfinished);
            let threads: Vec<_> = parts.clone().skip(1).map(|part| scope.spawn(work(part))).collect();
            let first = parts.take(1).map(|part| work(part)());
            let others = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|why| resume_unwind(why)));
            first.chain(others).collect()
        });
        counts.evicted += parts.iter().map(|(_, evicted)| evicted).sum::<u64>();
        let lost: Vec<Lost> = parts.into_iter().flat_map(|(lost, _)| lost).collect();
        counts.lost += lost.len() as u64;
        lost
    }

    /// The same for a part: what is lost there, and how many lines were evicted.
    fn lose_part(
        &self,
        part: Range<usize>,
        seen: &impl Seen,
        chance: Chance,
        unfinished: &BTreeSet<usize>,
    ) -> (Vec<Lost>, u64) {
        let (mut lost, mut evicted) = (Vec::new(), 0);
        in_chunks(
            part,
            |at, to| seen.read(at, to),
            |at, bytes| {
                if self.dram.holds(at, bytes) {
                    return;
                }
                for (at, seen) in (at..).step_by(self.line).zip(bytes.chunks_exact(self.line)) {
                    if self.dram.holds(at, seen) {
                        continue;
                    }
                    let number = at / self.line;
                    if chance.below(EVICTED, number as u64, 100) < u64::from(self.options.evict) {
                        evicted += 1;
                        self.dram.write(at, seen);
                        continue;
                    }
                    let stored = self.stored.get(number).copied().flatten();
                    lost.push(Lost {
                        at: at as u64,
                        stored: stored.map(|stored| (stored.pc, stored.core)),
                        unfinished: unfinished.contains(&number),
                    });
                }
            },
        );
        (lost, evicted)
    }

    /// Lines for which a clean was under way that would have brought what they held last.
    fn unfinished(&self, seen: &impl Seen, counts: &mut Counts) -> BTreeSet<usize> {
        let mut unfinished = BTreeSet::new();
        let mut now = vec![0; self.line];
        for ((line, _), content) in self.cores.iter().flat_map(|core| core.pending.iter(self.line)) {
            counts.unfinished += 1;
            seen.read(line * self.line, &mut now);
            if now == content {
                unfinished.insert(line);
            } else {
                unfinished.remove(&line);
            }
        }
        unfinished
    }

    /// What becomes of DRAM itself.
    fn damage(&self, chance: Chance, counts: &mut Counts) -> Vec<(u64, bool)> {
        let Options { flips, pages, power, .. } = self.options;
        if power > 0 && self.resets.is_multiple_of(power) {
            counts.power = true;
            self.noise(0..self.dram.size(), chance, 0);
            return Vec::new();
        }
        for (number, at) in (0..self.dram.size()).step_by(PAGE).enumerate() {
            if pages > 0 && chance.below(PAGE_LOST, number as u64, 1000) < u64::from(pages) {
                counts.pages += 1;
                self.noise(at..at + PAGE, chance, number as u64 + 1);
            }
        }
        let bits = self.dram.size() as u64 * 8;
        let wanted = u128::from(bits) * u128::from(flips);
        // The part of a flip that is left over is one by chance.
        let rest = u128::from(chance.below(FLIPPED, u64::MAX, PER_FLIP as u64)) < wanted % PER_FLIP;
        let mut flipped = Vec::new();
        for number in 0..(wanted / PER_FLIP) as u64 + u64::from(rest) {
            let bit = chance.below(FLIPPED, number, bits);
            if self.is_coherent(bit / 8) {
                continue;
            }
            if let Some(set) = self.dram.flip(bit) {
                flipped.push((bit, set));
                counts.flipped += 1;
            }
        }
        flipped
    }

    fn noise(&self, part: Range<usize>, chance: Chance, place: u64) {
        self.dram.fill(part.start, part.len() / 8, |number| chance.number(NOISE, place << 32 | number));
    }
}

/// Hands out a part of the range piece by piece, each with its place: copies stay small, however large the part is.
fn in_chunks(part: Range<usize>, read: impl Fn(usize, &mut [u8]), mut with: impl FnMut(usize, &[u8])) {
    let mut chunk = vec![0; CHUNK.min(part.len())];
    for at in part.clone().step_by(CHUNK) {
        let bytes = &mut chunk[..CHUNK.min(part.end - at)];
        read(at, bytes);
        with(at, bytes);
    }
}

#[cfg(test)]
mod tests;
