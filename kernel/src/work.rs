//! The workload and the end that the command line asks for.

use crate::boot::{Machine, phase};
use crate::command_line::Die;
use crate::ending::{self, Status, power_off};
use crate::record::{Orders, Workload, begin, rest};
use crate::stop::Others;
use crate::{life, say, trace};
use arch::core_local::this;
use ring::seams::StopOthers;

/// Records on every core, then ends as wished. The next boot tells what survived.
pub fn record_and_die(machine: &Machine, cores: usize) -> ! {
    let options = &machine.options;
    let workload = Workload {
        events: u64::from(options.events),
        payload_min: options.payload.least as usize,
        payload_max: options.payload.most as usize,
        rate: u64::from(options.rate),
        seed: options.seed,
    };
    let ends_on = options.die_core as usize;
    if ends_on >= cores {
        say!("  warning    die_core={ends_on}: there are {cores} cores; core 0 ends this boot");
    }
    let ends_on = if ends_on < cores { ends_on } else { 0 };
    let end = match options.die {
        Die::Panic | Die::PanicInDump => die_by_panic,
        Die::PanicInPanic => die_by_two_panics,
        Die::Reset => die_by_reset,
        Die::PowerOff => die_in_peace,
        Die::None => do_not_die,
    };
    say!(
        "\nrecording {} events on each of {cores} cores, {} to {} bytes of fields; then core {ends_on} ends it",
        options.events,
        options.payload.least.max(8),
        options.payload.most.max(8)
    );
    phase(4, "workload begins");
    begin(Orders { workload, cores, ends_on, end, go_on: options.die != Die::None })
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

fn die_by_panic() -> ! {
    so_far();
    panic!("asked for on the command line: core {} has recorded enough", this().index())
}

fn die_by_two_panics() -> ! {
    ending::fail_in_panic();
    die_by_panic()
}

fn die_by_reset() -> ! {
    so_far();
    say!("resetting without a word, as asked for by die=reset");
    ending::reset_now()
}

fn die_in_peace() -> ! {
    so_far();
    arch::irq::mask_everything();
    let others = Others::new();
    others.request();
    others.wait_for_all_but(this().index() as u32, trace::all().count() as u32);
    life::end_cleanly();
    say!("shut down cleanly, as asked for by die=poweroff");
    power_off(Status::Survived)
}

fn do_not_die() -> ! {
    so_far();
    say!("idle, as asked for by die=none");
    rest()
}
