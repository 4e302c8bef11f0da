//! The decision table of recovery: what is known of a place in a sub-buffer, and what it therefore is.
//!
//! [`TABLE`] is the documentation, the data that [`judge`] follows, and the subject of an exhaustive test: every
//! combination of facts meets exactly one row.

/// Under whose seed the bytes at a place verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// This boot's, this sub-buffer's: it is the event that belongs here.
    Current,
    /// This boot's, an older lap's: the line never reached memory.
    OlderLap,
    /// A boot's that had this bank before.
    OlderBoot,
    /// Nobody's.
    Nobody,
}

/// What is known of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Under whose seed its bytes verify.
    pub check: Check,
    /// It lies before the end that the commit word tells.
    pub committed: bool,
    /// Its bytes are shaped as events which fill it to the last word: what fails is a check, not the shape.
    pub shaped: bool,
    /// Something before it in this sub-buffer was damaged or unfinished.
    pub after_gap: bool,
    /// An event behind it in this sub-buffer verifies, or a newer sub-buffer was begun: it did not stay empty.
    pub followed: bool,
    /// The core was stopped, or reset, with events reserved and not committed: this may be one of them.
    pub may_be_in_flight: bool,
}

/// What a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A good event.
    Good,
    /// A good event that the commit word does not know of: the word is stale, or an event around it was not committed.
    BeyondCommit,
    /// A good event behind damage: its time is uncertain until the next absolute record.
    AfterGap,
    /// An event of an older lap stands where a newer one was written.
    StaleLap,
    /// An event of an older boot stands where a newer one was written.
    StaleBoot,
    /// An event of the right shape whose bytes are not those that were checked.
    Flipped,
    /// No event of anybody's, nor the shape of one: zeros, noise, or an event whose length was hit.
    Unknown,
    /// An event that was being written.
    Unfinished,
    /// Nothing was written here yet.
    Free,
}

impl Verdict {
    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::BeyondCommit => "beyond commit",
            Self::AfterGap => "after gap",
            Self::StaleLap => "stale (older lap)",
            Self::StaleBoot => "stale (older boot)",
            Self::Flipped => "flipped",
            Self::Unknown => "unknown",
            Self::Unfinished => "unfinished",
            Self::Free => "free",
        }
    }
}

impl core::fmt::Display for Verdict {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose older event stands where a newer one was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Older {
    /// This boot's, of an earlier lap around the ring.
    Lap {
        /// The sub-buffer that it was written in.
        sequence: u64,
    },
    /// That of a boot which had this bank before.
    Boot {
        /// That boot's id.
        boot_id: u32,
        /// The sub-buffer that it was written in, counted in that boot.
        sequence: u64,
    },
    /// That of a boot whose id nobody remembers: two events in a row that one writer has written, and none that is known.
    UnknownBoot,
}

impl Older {
    /// As a fact for the table.
    #[must_use]
    pub const fn check(older: Option<Self>) -> Check {
        match older {
            Some(Self::Lap { .. }) => Check::OlderLap,
            Some(Self::Boot { .. } | Self::UnknownBoot) => Check::OlderBoot,
            None => Check::Nobody,
        }
    }
}

impl core::fmt::Display for Older {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Lap { sequence } => write!(f, "of sub-buffer {sequence}, an older lap"),
            Self::Boot { boot_id, sequence } => write!(f, "of sub-buffer {sequence} of the older boot {boot_id:#010x}"),
            Self::UnknownBoot => f.write_str("of an older boot whose id is lost"),
        }
    }
}

/// A row of the table. `None`: whichever.
#[derive(Debug)]
pub struct Row {
    check: Check,
    committed: Option<bool>,
    shaped: Option<bool>,
    after_gap: Option<bool>,
    followed: Option<bool>,
    may_be_in_flight: Option<bool>,
    /// What it therefore is.
    pub verdict: Verdict,
}

const fn row(
    check: Check,
    committed: Option<bool>,
    shaped: Option<bool>,
    after_gap: Option<bool>,
    followed: Option<bool>,
    may_be_in_flight: Option<bool>,
    verdict: Verdict,
) -> Row {
    Row { check, committed, shaped, after_gap, followed, may_be_in_flight, verdict }
}

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);
const ANY: Option<bool> = None;

/// The decisions.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    // verifies for       committed shaped gap followed in flight   it is
    row(Check::Current,    YES, ANY, NO,  ANY, ANY, Verdict::Good),
    row(Check::Current,    NO,  ANY, NO,  ANY, ANY, Verdict::BeyondCommit),
    row(Check::Current,    ANY, ANY, YES, ANY, ANY, Verdict::AfterGap),
    row(Check::OlderLap,   YES, ANY, ANY, ANY, ANY, Verdict::StaleLap),
    row(Check::OlderLap,   NO,  ANY, ANY, ANY, YES, Verdict::Unfinished), // claimed, nothing of it written yet
    row(Check::OlderLap,   NO,  ANY, ANY, YES, NO,  Verdict::StaleLap),
    row(Check::OlderLap,   NO,  ANY, ANY, NO,  NO,  Verdict::Free),
    row(Check::OlderBoot,  YES, ANY, ANY, ANY, ANY, Verdict::StaleBoot),
    row(Check::OlderBoot,  NO,  ANY, ANY, ANY, YES, Verdict::Unfinished),
    row(Check::OlderBoot,  NO,  ANY, ANY, YES, NO,  Verdict::StaleBoot),
    row(Check::OlderBoot,  NO,  ANY, ANY, NO,  NO,  Verdict::Free),
    row(Check::Nobody,     YES, YES, ANY, ANY, ANY, Verdict::Flipped),
    row(Check::Nobody,     YES, NO,  ANY, ANY, ANY, Verdict::Unknown),
    row(Check::Nobody,     NO,  ANY, ANY, ANY, YES, Verdict::Unfinished),
    row(Check::Nobody,     NO,  YES, ANY, YES, NO,  Verdict::Flipped),
    row(Check::Nobody,     NO,  NO,  ANY, YES, NO,  Verdict::Unknown),
    row(Check::Nobody,     NO,  ANY, ANY, NO,  NO,  Verdict::Free),
];

const fn fits(wanted: Option<bool>, fact: bool) -> bool {
    match wanted {
        Some(wanted) => wanted == fact,
        None => true,
    }
}

impl Row {
    const fn meets(&self, facts: &Facts) -> bool {
        self.check as u8 == facts.check as u8
            && fits(self.committed, facts.committed)
            && fits(self.shaped, facts.shaped)
            && fits(self.after_gap, facts.after_gap)
            && fits(self.followed, facts.followed)
            && fits(self.may_be_in_flight, facts.may_be_in_flight)
    }
}

/// Combinations of facts.
const COMBINATIONS: usize = 4 << 5;

impl Facts {
    const fn number(&self) -> usize {
        (self.check as usize) << 5
            | (self.committed as usize) << 4
            | (self.shaped as usize) << 3
            | (self.after_gap as usize) << 2
            | (self.followed as usize) << 1
            | self.may_be_in_flight as usize
    }
    const fn of(number: usize) -> Self {
        let check = match number >> 5 {
            0 => Check::Current,
            1 => Check::OlderLap,
            2 => Check::OlderBoot,
            _ => Check::Nobody,
        };
        Self {
            check,
            committed: number & 16 != 0,
            shaped: number & 8 != 0,
            after_gap: number & 4 != 0,
            followed: number & 2 != 0,
            may_be_in_flight: number & 1 != 0,
        }
    }
}

/// The table's answer to every combination, worked out by the compiler: a look-up an event. A combination that no row
/// meets does not compile.
static ANSWERS: [Verdict; COMBINATIONS] = {
    let mut answers = [Verdict::Unknown; COMBINATIONS];
    let mut number = 0;
    while number < COMBINATIONS {
        let facts = Facts::of(number);
        let mut row = 0;
        while !TABLE[row].meets(&facts) {
            row += 1;
        }
        answers[number] = TABLE[row].verdict;
        number += 1;
    }
    answers
};

/// Decides by the table.
#[inline]
#[must_use]
pub fn judge(facts: &Facts) -> Verdict {
    ANSWERS[facts.number() % COMBINATIONS]
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    /// Every combination of facts, made without the packing that `judge` uses.
    fn every_combination() -> impl Iterator<Item = Facts> {
        let checks = [Check::Current, Check::OlderLap, Check::OlderBoot, Check::Nobody];
        checks.into_iter().flat_map(|check| {
            (0..32).map(move |bits| Facts {
                check,
                committed: bits & 1 != 0,
                shaped: bits & 2 != 0,
                after_gap: bits & 4 != 0,
                followed: bits & 8 != 0,
                may_be_in_flight: bits & 16 != 0,
            })
        })
    }

    #[test]
    fn every_combination_of_facts_meets_exactly_one_row_and_is_judged_by_it() {
        let mut used = std::vec![0; TABLE.len()];
        for facts in every_combination() {
            let rows: std::vec::Vec<_> = (0..TABLE.len()).filter(|i| TABLE[*i].meets(&facts)).collect();
            assert_eq!(rows.len(), 1, "{facts:?} meets {rows:?}");
            assert_eq!(judge(&facts), TABLE[rows[0]].verdict, "{facts:?}");
            used[rows[0]] += 1;
        }
        assert!(used.iter().all(|n| *n > 0), "a row is never met: {used:?}");
        assert_eq!(used.iter().sum::<usize>(), COMBINATIONS);
    }

    #[test]
    fn only_what_verifies_for_this_boot_and_place_is_ever_an_event() {
        for row in TABLE {
            let is_event = matches!(row.verdict, Verdict::Good | Verdict::BeyondCommit | Verdict::AfterGap);
            assert_eq!(is_event, row.check == Check::Current);
        }
    }
}
