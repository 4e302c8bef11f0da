//! The seam: what the kernel asks of a board, and what it tells it from the device tree.

use core::fmt;
use core::ops::Range;

use arch::gic::V3Regions;
use arch::gic::bcm2836::Bcm2836Regions;
use arch::gic::v2::V2Regions;
use arch::nmi::Ticks;
use arch::psci::Conduit;

use crate::console::{Console, ConsoleError};
use crate::reset::ResetWay;
use crate::watchdog::WatchdogInfo;

/// What the kernel found in the device tree. Register ranges are physical, `ranges` applied.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The console: `/chosen/stdout-path`, or the first UART.
    pub console: Option<ConsoleInfo>,
    /// `/chosen/stdout-path` names something that has no driver.
    pub stdout_unknown: bool,
    /// The interrupt controller.
    pub gic: Option<GicInfo>,
    /// The firmware's conduit.
    pub psci: Option<Conduit>,
    /// The timers of each core: the timer node's `interrupts`, second to fourth entry.
    pub timers: Option<Ticks>,
    /// The watchdog, or a bus that may have one.
    pub watchdog: Option<WatchdogInfo>,
}

/// A console as the device tree describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleInfo {
    /// Which chip.
    pub kind: ConsoleKind,
    /// Its registers; to be mapped as device registers before it is used.
    pub registers: Range<usize>,
    /// The frequency of its clock in Hz, if the device tree says it.
    pub clock_hz: Option<u32>,
    /// Bits per second, if `stdout-path` says them.
    pub baud: Option<u32>,
    /// Of an 8250: bytes from one register to the next, as a power of two (`reg-shift`).
    pub shift: u8,
    /// Of an 8250: bytes of an access (`reg-io-width`).
    pub width: u8,
}

impl ConsoleInfo {
    /// A PL011 of which nothing is known.
    pub const EMPTY: Self =
        Self { kind: ConsoleKind::Pl011, registers: 0..0, clock_hz: None, baud: None, shift: 0, width: 1 };
}

/// Chips with a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleKind {
    /// `arm,pl011`.
    Pl011,
    /// An 8250 or one of its descendants.
    Ns16550,
    /// `brcm,bcm2835-aux-uart`.
    MiniUart,
}

impl ConsoleKind {
    /// By a name in the node's `compatible`.
    #[must_use]
    pub fn from_compatible(name: &str) -> Option<Self> {
        match name {
            "arm,pl011" | "arm,pl011-axi" => Some(ConsoleKind::Pl011),
            "ns16550a" | "ns16550" | "ns8250" | "snps,dw-apb-uart" => Some(ConsoleKind::Ns16550),
            "brcm,bcm2835-aux-uart" => Some(ConsoleKind::MiniUart),
            _ => None,
        }
    }
}

/// An interrupt controller as the device tree describes it; to be mapped as device registers before it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GicInfo {
    /// `arm,gic-400` and its like.
    V2(V2Regions),
    /// `arm,gic-v3`.
    V3(V3Regions),
    /// `brcm,bcm2836-l1-intc`: no GIC, but behind the same seam.
    Bcm2836(Bcm2836Regions),
}

impl GicInfo {
    /// All ranges of registers.
    pub fn registers(&self) -> impl Iterator<Item = &Range<usize>> {
        let (distributor, others) = match self {
            GicInfo::V2(regions) => (&regions.distributor, core::slice::from_ref(&regions.interface)),
            GicInfo::V3(regions) => (&regions.distributor, &regions.redistributors[..]),
            GicInfo::Bcm2836(regions) => (&regions.local, core::slice::from_ref(&regions.gpu)),
        };
        core::iter::once(distributor).chain(others).filter(|range| !range.is_empty())
    }
}

/// Memory which is RAM and yet not fit for the persistent region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryQuirk {
    /// Where.
    pub range: Range<usize>,
    /// Why, in words for people.
    pub why: &'static str,
}

/// What a board may look up in the device tree by itself.
pub trait DeviceTree {
    /// A property of one cell; None if it is not there or of another size.
    fn u32(&self, node: &str, property: &str) -> Option<u32>;
}

/// A board.
pub trait Board: Sync {
    /// One word for it, as its files are named by.
    fn id(&self) -> &'static str;

    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// The names of the root node's `compatible` that mean this board.
    fn compatible(&self) -> &'static [&'static str];

    /// Makes the console ready and hands it out. The first call counts; its registers must be mapped.
    ///
    /// # Errors
    ///
    /// [`ConsoleError`].
    fn console(&self, info: &ConsoleInfo) -> Result<&'static dyn Console, ConsoleError>;

    /// Ways to reset that keep memory, the best first.
    fn reset_ways(&self) -> &'static [ResetWay];

    /// What its firmware tells in the device tree about this boot, in lines for people.
    fn tell(&self, _tree: &dyn DeviceTree, _say: &mut dyn FnMut(fmt::Arguments<'_>)) {}

    /// Memory that does not keep its content over a reset.
    fn memory_quirks(&self) -> &'static [MemoryQuirk] {
        &[]
    }
}
