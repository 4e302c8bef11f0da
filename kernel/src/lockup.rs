//! The lock-up detector: a core that makes no progress becomes a panic.
//!
//! A core that spins with interrupts masked, or in a handler, finds itself: its stop tick, which masking does not keep out,
//! counts how many came since the last ordinary tick, and when that is too many the panic shows where the core spins
//! ([`arch::nmi`]). A core that not even the stop tick reaches (everything masked, and a means that can be masked) is noticed
//! by another one: each core's ordinary tick watches the next core that runs, a little more patiently.

use crate::command_line::Options;
use crate::stop;
use arch::core_local::{CORES, CoreLocal, MAX_CORES, this};
use arch::nmi::Ticking;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Ordinary ticks without a sign of life from the watched core that are too many; 0 is never.
static PATIENCE: AtomicU32 = AtomicU32::new(0);
/// Ticks each second.
static RATE: AtomicU32 = AtomicU32::new(1);

/// What a core knows of the one that it watches. Only written by its own core.
struct Watch {
    /// Its sign of life when it was last seen to change.
    beats: AtomicU64,
    /// Ordinary ticks since then.
    quiet: AtomicU32,
}

static WATCHES: [Watch; MAX_CORES] =
    [const { Watch { beats: AtomicU64::new(0), quiet: AtomicU32::new(0) } }; MAX_CORES];

/// How the ticks run, from `tick_us` and `hang`.
pub fn ticking(options: &Options) -> Ticking {
    let (tick_us, hang_us) = (u64::from(options.tick_us), u64::from(options.hang) * 1_000_000);
    let patience = hang_us.div_ceil(tick_us);
    RATE.store((1_000_000 / tick_us) as u32, Ordering::Relaxed);
    // A quarter more: a core that can tell where it spins does so first.
    PATIENCE.store((patience + patience / 4) as u32, Ordering::Relaxed);
    Ticking { period: (arch::timer::frequency() * tick_us / 1_000_000).max(1), patience: patience as u32 }
}

/// Called by each ordinary tick: looks whether the next core still ticks.
pub fn watch() {
    let patience = PATIENCE.load(Ordering::Relaxed);
    let (core, count) = (this().index(), arch::cores::count());
    let running = |index: &usize| CORES.get(*index).is_some_and(CoreLocal::is_online) && !stop::stands_still(*index);
    let next = (1..count).map(|step| (core + step) % count).find(running);
    let (Some(next), Some(watch)) = (next, WATCHES.get(core)) else { return };
    let beats = CORES[next].beats();
    if watch.beats.load(Ordering::Relaxed) != beats {
        watch.beats.store(beats, Ordering::Relaxed);
        watch.quiet.store(0, Ordering::Relaxed);
        return;
    }
    let quiet = watch.quiet.load(Ordering::Relaxed).saturating_add(1);
    watch.quiet.store(quiet, Ordering::Relaxed);
    if patience != 0 && quiet > patience {
        let seconds = quiet / RATE.load(Ordering::Relaxed).max(1);
        panic!("core {next} is locked up: it has given no sign of life for {seconds} s, not even to its stop tick");
    }
}
