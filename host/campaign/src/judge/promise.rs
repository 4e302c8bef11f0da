//! What had to survive of a core.

use super::subbuf::Event;
use super::truth::Core;
use ring::policy::CleanAt;
use ring::records::StopOutcome;

/// What had to survive of a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Promise {
    /// The panic path came to its end, and the core was closed by it or by itself: all.
    all: bool,
    /// Everything up to the event at this place (sequence number and word), that one included.
    up_to: Option<(u64, u32)>,
    /// Everything in sub-buffers before this one.
    before: u64,
}

impl Promise {
    /// Of the core of a boot whose panic path came to its end, or did not (`whole`).
    pub(super) fn of(core: &Core<'_>, clean: CleanAt, whole: bool) -> Self {
        let mut promise = Self::default();
        match (clean, returned(core)) {
            (CleanAt::Panic, _) | (_, None) => {}
            (CleanAt::SubBuffer, Some((sequence, _))) => promise.before = sequence,
            (CleanAt::Event, Some(place)) => {
                promise.up_to = Some(place);
                promise.before = place.0;
            }
        }
        if whole {
            match given_up_in(core) {
                Some(open) => promise.before = promise.before.max(open.saturating_sub(1)),
                None => promise.all = true,
            }
        }
        promise
    }

    /// Whether an event had to survive.
    pub(super) fn holds_for(&self, event: &Event) -> bool {
        let is_before = |place: (u64, u32)| (event.sequence, event.word) <= place;
        self.all || event.sequence < self.before || self.up_to.is_some_and(is_before)
    }

    /// Whether every line of a sub-buffer had to.
    pub(super) fn holds_for_lines_of(&self, sequence: u64) -> bool {
        self.all || sequence < self.before
    }

    /// Whether every line of the core had to.
    pub(super) fn holds_for_all(&self) -> bool {
        self.all
    }
}

/// The sub-buffer that was open when another core gave this one up. What it did from then on nobody waits for; neither may
/// its last event reach back over more than the end of the sub-buffer before.
fn given_up_in(core: &Core<'_>) -> Option<u64> {
    (core.outcome == Some(StopOutcome::NoAnswer))
        .then(|| core.counters.filter(|counters| counters.last).map_or(0, |counters| counters.sequence))
}

/// The last event whose `record()` has surely returned: the last but one of those that interrupted no other. For the next
/// such event was claimed behind it, and a core does one thing after the other. Not so the events between these two: they
/// may have interrupted the later one before it was claimed.
fn returned(core: &Core<'_>) -> Option<(u64, u32)> {
    let outermost = core.events.iter().rev().filter(|event| event.nesting == 0 && !event.discarded);
    outermost.map(|event| (event.sequence, event.word)).nth(1)
}
