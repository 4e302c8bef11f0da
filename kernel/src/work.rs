//! The workload, and the end that the command line asks for.

use crate::boot::{Machine, phase};
use crate::record::{Orders, Workload, begin};
use crate::say;

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
    say!(
        "\nrecording {} events on each of {cores} cores, {} to {} bytes of fields; then core {ends_on} ends it",
        options.events,
        options.payload.least.max(8),
        options.payload.most.max(8)
    );
    phase(4, "workload begins");
    begin(Orders { workload, cores, ends_on, die: options.die, others: options.others })
}
