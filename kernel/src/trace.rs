//! Recording, from anywhere: each core has one writer, and an event goes to the core that it happens on.

use crate::region_memory::{CounterClock, CpuCrc, RegionMemory};
use arch::core_local::{MAX_CORES, this};
use ring::writer::{Event, Refused, Writer};
use spin::Once;

/// The writer of one core.
pub type CoreWriter = Writer<RegionMemory, CounterClock, CpuCrc>;

static WRITERS: [Once<CoreWriter>; MAX_CORES] = [const { Once::new() }; MAX_CORES];

/// Gives a core its writer; the first one stays.
pub fn install(core: usize, writer: CoreWriter) {
    if let Some(slot) = WRITERS.get(core) {
        slot.call_once(|| writer);
    }
}

/// A core's writer, once it has one.
#[inline(always)]
pub fn of(core: usize) -> Option<&'static CoreWriter> {
    WRITERS.get(core)?.get()
}

/// This core's writer. The caller stays on its core: threads do not migrate here.
#[inline(always)]
pub fn here() -> Option<&'static CoreWriter> {
    of(this().index())
}

/// Records an event on this core. Before the region is there nothing is recorded, and nothing is missed: there is no
/// recorder yet to account for it.
///
/// # Errors
/// [`Refused`], counted by the writer.
#[inline(always)]
pub fn record<E: Event>(event: &E) -> Result<(), Refused> {
    match here() {
        Some(writer) => writer.record(event),
        None => Err(Refused::Stopped),
    }
}

/// All writers, with their cores.
pub fn all() -> impl Iterator<Item = (usize, &'static CoreWriter)> {
    WRITERS.iter().enumerate().filter_map(|(core, writer)| Some((core, writer.get()?)))
}
