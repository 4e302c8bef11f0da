//! From the image of an SD card, or from its files on a TFTP server, to a recovered dump, unattended: U-Boot starts the kernel, which
//! records and panics, PSCI resets, U-Boot starts it again, and it finds what survived.

mod kernel;
use cachesim::options::Options;
use cachesim::report::Lost;
use kernel::{says, told_whole};
use qemu::console::tables;
use qemu::{Machine, Outcome, Overlay, devicetree, uboot, workspace};
use sdcard::{Board, Card, Order, assemble, directory};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;
use tempfile::TempDir;

/// Two boots of a few seconds each, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(120);
const REGION: (u64, u64) = (0x5000_0000, 8 << 20);

fn order(tree: Option<Vec<u8>>, words: &str) -> Order {
    Order {
        board: Board::by_id("generic").unwrap(),
        kernel: workspace::kernel().unwrap().bytes().to_vec(),
        firmware: None,
        append: Some(format!("events=500 tail=0 {words}")),
        region: Some(REGION),
        tree,
    }
}

/// Boots a card of the generic board with this device tree, or with U-Boot's own.
fn boot(tree: Option<Vec<u8>>) -> Outcome {
    let file = tempfile::NamedTempFile::new().unwrap();
    let card = Card::new(&assemble(&order(tree, "")).unwrap().files).unwrap();
    card.save(file.path()).unwrap();
    let outcome = uboot::machine(file.path()).unwrap().run(PATIENCE).unwrap();
    assert_eq!(std::fs::read(file.path()).unwrap(), card.bytes(), "nobody wrote to the card");
    outcome.expect_exit(0).unwrap();
    says(&outcome, "Found U-Boot script /boot.scr");
    outcome
}

/// What a TFTP server has, and a machine without a card that asks it.
fn served(tree: Option<Vec<u8>>, words: &str) -> (TempDir, Machine) {
    let place = tempfile::tempdir().unwrap();
    directory::save(&assemble(&order(tree, words)).unwrap().served(), place.path(), false).unwrap();
    let machine = uboot::network(place.path()).unwrap();
    (place, machine)
}

/// Both boots told the same about the region, and the second found what the first recorded.
fn is_whole(outcome: &Outcome) {
    for text in [
        "U-Boot 20",
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

/// How often the console says this.
fn times(outcome: &Outcome, text: &str) -> usize {
    outcome.console.matches(text).count()
}

#[test]
fn without_a_card_all_comes_over_the_network_each_time_and_the_dump_is_whole() {
    let tree = devicetree::with_overlay(&Machine::virt(), &Overlay::from_source("/dts-v1/; /plugin/; / { };")).unwrap();
    let (_place, machine) = served(Some(std::fs::read(tree).unwrap()), "");
    let outcome = machine.run(PATIENCE).unwrap();
    outcome.expect_exit(0).unwrap();
    is_whole(&outcome);
    for file in ["boot.scr.uimg", "afterglow.img", "board.dtb"] {
        assert_eq!(times(&outcome, &format!("Filename '{file}'.")), 2, "{file}\n{}", outcome.story());
    }
}

/// What a document has a person type at U-Boot's prompt, in the order of its parts that are headed so.
fn typed_in(document: &str, part: &str) -> Vec<String> {
    let (_, text) = document.split_once(&format!("\n## {part}\n")).expect("the document has this part");
    let text = text.split("\n## ").next().unwrap();
    text.lines().filter_map(|line| line.strip_prefix("=> ")).map(str::to_owned).collect()
}

/// A person at the serial line.
struct Person {
    line: UnixStream,
    seen: Vec<u8>,
}

impl Person {
    fn waits_for(&mut self, text: &str) {
        let from = self.seen.len();
        let mut byte = [0];
        while !self.seen[from..].ends_with(text.as_bytes()) {
            let read = self.line.read(&mut byte).expect("it says something in time");
            assert_eq!(read, 1, "it ended before {text:?}\n{}", String::from_utf8_lossy(&self.seen));
            self.seen.push(byte[0]);
        }
    }

    fn types(&mut self, text: &str) {
        self.line.write_all(text.as_bytes()).unwrap();
    }
}

#[test]
fn the_lines_of_the_document_typed_at_the_prompt_do_what_it_says_now_and_after_the_reset() {
    let lines = typed_in(include_str!("../../../boards/docs/without-a-card.md"), "Netboot with U-Boot");
    let (place, machine) = served(None, "");
    let socket = place.path().join("line");
    let listener = UnixListener::bind(&socket).unwrap();
    let running = machine.serial(format!("unix:{}", socket.display())).start(PATIENCE).unwrap();
    let mut person = Person { line: listener.accept().unwrap().0, seen: Vec::new() };
    person.line.set_read_timeout(Some(PATIENCE)).unwrap();
    person.waits_for("Hit any key to stop autoboot");
    person.types(" ");
    // The document has what is for good behind what is for once, and says that it comes first.
    let (once, for_good) = lines.split_at(3);
    assert!(once[2].starts_with("source ") && for_good[1] == "saveenv", "{lines:?}");
    for line in for_good.iter().chain(once) {
        person.waits_for("=> ");
        person.types(&format!("{line}\n"));
    }
    person.line.read_to_end(&mut person.seen).unwrap();
    let mut outcome = running.wait().unwrap();
    outcome.console = String::from_utf8(person.seen).unwrap();
    outcome.bytes = outcome.console.clone().into_bytes();
    outcome.expect_exit(0).unwrap();
    is_whole(&outcome);
    assert_eq!(times(&outcome, "Filename 'boot.scr.uimg'."), 2, "{}", outcome.story());
    // The second time U-Boot went by what was saved: its own bootcmd looks for USB before it asks the network.
    says(&outcome, "Saving Environment to Flash...");
    assert_eq!(times(&outcome, "starting USB..."), 0, "{}", outcome.story());
}

/// All of RAM is behind the cache but its first 2 MiB, where QEMU puts the device tree anew at each reset. What U-Boot and the
/// kernel had dirty elsewhere is lost, and read or made again: all of it but the region's.
#[test]
fn behind_a_cache_that_loses_the_kernel_that_u_boot_starts_again_finds_what_was_cleaned_and_only_that() {
    const RAM: u64 = 0x4000_0000;
    let in_region = |lost: &&Lost| (REGION.0..REGION.0 + REGION.1).contains(&(RAM + lost.at));
    for (words, survives) in [("", true), ("die=reset", false)] {
        let (_place, machine) = served(None, words);
        let ram = machine.make_ram().unwrap();
        let range = (RAM, ram.size());
        let options = Options { range, coherent: vec![(RAM, 2 << 20)], content: false, ..Options::default() };
        let mut running = machine.ram(&ram).losing(options).start(PATIENCE).unwrap();
        let (reset, _) = running.next_reset(PATIENCE).unwrap().expect("the first boot resets");
        let outcome = running.wait().unwrap();
        outcome.expect_exit(0).unwrap();
        says(&outcome, "content    1 boot before this one");
        let (dirty, elsewhere): (Vec<&Lost>, Vec<&Lost>) = reset.lost.iter().partition(in_region);
        assert!(elsewhere.len() > 1000, "{words}: {:?}", reset.counts);
        if survives {
            assert!(reset.counts.useful > 1000, "{:?}", reset.counts);
            told_whole(&outcome);
        } else {
            assert!(dirty.len() > 1000, "{:?}", reset.counts);
            let recovered: u64 = tables(&outcome.console)[0].accounts.iter().map(|account| account.recovered).sum();
            assert_eq!(recovered, 0, "{}", outcome.story());
        }
    }
}

#[test]
fn where_a_file_is_missing_it_is_named_and_what_ram_holds_from_before_is_not_started() {
    for (missing, tree) in [("afterglow.img", None), ("board.dtb", Some(b"no matter".to_vec()))] {
        let (place, machine) = served(tree, "");
        std::fs::remove_file(place.path().join(missing)).unwrap();
        let mut running = machine.start(PATIENCE).unwrap();
        let named = format!("afterglow: no {missing} that can be read, by: tftpboot");
        running.expect_line(|line| line == named, PATIENCE).unwrap();
        // U-Boot goes on to what else the network may have.
        let next = running.expect_line(|line| line.contains("BOOTP") || line.contains("afterglow,"), PATIENCE).unwrap();
        assert!(next.contains("BOOTP broadcast 1"), "{next}");
    }
}
