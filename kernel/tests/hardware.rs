//! What boards are told of real machines: which watchdog, which console clock.

mod support;

use boards::{WatchdogInfo, WatchdogKind};
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
