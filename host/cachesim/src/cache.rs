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
use crate::options::Options;
use crate::report::{Cause, Counts, Lost, Reset};
use std::mem;

/// Questions to chance.
const EVICTED: u64 = 1;
const FLIPPED: u64 = 2;
const PAGE_LOST: u64 = 3;
const NOISE: u64 = 5;
const SPILLED: u64 = 6;

/// A page of DRAM, in bytes.
const PAGE: usize = 4096;
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

/// A clean that no DSB has completed.
#[derive(Clone, Debug)]
struct Pending {
    line: usize,
    content: Box<[u8]>,
}

/// What is known of a core.
#[derive(Clone, Debug, Default)]
struct Core {
    pending: Vec<Pending>,
    /// How many stores there had been at its last barrier.
    barrier: u64,
}

/// The cache of all cores, and the memory behind it.
#[derive(Clone, Debug)]
pub struct Cache {
    options: Options,
    line: usize,
    memory: Vec<u8>,
    /// By line; empty where stores are not followed.
    stored: Vec<Option<Stored>>,
    stores: u64,
    cores: Vec<Core>,
    counts: Counts,
    resets: u64,
    /// The instant at which everything has stopped to count: the content of the range, and why.
    frozen: Option<(Vec<u8>, Cause)>,
    /// Why there will be a reset, if not by the guest.
    cause: Cause,
}

impl Cache {
    /// A cache in which nothing is dirty, over memory with this content. [`Options::range`]'s size must be its length.
    #[must_use]
    pub fn new(options: &Options, memory: Vec<u8>) -> Self {
        let line = options.line as usize;
        let lines = if options.follows_stores() { memory.len() / line } else { 0 };
        Self {
            line,
            stored: vec![None; lines],
            options: options.clone(),
            memory,
            stores: 0,
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

    /// What memory holds.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        &self.memory
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
        if let Some(memory) = self.memory.get_mut(at as usize..at as usize + content.len()) {
            self.counts.spilled += 1;
            memory.copy_from_slice(content);
        }
    }

    /// A core cleans the line at so many bytes from the range's beginning, while it has this content.
    pub fn clean(&mut self, core: u32, at: u64, content: &[u8]) {
        if self.frozen.is_some() {
            return;
        }
        let line = at as usize / self.line;
        let barrier = self.core(core).barrier;
        let stored = self.stored.get(line).copied().flatten();
        if stored.is_some_and(|stored| stored.core != core && stored.time >= barrier) {
            self.counts.unordered += 1;
            return;
        }
        self.core(core).pending.push(Pending { line, content: content.into() });
    }

    /// Whether cleans of this core are under way.
    #[must_use]
    pub fn is_cleaning(&self, core: u32) -> bool {
        self.frozen.is_none() && self.cores.get(core as usize).is_some_and(|core| !core.pending.is_empty())
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
        for Pending { line, content } in mem::take(&mut self.core(core).pending) {
            let at = line * self.line;
            let Some(memory) = self.memory.get_mut(at..at + content.len()) else { continue };
            if *memory == *content {
                self.counts.redundant += 1;
            } else {
                self.counts.useful += 1;
                memory.copy_from_slice(&content);
            }
        }
    }

    /// Everything that happens from now on, until the reset, has not happened.
    pub fn freeze(&mut self, content: Vec<u8>, cause: Cause) {
        self.frozen = Some((content, cause));
    }

    /// The next reset has this cause.
    pub fn expect(&mut self, cause: Cause) {
        self.cause = cause;
    }

    /// The machine has been reset, while the cores saw this content of the range. What they see from now on is
    /// [`Cache::memory`].
    pub fn reset(&mut self, content: Vec<u8>) -> Reset {
        self.resets += 1;
        let (before, cause) = self.frozen.take().unwrap_or((content, self.cause));
        let chance = Chance::new(self.options.seed, self.resets);
        let mut counts = mem::take(&mut self.counts);
        for (start, size) in self.options.coherent.clone() {
            let at = start.saturating_sub(self.options.range.0) as usize;
            let part = at..at.saturating_add(size as usize).min(before.len());
            if let (Some(memory), Some(seen)) = (self.memory.get_mut(part.clone()), before.get(part)) {
                memory.copy_from_slice(seen);
            }
        }
        let lost = self.lose(&before, chance, &mut counts);
        counts.written = counts.useful + counts.evicted + counts.lost;
        let flipped = self.damage(chance, &mut counts);
        self.stored.fill(None);
        self.cores.clear();
        self.cause = Cause::Guest;
        let (before, after) =
            if self.options.content { (before, self.memory.clone()) } else { (Vec::new(), Vec::new()) };
        Reset { number: self.resets, cause, counts, before, after, lost, flipped, watched: Vec::new() }
    }

    /// Whether the byte at so many bytes from the range's beginning loses nothing.
    fn is_coherent(&self, at: u64) -> bool {
        let address = self.options.range.0 + at;
        self.options.coherent.iter().any(|(start, size)| (*start..start + size).contains(&address))
    }

    /// A store past the cache, `at` so many bytes from the range's beginning.
    pub fn write_through(&mut self, at: u64, content: &[u8]) {
        if self.frozen.is_none()
            && let Some(memory) = self.memory.get_mut(at as usize..at as usize + content.len())
        {
            memory.copy_from_slice(content);
        }
    }

    /// Dirty lines: some are in memory by chance, all others are lost.
    fn lose(&mut self, before: &[u8], chance: Chance, counts: &mut Counts) -> Vec<Lost> {
        let mut unfinished =
            vec![
                false;
                if self.cores.iter().all(|core| core.pending.is_empty()) { 0 } else { self.memory.len() / self.line }
            ];
        for Pending { line, content } in self.cores.iter().flat_map(|core| &core.pending) {
            counts.unfinished += 1;
            // Only where it would have brought what was lost then.
            let at = line * self.line;
            if let (Some(line), Some(lost)) = (unfinished.get_mut(*line), before.get(at..at + content.len())) {
                *line = *lost == **content;
            }
        }
        let mut lost = Vec::new();
        for (number, (memory, seen)) in
            self.memory.chunks_exact_mut(self.line).zip(before.chunks_exact(self.line)).enumerate()
        {
            if memory == seen {
                continue;
            }
            if chance.below(EVICTED, number as u64, 100) < u64::from(self.options.evict) {
                counts.evicted += 1;
                memory.copy_from_slice(seen);
                continue;
            }
            counts.lost += 1;
            let stored = self.stored.get(number).copied().flatten();
            lost.push(Lost {
                at: (number * self.line) as u64,
                stored: stored.map(|stored| (stored.pc, stored.core)),
                unfinished: unfinished.get(number).copied().unwrap_or_default(),
            });
        }
        lost
    }

    /// What becomes of DRAM itself.
    fn damage(&mut self, chance: Chance, counts: &mut Counts) -> Vec<(u64, bool)> {
        let Options { flips, pages, power, .. } = self.options;
        if power > 0 && self.resets.is_multiple_of(power) {
            counts.power = true;
            noise(&mut self.memory, chance, 0);
            return Vec::new();
        }
        for (number, page) in self.memory.chunks_mut(PAGE).enumerate() {
            if pages > 0 && chance.below(PAGE_LOST, number as u64, 1000) < u64::from(pages) {
                counts.pages += 1;
                noise(page, chance, number as u64 + 1);
            }
        }
        let bits = self.memory.len() as u64 * 8;
        let wanted = u128::from(bits) * u128::from(flips);
        // The part of a flip that is left over is one by chance.
        let rest = u128::from(chance.below(FLIPPED, u64::MAX, PER_FLIP as u64)) < wanted % PER_FLIP;
        let mut flipped = Vec::new();
        for number in 0..(wanted / PER_FLIP) as u64 + u64::from(rest) {
            let bit = chance.below(FLIPPED, number, bits);
            if self.is_coherent(bit / 8) {
                continue;
            }
            if let Some(byte) = self.memory.get_mut(bit as usize / 8) {
                *byte ^= 1 << (bit % 8);
                flipped.push((bit, *byte >> (bit % 8) & 1 == 1));
                counts.flipped += 1;
            }
        }
        flipped
    }
}

fn noise(memory: &mut [u8], chance: Chance, place: u64) {
    for (number, word) in memory.chunks_mut(8).enumerate() {
        let bits = chance.number(NOISE, place << 32 | number as u64).to_le_bytes();
        word.copy_from_slice(&bits[..word.len()]);
    }
}

#[cfg(test)]
mod tests;
