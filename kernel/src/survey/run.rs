//! The survey on the machine: all cores fill and check, the boot core keeps the state, tells, and resets.

use super::divide::Divided;
use super::judge::{self, Bit, Finds, LINE, Tally};
use super::pattern::{BLOCK, Class, Seed, fill};
use super::state::{State, Way};
use crate::boot::{Machine, unable};
use crate::device_tree::EnableMethod;
use crate::ending::{self, Status, power_off};
use crate::memblock::Range;
use crate::region_memory::{RegionMemory, words};
use crate::reserve::NodeToAdd;
use crate::take_over::Taken;
use crate::{life, report, say};
use arch::cache;
use arch::mmu::uncached::{WINDOW, map_uncached};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use ring::records::BankState;
use spin::{Mutex, Once};

/// Bits that are told one by one after each reset; all are counted.
const BITS_MAX: usize = 512;
/// Bytes of a page with a copy of the state.
const COPY_SIZE: usize = 4096;

/// What all cores do with each block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Fill,
    Check,
}

/// The work that is shared, and what it found.
struct Work {
    /// None: rest.
    job: Option<(Act, u32)>,
    next: u64,
    finished: u64,
    tally: Tally,
    bits: heapless::Vec<Bit, BITS_MAX>,
    state: Option<State>,
}

static WORK: Mutex<Work> = Mutex::new(Work {
    job: None,
    next: 0,
    finished: 0,
    tally: Tally {
        checks: 0,
        kept_of: 0,
        damaged: 0,
        dirty_of: 0,
        dirty_lost: 0,
        stale: 0,
        oldest: 0,
        moved: 0,
        set: 0,
        cleared: 0,
        bits: 0,
    },
    bits: heapless::Vec::new(),
    state: None,
});
/// The memory and the seed; set once there is something to help with.
static FIELD: Once<(Divided, Seed)> = Once::new();
/// There is a job: asked before the lock is taken.
static BUSY: AtomicBool = AtomicBool::new(false);
/// A word of the image's file: a boot loader that writes the image again puts this back.
static IMAGE_MARK: AtomicU64 = AtomicU64::new(0x6166_7465_7267_6c6f);

/// What firmware may write, as marks tell: the image, the device tree, the word of the boot core in a spin table, and the first
/// free bytes, where QEMU's virt has its boot stub.
const PLACED: [&str; 4] = ["image", "device tree", "spin table", "start of free memory"];

/// What one core finds in one block.
struct Here<'a> {
    field: &'a Divided,
    bits: heapless::Vec<Bit, 64>,
    runs: heapless::Vec<(u64, u64), 16>,
}

impl Finds for Here<'_> {
    fn bit(&mut self, bit: Bit) {
        // More in one block are counted, not told.
        let _ = self.bits.push(bit);
    }

    fn damaged(&mut self, line: u64) {
        let full = self.runs.is_full();
        if let Some(last) = self.runs.last_mut().filter(|last| full || last.1 == line) {
            last.1 = line + LINE;
        } else {
            // There is room, as was just seen.
            let _ = self.runs.push((line, line + LINE));
        }
    }

    fn exists(&self, address: u64) -> bool {
        self.field.is_filled(address)
    }
}

/// Does what there is to do, block by block, on any core; returns when all is given out.
pub fn help() {
    loop {
        if !(BUSY.load(Ordering::Acquire) && one_block()) {
            return;
        }
    }
}

fn one_block() -> bool {
    let Some((field, seed)) = FIELD.get() else { return false };
    let given = arch::irq::without_irqs(|| {
        let mut work = WORK.lock();
        let (act, generation) = work.job?;
        let block = field.block(work.next)?;
        work.next += 1;
        Some((act, generation, block))
    });
    let Some((act, generation, block)) = given else { return false };
    let mut here = Here { field, bits: heapless::Vec::new(), runs: heapless::Vec::new() };
    let mut tally = Tally::default();
    // SAFETY: free memory of this boot, mapped, and the block was given to this core alone.
    let memory = unsafe { words(block as usize, BLOCK as usize) };
    match act {
        Act::Fill => write(*seed, block, generation, memory),
        Act::Check => judge::block(*seed, block, generation, memory, &mut tally, &mut here),
    }
    arch::irq::without_irqs(|| {
        let mut work = WORK.lock();
        work.tally.add(&tally);
        // More of them are counted, not told.
        here.bits.iter().for_each(|bit| _ = work.bits.push(*bit));
        if let Some(state) = &mut work.state {
            here.runs.iter().for_each(|(first, end)| state.hurt(*first, *end));
        }
        work.finished += 1;
    });
    true
}

/// Fills a block in the way of its class.
fn write(seed: Seed, block: u64, generation: u32, memory: &mut [u64]) {
    let first = seed.word(block, generation);
    let range = block as usize..(block + BLOCK) as usize;
    match seed.class(block, generation) {
        Class::Dirty => fill(memory, first),
        Class::Cleaned => {
            fill(memory, first);
            cache::clean_range(range);
        }
        Class::Uncached => {
            // No dirty line may be left that would be written back over it.
            cache::clean_and_invalidate_to_poc(range);
            // SAFETY: the same block through the window, which is mapped where all free memory is (`unless_off` ends the
            // survey otherwise); nobody reads it by its own address before the reset.
            fill(unsafe { words(block as usize + WINDOW, BLOCK as usize) }, first);
            cache::complete();
        }
    }
}

/// Has all cores do something with every block.
fn all(act: Act, generation: u32) {
    let Some((field, _)) = FIELD.get() else { return };
    {
        let mut work = WORK.lock();
        (work.job, work.next, work.finished) = (Some((act, generation)), 0, 0);
    }
    BUSY.store(true, Ordering::Release);
    while one_block() {}
    while arch::irq::without_irqs(|| WORK.lock().finished) < field.blocks() {
        arch::cores::relax();
    }
    BUSY.store(false, Ordering::Release);
    arch::irq::without_irqs(|| WORK.lock().job = None);
}

/// The survey, if it is asked for: never comes back then.
pub fn unless_off(machine: &Machine, taken: &Taken) {
    if machine.options.survey > 0 {
        survey(machine, taken)
    }
}

fn survey(machine: &Machine, taken: &Taken) -> ! {
    let (base, size) = machine.region.place();
    let Some(avoid) = Range::inclusive(base.saturating_sub(4096), base + size + 4095) else {
        unable(&"survey: no region")
    };
    let divided = Divided::new(machine.free.iter().copied(), avoid);
    for range in &machine.free {
        let range = range.base() as usize..range.last() as usize + 1;
        if let Err(error) = map_uncached(range.clone()) {
            unable(&format_args!("survey: {:#x} cannot be mapped past the cache: {error}", range.start));
        }
    }
    let pages = [0, taken.geometry.header_b()];
    // SAFETY: nobody writes these lines of the headers but the survey, on this core.
    let region = unsafe { machine.region.bytes(0, size) };
    let at_home = pages.iter().find_map(|page| State::load(region, *page));
    let before = at_home.clone().or_else(|| {
        // SAFETY: free memory of this boot; nobody writes there now.
        divided.copies.iter().find_map(|copy| State::load(unsafe { copy_at(*copy).bytes(0, COPY_SIZE as u64) }, 0))
    });
    let before = before.filter(|state| !state.done);
    refuse_to_lose(taken, before.as_ref());
    let mut state = match before {
        Some(mut state) => {
            state.rounds = machine.options.survey;
            state.region_lost += u64::from(at_home.is_none());
            state
        }
        None => {
            let seed = arch::timer::now() ^ machine.options.seed;
            say!("survey: begins anew, nothing is known of an earlier one");
            State::new(Seed(seed), machine.options.survey, taken.boots_before + 1)
        }
    };
    acknowledge(taken);
    let marks = marks(machine, divided.copies.first().copied());
    FIELD.call_once(|| (divided, state.seed));
    if state.generation == 0 {
        begin(&state);
    } else {
        state = check(state, &marks, at_home.is_some());
    }
    go_on(machine, taken, state, &marks)
}

/// A crash that is not the survey's own stays where it is.
fn refuse_to_lose(taken: &Taken, state: Option<&State>) {
    let expected = |boot: u64, bank: BankState| {
        state.is_some_and(|state| {
            let panic = boot == taken.boots_before && Way::ALL[state.way as usize] == Way::Panic;
            boot >= state.first_boot && (bank != BankState::Panicked || panic)
        })
    };
    if let Some((_, record)) = taken.crashes.iter().find(|(_, record)| !expected(record.boot, record.state)) {
        unable(&format_args!(
            "survey: boot {} crashed, and nobody has seen it: boot once without survey=, which tells and acknowledges it",
            record.boot
        ));
    }
}

/// The survey's own resets are no crashes.
fn acknowledge(taken: &Taken) {
    life::change_header(|header| {
        for (bank, _) in &taken.crashes {
            header.banks[*bank as usize].state = BankState::Acknowledged;
        }
        header.crashes_in_a_row = 0;
    });
}

/// What is filled, for whoever wants to compare.
fn begin(state: &State) {
    let Some((field, seed)) = FIELD.get() else { return };
    report!("survey: {} rounds, seed {:#x}, {} blocks of {BLOCK:#x} bytes", state.rounds, seed.0, field.blocks());
    for range in &field.filled {
        report!("survey: fills {:#x}-{:#x}", range.base(), range.last());
    }
    all(Act::Fill, 0);
}

/// Looks at what the reset has left, and tells it.
fn check(mut state: State, marks: &[Option<u64>; 4], at_home: bool) -> State {
    for (n, mark) in marks.iter().enumerate() {
        let Some(address) = mark else { continue };
        state.placed[n] += u64::from(read_mark(n, *address) != state.seed.word(*address, state.generation));
    }
    let (way, generation) = (Way::ALL[state.way as usize], state.generation);
    arch::irq::without_irqs(|| WORK.lock().state = Some(state.clone()));
    all(Act::Check, generation);
    let (tally, mut bits) = {
        let mut work = WORK.lock();
        state = work.state.take().unwrap_or(state);
        (Tally { checks: 1, ..work.tally }, core::mem::take(&mut work.bits))
    };
    bits.sort_unstable_by_key(|bit| (bit.address, bit.bit));
    report!(
        "survey: reset {generation} by {}{}: {Line}",
        way.name(),
        if at_home { "" } else { ", the region itself was lost" },
        Line = Told(&tally)
    );
    for Bit { address, bit, set } in &bits {
        report!("survey: bit {bit} of {address:#x} became {}", u32::from(*set));
    }
    state.tallies[state.way as usize].add(&tally);
    state
}

/// Counters as they are told.
struct Told<'a>(&'a Tally);

impl core::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Tally { kept_of, damaged, dirty_of, dirty_lost, stale, oldest, moved, set, cleared, bits, .. } = self.0;
        write!(
            f,
            "damaged={damaged}/{kept_of} dirty_lost={dirty_lost}/{dirty_of} stale={stale} oldest={oldest} moved={moved} set={set} \
             cleared={cleared} bits={bits:#x}"
        )
    }
}

/// The next fill and the next reset; or the report.
fn go_on(machine: &Machine, taken: &Taken, mut state: State, marks: &[Option<u64>; 4]) -> ! {
    let next = state.next_way(&|way| match way {
        Way::Board(way) => ending::offers(way),
        Way::Panic => true,
    });
    let Some(way) = next else {
        save(machine, taken, &state);
        finish(machine, &state, marks)
    };
    state.generation += 1;
    all(Act::Fill, state.generation);
    save(machine, taken, &state);
    report!("survey: round {} of {}, reset {} by {}", state.round + 1, state.rounds, state.generation, way.name());
    for (n, mark) in marks.iter().enumerate() {
        if let Some(address) = mark {
            write_mark(n, *address, state.seed.word(*address, state.generation));
        }
    }
    match way {
        Way::Panic => panic!("survey: reset by a panic"),
        Way::Board(way) => ending::reset_by(way),
    }
    unable(&format_args!("survey: no reset by {}", way.name()));
}

/// Writes the state, in the region and beside it.
fn save(machine: &Machine, taken: &Taken, state: &State) {
    for page in [0, taken.geometry.header_b()] {
        state.store(&machine.region, page);
    }
    let Some((field, _)) = FIELD.get() else { return };
    for copy in &field.copies {
        state.store(&copy_at(*copy), 0);
    }
}

/// The page of a copy.
fn copy_at(address: u64) -> RegionMemory {
    // SAFETY: the first page of a block of free memory, which is mapped, and which the survey keeps for this alone.
    unsafe { RegionMemory::new(address as usize, COPY_SIZE) }
}

/// Where the marks are; None: there is no such thing on this machine, or no place for a mark in it.
fn marks(machine: &Machine, first_free: Option<u64>) -> [Option<u64>; 4] {
    let image = core::ptr::from_ref(&IMAGE_MARK).addr() as u64;
    let tree = machine.tree.bytes();
    let field = |at: usize| {
        tree.get(at..)
            .and_then(|rest| rest.first_chunk())
            .map_or(usize::MAX, |bytes| u32::from_be_bytes(*bytes) as usize)
    };
    // Offset and size of the structure and of the strings; behind both, what the boot loader left free for more.
    let used = field(8).saturating_add(field(36)).max(field(12).saturating_add(field(32)));
    let last = ((tree.as_ptr().addr() + tree.len()) & !7).saturating_sub(8);
    let slack = last >= tree.as_ptr().addr().saturating_add(used) + 8;
    let boot_core = arch::core_local::this().mpidr();
    let spin = machine.tree.cpus().filter_map(Result::ok).find_map(|cpu| match cpu.enable {
        EnableMethod::SpinTable { release } if arch::cores::affinity(cpu.mpidr) == arch::cores::affinity(boot_core) => {
            Some(release)
        }
        _ => None,
    });
    // Nobody waits at the boot core's own word, so that a mark which stays there starts nothing.
    let past_the_cache = |address: u64| {
        let page = address as usize & !4095;
        // Part of it may be mapped already, in a block of free memory.
        map_uncached(page..page + 4096).ok().map(|()| address)
    };
    [
        Some(image),
        slack.then_some(last as u64).and_then(past_the_cache),
        spin.filter(|at| at % 8 == 0).and_then(past_the_cache),
        // The lines of the state's copy stand further up in this block, which nothing else uses.
        first_free,
    ]
}

fn read_mark(number: usize, address: u64) -> u64 {
    if number == 0 {
        return IMAGE_MARK.load(Ordering::Relaxed);
    }
    // SAFETY: `marks` has mapped it; it is a whole word.
    unsafe { words(address as usize + WINDOW, 8)[0] }
}

fn write_mark(number: usize, address: u64, word: u64) {
    if number == 0 {
        IMAGE_MARK.store(word, Ordering::Relaxed);
        let at = address as usize;
        cache::clean_range(at..at + 8);
        return;
    }
    // SAFETY: `marks` has mapped it; nothing that is read from now on stands there.
    unsafe { words(address as usize + WINDOW, 8)[0] = word };
    cache::complete();
}

/// Tells everything, and ends.
fn finish(machine: &Machine, state: &State, marks: &[Option<u64>; 4]) -> ! {
    report!(
        "\nsurvey: report, {} rounds, {} resets, the region itself was lost {} times",
        state.rounds,
        state.generation,
        state.region_lost
    );
    let mut flipped = 0;
    for (way, tally) in Way::ALL.iter().zip(&state.tallies) {
        if tally.checks == 0 {
            report!("survey: {}: not offered", way.name());
            continue;
        }
        flipped += tally.set + tally.cleared;
        report!("survey: {}: resets={} {}", way.name(), tally.checks, Told(tally));
    }
    for ((name, mark), times) in PLACED.iter().zip(marks).zip(state.placed) {
        if let Some(address) = mark {
            report!(
                "survey: {name} at {address:#x}: written again by firmware after {times} of {} resets",
                state.generation
            );
        }
    }
    map(state);
    let place = recommend(machine, state);
    life::end_cleanly();
    power_off(if flipped == 0 && place { Status::Survived } else { Status::Lost })
}

/// Memory by ranges.
fn map(state: &State) {
    let Some((field, _)) = FIELD.get() else { return };
    for hurt in &state.hurt {
        let Some(range) = Range::inclusive(hurt.first, hurt.end - 1) else { continue };
        report!("survey: damaged {range}, by ways {:#06b}", hurt.ways);
    }
    for range in &field.filled {
        let hurt = state.hurt.iter().any(|hurt| hurt.first <= range.last() && range.base() < hurt.end);
        report!("survey: memory {range}: {}", if hurt { "damaged in part" } else { "kept" });
    }
}

/// The place that a region should have: whether there is one.
fn recommend(machine: &Machine, state: &State) -> bool {
    let Some((field, _)) = FIELD.get() else { return false };
    let mut holes = crate::memblock::RangeSet::<64>::new();
    // Fewer than there is room for.
    state
        .hurt
        .iter()
        .filter_map(|hurt| Range::inclusive(hurt.first, hurt.end - 1))
        .for_each(|hole| _ = holes.add(hole, false));
    // Blocks with copies lie between the parts: memory like the rest.
    let whole = field.filled.iter().filter_map(|part| Range::inclusive(part.base() - BLOCK, part.last()));
    let mut joined = crate::memblock::RangeSet::<{ super::divide::PARTS_MAX }>::new();
    whole.for_each(|part| _ = joined.add(part, false));
    let clean = crate::memblock::without(joined.entries().iter().map(|entry| entry.range), holes.entries());
    let node = NodeToAdd::suggest(clean, machine.tree.reserved_memory_cells());
    match node.place() {
        Some(place) => report!("survey: recommended for the region: {place}, kept by all ways in all rounds\n{node}"),
        None => report!("survey: no 8 MiB were kept by all ways in all rounds"),
    }
    node.place().is_some()
}
