//! The account of one core: where every event that anybody tried to record has gone. The sum holds, or says that it does not.

use crate::check::Crc32c;
use crate::position::END_WORD;
use crate::recover::{CoreRing, Item};
use crate::verdict::Verdict;
use crate::writer::{LEVELS, Refused};

/// attempted = recovered + overwritten + damaged (stale, flipped) + unfinished + dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Events that somebody tried to record.
    pub attempted: u64,
    /// Events that verify.
    pub recovered: u64,
    /// Events whose sub-buffers were used again.
    pub overwritten: u64,
    /// Events in whose place older ones stand.
    pub stale: u64,
    /// Events whose bytes are nobody's: flipped, or unknown.
    pub flipped: u64,
    /// Events that were being written.
    pub unfinished: u64,
    /// Refusals by cause, in the order of [`Refused::ALL`]; of the discarded ones those still there.
    pub refused: [u64; 7],
    /// The numbers are those of the core's last moment. If not, they are what its bytes tell: more may have been attempted
    /// of which nothing is left, and a hole of which nothing tells how many events it was counts as one.
    pub is_final: bool,
    /// Recovered events behind the commit word.
    pub beyond_commit: u64,
    /// Recovered events whose time is uncertain.
    pub uncertain_times: u64,
}

impl Account {
    /// Damaged events in all.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.stale.saturating_add(self.flipped)
    }
    /// Refused and discarded events in all.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.refused.iter().sum()
    }
    /// Whether nothing is missing and nothing is too much.
    #[must_use]
    pub fn sum_holds(&self) -> bool {
        // Numbers of a region are anybody's: they may be too large to be added up in 64 bits.
        let found = [self.recovered, self.overwritten, self.stale, self.flipped, self.unfinished].into_iter();
        u128::from(self.attempted) == found.chain(self.refused).map(u128::from).sum()
    }
}

/// What was found in a run of sub-buffers whose number of events is known from the tags at both ends.
#[derive(Default)]
struct Run {
    events: u64,
    /// Holes in which older events stand.
    stale: u64,
    /// Holes that may be events in flight.
    unfinished: u64,
    /// Such holes up to the end of their sub-buffers: nothing shows that there was an event at all.
    open: u64,
    /// All other holes.
    flipped: u64,
}

impl<C: Crc32c> CoreRing<'_, C> {
    /// Accounts for everything that this core attempted.
    #[must_use]
    pub fn account(&self) -> Account {
        let mut account = Account::default();
        let counters = self.counters();
        if let Some(counters) = counters {
            account.refused = counters.refused.map(u64::from);
            account.is_final = counters.last;
        }
        account.refused[Refused::Discarded as usize] = 0;
        let refused_before_reserving = account.dropped();

        // How many can have been in flight: those that the stopped core counted, or one on each level.
        let mut in_flight = counters.filter(|c| c.last).map_or(LEVELS, |c| u64::from(c.in_flight));
        // The number of events reserved before the run that is being counted; unknown before the first good tag.
        let mut before: Option<u64> = None;
        let mut run = Run::default();
        for sequence in self.sequences() {
            let Some(walk) = self.walk(sequence) else { continue };
            if let Some(tag) = walk.subbuf.tag {
                match before {
                    None => account.overwritten = tag.reserved.saturating_sub(run.seen()),
                    Some(start) => {
                        let open = in_flight.min(run.unfinished + run.open);
                        in_flight -= run.settle(&mut account, tag.reserved.saturating_sub(start), open);
                    }
                }
                if before.is_none() {
                    let (seen, open) = (run.seen(), in_flight.min(run.unfinished));
                    in_flight -= run.settle(&mut account, seen, open);
                }
                before = Some(tag.reserved);
                run = Run::default();
            }
            for item in walk {
                run.add(&item, &mut account);
            }
        }
        // The newest run: its end is known only from the counters of a core that was stopped in order.
        let start = before.unwrap_or(0);
        let expected = match counters {
            Some(c) if c.last => c.reserved.saturating_sub(start),
            _ => run.seen(),
        };
        run.settle(&mut account, expected, in_flight);
        account.attempted = start.saturating_add(expected.max(run.events)).saturating_add(refused_before_reserving);
        account
    }
}

impl Run {
    fn add(&mut self, item: &Item<'_>, account: &mut Account) {
        match item {
            Item::Event(event) => {
                self.events += 1;
                if event.discarded {
                    account.refused[Refused::Discarded as usize] += 1;
                    return;
                }
                account.recovered += 1;
                account.beyond_commit += u64::from(event.verdict == Verdict::BeyondCommit);
                account.uncertain_times += u64::from(!event.time_is_certain);
            }
            Item::Hole(hole) => match hole.verdict {
                Verdict::Unfinished if hole.to == END_WORD => self.open += 1,
                Verdict::Unfinished => self.unfinished += 1,
                Verdict::StaleLap | Verdict::StaleBoot => self.stale += 1,
                _ => self.flipped += 1,
            },
        }
    }

    /// Events found and holes met: what there was at least.
    fn seen(&self) -> u64 {
        self.events + self.stale + self.unfinished + self.flipped
    }

    /// Shares what is missing among its causes: first what was in flight; where all other holes are of one kind, the rest is
    /// of that kind; where there are both, each flipped hole cost one event and the stale lines the others.
    /// Returns how many were in flight.
    fn settle(&self, account: &mut Account, expected: u64, in_flight: u64) -> u64 {
        let missing = expected.saturating_sub(self.events);
        let is_damaged = self.stale + self.flipped > 0;
        let unfinished = missing.min(in_flight).min(if is_damaged { self.unfinished + self.open } else { in_flight });
        let damaged = missing - unfinished;
        let flipped = if self.stale == 0 { damaged } else { damaged.min(self.flipped) };
        account.unfinished += unfinished;
        account.flipped += flipped;
        account.stale += damaged - flipped;
        unfinished
    }
}
