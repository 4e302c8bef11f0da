//! Faults in what is read: nothing is invented, what was not touched is there, and no bytes make the reader fail.

mod support;

use ring::fake::Seeded;
use support::{Made, Written, noise, read, within};

/// So many; more with AFTERGLOW_FAULTS.
fn seeds(usual: u64) -> u64 {
    std::env::var("AFTERGLOW_FAULTS").map_or(usual, |faults| faults.parse().unwrap())
}

/// Flips in the headers, where another tracer's reader lost everything or believed everything.
#[test]
fn sixteen_flips_in_the_first_8_kib_cost_no_event_that_they_do_not_touch() {
    let seeds = seeds(2000);
    let made = Made::new(128 << 10, 1, 2, 0);
    made.boot(0x7777_7777, 600);
    let region = made.bytes();
    let bank = made.geometry.bank(0) as usize;
    let bank = region[bank..bank + made.geometry.bank_size as usize].to_vec();
    // The region; its bank alone, where sub-buffers stand among the flipped bytes; and both flipped where sub-buffers begin.
    let first = made.geometry.subbuf(0, 0) as usize;
    for (name, image, from) in [("region", &region, 0), ("bank", &bank, 0), ("sub-buffers", &bank, first)] {
        let (whole, _) = read(image.clone());
        assert_eq!(whole.len(), 1200);
        let touched_at = |at: usize| at / 4096;
        for seed in 0..seeds {
            let mut random = Seeded(seed);
            let mut flipped = image.clone();
            let mut pages = std::collections::BTreeSet::new();
            for _ in 0..16 {
                let at = from + random.below(8192) as usize;
                flipped[at] ^= 1 << random.below(8);
                pages.insert(touched_at(at));
            }
            let (found, _) = read(flipped.clone());
            let same = |written: &Written| {
                written.iter().map(|(_, core, bytes)| (*core, bytes.clone())).collect::<std::collections::BTreeSet<_>>()
            };
            let (found, all) = (same(&found), same(&whole));
            assert!(found.is_subset(&all), "{name}, seed {seed}: invented");
            // Each flip costs at most the event that it hits.
            assert!(found.len() + 16 >= all.len(), "{name}, seed {seed}: {} of {}", found.len(), all.len());
            if from == 0 && name == "region" {
                assert_eq!(found.len(), all.len(), "{name}, seed {seed}: no event stands there");
            }
        }
    }
}

#[test]
fn regions_damaged_in_any_way_are_read_to_their_end_and_nothing_is_invented() {
    let made = Made::new(128 << 10, 2, 2, 2);
    made.boot(0x1357_9bdf, 300);
    made.boot(0x2468_ace0, 300);
    let whole = made.bytes();
    let (all, _) = read(whole.clone());
    let same = |written: &Written| {
        written.iter().map(|(_, core, bytes)| (*core, bytes.clone())).collect::<std::collections::BTreeSet<_>>()
    };
    let all = same(&all);
    for seed in 0..seeds(400) {
        let mut random = Seeded(seed);
        let mut image = if random.below(2) == 0 { whole.clone() } else { within(&whole, 8192, 256 << 10) };
        for _ in 0..=random.below(12) {
            let size = [1, 8, 64, 4096, 20_000][random.below(5) as usize];
            let (from, to) = (random.below(image.len() as u64) as usize, random.below(image.len() as u64) as usize);
            let size = size.min(image.len() - from.max(to));
            match random.below(3) {
                0 => image[to..to + size].fill(random.below(256) as u8),
                1 => image[to..to + size].copy_from_slice(&noise(size, seed + 1)),
                _ => image.copy_within(from..from + size, to),
            }
        }
        let keep = if random.below(4) == 0 { random.below(image.len() as u64) as usize } else { image.len() };
        image.truncate(keep);
        let (found, _) = read(image);
        // An event may have moved to another core's name only if that core's seed verifies it: never.
        let invented: Vec<_> = same(&found).difference(&all).cloned().collect();
        assert!(invented.is_empty(), "seed {seed}: {invented:?}");
    }
}
