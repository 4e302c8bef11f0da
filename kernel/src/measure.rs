//! What an event costs, in ticks of the counter: under QEMU's `-icount` these are instructions, exact and repeatable.
//!
//! With `-cpu max -icount shift=0` the counter runs at 1 GHz and an instruction takes a nanosecond; with the other CPUs
//! (62.5 MHz) `shift=4` gives the same.

use crate::events::Work;
use crate::life::{self, Recording};
use crate::region_memory::CpuCrc;
use crate::trace::CoreWriter;
use crate::{say, trace};
use arch::nmi::Ticking;
use ring::format::LINE_SIZE;
use ring::records::BankRecord;
use ring::recover::{Bank, Item};
use ring::seams::{Memory, Persist};
use ring::writer::{Event, Slot};

/// Events of each size that are measured.
const EVENTS: u64 = 1000;

/// Tells the cost of events of several sizes, on this core alone, with interrupts masked.
pub fn report() {
    let Some(writer) = trace::here() else { return };
    say!("\nticks per event (reserve, write, check, commit), mean of {EVENTS}, loop included:");
    let two_words = time(|number| writer.record(&TwoWords { first: number, second: !number }).is_ok());
    say!("   16 bytes, two typed fields  {}.{:01}", two_words / EVENTS, two_words % EVENTS * 10 / EVENTS);
    for size in [8usize, 16, 32, 64, 256] {
        let data = [0x5a; 256];
        let data = &data[..size - 8];
        let ticks = time(|number| writer.record(&Work { number, data }).is_ok());
        say!("  {size:>3} bytes of fields  {}.{:01}", ticks / EVENTS, ticks % EVENTS * 10 / EVENTS);
    }
    if let Some(recording) = life::recording() {
        clean(recording);
        recover(writer, recording);
    }
}

/// Tells what it costs to clean a line, of many in a row.
fn clean(recording: &Recording) {
    let Recording { memory, geometry, bank, .. } = *recording;
    let clean = |lines: u64| {
        let begin = arch::timer::now();
        memory.clean(geometry.bank(bank), lines * LINE_SIZE);
        arch::timer::now() - begin
    };
    let lines = geometry.bank_size / LINE_SIZE;
    let (some, all) = (clean(lines / 2), clean(lines));
    let tenths = 10 * (all - some) / (lines - lines / 2);
    say!("\nticks to clean a line by {}: {}.{:01}", arch::cache::deepest().name(), tenths / 10, tenths % 10);
}

/// Tells what it costs to recover this core's own ring, full of events of 16 bytes: to find its newest sub-buffer, and
/// then to verify each event.
fn recover(writer: &CoreWriter, recording: &Recording) {
    let Recording { memory, geometry, bank, boot_id } = *recording;
    let begin = writer.counters().sequence;
    let mut number = 0;
    while writer.counters().sequence < begin + geometry.ring() {
        if writer.record(&TwoWords { first: number, second: !number }).is_err() {
            return;
        }
        number += 1;
    }
    // SAFETY: no other core runs, interrupts are not open yet, and nothing is recorded until the slice is gone.
    let bytes = unsafe { memory.bytes(geometry.bank(bank), geometry.bank_size) };
    let record = BankRecord { boot_id, ..BankRecord::default() };
    let Some(bank) = Bank::new(bytes, geometry, record, CpuCrc::new()) else { return };
    let begin = arch::timer::now();
    let ring = bank.core(writer.core());
    let found = arch::timer::now();
    let events = ring.items().filter(|item| matches!(item, Item::Event(_))).count().max(1) as u64;
    let ticks = arch::timer::now() - found;
    say!("\nticks to recover a ring of {} sub-buffers with {events} events of 16 bytes:", geometry.ring());
    say!("   its newest sub-buffer  {}", found - begin);
    say!("   each event             {}.{:01}", ticks / events, ticks % events * 10 / events);
}

/// Rounds of the loop that ticks interrupt.
const ROUNDS: u64 = 20_000_000;

/// Tells what the ticks and the masking of ordinary interrupts cost under the means of stop of this boot, on this core
/// alone.
pub fn interrupts(ticking: Ticking) {
    arch::nmi::end_ticks();
    let idle = spin();
    arch::nmi::start_ticks(ticking);
    let state = arch::irq::local_irq_save();
    let stop = spin();
    arch::irq::local_irq_restore(state);
    let both = spin();
    let each = |all: u64| all.saturating_sub(idle) / (all / ticking.period).max(1);
    let (stop, both) = (each(stop), each(both));
    let masking = mask_and_unmask();
    let part = |ticks: u64| ticks * 1_000_000 / ticking.period.max(1);
    let name = arch::nmi::current().map_or("nothing", arch::nmi::StopMeans::name);
    say!("\nticks of the counter that interrupts cost, stop by {name}:");
    say!("   a stop tick            {stop} ({} ppm of a period)", part(stop));
    say!("   with an ordinary tick  {both} ({} ppm, its three events included)", part(both));
    say!("   mask and unmask        {}.{:01}", masking / EVENTS, masking % EVENTS * 10 / EVENTS);
}

/// Ticks of the counter that a loop of two instructions takes.
fn spin() -> u64 {
    let begin = arch::timer::now();
    arch::timer::spin(ROUNDS);
    arch::timer::now() - begin
}

/// Ticks of the counter that masking and unmasking take so many times, without the loop around them.
fn mask_and_unmask() -> u64 {
    let begin = arch::timer::now();
    (0..EVENTS).for_each(|_| arch::irq::without_irqs(|| core::hint::black_box(())));
    let masked = arch::timer::now();
    (0..EVENTS).for_each(|_| core::hint::black_box(()));
    let end = arch::timer::now();
    (masked - begin).saturating_sub(end - masked)
}

/// Ticks that so many events take; 0 where one was refused. A function of its own for each kind of event: what stands around
/// the call must not decide about its registers.
#[inline(never)]
fn time(mut record: impl FnMut(u64) -> bool) -> u64 {
    let state = arch::irq::local_irq_save();
    let begin = arch::timer::now();
    let all = (0..EVENTS).all(&mut record);
    let ticks = arch::timer::now() - begin;
    arch::irq::local_irq_restore(state);
    if all { ticks } else { 0 }
}

/// An event of 16 bytes as most events are: fields of known size.
struct TwoWords {
    first: u64,
    second: u64,
}

impl Event for TwoWords {
    const ID: u16 = Work::ID;
    #[inline(always)]
    fn size(&self) -> usize {
        16
    }
    #[inline(always)]
    fn write<M: Memory>(&self, slot: &Slot<'_, M>) {
        slot.put_u64(0, self.first);
        slot.put_u64(8, self.second);
    }
}
