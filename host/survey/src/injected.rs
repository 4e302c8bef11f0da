//! A survey in a machine whose cache loses and whose bits turn over, and whether what the kernel tells is what the plugin did.

use crate::model::{By, Check, Kind, Report, Spot};
use crate::serial::read;
use crate::watch::Found;
use anyhow::{Context, Result, ensure};
use cachesim::options::Options;
use cachesim::report::Reset;
use kernel::survey::judge::LINE;
use kernel::survey::pattern::BLOCK;
use kernel::survey::spots::SPOTS_MAX;
use qemu::{Board, Image, Machine, Overlay, Status, losing, trampoline};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

/// What is surveyed, and what goes wrong meanwhile.
#[derive(Clone, Debug)]
pub struct Injected {
    /// The kernel's arguments, with `survey=` among them.
    pub append: String,
    /// Bytes of RAM of `virt`.
    pub memory: u64,
    /// Percent of dirty lines that are in memory by chance.
    pub evict: u32,
    /// Bits that turn over at each reset, in a thousand million.
    pub flips: u64,
    /// Of all chance.
    pub seed: u64,
    /// Longest that it may take.
    pub limit: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Surveyed {
    /// All that the kernel printed.
    pub console: String,
    /// How it ended.
    pub status: Status,
    /// What it tells.
    pub found: Found,
    /// For each reset the time from the one before.
    pub times: Vec<Duration>,
    /// Where the kernel's word and the plugin's differ.
    pub differences: Vec<String>,
}

/// Where QEMU puts a `-kernel` whose text_offset is 0, from the beginning of RAM: images lie on boundaries of 2 MiB, and at the
/// first one are QEMU's own instructions.
const STUB_AT: u64 = 2 << 20;
/// The window through which the kernel stores past the cache: as `arch::mmu::uncached`.
const WINDOW: (u64, u64) = (1 << 46, 1 << 40);

impl Injected {
    /// Runs it on `virt`.
    ///
    /// # Errors
    /// There is no such machine, or it does not come to its end.
    pub fn run(&self, kernel: &Image) -> Result<Surveyed> {
        let base = Board::Virt.ram_base();
        ensure!(self.memory >= 128 << 20, "a survey needs 128M of RAM at least");
        let resident = losing::resident_at(Board::Virt);
        let tree = base + (self.memory / 2).min(128 << 20);
        // QEMU writes the stub that jumps to the resident kernel again at each reset, into free memory.
        let stub = (trampoline::jump(resident)?.bytes().len() as u64).next_multiple_of(LINE);
        // Nothing is lost there, nor does a bit turn over: neither QEMU's own words nor the kernel would run any more.
        let coherent = vec![
            (base, LINE),
            (base + STUB_AT, stub),
            (resident, kernel.memory_size().next_multiple_of(1 << 16)),
            (tree, 1 << 20),
        ];
        let options = Options {
            range: (base, self.memory),
            evict: self.evict,
            flips: self.flips,
            seed: self.seed,
            coherent,
            uncached: Some(WINDOW),
            content: false,
            ..Options::default()
        };
        let region = base + self.memory / 4 * 3;
        let machine = Machine::virt().memory(self.memory).overlay(Overlay::region_at(Board::Virt, region, 2 << 20));
        let ram = machine.make_ram()?;
        let mut running = machine.kernel(kernel).append(&self.append).ram(&ram).losing(options).start(self.limit)?;
        let (mut resets, mut times, mut last) = (Vec::new(), Vec::new(), Instant::now());
        while let Some((reset, _)) = running.next_reset(self.limit)? {
            resets.push(reset);
            times.push(last.elapsed());
            last = Instant::now();
        }
        let outcome = running.wait()?;
        // All of it, with what came before the resets.
        let console = outcome.console;
        let found = read(console.as_bytes());
        let mut differences = compare(&found.report, &resets, base, &(base + STUB_AT..base + STUB_AT + stub))?;
        let told = found.report.checks.len();
        if told != resets.len() {
            differences.push(format!("{} resets, the kernel tells of {told}", resets.len()));
        }
        Ok(Surveyed { console, status: outcome.status, found, times, differences })
    }
}

/// Where what the kernel says of each reset differs from what was done, in all that it fills; in words. QEMU itself writes these
/// lines again at each reset: they are damaged, or lost where their block was dirty.
///
/// # Errors
/// The kernel does not tell what it fills.
fn compare(report: &Report, resets: &[Reset], base: u64, written: &Range<u64>) -> Result<Vec<String>> {
    let seed = report.seed.context("the kernel tells no seed")?;
    let counts = |address: u64| report.fills.iter().any(|range| range.contains(address));
    let written: Vec<u64> = written.clone().step_by(LINE as usize).filter(|at| counts(*at)).collect();
    let (mut differences, mut flipped, mut spots) = (Vec::new(), Bits::new(), Lines::new());
    for reset in resets {
        let number = reset.number;
        let Some(Check { tally, flips, by, .. }) = report.checks.iter().find(|check| check.number == number) else {
            continue;
        };
        let lost: BTreeSet<u64> = reset.lost.iter().map(|lost| base + lost.at).filter(|at| counts(*at)).collect();
        // What turned over before stays only under a line that was lost again: all others have been written anew.
        flipped.retain(|(address, _), _| lost.contains(&(address & !63)));
        for (bit, set) in &reset.flipped {
            let address = base + bit / 8;
            if counts(address) {
                let place = (address & !7, (bit % 64) as u32);
                // Twice is not at all.
                if flipped.remove(&place).is_none() {
                    flipped.insert(place, *set);
                }
            }
        }
        let set = flipped.values().filter(|set| **set).count() as u64;
        let dirty = |at: &&u64| is_dirty(seed, **at, number);
        let gone = lost.len() + written.len();
        let dirty_lost = lost.iter().chain(&written).filter(dirty).count();
        let blocks = report.fills.iter().flat_map(|range| (range.first..=range.last).step_by(BLOCK as usize));
        let (all_dirty, all_kept): (Vec<_>, Vec<_>) = blocks.partition(|at| is_dirty(seed, *at, number));
        let lines = |blocks: &[u64]| blocks.len() as u64 * (BLOCK / LINE);
        let expected = [
            ("damaged", tally.damaged, (gone - dirty_lost) as u64),
            ("damaged_of", tally.kept_of, lines(&all_kept)),
            ("dirty_lost", tally.dirty_lost, dirty_lost as u64),
            ("dirty_lost_of", tally.dirty_of, lines(&all_dirty)),
            ("stale", tally.stale, lost.len() as u64),
            ("moved", tally.moved, 0),
            ("set", tally.set, set),
            ("cleared", tally.cleared, flipped.len() as u64 - set),
            ("bits", tally.bits, flipped.keys().fold(0, |bits, (_, bit)| bits | 1 << bit)),
        ];
        for (name, is, expected) in expected.into_iter().filter(|(_, is, expected)| is != expected) {
            differences.push(format!("reset {number}: {name}: the kernel says {is}, done was {expected}"));
        }
        let lines: BTreeSet<u64> = flipped.keys().map(|(address, _)| address / LINE * LINE).collect();
        let wrong = lines.into_iter().map(|line| (Kind::Bits, line));
        for (kind, line) in wrong.chain(written.iter().map(|line| (Kind::Lost, *line))) {
            *spots.entry((kind as u8, line)).or_default().entry(*by).or_default() += 1;
        }
        let bits: Bits = flips.iter().map(|flip| ((flip.address, flip.bit), flip.set)).collect();
        if bits != flipped {
            differences.push(format!("reset {number}: bits: the kernel says {bits:x?}, done was {flipped:x?}"));
        }
    }
    differences.extend(places(report, &spots));
    Ok(differences)
}

/// Where the places that the report tells differ from those where something was done: line by line, while each has room for
/// itself; beyond that none may be missing.
fn places(report: &Report, done: &Lines) -> Vec<String> {
    let exact = done.len() <= SPOTS_MAX;
    let told = |kind: u8, line: u64| {
        let here = |spot: &&Spot| spot.kind as u8 == kind && spot.range.contains(line);
        let after = report.spots.iter().find(here).map_or(&[][..], |spot| &spot.by);
        after.iter().map(|after| (after.by, after.times)).collect::<BTreeMap<By, u64>>()
    };
    let mut differences = Vec::new();
    for ((kind, line), by) in done {
        let told = told(*kind, *line);
        let less = by.iter().any(|(by, times)| told.get(by).is_none_or(|told| told < times));
        if less || exact && told != *by {
            differences.push(format!("line {line:#x}: the kernel says {told:?}, done was {by:?}"));
        }
    }
    let lines: u64 = report.spots.iter().map(|spot| spot.range.size() / LINE).sum();
    if exact && lines != done.len() as u64 {
        differences
            .push(format!("the kernel says that {lines} lines were not as they were left, and {} were", done.len()));
    }
    differences
}

/// Lines by kind and address: after how many resets by which way.
type Lines = BTreeMap<(u8, u64), BTreeMap<By, u64>>;

/// Bits by their word's address and their number: what they are now.
type Bits = BTreeMap<(u64, u32), bool>;

/// Whether the kernel left the block of an address in the cache: the rule is that of its pattern, told a second time, so that
/// one of them alone cannot be wrong.
fn is_dirty(seed: u64, address: u64, generation: u64) -> bool {
    let mix = |mut x: u64| {
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    };
    mix(seed ^ mix(address / BLOCK) ^ mix(!generation)) % 3 == 1
}
