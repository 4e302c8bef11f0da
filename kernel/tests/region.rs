//! Which memory becomes the ring's, what is refused and how, and what memblock holds afterwards.

mod support;

use kernel::command_line::Options;
use kernel::device_tree::{Tree, validate};
use kernel::memblock::{Memblock, PAGE, Range};
use kernel::memory_map::{self, MapError, Placed};
use kernel::reserve::{self, COMPATIBLE, Region, SMALLEST};
use support::{dtb, dtc, merge, options, placed, range};

/// A tree of 2 and 2 cells with 256 MiB at 0x40000000: `header` in front, `nodes` under `/reserved-memory`.
fn compile(header: &str, nodes: &str) -> Vec<u8> {
    let source = format!(
        "/dts-v1/; {header} / {{ #address-cells = <2>; #size-cells = <2>;
         memory@40000000 {{ device_type = \"memory\"; reg = <0x0 0x40000000 0x0 0x10000000>; }};
         reserved-memory {{ #address-cells = <2>; #size-cells = <2>; ranges; {nodes} }}; }};"
    );
    dtc("dts", "dtb", source.into_bytes())
}

/// What a boot finds.
struct Found {
    region: Result<(Range, String), String>,
    unused: Vec<String>,
    ignored: Vec<String>,
    memblock: Memblock,
}

fn boot_with(tree: &Tree<'_>, options: &Options, placed: &Placed) -> Found {
    let mut memblock = Memblock::new();
    let (mut unused, mut ignored) = (Vec::new(), Vec::new());
    memory_map::add_static(&mut memblock, tree, placed, &mut |what| ignored.push(what.to_string())).unwrap();
    let region =
        reserve::find_region(tree, options, &mut memblock, placed, &mut |source| unused.push(source.to_string()));
    let region =
        region.map(|region| (region.range().unwrap(), region.source.to_string())).map_err(|error| error.to_string());
    memory_map::place_dynamic(&mut memblock, tree, &mut |what| ignored.push(what.to_string())).unwrap();
    if let Ok((range, _)) = &region {
        assert!(memblock.contains(*range) && memblock.is_reserved(*range));
        assert!(range.is_aligned(PAGE) && range.size() >= SMALLEST);
    }
    Found { region, unused, ignored, memblock }
}

fn boot(bytes: &[u8], line: &str) -> Found {
    boot_with(&validate(bytes).unwrap(), &options(line), &placed())
}

fn refusal(bytes: &[u8], line: &str) -> String {
    boot(bytes, line).region.unwrap_err()
}

fn ring(properties: &str) -> Vec<u8> {
    compile("", &format!("persistent-ring@4c000000 {{ compatible = \"{COMPATIBLE}\"; {properties} }};"))
}

#[test]
fn a_region_with_a_place_is_found_whatever_the_cells() {
    for name in ["1-1", "1-2", "2-1", "2-2"] {
        let found = boot(&dtb(&format!("trees/region-{name}")), "");
        let expected = (range(0x4c00_0000, 0x80_0000), "/reserved-memory/persistent-ring@4c000000 (reg)".to_string());
        assert_eq!(found.region, Ok(expected), "{name}");
        assert!(found.unused.is_empty() && found.ignored.is_empty());
    }
}

#[test]
fn the_pages_beside_a_region_are_kept_free_for_its_guards() {
    let found = boot(&dtb("trees/region-2-2"), "");
    for guard in [range(0x4bff_f000, PAGE), range(0x4c80_0000, PAGE)] {
        assert!(found.memblock.is_reserved(guard), "{guard}");
    }
    assert!(found.memblock.is_free(range(0x4bff_e000, PAGE)) && found.memblock.is_free(range(0x4c80_1000, PAGE)));
    let bottom = Region { base: 0, size: SMALLEST, source: reserve::Source::ReserveMem(ask("64K:0:a")) };
    assert_eq!(bottom.guards(), [None, Some(range(SMALLEST, PAGE))]);
    let top = Region { base: u64::MAX - 0xffff, size: SMALLEST, source: bottom.source };
    assert_eq!(top.guards(), [Some(range(u64::MAX - 0x1_0fff, PAGE)), None]);
}

fn ask(text: &str) -> kernel::command_line::ReserveMem {
    options(&format!("reserve_mem={text}")).reserve_mem.unwrap()
}

#[test]
fn a_region_without_a_place_gets_the_highest_in_the_first_window_with_room() {
    let found = boot(&dtb("trees/dynamic"), "");
    // 0x48f00000 is the firmware's; 2 MiB aligned below it.
    assert_eq!(
        found.region,
        Ok((range(0x4860_0000, 0x80_0000), "/reserved-memory/persistent-ring (size)".to_string()))
    );
    let expected = "device tree: /reserved-memory/huge is ignored: no free memory of 4 GiB aligned to 0x1000: ask for less, or give the machine more";
    assert_eq!(found.ignored, [expected]);
    // The others in tree order, top-down below the /memreserve/ page: 4 MiB, then 1 MiB aligned to its size and not mapped.
    assert!(
        found.memblock.is_reserved(range(0x4fbf_f000, 0x40_0000)) && found.memblock.is_free(range(0x4fbf_e000, PAGE))
    );
    let secrets = found.memblock.reserved().iter().find(|entry| entry.range.base() == 0x4fa0_0000).unwrap();
    assert!(secrets.no_map && secrets.range == range(0x4fa0_0000, 0x10_0000));
}

#[test]
fn the_place_stays_when_the_boot_loader_places_a_few_more_bytes() {
    let cases = [
        (dtb("trees/dynamic"), ""),
        (ring("size = <0x0 0x100000>;"), ""),
        (dtb("trees/no-region"), "reserve_mem=8M:4096:afterglow"),
    ];
    for (bytes, line) in cases {
        let tree = validate(&bytes).unwrap();
        let at = |device_tree| boot_with(&tree, &options(line), &Placed { device_tree, ..placed() }).region.unwrap().0;
        // As U-Boot does: the device tree near the top of memory, and inside the window that the node prefers.
        for top in [0x5000_0000, 0x4890_0000] {
            let size = 0x2345;
            let first = at(range(top - 0x10000 - size, size));
            for more in [1, 0x1000, 0x8000] {
                assert_eq!(at(range(top - 0x10000 - size - more, size + more)), first, "{line}: {more:#x} bytes more");
            }
        }
    }
}

#[test]
fn of_several_the_lowest_with_a_place_is_used_and_the_others_are_named() {
    let found = boot(&dtb("trees/several"), "reserve_mem=8M:4096:afterglow");
    // The block in the header has the same range once more, which is no conflict.
    assert_eq!(found.region, Ok((range(0x4800_0000, 0x10_0000), "/reserved-memory/low@48000000 (reg)".to_string())));
    let unused =
        ["/reserved-memory/anywhere (size)", "/reserved-memory/high@4c000000 (reg)", "reserve_mem=8M:4096:afterglow"];
    assert_eq!(found.unused, unused);
}

#[test]
fn the_command_line_gives_a_region_where_the_tree_has_none() {
    let found = boot(&dtb("trees/no-region"), "reserve_mem=8M:2M:afterglow");
    assert_eq!(found.region, Ok((range(0x4f80_0000, 0x80_0000), "reserve_mem=8M:2097152:afterglow".to_string())));
    // Below what has a place, aligned to a page when nothing is said.
    let found = boot(&dtb("trees/no-region-1-1"), "reserve_mem=1M:0:afterglow");
    assert_eq!(found.region.unwrap().0, range(0xfd0_0000, 0x10_0000));
    let refused = refusal(&dtb("trees/no-region"), "reserve_mem=1G:4096:afterglow");
    assert_eq!(
        refused,
        "reserve_mem=1G:4096:afterglow: no free memory of 1 GiB aligned to 0x1000: ask for less, or give the machine more"
    );
    let refused = refusal(&dtb("trees/no-region"), "reserve_mem=32K:4096:afterglow");
    assert_eq!(
        refused,
        "reserve_mem=32K:4096:afterglow: 32 KiB are too few, the ring needs at least 64 KiB: give it more"
    );
    let refused = refusal(&dtb("trees/no-region"), "reserve_mem=66000:4096:a");
    assert_eq!(refused, "reserve_mem=66000:4096:a: size 0x101d0 must be a multiple of 0x1000 (one page): round it up");
}

#[test]
fn no_region_shows_the_node_to_add_which_then_works() {
    for (name, cells) in
        [("trees/no-region", (2, 2)), ("trees/no-region-1-1", (1, 1)), ("raspi4b", (2, 1)), ("virt", (2, 2))]
    {
        let bytes = dtb(name);
        let tree = validate(&bytes).unwrap();
        let message = boot_with(&tree, &options(""), &placed()).region.unwrap_err();
        assert!(message.contains(&format!("#address-cells = <{}>;\n", cells.0)), "{message}");
        assert!(message.contains(&format!("#size-cells = <{}>;\n", cells.1)), "{message}");
        assert!(message.ends_with("reserve_mem=8M:4096:afterglow"), "{message}");
        // What it shows, taken literally: joined to the tree's source and compiled, it gives that region.
        let node = message.split_once('{').unwrap().1.rsplit_once('}').unwrap().0;
        let joined = merge(&bytes, &format!("/ {{ {node} }};"));
        let (region, source) = boot_with(&validate(&joined).unwrap(), &options(""), &placed()).region.unwrap();
        assert!(source.contains(&format!("persistent-ring@{:x} (reg)", region.base())), "{source}");
        assert_eq!(region.size(), 8 << 20);
    }
}

#[test]
fn the_message_for_no_region_reads_like_this() {
    let expected = "no region for the ring. Add this to the device tree (the place is free on this machine):
    / {
        reserved-memory {
            #address-cells = <2>;
            #size-cells = <2>;
            ranges;
            persistent-ring@47e00000 {
                compatible = \"afterglow,persistent-ring\";
                reg = <0x0 0x47e00000 0x0 0x800000>;
            };
        };
    };
or this to the command line: reserve_mem=8M:4096:afterglow";
    assert_eq!(refusal(&dtb("trees/no-region"), ""), expected);
}

#[test]
fn a_region_over_somebody_elses_memory_names_both() {
    let overlap = refusal(&dtb("trees/overlap"), "");
    assert_eq!(
        overlap,
        "/reserved-memory/persistent-ring@4c000000 (reg): 0x4c000000-0x4c7fffff (8 MiB) overlaps /reserved-memory/video@4c7ff000, \
         0x4c7ff000-0x4c800fff (8 KiB): move one of them"
    );
    let at = |base: u64| format!("reg = <0x0 {base:#x} 0x0 0x100000>;");
    let image = refusal(&ring(&at(0x4010_0000)), "");
    assert!(image.contains("overlaps the kernel image with its stacks, 0x40080000-0x4017ffff (1 MiB)"), "{image}");
    let tree = refusal(&ring(&at(0x4040_f000)), "");
    assert!(tree.contains("overlaps the device tree, 0x40400000-0x4040ffff (64 KiB)"), "{tree}");
    let header = compile(
        "/memreserve/ 0x4c000000 0x1000;",
        &format!("r {{ compatible = \"{COMPATIBLE}\"; {} }};", at(0x4c00_0000)),
    );
    let header = refusal(&header, "");
    assert!(header.contains("overlaps a /memreserve/ entry, 0x4c000000-0x4c000fff (4 KiB)"), "{header}");
    let twice = format!(
        "a {{ compatible = \"{COMPATIBLE}\"; {0} }}; b {{ compatible = \"{COMPATIBLE}\"; {0} }};",
        at(0x4c00_0000)
    );
    let twice = refusal(&compile("", &twice), "");
    assert!(twice.contains("/reserved-memory/a (reg): ") && twice.contains("overlaps /reserved-memory/b"), "{twice}");
    let mut initrd = merge(
        &ring(&at(0x4c00_0000)),
        "/ { chosen { linux,initrd-start = <0x4c0ff000>; linux,initrd-end = <0x4c200000>; }; };",
    );
    assert!(refusal(&initrd, "").contains("overlaps the initial RAM disk, 0x4c0ff000-0x4c1fffff (1028 KiB)"));
    initrd = merge(
        &ring(&at(0x4c00_0000)),
        "/ { chosen { linux,initrd-start = <0x4c100000>; linux,initrd-end = <0x4c200000>; }; };",
    );
    assert!(boot(&initrd, "").region.is_ok());
}

#[test]
fn a_region_that_cannot_be_says_why() {
    let refusals = [
        (
            "reg = <0x0 0x4c000800 0x0 0x100000>;",
            "base 0x4c000800 and size 0x100000 must be multiples of 0x1000 (one page)",
        ),
        (
            "reg = <0x0 0x4c000000 0x0 0x100100>;",
            "base 0x4c000000 and size 0x100100 must be multiples of 0x1000 (one page)",
        ),
        ("reg = <0x0 0x4c000000 0x0 0xf000>;", "60 KiB are too few, the ring needs at least 64 KiB"),
        ("reg = <0x0 0x80000000 0x0 0x100000>;", "0x80000000-0x800fffff (1 MiB) is not in this machine's memory"),
        (
            "reg = <0x0 0x4ff80000 0x0 0x100000>;",
            "0x4ff80000-0x5007ffff (1 MiB) goes past the memory 0x40000000-0x4fffffff (256 MiB)",
        ),
        ("reg = <0x0 0x4c000000 0x0 0x0>;", "reg has an entry at 0x4c000000 of 0x0 bytes, which is empty"),
        ("reg = <0xffffffff 0xfffff000 0x0 0x10000>;", "which is empty or goes past 2^64"),
        (
            "reg = <0x0 0x4c000000 0x0 0x100000>, <0x0 0x4d000000 0x0 0x100000>;",
            "has 2 entries in reg, the ring needs one",
        ),
        ("reg;", "has 0 entries in reg, the ring needs one"),
        ("reg = <0x4c000000 0x100000 0x0>;", "reg is 12 bytes, but with #address-cells = 2 and #size-cells = 2"),
        ("", "persistent-ring@4c000000: reg is missing"),
        ("size = <0x100000>;", "size is 4 bytes, but must be one number of 2 cells"),
        ("size = <0x0 0x100000 0x0>;", "size is 12 bytes, but must be one number of 2 cells"),
        ("size = <0x0 0x100000>; alignment = <0x0 0x3000>;", "alignment 0x3000 is not a power of two"),
        ("size = <0x0 0x100000>; alloc-ranges = <0x0 0x4c000000 0x100000>;", "alloc-ranges is 12 bytes"),
        ("size = <0x0 0x100000>; alloc-ranges = <0x0 0x40000000 0x0 0x180000>;", "no free memory of 1 MiB"),
        ("size = <0x0 0x8000>;", "32 KiB are too few"),
    ];
    for (properties, message) in refusals {
        let refused = refusal(&ring(properties), "reserve_mem=8M:4096:afterglow");
        assert!(refused.contains(message) && refused.contains("persistent-ring@4c000000"), "{properties}\n{refused}");
    }
}

#[test]
fn reservations_are_where_the_ranges_of_their_parent_say() {
    let at = |ranges: &str| {
        boot(
            &merge(&ring("reg = <0x0 0x1000000 0x0 0x100000>;"), &format!("/ {{ reserved-memory {{ {ranges} }}; }};")),
            "",
        )
    };
    let found = at("ranges = <0x0 0x0 0x0 0x4b000000 0x0 0x2000000>;");
    assert_eq!(found.region.unwrap().0, range(0x4c00_0000, 0x10_0000));
    let refused = at("/delete-property/ ranges;").region.unwrap_err();
    assert!(refused.contains("/reserved-memory: ranges is missing: add it"), "{refused}");
}

#[test]
fn the_node_to_add_is_within_reach_of_its_cells() {
    // Most memory is above 4 GiB, which one cell cannot say.
    let one_cell =
        merge(&dtb("trees/banks"), "/ { reserved-memory { #address-cells = <1>; #size-cells = <1>; ranges; }; };");
    assert!(refusal(&one_cell, "").contains("reg = <0x9de00000 0x800000>;"), "{}", refusal(&one_cell, ""));
    let two_cells = refusal(&dtb("trees/banks"), "");
    assert!(two_cells.contains("reg = <0x4 0x7fc00000 0x0 0x800000>;"), "{two_cells}");
}

#[test]
fn a_region_that_just_fits_is_used() {
    for properties in [
        "reg = <0x0 0x4fff0000 0x0 0x10000>;",
        "reg = <0x0 0x40000000 0x0 0x80000>;",
        "reg = <0x0 0x40180000 0x0 0x10000>;",
    ] {
        assert!(boot(&ring(properties), "").region.is_ok(), "{properties}");
    }
}

#[test]
fn a_region_that_is_disabled_is_none() {
    let bytes = ring("reg = <0x0 0x4c000000 0x0 0x100000>; status = \"disabled\";");
    let found = boot(&bytes, "");
    assert!(found.region.unwrap_err().starts_with("no region for the ring. Add this"));
    assert!(found.memblock.is_free(range(0x4c00_0000, 0x10_0000)));
}

#[test]
fn memblock_holds_all_that_the_tree_says() {
    let found = boot(&dtb("trees/banks"), "reserve_mem=8M:4096:afterglow");
    let memory: Vec<Range> = found.memblock.memory().iter().map(|entry| entry.range).collect();
    let expected = [
        range(0, 0x3c00_0000),
        range(0x4000_0000, 0xbc00_0000),
        range(0x4_0000_0000, 0x1_0000_0000),
        range(0xffff_ffff_ff00_0000, 0x100_0000),
    ];
    assert_eq!(memory, expected);
    assert_eq!(found.ignored.len(), 2);
    assert_eq!(found.region.unwrap().0, range(u64::MAX - 0x7f_ffff, 0x80_0000));
    for held in [range(0, 0x1000), range(0x2000_0000, 0x2000), placed().image, placed().device_tree] {
        assert!(found.memblock.is_reserved(held) && !found.memblock.is_free(held), "{held}");
    }
    // The Raspberry Pi 5's firmware keeps the first 512 KiB, not to be mapped.
    let bytes = dtb("bcm2712-rpi-5-b");
    let found = boot(&bytes, "reserve_mem=8M:4096:afterglow");
    let first = found.memblock.reserved().first().unwrap();
    assert!(first.no_map && first.range == range(0, 0x8_0000));
}

#[test]
fn a_machine_without_memory_or_with_too_many_ranges_is_refused() {
    let bytes = dtb("trees/soc");
    let tree = validate(&bytes).unwrap();
    let error = memory_map::add_static(&mut Memblock::new(), &tree, &placed(), &mut |_| {}).unwrap_err();
    assert_eq!(error, MapError::NoMemory);
    let many: String =
        (0..200).map(|index| format!("/memreserve/ {:#x} 0x1000;", 0x4100_0000 + index * 0x2000)).collect();
    let bytes = compile(&many, "");
    let error =
        memory_map::add_static(&mut Memblock::new(), &validate(&bytes).unwrap(), &placed(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("more than 128 reserved ranges"), "{error}");
}

#[test]
fn a_tree_full_of_mistakes_does_not_fill_the_console() {
    let nodes: String =
        (0..100).map(|index| format!("r{index} {{ compatible = \"{COMPATIBLE}\"; size = <0 0x100000>; }};")).collect();
    assert_eq!(boot(&compile("", &nodes), "").unused.len(), memory_map::MOST_NOTES);
    let nodes: String = (0..100).map(|index| format!("r{index} {{ reg = <0>; }};")).collect();
    assert_eq!(boot(&compile("", &nodes), "").ignored.len(), memory_map::MOST_NOTES);
}

/// The picture with which a region is refused; with 2 MiB at `avoid` that are no good place either.
fn picture(bytes: &[u8], placed: &Placed, avoid: u64) -> Option<String> {
    let (tree, mut memblock) = (validate(bytes).unwrap(), Memblock::new());
    memory_map::add_static(&mut memblock, &tree, placed, &mut |_| {}).unwrap();
    let error = reserve::find_region(&tree, &options(""), &mut memblock, placed, &mut |_| {}).unwrap_err();
    let avoid = [range(avoid, 2 << 20)].into_iter();
    reserve::Picture::new(&tree, &mut memblock, placed, &error, avoid).map(|picture| picture.to_string())
}

#[test]
fn a_refused_region_is_drawn_into_a_picture_of_memory() {
    let nodes = |reg: &str, more: &str| {
        compile(
            "/memreserve/ 0x4e000000 0x1000;",
            &format!(
                "ring {{ compatible = \"{COMPATIBLE}\"; reg = <{reg}>; }}; \
                 firmware@4d000000 {{ reg = <0 0x4d000000 0 0x100000>; no-map; }}; {more}"
            ),
        )
    };
    // Over the image, which ends in it.
    assert_eq!(
        picture(&nodes("0 0x40100000 0 0x800000", ""), &placed(), 0x4060_0000).unwrap(),
        "memory, and where the region was to be (#):
   0x40000000 |    512 KiB  free
   0x40080000 |    512 KiB  the kernel image with its stacks
   0x40100000 #    512 KiB  the kernel image with its stacks
   0x40180000 #   2560 KiB  free
   0x40400000 #     64 KiB  the device tree
   0x40410000 #   5056 KiB  free
   0x40900000 |    199 MiB  free
   0x4d000000 |   1024 KiB  /reserved-memory/firmware@4d000000 (no-map)
   0x4d100000 |     15 MiB  free
   0x4e000000 |      4 KiB  a /memreserve/ entry
   0x4e001000 |     31 MiB  free
nearest room for 8 MiB: reg = <0x0 0x40800000 0x0 0x800000>;"
    );
    // Past the end of memory, from another reservation of the same place.
    assert_eq!(
        picture(&nodes("0 0x4fe00000 0 0x400000", ""), &placed(), 0).unwrap().lines().skip(8).collect::<Vec<_>>(),
        [
            "   0x4e000000 |      4 KiB  a /memreserve/ entry",
            "   0x4e001000 |     29 MiB  free",
            "   0x4fe00000 #   2048 KiB  free",
            "   0x50000000 #   2048 KiB  no memory",
            "nearest room for 4 MiB: reg = <0x0 0x4fc00000 0x0 0x400000>;",
        ]
    );
    let same =
        picture(&nodes("0 0x48000000 0 0x100000", "twin { reg = <0 0x48000000 0 0x100000>; };"), &placed(), 0).unwrap();
    assert!(same.contains("   0x48000000 #   1024 KiB  /reserved-memory/twin\n"), "{same}");
    assert!(same.ends_with("reg = <0x0 0x47e00000 0x0 0x100000>;"), "{same}");
    let big = picture(&nodes("0 0x40100000 0 0xff00000", ""), &placed(), 0).unwrap();
    assert!(big.ends_with("no room for 255 MiB: make it smaller"), "{big}");
    // Where it is not about what is where, there is nothing to be drawn.
    assert_eq!(picture(&nodes("0 0x40100800 0 0x800000", ""), &placed(), 0), None);
}

#[test]
fn what_is_advised_can_be_written_with_the_cells_of_the_tree() {
    let refused = |cells: &str, reg: &str| {
        let region = format!(
            "/ {{ reserved-memory {{ {cells} ranges; r {{ compatible = \"{COMPATIBLE}\"; reg = <{reg}>; }}; }}; }};"
        );
        picture(&merge(&dtb("trees/banks"), &region), &placed(), 0).unwrap()
    };
    let one = refused("#address-cells = <1>; #size-cells = <1>;", "0xfff00000 0x800000");
    assert!(one.ends_with("nearest room for 8 MiB: reg = <0xfb800000 0x800000>;"), "{one}");
    let two = refused("#address-cells = <2>; #size-cells = <2>;", "0x3 0xff000000 0x0 0x2000000");
    assert!(two.ends_with("nearest room for 32 MiB: reg = <0x4 0x200000 0x0 0x2000000>;"), "{two}");
    assert!(two.contains("0x3ff000000 #     16 MiB  no memory\n"), "{two}");
}

#[test]
fn the_raspberry_pi_5s_malformed_ramoops_is_told_and_does_no_harm() {
    // Its overlay gave 12 bytes, which are an entry with one size cell and none with two.
    let ramoops =
        "ramoops@b000000 { compatible = \"ramoops\"; reg = <0x0 0xb000000 0x10000>; record-size = <0x4000>; };";
    let tree = |size_cells: u32, size: &str| {
        let ring =
            format!("persistent-ring@c000000 {{ compatible = \"{COMPATIBLE}\"; reg = <0x0 0xc000000 {size}>; }};");
        let cells = format!("#size-cells = <{size_cells}>;");
        merge(
            &dtb("bcm2712-rpi-5-b"),
            &format!("/ {{ reserved-memory {{ {cells} /delete-node/ atf@0; {ramoops} {ring} }}; }};"),
        )
    };
    let two = boot(&tree(2, "0x0 0x800000"), "");
    assert_eq!(two.region.unwrap().0, range(0xc00_0000, 8 << 20));
    let told = two.ignored.iter().find(|told| told.contains("ramoops@b000000")).unwrap();
    assert!(told.contains("reg is 12 bytes, but with #address-cells = 2 and #size-cells = 2"), "{told}");
    let one = boot(&tree(1, "0x800000"), "");
    assert_eq!(one.region.unwrap().0, range(0xc00_0000, 8 << 20));
    assert!(one.memblock.is_reserved(range(0xb00_0000, 0x1_0000)), "with one it is right, and honoured");
    assert!(!one.ignored.iter().any(|told| told.contains("ramoops")), "{:?}", one.ignored);
}
