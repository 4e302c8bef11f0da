//! The survey on the machine: all cores fill and check, the boot core keeps the state, tells, and resets.

use super::course::{Found, Ground, Here, Next, Past, Wishes, boot};
use super::divide::{AVOIDED_MAX, Divided, RANGES_MAX, whole_blocks};
use super::pattern::{BLOCK, Class, Fill, Seed, fill};
use super::state::{MARKED, State, newest};
use super::ways::Way;
use crate::boot::{Machine, unable};
use crate::device_tree::{Cells, EnableMethod};
use crate::ending::{self, Status, power_off};
use crate::memblock::Range;
use crate::region_memory::{RegionMemory, words};
use crate::take_over::Taken;
use crate::{life, report};
use arch::cache;
use arch::mmu::uncached::{WINDOW, map_uncached};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use ring::records::BankState;
use spin::{Mutex, Once};

/// Bytes of a page with a copy of the state.
const COPY_SIZE: usize = 4096;

/// What all cores do with each block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Fill(Fill),
    Check,
}

/// The work that is shared, and what it found.
struct Work {
    act: Act,
    generation: u32,
    /// Blocks from the next one to the last are still to be given out.
    next: u64,
    blocks: u64,
    finished: u64,
    found: Found,
}

/// All zeros, so that it has no bytes in the image.
static WORK: Mutex<Work> = Mutex::new(Work {
    act: Act::Fill(Fill::Known),
    generation: 0,
    next: 0,
    blocks: 0,
    finished: 0,
    found: Found::new(),
});
/// The memory and the seed; set once there is something to help with.
static FIELD: Once<(Divided, Seed)> = Once::new();
/// There is a job: asked before the lock is taken.
static BUSY: AtomicBool = AtomicBool::new(false);
/// A word of the image's file: a boot loader that writes the image again puts this back.
static IMAGE_MARK: AtomicU64 = AtomicU64::new(0x6166_7465_7267_6c6f);

/// Does what there is to do, block by block, on any core; returns when all is given out.
pub fn help() {
    loop {
        if !(BUSY.load(Ordering::Acquire) && one_block()) {
            return;
        }
    }
}

fn one_block() -> bool {
    let Some((divided, seed)) = FIELD.get() else { return false };
    let given = arch::irq::without_irqs(|| {
        let mut work = WORK.lock();
        let block = divided.block(work.next).filter(|_| work.next < work.blocks)?;
        work.next += 1;
        Some((work.act, work.generation, block))
    });
    let Some((act, generation, block)) = given else { return false };
    let here = divided.is_free(block).then(|| {
        // SAFETY: free memory of this boot, mapped, and the block was given to this core alone.
        let memory = unsafe { words(block as usize, BLOCK as usize) };
        match act {
            Act::Fill(fill) => {
                write(*seed, block, generation, seed.writes(fill, block, generation), memory);
                None
            }
            Act::Check => Some(Here::look(divided, *seed, block, generation, memory)),
        }
    });
    arch::irq::without_irqs(|| {
        let mut work = WORK.lock();
        if let Some(here) = here.flatten() {
            here.add_to(&mut work.found);
        }
        work.finished += 1;
    });
    true
}

/// Fills a block in the way of its class.
fn write(seed: Seed, block: u64, generation: u32, class: Class, memory: &mut [u64]) {
    let first = seed.word(block, generation);
    let range = block as usize..(block + BLOCK) as usize;
    match class {
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
    let Some((divided, _)) = FIELD.get() else { return };
    {
        let mut work = WORK.lock();
        (work.act, work.generation) = (act, generation);
        (work.next, work.blocks, work.finished) = (0, divided.blocks(), 0);
    }
    BUSY.store(true, Ordering::Release);
    while one_block() {}
    while arch::irq::without_irqs(|| WORK.lock().finished) < divided.blocks() {
        arch::cores::relax();
    }
    BUSY.store(false, Ordering::Release);
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
    let free = whole_blocks(machine.free.iter().copied(), avoid);
    for range in &machine.free {
        let range = range.base() as usize..range.last() as usize + 1;
        if let Err(error) = map_uncached(range.clone()) {
            unable(&format_args!("survey: {:#x} cannot be mapped past the cache: {error}", range.start));
        }
    }
    let mut here = Target { machine, taken, pages: [0, taken.geometry.header_b()], free };
    let (kept, at_home) = here.find();
    let options = &machine.options;
    let seed = if options.seed == 0 { arch::timer::now() } else { options.seed };
    let wishes = Wishes { rounds: options.survey, left_out: options.survey_without, seed };
    let crashes: heapless::Vec<_, { ring::format::BANKS_MAX as usize }> =
        taken.crashes.iter().map(|(_, record)| (record.boot, record.state)).collect();
    let this = taken.boots_before + u64::from(!taken.plan.recorder_off);
    let past = Past { boots: taken.boots_before, this, crashes: &crashes, kept, at_home };
    match boot(&mut here, &wishes, past) {
        Next::Reset(Way::Panic) => panic!("survey: reset by a panic"),
        Next::Reset(Way::Board(way)) => {
            ending::reset_by(way);
            unable(&format_args!("survey: {way} did not reset: survey_without= leaves it out"))
        }
        Next::End(good) => {
            life::end_cleanly();
            power_off(if good { Status::Survived } else { Status::Lost })
        }
        Next::Refused(refusal) => unable(&format_args!("survey: {refusal}")),
    }
}

/// The machine that this runs on.
struct Target<'a> {
    machine: &'a Machine,
    taken: &'a Taken,
    /// Where the region has its copies of the state.
    pages: [u64; 2],
    free: heapless::Vec<Range, RANGES_MAX>,
}

impl Target<'_> {
    /// The newest state there is, and whether the region itself has it.
    fn find(&self) -> (Option<State>, bool) {
        let (_, size) = self.machine.region.place();
        // SAFETY: nobody writes these lines of the headers but the survey, on this core.
        let region = unsafe { self.machine.region.bytes(0, size) };
        let home = self.pages.iter().filter_map(|page| State::load(region, *page));
        let divided = Divided::new(&self.free, &self.free);
        // SAFETY: free memory of this boot; nobody writes there now.
        let copies = divided.copies.iter().map(|copy| unsafe { copy_at(*copy).bytes(0, COPY_SIZE as u64) });
        newest(home, copies.filter_map(|copy| State::load(copy, 0)))
    }
}

impl Ground for Target<'_> {
    fn free(&self) -> heapless::Vec<Range, RANGES_MAX> {
        self.free.clone()
    }

    fn avoided(&self) -> heapless::Vec<Range, AVOIDED_MAX> {
        let quirks = self.machine.board.memory_quirks().iter().map(|quirk| &quirk.range);
        let ranges = quirks.filter_map(|range| Range::new(range.start as u64, range.len() as u64));
        ranges.map(|range| range.align_outwards(BLOCK)).take(AVOIDED_MAX).collect()
    }

    fn cells(&self) -> Cells {
        self.machine.tree.reserved_memory_cells()
    }

    fn offers(&self, way: Way) -> bool {
        match way {
            Way::Board(way) => ending::offers(way),
            Way::Panic => true,
        }
    }

    fn acknowledge(&mut self) {
        life::change_header(|header| {
            for (bank, _) in &self.taken.crashes {
                header.banks[*bank as usize].state = BankState::Acknowledged;
            }
            header.crashes_in_a_row = 0;
        });
    }

    fn divide(&mut self, divided: Divided, seed: Seed) {
        FIELD.call_once(|| (divided, seed));
    }

    fn marks(&self) -> [Option<u64>; MARKED.len()] {
        marks(self.machine, FIELD.get().and_then(|(divided, _)| divided.copies.first().copied()))
    }

    fn read_mark(&self, number: usize, address: u64) -> u64 {
        if number == 0 {
            return IMAGE_MARK.load(Ordering::Relaxed);
        }
        // SAFETY: `marks` has mapped it; it is a whole word.
        unsafe { words(address as usize + WINDOW, 8)[0] }
    }

    fn write_mark(&mut self, number: usize, address: u64, word: u64) {
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

    fn fill(&mut self, generation: u32, fill: Fill) {
        all(Act::Fill(fill), generation);
    }

    fn check(&mut self, generation: u32) -> Found {
        all(Act::Check, generation);
        core::mem::take(&mut WORK.lock().found)
    }

    fn keep(&mut self, state: &State) {
        for page in self.pages {
            state.store(&self.machine.region, page);
        }
        let copies = FIELD.get().into_iter().flat_map(|(divided, _)| &divided.copies);
        copies.for_each(|copy| state.store(&copy_at(*copy), 0));
    }

    fn tell(&mut self, line: core::fmt::Arguments<'_>) {
        report!("{line}");
    }
}

/// The page of a copy.
fn copy_at(address: u64) -> RegionMemory {
    // SAFETY: the first page of a block of free memory, which is mapped, and which the survey keeps for this alone.
    unsafe { RegionMemory::new(address as usize, COPY_SIZE) }
}

/// Where the marks are; None: there is no such thing on this machine, or no place for a mark in it.
fn marks(machine: &Machine, first_free: Option<u64>) -> [Option<u64>; MARKED.len()] {
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
