//! What a survey found, as the kernel tells it.

pub use kernel::memblock::Size;
pub use kernel::survey::judge::Kind;
pub use kernel::survey::judge::Tally;
use kernel::survey::ways::Way;
use serde::{Serialize, Serializer};
use std::fmt;

/// Bytes from the first to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Range {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
}

impl Range {
    /// How many bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// Whether they have a byte in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether it has this byte.
    #[must_use]
    pub fn contains(&self, address: u64) -> bool {
        self.first <= address && address <= self.last
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}-{:#x} ({})", self.first, self.last, Size(self.size()))
    }
}

/// A way to reset: its number in the kernel's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct By(u8);

impl By {
    /// How many ways there are.
    pub const COUNT: usize = Way::ALL.len();

    /// The way of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        (0..).zip(Way::ALL).find(|(_, way)| way.name() == name).map(|(number, _)| Self(number))
    }

    /// All of them, in the kernel's order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).zip(Way::ALL).map(|(number, _)| Self(number))
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Way::ALL[usize::from(self.0)].name()
    }

    /// Its word on the kernel's command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        Way::WORDS[usize::from(self.0)]
    }

    /// Its name where there is little room.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self.name() {
            "PSCI SYSTEM_RESET2 warm" => "PSCI warm",
            "PSCI SYSTEM_RESET" => "PSCI",
            name => name,
        }
    }
}

impl Serialize for By {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The counters by their names.
#[must_use]
pub fn counters(tally: &Tally) -> [(&'static str, u64); 10] {
    let Tally { checks: _, kept_of, damaged, dirty_of, dirty_lost, stale, oldest, moved, set, cleared, bits } = *tally;
    [
        ("damaged", damaged),
        ("kept_of", kept_of),
        ("dirty_lost", dirty_lost),
        ("dirty_of", dirty_of),
        ("stale", stale),
        ("oldest", oldest),
        ("moved", moved),
        ("set", set),
        ("cleared", cleared),
        ("bits", bits),
    ]
}

fn as_object<S: Serializer>(tally: &Tally, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counters(tally))
}

/// A bit that turned over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flip {
    /// The address of its word.
    pub address: u64,
    /// Its number in the word.
    pub bit: u32,
    /// What it became.
    pub set: bool,
}

/// What was found after one reset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The number of the reset.
    pub number: u64,
    /// How it was done.
    pub by: By,
    /// The region did not keep the survey's own notes.
    pub region_lost: bool,
    /// What was counted.
    #[serde(serialize_with = "as_object")]
    pub tally: Tally,
    /// Bits that turned over, the first few hundred.
    pub flips: Vec<Flip>,
}

/// All checks of a way together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Total {
    /// The way.
    pub by: By,
    /// How often it was taken; 0: the board does not offer it, or it was left out.
    pub resets: u64,
    /// Nobody wanted to see it.
    pub left_out: bool,
    /// What was counted.
    #[serde(serialize_with = "as_object")]
    pub tally: Tally,
}

/// A mark in something that firmware puts into memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// What it is: the image, the device tree.
    pub what: String,
    /// Where the mark is.
    pub address: u64,
    /// After so many resets it had been written again.
    pub times: u64,
    /// Of so many.
    pub of: u64,
}

/// A range in which something was not as it was left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spot {
    /// What.
    #[serde(serialize_with = "as_word")]
    pub kind: Kind,
    /// Where.
    pub range: Range,
    /// After how many resets in all, and of how many.
    pub times: u64,
    /// See above.
    pub of: u64,
    /// By the ways after which it was so.
    pub by: Vec<After>,
}

/// How often something happened after one way to reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct After {
    /// The way.
    pub by: By,
    /// After so many.
    pub times: u64,
    /// Of so many.
    pub of: u64,
}

fn as_word<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.word())
}

/// What became of a range that was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Nothing was wrong with it.
    Kept,
    /// Bits turned over in it.
    Bits,
    /// Something in it was lost or stale.
    Damaged,
}

/// A range that was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Where.
    pub range: Range,
    /// What became of it.
    pub fate: Fate,
}

/// What a survey says of where the region should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recommended {
    /// Where.
    pub range: Range,
    /// The device tree node to add, line by line, and what else the kernel says.
    pub node: Vec<String>,
}

/// A survey's report, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rounds, resets, and resets after which the region itself was lost.
    pub title: Option<Title>,
    /// What its pattern begins with.
    pub seed: Option<u64>,
    /// What was filled, as told when it began.
    pub fills: Vec<Range>,
    /// Each check that was heard.
    pub checks: Vec<Check>,
    /// By way.
    pub totals: Vec<Total>,
    /// What firmware is expected to write.
    pub placed: Vec<Placed>,
    /// How many places were not as they were left.
    pub places: usize,
    /// Each of them.
    pub spots: Vec<Spot>,
    /// What was filled, and what became of it.
    pub memory: Vec<Memory>,
    /// Where the region should be. None: not read; Some(None): nowhere.
    pub recommended: Option<Option<Recommended>>,
}

/// A report's first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Title {
    /// Rounds that were wanted.
    pub rounds: u64,
    /// Resets that were done.
    pub resets: u64,
    /// Resets after which the region itself was lost.
    pub region_lost: u64,
}

impl Recommended {
    /// Whether the node is for this place: a line that lost a byte would have the region put somewhere else.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let line = |begin: &str| self.node.iter().find_map(|line| line.trim_start().strip_prefix(begin));
        let cells = |name: &str| line(name)?.strip_prefix(" = <")?.strip_suffix(">;")?.parse::<usize>().ok();
        let reg = |text: &str| -> Option<Vec<u64>> {
            let cell = |cell: &str| u64::from_str_radix(cell.strip_prefix("0x")?, 16).ok();
            text.strip_suffix(">;")?.split_whitespace().map(cell).collect()
        };
        let expected =
            |value: u64, cells: usize| (0..cells).rev().map(move |n| value >> (32 * n) & u64::from(u32::MAX));
        let (Some(address @ 1..=2), Some(size @ 1..=2)) = (cells("#address-cells"), cells("#size-cells")) else {
            return false;
        };
        let place: Vec<u64> = expected(self.range.first, address).chain(expected(self.range.size(), size)).collect();
        let count = |letter| self.node.iter().map(|line| line.matches(letter).count()).sum::<usize>();
        line("reg = <").and_then(reg) == Some(place)
            && line("persistent-ring@") == Some(&format!("{:x} {{", self.range.first))
            && line("compatible = ") == Some(&format!("\"{}\";", kernel::reserve::COMPATIBLE))
            && (count('{'), count('}')) == (3, 3)
    }
}

impl Report {
    /// What was not read, or does not add up; empty if nothing. A line loses bytes and makes some up.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = self.missing();
        let resets: u64 = self.totals.iter().map(|total| total.resets).sum();
        if let Some(title) = self.title
            && self.totals.len() == By::COUNT
            && resets != title.resets
        {
            troubles.push(format!("it tells of {} resets, and by the ways there were {resets}", title.resets));
        }
        let filled = |range: &Range| {
            self.memory.iter().any(|memory| memory.range.contains(range.first) && memory.range.contains(range.last))
        };
        for range in self.fills.iter().filter(|range| !filled(range)) {
            troubles.push(format!("what became of {range} was not read"));
        }
        for memory in self.memory.iter().filter(|memory| memory.fate != self.fate(memory.range)) {
            troubles.push(format!("what was wrong in {} was not read", memory.range));
        }
        if self.spots.len() != self.places {
            let read = self.spots.len();
            troubles.push(format!("of {} places that were not as they were left {read} were read", self.places));
        }
        for spot in self.spots.iter().filter(|spot| !self.adds_up(spot)) {
            troubles.push(format!("how often {} was not as it was left does not add up", spot.range));
        }
        if matches!(&self.recommended, Some(Some(recommended)) if !recommended.is_whole()) {
            troubles.push("the device tree node was not read whole: do not use it".to_owned());
        }
        for total in &self.totals {
            let mut sum = Tally::default();
            let checks: Vec<&Check> = self.checks.iter().filter(|check| check.by == total.by).collect();
            checks.iter().for_each(|check| sum.add(&check.tally));
            // What was before somebody listened cannot be added up.
            if checks.len() as u64 == total.resets && sum != total.tally {
                troubles.push(format!("the total by {} is not the sum of its resets", total.by.name()));
            }
        }
        troubles
    }

    /// Lines without which nothing can be concluded.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.title.is_none() {
            missing.push("the report's first line was not read".to_owned());
        }
        for by in By::all().filter(|by| !self.totals.iter().any(|total| total.by == *by)) {
            missing.push(format!("the line about {} was not read", by.name()));
        }
        if self.recommended.is_none() {
            missing.push("which place is recommended was not read".to_owned());
        }
        missing
    }

    /// What became of a range, as the spots tell.
    fn fate(&self, range: Range) -> Fate {
        let fate = |spot: &Spot| if spot.kind == Kind::Bits { Fate::Bits } else { Fate::Damaged };
        let here = self.spots.iter().filter(|spot| spot.range.overlaps(&range)).map(fate);
        here.max_by_key(|fate| *fate as u8).unwrap_or(Fate::Kept)
    }

    /// Whether the counts of a spot are those of its ways, and these were taken so often.
    fn adds_up(&self, spot: &Spot) -> bool {
        let of = |by: By| self.totals.iter().find(|total| total.by == by).map(|total| total.resets);
        spot.times == spot.by.iter().map(|after| after.times).sum::<u64>()
            && self.title.is_none_or(|title| title.resets == spot.of)
            && spot.by.iter().all(|after| after.times <= after.of && of(after.by).is_none_or(|of| of == after.of))
    }

    /// Whether bits turned over in the recommended place.
    #[must_use]
    pub fn has_bits_in_place(&self) -> bool {
        let Some(Some(Recommended { range, .. })) = &self.recommended else { return false };
        self.spots.iter().any(|spot| spot.kind == Kind::Bits && spot.range.overlaps(range))
    }

    /// Whether RAM keeps a region: a place is recommended, and no bit turned over anywhere.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let flipped = self.totals.iter().any(|total| total.tally.set + total.tally.cleared > 0);
        self.missing().is_empty() && !flipped && matches!(self.recommended, Some(Some(_)))
    }
}
