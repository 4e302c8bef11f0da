//! The overlays on real trees, read by the kernel's own code: the region is found where it was asked for, whatever the cells.

use kernel::command_line::{self, Options};
use kernel::device_tree::validate;
use kernel::memblock::{Memblock, Range};
use kernel::memory_map::{self, Placed};
use kernel::reserve;
use sdcard::overlay::{Cells, cells_of, compile, source_for};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tree, its cells, and what the firmware would write into its /memory: cells of `reg`.
const TREES: [(&str, (u32, u32), &str); 3] = [
    ("bcm2837-rpi-3-b", (1, 1), "0 3b400000"),
    ("bcm2711-rpi-4-b", (2, 1), "0 0 3b400000"),
    ("bcm2712-rpi-5-b", (2, 2), "0 0 0 3fc00000"),
];

fn tree_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel/tests/data").join(name).with_extension("dtb")
}

fn run(program: &str, arguments: &[&str]) {
    let output =
        Command::new(program).args(arguments).output().expect("scripts/setup.sh installs device-tree-compiler");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A tree with its memory, and a compiled overlay applied.
fn applied(name: &str, memory: &str, overlay: &[u8]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).into_os_string().into_string().unwrap();
    let (base, dtbo, merged) = (path("base.dtb"), path("overlay.dtbo"), path("merged.dtb"));
    fs::copy(tree_of(name), &base).unwrap();
    let mut arguments = vec!["-t", "x", &base, "/memory@0", "reg"];
    arguments.extend(memory.split(' '));
    run("fdtput", &arguments);
    fs::write(&dtbo, overlay).unwrap();
    run("fdtoverlay", &["-i", &base, "-o", &merged, &dtbo]);
    fs::read(merged).unwrap()
}

fn range(base: u64, size: u64) -> Range {
    Range::new(base, size).unwrap()
}

/// What the kernel says of the region in a tree: its place and who says so, or why not.
fn found(tree: &[u8]) -> Result<((u64, u64), String), String> {
    let tree = validate(tree).unwrap();
    let options: Options = command_line::parse("", &mut |warning| panic!("{warning}"));
    let placed = Placed { image: range(0x20_0000, 0x40_0000), device_tree: range(0x2eff_0000, 0x1_0000) };
    let mut memblock = Memblock::new();
    memory_map::add_static(&mut memblock, &tree, &placed, &mut |_| {}).unwrap();
    let region = reserve::find_region(&tree, &options, &mut memblock, &placed, &mut |_| {});
    region.map(|region| ((region.base, region.size), region.source.to_string())).map_err(|error| error.to_string())
}

#[test]
fn the_region_is_found_on_each_board_with_the_overlay_that_its_tree_asks_for() {
    for (name, (address, size), memory) in TREES {
        let cells = cells_of(&fs::read(tree_of(name)).unwrap()).unwrap();
        assert_eq!(cells, Cells { address, size }, "{name}");
        let overlay = compile(source_for(cells).unwrap()).unwrap();
        let expected = ((0x0b00_0000, 8 << 20), "/reserved-memory/persistent-ring@b000000 (reg)".to_owned());
        assert_eq!(found(&applied(name, memory, &overlay)), Ok(expected), "{name}");
    }
}

#[test]
fn an_overlay_for_other_cells_is_refused_by_the_kernel_and_never_misread() {
    let all = [(1, 1), (2, 1), (2, 2)];
    for (name, right, memory) in TREES {
        for (address, size) in all.into_iter().filter(|cells| *cells != right) {
            let overlay = compile(source_for(Cells { address, size }).unwrap()).unwrap();
            let error = found(&applied(name, memory, &overlay)).expect_err(name);
            let (bytes, entry) = (4 * (address + size), 4 * (right.0 + right.1));
            // 16 bytes where 8 are an entry are two entries: of other places, and more than one.
            let says = if bytes % entry == 0 { "persistent-ring@b000000" } else { "reg" };
            assert!(error.contains(says), "{name} with {address}+{size}: {error}");
        }
    }
}

/// What Raspberry Pi's own ramoops overlay made on a Pi 5: two cells of address and one of size, where two and two are wanted.
#[test]
fn a_reg_of_12_bytes_on_a_pi_5_is_an_error_that_says_so() {
    let overlay = compile(source_for(Cells { address: 2, size: 1 }).unwrap()).unwrap();
    let (name, _, memory) = TREES[2];
    let error = found(&applied(name, memory, &overlay)).unwrap_err();
    assert!(error.contains("reg") && error.contains("12") && error.contains("16"), "{error}");
}

/// As Raspberry Pi's firmware applies `base=` and `size=`: the parameter's words name a property, a width and an offset.
fn with_parameter(source: &str, name: &str, value: u64) -> String {
    let words = source.split_once(&format!("{name} = <&ring>, \"reg")).unwrap().1.split('"').next().unwrap();
    let (bits, offset) = (&words[..1], words[1..].parse::<usize>().unwrap());
    let reg = source.split_once("reg = <").unwrap().1.split('>').next().unwrap();
    let mut cells: Vec<String> = reg.split(' ').map(str::to_owned).collect();
    let at = offset / 4;
    match bits {
        ":" => cells[at] = format!("{value:#x}"),
        "#" => {
            cells[at] = format!("{:#x}", value >> 32);
            cells[at + 1] = format!("{:#x}", value & 0xffff_ffff);
        }
        other => panic!("{other} is no width of 32 or 64 bits"),
    }
    source.replace(reg, &cells.join(" "))
}

#[test]
fn the_parameters_base_and_size_are_cells_of_reg_on_each_board() {
    for (name, (address, size), memory) in TREES {
        let source = source_for(Cells { address, size }).unwrap();
        let source = with_parameter(&with_parameter(source, "base", 0x1000_0000), "size", 0x40_0000);
        let ((base, bytes), _) = found(&applied(name, memory, &compile(&source).unwrap())).unwrap();
        assert_eq!((base, bytes), (0x1000_0000, 0x40_0000), "{name}");
    }
}

#[test]
fn a_tree_that_no_overlay_fits_is_refused_when_the_card_is_made() {
    let error = source_for(Cells { address: 1, size: 2 }).unwrap_err().to_string();
    assert!(error.contains("1 address cells and 2 size cells"), "{error}");
    let error = format!("{:#}", cells_of(b"no tree at all, but long enough to be looked at").unwrap_err());
    assert!(error.contains("no device tree"), "{error}");
    let without = compile("/dts-v1/; / { memory@0 { reg = <0 0 0>; }; };").unwrap();
    assert!(cells_of(&without).unwrap_err().to_string().contains("/reserved-memory"));
    assert!(compile("/dts-v1/; / { broken").unwrap_err().to_string().contains("dtc refuses"));
}
