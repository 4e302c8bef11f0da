//! A bounded, sorted set of ranges that never overlap: what memblock's two lists are made of.

use super::range::Range;

/// One range of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The addresses.
    pub range: Range,
    /// The kernel must not map these addresses (`no-map` in the device tree).
    pub no_map: bool,
}

/// The set would need more than its `N` entries. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// At most `N` ranges, in ascending order, none overlapping; neighbours with the same flag are one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSet<const N: usize> {
    entries: heapless::Vec<Entry, N>,
}

impl<const N: usize> RangeSet<N> {
    /// A set with nothing in it.
    pub const fn new() -> Self {
        Self { entries: heapless::Vec::new() }
    }

    /// The entries in ascending order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds `range`. Where it overlaps what is there, the flag holds if either asked for it.
    ///
    /// # Errors
    /// [`Full`], and the set is as it was.
    pub fn add(&mut self, range: Range, no_map: bool) -> Result<(), Full> {
        let mut next = Self::new();
        // What of `range` lies above everything handled so far.
        let mut rest = Some(range);
        for old in &self.entries {
            // Ascending: the new bytes before this entry, then the entry's own before, within and after the new range.
            next.append(rest.and_then(|rest| rest.below(old.range.base())), no_map)?;
            next.append(old.range.below(range.base()), old.no_map)?;
            next.append(old.range.intersection(range), old.no_map | no_map)?;
            next.append(old.range.above(range.last()), old.no_map)?;
            rest = rest.and_then(|rest| rest.above(old.range.last()));
        }
        next.append(rest, no_map)?;
        *self = next;
        Ok(())
    }

    /// Takes every byte of `range` out of the set, whatever its flag.
    ///
    /// # Errors
    /// [`Full`] (a hole makes two entries of one), and the set is as it was.
    pub fn remove(&mut self, range: Range) -> Result<(), Full> {
        let mut next = Self::new();
        for old in &self.entries {
            next.append(old.range.below(range.base()), old.no_map)?;
            next.append(old.range.above(range.last()), old.no_map)?;
        }
        *self = next;
        Ok(())
    }

    /// Whether any byte of `range` is in the set.
    pub fn overlaps(&self, range: Range) -> bool {
        self.entries.iter().any(|entry| entry.range.overlaps(range))
    }

    /// Whether every byte of `range` is in the set, in however many entries.
    pub fn covers(&self, range: Range) -> bool {
        let mut rest = Some(range);
        for entry in &self.entries {
            match rest {
                Some(left) if left.base() < entry.range.base() => return false,
                Some(left) if left.base() <= entry.range.last() => rest = left.above(entry.range.last()),
                _ => {}
            }
        }
        rest.is_none()
    }

    /// Puts a piece behind the last entry, as part of it where they touch and agree.
    fn append(&mut self, piece: Option<Range>, no_map: bool) -> Result<(), Full> {
        let Some(range) = piece else { return Ok(()) };
        if let Some(last) = self.entries.last_mut()
            && last.no_map == no_map
            && last.range.end() == Some(range.base())
            && let Some(joined) = Range::inclusive(last.range.base(), range.last())
        {
            last.range = joined;
            return Ok(());
        }
        self.entries.push(Entry { range, no_map }).map_err(|_| Full)
    }
}

impl<const N: usize> Default for RangeSet<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// What is left of `ranges`, which ascend, without `holes`.
pub fn without(ranges: impl Iterator<Item = Range>, holes: &[Entry]) -> impl Iterator<Item = Range> {
    let mut ranges = ranges;
    let mut holes = holes;
    // What is left of the range that is being cut.
    let mut rest: Option<Range> = None;
    core::iter::from_fn(move || {
        // Each turn of either loop leaves a range or a hole behind.
        loop {
            let whole = rest.take().or_else(|| ranges.next())?;
            while let Some((hole, others)) = holes.split_first()
                && hole.range.last() < whole.base()
            {
                holes = others;
            }
            let Some(hole) = holes.first() else { return Some(whole) };
            rest = whole.above(hole.range.last());
            if let Some(left) = whole.below(hole.range.base()) {
                return Some(left);
            }
        }
    })
}
