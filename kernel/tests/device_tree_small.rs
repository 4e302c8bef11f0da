//! Small trees, each made for one situation: buses, banks, cells, and properties that do not make sense.

mod support;

use kernel::device_tree::{Conduit, Cpu, EnableMethod, NodeName, Placement, Trigger, validate};
use support::{dtb, range};

macro_rules! tree {
    ($tree:ident, $name:literal) => {
        let bytes = dtb(concat!("trees/", $name));
        let $tree = validate(&bytes).unwrap();
    };
}

#[test]
fn addresses_are_translated_by_every_bus_up_to_the_root() {
    tree!(tree, "soc");
    let address = |compatible| tree.find_compatible(&[compatible]).unwrap().region(0).map(|region| region.address);
    // Two buses, the outer one with 64-bit addresses outside.
    assert_eq!(address("arm,pl011"), Ok(0x1_fe20_0200));
    // The second entry of ranges.
    assert_eq!(address("arm,gic-400"), Ok(0xff84_1000));
    // An empty ranges, then the third entry.
    assert_eq!(address("vendor,timer"), Ok(0x2_0000_1000));
    let failures = [
        (
            "vendor,out-of-reach",
            "/soc@0/apb@10000: ranges does not map address 0x2000 to the parent bus: add an entry for it",
        ),
        ("vendor,sensor", "/soc@0/i2c@3000: ranges is missing: add it"),
        (
            "vendor,ethernet",
            "node ethernet@0 (in pcie@4000): reg cannot be read with #address-cells = 3 and #size-cells = 2 of its parent: use 1 or 2 \
             for each",
        ),
    ];
    for (compatible, message) in failures {
        assert_eq!(address(compatible).unwrap_err().to_string(), message);
    }
}

#[test]
fn the_console_is_found_through_its_alias() {
    tree!(tree, "soc");
    let stdout = tree.stdout().unwrap().unwrap();
    assert_eq!(stdout.node.path().to_string(), "/soc@0/apb@10000/serial@200");
    assert_eq!(stdout.options, Some("115200n8"));
    assert_eq!(stdout.node.u32("clock-frequency"), Some(48_000_000));
    let interrupt = tree.interrupts(&stdout.node).unwrap().next().unwrap();
    assert_eq!(interrupt.cells(), [0, 121, 4]);
    assert_eq!(interrupt.gic().map(|gic| (gic.intid, gic.trigger)), Some((153, Trigger::Level)));
    tree!(without, "no-region");
    assert!(without.stdout().unwrap().is_none());
}

#[test]
fn paths_go_through_aliases_and_need_no_unit_address() {
    tree!(tree, "soc");
    let path = |path| tree.node(path).map(|node| node.path().to_string());
    assert_eq!(path("/soc/apb/serial").as_deref(), Some("/soc@0/apb@10000/serial@200"));
    assert_eq!(path("/soc@0/apb@10000/serial@2000").as_deref(), Some("/soc@0/apb@10000/serial@2000"));
    assert_eq!(path("bus/i2c@3000").as_deref(), Some("/soc@0/i2c@3000"));
    assert_eq!(path("/").as_deref(), Some("/"));
    // Not a child of /soc, and the crate's own search by path would find it further down.
    for absent in ["/serial@200", "/soc/serial", "/soc@1", "nowhere", "unknown", "", "/soc/apb/serial/more"] {
        assert_eq!(path(absent), None, "{absent}");
    }
}

#[test]
fn chosen_tells_of_the_command_line_the_initrd_and_the_seeds() {
    tree!(tree, "soc");
    assert_eq!(tree.bootargs(), b"banks=2 quiet");
    // One address has one cell, the other two.
    assert_eq!(tree.initrd(), Ok(Some(range(0x4800_0000, 0x10_0001))));
    assert_eq!((tree.rng_seed().len(), tree.kaslr_seed().len()), (4, 8));
    assert_eq!(tree.model(), Some(&b"Test board"[..]));
    tree!(without, "no-region");
    assert_eq!((without.bootargs(), without.initrd(), without.rng_seed()), (&b""[..], Ok(None), &b""[..]));
}

#[test]
fn a_device_that_is_disabled_is_not_the_one() {
    tree!(tree, "soc");
    assert_eq!(tree.find_compatible(&["arm,pl011"]).unwrap().name().to_string(), "serial@200");
    assert!(!tree.node("/soc/apb/uart@100").unwrap().is_enabled());
}

#[test]
fn psci_tells_how_it_is_called() {
    tree!(tree, "soc");
    assert_eq!(tree.psci(), Ok(Some(Conduit::Smc)));
    let mut bytes = dtb("trees/soc");
    let method = bytes.windows(4).position(|four| four == b"smc\0").unwrap();
    bytes[method] = b'x';
    let message = validate(&bytes).unwrap().psci().unwrap_err().to_string();
    assert_eq!(message, "/firmware/psci: method is none of \"hvc\", \"smc\": use one of them");
}

#[test]
fn an_initrd_that_is_empty_is_none_and_one_that_ends_before_it_starts_is_named() {
    for (end, expected) in [([0, 0, 0, 0, 0x48, 0, 0, 0], Ok(None)), ([0, 0, 0, 0, 0x47, 0, 0, 0], Err(()))] {
        let mut bytes = dtb("trees/soc");
        let old = [0, 0, 0, 0, 0x48, 0x10, 0, 1];
        let at = bytes.windows(8).position(|eight| eight == old).unwrap();
        bytes[at..at + 8].copy_from_slice(&end);
        let initrd = validate(&bytes).unwrap().initrd().map_err(|malformed| {
            let message = malformed.to_string();
            assert!(message.starts_with("/chosen: linux,initrd-end has an entry at 0x48000000"), "{message}");
        });
        assert_eq!(initrd, expected);
    }
}

#[test]
fn cores_in_every_state_are_told_apart() {
    tree!(tree, "soc");
    let cpus: Vec<_> = tree.cpus().collect();
    let cpu = |unit, mpidr, enable| {
        let name = NodeName { name: "cpu", unit_address: Some(unit) };
        Ok(Cpu { name, mpidr, enable })
    };
    let shown: Vec<_> = cpus.iter().map(|cpu| cpu.map_err(|malformed| malformed.to_string())).collect();
    let expected = [
        cpu("0", 0, EnableMethod::Psci),
        cpu("100", 0x1_0000_0100, EnableMethod::SpinTable { release: 0xe0 }),
        // 200 is disabled, 300 has failed.
        Err("/cpus/cpu@400: cpu-release-addr is neither one cell nor two: write it as <number> or <high low>".to_string()),
        cpu("500", 0x500, EnableMethod::Other("vendor,smp")),
        Err("/cpus/cpu@600: reg is 4 bytes, but with #address-cells = 2 and #size-cells = 0 of its parent each entry has 8: write \
             every address and size with that many cells"
            .to_string()),
        cpu("700", 0x700, EnableMethod::Missing),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn timer_interrupts_follow_their_names_where_there_are_names() {
    tree!(tree, "soc");
    let timer = tree.timer_interrupts().unwrap().unwrap();
    let gic = |interrupt: Option<kernel::device_tree::Interrupt>| {
        interrupt.and_then(|one| one.gic()).map(|gic| (gic.intid, gic.trigger))
    };
    assert_eq!(gic(timer.physical), Some((30, Trigger::Level)));
    assert_eq!(gic(timer.virtual_timer), Some((27, Trigger::Level)));
    assert_eq!(gic(timer.hypervisor_virtual), Some((28, Trigger::Edge)));
    assert_eq!((timer.secure_physical, timer.hypervisor), (None, None));
}

#[test]
fn a_node_within_an_interrupt_controller_needs_not_name_it() {
    tree!(tree, "soc");
    let button = tree.find_compatible(&["vendor,button"]).unwrap();
    let interrupt = tree.interrupts(&button).unwrap().next().unwrap();
    assert_eq!((interrupt.cells(), interrupt.gic()), (&[7, 1][..], None));
}

#[test]
fn interrupts_that_do_not_fit_their_controller_are_named() {
    tree!(tree, "soc");
    let node = tree.find_compatible(&["vendor,out-of-reach"]).unwrap();
    let message = tree.interrupts(&node).unwrap_err().to_string();
    assert!(message.contains("interrupts is 8 bytes, but each interrupt has 3 cells"), "{message}");
    assert_eq!(tree.interrupts(&tree.root()).unwrap().count(), 0);
}

#[test]
fn memory_comes_from_every_entry_of_every_node() {
    tree!(tree, "banks");
    let memory: Vec<_> = tree.memory().map(|memory| memory.map_err(|malformed| malformed.to_string())).collect();
    let expected = [
        Ok(range(0, 0x3c00_0000)),
        Ok(range(0x4000_0000, 0x4000_0000)),
        Ok(range(0x8000_0000, 0x7c00_0000)),
        Ok(range(0x4_0000_0000, 0x1_0000_0000)),
        Ok(range(0xffff_ffff_ff00_0000, 0x100_0000)),
        Err("/memory@broken: reg is 12 bytes, but with #address-cells = 2 and #size-cells = 2 of its parent each entry has 16: write \
             every address and size with that many cells"
            .to_string()),
        Err("/memory@beyond: reg has an entry at 0xffffffffffff0000 of 0x20000 bytes, which is empty or goes past 2^64: mend it".to_string()),
    ];
    assert_eq!(memory, expected);
    let reserved: Vec<_> = tree.memreserve().collect();
    assert_eq!(reserved, [range(0, 0x1000), range(0x2000_0000, 0x2000), range(0x4_0000_0000, 0x1000)]);
}

#[test]
fn reservations_are_read_with_the_cells_of_their_parent() {
    for (name, cells) in [("1-1", (1, 1)), ("1-2", (1, 2)), ("2-1", (2, 1)), ("2-2", (2, 2))] {
        let bytes = dtb(&format!("trees/region-{name}"));
        let tree = validate(&bytes).unwrap();
        let node = tree.reserved_memory().next().unwrap();
        let Ok(Placement::Static(mut reg)) = node.placement() else { panic!("{name}") };
        assert_eq!(node.range("reg", reg.next().unwrap()).unwrap(), range(0x4c00_0000, 0x80_0000), "{name}");
        let got = tree.reserved_memory_cells();
        assert_eq!((got.address, got.size), cells);
    }
}

#[test]
fn a_reservation_without_a_place_says_what_it_asks_for() {
    tree!(tree, "dynamic");
    let asks: Vec<_> = tree
        .reserved_memory()
        .filter_map(|node| match node.placement().unwrap() {
            Placement::Dynamic(asked) => {
                Some((node.name().name, asked.size, asked.alignment, asked.alloc_ranges.len()))
            }
            Placement::Static(_) => None,
        })
        .collect();
    let expected = [
        ("buffers", 0x40_0000, None, 0),
        ("persistent-ring", 0x80_0000, Some(0x20_0000), 2),
        ("secrets", 0x10_0000, Some(0x10_0000), 0),
        ("huge", 0x1_0000_0000, None, 0),
    ];
    assert_eq!(asks, expected);
    let flags: Vec<_> = tree.reserved_memory().map(|node| (node.no_map(), node.reusable())).collect();
    assert_eq!(flags, [(false, true), (false, false), (true, false), (false, false), (true, false)]);
}

#[test]
fn a_reg_of_twelve_bytes_under_two_and_two_cells_is_named() {
    tree!(tree, "short-reg");
    let message = tree.reserved_memory().next().unwrap().placement().unwrap_err().to_string();
    assert_eq!(
        message,
        "/reserved-memory/persistent-ring@4c000000: reg is 12 bytes, but with #address-cells = 2 and #size-cells = 2 of its parent \
         each entry has 16: write every address and size with that many cells"
    );
}
