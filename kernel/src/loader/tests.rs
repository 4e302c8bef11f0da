//! The loader's choices, and the trees that it hands on, with the trees of real boards.

use super::*;
use crate::device_tree::{Tree, validate};
use std::vec;
use std::vec::Vec;

const TREES: [(&str, &[u8]); 5] = [
    ("rpi4", include_bytes!("../../tests/data/bcm2711-rpi-4-b.dtb")),
    ("rpi5", include_bytes!("../../tests/data/bcm2712-rpi-5-b.dtb")),
    ("rpi3", include_bytes!("../../tests/data/bcm2837-rpi-3-b.dtb")),
    ("virt", include_bytes!("../../tests/data/virt.dtb")),
    ("raspi4b", include_bytes!("../../tests/data/raspi4b.dtb")),
];
const STORE: (u64, u64) = (0x3f00_0000, 4 << 20);

fn handed(tree: &Tree<'_>, append: &[u8]) -> Vec<u8> {
    let mut out = vec![0xa5; tree.bytes().len() + 4096];
    let size = handed::write(tree, STORE, append, &mut out).unwrap();
    out.truncate(size);
    out
}

/// Every node's name and every property but /chosen/bootargs, in their order.
fn content(tree: &Tree<'_>) -> Vec<(std::string::String, Option<Vec<u8>>)> {
    let names = ["compatible", "reg", "ranges", "status", "phandle", "interrupts", "model", "stdout-path", "bootargs"];
    let nodes = tree.walk().filter(|node| std::format!("{}", node.name()) != "chosen");
    let of = |node: crate::device_tree::Node<'_>| {
        names.map(|name| (std::format!("{} {name}", node.name()), node.property(name).map(<[u8]>::to_vec)))
    };
    nodes.flat_map(of).collect()
}

#[test]
fn a_handed_tree_has_one_more_reservation_and_the_words_and_is_otherwise_the_same() {
    for (name, bytes) in TREES {
        let tree = validate(bytes).unwrap();
        for append in [&b""[..], b"events=500", b"a"] {
            let handed = handed(&tree, append);
            let new = validate(&handed).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut reserved: Vec<_> = tree.memreserve().collect();
            reserved.push(Range::new(STORE.0, STORE.1).unwrap());
            assert_eq!(new.memreserve().collect::<Vec<_>>(), reserved, "{name}");
            assert_eq!(content(&new), content(&tree), "{name}");
            let mut arguments = tree.bootargs().to_vec();
            if !append.is_empty() {
                if !arguments.is_empty() {
                    arguments.push(b' ');
                }
                arguments.extend(append);
            }
            assert_eq!(new.bootargs(), arguments, "{name}");
            // What was handed on can be handed on again.
            let again = self::handed(&new, b"more");
            assert!(validate(&again).unwrap().bootargs().ends_with(b"more"), "{name}");
        }
    }
}

#[test]
fn a_tree_that_does_not_fit_is_refused_and_nothing_is_written_beyond() {
    let tree = validate(TREES[3].1).unwrap();
    let whole = handed(&tree, b"events=500");
    for size in (0..whole.len()).step_by(97) {
        let mut out = vec![0; size];
        assert_eq!(handed::write(&tree, STORE, b"events=500", &mut out), Err(handed::Failed::NoRoom), "{size}");
    }
}

#[test]
fn the_arena_is_the_highest_room_below_4_gib_and_its_parts_are_apart() {
    let mut memblock = Memblock::<128>::new();
    memblock.add(Range::new(0x4000_0000, 0x2000_0000).unwrap()).unwrap();
    memblock.add(Range::new(0x1_0000_0000, 0x4000_0000).unwrap()).unwrap();
    memblock.reserve(Range::new(0x5fff_0000, 0x1000).unwrap()).unwrap();
    let arena = Arena::find(&memblock).unwrap();
    assert_eq!(arena.all(), 0x5f00_0000..0x5fe0_0000);
    let parts = [arena.store(), arena.tree(), arena.kernel()];
    assert!(parts.is_sorted_by(|a, b| a.end <= b.start) && parts[2].end == arena.all().end);
    assert!(parts.iter().all(|part| part.start.is_multiple_of(2 << 20)));

    let mut small = Memblock::<128>::new();
    small.add(Range::new(0x4000_0000, 0x80_0000).unwrap()).unwrap();
    assert!(Arena::find(&small).is_err());
}

#[test]
fn the_wait_is_what_the_command_line_says_last_and_bounded() {
    for (arguments, wait) in [
        (&b""[..], 500),
        (b"loader.wait=0", 0),
        (b"events=5 loader.wait=1500 tail=0", 1500),
        (b"loader.wait=1 loader.wait=2", 2),
        (b"loader.wait=x", 500),
        (b"loader.wait=99999999999", WAIT_MAX),
        (b"xloader.wait=7", 500),
        (b"loader.wait=\xff", 500),
    ] {
        assert_eq!(wait_ms(arguments), wait, "{arguments:?}");
    }
}
