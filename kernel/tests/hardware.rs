//! What boards are told of real machines: which watchdog, which console clock, which interrupt controller and timers.

mod support;

use arch::gic::v2::V2Regions;
use arch::gic::{IntId, V3Regions};
use arch::nmi::Ticks;
use boards::{GicInfo, WatchdogInfo, WatchdogKind};
use kernel::device_tree::validate;
use kernel::hardware;
use support::dtb;

#[test]
fn the_watchdog_of_each_machine_is_found_where_the_cpu_sees_it() {
    let bcm2835 = |registers| WatchdogInfo { kind: WatchdogKind::Bcm2835, registers, window: 0..0, clock_hz: None };
    // Above 4 GiB, with the memory of its bus below.
    let bus = WatchdogInfo {
        kind: WatchdogKind::Pci,
        registers: 0x40_1000_0000..0x40_2000_0000,
        window: 0x1000_0000..0x3eff_0000,
        clock_hz: None,
    };
    for (tree, expected) in [
        ("virt", Some(bus.clone())),
        ("virt-gicv2", Some(bus)),
        ("bcm2711-rpi-4-b", Some(bcm2835(0xfe10_0000..0xfe10_0114))),
        ("raspi4b", Some(bcm2835(0xfe10_0000..0xfe10_0114))),
        ("bcm2837-rpi-3-b", Some(bcm2835(0x3f10_0000..0x3f10_0114))),
        ("trees/soc", None),
    ] {
        let bytes = dtb(tree);
        let found = hardware::find(&validate(&bytes).unwrap(), |problem| panic!("{tree}: {problem}"));
        assert_eq!(found.watchdog, expected, "{tree}");
    }
}

#[test]
fn the_first_clock_of_a_console_counts_and_one_that_the_tree_does_not_tell_is_left_open() {
    for (tree, expected) in [("virt", Some(24_000_000)), ("bcm2711-rpi-4-b", None)] {
        let bytes = dtb(tree);
        let found = hardware::find(&validate(&bytes).unwrap(), |problem| panic!("{tree}: {problem}"));
        assert_eq!(found.console.unwrap().clock_hz, expected, "{tree}");
    }
}

#[test]
fn the_interrupt_controller_of_each_machine_is_found_where_the_cpu_sees_it_with_its_timers() {
    let v2 = |distributor, interface| Some(GicInfo::V2(V2Regions { distributor, interface }));
    let mut redistributors = [const { 0..0 }; arch::gic::V3_REGIONS_MAX];
    redistributors[0] = 0x80a_0000..0x900_0000;
    let v3 = V3Regions { distributor: 0x800_0000..0x801_0000, redistributors, stride: None };
    let gic_400 = v2(0xff84_1000..0xff84_2000, 0xff84_2000..0xff84_4000);
    for (tree, expected) in [
        ("virt-gicv2", v2(0x800_0000..0x801_0000, 0x801_0000..0x802_0000)),
        ("virt-el2", Some(GicInfo::V3(v3))),
        ("raspi4b", gic_400.clone()),
        ("bcm2711-rpi-4-b", gic_400),
        ("bcm2712-rpi-5-b", v2(0x10_7fff_9000..0x10_7fff_a000, 0x10_7fff_a000..0x10_7fff_c000)),
        ("raspi3b", None),
    ] {
        let bytes = dtb(tree);
        let found = hardware::find(&validate(&bytes).unwrap(), |problem| panic!("{tree}: {problem}"));
        let regions: Vec<_> = found.gic.iter().flat_map(GicInfo::registers).collect();
        assert_eq!(regions.len(), if expected.is_some() { 2 } else { 0 }, "{tree}: {regions:#x?}");
        if let Some(GicInfo::V2(regions)) = &found.gic {
            assert_eq!(regions.check(), Ok(()), "{tree}");
        }
        let [stop, ordinary, hypervisor] = [14, 11, 10].map(IntId::ppi);
        let ticks = Ticks { stop: stop.unwrap(), ordinary: ordinary.unwrap(), hypervisor };
        assert_eq!(found.timers, expected.is_some().then_some(ticks), "{tree}");
        assert_eq!(found.gic, expected, "{tree}");
    }
}
