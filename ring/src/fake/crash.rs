//! Every content that memory can have when a machine is reset at some point of its life.
//!
//! A cache writes a dirty line back when it is told to and whenever it likes. So at a reset each line holds any of the
//! contents that it had since its last completed clean, independently of all others. [`every_reset`] replays a life that
//! [`Ram`](super::Ram) remembered and shows a test these contents after each operation: all of them where they are few,
//! chosen ones where not.
//!
//! A state that existed before an operation already is not shown again after it: a store adds those in which a line holds
//! what was just stored; a clean adds none; its completion only takes some away.

extern crate std;
use super::{LINE, Operation};
use core::fmt;
use std::collections::BTreeMap;
use std::vec::Vec;

/// How many states are shown after one operation, when there are more.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Most states shown after one operation.
    pub states: u64,
    /// Where the pseudo random choice begins.
    pub seed: u64,
}

/// What was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Operations after which a reset was tried.
    pub operations: u64,
    /// States of memory shown.
    pub states: u64,
    /// Operations after which every subset of the dirty lines was shown.
    pub exhausted: u64,
    /// Most dirty lines at once.
    pub dirty_max: u64,
}

impl core::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.states += other.states;
        self.exhausted += other.exhausted;
        self.dirty_max = self.dirty_max.max(other.dirty_max);
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, states, exhausted, dirty_max } = self;
        write!(
            f,
            "{operations:>7} operations, {states:>8} states, all subsets at {exhausted:>7}, {dirty_max:>4} lines dirty at most"
        )
    }
}

/// A reset, and what it leaves.
#[derive(Debug)]
pub struct Reset<'a> {
    /// Operations that had been done.
    pub done: usize,
    /// The memory.
    pub image: &'a [u8],
    /// Everything that was in the cache is in memory.
    pub is_whole: bool,
    /// The dirty lines: number, which of its contents is in memory, how many it had.
    lines: Vec<(u64, usize, usize)>,
}

impl fmt::Display for Reset<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} operations, in memory of the dirty lines:", self.done)?;
        for (line, version, of) in &self.lines {
            match version {
                0 => {}
                v if v + 1 == *of => write!(f, " {line:#x}")?,
                v => write!(f, " {line:#x}(content {v} of {of})")?,
            }
        }
        Ok(())
    }
}

/// A dirty line: what memory holds, then everything that the line held since.
struct Dirty {
    contents: Vec<Vec<u8>>,
    /// The content that a clean which is under way writes back.
    cleaning: Option<usize>,
}

struct Replay {
    cache: Vec<u8>,
    /// Memory; changed for each state and changed back.
    image: Vec<u8>,
    dirty: BTreeMap<u64, Dirty>,
    seed: u64,
}

/// Where a line is.
fn range(line: u64, size: usize) -> core::ops::Range<usize> {
    let start = (line * LINE) as usize;
    start..(start + LINE as usize).min(size)
}

impl Replay {
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    /// Does an operation; returns the lines that hold something new.
    fn apply(&mut self, operation: &Operation) -> Vec<u64> {
        let size = self.cache.len();
        match operation {
            Operation::Store { at, bytes } => {
                let (at, end) = (*at as usize, *at as usize + bytes.len());
                self.cache[at..end].copy_from_slice(bytes);
                let lines = at as u64 / LINE..=(end as u64 - 1) / LINE;
                lines.filter(|line| self.dirtied(*line)).collect()
            }
            Operation::Clean { line } => {
                if let Some(dirty) = self.dirty.get_mut(line) {
                    dirty.cleaning = Some(dirty.contents.len() - 1);
                }
                Vec::new()
            }
            Operation::Complete => {
                let image = &mut self.image;
                self.dirty.retain(|line, dirty| {
                    if let Some(cleaned) = dirty.cleaning.take() {
                        image[range(*line, size)].copy_from_slice(&dirty.contents[cleaned]);
                        dirty.contents.drain(..cleaned);
                    }
                    dirty.contents.len() > 1
                });
                Vec::new()
            }
        }
    }

    fn dirtied(&mut self, line: u64) -> bool {
        let range = range(line, self.cache.len());
        let now = &self.cache[range.clone()];
        let dirty = self
            .dirty
            .entry(line)
            .or_insert_with(|| Dirty { contents: std::vec![self.image[range].to_vec()], cleaning: None });
        let is_new = dirty.contents.last().is_none_or(|last| last != now);
        if is_new {
            dirty.contents.push(now.to_vec());
        }
        is_new
    }

    /// Shows the state in which each dirty line holds the given one of its contents.
    fn show(&mut self, done: usize, choice: &[usize], check: &mut impl FnMut(&Reset<'_>)) {
        let size = self.image.len();
        let mut lines = Vec::with_capacity(choice.len());
        for ((line, dirty), chosen) in self.dirty.iter().zip(choice) {
            self.image[range(*line, size)].copy_from_slice(&dirty.contents[*chosen]);
            lines.push((*line, *chosen, dirty.contents.len()));
        }
        let is_whole = lines.iter().all(|(_, chosen, of)| chosen + 1 == *of);
        check(&Reset { done, image: &self.image, is_whole, lines });
        for (line, dirty) in &self.dirty {
            self.image[range(*line, size)].copy_from_slice(&dirty.contents[0]);
        }
    }
}

/// Replays `operations` on memory that holds `before`, and shows `check` what resets leave after each operation from the
/// `from`-th on. A `check` that does not like what it sees panics.
pub fn every_reset(
    before: &[u8],
    operations: &[Operation],
    from: usize,
    effort: Effort,
    mut check: impl FnMut(&Reset<'_>),
) -> Count {
    let mut replay =
        Replay { cache: before.to_vec(), image: before.to_vec(), dirty: BTreeMap::new(), seed: effort.seed | 1 };
    let mut count = Count::default();
    for (i, operation) in operations.iter().enumerate() {
        let new = replay.apply(operation);
        let done = i + 1;
        if done < from {
            continue;
        }
        count.operations += 1;
        count.dirty_max = count.dirty_max.max(replay.dirty.len() as u64);
        let of: Vec<usize> = replay.dirty.values().map(|dirty| dirty.contents.len()).collect();
        let newest: Vec<usize> = of.iter().map(|n| n - 1).collect();
        let mut shown = 0;
        let mut show = |replay: &mut Replay, choice: &[usize]| {
            replay.show(done, choice, &mut check);
            shown += 1;
        };
        // Nothing new can be found, but what was promised before may be due now.
        if new.is_empty() {
            show(&mut replay, &std::vec![0; of.len()]);
            if !of.is_empty() {
                show(&mut replay, &newest);
            }
            count.states += shown;
            count.exhausted += 1;
            continue;
        }
        let fresh: Vec<usize> =
            (0..of.len()).zip(replay.dirty.keys()).filter(|(_, l)| new.contains(l)).map(|p| p.0).collect();
        let is_new = |choice: &[usize]| fresh.iter().any(|i| choice[*i] == newest[*i]);
        let all = of.iter().try_fold(1u64, |product, n| product.checked_mul(*n as u64)).unwrap_or(u64::MAX);
        let subsets = 1u64.checked_shl(of.len() as u32).unwrap_or(u64::MAX);
        if all <= 2 * effort.states {
            let mut choice = std::vec![0; of.len()];
            for mut n in 0..all {
                for (chosen, of) in choice.iter_mut().zip(&of) {
                    *chosen = (n % *of as u64) as usize;
                    n /= *of as u64;
                }
                if is_new(&choice) {
                    show(&mut replay, &choice);
                }
            }
            count.exhausted += 1;
        } else {
            if subsets <= 2 * effort.states {
                for n in 0..subsets {
                    let choice: Vec<usize> =
                        newest.iter().enumerate().map(|(i, v)| if n >> i & 1 == 1 { *v } else { 0 }).collect();
                    if is_new(&choice) {
                        show(&mut replay, &choice);
                    }
                }
                count.exhausted += 1;
            } else {
                // The new lines alone; everything; then one other line more, or less, by turns, or as chance has it.
                let alone: Vec<usize> = (0..of.len()).map(|i| if fresh.contains(&i) { newest[i] } else { 0 }).collect();
                show(&mut replay, &alone);
                show(&mut replay, &newest);
                let pairs = 2 * of.len() as u64;
                for n in 0..effort.states.saturating_sub(2).min(pairs) {
                    let n = if pairs <= effort.states { n } else { replay.random() % pairs };
                    let (i, less) = (n as usize / 2, n % 2 == 1);
                    let mut choice = if less { newest.clone() } else { alone.clone() };
                    choice[i] = if less { 0 } else { newest[i] };
                    if is_new(&choice) {
                        show(&mut replay, &choice);
                    }
                }
            }
            // Lines that were written back earlier and are dirty again: contents in between.
            for _ in 0..(effort.states / 4).max(2) {
                let mut choice: Vec<usize> = of
                    .iter()
                    .map(|of| {
                        let random = replay.random();
                        match random >> 32 & 3 {
                            0 => 0,
                            1 => *of - 1,
                            _ => (random % *of as u64) as usize,
                        }
                    })
                    .collect();
                let one = fresh[(replay.random() % fresh.len() as u64) as usize];
                choice[one] = newest[one];
                show(&mut replay, &choice);
            }
        }
        count.states += shown;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Ram;
    use crate::seams::{Memory, Persist};
    use std::collections::BTreeSet;

    /// All contents of the first bytes of two lines that the states of a life show.
    fn states(life: impl FnOnce(&Ram)) -> BTreeSet<(u8, u8)> {
        let ram = Ram::new(128);
        ram.remember();
        life(&ram);
        let mut seen = BTreeSet::from([(0, 0)]);
        every_reset(&[0; 128], &ram.remembered(), 0, Effort { states: 64, seed: 1 }, |reset| {
            seen.insert((reset.image[0], reset.image[64]));
        });
        seen
    }

    #[test]
    fn a_line_that_was_never_cleaned_holds_anything_that_it_held() {
        let seen = states(|ram| {
            ram.store_u32(0, 1);
            ram.store_u32(0, 2);
            ram.store_u32(64, 9);
        });
        assert_eq!(seen, BTreeSet::from([(0, 0), (1, 0), (2, 0), (0, 9), (1, 9), (2, 9)]));
    }

    #[test]
    fn behind_a_completed_clean_nothing_older_comes_back() {
        let seen = states(|ram| {
            ram.store_u32(0, 1);
            ram.clean(0, 4);
            ram.store_u32(0, 2);
            ram.complete();
            ram.store_u32(64, 9);
        });
        // What was cleaned is what the line held then; what it held afterwards may be there, too.
        assert_eq!(seen, BTreeSet::from([(0, 0), (1, 0), (2, 0), (1, 9), (2, 9)]));
    }

    #[test]
    fn a_clean_that_nobody_waited_for_promises_nothing() {
        let seen = states(|ram| {
            ram.store_u32(0, 1);
            ram.clean(0, 4);
            ram.store_u32(64, 9);
        });
        assert!(seen.contains(&(0, 9)));
    }
}
