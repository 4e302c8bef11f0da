//! The seam to interrupt controllers: what the kernel and the means of stop ask of any of them.
//!
//! There are two priorities and no function that sends an inter-processor interrupt. The priorities are one set for
//! every security setting: firmware that keeps half of the range for itself shows the other half shifted by one
//! bit, and these values keep their order either way.

use core::fmt;
use core::ops::Range;

pub mod bcm2836;
pub mod v2;
pub mod v3;

/// Priority of the tick that looks for the stop word. Lower numbers are more urgent.
pub const PRIORITY_NMI: u8 = 0x20;
/// Priority of all other interrupts.
pub const PRIORITY_ORDINARY: u8 = 0xd0;
/// Priority mask that keeps out ordinary interrupts and lets the tick through.
pub const MASK_ORDINARY: u8 = 0xc0;
/// Priority mask that lets everything through.
pub const MASK_NOTHING: u8 = 0xf0;

const _: () = assert!(PRIORITY_NMI < MASK_ORDINARY && MASK_ORDINARY <= PRIORITY_ORDINARY);
const _: () = assert!(PRIORITY_ORDINARY < MASK_NOTHING);

/// An interrupt's number in the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IntId(u32);

/// First number of private peripheral interrupts; below are software-generated ones.
const PPI_BASE: u32 = 16;
/// First number of shared peripheral interrupts.
const SPI_BASE: u32 = 32;
/// First number that is no interrupt but says something (1023: nothing pending).
const SPECIAL_BASE: u32 = 1020;

impl IntId {
    /// The private peripheral interrupt `n` (0 to 15) of each core, as a device tree numbers it.
    #[must_use]
    pub const fn ppi(n: u32) -> Option<Self> {
        if n < SPI_BASE - PPI_BASE { Some(Self(PPI_BASE + n)) } else { None }
    }

    /// The shared peripheral interrupt `n`, as a device tree numbers it.
    #[must_use]
    pub const fn spi(n: u32) -> Option<Self> {
        if n < SPECIAL_BASE - SPI_BASE { Some(Self(SPI_BASE + n)) } else { None }
    }

    /// From the first two cells of an `interrupts` property under a GIC: type (0 SPI, 1 PPI) and number.
    #[must_use]
    pub const fn from_device_tree(kind: u32, number: u32) -> Option<Self> {
        match kind {
            0 => Self::spi(number),
            1 => Self::ppi(number),
            _ => None,
        }
    }

    /// From the number in the controller's own registers; `None` for software-generated and special numbers.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        if number >= PPI_BASE && number < SPECIAL_BASE { Some(Self(number)) } else { None }
    }

    /// The number in the controller's registers.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Whether each core has its own.
    #[must_use]
    pub const fn is_private(self) -> bool {
        self.0 < SPI_BASE
    }
}

impl fmt::Display for IntId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_private() { write!(f, "PPI {}", self.0 - PPI_BASE) } else { write!(f, "SPI {}", self.0 - SPI_BASE) }
    }
}

/// Which line an interrupt comes in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// IRQ.
    Irq,
    /// FIQ.
    Fiq,
}

/// How an interrupt is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// As IRQ, and through while ordinary ones are masked by priority.
    Nmi,
    /// As FIQ (group 0), urgent.
    Fiq,
    /// As IRQ with superpriority (FEAT_GICv3_NMI): through while PSTATE.I is set.
    Superpriority,
    /// As IRQ, the only one that is enabled, for an EL2 that takes it whatever is masked below.
    Hypervisor,
    /// Everything else: as IRQ.
    Ordinary,
}

impl Class {
    /// Its priority.
    #[must_use]
    pub const fn priority(self) -> u8 {
        match self {
            Class::Nmi | Class::Fiq | Class::Superpriority | Class::Hypervisor => PRIORITY_NMI,
            Class::Ordinary => PRIORITY_ORDINARY,
        }
    }
}

/// Where a core acknowledges and ends interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// System registers.
    SystemRegisters,
    /// Registers at this address, laid out as GICv2's CPU interface.
    Memory(usize),
    /// Nowhere: an interrupt stays until its source is quiet.
    None,
}

/// What the controller lets this exception level see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// One security state: everything is visible, priorities are as written.
    Single,
    /// The non-secure view of two: group 0 and half of the priorities belong to firmware.
    NonSecure,
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Security::Single => "one security state",
            Security::NonSecure => "non-secure view of two security states",
        })
    }
}

/// Why a controller cannot be used, or not this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GicError {
    /// The registers do not say that this is such a controller. The device tree is wrong.
    NotThere,
    /// Firmware keeps the system registers of the CPU interface off.
    NoSystemRegisters,
    /// No redistributor names this core. The device tree or the affinity is wrong.
    NoRedistributor,
    /// A register did not change in a long time. The hardware is not powered or not clocked.
    Stuck,
    /// A priority or a priority mask did not keep what was written: no masking by priority here.
    PriorityRefused {
        /// What was written.
        wrote: u8,
        /// What was read back.
        read: u8,
    },
    /// The controller has no such interrupt.
    NoSuchInterrupt(u32),
    /// It cannot deliver an interrupt in this way: in words, why.
    NotOffered(&'static str),
}

impl fmt::Display for GicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GicError::NotThere => f.write_str("no such interrupt controller at its address"),
            GicError::NoSystemRegisters => f.write_str("firmware keeps the CPU interface's system registers off"),
            GicError::NoRedistributor => f.write_str("no redistributor for this core"),
            GicError::Stuck => f.write_str("a register of the interrupt controller is stuck"),
            GicError::PriorityRefused { wrote, read } => {
                write!(f, "priority {wrote:#04x} was kept as {read:#04x}")
            }
            GicError::NoSuchInterrupt(number) => write!(f, "no interrupt {number}"),
            GicError::NotOffered(why) => f.write_str(why),
        }
    }
}

/// Where a controller's registers are: the `reg` of its device tree node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V3Regions {
    /// The distributor.
    pub distributor: Range<usize>,
    /// The ranges of redistributors; unused entries are empty.
    pub redistributors: [Range<usize>; V3_REGIONS_MAX],
    /// `redistributor-stride`, if the node has it.
    pub stride: Option<usize>,
}

/// Most redistributor ranges that are looked at.
pub const V3_REGIONS_MAX: usize = 8;

/// An interrupt controller.
pub trait Gic: Sync {
    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// Sets up what all cores share: everything off, shared interrupts ordinary. Once, on the boot core.
    ///
    /// # Errors
    ///
    /// [`GicError`].
    fn init_distributor(&self) -> Result<(), GicError>;

    /// Sets up the calling core's part: its private interrupts off and ordinary, priority mask at "ordinary masked",
    /// and checks that the priorities are kept. Everything must be masked by DAIF.
    ///
    /// # Errors
    ///
    /// [`GicError`].
    fn init_core(&self) -> Result<(), GicError>;

    /// Enables an interrupt: a private one on this core, a shared one routed to this core.
    ///
    /// # Errors
    ///
    /// [`GicError::NoSuchInterrupt`], [`GicError::PriorityRefused`], [`GicError::NotOffered`].
    fn enable(&self, id: IntId, class: Class) -> Result<(), GicError>;

    /// Disables an interrupt.
    ///
    /// # Errors
    ///
    /// [`GicError::NoSuchInterrupt`].
    fn disable(&self, id: IntId) -> Result<(), GicError>;

    /// Lets interrupts of every priority through to the calling core: PSTATE masks them from now on.
    fn open_priority_mask(&self);

    /// Takes the most urgent interrupt that is pending on a line; `None` if there is none after all.
    fn acknowledge(&self, line: Line) -> Option<IntId>;

    /// Ends an interrupt that was taken from a line (priority drop and deactivation in one): the last taken first.
    fn end(&self, line: Line, id: IntId);

    /// What this exception level sees.
    fn security(&self) -> Security;

    /// The software-generated interrupts that are pending or active on a core, one bit each; `None` if it was not set up.
    /// Nothing here sends any: not 0 means that somebody else did.
    fn pending_sgis(&self, core: usize) -> Option<u16>;

    /// Where a core acknowledges and ends interrupts.
    fn interface(&self) -> Interface;

    /// How a critical section masks ordinary interrupts if the tick is one of high priority.
    fn masking(&self) -> crate::irq::Masking;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_are_numbered_as_in_device_trees() {
        assert_eq!(IntId::from_device_tree(1, 14).unwrap().number(), 30);
        assert_eq!(IntId::from_device_tree(1, 11).unwrap().number(), 27);
        assert_eq!(IntId::from_device_tree(0, 1).unwrap().number(), 33);
        for (kind, number) in [(0, 988), (1, 16), (2, 0), (u32::MAX, u32::MAX), (0, u32::MAX), (1, u32::MAX)] {
            assert_eq!(IntId::from_device_tree(kind, number), None);
        }
        for number in [0, 15, 1020, 1023, u32::MAX] {
            assert_eq!(IntId::from_number(number), None);
        }
    }

    /// What the distributor makes of a priority that is written through the non-secure view.
    fn secure_view(priority: u8) -> u8 {
        0x80 | priority >> 1
    }

    #[test]
    fn the_mask_lets_the_right_ones_through_in_every_security_setting() {
        // (distributor shifts, CPU interface shifts): single, both, and firmware which keeps FIQ for nobody.
        for (distributor, interface) in [(false, false), (true, true), (true, false)] {
            for bits in 4..=8u32 {
                let kept = |value: u8| value & !((1u16 << (8 - bits)) - 1) as u8;
                let seen = |shift, value| kept(if shift { secure_view(kept(value)) } else { value });
                let passes = |priority, mask| seen(distributor, priority) < seen(interface, mask);
                if distributor && bits == 4 {
                    continue; // two security states have at least 5 bits
                }
                assert!(passes(PRIORITY_NMI, MASK_ORDINARY), "{distributor} {interface} {bits}");
                assert!(!passes(PRIORITY_ORDINARY, MASK_ORDINARY), "{distributor} {interface} {bits}");
                assert!(passes(PRIORITY_NMI, MASK_NOTHING) && passes(PRIORITY_ORDINARY, MASK_NOTHING));
            }
        }
    }
}
