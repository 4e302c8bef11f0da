//! Spots against one counter for each line and kind.

use super::super::judge::{Kind, LINE};
use super::super::spots::{SPOTS_MAX, Spot, Spots};
use super::super::ways::Way;
use proptest::prelude::*;
use std::vec::Vec;

/// Lines that a case is about.
const LINES: usize = 96;
/// By way.
type Times = [u16; Way::COUNT];
const NEVER: Times = [0; Way::COUNT];

/// After each reset: the way, and what was wrong with which lines, in any order.
fn resets() -> impl Strategy<Value = Vec<(usize, Vec<(Kind, u64)>)>> {
    let run = (prop::sample::select(&Kind::ALL[..]), 0..LINES as u64, 1..4u64);
    let lines = prop::collection::vec(run, 0..16).prop_map(|runs| {
        let lines = runs.into_iter().flat_map(|(kind, from, count)| (from..from + count).map(move |line| (kind, line)));
        lines.filter(|(_, line)| *line < LINES as u64).collect::<Vec<_>>()
    });
    prop::collection::vec((0..Way::COUNT, lines), 0..6)
}

fn of(lines: &[(Kind, u64)]) -> Spots {
    let mut spots = Spots::new();
    lines.iter().for_each(|(kind, line)| spots.add_line(*kind, line * LINE));
    spots
}

/// Stretches of lines of which the same is known, and something.
fn stretches(lines: &[[Times; LINES]; 3]) -> usize {
    let of = |lines: &[Times; LINES]| lines.chunk_by(|one, next| one == next).filter(|run| run[0] != NEVER).count();
    lines.iter().map(of).sum()
}

proptest! {
    #[test]
    fn spots_tell_each_line_exactly_while_there_is_room_and_never_less(resets in resets()) {
        let mut lines = [[NEVER; LINES]; 3];
        let (mut spots, mut exact) = (Spots::new(), true);
        for (way, here) in resets {
            let mut hit = [[NEVER; LINES]; 3];
            here.iter().for_each(|(kind, line)| hit[*kind as usize][*line as usize][way] = 1);
            for (line, hit) in lines.as_flattened_mut().iter_mut().zip(hit.as_flattened()) {
                line[way] += hit[way];
            }
            // What two cores found comes together as what one found.
            let (one, other) = here.split_at(here.len() / 2);
            let mut found = of(one);
            found.add(&of(other));
            spots.count(&found, way);
            exact &= stretches(&hit) <= SPOTS_MAX && stretches(&lines) <= SPOTS_MAX;
        }
        for kind in Kind::ALL {
            let those: Vec<&Spot> = spots.of(kind).collect();
            prop_assert!(those.windows(2).all(|two| two[0].end <= two[1].first));
            prop_assert!(those.iter().all(|spot| spot.first < spot.end));
            for (number, line) in lines[kind as usize].iter().enumerate() {
                let at = number as u64 * LINE;
                let told = those.iter().find(|spot| spot.first <= at && at < spot.end).map_or(NEVER, |spot| spot.times);
                prop_assert!(line.iter().zip(told).all(|(is, told)| *is <= told), "{:?} {} {:?} {:?}", kind, number, line, told);
                prop_assert!(!exact || told == *line, "{:?} {} {:?} {:?}", kind, number, line, told);
            }
        }
    }

    #[test]
    fn spots_come_back_from_words(resets in resets()) {
        let mut spots = Spots::new();
        for (way, here) in &resets {
            spots.count(&of(here), *way);
        }
        let words: Vec<u64> = spots.all().iter().flat_map(Spot::words).collect();
        prop_assert_eq!(Spots::from_words(&words, spots.all().len()), Some(spots));
    }
}

#[test]
fn many_bits_do_not_blur_what_firmware_writes() {
    let mut lines: Vec<(Kind, u64)> = (0..400).map(|n| (Kind::Bits, n * n * 5)).collect();
    lines.extend([(Kind::Lost, 70), (Kind::Lost, 72)]);
    let spots = of(&lines);
    let lost: Vec<(u64, u64)> = spots.of(Kind::Lost).map(|spot| (spot.first / LINE, spot.end / LINE)).collect();
    assert_eq!((lost, spots.all().len()), ([(70, 71), (72, 73)].into(), SPOTS_MAX));
}

#[test]
fn words_that_are_no_spots_are_refused() {
    assert!(Spots::from_words(&[64, 192, 0, 192, 256, 0], 2).is_some());
    for words in
        [[64, 64, 0, 64, 128, 0], [64, 192, 0, 128, 256, 0], [65, 128, 0, 192, 256, 0], [67, 128, 0, 192, 256, 0]]
    {
        assert_eq!(Spots::from_words(&words, 2), None, "{words:?}");
    }
}
