//! What the tests of this folder share: the trees in `data/`, and one pass over everything that can be asked of a tree.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod writer;

use std::fmt::Write;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use kernel::command_line::{self, Options};
use kernel::device_tree::{Placement, Tree, validate};
use kernel::memblock::{Memblock, Range};
use kernel::memory_map::{self, Placed};
use kernel::reserve;

/// Trees of real machines: see data/README.md.
pub(crate) const REAL: [&str; 8] =
    ["virt", "virt-gicv2", "virt-el2", "raspi3b", "raspi4b", "bcm2837-rpi-3-b", "bcm2711-rpi-4-b", "bcm2712-rpi-5-b"];

/// Small trees, each made for one situation.
pub(crate) const SMALL: [&str; 12] = [
    "trees/no-region",
    "trees/no-region-1-1",
    "trees/region-1-1",
    "trees/region-1-2",
    "trees/region-2-1",
    "trees/region-2-2",
    "trees/short-reg",
    "trees/dynamic",
    "trees/overlap",
    "trees/several",
    "trees/banks",
    "trees/soc",
];

/// Far more than reading any tree takes, and far less than a walk that is not linear would.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A compiled tree of `data/`.
pub(crate) fn dtb(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).with_extension("dtb");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn range(base: u64, size: u64) -> Range {
    Range::new(base, size).unwrap()
}

/// A kernel of 1 MiB and a tree of 64 KiB at the start of the test machines' memory.
pub(crate) fn placed() -> Placed {
    Placed { image: range(0x4008_0000, 0x10_0000), device_tree: range(0x4040_0000, 0x1_0000) }
}

pub(crate) fn options(line: &str) -> Options {
    command_line::parse(line, &mut |warning| panic!("{warning}"))
}

/// Asks everything that can be asked of a tree, and shows every answer and every error.
pub(crate) fn everything(tree: &Tree<'_>) -> String {
    let mut out = String::new();
    // Errors are shown as users see them, everything else as it is.
    macro_rules! show {
        ($($what:expr),+) => { $(match $what {
            Ok(answer) => writeln!(out, "{answer:x?}").unwrap(),
            Err(malformed) => writeln!(out, "{malformed}").unwrap(),
        })+ };
    }
    writeln!(out, "{:?} {:?}", tree.model(), tree.root().strings("compatible").collect::<Vec<_>>()).unwrap();
    writeln!(out, "{:x?}", tree.memreserve().collect::<Vec<_>>()).unwrap();
    for memory in tree.memory() {
        show!(memory);
    }
    writeln!(out, "{:?} {:?} {:?}", tree.bootargs(), tree.rng_seed(), tree.kaslr_seed()).unwrap();
    show!(tree.stdout(), tree.initrd(), tree.psci(), tree.timer_interrupts());
    for cpu in tree.cpus() {
        show!(cpu);
    }
    for names in [&["arm,pl011"][..], &["arm,gic-400", "arm,cortex-a15-gic", "arm,gic-v3"], &["brcm,bcm2835-pm"]] {
        let Some(node) = tree.find_compatible(names) else { continue };
        writeln!(out, "{} {:?} {}", node.path(), node.u32("clock-frequency"), node.is_enabled()).unwrap();
        show!(
            node.region(0),
            node.region(1),
            tree.interrupts(&node).map(|all| all.map(|one| one.gic()).collect::<Vec<_>>())
        );
    }
    for node in tree.reserved_memory() {
        writeln!(out, "{} {} {}", node.name(), node.no_map(), node.reusable()).unwrap();
        match node.placement() {
            Ok(Placement::Static(reg)) => reg.for_each(|entry| show!(node.range("reg", entry))),
            Ok(Placement::Dynamic(asked)) => writeln!(out, "{asked:x?}").unwrap(),
            Err(malformed) => writeln!(out, "{malformed}").unwrap(),
        }
    }
    let mut nodes = 0;
    for node in tree.walk() {
        nodes += 1;
        // The first few of a hostile tree's hundred thousand stand for all: each address takes a walk of its own.
        if nodes < 16 {
            show!(node.reg().map(|reg| reg.collect::<Vec<_>>()), node.region(0), node.cells());
        }
    }
    writeln!(out, "{nodes} nodes").unwrap();
    let options = command_line::parse(tree.bootargs(), &mut |warning| writeln!(out, "{warning}").unwrap());
    let mut memblock = Memblock::new();
    match memory_map::add_static(&mut memblock, tree, &placed(), &mut |ignored| writeln!(out, "{ignored}").unwrap()) {
        Ok(()) => {}
        Err(error) => writeln!(out, "{error}").unwrap(),
    }
    match reserve::find_region(tree, &options, &mut memblock, &placed(), &mut |unused| {
        writeln!(out, "{unused}").unwrap();
    }) {
        Ok(region) => writeln!(out, "{region:x?}").unwrap(),
        Err(error) => writeln!(out, "{error}").unwrap(),
    }
    match memory_map::place_dynamic(&mut memblock, tree, &mut |ignored| writeln!(out, "{ignored}").unwrap()) {
        Ok(()) => writeln!(out, "{:x?}", memblock.free().collect::<Vec<_>>()).unwrap(),
        Err(error) => writeln!(out, "{error}").unwrap(),
    }
    out
}

/// As [`everything`], of bytes that may be no tree.
pub(crate) fn everything_or_error(bytes: &[u8]) -> Result<String, String> {
    validate(bytes).map(|tree| everything(&tree)).map_err(|error| error.to_string())
}

/// Runs dtc, which `make setup` installs.
pub(crate) fn dtc(from: &str, to: &str, input: Vec<u8>) -> Vec<u8> {
    let mut dtc = Command::new("dtc")
        .args(["-q", "-I", from, "-O", to])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("dtc runs (package device-tree-compiler)");
    let mut stdin = dtc.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = dtc.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// A compiled tree with more source behind its own.
pub(crate) fn merge(bytes: &[u8], more: &str) -> Vec<u8> {
    let mut source = dtc("dtb", "dts", bytes.to_vec());
    source.extend_from_slice(more.as_bytes());
    dtc("dts", "dtb", source)
}
