//! The code under test, between two marks, and the timers around it.

use super::read_back::{Outer, data};
use crate::events::Trial;
use crate::trace::CoreWriter;
use arch::timer::Tick;
use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};
use ring::seams::Memory;
use ring::writer::{Event, Refused, Slot};

/// Where the thread is.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Stage {
    /// Nothing is tested.
    Idle = 0,
    /// The timers are being set.
    Before = 1,
    /// Between the marks.
    Inside = 2,
    /// Behind them.
    Behind = 3,
}

/// The stage, for the NMI.
pub(super) static STAGE: AtomicU32 = AtomicU32::new(Stage::Idle as u32);

/// Instructions of the marks that can be interrupted inside of them and that [`Shot::ticks`] does not count: the second
/// mark's two. (The first one's reading of the counter is counted; the store before it comes before.)
pub(super) const MARKS: u64 = 2;

/// What happened between the marks.
pub(super) struct Shot {
    /// Ticks from the reading of the counter in the first mark to that in the second.
    pub(super) ticks: u64,
    pub(super) result: Result<(), Refused>,
}

/// Code that records one event, and in which situation.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Bytes that are left in the sub-buffer.
    pub(super) room: usize,
    /// So long after the event before it that a time record is needed.
    pub(super) waits: bool,
    /// The event.
    pub(super) outer: Outer,
    /// Records it, with the NMI and the ordinary tick set to so many ticks from now.
    pub(super) shoot: fn(&CoreWriter, u64, u64, u64) -> Shot,
}

/// Enough for every event that a shot records.
const ROOMY: usize = 480;
/// Enough for the NMI's event with a time record, not for one of 64 bytes.
const ROOM_FOR_THE_NMI: usize = 48;
/// Not enough for any.
const NO_ROOM: usize = 8;

const TYPED: Outer = Outer { size: 16, discarded: false };
const COPIED: Outer = Outer { size: 64, discarded: false };
const DISCARDED: Outer = Outer { size: 64, discarded: true };

/// All cases.
pub(super) static CASES: [Case; 8] = [
    Case { name: "record, 16 bytes typed", room: ROOMY, waits: false, outer: TYPED, shoot: typed },
    Case { name: "record, 64 bytes copied", room: ROOMY, waits: false, outer: COPIED, shoot: copied },
    Case { name: "reserve, write 64 bytes, commit", room: ROOMY, waits: false, outer: COPIED, shoot: committed },
    Case { name: "reserve, write 64 bytes, discard", room: ROOMY, waits: false, outer: DISCARDED, shoot: discarded },
    Case { name: "record, with a time record", room: ROOMY, waits: true, outer: TYPED, shoot: typed },
    Case { name: "record, into a new sub-buffer", room: NO_ROOM, waits: false, outer: TYPED, shoot: typed },
    Case {
        name: "same, the NMI's fits the old one",
        room: ROOM_FOR_THE_NMI,
        waits: false,
        outer: COPIED,
        shoot: copied,
    },
    Case { name: "reserve, commit, in a new sub-buffer", room: NO_ROOM, waits: false, outer: COPIED, shoot: committed },
];

/// A trial as most events are: fields of known size. Its data is the number's complement.
struct Typed {
    number: u64,
}

impl Event for Typed {
    const ID: u16 = Trial::ID;
    #[inline(always)]
    fn size(&self) -> usize {
        16
    }
    #[inline(always)]
    fn write<M: Memory>(&self, slot: &Slot<'_, M>) {
        slot.put_u64(0, self.number);
        slot.put_u64(8, !self.number);
    }
}

/// Records two words. The one place where that is compiled into: what is shot at is what is recorded elsewhere as well.
#[inline(never)]
pub(super) fn record_typed(writer: &CoreWriter, number: u64) -> Result<(), Refused> {
    writer.record(&Typed { number })
}

/// Records copied bytes; as above.
#[inline(never)]
pub(super) fn record_copied(writer: &CoreWriter, number: u64, data: &[u8]) -> Result<(), Refused> {
    writer.record(&Trial { number, data })
}

fn typed(writer: &CoreWriter, number: u64, nmi: u64, irq: u64) -> Shot {
    shoot(nmi, irq, || record_typed(writer, number))
}

fn copied(writer: &CoreWriter, number: u64, nmi: u64, irq: u64) -> Shot {
    let data = data(number);
    shoot(nmi, irq, || record_copied(writer, number, &data))
}

fn committed(writer: &CoreWriter, number: u64, nmi: u64, irq: u64) -> Shot {
    in_steps(writer, number, nmi, irq, false)
}

fn discarded(writer: &CoreWriter, number: u64, nmi: u64, irq: u64) -> Shot {
    in_steps(writer, number, nmi, irq, true)
}

#[inline(never)]
fn in_steps(writer: &CoreWriter, number: u64, nmi: u64, irq: u64, discard: bool) -> Shot {
    let data = data(number);
    let event = Trial { number, data: &data };
    shoot(nmi, irq, || {
        let slot = writer.reserve(Trial::ID, event.size())?;
        event.write(&slot);
        if discard {
            writer.discard(slot);
        } else {
            writer.commit(slot);
        }
        Ok(())
    })
}

/// Sets the timers, runs the code between the marks, stops the timers. With an `irq` that never comes ordinary
/// interrupts are masked by priority.
#[inline(always)]
fn shoot(nmi: u64, irq: u64, code: impl FnOnce() -> Result<(), Refused>) -> Shot {
    let masked = (irq == super::NEVER).then(arch::irq::local_irq_save);
    STAGE.store(Stage::Before as u32, Ordering::Relaxed);
    let now = Tick::Physical.counter();
    Tick::Virtual.fire_at(now + irq);
    Tick::Physical.fire_at(now + nmi);
    let (begin, end): (u64, u64);
    // SAFETY: writes to a static of this type, and reads a counter. A barrier for the compiler on both sides.
    unsafe {
        asm!("str {stage:w}, [{at}]", "mrs {begin}, cntvct_el0", stage = in(reg) Stage::Inside as u32,
            at = in(reg) STAGE.as_ptr(), begin = lateout(reg) begin, options(nostack, preserves_flags));
    }
    let result = code();
    // SAFETY: as above.
    unsafe {
        asm!("mrs {end}, cntvct_el0", "str {stage:w}, [{at}]", stage = in(reg) Stage::Behind as u32,
            at = in(reg) STAGE.as_ptr(), end = out(reg) end, options(nostack, preserves_flags));
    }
    Tick::Virtual.stop();
    Tick::Physical.stop();
    STAGE.store(Stage::Idle as u32, Ordering::Relaxed);
    if let Some(state) = masked {
        arch::irq::local_irq_restore(state);
    }
    Shot { ticks: end - begin, result }
}

/// Lets more time pass than an event header's delta can tell. Asleep: under `-icount` that is one step of the clock.
pub(super) fn let_time_pass() {
    const MS: u64 = (1 << ring::event::DELTA_BITS) / 1_000_000 + 1;
    let until = Tick::Physical.counter() + arch::timer::frequency() / 1000 * MS;
    Tick::Physical.fire_at(until);
    while Tick::Physical.counter() < until {
        arch::cores::wait_for_interrupt();
    }
    Tick::Physical.stop();
}

/// Whether the counter ticks once for each instruction.
pub(super) fn counter_counts_instructions() -> bool {
    let (begin, end): (u64, u64);
    // SAFETY: reads a counter.
    unsafe {
        asm!("isb", "mrs {begin}, cntvct_el0", "nop", "nop", "nop", "nop", "nop", "nop", "nop", "mrs {end}, cntvct_el0",
            begin = out(reg) begin, end = out(reg) end, options(nomem, nostack, preserves_flags));
    }
    end - begin == 8
}

/// Whether the instruction at `next` can be the one after that at `pc`.
pub(super) fn follows(pc: u64, next: u64) -> bool {
    // SAFETY: it was executed, and the kernel's code can be read.
    let instruction = unsafe { (pc as *const u32).read_volatile() };
    next == pc + 4 || is_branch(instruction)
}

/// Whether an instruction can go elsewhere (Arm ARM C4.1.66: branches, to immediates and to registers).
fn is_branch(instruction: u32) -> bool {
    const KINDS: [(u32, u32); 5] = [
        (0x7c00_0000, 0x1400_0000), // B, BL
        (0xff00_0000, 0x5400_0000), // B.cond
        (0x7e00_0000, 0x3400_0000), // CBZ, CBNZ
        (0x7e00_0000, 0x3600_0000), // TBZ, TBNZ
        (0xfe00_0000, 0xd600_0000), // BR, BLR, RET
    ];
    KINDS.iter().any(|(mask, value)| instruction & mask == *value)
}
