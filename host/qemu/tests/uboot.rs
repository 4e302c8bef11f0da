//! From the image of an SD card to a recovered dump, unattended: U-Boot boots the card, the kernel records and panics, PSCI
//! resets, U-Boot boots the card again, the kernel finds what survived.

mod kernel;
use kernel::{says, told_whole};
use qemu::{Machine, Outcome, Overlay, devicetree, uboot, workspace};
use sdcard::{Board, Card, Order, assemble};
use std::time::Duration;

/// Two boots of a few seconds each, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(120);
const REGION: (u64, u64) = (0x5000_0000, 8 << 20);

/// Boots a card of the generic board with this device tree, or with U-Boot's own.
fn boot(tree: Option<Vec<u8>>) -> Outcome {
    let order = Order {
        board: Board::by_id("generic").unwrap(),
        kernel: workspace::kernel().unwrap().bytes().to_vec(),
        firmware: None,
        append: Some("events=500 tail=0".into()),
        region: Some(REGION),
        tree,
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let card = Card::new(&assemble(&order).unwrap().files).unwrap();
    card.save(file.path()).unwrap();
    let outcome = uboot::machine(file.path()).unwrap().run(PATIENCE).unwrap();
    assert_eq!(std::fs::read(file.path()).unwrap(), card.bytes(), "nobody wrote to the card");
    outcome.expect_exit(0).unwrap();
    outcome
}

/// Both boots told the same about the region, and the second found what the first recorded.
fn is_whole(outcome: &Outcome) {
    for text in [
        "U-Boot 20",
        "Found U-Boot script /boot.scr",
        "entry      EL1 at 0x40400000, PSCI by HVC",
        "content    cold",
        "reset: asking for it by PSCI SYSTEM_RESET",
        "content    1 boot before this one",
        "boot 1 panicked on core 0",
        "power off with status 0",
    ] {
        says(outcome, text);
    }
    let region = "  region     8192 KiB at 0x50000000, from /reserved-memory/persistent-ring@50000000 (reg)";
    let regions: Vec<_> = outcome.console.lines().filter(|line| line.starts_with("  region")).collect();
    assert_eq!(regions, [region, region], "{}", outcome.story());
    told_whole(outcome);
}

#[test]
fn a_card_boots_panics_boots_again_and_tells_everything() {
    is_whole(&boot(None));
}

#[test]
fn a_tree_of_the_card_that_reserves_memory_in_other_cells_gets_the_region_in_those() {
    let reserves = Overlay::from_source(
        r#"/dts-v1/; /plugin/;
        / { fragment@0 { target-path = "/"; __overlay__ { reserved-memory {
            #address-cells = <2>; #size-cells = <1>; ranges;
            firmware@4f000000 { reg = <0x0 0x4f000000 0x100000>; no-map; };
        }; }; }; };"#,
    );
    let tree = devicetree::with_overlay(&Machine::virt(), &reserves).unwrap();
    let outcome = boot(Some(std::fs::read(tree).unwrap()));
    is_whole(&outcome);
    // As fdt print shows it: two cells of address, one of size.
    says(&outcome, "reg = <0x00000000 0x50000000 0x00800000>;");
}
