//! The command line: what is understood, what is refused and how, and that the documentation is the table.

extern crate std;
use super::*;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// The options, and each warning as it is shown.
fn read(line: &str) -> (Options, Vec<String>) {
    let mut warnings = Vec::new();
    let options = parse(line, &mut |warning| warnings.push(warning.to_string()));
    (options, warnings)
}

/// The options of a line that must not cause a warning.
fn quiet(line: &str) -> Options {
    let (options, warnings) = read(line);
    assert!(warnings.is_empty(), "{line}: {warnings:?}");
    options
}

#[test]
fn an_empty_line_gives_the_defaults() {
    assert_eq!(quiet(""), Options::default());
    assert_eq!(Options::default().to_string(), "");
}

#[test]
fn every_option_takes_a_value_other_than_its_default_and_shows_it_again() {
    let line = "reserve_mem=8M:4096:afterglow banks=16 keep=first clean=event full=drop parity=4 stop=feat-nmi tick_us=100 \
                events=1000000000 payload=0..4000 rate=5 cycles=1000000 die=panic-in-dump die_core=63 others=wild hang=0 watchdog=off \
                crash_loop=0 ack=no loss=go-on terse digest tail=all dump=binary after=halt loglevel=trace seed=18446744073709551615 measure nest=7 survey=3 survey_without=psci-warm,panic quiet";
    let options = quiet(line);
    assert_eq!(options.to_string(), line);
    let defaults = Options::default();
    for entry in TABLE {
        assert!(!(entry.agrees)(&options, &defaults), "{} is in this test", entry.name);
    }
    assert_eq!(options.payload, Payload { least: 0, most: 4000 });
    assert_eq!((options.tail, options.loglevel), (Tail::All, log::LevelFilter::Trace));
    let asked = options.reserve_mem.unwrap();
    assert_eq!((asked.size, asked.align, asked.name.as_str()), (8 << 20, 4096, "afterglow"));
}

#[test]
fn every_default_can_be_written_and_is_within_what_is_expected() {
    for entry in TABLE.iter().filter(|entry| entry.expected != Expected::Nothing && entry.name != "reserve_mem") {
        let line = format!("{}={}", entry.name, fmt::from_fn(|f| (entry.show)(&Options::default(), f)));
        assert_eq!(quiet(&line), Options::default(), "{line}");
    }
}

#[test]
fn every_word_of_a_choice_is_understood_and_shown_as_itself() {
    for entry in TABLE {
        let Expected::Words(words) = entry.expected else { continue };
        for word in words {
            let options = quiet(&format!("{}={word}", entry.name));
            assert_eq!(fmt::from_fn(|f| (entry.show)(&options, f)).to_string(), *word);
        }
    }
    for step in crate::panic::Step::ALL {
        assert_eq!(quiet(&format!("die=panic-at-{}", step.name())).die.word(), format!("panic-at-{}", step.name()));
    }
    for lines in ring::parity::CHOICES {
        assert_eq!(quiet(&format!("parity={lines}")).parity.lines(), lines);
    }
}

#[test]
fn both_ends_of_every_range_are_in_it_and_the_next_number_is_not() {
    for entry in TABLE {
        let Expected::Number(least, most) = entry.expected else { continue };
        for inside in [least, most] {
            quiet(&format!("{}={inside}", entry.name));
            quiet(&format!("{}={inside:#x}", entry.name));
        }
        let outside = [least.checked_sub(1), most.checked_add(1)];
        for outside in outside.into_iter().flatten() {
            let (options, warnings) = read(&format!("{}={outside}", entry.name));
            assert_eq!((options, warnings.len()), (Options::default(), 1), "{}={outside}", entry.name);
        }
    }
}

#[test]
fn a_bad_value_is_named_with_what_was_expected_and_what_stays() {
    let (options, warnings) = read("banks=3 banks=99 keep=newest tick_us= payload=9..8 quiet=1 seed=-1 ack");
    assert_eq!(options, Options { banks: 3, ..Options::default() });
    assert_eq!(read("seed=+1").1, ["command line: seed=+1: expected number; it stays at 0"]);
    let expected = [
        "command line: banks=99: expected 1 to 16; it stays at 3",
        "command line: keep=newest: expected last|first; it stays at last",
        "command line: tick_us=: expected 100 to 1000000; it stays at 1000",
        "command line: payload=9..8: expected MIN or MIN..MAX, 0 to 4000 bytes; it stays at 16",
        "command line: quiet=1: expected no value; it stays at no",
        "command line: seed=-1: expected number; it stays at 0",
        "command line: ack: expected yes|no; it stays at yes",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn the_last_of_several_wins_and_dashes_are_as_good_as_underscores() {
    assert_eq!(quiet("die-core=1 die_core=2 die-core=3").die_core, 3);
    assert_eq!(quiet("banks=3 -- banks=4 nonsense").banks, 3);
    assert_eq!(quiet("\"banks=3\" seed=\"0x10\"").seed, 16);
}

#[test]
fn an_unknown_option_is_named_and_cannot_command_a_terminal() {
    let (options, warnings) = read("banks=2 bnaks=3 \u{1b}[2J=1");
    assert_eq!(options.banks, 2);
    let expected = [
        "command line: unknown option 'bnaks' is ignored: see the list of options",
        "command line: unknown option '\\x1b[2J' is ignored: see the list of options",
    ];
    assert_eq!(warnings, expected);
    let mut count = 0;
    let raw: &[u8] = b"\xff\xfe=\x80 banks=\xff";
    parse(raw, &mut |_| count += 1);
    assert_eq!(count, 2);
}

#[test]
fn a_damaged_line_does_not_fill_the_console() {
    let (_, warnings) = read(&"x ".repeat(1000));
    assert_eq!(warnings.len(), MOST_WARNINGS + 1);
    assert_eq!(warnings.last().unwrap(), "command line: 984 more warnings are not shown");
    assert_eq!(read(&"x ".repeat(MOST_WARNINGS)).1.len(), MOST_WARNINGS);
}

#[test]
fn what_linux_and_firmware_put_there_is_nobodys_mistake() {
    quiet(
        "BOOT_IMAGE=/boot/vmlinuz root=UUID=1 ro rootwait quiet splash console=ttyAMA0,115200 earlycon panic=10 init=/bin/sh",
    );
    quiet(
        "coherent_pool=1M 8250.nr_uarts=1 pci=pcie_bus_safe cgroup_disable=memory numa_policy=interleave nvme.max_host_mem_size_mb=0 \
         snd_bcm2835.enable_headphones=0 bcm2708_fb.fbwidth=0 vc_mem.mem_base=0x3f000000 smsc95xx.macaddr=00:11:22:33:44:55 \
         numa=fake=8 system_heap.max_order=0 reboot=w iommu_dma_numa_policy=interleave",
    );
}

#[test]
fn a_region_is_asked_for_in_linuxs_syntax() {
    let asked = |text: &str| quiet(&format!("reserve_mem={text}")).reserve_mem.unwrap();
    assert_eq!(asked("0x800000:0x1000:a").to_string(), "8M:4096:a");
    assert_eq!(asked("64k:0:fifteen.letters").size, 64 << 10);
    assert_eq!(asked("1G:2M:afterglow:x").name, "afterglow:x");
    for bad in [
        "8M",
        "8M:4096",
        "8M:4096:",
        "0:4096:a",
        "8M:4097:a",
        "8Q:4096:a",
        ":4096:a",
        "K:0:a",
        "8M:4096:sixteen.letters..",
        "99999999999T:0:a",
    ] {
        let (options, warnings) = read(&format!("reserve_mem={bad}"));
        assert_eq!((options.reserve_mem, warnings.len()), (None, 1), "{bad}");
    }
}

/// The help is in a file, which is this module's documentation too, and in the README. `UPDATE_DATA=1 cargo host-test -p kernel`
/// writes both anew.
#[test]
fn the_documentation_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/command-line.txt");
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let (shown, text) = (help().to_string(), std::fs::read_to_string(readme).unwrap());
    if std::env::var_os("UPDATE_DATA").is_some() {
        std::fs::write(path, &shown).unwrap();
        let first = shown.lines().next().unwrap();
        let (before, old) = text.split_once(first).unwrap();
        let (_, after) = old.split_once("\n```").unwrap();
        std::fs::write(readme, [before, &shown, "```", after].concat()).unwrap();
        return;
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), shown);
    assert!(text.contains(&shown), "the README shows other options");
}
