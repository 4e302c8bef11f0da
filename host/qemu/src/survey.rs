//! A survey in a machine whose cache loses, and whether what the kernel tells is what the plugin did.

use crate::machine::Board;
use crate::process::Status;
use crate::{Image, Machine, Overlay, losing, trampoline};
use anyhow::{Context, Result, ensure};
use cachesim::options::Options;
use cachesim::report::Reset;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

/// What is surveyed, and what goes wrong meanwhile.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Rounds.
    pub rounds: u32,
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
    /// For each reset what the kernel counted, and the time from the reset before.
    pub resets: Vec<(BTreeMap<String, u64>, Duration)>,
    /// Where the kernel's word and the plugin's differ.
    pub differences: Vec<String>,
}

/// Where QEMU puts a `-kernel`, from the beginning of RAM.
const STUB_AT: u64 = 0x20_0000;
/// The window through which the kernel stores past the cache: as `arch::mmu::uncached`.
const WINDOW: (u64, u64) = (1 << 46, 1 << 40);

impl Survey {
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
        let stub = trampoline::jump(resident)?.bytes().len() as u64;
        let coherent = vec![
            (base, 1 << 16),
            (base + STUB_AT, 1 << 16),
            (resident, kernel.memory_size().next_multiple_of(1 << 16)),
            (tree, 1 << 20),
        ];
        let options = Options {
            range: (base, self.memory),
            evict: self.evict,
            flips: self.flips,
            seed: self.seed,
            coherent: coherent.clone(),
            uncached: Some(WINDOW),
            content: false,
            ..Options::default()
        };
        let region = base + self.memory / 4 * 3;
        let machine = Machine::virt().memory(self.memory).overlay(Overlay::region_at(Board::Virt, region, 2 << 20));
        let append = format!("survey={} terse seed={}", self.rounds, self.seed);
        let ram = machine.make_ram()?;
        let mut running = machine.kernel(kernel).append(&append).ram(&ram).losing(options).start(self.limit)?;
        let (mut resets, mut times, mut last, mut console) = (Vec::new(), Vec::new(), Instant::now(), String::new());
        while let Some((reset, told)) = running.next_reset(self.limit)? {
            console += &told;
            resets.push(reset);
            times.push(last.elapsed());
            last = Instant::now();
        }
        let outcome = running.wait()?;
        if outcome.console.starts_with(&console) {
            console = outcome.console;
        } else {
            console += &outcome.console;
        }
        let (told, mut differences) = compare(&console, &resets, base, &coherent, stub.div_ceil(64))?;
        if told.len() != resets.len() {
            differences.push(format!("{} resets, the kernel tells of {}", resets.len(), told.len()));
        }
        Ok(Surveyed { console, status: outcome.status, resets: told.into_iter().zip(times).collect(), differences })
    }
}

/// What was counted after each reset, by the kernel's names; and the differences, in words.
pub type Compared = (Vec<BTreeMap<String, u64>>, Vec<String>);

/// What the kernel said of each reset, and where it differs from what was done. So many lines of one block are `written` by QEMU
/// at each reset: they are damaged, or lost where the block was dirty.
///
/// # Errors
/// The kernel's lines cannot be read.
pub fn compare(
    console: &str,
    resets: &[Reset],
    base: u64,
    coherent: &[(u64, u64)],
    written: u64,
) -> Result<Compared> {
    let filled = filled(console)?;
    let counts = |address: u64| {
        filled.iter().any(|range| range.contains(&address))
            && !coherent.iter().any(|(start, size)| (*start..start + size).contains(&address))
    };
    let (mut all, mut differences, mut flipped) = (Vec::new(), Vec::new(), BTreeMap::new());
    for reset in resets {
        let number = reset.number;
        let Some((said, bits)) = said(console, number)? else { continue };
        let lost: BTreeSet<u64> = reset.lost.iter().map(|lost| base + lost.at).filter(|at| counts(*at)).collect();
        // What turned over before stays only under a line that was lost again: all others have been written anew.
        flipped.retain(|(address, _), _| lost.contains(&(address & !63)));
        for (bit, set) in &reset.flipped {
            let address = base + bit / 8;
            if counts(address) {
                let place = (address & !7, bit % 64);
                // Twice is not at all.
                if flipped.remove(&place).is_none() {
                    flipped.insert(place, *set);
                }
            }
        }
        let set = flipped.values().filter(|set| **set).count() as u64;
        let expected = [
            ("stale", lost.len() as u64),
            ("moved", 0),
            ("set", set),
            ("cleared", flipped.len() as u64 - set),
            ("bits", flipped.keys().fold(0, |bits, (_, bit)| bits | 1 << bit)),
        ];
        for (name, expected) in expected {
            let is = said.get(name).copied();
            if is != Some(expected) {
                differences.push(format!("reset {number}: {name}: the kernel says {is:?}, done was {expected}"));
            }
        }
        let [damaged, dirty_lost] = ["damaged", "dirty_lost"].map(|name| said.get(name).copied());
        let lines = lost.len() as u64;
        if ![(written, lines), (0, lines + written)].map(|(a, b)| (Some(a), Some(b))).contains(&(damaged, dirty_lost)) {
            differences.push(format!(
                "reset {number}: damaged and lost: the kernel says {damaged:?} and {dirty_lost:?}, done were {lines} lost, {written} written again"
            ));
        }
        if bits != flipped {
            differences.push(format!("reset {number}: bits: the kernel says {bits:x?}, done was {flipped:x?}"));
        }
        all.push(said);
    }
    Ok((all, differences))
}

fn hexadecimal(text: &str) -> Result<u64> {
    let digits = text.strip_prefix("0x").with_context(|| format!("{text:?} is not hexadecimal"))?;
    Ok(u64::from_str_radix(digits, 16)?)
}

/// What the kernel fills.
fn filled(console: &str) -> Result<Vec<Range<u64>>> {
    let ranges = console.lines().filter_map(|line| line.strip_prefix("survey: fills "));
    let read = |range: &str| {
        let (first, last) = range.trim().split_once('-').context("not a range")?;
        Ok(hexadecimal(first)?..hexadecimal(last)? + 1)
    };
    ranges.map(read).collect()
}

/// Bits by their word's address and their number: what they are now.
type Bits = BTreeMap<(u64, u64), bool>;

/// What the kernel counted after a reset.
fn said(console: &str, number: u64) -> Result<Option<(BTreeMap<String, u64>, Bits)>> {
    let begin = format!("survey: reset {number} by ");
    let mut lines = console.lines().skip_while(|line| !line.starts_with(&begin));
    let Some(line) = lines.next() else { return Ok(None) };
    let mut said = BTreeMap::new();
    for (name, value) in line.split_whitespace().filter_map(|word| word.split_once('=')) {
        let value = value.split('/').next().unwrap_or_default();
        let value = if value.starts_with("0x") { hexadecimal(value)? } else { value.parse()? };
        said.insert(name.to_owned(), value);
    }
    let mut bits = Bits::new();
    for line in lines.map_while(|line| line.strip_prefix("survey: bit ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [bit, _, address, _, value] = words[..] else { continue };
        bits.insert((hexadecimal(address)?, bit.parse()?), value == "1");
    }
    Ok(Some((said, bits)))
}
