//! From the boot loader's hands to a machine that can record: device tree, console, memory, region, cores.
//!
//! Each step says what it found, and where it cannot go on, what to do about it.

use crate::command_line::{self, Die, Options};
use crate::device_tree::{EnableMethod, Tree, TreeError, size_of, validate};
use crate::ending::{self, Status, power_off};
use crate::events::BootPhase;
use crate::memblock::{Memblock, Range};
use crate::memory_map::{self, Placed};
use crate::region_memory::RegionMemory;
use crate::reserve::{Picture, Region, RegionError, find_region};
use crate::{console, die, hardware, heap, life, lockup, measure, record, report, say, stop, trace, watchdog};
use arch::core_local::{CoreLocal, this};
use arch::cores::{self, StartMethod};
use arch::entry::BootInfo;
use arch::nmi::Ticking;
use arch::psci::Psci;
use boards::{Board, ConsoleInfo, DeviceTree, Found, GicInfo};
use core::fmt::Display;
use ring::escape::Escaped;
use spin::Once;

/// Size of the heap, in bytes. Recovery needs none; the dump needs room for a schema.
const HEAP_SIZE: u64 = 256 << 10;

/// Longest that a started core may take to say that it runs, in milliseconds.
const CORE_START_MAX_MS: u64 = 2000;

/// What the boot found.
pub struct Machine {
    /// The board.
    pub board: &'static dyn Board,
    /// The hardware in the device tree.
    pub found: Found,
    /// The command line.
    pub options: Options,
    /// The device tree.
    pub tree: Tree<'static>,
    /// The firmware's services.
    pub psci: Option<Psci>,
    /// The persistent region, mapped.
    pub region: RegionMemory,
    /// Memory that nobody has.
    pub free: heapless::Vec<Range, { crate::survey::divide::RANGES_MAX }>,
}

/// Ends a boot that cannot go on.
pub fn unable(why: &dyn Display) -> ! {
    report!("\nafterglow cannot go on: {why}");
    // A boot that says so has not crashed.
    life::end_cleanly();
    power_off(Status::Unable)
}

/// Ends a boot that has no console either: whoever runs an emulator or a debugger is told.
fn unable_without_console(why: &dyn Display) -> ! {
    let mut text = heapless::String::<400>::new();
    // What does not fit is cut.
    let _ = core::fmt::write(&mut text, format_args!("afterglow cannot go on: {why}\n"));
    arch::semihosting::write(&text);
    power_off(Status::Unable)
}

/// Where an emulator or a debugger shows text.
struct Semihosting;

impl core::fmt::Write for Semihosting {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        arch::semihosting::write(text);
        Ok(())
    }
}

/// Everything up to a mapped region and a heap, on the boot core.
pub fn discover(info: &'static BootInfo) -> Machine {
    // Until there is a console, an exception is told to whoever runs an emulator.
    arch::exceptions::set_early_report(|frame, why| {
        // It cannot fail.
        let _ = arch::exceptions::write_fatal(&mut Semihosting, frame, why);
    });
    // Without one there is no console to complain on but a debugger's.
    let tree = device_tree(info).unwrap_or_else(|error| unable_without_console(&error));
    let board = boards::choose(tree.root().strings("compatible"));
    let mut malformed = heapless::Vec::<_, 4>::new();
    let found = hardware::find(&tree, |problem| {
        // Said as soon as there is a console; more than four say nothing new.
        let _ = malformed.push(problem);
    });
    open_console(board, found.console.as_ref(), unable_without_console);
    say!("afterglow {}: a flight recorder that survives its crash", env!("CARGO_PKG_VERSION"));
    for problem in malformed {
        say!("device tree: {problem}");
    }
    if found.stdout_unknown {
        say!("  warning    stdout-path names a console without a driver: this is the first that has one");
    }
    let options = command_line::parse(tree.bootargs(), &mut |warning| say!("{warning}"));
    if options.terse {
        console::set_terse();
    }
    console::init_log(if options.quiet { log::LevelFilter::Warn } else { options.loglevel });
    describe(info, board, &tree, &found);

    let psci = found.psci.map(Psci::new);
    ending::prepare(ending::Means { board, psci, tick: found.timers.map(|ticks| ticks.ordinary) });
    watchdog::take(&found, options.watchdog);
    if info.entry_el == 3 {
        unable(
            &"it was entered at EL3, with no firmware below it: no PSCI, no other cores, no reset. Start it as firmware \
              starts a kernel, at EL2 or EL1 (QEMU: -kernel with the flat Image, without secure=on)",
        );
    }

    die::if_asked(&options, Die::PanicEarly);
    let mut free = heapless::Vec::new();
    let region = memory(board, &found, &tree, &options, &mut free);
    Machine { board, found, options, tree, psci, region, free }
}

/// There is no device tree that can be read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoTree {
    /// None was handed over.
    Missing,
    /// It is damaged.
    Broken(TreeError),
}

impl Display for NoTree {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Missing => f.write_str("no device tree: x0 points at none, and none is at the start of RAM"),
            Self::Broken(error) => write!(f, "the device tree is broken: {error}"),
        }
    }
}

/// The validated device tree.
pub(crate) fn device_tree(info: &'static BootInfo) -> Result<Tree<'static>, NoTree> {
    let bytes = info.dtb.ok_or(NoTree::Missing)?;
    let size = size_of(bytes).unwrap_or(bytes.len()).min(bytes.len());
    validate(&bytes[..size]).map_err(NoTree::Broken)
}

/// Makes the console that the device tree names ready, or ends by `unable`.
pub(crate) fn open_console(board: &'static dyn Board, console: Option<&ConsoleInfo>, unable: fn(&dyn Display) -> !) {
    let why: &dyn Display = match console {
        None => &"the device tree names no console that there is a driver for (PL011, 8250, mini-UART)",
        Some(info) => match arch::mmu::map_device(info.registers.clone()) {
            Err(_) => &"the console's registers cannot be mapped",
            Ok(()) => match board.console(info) {
                Ok(console) => {
                    console::set(console);
                    return;
                }
                Err(_) => &"the console's description in the device tree is unusable",
            },
        },
    };
    unable(why)
}

/// The device tree as a board may look into it.
struct Lookup<'t, 'a>(&'t Tree<'a>);

impl DeviceTree for Lookup<'_, '_> {
    fn u32(&self, node: &str, property: &str) -> Option<u32> {
        self.0.node(node)?.u32(property)
    }
}

/// The first lines of a boot.
fn describe(info: &BootInfo, board: &dyn Board, tree: &Tree<'_>, found: &Found) {
    let model = tree.model().unwrap_or(b"?");
    say!("  board      {} ({})", board.name(), Escaped(model));
    let psci = found.psci.map_or(["no PSCI", ""], |conduit| ["PSCI by ", conduit.name()]);
    say!("  entry      EL{} at {:#x}, {}{}", info.entry_el, info.load_address, psci[0], psci[1]);
    // Names the ELF file whose symbols belong to the addresses below.
    if let Some(build) = arch::image::build_id().first_chunk() {
        say!("  build      {:08x}", u32::from_be_bytes(*build));
    }
    board.tell(&Lookup(tree), &mut |line| say!("{line}"));
    let arguments = tree.bootargs();
    if !arguments.is_empty() {
        say!("  arguments  {}", Escaped(arguments));
    }
}

/// Finds the region and everything around it, and maps it.
fn memory(
    board: &dyn Board,
    found: &Found,
    tree: &Tree<'static>,
    options: &Options,
    free: &mut heapless::Vec<Range, { crate::survey::divide::RANGES_MAX }>,
) -> RegionMemory {
    let mut memblock = Memblock::new();
    let dtb = tree.bytes();
    let (Some(image), Some(device_tree)) = (
        Range::new(arch::image::range().start as u64, arch::image::range().len() as u64),
        Range::new(dtb.as_ptr().addr() as u64, dtb.len() as u64),
    ) else {
        unable(&"the image or the device tree is nowhere");
    };
    let placed = Placed { image, device_tree };
    if let Err(error) =
        memory_map::add_static(&mut memblock, tree, &placed, &mut |ignored| say!("  warning    {ignored}"))
    {
        unable(&error);
    }
    let mut unused = |source: &_| say!("  warning    not used: {source}");
    let region = match find_region(tree, options, &mut memblock, &placed, &mut unused) {
        Ok(region) => region,
        Err(error) => refuse(board, tree, &mut memblock, &placed, &error),
    };
    if let Err(error) = memory_map::place_dynamic(&mut memblock, tree, &mut |ignored| say!("  warning    {ignored}")) {
        unable(&error);
    }
    let memory = map(board, found, &mut memblock, &region);
    // More ranges than that are left alone.
    memblock.free().for_each(|range| _ = free.push(range));
    memory
}

/// Ends a boot whose region cannot be, with a picture of memory where that helps.
fn refuse<'a>(
    board: &dyn Board,
    tree: &Tree<'a>,
    memblock: &mut Memblock,
    placed: &Placed,
    error: &RegionError<'a>,
) -> ! {
    let range = |range: &core::ops::Range<usize>| Range::new(range.start as u64, range.len() as u64);
    let avoid = board.memory_quirks().iter().filter_map(|quirk| range(&quirk.range));
    match Picture::new(tree, memblock, placed, error, avoid) {
        Some(picture) => unable(&format_args!("{error}\n{picture}")),
        None => unable(error),
    }
}

/// Maps registers, the region (first: it decides what lies around it), memory; makes the heap.
fn map(board: &dyn Board, found: &Found, memblock: &mut Memblock, region: &Region<'_>) -> RegionMemory {
    say!("  region     {} KiB at {:#x}, from {}", region.size >> 10, region.base, region.source);
    let (Ok(base), Ok(size)) = (usize::try_from(region.base), usize::try_from(region.size)) else {
        unable(&"the region is beyond what can be addressed")
    };
    for quirk in board.memory_quirks() {
        if quirk.range.start < base + size && base < quirk.range.end {
            say!("  warning    the region overlaps {:#x}..{:#x}: {}", quirk.range.start, quirk.range.end, quirk.why);
        }
    }
    if let Err(error) = arch::mmu::map_region(base..base + size) {
        unable(&format_args!("the region cannot be mapped: {error:?}"));
    }
    for range in found.gic.iter().flat_map(GicInfo::registers) {
        if let Err(error) = arch::mmu::map_device(range.clone()) {
            say!("  warning    the interrupt controller at {:#x} cannot be mapped: {error:?}", range.start);
        }
    }
    let heap = match memblock.allocate(HEAP_SIZE, 4096, None) {
        Ok(heap) => heap,
        Err(error) => unable(&error),
    };
    let mappable = match memblock.mappable() {
        Ok(mappable) => mappable,
        Err(error) => unable(&error),
    };
    for entry in mappable.entries() {
        let range = usize_range(entry.range);
        if let Err(error) = arch::mmu::map_normal(range.clone()) {
            say!("  warning    memory at {:#x} cannot be mapped: {error:?}", range.start);
        }
    }
    // SAFETY: just mapped, and memblock gives it to nobody else.
    unsafe { heap::init(usize_range(heap)) };
    // SAFETY: just mapped, reserved in memblock for the rest of this boot; only writers and recovery use it.
    unsafe { RegionMemory::new(base, size) }
}

/// Interrupts, the means of stop, and the ticks of this core.
pub fn open_interrupts(machine: &Machine) {
    let passed_over = |means, why| log::debug!("stop={means}: {why}");
    match boards::stop::set_up(&machine.found, stop::forced(machine.options.stop), passed_over) {
        Ok(means) => {
            life::set_stop_means(stop::record_means(means.name()));
            say!("  stop by    {} (no IPI), tick every {} us", means.name(), machine.options.tick_us);
        }
        Err(error) => unable(&format_args!("no means of stopping the other cores: {error}")),
    }
    let ticking = *TICKING.call_once(|| lockup::ticking(&machine.options));
    this_core_ready();
    if machine.options.measure {
        measure::interrupts(ticking);
    }
    log::info!("core 0 runs (MPIDR {:#x})", this().mpidr());
}

/// All other cores. Returns how many run.
pub fn start_cores(machine: &Machine) -> usize {
    let registered = cores::register(machine.tree.cpus().filter_map(|cpu| match cpu {
        Ok(cpu) => Some(cpu.mpidr),
        Err(problem) => {
            log::warn!("device tree: {problem}");
            None
        }
    }));
    if registered.left_out > 0 {
        log::warn!(
            "{} cores are left off: this kernel runs on {} at most",
            registered.left_out,
            arch::core_local::MAX_CORES
        );
    }
    for index in 1..registered.used {
        start_core(machine, index);
    }
    registered.used
}

/// How the ticks of every core run.
static TICKING: Once<Ticking> = Once::new();

fn start_core(machine: &Machine, index: usize) {
    let mpidr = cores::mpidr_of(index).unwrap_or_default();
    let cpu = machine.tree.cpus().filter_map(Result::ok).find(|cpu| arch::cores::affinity(cpu.mpidr) == mpidr);
    let method = match (cpu.map(|cpu| cpu.enable), machine.psci) {
        (Some(EnableMethod::Psci), Some(psci)) => StartMethod::Psci(psci),
        (Some(EnableMethod::SpinTable { release }), _) => StartMethod::SpinTable(release as usize),
        (Some(EnableMethod::Psci), None) => {
            return log::error!("core {index}: its enable-method is psci, but there is no PSCI");
        }
        _ => return log::error!("core {index}: the device tree does not say how to start it"),
    };
    if let Err(error) = cores::start(index, method, secondary_main) {
        return log::error!("core {index} (MPIDR {mpidr:#x}) does not start: {error:?}");
    }
    if !cores::wait_online(index, arch::timer::frequency() / 1000 * CORE_START_MAX_MS) {
        return log::error!("core {index} (MPIDR {mpidr:#x}) was started and says nothing");
    }
    log::info!("core {index} runs (MPIDR {mpidr:#x})");
}

/// Ticks begin on this core: the one that looks for the stop word, and the ordinary one.
fn this_core_ready() {
    if let Some(ticking) = TICKING.get() {
        arch::nmi::start_ticks(*ticking);
    }
    arch::irq::enable();
    let core = this();
    // Refusals are counted by the writer.
    let _ = trace::record(&crate::events::CoreStart { core: core.index() as u32, mpidr: core.mpidr() });
}

/// Where every other core begins.
fn secondary_main(core: &'static CoreLocal) -> ! {
    if let Some(means) = arch::nmi::current()
        && let Err(error) = means.prepare_core()
    {
        log::error!("core {}: {error}: it stays out", core.index());
        arch::cores::park();
    }
    this_core_ready();
    record::wait_for_orders()
}

/// A phase of the boot begins: an event.
pub fn phase(number: u32, name: &str) {
    // Before there is a writer this is for nobody; refusals are counted by the writer.
    let _ = trace::record(&BootPhase { number, name: name.as_bytes() });
}

fn usize_range(range: Range) -> core::ops::Range<usize> {
    let start = range.base() as usize;
    start..start + range.size() as usize
}
