//! What a kernel is handed as a device tree: QEMU's own with an overlay, or anything else.

mod support;

use anyhow::Result;
use qemu::trampoline::Handed;
use qemu::{Machine, Overlay, devicetree};
use std::fs;
use support::{Guest, PATIENCE};

/// Where the guests keep the pointer that they were handed.
const KEPT: u64 = 0x4100_0100;
const MAGIC: &[u8] = b"\xd0\x0d\xfe\xed";

/// Prints four bytes of what it was handed.
fn machine() -> Machine {
    let guest = Guest::new().keep_x0(KEPT).print_handed(KEPT, 0..4).exit(0);
    Machine::virt().smp(1).kernel(&guest.build())
}

#[test]
fn a_guest_gets_qemus_tree_or_one_with_a_region() -> Result<()> {
    assert_eq!(machine().run(PATIENCE)?.bytes, MAGIC);
    assert_eq!(machine().overlay(Overlay::virt_region()).run(PATIENCE)?.bytes, MAGIC);
    assert_eq!(machine().devicetree_file(devicetree::dumped(&machine())?).run(PATIENCE)?.bytes, MAGIC);
    Ok(())
}

#[test]
fn the_same_tree_is_made_once_and_another_is_another() -> Result<()> {
    let tree = |machine: &Machine| devicetree::with_overlay(machine, &Overlay::virt_region());
    let first = tree(&machine())?;
    let made = fs::metadata(&first)?.modified()?;
    assert_eq!(tree(&machine().append("die=none"))?, first, "the command line is not in it");
    assert_eq!(fs::metadata(&first)?.modified()?, made);
    for other in [machine().smp(2), machine().gic(2), machine().el2(true), machine().memory(1 << 30)] {
        assert_ne!(tree(&other)?, first);
    }
    assert_ne!(devicetree::with_overlay(&machine(), &Overlay::region(0x5000_0000, 4 << 20))?, first);
    Ok(())
}

#[test]
fn a_region_that_is_described_here_is_the_one_of_the_boards_room() -> Result<()> {
    let theirs = devicetree::with_overlay(&machine(), &Overlay::virt_region())?;
    let ours = devicetree::with_overlay(&machine(), &Overlay::region(0x5000_0000, 8 << 20))?;
    assert_ne!(theirs, ours, "the sources differ");
    assert!(fs::read(theirs)? == fs::read(ours)?, "the trees do not");
    Ok(())
}

#[test]
fn an_overlay_that_is_wrong_is_an_error_with_dtcs_words() {
    let error = devicetree::with_overlay(&machine(), &Overlay::from_source("/dts-v1/;\n/plugin/;\n/ { x = ; };\n"));
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.contains("cannot be compiled") && error.contains("syntax error"), "{error}");
}

#[test]
fn a_guest_can_be_handed_anything() -> Result<()> {
    for unaligned_by in [0, 1, 4, 4095] {
        let handed = Handed::Bytes { bytes: b"none".to_vec(), unaligned_by };
        let outcome = machine().handed(handed).run(PATIENCE)?;
        assert_eq!(outcome.expect_exit(0)?.console, "none", "{unaligned_by}");
    }
    let tree = fs::read(devicetree::dumped(&machine())?)?;
    assert_eq!(machine().handed(Handed::Bytes { bytes: tree, unaligned_by: 0 }).run(PATIENCE)?.bytes, MAGIC);
    // At this place QEMU puts its own tree.
    assert_eq!(machine().handed(Handed::Pointer(0x4800_0000)).run(PATIENCE)?.bytes, MAGIC);
    let guest = Guest::new().keep_x0(KEPT).print_byte_at(KEPT).exit(0);
    let outcome = Machine::virt()
        .smp(1)
        .kernel(&guest.build())
        .handed(Handed::Pointer(0xffff_0000_dead_0000 | u64::from(b'p')))
        .run(PATIENCE)?;
    assert_eq!(outcome.expect_exit(0)?.console, "p");
    Ok(())
}
