//! The driver on memory that keeps what is written: what it writes where, and what it makes of what it reads.

use super::*;
use std::boxed::Box;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The address of the CPU interface is one for all.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Offsets of registers.
const CTLR: usize = 0x000;
const TYPER: usize = 0x004;
const IGROUPR: usize = 0x080;
const ICENABLER: usize = 0x180;
const ISENABLER: usize = 0x100;
const ISACTIVER: usize = 0x300;
const IPRIORITYR: usize = 0x400;
const ITARGETSR: usize = 0x800;
const CPENDSGIR: usize = 0xf10;
const SPENDSGIR: usize = 0xf20;
const ICPIDR2: usize = 0xfe8;
const PMR: usize = 0x004;
const IAR: usize = 0x00c;
const EOIR: usize = 0x010;
const APR: usize = 0x0d0;

/// GICC_CTLR of the single state: AckCtl and both groups; and FIQEn.
const ALL_AS_IRQ: u32 = 0b0111;
const WITH_FIQ: u32 = 0b1111;

const TICK: IntId = IntId::ppi(14).unwrap();
const TICK_BIT: u32 = 1 << 30;
const UART: IntId = IntId::spi(1).unwrap();

/// A page of memory in place of registers.
#[derive(Clone, Copy)]
struct Page(*mut u32);

impl Page {
    fn new() -> Self {
        Self(Box::leak(Box::new([0; 0x400])).as_mut_ptr())
    }
    fn range(self) -> core::ops::Range<usize> {
        let start = self.0.expose_provenance();
        start..start + 0x1000
    }
    fn get(self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4) && offset < 0x1000);
        // SAFETY: inside the page, which is never freed.
        unsafe { self.0.add(offset / 4).read_volatile() }
    }
    fn set(self, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4) && offset < 0x1000);
        // SAFETY: inside the page, which is never freed.
        unsafe { self.0.add(offset / 4).write_volatile(value) }
    }
}

/// A GIC-400 of 96 interrupts.
struct Fake {
    gic: GicV2,
    distributor: Page,
    interface: Page,
    _guard: MutexGuard<'static, ()>,
}

fn fake() -> Fake {
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (distributor, interface) = (Page::new(), Page::new());
    distributor.set(ICPIDR2, 0x2b);
    distributor.set(TYPER, 2);
    let gic = GicV2::new(V2Regions { distributor: distributor.range(), interface: interface.range() }).unwrap();
    Fake { gic, distributor, interface, _guard: guard }
}

/// One that is ready, in the single state: memory keeps the groups.
fn ready() -> Fake {
    let fake = fake();
    fake.gic.init_distributor().unwrap();
    fake.gic.init_core().unwrap();
    fake
}

/// One whose groups belong to firmware; memory would keep them.
fn non_secure() -> Fake {
    let fake = fake();
    fake.gic.init_distributor().unwrap();
    fake.gic.single.store(false, Ordering::Relaxed);
    fake.gic.init_core().unwrap();
    fake
}

#[test]
fn what_is_no_gicv2_is_not_touched() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (distributor, interface) = (Page::new(), Page::new());
    let regions = V2Regions { distributor: distributor.range(), interface: interface.range() };
    assert_eq!(GicV2::new(regions).err(), Some(GicError::NotThere));
    for page in [distributor, interface] {
        assert!((0..0x1000).step_by(4).all(|offset| page.get(offset) == 0));
    }
}

#[test]
fn set_up_covers_the_interrupts_that_there_are_and_no_others() {
    let Fake { gic, distributor, interface, _guard } = ready();
    assert_eq!(gic.security(), Security::Single);
    assert_eq!(distributor.get(CTLR), 0b11);
    for block in 0..4 {
        assert_eq!(distributor.get(ICENABLER + 4 * block), if block < 3 { ALL } else { 0 }, "{block}");
        assert_eq!(distributor.get(IGROUPR + 4 * block), 0, "{block}");
        assert_eq!(distributor.get(ISENABLER + 4 * block), 0, "{block}");
        assert_eq!(distributor.get(CPENDSGIR + 4 * block), ALL, "{block}");
    }
    for word in (0..128).step_by(4) {
        assert_eq!(distributor.get(IPRIORITYR + word), if word < 96 { 0xd0d0_d0d0 } else { 0 }, "{word}");
    }
    assert_eq!(interface.get(CTLR), ALL_AS_IRQ);
    assert_eq!(interface.get(PMR), u32::from(MASK_ORDINARY));
    assert_eq!(Gic::interface(&gic), Interface::Memory(interface.range().start));
}

#[test]
fn what_firmware_and_the_boot_before_left_in_the_interface_is_put_right() {
    let Fake { gic, interface, _guard, .. } = fake();
    // An end that does not deactivate, the bypass as it must be, and a priority that is active.
    interface.set(CTLR, 0x3e1);
    interface.set(APR, 1 << 26);
    gic.init_distributor().unwrap();
    gic.init_core().unwrap();
    assert_eq!(interface.get(CTLR), 0x1e0 | ALL_AS_IRQ);
    assert_eq!(interface.get(APR), 0);
}

#[test]
fn an_fiq_is_alone_in_group_0_and_given_up_it_is_an_irq_again() {
    let Fake { gic, distributor, interface, _guard } = ready();
    gic.enable(TICK, Class::Fiq).unwrap();
    let groups = || [0, 1, 2].map(|block| distributor.get(IGROUPR + 4 * block));
    assert_eq!(groups(), [!TICK_BIT, ALL, ALL]);
    assert_eq!(interface.get(CTLR), WITH_FIQ);
    gic.enable(IntId::ppi(11).unwrap(), Class::Ordinary).unwrap();
    assert_eq!((groups()[0], interface.get(CTLR)), (!TICK_BIT, WITH_FIQ), "an ordinary one changes nothing of that");
    assert_eq!(gic.enable(UART, Class::Fiq), Err(GicError::NotOffered("a shared interrupt can only be an IRQ")));
    gic.init_core().unwrap();
    gic.enable(TICK, Class::Nmi).unwrap();
    assert_eq!((groups()[0], interface.get(CTLR)), (0, ALL_AS_IRQ));
}

#[test]
fn in_the_non_secure_view_only_what_it_has_is_written_and_there_is_no_fiq() {
    let Fake { gic, interface, _guard, .. } = non_secure();
    assert_eq!(interface.get(CTLR), 1);
    assert_eq!(gic.enable(TICK, Class::Fiq), Err(GicError::NotOffered("FIQ: group 0 belongs to the firmware")));
    assert_eq!(interface.get(CTLR), 1);
    gic.enable(TICK, Class::Nmi).unwrap();
}

#[test]
fn an_enabled_interrupt_has_its_priority_and_a_shared_one_its_core() {
    let Fake { gic, distributor, _guard, .. } = ready();
    // Of the private interrupts only one knows the core.
    distributor.set(ITARGETSR + 28, 0x0000_0400);
    gic.enable(TICK, Class::Nmi).unwrap();
    assert_eq!(distributor.get(IPRIORITYR + 28), 0xd020_d0d0, "of four neighbours one changes");
    assert_eq!(distributor.get(ISENABLER), TICK_BIT);
    assert_eq!(distributor.get(ITARGETSR + 28), 0x0000_0400);
    gic.enable(UART, Class::Ordinary).unwrap();
    assert_eq!(distributor.get(ITARGETSR + 32), 0x0000_0400, "of four neighbours one changes");
    assert_eq!(distributor.get(ISENABLER + 4), 1 << 1);
    gic.disable(UART).unwrap();
    assert_eq!(distributor.get(ICENABLER + 4), 1 << 1);
    let none = IntId::spi(64).unwrap();
    assert_eq!(gic.enable(none, Class::Ordinary), Err(GicError::NoSuchInterrupt(96)));
    assert_eq!(gic.disable(none), Err(GicError::NoSuchInterrupt(96)));
    assert!(matches!(gic.enable(TICK, Class::Superpriority), Err(GicError::NotOffered(_))));
}

#[test]
fn what_is_acknowledged_is_ended_by_its_number_and_special_numbers_are_nothing() {
    let Fake { gic, interface, _guard, .. } = ready();
    for line in [Line::Irq, Line::Fiq] {
        // The upper bits say who sent a software-generated interrupt.
        for (read, expected) in [(30, Some(TICK)), (0x1c00 | 33, Some(UART)), (1022, None), (1023, None), (0xc03, None)]
        {
            interface.set(IAR, read);
            assert_eq!(gic.acknowledge(line), expected, "{read:#x}");
        }
        gic.end(line, UART);
        assert_eq!(interface.get(EOIR), 33);
    }
}

#[test]
fn a_core_sees_the_software_generated_interrupts_of_its_own_only() {
    let Fake { gic, distributor, _guard, .. } = ready();
    assert_eq!(gic.pending_sgis(0), Some(0));
    distributor.set(SPENDSGIR + 4, 0x0002_0000);
    distributor.set(ISACTIVER, 1 << 3 | TICK_BIT);
    assert_eq!(gic.pending_sgis(0), Some(1 << 6 | 1 << 3));
    assert_eq!(gic.pending_sgis(1), None);
}

#[test]
fn the_priority_mask_nests() {
    let Fake { gic, interface, _guard, .. } = ready();
    gic.open_priority_mask();
    let outer = priority_mask::mask();
    let inner = priority_mask::mask();
    assert_eq!(interface.get(PMR), u32::from(MASK_ORDINARY));
    priority_mask::set(inner);
    assert_eq!(priority_mask::get(), MASK_ORDINARY);
    priority_mask::set(outer);
    assert_eq!(priority_mask::get(), MASK_NOTHING);
}
