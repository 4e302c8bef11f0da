//! What is told at the end. All of it comes from the state, so that whoever finds one in memory can tell it too.

use super::judge::{Kind, Tally};
use super::spots::Spot;
use super::state::{MARKED, State};
use super::ways::Way;
use crate::memblock::{Range, RangeSet, without};
use crate::reserve::NodeToAdd;
use core::fmt;

/// Counters as they are told.
pub(super) struct Told<'a>(pub(super) &'a Tally);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { kept_of, damaged, dirty_of, dirty_lost, stale, oldest, moved, set, cleared, bits, .. } = self.0;
        write!(
            f,
            "damaged={damaged}/{kept_of} dirty_lost={dirty_lost}/{dirty_of} stale={stale} oldest={oldest} moved={moved} set={set} \
             cleared={cleared} bits={bits:#x}"
        )
    }
}

/// Tells everything, line by line; whether all is as a region needs it: there is a place, and no bit turned over anywhere.
pub fn tell(state: &State, line: &mut dyn FnMut(fmt::Arguments<'_>)) -> bool {
    line(format_args!(
        "\nsurvey: report, {} rounds, {} resets, the region itself was lost {} times",
        state.rounds, state.resets, state.region_lost
    ));
    let mut flipped = 0;
    for (number, (way, tally)) in Way::ALL.iter().zip(&state.tallies).enumerate() {
        let name = way.name();
        if tally.checks > 0 {
            flipped += tally.set + tally.cleared;
            line(format_args!("survey: {name}: resets={} {}", tally.checks, Told(tally)));
        } else {
            let why = if state.left_out.has(number) { "left out" } else { "not offered" };
            line(format_args!("survey: {name}: {why}"));
        }
    }
    for (name, mark) in MARKED.iter().zip(&state.marks).filter(|(_, mark)| mark.address != 0) {
        line(format_args!(
            "survey: {name} at {:#x}: written again by firmware after {} of {} resets",
            mark.address, mark.times, state.resets
        ));
    }
    let spots = state.spots.all();
    if !spots.is_empty() {
        // So that who listens on a line that loses bytes knows whether it has heard of all.
        line(format_args!("survey: places that were not as they were left: {}", spots.len()));
    }
    for spot in spots {
        if let Some(range) = spot.range() {
            line(format_args!("survey: {} {range}, after {}", spot.kind.word(), After(spot, &state.tallies)));
        }
    }
    for range in &state.free {
        let has = |kinds: &[Kind]| overlaps(state, kinds, *range);
        let what = match (has(&DAMAGE), has(&[Kind::Bits])) {
            (true, _) => "damaged in part",
            (_, true) => "bits turned over",
            _ => "kept",
        };
        line(format_args!("survey: memory {range}: {what}"));
    }
    let (node, spoilt) = place(state);
    let Some(place) = node.place() else {
        line(format_args!("survey: no 8 MiB were kept by all ways in all rounds"));
        return false;
    };
    let but = if spoilt { ", but bits turned over in it" } else { "" };
    line(format_args!("survey: recommended for the region: {place}, kept by all ways in all rounds{but}\n{node}"));
    flipped == 0
}

/// How often something happened, and by the ways after which it did. The sum stands before its parts, so that no digit is lost
/// on a line unnoticed.
struct After<'a>(&'a Spot, &'a [Tally; Way::COUNT]);

impl fmt::Display for After<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times: u64 = self.0.times.iter().map(|times| u64::from(*times)).sum();
        let of: u64 = self.1.iter().map(|tally| tally.checks).sum();
        let mut between = ": ";
        write!(f, "{times} of {of}")?;
        for ((way, times), tally) in Way::ALL.iter().zip(self.0.times).zip(self.1).filter(|((_, times), _)| *times > 0)
        {
            write!(f, "{between}{times}/{} {}", tally.checks, way.name())?;
            between = ", ";
        }
        Ok(())
    }
}

/// Kinds by which a place is no place for a region.
const DAMAGE: [Kind; 2] = [Kind::Lost, Kind::Stale];

fn overlaps(state: &State, kinds: &[Kind], range: Range) -> bool {
    ranges(state, kinds).any(|spot| spot.overlaps(range))
}

fn ranges(state: &State, kinds: &[Kind]) -> impl Iterator<Item = Range> {
    state.spots.all().iter().filter(|spot| kinds.contains(&spot.kind)).filter_map(Spot::range)
}

/// The place that a region should have, and whether bits turned over in it: only where there is none without.
fn place(state: &State) -> (NodeToAdd, bool) {
    let clear_of = |kinds: &[Kind]| {
        // There is room for all spots, each of which makes two entries at most of what was there.
        let mut holes = RangeSet::<128>::new();
        let avoided = state.avoided.iter().copied();
        ranges(state, kinds).chain(avoided).for_each(|hole| _ = holes.add(hole, false));
        NodeToAdd::suggest(without(state.free.iter().copied(), holes.entries()), state.cells)
    };
    let best = clear_of(&Kind::ALL);
    if best.place().is_some() { (best, false) } else { (clear_of(&DAMAGE), true) }
}
