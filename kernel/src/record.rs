//! The workload: numbered events on every core, of the sizes and at the pace that the command line asks for.

use crate::command_line::{Die, Others};
use crate::die::{self, others};
use crate::events::Work;
use crate::trace;
use arch::core_local::{MAX_CORES, this};
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Once;

/// What each core does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Events per core before the end; the cores go on recording until they are stopped.
    pub events: u64,
    /// Smallest payload in bytes, the number included.
    pub payload_min: usize,
    /// Largest payload in bytes.
    pub payload_max: usize,
    /// Events per second and core; 0 is as fast as possible.
    pub rate: u64,
    /// Seed of the sizes.
    pub seed: u64,
}

/// What all cores do, once they may begin.
static ORDERS: Once<Orders> = Once::new();

/// How far each core is.
static DONE: [AtomicU64; MAX_CORES] = [const { AtomicU64::new(0) }; MAX_CORES];

/// Bytes of an event's number.
const NUMBER: usize = 8;
/// Most bytes of data behind the number.
const DATA_MAX: usize = ring::format::FIELDS_MAX - NUMBER;

/// The data of all events: any bytes will do, since each event is checked. Made at run time: it need not be in the image.
pub(crate) fn all_data() -> &'static [u8; DATA_MAX] {
    static DATA: Once<[u8; DATA_MAX]> = Once::new();
    DATA.call_once(|| core::array::from_fn(|i| (i as u8).wrapping_mul(167).wrapping_add(13)))
}

impl Workload {
    /// Records for ever, or until `enough` says so; it is asked after each event.
    pub fn run(&self, enough: &mut dyn FnMut(u64) -> bool) {
        let core = this().index();
        let frequency = arch::timer::frequency();
        let mut random = self.seed ^ (core as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let start = arch::timer::now_unordered();
        let mut number = 0;
        let all = all_data();
        loop {
            let size = self.size(&mut random);
            // A refusal is counted by the writer, and the number is used up: the gap shows.
            let _ = trace::record(&Work { number, data: &all[..size.saturating_sub(NUMBER).min(DATA_MAX)] });
            number += 1;
            if let Some(done) = DONE.get(core) {
                done.store(number, Ordering::Relaxed);
            }
            if enough(number) {
                return;
            }
            if self.rate > 0 {
                let due = start + (u128::from(number) * u128::from(frequency) / u128::from(self.rate)) as u64;
                while arch::timer::now_unordered() < due {
                    arch::cores::relax();
                }
            }
        }
    }

    /// The size of the next event: uniform between the bounds (xorshift).
    fn size(&self, random: &mut u64) -> usize {
        if self.payload_min >= self.payload_max {
            return self.payload_min;
        }
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        self.payload_min + (*random % (self.payload_max - self.payload_min + 1) as u64) as usize
    }
}

/// Whether the first `cores` cores have all recorded so many events.
pub fn all_have(cores: usize, events: u64) -> bool {
    DONE.iter().take(cores).all(|done| done.load(Ordering::Relaxed) >= events)
}

/// The workload, and which core ends it.
#[derive(Clone, Copy)]
pub struct Orders {
    /// What each core does.
    pub workload: Workload,
    /// Cores that take part.
    pub cores: usize,
    /// The core that ends the boot when all have recorded enough.
    pub ends_on: usize,
    /// How it ends.
    pub die: Die,
    /// What the others do then.
    pub others: Others,
}

/// Lets all cores begin, this one included.
pub fn begin(orders: Orders) -> ! {
    ORDERS.call_once(|| orders);
    work()
}

/// Where all other cores are until then, and from then on.
pub fn wait_for_orders() -> ! {
    while ORDERS.get().is_none() {
        crate::survey::help();
        // The tick wakes it.
        arch::cores::wait_for_interrupt();
    }
    work()
}

fn work() -> ! {
    let (Some(orders), core) = (ORDERS.get(), this().index()) else { rest() };
    if let Some(writer) = trace::here() {
        writer.enter(0, core as i32 + 1);
    }
    let enough = orders.workload.events;
    if core == orders.ends_on {
        orders.workload.run(&mut |done| done >= enough && all_have(orders.cores, enough));
        die::end(orders)
    }
    // They go on until they are stopped, or told to do something else.
    orders.workload.run(&mut |done| done >= enough && (orders.die == Die::None || others::is_given()));
    others::obey()
}

/// Stands still, and answers its ticks.
pub fn rest() -> ! {
    loop {
        arch::cores::wait_for_interrupt();
    }
}
