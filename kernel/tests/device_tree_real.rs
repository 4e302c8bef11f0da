//! Device trees of real machines: what the kernel learns from each is in one table.

mod support;

use kernel::device_tree::{Conduit, EnableMethod, validate};
use kernel::memblock::Range;
use support::{REAL, dtb, everything_or_error, range};

/// What one machine's tree says.
struct Machine {
    tree: &'static str,
    compatible: &'static str,
    /// Nodes below the root, counted with another tool.
    nodes: usize,
    memory: &'static [(u64, u64)],
    cpus: [u64; 4],
    enable: [EnableMethod<'static>; 4],
    psci: Option<Conduit>,
    stdout: (&'static str, Option<&'static str>),
    /// `compatible`, address of `reg` 0, INTID of the first interrupt if there is one for a GIC.
    devices: &'static [(&'static str, u64, Option<u32>)],
    /// INTIDs of the timer: secure, EL1, virtual, EL2; None where there is no GIC.
    timer: Option<[u32; 4]>,
}

const PSCI: [EnableMethod<'_>; 4] = [EnableMethod::Psci; 4];
const SPIN_TABLE: [EnableMethod<'_>; 4] = [
    EnableMethod::SpinTable { release: 0xd8 },
    EnableMethod::SpinTable { release: 0xe0 },
    EnableMethod::SpinTable { release: 0xe8 },
    EnableMethod::SpinTable { release: 0xf0 },
];
const USUAL_TIMER: Option<[u32; 4]> = Some([29, 30, 27, 26]);

const MACHINES: [Machine; 8] = [
    Machine {
        tree: "virt",
        compatible: "linux,dummy-virt",
        nodes: 62,
        memory: &[(0x4000_0000, 0x2000_0000)],
        cpus: [0, 1, 2, 3],
        enable: PSCI,
        psci: Some(Conduit::Hvc),
        stdout: ("/pl011@9000000", None),
        devices: &[("arm,pl011", 0x900_0000, Some(33)), ("arm,cortex-a15-gic", 0x800_0000, None)],
        timer: USUAL_TIMER,
    },
    Machine {
        tree: "virt-gicv2",
        compatible: "linux,dummy-virt",
        nodes: 62,
        memory: &[(0x4000_0000, 0x2000_0000)],
        cpus: [0, 1, 2, 3],
        enable: PSCI,
        psci: Some(Conduit::Hvc),
        stdout: ("/pl011@9000000", None),
        devices: &[("arm,pl011", 0x900_0000, Some(33)), ("arm,cortex-a15-gic", 0x800_0000, None)],
        timer: USUAL_TIMER,
    },
    Machine {
        tree: "virt-el2",
        compatible: "linux,dummy-virt",
        nodes: 62,
        memory: &[(0x4000_0000, 0x2000_0000)],
        cpus: [0, 1, 2, 3],
        enable: PSCI,
        psci: Some(Conduit::Smc),
        stdout: ("/pl011@9000000", None),
        devices: &[("arm,pl011", 0x900_0000, Some(33)), ("arm,gic-v3", 0x800_0000, Some(25))],
        timer: USUAL_TIMER,
    },
    Machine {
        tree: "raspi3b",
        compatible: "raspberrypi,3-model-b",
        nodes: 122,
        memory: &[(0, 0x3c00_0000)],
        cpus: [0, 1, 2, 3],
        enable: SPIN_TABLE,
        psci: None,
        stdout: ("/soc/serial@7e215040", Some("115200n8")),
        devices: &[
            ("arm,pl011", 0x3f20_1000, None),
            ("brcm,bcm2836-l1-intc", 0x4000_0000, None),
            ("brcm,bcm2835-pm", 0x3f10_0000, None),
        ],
        timer: None,
    },
    Machine {
        tree: "raspi4b",
        compatible: "brcm,bcm2711",
        nodes: 255,
        memory: &[(0, 0x3c00_0000)],
        cpus: [0, 1, 2, 3],
        enable: SPIN_TABLE,
        psci: None,
        stdout: ("/soc/serial@7e215040", Some("115200n8")),
        devices: &[
            ("arm,pl011", 0xfe20_1000, Some(153)),
            ("arm,gic-400", 0xff84_1000, Some(25)),
            ("brcm,bcm2711-pm", 0xfe10_0000, None),
        ],
        timer: USUAL_TIMER,
    },
    Machine {
        tree: "bcm2837-rpi-3-b",
        compatible: "brcm,bcm2837",
        nodes: 122,
        memory: &[(0, 0x4000_0000)],
        cpus: [0, 1, 2, 3],
        enable: SPIN_TABLE,
        psci: None,
        stdout: ("/soc/serial@7e215040", Some("115200n8")),
        devices: &[("arm,pl011", 0x3f20_1000, None)],
        timer: None,
    },
    Machine {
        tree: "bcm2711-rpi-4-b",
        compatible: "raspberrypi,4-model-b",
        nodes: 266,
        // The firmware fills it in.
        memory: &[],
        cpus: [0, 1, 2, 3],
        enable: SPIN_TABLE,
        psci: None,
        stdout: ("/soc/serial@7e215040", Some("115200n8")),
        devices: &[("arm,pl011", 0xfe20_1000, Some(153)), ("arm,gic-400", 0xff84_1000, Some(25))],
        timer: USUAL_TIMER,
    },
    Machine {
        tree: "bcm2712-rpi-5-b",
        compatible: "raspberrypi,5-model-b",
        nodes: 35,
        memory: &[(0, 0x2800_0000)],
        cpus: [0, 0x100, 0x200, 0x300],
        enable: PSCI,
        psci: Some(Conduit::Smc),
        stdout: ("/soc@107c000000/serial@7d001000", Some("115200n8")),
        devices: &[("arm,pl011", 0x10_7d00_1000, Some(153)), ("arm,gic-400", 0x10_7fff_9000, Some(25))],
        timer: USUAL_TIMER,
    },
];

#[test]
fn each_machine_is_what_its_tree_says() {
    for machine in MACHINES {
        let bytes = dtb(machine.tree);
        let tree = validate(&bytes).unwrap();
        let name = machine.tree;
        assert!(tree.is_compatible(machine.compatible), "{name}");
        assert!(!tree.is_compatible("somebody,else"), "{name}");
        let memory: Vec<Range> = tree.memory().map(Result::unwrap).collect();
        let expected: Vec<Range> = machine.memory.iter().map(|(base, size)| range(*base, *size)).collect();
        assert_eq!(memory, expected, "{name}");
        let cpus: Vec<_> = tree.cpus().map(Result::unwrap).collect();
        assert_eq!(cpus.iter().map(|cpu| cpu.mpidr).collect::<Vec<_>>(), machine.cpus, "{name}");
        assert_eq!(cpus.iter().map(|cpu| cpu.enable).collect::<Vec<_>>(), machine.enable, "{name}");
        assert_eq!(tree.psci().unwrap(), machine.psci, "{name}");
        let stdout = tree.stdout().unwrap().unwrap();
        assert_eq!((stdout.node.path().to_string().as_str(), stdout.options), machine.stdout, "{name}");
        for (compatible, address, intid) in machine.devices {
            let node = tree.find_compatible(&["nothing,like-this", compatible]).unwrap();
            assert_eq!(node.region(0).unwrap().address, *address, "{name}: {compatible}");
            let interrupt = tree.interrupts(&node).unwrap().next();
            assert_eq!(interrupt.and_then(|one| one.gic()).map(|gic| gic.intid), *intid, "{name}: {compatible}");
        }
        let timer = tree.timer_interrupts().unwrap().unwrap();
        let intids = [timer.secure_physical, timer.physical, timer.virtual_timer, timer.hypervisor]
            .map(|interrupt| interrupt.unwrap().gic().map(|gic| gic.intid));
        assert_eq!(intids, machine.timer.map_or([None; 4], |timer| timer.map(Some)), "{name}");
    }
}

#[test]
fn a_walk_sees_every_node_even_among_nops() {
    for machine in MACHINES {
        let bytes = dtb(machine.tree);
        let tree = validate(&bytes).unwrap();
        let mut nodes = 0;
        for node in tree.walk() {
            nodes += 1;
            // The way to each node is right: looking it up by its path finds it.
            let path = node.path().to_string();
            let found = tree.node(&path).unwrap_or_else(|| panic!("{}: {path}", machine.tree));
            assert_eq!(found.property("phandle"), node.property("phandle"), "{}: {path}", machine.tree);
            assert_eq!(found.path().to_string(), path);
        }
        assert_eq!(nodes, machine.nodes, "{}", machine.tree);
    }
}

#[test]
fn redistributors_and_register_blocks_are_found_by_index() {
    let bytes = dtb("virt-el2");
    let tree = validate(&bytes).unwrap();
    let gic = tree.find_compatible(&["arm,gic-v3"]).unwrap();
    let region = gic.region(1).unwrap();
    assert_eq!((region.address, region.size), (0x80a_0000, 0xf6_0000));
    assert_eq!(gic.u32("#redistributor-regions"), Some(1));
    let error = gic.region(2).unwrap_err().to_string();
    assert_eq!(error, "/intc@8000000: reg has no entry 2 (the first is 0): add it");
    let bytes = dtb("bcm2712-rpi-5-b");
    let tree = validate(&bytes).unwrap();
    let gic = tree.find_compatible(&["arm,gic-400"]).unwrap();
    assert_eq!(gic.region(1).unwrap().address, 0x10_7fff_a000);
}

#[test]
fn a_tree_may_lie_at_any_address_and_be_followed_by_anything() {
    for name in REAL {
        let bytes = dtb(name);
        let expected = everything_or_error(&bytes).unwrap();
        for shift in 0..8 {
            let mut moved = vec![0xa5; shift];
            moved.extend_from_slice(&bytes);
            moved.extend_from_slice(&[0x5a; 100]);
            let unaligned = &moved[shift..];
            assert_eq!(validate(unaligned).unwrap().bytes().len(), bytes.len());
            assert_eq!(everything_or_error(unaligned).unwrap(), expected, "{name} at offset {shift}");
        }
    }
}

#[test]
#[ignore = "needs a folder of .dtb files, such as that of Debian's linux-image package: DEVICE_TREES=folder ... -- --ignored"]
fn every_tree_of_a_folder_is_read() {
    let folder = std::env::var_os("DEVICE_TREES").expect("DEVICE_TREES names the folder");
    let mut folders = vec![std::path::PathBuf::from(folder)];
    let (mut read, mut nodes) = (0, 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "dtb") {
                let bytes = std::fs::read(&path).unwrap();
                let tree = validate(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                assert!(everything_or_error(&bytes).is_ok());
                nodes += tree.walk().count();
                read += 1;
            }
        }
    }
    println!("{read} trees, {nodes} nodes");
    assert!(read > 0);
}
