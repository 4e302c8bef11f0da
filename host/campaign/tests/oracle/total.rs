//! The oracle judges any bytes, and is fast.

use crate::world::{BANKS, CORES, SIZE, World, judged, reset, tell};
use cachesim::report::{Counts, Lost, Reset};
use campaign::judge::{Crash, Violation, judge};
use proptest::prelude::*;
use ring::policy::CleanAt;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

static CRASHED: LazyLock<Reset> = LazyLock::new(|| {
    let world = World::boot(CleanAt::SubBuffer);
    (0..CORES).for_each(|core| world.record(core, 0..400));
    world.reset(world.ram.dirty().into_iter().filter(|line| line % 2 == 0))
});

fn clean() -> impl Strategy<Value = CleanAt> {
    prop_oneof![Just(CleanAt::Panic), Just(CleanAt::SubBuffer), Just(CleanAt::Event)]
}

/// A few bytes of a region, and what they become; many at the places that decide.
fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    let size = SIZE as usize;
    let at = prop_oneof![0..size, 0..320usize, size - 4096..size - 4096 + 320];
    prop::collection::vec((at, any::<u8>()), 0..12)
}

fn changed(region: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut region = region.to_vec();
    changes.iter().for_each(|(at, byte)| region[*at] = *byte);
    region
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_judged(
        before in prop::collection::vec(any::<u8>(), 0..70_000),
        after in prop::collection::vec(any::<u8>(), 0..70_000),
        same in any::<bool>(),
        lost in prop::collection::vec(any::<u64>(), 0..5),
        told in ".{0,200}",
        clean in clean(),
    ) {
        let after = if same { before.clone() } else { after };
        let lost = lost.into_iter().map(|at| Lost { at, stored: None, unfinished: true }).collect();
        let reset = Reset { before, after, lost, ..Reset::default() };
        black_box(judge(&Crash { reset: &reset, clean, told: &told }));
    }

    #[test]
    fn a_region_that_is_nearly_right_is_judged(
        in_before in changes(),
        in_after in changes(),
        counts in (0..2u64, 0..2u64, any::<bool>()),
        clean in clean(),
    ) {
        let counts = Counts { flipped: counts.0, pages: counts.1, power: counts.2, ..Counts::default() };
        let (before, after) = (changed(&CRASHED.before, &in_before), changed(&CRASHED.after, &in_after));
        let reset = Reset { counts, ..reset(before, after) };
        for violation in judged(&reset, clean).violations {
            black_box(violation.to_string());
        }
    }

    /// Whatever damage does to memory: what is left is told as it is, and nothing is invented.
    #[test]
    fn damage_invents_nothing(flips in prop::collection::vec((0..SIZE as usize, 0..8u32), 1..200)) {
        let mut after = CRASHED.after.clone();
        flips.iter().for_each(|(at, bit)| after[*at] ^= 1 << bit);
        let mut reset = reset(CRASHED.before.clone(), after);
        reset.counts.flipped = flips.len() as u64;
        prop_assert_eq!(judged(&reset, CleanAt::SubBuffer).violations, []);
    }
}

#[test]
fn every_single_byte_of_the_header_may_be_anything() {
    for at in (0..64 * (2 + BANKS as usize)).flat_map(|at| [at, SIZE as usize - 4096 + at]) {
        let before = changed(&CRASHED.before, &[(at, !CRASHED.before[at])]);
        black_box(judged(&reset(before, CRASHED.after.clone()), CleanAt::Event));
    }
}

#[test]
fn images_of_two_sizes_are_no_crash() {
    let reset = Reset { before: vec![0; 9], after: vec![0; 8], ..Reset::default() };
    let violations = judge(&Crash { reset: &reset, clean: CleanAt::Panic, told: "" }).violations;
    assert!(matches!(violations.as_slice(), [Violation::Other(_)]));
}

/// `cargo host-test --release -p campaign --test oracle -- --ignored --nocapture` shows how long a verdict takes.
#[test]
#[ignore = "shows a time, asserts nothing"]
fn how_long_a_verdict_takes() {
    const ROUNDS: u32 = 500;
    let told = tell(&CRASHED.after);
    for (what, reset) in [
        ("half of the dirty lines lost", CRASHED.clone()),
        ("nothing lost", reset(CRASHED.before.clone(), CRASHED.before.clone())),
    ] {
        let begin = Instant::now();
        for _ in 0..ROUNDS {
            black_box(judge(&Crash { reset: black_box(&reset), clean: CleanAt::SubBuffer, told: &told }));
        }
        println!("{what}: {:?} for {} KiB", begin.elapsed() / ROUNDS, SIZE >> 10);
    }
}
