use super::*;
use crate::report::{Access, Operation};

const SIZE: u64 = 64 << 10;

fn options() -> Options {
    Options { ram: "/r".into(), range: (0, SIZE), follow: true, ..Options::default() }
}

/// A machine: what the cores see, and the cache.
struct Machine {
    seen: Vec<u8>,
    cache: Cache,
}

impl Machine {
    fn new(options: &Options) -> Self {
        let seen = vec![0; SIZE as usize];
        Self { cache: Cache::new(options, |at, to| seen.read(at, to)), seen }
    }
    fn store(&mut self, core: u32, at: u64, byte: u8) {
        self.seen[at as usize] = byte;
        self.cache.store(core, 0x1000 + at, at, 1);
    }
    fn clean(&mut self, core: u32, at: u64) {
        self.cache.clean(core, at & !63, &self.seen);
    }
    fn reset(&mut self) -> Reset {
        let reset = self.cache.reset(&mut self.seen);
        assert_eq!(self.seen, self.cache.memory(), "the cores see memory, whatever happened to it");
        reset
    }
}

#[test]
fn what_was_not_cleaned_is_lost_and_names_its_last_store() {
    let mut machine = Machine::new(&options());
    machine.store(0, 130, 1);
    machine.store(2, 131, 2);
    let reset = machine.reset();
    assert_eq!(reset.lost, [Lost { at: 128, stored: Some((0x1000 + 131, 2)), unfinished: false }]);
    assert_eq!((reset.before[130], reset.after[130], machine.seen[130]), (1, 0, 0));
    assert_eq!(reset.counts, Counts { stores: 2, written: 1, lost: 1, ..Counts::default() });
}

#[test]
fn a_clean_takes_effect_at_the_next_dsb_of_the_same_core() {
    let mut machine = Machine::new(&options());
    machine.store(1, 0, 7);
    machine.clean(1, 0);
    machine.cache.complete(0);
    assert_eq!(machine.cache.memory()[0], 0, "another core's DSB");
    assert!(machine.cache.is_cleaning(1) && !machine.cache.is_cleaning(0));
    machine.cache.complete(1);
    assert_eq!(machine.cache.memory()[0], 7);
    machine.store(1, 64, 8);
    machine.clean(1, 64);
    let reset = machine.reset();
    assert_eq!(reset.counts, Counts { stores: 2, written: 2, useful: 1, unfinished: 1, lost: 1, ..Counts::default() });
    assert!(reset.lost[0].unfinished, "the clean was there, the DSB was not");
    assert!(!machine.cache.is_cleaning(1), "cleans do not outlive a reset");
}

#[test]
fn a_clean_brings_what_the_line_held_when_it_was_executed() {
    let mut machine = Machine::new(&options());
    machine.store(0, 0, 1);
    machine.clean(0, 0);
    machine.store(0, 0, 2);
    machine.cache.complete(0);
    let reset = machine.reset();
    assert_eq!((reset.after[0], reset.counts.useful, reset.counts.lost), (1, 1, 1));
    assert!(!reset.lost[0].unfinished);
}

#[test]
fn memory_does_not_go_back_to_what_an_earlier_clean_of_another_core_found() {
    let mut machine = Machine::new(&options());
    machine.store(0, 0, 1);
    machine.clean(0, 0);
    machine.store(1, 0, 2);
    machine.clean(1, 0);
    machine.cache.complete(1);
    machine.cache.complete(0);
    assert_eq!(machine.cache.memory()[0], 2);
    // The other way round, each brings what it found.
    machine.cache.complete(1);
    machine.store(1, 64, 1);
    machine.clean(1, 64);
    machine.cache.order(0);
    machine.store(0, 64, 2);
    machine.clean(0, 64);
    machine.cache.complete(1);
    assert_eq!(machine.cache.memory()[64], 1);
    machine.cache.complete(0);
    assert_eq!(machine.cache.memory()[64], 2);
}

#[test]
fn a_clean_of_what_memory_holds_is_redundant() {
    let mut machine = Machine::new(&options());
    machine.clean(0, 0);
    machine.cache.complete(0);
    assert_eq!(machine.reset().counts, Counts { redundant: 1, ..Counts::default() });
}

#[test]
fn a_clean_of_another_cores_line_needs_a_barrier_before() {
    let run = |order: bool| {
        let mut machine = Machine::new(&options());
        machine.store(1, 0, 7);
        if order {
            machine.cache.order(0);
        }
        machine.clean(0, 0);
        machine.cache.complete(0);
        machine.reset().counts
    };
    assert_eq!(run(true), Counts { stores: 1, written: 1, useful: 1, ..Counts::default() });
    assert_eq!(run(false), Counts { stores: 1, written: 1, unordered: 1, lost: 1, ..Counts::default() });
}

#[test]
fn what_is_evicted_follows_from_the_seed() {
    let run = |seed, evict| {
        let mut machine = Machine::new(&Options { seed, evict, ..options() });
        let mut all = vec![];
        for _ in 0..3 {
            for line in 0..SIZE / 64 {
                machine.store(0, line * 64, machine.seen[line as usize * 64] ^ 1);
            }
            let reset = machine.reset();
            all.push((reset.counts.evicted, reset.after));
        }
        all
    };
    assert_eq!(run(1, 50), run(1, 50));
    assert_ne!(run(1, 50), run(2, 50));
    let halves = run(1, 50);
    assert!(halves.iter().all(|(evicted, _)| (400..624).contains(evicted)), "of 1024 lines about half");
    assert_ne!(halves[0].1, halves[2].1, "each reset has its own chance");
    let evicted = |evict| run(1, evict).iter().map(|(evicted, _)| *evicted).collect::<Vec<_>>();
    assert_eq!(evicted(0), [0; 3]);
    assert_eq!(evicted(100), [1024; 3]);
}

#[test]
fn a_line_may_get_to_memory_in_the_middle_of_things() {
    let run = |spill| {
        let mut machine = Machine::new(&Options { spill, ..options() });
        for at in 0..1000 {
            machine.store(0, at, 7);
            if machine.cache.is_spilled() {
                let line = (at & !63) as usize;
                machine.cache.evict(at & !63, &machine.seen[line..line + 64]);
            }
        }
        machine.reset()
    };
    let reset = run(20);
    assert!((5..50).contains(&reset.counts.spilled), "of 1000 about 20: {}", reset.counts.spilled);
    let torn = |line: &[u8]| line.contains(&7) && line.contains(&0);
    assert!(reset.after[..960].chunks(64).any(torn), "half of a line is there");
    assert_eq!(run(1000).lost, [], "all are");
    assert_eq!(run(0).counts.spilled, 0);
}

#[test]
fn behind_a_point_nothing_has_happened() {
    let mut machine = Machine::new(&options());
    machine.store(0, 0, 1);
    machine.clean(0, 0);
    let operation = Operation { ordinal: 2, access: Access::Clean, core: 0, pc: 0, address: 0 };
    machine.cache.freeze(machine.seen.clone(), Cause::Point(operation));
    machine.cache.complete(0);
    machine.store(0, 64, 9);
    machine.clean(0, 64);
    machine.cache.complete(0);
    let reset = machine.reset();
    assert_eq!(reset.cause, Cause::Point(operation));
    assert_eq!((reset.before[0], reset.before[64], reset.after[0]), (1, 0, 0));
    assert_eq!(reset.lost.len(), 1);
    assert_eq!(machine.reset().cause, Cause::Guest, "the next boot is not frozen");
}

#[test]
fn dram_is_damaged_as_much_as_was_asked_for() {
    let mut machine = Machine::new(&Options { flips: 10_000_000, ..options() });
    let flipped: Vec<u64> = (0..4).map(|_| machine.reset().counts.flipped).collect();
    // 524,288 bits, a hundredth of them.
    assert!(flipped.iter().all(|flipped| [5242, 5243].contains(flipped)), "{flipped:?}");
    let mut rare = Machine::new(&Options { flips: 1000, ..options() });
    let total: u64 = (0..1000).map(|_| rare.reset().counts.flipped).sum();
    assert!((400..650).contains(&total), "about half a bit at each of 1000 resets: {total}");
    let mut pages = Machine::new(&Options { pages: 500, ..options() });
    let reset = pages.reset();
    assert!((2..15).contains(&reset.counts.pages), "of 16 about half");
    let changed = reset.after.chunks(PAGE).filter(|page| page.iter().any(|byte| *byte != 0)).count() as u64;
    assert_eq!(changed, reset.counts.pages);
    let mut power = Machine::new(&Options { power: 2, ..options() });
    assert!(!power.reset().counts.power);
    let reset = power.reset();
    assert!(reset.counts.power && reset.after.iter().filter(|byte| **byte == 0).count() < 1000, "noise");
}
