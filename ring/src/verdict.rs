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
    /// The boot's that had this bank before.
    BootBefore,
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
    /// Something before it in this sub-buffer was damaged or unfinished.
    pub after_gap: bool,
    /// An event behind it in this sub-buffer verifies.
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
    /// Bytes that nobody wrote like this.
    Flipped,
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
            Self::Unfinished => "unfinished",
            Self::Free => "free",
        }
    }
}

/// A row of the table. `None`: whichever.
#[derive(Debug)]
pub struct Row {
    check: Check,
    committed: Option<bool>,
    after_gap: Option<bool>,
    followed: Option<bool>,
    may_be_in_flight: Option<bool>,
    /// What it therefore is.
    pub verdict: Verdict,
}

const fn row(
    check: Check,
    committed: Option<bool>,
    after_gap: Option<bool>,
    followed: Option<bool>,
    may_be_in_flight: Option<bool>,
    verdict: Verdict,
) -> Row {
    Row { check, committed, after_gap, followed, may_be_in_flight, verdict }
}

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);
const ANY: Option<bool> = None;

/// The decisions.
#[rustfmt::skip]
pub static TABLE: &[Row] = &[
    // verifies for   committed gap  followed in flight   it is
    row(Check::Current,    YES, NO,  ANY,     ANY, Verdict::Good),
    row(Check::Current,    NO,  NO,  ANY,     ANY, Verdict::BeyondCommit),
    row(Check::Current,    ANY, YES, ANY,     ANY, Verdict::AfterGap),
    row(Check::OlderLap,   YES, ANY, ANY,     ANY, Verdict::StaleLap),
    row(Check::OlderLap,   NO,  ANY, ANY,     YES, Verdict::Unfinished), // claimed, nothing of it written yet
    row(Check::OlderLap,   NO,  ANY, YES,     NO,  Verdict::StaleLap),
    row(Check::OlderLap,   NO,  ANY, NO,      NO,  Verdict::Free),
    row(Check::BootBefore, YES, ANY, ANY,     ANY, Verdict::StaleBoot),
    row(Check::BootBefore, NO,  ANY, ANY,     YES, Verdict::Unfinished),
    row(Check::BootBefore, NO,  ANY, YES,     NO,  Verdict::StaleBoot),
    row(Check::BootBefore, NO,  ANY, NO,      NO,  Verdict::Free),
    row(Check::Nobody,     YES, ANY, ANY,     ANY, Verdict::Flipped),
    row(Check::Nobody,     NO,  ANY, ANY,     YES, Verdict::Unfinished),
    row(Check::Nobody,     NO,  ANY, YES,     NO,  Verdict::Flipped),
    row(Check::Nobody,     NO,  ANY, NO,      NO,  Verdict::Free),
];

impl Row {
    fn meets(&self, facts: &Facts) -> bool {
        let fits = |wanted: Option<bool>, fact: bool| wanted.is_none_or(|wanted| wanted == fact);
        self.check == facts.check
            && fits(self.committed, facts.committed)
            && fits(self.after_gap, facts.after_gap)
            && fits(self.followed, facts.followed)
            && fits(self.may_be_in_flight, facts.may_be_in_flight)
    }
}

/// Decides by the table.
#[must_use]
pub fn judge(facts: &Facts) -> Verdict {
    // The test below shows that a row is always found.
    TABLE.iter().find(|row| row.meets(facts)).map_or(Verdict::Flipped, |row| row.verdict)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn every_combination_of_facts_meets_exactly_one_row() {
        let mut used = std::vec![0; TABLE.len()];
        for check in [Check::Current, Check::OlderLap, Check::BootBefore, Check::Nobody] {
            for bits in 0..16 {
                let facts = Facts {
                    check,
                    committed: bits & 1 != 0,
                    after_gap: bits & 2 != 0,
                    followed: bits & 4 != 0,
                    may_be_in_flight: bits & 8 != 0,
                };
                let rows: std::vec::Vec<_> = (0..TABLE.len()).filter(|i| TABLE[*i].meets(&facts)).collect();
                assert_eq!(rows.len(), 1, "{facts:?} meets {rows:?}");
                used[rows[0]] += 1;
            }
        }
        assert!(used.iter().all(|n| *n > 0), "a row is never met: {used:?}");
    }

    #[test]
    fn only_what_verifies_for_this_boot_and_place_is_ever_an_event() {
        for row in TABLE {
            let is_event = matches!(row.verdict, Verdict::Good | Verdict::BeyondCommit | Verdict::AfterGap);
            assert_eq!(is_event, row.check == Check::Current);
        }
    }
}
