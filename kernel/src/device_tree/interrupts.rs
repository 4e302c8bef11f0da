//! Interrupts of a device, and those of the generic timer (Devicetree Specification 0.4, 2.4; Linux's bindings for the GIC and
//! for arch_timer).

use super::cells::{Malformed, Problem};
use super::node::raw_property;
use super::structure::word;
use super::{Node, Tree};

/// Most cells that any interrupt controller uses for one interrupt.
const MOST_CELLS: usize = 4;

/// One interrupt as its controller writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    cells: [u32; MOST_CELLS],
    count: usize,
}

/// One interrupt of a GIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GicInterrupt {
    /// Its INTID: 16 to 31 private to each core, from 32 shared.
    pub intid: u32,
    /// How it is signalled.
    pub trigger: Trigger,
}

/// How an interrupt is signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// By an edge.
    Edge,
    /// By a level.
    Level,
}

impl Interrupt {
    /// The raw cells.
    pub fn cells(&self) -> &[u32] {
        self.cells.get(..self.count).unwrap_or_default()
    }

    /// The interrupt, if its controller is a GIC (three cells or more: kind, number, flags).
    pub fn gic(&self) -> Option<GicInterrupt> {
        let [kind, number, flags, ..] = self.cells() else { return None };
        // Kind: SPI, PPI, and the extended ones of GICv3.1. The first INTID of each kind, and how many there are.
        let (first, count) = match kind {
            0 => (32, 988),
            1 => (16, 16),
            2 => (4096, 1024),
            3 => (1056, 64),
            _ => return None,
        };
        // Flags: 1 rising, 2 falling edge; 4 high, 8 low level.
        let trigger = if flags & 0x3 != 0 { Trigger::Edge } else { Trigger::Level };
        (*number < count).then(|| GicInterrupt { intid: first + number, trigger })
    }
}

/// Iterates over a device's interrupts: see [`Tree::interrupts`].
#[derive(Clone, Debug, Default)]
pub struct Interrupts<'a> {
    rest: &'a [u8],
    /// Cells of one interrupt: at least one and at most [`MOST_CELLS`] unless `rest` is empty.
    count: usize,
}

impl Iterator for Interrupts<'_> {
    type Item = Interrupt;

    fn next(&mut self) -> Option<Interrupt> {
        let mut interrupt = Interrupt { cells: [0; MOST_CELLS], count: self.count };
        for (index, cell) in interrupt.cells.iter_mut().enumerate().take(self.count) {
            *cell = word(self.rest, index * 4)?;
        }
        self.rest = self.rest.get(self.count * 4..).filter(|_| self.count > 0)?;
        Some(interrupt)
    }
}

/// The interrupts of the generic timer, each None if the tree does not have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerInterrupts {
    /// Secure physical timer (INTID 29 by Arm's convention).
    pub secure_physical: Option<Interrupt>,
    /// EL1 physical timer, CNTP (30).
    pub physical: Option<Interrupt>,
    /// Virtual timer, CNTV (27).
    pub virtual_timer: Option<Interrupt>,
    /// EL2 physical timer, CNTHP (26).
    pub hypervisor: Option<Interrupt>,
    /// EL2 virtual timer, CNTHV (28).
    pub hypervisor_virtual: Option<Interrupt>,
}

impl<'a> Tree<'a> {
    /// The interrupts of `node`, as its interrupt controller writes them. A node without `interrupts` has none
    /// (`interrupts-extended` is not read).
    ///
    /// # Errors
    /// [`Malformed`]: the controller cannot be found, or the length does not fit its cells.
    pub fn interrupts(&self, node: &Node<'a>) -> Result<Interrupts<'a>, Malformed<'a>> {
        let Some(value) = node.property("interrupts") else { return Ok(Interrupts::default()) };
        let cells =
            self.interrupt_cells(node).ok_or_else(|| node.malformed("interrupt-parent", Problem::NoSuchNode))?;
        let count = usize::try_from(cells).ok().filter(|count| (1..=MOST_CELLS).contains(count));
        match count.filter(|count| value.len().is_multiple_of(count * 4)) {
            Some(count) => Ok(Interrupts { rest: value, count }),
            None => Err(node.malformed("interrupts", Problem::InterruptLength { bytes: value.len(), cells })),
        }
    }

    /// The interrupts of the generic timer; None if the tree has no timer node.
    ///
    /// # Errors
    /// As [`Self::interrupts`].
    pub fn timer_interrupts(&self) -> Result<Option<TimerInterrupts>, Malformed<'a>> {
        let Some(node) = self.find_compatible(&["arm,armv8-timer", "arm,armv7-timer"]) else { return Ok(None) };
        let mut timer = TimerInterrupts::default();
        // Without `interrupt-names` the order is fixed.
        let mut names = node.strings("interrupt-names");
        let fixed = ["sec-phys", "phys", "virt", "hyp-phys", "hyp-virt"];
        let named = node.has("interrupt-names");
        for (index, interrupt) in self.interrupts(&node)?.enumerate() {
            let name = if named { names.next() } else { fixed.get(index).copied() };
            let slot = match name {
                Some("sec-phys") => &mut timer.secure_physical,
                Some("phys") => &mut timer.physical,
                Some("virt") => &mut timer.virtual_timer,
                Some("hyp-phys") => &mut timer.hypervisor,
                Some("hyp-virt") => &mut timer.hypervisor_virtual,
                Some(_) => continue,
                None => break,
            };
            *slot = Some(interrupt);
        }
        Ok(Some(timer))
    }

    /// `#interrupt-cells` of the controller of `node`: the one that it or the nearest ancestor names, or an ancestor itself.
    fn interrupt_cells(&self, node: &Node<'a>) -> Option<u32> {
        let one_cell = |value: &[u8]| word(value, 0).filter(|_| value.len() == 4);
        for (height, raw) in node.way().iter().rev().enumerate() {
            if height > 0
                && let Some(cells) = raw_property(raw, "#interrupt-cells")
            {
                return one_cell(cells);
            }
            if let Some(phandle) = raw_property(raw, "interrupt-parent") {
                return self.node_by_phandle(one_cell(phandle)?)?.u32("#interrupt-cells");
            }
        }
        None
    }
}
