//! Every way to die that the command line can ask for (`die=`), and what the other cores do meanwhile (`others=`).
//!
//! A kernel whose point is its own death needs more than one. Most ways begin in thread code, when every core has recorded
//! enough; [`armed`] holds those that wait inside a handler or inside the panic path, and [`if_asked`] stands where a boot
//! dies before that. What the next boot must say of each is the table in `host/qemu/tests/ways_to_die.rs`.

pub mod armed;
mod clean;
pub mod others;
mod stacks;

pub use armed::{hang_at, in_irq, in_nmi};

use crate::command_line::{Die, Options};
use crate::record::{Orders, rest};
use crate::region_memory::CpuCrc;
use crate::{console, ending, events, say, trace};
use alloc::vec;
use arch::core_local::this;
use arch::irq::Gate;
use arch::provoke::{Fault, provoke};
use armed::Act;
use core::fmt;
use core::hint::black_box;
use others::Task;
use ring::recover::Bank;
use ring::writer::Event;

/// Bytes of each block with which the heap is filled.
const BLOCK: usize = 16 << 10;

/// Ends this boot, on the core that is to end it.
pub fn end(orders: &Orders) -> ! {
    so_far();
    others::give(Task::of(orders.die, orders.others), orders.cores);
    let die = orders.die;
    match die {
        Die::None => {
            say!("idle, as asked for by die=none");
            rest()
        }
        Die::Reset => {
            console::print_unlocked(format_args!("resetting without a word, as asked for by die=reset\n"));
            ending::reset_now()
        }
        Die::Reboot => clean::reboot(),
        Die::PowerOff => clean::power_off(),
        Die::Index => index(),
        Die::Heap => exhaust_heap(),
        Die::DataAbort => fault(die, Fault::Load),
        Die::InstructionAbort => fault(die, Fault::Jump),
        Die::Undefined => fault(die, Fault::Undefined),
        Die::Trap => fault(die, Fault::Trap),
        Die::SError if arch::irq::gate() != Gate::El2 => {
            clean::cannot(die, "nothing here raises one for sure: with stop=el2 our own EL2 does")
        }
        Die::SError => fault(die, Fault::SError),
        Die::Alignment => fault(die, Fault::Misaligned),
        Die::ExternalAbort => fault(die, Fault::External),
        Die::WriteRodata => fault(die, Fault::Constants),
        Die::WriteText => fault(die, Fault::Code),
        Die::ExecData => fault(die, Fault::Variables),
        Die::OverflowThread => stacks::overflow(),
        Die::OverflowIrq => armed::in_handler(die, Act::Overflow),
        Die::OverflowNmi => armed::in_handler(die, Act::OverflowInNmi),
        Die::PanicInIrq => armed::in_handler(die, Act::Panic),
        Die::PanicInNmi => armed::in_handler(die, Act::PanicInNmi),
        Die::PanicInEvent => in_event(die),
        Die::PanicInLog => panic!("asked for by die={}: {}", die.word(), Bomb),
        Die::PanicHoldingConsole => holding_console(die),
        Die::PanicEverywhere => others::panic_together(),
        Die::LockUp => others::spin_masked(),
        Die::LockUpAllMasked => others::spin_all_masked(),
        Die::LockUpOthers => rest(),
        _ => {
            armed::for_panic_path(die);
            panic!("asked for on the command line: core {} has recorded enough", this().index())
        }
    }
}

/// Panics, if that is how this boot is to die.
#[track_caller]
pub fn if_asked(options: &Options, die: Die) {
    if options.die == die {
        asked_for(die);
    }
}

/// Panics in the middle of reading a crash.
pub fn reading(bank: &Bank<'_, CpuCrc>) -> ! {
    // So that recovery has begun; how far it came does not matter.
    black_box(bank.core(0).items().nth(3));
    asked_for(Die::PanicInRecovery)
}

#[track_caller]
fn asked_for(die: Die) -> ! {
    panic!("asked for by die={}", die.word())
}

/// What each core has recorded so far.
fn so_far() {
    for (core, writer) in trace::all() {
        let counters = writer.counters();
        let refused: u32 = counters.refused.iter().sum();
        say!(
            "  core {core}: {} events recorded, {refused} refused, in sub-buffer {}",
            counters.reserved,
            counters.sequence
        );
    }
}

fn index() -> ! {
    let cores = black_box([this().index(); 4]);
    panic!("an index beyond the end was used: {}", cores[black_box(cores.len())])
}

fn exhaust_heap() -> ! {
    loop {
        black_box(vec![0u8; BLOCK].leak());
    }
}

fn fault(die: Die, fault: Fault) -> ! {
    provoke(fault);
    panic!("die={}: nobody minded", die.word())
}

/// The event stays reserved: it is in flight when the core stops.
fn in_event(die: Die) -> ! {
    let _reserved = trace::here().map(|writer| writer.reserve(events::Work::ID, 16));
    asked_for(die)
}

fn holding_console(die: Die) -> ! {
    if let Some(console) = console::get() {
        console.while_locked(&mut || asked_for(die));
    }
    asked_for(die)
}

/// Panics when it is formatted.
struct Bomb;

impl fmt::Display for Bomb {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a message panics while it is formatted")
    }
}
