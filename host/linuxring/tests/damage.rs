//! Any bytes are read: nothing panics, nothing comes from outside of its sub-buffer, and what was not touched is there.

mod support;
use linuxring::{Formats, Linux, Region, Symbols, find};
use std::collections::HashMap;
use std::ops::Range;
use support::corpus;
use trace::{Item, Trace};

/// Small mutations of each region.
const SEEDS: u64 = 10_000;

/// xorshift*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// What is compared of an event.
type Told = (u64, u16, u64);

fn told(event: &trace::Event<'_>) -> Told {
    let fold = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    (event.time_ns, event.id, event.payload.iter().fold(event.pid as u64, fold))
}

/// The events of each sub-buffer, by its place in the image; checks on the way that each lies inside of its own.
fn by_place(image: &[u8]) -> HashMap<u64, Vec<Told>> {
    let mut places: HashMap<u64, Vec<Told>> = HashMap::new();
    let Some(region) = Region::parse(image, 0) else { return places };
    let size = region.subbuf_size() as usize;
    let linux = Linux::new(region, Formats::default(), Symbols::default());
    for core in 0..linux.about().cores.len() as u32 {
        for item in linux.items(core) {
            let Item::Event(event) = item else { continue };
            let place = linux.region().offset(core, event.page).unwrap();
            let page = &image[place as usize..place as usize + size];
            assert!(page.as_ptr_range().contains(&event.payload.as_ptr()) || event.payload.is_empty());
            assert!(event.payload.as_ptr_range().end <= page.as_ptr_range().end);
            assert!((event.at as usize) < size);
            places.entry(place).or_default().push(told(&event));
        }
    }
    places
}

/// Changes a region a little and says where.
fn mutate(image: &mut [u8], other: &[u8], random: &mut Random) -> Vec<Range<usize>> {
    let mut changed = Vec::new();
    let mut set = |image: &mut [u8], at: usize, bytes: &[u8]| {
        let bytes = &bytes[..bytes.len().min(image.len() - at)];
        image[at..at + bytes.len()].copy_from_slice(bytes);
        changed.push(at..at + bytes.len());
    };
    match random.below(5) {
        // Bits turn, anywhere or in the headers.
        kind @ (0 | 1) => {
            for _ in 0..1 + random.below(16) {
                let at = random.below(if kind == 0 { image.len() } else { 12 << 10 });
                let byte = image[at] ^ 1 << random.below(8);
                set(image, at, &[byte]);
            }
        }
        // Lines are stale, or another region's.
        2 => {
            for _ in 0..1 + random.below(4) {
                let (from, at) = (64 * random.below(other.len() / 64), 64 * random.below(image.len() / 64));
                let line: [u8; 64] = other[from..from + 64].try_into().unwrap();
                set(image, at, &line);
            }
        }
        // A piece of any length is something else.
        3 => {
            let at = random.below(image.len());
            let byte = [0, 0xff, 0xa5][random.below(3)];
            let length = 1 + random.below(9000);
            set(image, at, &vec![byte; length]);
        }
        // Words are numbers that are near a border.
        _ => {
            for _ in 0..1 + random.below(4) {
                let end = if random.below(2) == 0 { image.len() / 4 } else { 3 << 10 };
                let at = 4 * random.below(end);
                let word = [0, 1, 3, 29, 31, 4080, 4084, 4096, 0x7fff_ffff, u32::MAX][random.below(10)];
                set(image, at, &u32::to_le_bytes(word));
            }
        }
    }
    changed
}

#[test]
fn small_damage_costs_what_it_hits_and_nothing_is_invented_elsewhere() {
    let corpora = support::NAMES.map(corpus);
    for (n, name) in support::NAMES.iter().enumerate() {
        let sound = &corpora[n].region;
        let other = &corpora[1 - n].region;
        let before = by_place(sound);
        let mut image = sound.clone();
        let mut random = Random(0x1234_5678 + n as u64);
        let (mut untouched, mut back) = (0, 0);
        for seed in 0..SEEDS {
            let changed = mutate(&mut image, other, &mut random);
            let after = by_place(&image);
            let is_touched = |place: u64| {
                let page = place as usize..place as usize + 4096;
                changed.iter().any(|range| range.start < page.end && page.start < range.end)
            };
            for place in after.keys().filter(|place| !is_touched(**place)) {
                assert!(before.contains_key(place), "{name}, {seed}: {place:#x} is no sub-buffer, {changed:?}");
            }
            for (place, events) in &before {
                if is_touched(*place) {
                    continue;
                }
                untouched += events.len();
                match after.get(place) {
                    Some(same) if same == events => back += same.len(),
                    Some(others) => {
                        // A damaged commit pointer may make the newest one look as if it should be full.
                        assert!(others.len() <= events.len(), "{name}, {seed}: {place:#x}, {changed:?}");
                        let times = |told: &[Told]| told.iter().map(|(_, id, sum)| (*id, *sum)).collect::<Vec<_>>();
                        assert!(times(events).starts_with(&times(others)), "{name}, {seed}: {place:#x}, {changed:?}");
                    }
                    None => {}
                }
            }
            changed.into_iter().for_each(|range| image[range.clone()].copy_from_slice(&sound[range]));
        }
        println!("{name}: {back} of {untouched} events of untouched sub-buffers");
        assert!(back * 1000 >= untouched * 995, "{name}: {back} of {untouched}");
    }
}

#[test]
fn flips_in_the_first_pages_cost_next_to_nothing() {
    for (n, name) in support::NAMES.iter().enumerate() {
        let sound = corpus(name).region;
        let before = by_place(&sound);
        let all: usize = before.values().map(Vec::len).sum();
        let mut image = sound.clone();
        let mut random = Random(99 + n as u64);
        for seed in 0..1000 {
            let places: Vec<usize> = (0..16).map(|_| random.below(8192)).collect();
            places.iter().for_each(|at| image[*at] ^= 1 << random.below(8));
            let after = by_place(&image);
            let back: usize =
                before.iter().filter(|(place, events)| after.get(place) == Some(events)).map(|(_, e)| e.len()).sum();
            assert!(back * 100 >= all * 99, "{name}, {seed}: {back} of {all}, {places:?}");
            places.iter().for_each(|at| image[*at] = sound[*at]);
        }
    }
}

#[test]
fn a_cut_region_gives_what_is_there() {
    for name in support::NAMES {
        let sound = corpus(name).region;
        let before = by_place(&sound);
        for length in (0..sound.len()).step_by(1789) {
            let after = by_place(&sound[..length]);
            for (place, events) in &before {
                if *place as usize + 4096 <= length && after.contains_key(place) {
                    assert!(after[place].len() <= events.len());
                }
            }
        }
        let half = by_place(&sound[..sound.len() / 2]);
        assert!(half.len() * 3 > before.len(), "{} of {}", half.len(), before.len());
    }
}

#[test]
fn regions_are_found_anywhere_and_those_of_others_are_left_out() {
    let corpora = support::NAMES.map(corpus);
    let mut image = vec![0; 3 << 20];
    let mut random = Random(7);
    image[2 << 20..].iter_mut().for_each(|byte| *byte = random.next() as u8);
    let places = [0x5000, 0x15_3000];
    for (place, corpus) in places.iter().zip(&corpora) {
        image[*place..*place + corpus.region.len()].copy_from_slice(&corpus.region);
    }
    let found: Vec<_> = find(&image, &[]).collect();
    assert_eq!(found.iter().map(|found| found.place.start as usize).collect::<Vec<_>>(), places);
    assert_eq!(found.iter().map(|found| found.cpus).collect::<Vec<_>>(), [4, 4]);
    for (found, corpus) in found.iter().zip(&corpora) {
        let region = Region::parse(&image, found.place.start).unwrap();
        let events: u64 =
            Linux::new(region, Formats::default(), Symbols::default()).pages(1).map(|p| u64::from(p.data)).sum();
        assert!(events > 0 && found.place.end - found.place.start <= corpus.region.len() as u64);
    }
    let others = 0x15_0000..0x20_0000;
    assert_eq!(
        find(&image, std::slice::from_ref(&others)).map(|found| found.place.start).collect::<Vec<_>>(),
        [0x5000]
    );
    // A region whose magic is gone is found by the rest.
    image[places[0]] ^= 4;
    image[places[1]] ^= 4;
    assert_eq!(find(&image, &[]).count(), 2);
}
