//! Regions in every form in which somebody hands them over.

mod support;

use ring::format::Geometry;
use support::{Made, noise, read, titles, within};

/// Two crashes in three banks.
fn made(parity: u32) -> Made {
    let made = Made::new(512 << 10, 3, 2, parity);
    made.boot(0x1111_1111, 700);
    made.boot(0x2222_2222, 900);
    made
}

#[test]
fn a_region_gives_its_boots_with_their_panics_the_newest_first() {
    let made = made(0);
    let titles = titles(made.bytes());
    assert_eq!(titles, ["boot 2 panicked on core 0 at 0.000006 s", "boot 1 panicked on core 0 at 0.000004 s"]);
    let input = reader::Input::new(reader::Image::of(made.bytes()));
    let reading = input.read();
    assert_eq!((reading.kind, reading.remarks.len()), (reader::Kind::Region, 0));
    let about = reading.traces[0].about();
    let panic = about.panic.as_ref().unwrap();
    assert_eq!(panic.message, "a test \\x1b[2J panics", "no control byte leaves the region");
    assert_eq!((panic.backtrace.len(), about.build_id.as_deref()), (2, Some("ab".repeat(20).as_str())));
    assert!(reading.traces[0].counts(1).account.unwrap().sum_holds());
    assert_eq!(reading.traces[0].counts(1).events, 900);
    assert_eq!(reading.traces[0].counts(2).events, 0, "there is no core 2");
}

#[test]
fn the_same_is_found_somewhere_in_a_ram_image() {
    let made = made(0);
    let (whole, _) = read(made.bytes());
    assert_eq!(whole.len(), 2 * (700 + 900));
    for at in [4096, 0x5_3000, (4 << 20) - (512 << 10)] {
        let (found, remarks) = read(within(&made.bytes(), at, 4 << 20));
        assert!(found == whole, "at {at:#x}");
        assert!(remarks.is_empty(), "{remarks:?}");
    }
    let mut two = within(&made.bytes(), 0x4000, 4 << 20);
    let other = Made::new(256 << 10, 1, 1, 0);
    other.boot(9, 50);
    two[0x20_0000..][..256 << 10].copy_from_slice(&other.bytes());
    assert_eq!(titles(two).len(), 3, "and so are two of them");
}

#[test]
fn a_lost_header_costs_nothing_and_two_lost_ones_are_said() {
    let made = made(0);
    let (whole, _) = read(made.bytes());
    let lost = |image: &mut Vec<u8>, at: usize| image[at..at + 4096].copy_from_slice(&noise(4096, 3));
    let size = made.geometry.region_size as usize;
    for (at, image_size) in [(0, size), (0x3000, 2 << 20)] {
        for header in [0, size - 4096] {
            let mut image = within(&made.bytes(), at, image_size);
            lost(&mut image, at + header);
            assert_eq!(titles(image.clone()).len(), 2, "each boot once");
            let (found, remarks) = read(image);
            assert!(found == whole, "the header at {header:#x} is lost");
            assert!(remarks.is_empty(), "nothing had to be worked round: {remarks:?}");
        }
        let mut image = within(&made.bytes(), at, image_size);
        lost(&mut image, at);
        lost(&mut image, at + size - 4096);
        let (found, remarks) = read(image);
        assert!(found == whole, "{} of {}", found.len(), whole.len());
        assert!(remarks.iter().any(|remark| remark.contains("header")), "{remarks:?}");
    }
}

#[test]
fn a_bank_alone_is_found_by_its_sub_buffers_also_without_its_tail() {
    for parity in [0, 4] {
        let made = made(parity);
        let Geometry { bank_size, linux_size, .. } = made.geometry;
        let start = made.geometry.bank(1) as usize;
        let bank = made.bytes()[start..start + bank_size as usize].to_vec();
        let whole: support::Written = read(made.bytes()).0.into_iter().filter(|(boot, ..)| *boot == 2).collect();
        let (found, remarks) = read(bank.clone());
        assert!(found == whole, "{parity}: {} of {}: {remarks:?}", found.len(), whole.len());
        let mut without = bank;
        without[linux_size as usize..].fill(0);
        let (found, _) = read(without);
        let events =
            |all: &support::Written| all.iter().map(|(_, core, bytes)| (*core, bytes.clone())).collect::<Vec<_>>();
        assert_eq!(events(&found), events(&whole), "whose number nobody knows any more");
    }
}

#[test]
fn a_bank_alone_whose_rings_went_round_is_found_as_well() {
    let made = Made::new(256 << 10, 1, 2, 0);
    made.boot(0x3333_3333, 6000);
    let start = made.geometry.bank(0) as usize;
    let bank = made.bytes()[start..start + made.geometry.bank_size as usize].to_vec();
    let (whole, _) = read(made.bytes());
    assert!(whole.len() > 1000 && whole.len() < 8000, "{}: it did not go round", whole.len());
    let (found, remarks) = read(bank);
    assert!(found == whole, "{} of {}: {remarks:?}", found.len(), whole.len());
}

#[test]
fn a_bank_whose_sub_buffers_stand_nowhere_is_not_taken_for_linuxs_own() {
    let made = made(0);
    let start = made.geometry.bank(1) as usize;
    let mut bank = made.bytes()[start..start + made.geometry.bank_size as usize].to_vec();
    let linux = titles(bank.clone());
    assert!(linux.iter().all(|title| title.starts_with("boot")), "{linux:?}");
    // Every one where another belongs, and no header or tail that would say more.
    let places: Vec<_> = (0..made.geometry.ring()).map(|n| made.geometry.subbuf(0, n) as usize).collect();
    let pages: Vec<Vec<u8>> = places.iter().map(|at| bank[*at..at + 4096].to_vec()).collect();
    for (n, at) in places.iter().enumerate() {
        bank[*at..at + 4096].copy_from_slice(&pages[n * n % pages.len()]);
        let other = made.geometry.subbuf(1, n as u64) as usize;
        bank[other..other + 4096].fill(0);
    }
    bank[made.geometry.linux_size as usize..].fill(0);
    let (found, remarks) = read(bank.clone());
    assert!(found.is_empty() && titles(bank).is_empty(), "{remarks:?}");
    assert!(remarks.iter().any(|remark| remark.contains("a bank of ours at 0x0 cannot be read")), "{remarks:?}");
}

#[test]
fn what_parity_can_put_right_is_put_right_and_said() {
    let made = made(4);
    let (whole, _) = read(made.bytes());
    let mut image = made.bytes();
    let at = (made.geometry.bank(1) + made.geometry.subbuf(1, 2)) as usize + 640;
    image[at..at + 64].fill(0xee);
    let (found, remarks) = read(image);
    assert!(found == whole);
    assert!(remarks.iter().any(|remark| remark.contains("core 1: parity: 1 line")), "{remarks:?}");
}

#[test]
fn a_region_that_is_cut_off_gives_the_banks_that_are_there() {
    let made = made(0);
    let (whole, _) = read(made.bytes());
    let keep = made.geometry.bank(1) as usize + made.geometry.bank_size as usize / 2;
    let (found, remarks) = read(made.bytes()[..keep].to_vec());
    assert!(found.is_subset(&whole) && found.iter().filter(|(boot, ..)| *boot == 1).count() == 1400);
    assert!(found.iter().any(|(boot, ..)| *boot == 2), "what is there of the second bank as well");
    assert!(remarks.iter().any(|remark| remark.contains("missing")), "{remarks:?}");
}

#[test]
fn what_holds_nothing_says_why() {
    let said = |image: Vec<u8>| read(image).1.join("; ");
    assert_eq!(said(Vec::new()), "it is empty");
    assert!(said(vec![0; 1 << 20]).contains("reads as zeros"));
    assert!(said(noise(1 << 20, 1)).contains("noise"));
    assert!(said(b"\xfd7zXZ and more".to_vec()).contains("compressed"));
    assert!(said(Made::new(256 << 10, 2, 1, 0).bytes()).contains("zeros"));
}

#[test]
fn a_console_capture_gives_the_events_of_each_dump() {
    let text = "\
noise\x1b[2J
boot 3 panicked on core 1 at     1.500000
  it said so
  at here.rs:7
# tracer: nop
        workload-1       [000] ....     0.311261 : panic: core=0: asked for
        workload-2       [001] d.z1     0.312847 : core_stop: core=1 pc=0x402266c8
CPU:1 [LOST 5 EVENTS]
           <...>-154     [001] d.h1.     0.412848?: vfs_read <-ksys_read
boot 4 ended in a reset without a word
# tracer: nop
           <...>-1       [000] .....     4.319540: print: \x1b]0;title
           <...>-1       [000] .....     4.319541007: print: later
";
    let input = reader::Input::new(reader::Image::of(text.as_bytes().to_vec()));
    let reading = input.read();
    assert_eq!(reading.kind, reader::Kind::Listing);
    let [second, first] = &reading.traces[..] else { panic!("{}", reading.traces.len()) };
    assert_eq!((first.about().boot, second.about().boot), (Some(3), Some(4)));
    let panic = first.about().panic.clone().unwrap();
    assert_eq!((panic.core, panic.time_ns, panic.message.as_str()), (1, 1_500_000_000, "it said so"));
    let told: Vec<String> = trace::merged(first.as_ref())
        .map(|item| match item {
            trace::Item::Event(event) => {
                let mut text = format!("{} {} {} ", event.time_ns, event.core, first.name(event.id));
                first.text(&event, &mut text).unwrap();
                text
            }
            trace::Item::Loss(loss) => format!("{:?}", loss.events),
        })
        .collect();
    assert_eq!(told[0], "311261000 0 panic core=0: asked for");
    assert_eq!(told[2..], ["Some(5)", "412848000 1 function vfs_read <-ksys_read"]);
    let mut text = String::new();
    let trace::Item::Event(event) = second.items(0).next().unwrap() else { panic!("an event") };
    second.text(&event, &mut text).unwrap();
    assert_eq!(text, "\\x1b]0;title");
    assert_eq!(second.items(0).nth(1).unwrap().time_ns(), 4_319_541_007, "nine places are nanoseconds");
}
