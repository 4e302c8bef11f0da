//! How a boot ends: the panic and exception handlers of the target, the reset, and powering off with a status.

use crate::stop::{self, Others, begin_to_stop, end_ticks, park_for_good};
use crate::{console, events, life, lockup, panic as path, trace};
use arch::core_local::this;
use arch::exceptions::{Fatal, Frame, Hooks, Registers, backtrace};
use arch::gic::IntId;
use arch::image::link_address;
use arch::psci::Psci;
use boards::Board;
use boards::reset::{Firmware, ResetError, ResetWay, first_offered};
use core::fmt::Write;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use path::{Around, Progress, Recorder, Role, Step, What};
use ring::records::{PANIC_FRAMES, PANIC_REGISTERS};
use ring::seams::{Console, Reset, StopOthers};
use spin::Once;

/// What the machine needs for its end.
#[derive(Clone, Copy)]
pub struct Means {
    /// The board.
    pub board: &'static dyn Board,
    /// The firmware's services, if there are any.
    pub psci: Option<Psci>,
    /// The interrupt of the ordinary tick.
    pub tick: Option<IntId>,
}

static MEANS: Once<Means> = Once::new();
/// The step at which the next panic's path panics itself: its place in [`Step::ALL`] plus one; 0 is at none.
static FAIL_IN_PANIC: AtomicU8 = AtomicU8::new(0);
static PROGRESS: Progress = Progress::new();

/// Sets what the end needs, and takes exceptions over.
pub fn prepare(means: Means) {
    MEANS.call_once(|| means);
    arch::exceptions::set_hooks(&TheHooks);
}

/// The status with which a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Everything that had to survive survived (or there was nothing that had to).
    Survived = 0,
    /// A dump found something missing.
    Lost = 1,
    /// The machine or its configuration does not allow the job; the console says what to do.
    Unable = 2,
    /// Too many crashes in a row: the workload did not run.
    CrashLoop = 3,
}

/// Ends the machine, with a status where somebody outside listens.
pub fn power_off(status: Status) -> ! {
    if let Some(console) = console::get() {
        console.flush();
    }
    arch::irq::mask_everything();
    // Returns only where nobody listens.
    let arch::semihosting::NotAvailable = arch::semihosting::exit(status as u32);
    if let Some(psci) = MEANS.get().and_then(|means| means.psci) {
        let error = psci.system_off();
        console::print(format_args!("power off: the firmware refuses: {error:?}\n"));
    }
    boards::watchdog::power_off();
    console::print(format_args!(
        "the end (status {}): this machine cannot be switched off by software\n",
        status as u32
    ));
    park_for_good()
}

/// Makes the next panic fail at a step of its path, once, to see that it ends in the reset all the same.
pub fn fail_at(step: Step) {
    FAIL_IN_PANIC.store(step as u8 + 1, Ordering::Relaxed);
}

/// Asks for a reset, as if from outside: nothing is stopped, nothing is cleaned.
pub fn reset_now() -> ! {
    arch::irq::mask_everything();
    end_ticks();
    before_reset();
    TheReset.reset();
    park_for_good()
}

/// Whether the machine offers a way to reset.
#[must_use]
pub fn offers(way: ResetWay) -> bool {
    let Some(means) = MEANS.get() else { return false };
    let firmware = means.psci.as_ref().map(|psci| psci as &dyn Firmware);
    means.board.reset_ways().contains(&way) && first_offered(&[way], firmware).is_some()
}

/// Resets by one way only. Returns if that did not work.
pub fn reset_by(way: ResetWay) {
    arch::irq::mask_everything();
    end_ticks();
    let Some(means) = MEANS.get() else { return };
    if let Some(console) = console::get() {
        console.flush();
    }
    let firmware = means.psci.as_ref().map(|psci| psci as &dyn Firmware);
    boards::reset::reset(&[way], firmware, |way, error| {
        PanicConsole.write_line(format_args!("reset: {way}: {error}"));
    });
}

/// The ways to reset, the one that keeps memory first.
struct TheReset;

impl Reset for TheReset {
    fn reset(&self) {
        let Some(means) = MEANS.get() else { return };
        let firmware = means.psci.as_ref().map(|psci| psci as &dyn Firmware);
        let ways = means.board.reset_ways();
        if let Some(console) = console::get() {
            console.flush();
        }
        boards::reset::reset(ways, firmware, |way, error| {
            if error != ResetError::NotOffered {
                PanicConsole.write_line(format_args!("reset: {way}: {error}"));
            }
        });
        PanicConsole.write_line(format_args!("reset: no way worked: switch the machine off and on by hand"));
    }
}

/// What is said before a reset is asked for.
fn before_reset() {
    sgis();
    let Some(means) = MEANS.get() else { return };
    let firmware = means.psci.as_ref().map(|psci| psci as &dyn Firmware);
    if let Some(way) = first_offered(means.board.reset_ways(), firmware) {
        PanicConsole.write_line(format_args!("reset: asking for it by {way}"));
    }
}

/// Says which software-generated interrupts the controller knows of: none, since nothing here can send one.
pub fn sgis() {
    let Some(pending) = stop::sgis() else { return };
    PanicConsole.write_line(format_args!("gic: SGIs pending or active on any core: {pending:#06x}"));
}

/// The console without its lock: whoever holds it may be stopped.
struct PanicConsole;

impl PanicConsole {
    fn write_line(&self, arguments: core::fmt::Arguments<'_>) {
        let mut line = heapless::String::<160>::new();
        // What does not fit is cut.
        let _ = writeln!(line, "{arguments}");
        self.write(line.as_bytes());
    }
}

impl Console for PanicConsole {
    fn write(&self, bytes: &[u8]) {
        if let Some(console) = console::get() {
            console.write_unlocked(bytes);
        }
    }
}

/// Goes the panic path to its end.
fn die(role: Role, what: &What<'_>) -> ! {
    boards::watchdog::dead_man();
    end_ticks();
    if role == Role::Bystander && !begin_to_stop(what.core as usize) {
        park_for_good()
    }
    let recording = life::recording();
    let writers = |core: u32| trace::of(core as usize);
    let recorder = recording.map(|recording| Recorder {
        memory: &recording.memory,
        geometry: recording.geometry,
        bank: recording.bank,
        boot_id: recording.boot_id,
        writers: &writers,
        header: life::header_for_panic(),
        operation: arch::cache::deepest().name(),
    });
    let others = Others::new();
    let at = |step: Step| {
        crate::die::hang_at(step);
        if FAIL_IN_PANIC.load(Ordering::Relaxed) == step as u8 + 1 {
            FAIL_IN_PANIC.store(0, Ordering::Relaxed);
            panic!("asked for by die=panic-at-{}", step.name());
        }
    };
    let around = Around {
        at: &at,
        others: &others,
        means: life::stop_means(),
        before_reset: &before_reset,
        reset: &TheReset,
        terse: console::is_terse(),
        console: &PanicConsole,
    };
    path::run(&PROGRESS, role, what, recorder.as_ref(), &around);
    park_for_good()
}

/// Registers, the backtrace, all as addresses of the ELF file.
struct Place {
    registers: [u64; PANIC_REGISTERS],
    backtrace: heapless::Vec<u64, PANIC_FRAMES>,
}

impl Place {
    fn new(x: &[u64], at: &Registers, esr: u64) -> Self {
        let mut registers = [0; PANIC_REGISTERS];
        registers.iter_mut().zip(x).for_each(|(to, from)| *to = *from);
        registers[29] = at.fp;
        registers[30] = link_address(at.lr);
        registers[31] = at.sp;
        registers[32] = link_address(at.pc);
        registers[33] = at.pstate;
        registers[34] = esr;
        let frames = core::iter::once(at.pc).chain(backtrace(at.fp)).map(link_address);
        Self { registers, backtrace: frames.take(PANIC_FRAMES).collect() }
    }
}

/// The first instructions of every way to die.
struct Entry {
    /// The counter, before anything else.
    counter: u64,
    core: u32,
    role: Role,
}

impl Entry {
    #[inline(always)]
    fn now() -> Self {
        let counter = arch::timer::now_unordered();
        arch::irq::mask_everything();
        let core = this().index() as u32;
        // From now on it stops the others, or itself: not even a tick that it cannot mask comes between.
        end_ticks();
        let role = PROGRESS.enter(core);
        if role == Role::First {
            // Before the path itself does: the others come to their next tick while this core still looks for its words.
            Others::new().request();
        }
        Self { counter, core, role }
    }
}

/// A reading of the counter in the time of this core's events; 0 where nothing is recorded.
fn in_event_time(counter: u64) -> u64 {
    trace::here().map_or(0, |writer| writer.clock().ns_at(counter))
}

/// Called by the binary's panic handler.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    let Entry { counter, core, role } = Entry::now();
    let mut message = heapless::String::<560>::new();
    let mut location = heapless::String::<168>::new();
    // What does not fit is cut.
    let _ = write!(message, "{}", info.message());
    if let Some(at) = info.location() {
        let _ = write!(location, "{}:{}:{}", at.file(), at.line(), at.column());
    }
    let place = Place::new(&[], &Registers::here(), 0);
    let what = What {
        core,
        exception: false,
        entry_ns: in_event_time(counter),
        message: &message,
        location: &location,
        registers: place.registers,
        far: 0,
        address: "",
        backtrace: &place.backtrace,
    };
    die(role, &what)
}

/// What the kernel does about exceptions.
struct TheHooks;

/// Number of ordinary ticks, on all cores.
static TICKS: AtomicU64 = AtomicU64::new(0);

impl Hooks for TheHooks {
    fn nmi_tick(&self, frame: &mut Frame) {
        crate::stop::check(frame);
    }

    fn irq(&self, id: IntId, frame: &mut Frame) {
        let Some(writer) = trace::here() else { return tick(id) };
        let context = writer.enter_flags(events::context::HARD_IRQ | events::context::IRQS_OFF);
        // Refusals are counted by the writer.
        let _ = writer.record(&events::IrqEntry { intid: id.number(), pc: link_address(frame.elr) });
        tick(id);
        let _ = writer.record(&events::IrqExit { intid: id.number() });
        writer.leave(context);
    }

    fn fatal(&self, frame: &Frame, why: Fatal) -> ! {
        let Entry { counter, core, role } = Entry::now();
        let registers = Registers::from(frame);
        if let Some(writer) = trace::here()
            && why != Fatal::LockUp
        {
            let _ =
                writer.record(&events::Exception { core, esr: frame.esr, pc: link_address(frame.elr), far: frame.far });
        }
        let mut message = heapless::String::<560>::new();
        let mut location = heapless::String::<168>::new();
        let mut address = heapless::String::<56>::new();
        // What does not fit is cut.
        let _ = write!(message, "{why}");
        if why != Fatal::LockUp {
            let _ = write!(message, ": {}", frame.syndrome());
        }
        let _ = write!(location, "pc {:#x}, address {:#x}", link_address(frame.elr), frame.far);
        if let Some(refused) = frame.fault_address() {
            let _ = write!(address, "{}", arch::mmu::describe(refused));
        }
        let place = Place::new(&frame.x, &registers, frame.esr);
        let what = What {
            core,
            exception: true,
            entry_ns: in_event_time(counter),
            message: &message,
            location: &location,
            registers: place.registers,
            far: frame.far,
            backtrace: &place.backtrace,
            address: &address,
        };
        die(role, &what)
    }

    fn last_resort(&self) -> ! {
        TheReset.reset();
        park_for_good()
    }
}

/// An ordinary interrupt's work.
fn tick(id: IntId) {
    if MEANS.get().and_then(|means| means.tick) == Some(id) {
        let number = TICKS.fetch_add(1, Ordering::Relaxed);
        let _ = trace::record(&events::Tick { number });
        lockup::watch();
        crate::die::in_irq();
    } else {
        log::warn!("an interrupt that nobody asked for: {id}");
    }
}
