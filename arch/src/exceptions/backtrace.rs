//! Return addresses by frame pointers, in a way that ends on any content of memory and never faults.
//!
//! A frame record is two words: the caller's frame pointer and the return address. The vectors put one into each
//! exception frame, so a walk goes on through interrupts and faults into what they interrupted. A record is only
//! read if it lies, aligned, inside a stack of one core (always mapped); on one stack it must lie above the last one; each
//! stack is walked once. A broken chain therefore ends early and says nothing more.

use crate::stacks::{self, Place};

/// The most return addresses that a walk yields.
pub const DEPTH_MAX: usize = 64;
/// Bytes of a frame record.
const RECORD_SIZE: usize = 16;

/// Yields return addresses, innermost first.
#[derive(Clone, Debug)]
pub struct Backtrace<R = Stacks> {
    fp: usize,
    left: usize,
    memory: R,
    core: Option<usize>,
    seen: [bool; stacks::Stack::ALL.len()],
    last: Option<usize>,
}

/// Where records are read from: the stacks, or a fake of them.
pub trait Memory {
    /// The two words of the frame record at an address, and the stack it is on; `None` outside of all stacks.
    fn record(&self, address: usize) -> Option<(Place, [u64; 2])>;
}

/// The stacks of all cores.
#[derive(Clone, Copy, Debug)]
pub struct Stacks;

impl Memory for Stacks {
    fn record(&self, address: usize) -> Option<(Place, [u64; 2])> {
        let place = stacks::find(address)?;
        let stack = stacks::range(place.core, place.stack);
        if place.guard || stack.end - address < RECORD_SIZE {
            return None;
        }
        let record = core::ptr::with_exposed_provenance::<u64>(address);
        // SAFETY: aligned (the walk checks it) and inside a stack, which is mapped for ever. Another core may be
        // writing to it: volatile words, of which any value is fine.
        Some((place, unsafe { [record.read_volatile(), record.add(1).read_volatile()] }))
    }
}

/// Starts a walk at a frame pointer, for instance one from [`super::Registers`]. It may be any value, and it may
/// belong to another core.
#[must_use]
pub fn backtrace(fp: u64) -> Backtrace {
    Backtrace::new(fp, Stacks)
}

/// Starts a walk at the calling function.
#[cfg(target_os = "none")]
#[inline(always)]
#[must_use]
pub fn backtrace_here() -> Backtrace {
    backtrace(super::Registers::here().fp)
}

impl<R: Memory> Backtrace<R> {
    fn new(fp: u64, memory: R) -> Self {
        Self { fp: fp as usize, left: DEPTH_MAX, memory, core: None, seen: [false; 4], last: None }
    }

    /// Checks that going from the last record to one at this place makes progress.
    fn is_onward(&mut self, place: Place) -> bool {
        if *self.core.get_or_insert(place.core) != place.core {
            return false;
        }
        let index = place.stack as usize;
        match self.last {
            Some(last) if stacks::find(last).is_some_and(|from| from.stack == place.stack) => self.fp > last,
            _ => !core::mem::replace(&mut self.seen[index], true),
        }
    }
}

impl<R: Memory> Iterator for Backtrace<R> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.left == 0 || !self.fp.is_multiple_of(8) {
            return None;
        }
        let (place, [caller, return_address]) = self.memory.record(self.fp)?;
        if !self.is_onward(place) || return_address == 0 {
            self.left = 0;
            return None;
        }
        self.left -= 1;
        self.last = Some(self.fp);
        self.fp = caller as usize;
        Some(return_address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stacks::Stack;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    /// Frame records by address; anything else on a stack reads as zeroes.
    struct Fake(BTreeMap<usize, [u64; 2]>);

    impl Memory for Fake {
        fn record(&self, address: usize) -> Option<(Place, [u64; 2])> {
            let place = stacks::find(address).filter(|place| !place.guard)?;
            Some((place, self.0.get(&address).copied().unwrap_or([0; 2])))
        }
    }

    fn walk(start: usize, records: &[(usize, usize, u64)]) -> Vec<u64> {
        let records = records.iter().map(|&(at, next, pc)| (at, [next as u64, pc])).collect();
        Backtrace::new(start as u64, Fake(records)).collect()
    }

    fn at(stack: Stack, offset: usize) -> usize {
        stacks::range(1, stack).start + offset
    }

    #[test]
    fn a_walk_goes_from_the_nmi_through_the_irq_to_the_thread() {
        let (nmi, irq, thread) = (at(Stack::Nmi, 64), at(Stack::Irq, 64), at(Stack::Thread, 64));
        let records = [
            (nmi, nmi + 32, 1),
            (nmi + 32, irq, 2),
            (irq, irq + 64, 3),
            (irq + 64, thread, 4),
            (thread, thread + 16, 5),
            (thread + 16, 0, 6),
        ];
        assert_eq!(walk(nmi, &records), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_chain_that_does_not_end_is_cut() {
        let low = at(Stack::Thread, 0);
        let records: Vec<_> = (0..200).map(|i| (low + 16 * i, low + 16 * (i + 1), 7)).collect();
        assert_eq!(walk(low, &records).len(), DEPTH_MAX);
    }

    #[test]
    fn loops_end() {
        let (irq, thread) = (at(Stack::Irq, 64), at(Stack::Thread, 64));
        assert_eq!(walk(irq, &[(irq, irq, 1)]), [1]);
        assert_eq!(walk(irq, &[(irq, thread, 1), (thread, irq, 2)]), [1, 2]);
        assert_eq!(walk(irq + 32, &[(irq + 32, irq, 1), (irq, irq + 32, 2)]), [1]);
    }

    #[test]
    fn records_outside_of_stacks_or_misaligned_end_the_walk() {
        let thread = at(Stack::Thread, 64);
        let guard = stacks::guard(1, Stack::Thread).start;
        let other_core = stacks::range(2, Stack::Irq).start;
        for bad in [0, 8, thread + 20, guard, usize::MAX, usize::MAX - 7, other_core] {
            assert_eq!(walk(thread, &[(thread, bad, 9), (bad, 0, 10)]), [9], "{bad:#x}");
        }
        assert_eq!(walk(usize::MAX, &[]), []);
    }

    #[test]
    fn real_stacks_of_a_host_are_read_without_trouble() {
        for stack in Stack::ALL {
            let range = stacks::range(0, stack);
            for start in [range.start, range.end - 16, range.end - 8, range.end] {
                assert!(backtrace(start as u64).count() <= DEPTH_MAX);
            }
        }
    }
}
