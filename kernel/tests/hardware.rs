//! What boards are told of real machines: which watchdog, which console clock, which interrupt controller and timers.

mod support;

use arch::gic::bcm2836::Bcm2836Regions;
use arch::gic::v2::V2Regions;
use arch::gic::{IntId, V3Regions};
use arch::nmi::Ticks;
use boards::{ConsoleInfo, ConsoleKind, GicInfo, WatchdogInfo, WatchdogKind};
use kernel::device_tree::{Cells, EnableMethod, validate};
use kernel::hardware;
use support::{dtb, dtc, merge};

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
        ("bcm2712-rpi-5-b", None),
        ("trees/soc", None),
    ] {
        let bytes = dtb(tree);
        let found = hardware::find(&validate(&bytes).unwrap(), |problem| panic!("{tree}: {problem}"));
        assert_eq!(found.watchdog, expected, "{tree}");
    }
}

/// A tree with this in `/soc`, and this as `stdout-path`.
fn with_console(stdout: &str, nodes: &str) -> Vec<u8> {
    let source = format!(
        r#"/dts-v1/;
/ {{
    #address-cells = <2>;
    #size-cells = <2>;
    aliases {{ serial0 = "/soc/serial@9000000"; }};
    chosen {{ {stdout} }};
    soc {{
        #address-cells = <1>;
        #size-cells = <1>;
        ranges = <0x0 0x1 0x0 0x80000000>;
        serial@8000000 {{ compatible = "arm,pl011"; reg = <0x8000000 0x1000>; }};
        {nodes}
    }};
}};"#
    );
    dtc("dts", "dtb", source.into_bytes())
}

#[test]
fn stdout_path_decides_which_console_and_how_it_is_spoken_to() {
    let dw = "serial@9000000 { compatible = \"snps,dw-apb-uart\"; reg = <0x9000000 0x100>; reg-shift = <2>; \
              reg-io-width = <4>; clock-frequency = <1843200>; };";
    let old =
        "serial@9000000 { compatible = \"vendor,uart\", \"ns16550a\"; reg = <0x9000000 0x100>; reg-offset = <0x40>; };";
    let none = "serial@9000000 { compatible = \"vendor,uart\"; reg = <0x9000000 0x100>; };";
    let first = ConsoleInfo { registers: 0x1_0800_0000..0x1_0800_1000, ..ConsoleInfo::EMPTY };
    let second = |shift, width, offset: usize, clock_hz, baud| ConsoleInfo {
        kind: ConsoleKind::Ns16550,
        registers: 0x1_0900_0000 + offset..0x1_0900_0100,
        clock_hz,
        baud,
        shift,
        width,
    };
    let table = [
        ("stdout-path = \"serial0:115200n8\";", dw, second(2, 4, 0, Some(1_843_200), Some(115_200)), false),
        ("stdout-path = \"/soc/serial@9000000:9600\";", old, second(0, 1, 0x40, None, Some(9600)), false),
        ("stdout-path = \"serial0\";", old, second(0, 1, 0x40, None, None), false),
        ("stdout-path = \"serial0:fast\";", old, second(0, 1, 0x40, None, None), false),
        ("stdout-path = \"serial0:115200\";", none, first.clone(), true),
        ("", dw, first.clone(), false),
    ];
    for (stdout, nodes, expected, is_unknown) in table {
        let bytes = with_console(stdout, nodes);
        let found = hardware::find(&validate(&bytes).unwrap(), |problem| panic!("{stdout}: {problem}"));
        assert_eq!((found.console, found.stdout_unknown), (Some(expected), is_unknown), "{stdout} {nodes}");
    }
    // One that names nothing is told, and the first is taken.
    let (bytes, mut told) = (with_console("stdout-path = \"serial7\";", dw), 0);
    let found = hardware::find(&validate(&bytes).unwrap(), |_| told += 1);
    assert_eq!((found.console, told), (Some(first), 1));
}

#[test]
fn the_raspberry_pis_of_linux_speak_on_the_uart_of_their_header() {
    let mini = |start| (ConsoleKind::MiniUart, start..start + 0x40);
    for (tree, (kind, registers)) in [
        ("bcm2837-rpi-3-b", mini(0x3f21_5040)),
        ("bcm2711-rpi-4-b", mini(0xfe21_5040)),
        ("bcm2712-rpi-5-b", (ConsoleKind::Pl011, 0x10_7d00_1000..0x10_7d00_1200)),
    ] {
        let bytes = dtb(tree);
        let found = hardware::find(&validate(&bytes).unwrap(), |problem| panic!("{tree}: {problem}"));
        let console = found.console.unwrap();
        assert_eq!((console.kind, console.registers, console.baud), (kind, registers, Some(115_200)), "{tree}");
        assert!(!found.stdout_unknown);
    }
}

#[test]
fn the_raspberry_pi_5_is_known_by_its_own_tree() {
    let bytes = dtb("bcm2712-rpi-5-b");
    let tree = validate(&bytes).unwrap();
    let found = hardware::find(&tree, |problem| panic!("{problem}"));
    assert_eq!(boards::choose(tree.root().strings("compatible")).id(), "rpi5");
    assert_eq!(found.psci, Some(arch::psci::Conduit::Smc));
    // In Aff1.
    let cores: Vec<u64> = tree.cpus().map(|cpu| cpu.unwrap().mpidr).collect();
    assert_eq!(cores, [0, 0x100, 0x200, 0x300]);
    assert!(tree.cpus().all(|cpu| cpu.unwrap().enable == EnableMethod::Psci));
    assert_eq!(tree.reserved_memory_cells(), Cells { address: 2, size: 2 });
    // The power management block is in the firmware's tree, not in Linux's.
    let pm = "/ { soc@107c000000 { watchdog@7d200000 { compatible = \"brcm,bcm2712-pm\", \"brcm,bcm2835-pm-wdt\"; \
              reg = <0x7d200000 0x308>; }; }; };";
    let bytes = merge(&bytes, pm);
    let found = hardware::find(&validate(&bytes).unwrap(), |problem| panic!("{problem}"));
    let watchdog = found.watchdog.unwrap();
    assert_eq!((watchdog.kind, watchdog.registers), (WatchdogKind::Bcm2835, 0x10_7d20_0000..0x10_7d20_0308));
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
    let raspi3b =
        Some(GicInfo::Bcm2836(Bcm2836Regions { local: 0x4000_0000..0x4000_0100, gpu: 0x3f00_b200..0x3f00_b400 }));
    let gic_400 = v2(0xff84_1000..0xff84_2000, 0xff84_2000..0xff84_4000);
    for (tree, expected) in [
        ("virt-gicv2", v2(0x800_0000..0x801_0000, 0x801_0000..0x802_0000)),
        ("virt-el2", Some(GicInfo::V3(v3))),
        ("raspi4b", gic_400.clone()),
        ("bcm2711-rpi-4-b", gic_400),
        ("bcm2712-rpi-5-b", v2(0x10_7fff_9000..0x10_7fff_a000, 0x10_7fff_a000..0x10_7fff_c000)),
        ("raspi3b", raspi3b.clone()),
        ("bcm2837-rpi-3-b", raspi3b),
        ("trees/no-region", None),
    ] {
        let bytes = dtb(tree);
        let found = hardware::find(&validate(&bytes).unwrap(), |problem| panic!("{tree}: {problem}"));
        let regions: Vec<_> = found.gic.iter().flat_map(GicInfo::registers).collect();
        assert_eq!(regions.len(), if expected.is_some() { 2 } else { 0 }, "{tree}: {regions:#x?}");
        if let Some(GicInfo::V2(regions)) = &found.gic {
            assert_eq!(regions.check(), Ok(()), "{tree}");
        }
        let local = matches!(found.gic, Some(GicInfo::Bcm2836(_)));
        let [stop, ordinary, hypervisor] = if local { [1, 3, 2] } else { [14, 11, 10] }.map(IntId::ppi);
        let ticks = Ticks { stop: stop.unwrap(), ordinary: ordinary.unwrap(), hypervisor };
        assert_eq!(found.timers, expected.is_some().then_some(ticks), "{tree}");
        assert_eq!(found.gic, expected, "{tree}");
    }
}
