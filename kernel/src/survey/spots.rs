//! Places where something was wrong, and after how many resets: a few ranges, however many lines there are.

use super::judge::{Kind, LINE};
use super::ways::Way;
use crate::memblock::Range;

/// Ranges that are kept apart, of all kinds together.
pub const SPOTS_MAX: usize = 46;

/// A range in which something was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// What.
    pub kind: Kind,
    /// The first byte: where a line begins.
    pub first: u64,
    /// The byte behind the last.
    pub end: u64,
    /// By way: after how many resets it was so with one of its lines, at most.
    pub times: [u16; Way::COUNT],
}

impl Spot {
    /// Words in memory.
    pub const WORDS: usize = 3;
    const NONE: Self = Self { kind: Kind::Lost, first: 0, end: 0, times: [0; Way::COUNT] };

    /// As it is kept: the kind stands below the line's address.
    #[must_use]
    pub fn words(&self) -> [u64; Self::WORDS] {
        let times = self.times.iter().rev().fold(0, |word, times| word << 16 | u64::from(*times));
        [self.first | self.kind as u64, self.end, times]
    }

    /// The reverse. None: it has no bytes, or is of no kind.
    #[must_use]
    pub fn from_words([first, end, times]: [u64; Self::WORDS]) -> Option<Self> {
        let kind = *Kind::ALL.get((first % LINE) as usize)?;
        let times = core::array::from_fn(|way| (times >> (16 * way)) as u16);
        let first = first / LINE * LINE;
        (first < end).then_some(Self { kind, first, end, times })
    }

    /// Its bytes.
    #[must_use]
    pub fn range(&self) -> Option<Range> {
        Range::inclusive(self.first, self.end.checked_sub(1)?)
    }

    /// Where it stands among others.
    fn order(&self) -> (u8, u64) {
        (self.kind as u8, self.first)
    }
}

/// Kind by kind in the order of addresses, apart from one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spots {
    spots: [Spot; SPOTS_MAX],
    count: usize,
}

impl Default for Spots {
    fn default() -> Self {
        Self::new()
    }
}

impl Spots {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { spots: [Spot::NONE; SPOTS_MAX], count: 0 }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Spot] {
        self.spots.get(..self.count).unwrap_or_default()
    }

    /// Those of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Spot> {
        self.all().iter().filter(move |spot| spot.kind == kind)
    }

    /// Something was wrong with a line; how often is not counted yet.
    pub fn add_line(&mut self, kind: Kind, line: u64) {
        let one = Spot { kind, first: line, end: line.saturating_add(LINE), ..Spot::NONE };
        match self.all().last() {
            Some(last) if last.kind as u8 > kind as u8 || last.kind == kind && last.end > line => {
                *self = self.over(&[one], None);
            }
            // Lines come one behind the other, mostly.
            _ => self.push(one),
        }
    }

    /// What another one has, of which nothing is counted yet, is here too.
    pub fn add(&mut self, others: &Self) {
        if others.count > 0 {
            *self = self.over(others.all(), None);
        }
    }

    /// It was so there after one more reset by way number `way`.
    pub fn count(&mut self, here: &Self, way: usize) {
        *self = self.over(here.all(), Some(way));
    }

    /// Both.
    fn over(&self, new: &[Spot], way: Option<usize>) -> Self {
        let mut out = Self::new();
        for kind in Kind::ALL {
            self.pieces(kind, new, way, &mut out);
        }
        out
    }

    /// Both of one kind, piece by piece: from one boundary to the next the same is known of all lines.
    fn pieces(&self, kind: Kind, new: &[Spot], way: Option<usize>, out: &mut Self) {
        let mut at = 0;
        loop {
            let behind = |spot: &&Spot| spot.kind == kind && spot.end > at;
            let (old_one, new_one) = (self.all().iter().find(behind), new.iter().find(behind));
            let both = || old_one.iter().chain(&new_one);
            let Some(first) = both().map(|spot| spot.first.max(at)).min() else { return };
            let boundaries = both().flat_map(|spot| [spot.first, spot.end]).filter(|boundary| *boundary > first);
            // One of them ends behind its own beginning.
            let end = boundaries.min().unwrap_or(u64::MAX);
            let here = |spot: &&Spot| spot.first <= first;
            let mut times = old_one.filter(here).map_or([0; Way::COUNT], |spot| spot.times);
            if let Some(times) =
                way.and_then(|way| times.get_mut(way)).filter(|_| new_one.is_some_and(|one| here(&one)))
            {
                *times = times.saturating_add(1);
            }
            out.push(Spot { kind, first, end, times });
            at = end;
        }
    }

    /// Puts one behind all others. Where there are too many, two of the same kind become one: what is told is never less than what
    /// was wrong.
    fn push(&mut self, spot: Spot) {
        let touches = |last: &&mut Spot| last.kind == spot.kind && last.end == spot.first && last.times == spot.times;
        if let Some(last) = self.last_mut().filter(touches) {
            last.end = spot.end;
            return;
        }
        if self.count == SPOTS_MAX {
            self.join(&spot);
        }
        if let Some(free) = self.spots.get_mut(self.count) {
            *free = spot;
            self.count += 1;
        }
    }

    /// Makes one of two neighbours, those that are nearest to each other, of the kind that has the most spots.
    fn join(&mut self, coming: &Spot) {
        let has = |kind: &Kind| self.of(*kind).count() + usize::from(coming.kind == *kind);
        let most = Kind::ALL.into_iter().max_by_key(has).unwrap_or(Kind::Lost);
        let gap = |n: &usize| match self.all().get(*n..n + 2) {
            Some([one, next]) if (one.kind, next.kind) == (most, most) => next.first.saturating_sub(one.end),
            _ => u64::MAX,
        };
        let nearest = (0..SPOTS_MAX - 1).min_by_key(gap).unwrap_or(0);
        let next = self.spots[nearest + 1];
        let one = &mut self.spots[nearest];
        one.end = next.end;
        one.times = core::array::from_fn(|way| one.times[way].max(next.times[way]));
        self.spots.copy_within(nearest + 2.., nearest + 1);
        self.count -= 1;
    }

    fn last_mut(&mut self) -> Option<&mut Spot> {
        self.spots.get_mut(..self.count)?.last_mut()
    }

    /// Reads so many from where they are kept.
    pub(super) fn from_words(words: &[u64], count: usize) -> Option<Self> {
        let mut spots = Self::new();
        for words in words.as_chunks().0.iter().take(count) {
            let spot = Spot::from_words(*words)?;
            let after =
                |last: &mut Spot| last.order() < spot.order() && (last.kind != spot.kind || last.end <= spot.first);
            if !spots.last_mut().is_none_or(after) {
                return None;
            }
            *spots.spots.get_mut(spots.count)? = spot;
            spots.count += 1;
        }
        Some(spots)
    }
}
