//! What the device tree says of the hardware, as the boards want to hear it.

use crate::device_tree::{Conduit, GicInterrupt, Interrupt, Malformed, Node, Stdout, Tree};
use arch::gic::bcm2836::Bcm2836Regions;
use arch::gic::v2::V2Regions;
use arch::gic::{IntId, V3_REGIONS_MAX, V3Regions};
use arch::nmi::Ticks;
use boards::{ConsoleInfo, ConsoleKind, Found, GicInfo, WatchdogInfo, WatchdogKind};
use core::ops::Range;

/// Looks for everything that a board needs. What is malformed is told to `warn` and left out.
pub fn find<'a>(tree: &Tree<'a>, mut warn: impl FnMut(Malformed<'a>)) -> Found {
    let mut found = Found::default();
    let stdout = told(tree.stdout(), &mut warn);
    found.stdout_unknown = stdout.as_ref().is_some_and(|stdout| console_kind(&stdout.node).is_none());
    found.console = told(console(tree, stdout), &mut warn);
    found.gic = told(gic(tree), &mut warn);
    found.psci = told(tree.psci(), &mut warn).map(conduit_of);
    found.timers = told(tree.timer_interrupts(), &mut warn).and_then(|timer| {
        let interrupt = |interrupt: Option<Interrupt>| interrupt.and_then(|i| intid(&i));
        let both = interrupt(timer.physical).zip(interrupt(timer.virtual_timer));
        both.map(|(stop, ordinary)| Ticks { stop, ordinary, hypervisor: interrupt(timer.hypervisor) })
    });
    found.watchdog = told(watchdog(tree), &mut warn);
    found
}

/// Looks for the console alone.
#[must_use]
pub fn find_console(tree: &Tree<'_>) -> Option<ConsoleInfo> {
    let stdout = tree.stdout().unwrap_or(None);
    console(tree, stdout).unwrap_or(None)
}

/// What is there and well-formed.
fn told<'a, T>(result: Result<Option<T>, Malformed<'a>>, warn: &mut impl FnMut(Malformed<'a>)) -> Option<T> {
    result.unwrap_or_else(|malformed| {
        warn(malformed);
        None
    })
}

fn console_kind(node: &Node<'_>) -> Option<ConsoleKind> {
    node.strings("compatible").find_map(ConsoleKind::from_compatible)
}

/// The console that `/chosen` names, or the first one that there is a driver for.
fn console<'a>(tree: &Tree<'a>, stdout: Option<Stdout<'a>>) -> Result<Option<ConsoleInfo>, Malformed<'a>> {
    let named = stdout.filter(|stdout| console_kind(&stdout.node).is_some());
    let baud = named.as_ref().and_then(|stdout| baud(stdout.options?));
    let named = named.map(|stdout| stdout.node);
    let Some(node) = named.or_else(|| tree.find(|node| node.is_enabled() && console_kind(node).is_some())) else {
        return Ok(None);
    };
    let (Some(kind), Some(mut registers)) = (console_kind(&node), range(node.region(0)?)) else { return Ok(None) };
    let small = |name, otherwise| node.u32(name).map_or(otherwise, |value| u8::try_from(value).unwrap_or(u8::MAX));
    // An offset that leaves nothing is refused as too few registers.
    registers.start = registers.start.saturating_add(node.u32("reg-offset").unwrap_or(0) as usize);
    let (shift, width) = (small("reg-shift", 0), small("reg-io-width", 1));
    let clock_hz = node.u32("clock-frequency").or_else(|| clock_hz(tree, &node));
    Ok(Some(ConsoleInfo { kind, registers, clock_hz, baud, shift, width }))
}

/// The bits per second at the front of a console's options, such as `115200n8`.
fn baud(options: &str) -> Option<u32> {
    let digits = options.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|baud| *baud > 0)
}

/// The frequency of a device's first clock, if that is one that the tree tells.
fn clock_hz<'a>(tree: &Tree<'a>, node: &Node<'a>) -> Option<u32> {
    let (phandle, _) = node.property("clocks")?.split_first_chunk()?;
    tree.node_by_phandle(u32::from_be_bytes(*phandle))?.u32("clock-frequency")
}

/// The first watchdog that there is a driver for, else a PCI bus that may have one.
fn watchdog<'a>(tree: &Tree<'a>) -> Result<Option<WatchdogInfo>, Malformed<'a>> {
    let kind = |node: &Node<'a>| node.strings("compatible").find_map(WatchdogKind::from_compatible);
    let find = |on_pci: bool| {
        let is_one = |kind: WatchdogKind| (kind == WatchdogKind::Pci) == on_pci;
        tree.find(|node| kind(node).is_some_and(is_one) && node.is_enabled())
    };
    let Some(node) = find(false).or_else(|| find(true)) else { return Ok(None) };
    let (Some(kind), Some(registers)) = (kind(&node), range(node.region(0)?)) else { return Ok(None) };
    let window = if kind == WatchdogKind::Pci { pci_window(&node) } else { 0..0 };
    Ok(Some(WatchdogInfo { kind, registers, window, clock_hz: clock_hz(tree, &node) }))
}

/// The memory below 4 GiB of a PCI bus under the root, if the CPU has it at the same addresses; else nothing.
fn pci_window(node: &Node<'_>) -> Range<usize> {
    /// PCI Bus Binding, 2.2.1.1: non-relocatable, 32 bits of memory space, nothing else.
    const MEMORY_32: u32 = 0x0200_0000;
    /// Three cells on the bus, two for the CPU, two of size.
    const ENTRY: usize = 28;
    let number = |bytes: &[u8]| bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let entries = node.property("ranges").unwrap_or_default().as_chunks::<ENTRY>().0;
    let window = entries.iter().find_map(|entry| {
        let (space, bus, cpu, size) = (&entry[..4], &entry[4..12], &entry[12..20], &entry[20..]);
        let same = number(space) == u64::from(MEMORY_32) && bus == cpu;
        same.then(|| number(cpu) as usize..number(cpu).saturating_add(number(size)) as usize)
    });
    window.unwrap_or(0..0)
}

/// The interrupt controller, if it is one that there is a driver for.
fn gic<'a>(tree: &Tree<'a>) -> Result<Option<GicInfo>, Malformed<'a>> {
    let Some(node) = tree.find_compatible(&["arm,gic-v3"]) else { return gic_v2(tree) };
    let Some(distributor) = range(node.region(0)?) else { return Ok(None) };
    let regions = node.u32("#redistributor-regions").unwrap_or(1) as usize;
    let mut redistributors = [const { 0..0 }; V3_REGIONS_MAX];
    for (index, slot) in redistributors.iter_mut().enumerate().take(regions) {
        if let Some(region) = range(node.region(1 + index)?) {
            *slot = region;
        }
    }
    let stride = node.number("redistributor-stride").and_then(|stride| usize::try_from(stride).ok());
    Ok(Some(GicInfo::V3(V3Regions { distributor, redistributors, stride: stride.filter(|stride| *stride > 0) })))
}

/// The older interrupt controller, whose CPU interface is in memory too.
fn gic_v2<'a>(tree: &Tree<'a>) -> Result<Option<GicInfo>, Malformed<'a>> {
    const NAMES: [&str; 4] = ["arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a7-gic", "arm,cortex-a9-gic"];
    let Some(node) = tree.find_compatible(&NAMES) else { return bcm2836(tree) };
    let registers = range(node.region(0)?).zip(range(node.region(1)?));
    Ok(registers.map(|(distributor, interface)| GicInfo::V2(V2Regions { distributor, interface })))
}

/// What the Raspberry Pi 3 has in place of one, and the controller of the GPU's interrupts below it. The Raspberry Pi 4 and 5 have
/// it too, but theirs is not what their interrupts come through.
fn bcm2836<'a>(tree: &Tree<'a>) -> Result<Option<GicInfo>, Malformed<'a>> {
    let Some(node) = tree.find_compatible(&["brcm,bcm2836-l1-intc"]) else { return Ok(None) };
    let gpu = match tree.find_compatible(&["brcm,bcm2836-armctrl-ic"]) {
        Some(gpu) => range(gpu.region(0)?).unwrap_or(0..0),
        None => 0..0,
    };
    Ok(range(node.region(0)?).map(|local| GicInfo::Bcm2836(Bcm2836Regions { local, gpu })))
}

fn range(region: crate::device_tree::Region) -> Option<Range<usize>> {
    let range = region.range()?;
    Some(usize::try_from(range.base()).ok()?..usize::try_from(range.end()?).ok()?)
}

fn conduit_of(conduit: Conduit) -> arch::psci::Conduit {
    match conduit {
        Conduit::Hvc => arch::psci::Conduit::Hvc,
        Conduit::Smc => arch::psci::Conduit::Smc,
    }
}

fn intid(interrupt: &Interrupt) -> Option<IntId> {
    // Two cells: a local interrupt of a BCM2836 and its flags.
    if let [local, _] = interrupt.cells() {
        return IntId::ppi(*local);
    }
    let GicInterrupt { intid, .. } = interrupt.gic()?;
    IntId::from_number(intid)
}
