//! The main job on QEMU's raspi4b and raspi3b, with Linux's device trees: no PSCI, cores at a spin table, the reset by the
//! watchdog; on raspi3b no GIC.

mod kernel;
use kernel::{run, says, told_whole};
use qemu::stop_matrix::{Kind, MACHINES};
use qemu::{Board, Machine, Overlay, workspace};
use std::path::PathBuf;
use std::process::Command;

/// How many runs of each row, each with its own seed.
const SEEDS: &str = "AFTERGLOW_SEEDS";

fn raspi(board: Board, arguments: &str) -> Machine {
    let machine = Machine::new(board).kernel(workspace::kernel().unwrap());
    machine.overlay(Overlay::region_of(board)).append(arguments)
}

fn raspi4b(arguments: &str) -> Machine {
    raspi(Board::Raspi4b, arguments)
}

/// Board, its name, and the means of stop that it has: `stop=` and the name.
type Row = (Board, &'static str, &'static [(&'static str, &'static str)]);

const BOARDS: [Row; 2] = [
    (
        Board::Raspi4b,
        "Raspberry Pi 4",
        &[("auto", "own EL2"), ("el2", "own EL2"), ("fiq", "FIQ"), ("priority-mask", "GICv2 priority mask")],
    ),
    (Board::Raspi3b, "Raspberry Pi 3", &[("auto", "own EL2"), ("fiq", "FIQ")]),
];

#[test]
fn every_means_of_stop_ends_in_a_dump_that_is_whole() {
    let seeds = std::env::var(SEEDS).ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1);
    let means = BOARDS.into_iter().flat_map(|(board, name, means)| means.iter().map(move |means| (board, name, means)));
    for ((board, called, (word, name)), seed) in means.flat_map(|row| (1..=seeds).map(move |seed| (row, seed))) {
        let core = seed % 4;
        let outcome = run(&raspi(board, &format!("events=500 tail=0 stop={word} seed={seed} die_core={core}")), 0);
        for text in [
            &format!("board      {called}"),
            "entry      EL2 at 0x200000, no PSCI",
            "region     8192 KiB at 0xb000000, from /reserved-memory/persistent-ring@b000000 (reg)",
            "cache lines by DC CVAC",
            "reset: asking for it by watchdog",
            "no IPI was sent",
            &format!("stop by    {name} (no IPI)"),
            &format!("boot 1 panicked on core {core}"),
        ] {
            says(&outcome, text);
        }
        told_whole(&outcome);
        for other in (0..4).filter(|other| *other != core) {
            says(&outcome, &format!("core {other} was stopped by {name}"));
        }
    }
}

#[test]
fn a_watchdog_that_does_not_count_is_no_dead_man() {
    let outcome = run(&raspi4b("cycles=0"), 0);
    says(
        &outcome,
        "dead man   none: the watchdog BCM2835 PM does not count here; what a panic does is bounded by itself",
    );
}

#[test]
fn without_anybody_to_hear_a_status_the_board_switches_itself_off() {
    // Of two -semihosting-config QEMU takes the last.
    let outcome = run(&raspi4b("events=500 tail=0").extra(["-semihosting-config", "enable=off"]), 0);
    says(&outcome, "power off with status 0");
    assert!(!outcome.console.contains("cannot be switched off"), "{}", outcome.story());
}

#[test]
fn a_region_may_be_elsewhere_and_one_that_the_firmware_writes_over_is_warned_of() {
    let at = |board, base| raspi(board, "events=500 tail=0").overlay(Overlay::region_at(board, base, 4 << 20));
    says(&run(&at(Board::Raspi4b, 0x1000_0000), 0), "region     4096 KiB at 0x10000000");
    for (board, _, _) in BOARDS {
        says(&run(&at(board, 0x2d00_0000), 0), "the region overlaps 0x2d000000..0x2f000000");
    }
}

#[test]
fn the_console_is_where_stdout_path_says() {
    for (board, name, _) in BOARDS {
        // As Linux's tree has it: the mini-UART, QEMU's second serial line.
        let machine = raspi(board, "events=500 tail=0").stdout("serial1:115200n8").serial("null");
        let outcome = run(&machine.extra(["-serial", "stdio"]), 0);
        says(&outcome, &format!("board      {name}"));
        says(&outcome, "crash of boot 1: ");
        // What has no driver gives way to the first that has one.
        let outcome = run(&raspi(board, "cycles=0").stdout("/soc/spi@7e2150c0"), 0);
        says(&outcome, "stdout-path names a console without a driver: this is the first that has one");
        says(&outcome, "power off with status 0");
    }
}

#[test]
fn what_the_firmware_tells_is_in_the_first_lines() {
    // A region, and what the firmware of a real one adds.
    let overlay = Overlay::from_source(
        "/dts-v1/;
/plugin/;
/ {
    fragment@0 {
        target-path = \"/reserved-memory\";
        __overlay__ {
            ring@b000000 { compatible = \"afterglow,persistent-ring\"; reg = <0x0 0xb000000 0x800000>; };
        };
    };
    fragment@1 {
        target-path = \"/chosen\";
        __overlay__ { bootloader { rsts = <0x20>; build-timestamp = <1599135103>; }; };
    };
};",
    );
    let outcome = run(&raspi4b("cycles=0").overlay(overlay), 0);
    says(&outcome, "  last reset watchdog or software (PM_RSTS 0x20)");
    says(&outcome, "the bootloader EEPROM is of 2020-09-03, and before 2024-10-10 memory came back with bit errors");
}

/// The Raspberry Pi 5 as far as QEMU has it.
fn like_raspberry_pi_5() -> &'static Kind {
    MACHINES.iter().find(|kind| kind.name.contains("Raspberry Pi 5")).unwrap()
}

#[test]
fn on_the_model_of_the_raspberry_pi_5_the_main_job_is_done_by_its_means() {
    let kernel = workspace::kernel().unwrap();
    let outcome = run(&like_raspberry_pi_5().machine(kernel, "events=500 tail=0 die_core=2"), 0);
    for text in [
        "entry      EL2",
        "PSCI by SMC",
        "stop by    own EL2 (no IPI)",
        "cache lines by DC CVAP",
        "reset: asking for it by PSCI SYSTEM_RESET",
        "boot 1 panicked on core 2",
    ] {
        says(&outcome, text);
    }
    told_whole(&outcome);
}

#[test]
fn cores_that_are_numbered_in_aff1_start_stop_and_are_told_apart() {
    // With a GICv3 QEMU gives the cores from 16 on an Aff1 of their own. The tree leaves core 0 and three of those.
    let machine = Kind::virt("virt", 3, "cortex-a76", &[]).el2();
    let machine = machine.machine(workspace::kernel().unwrap(), "events=500 tail=0 die_core=3").smp(19);
    let whole = qemu::devicetree::with_overlay(&machine, &Overlay::virt_region()).unwrap();
    let left: PathBuf = std::env::temp_dir().join(format!("afterglow-aff1-{}.dtb", std::process::id()));
    std::fs::copy(&whole, &left).unwrap();
    for core in 1..16 {
        let done = Command::new("fdtput").arg("-r").arg(&left).arg(format!("/cpus/cpu@{core}")).status().unwrap();
        assert!(done.success());
    }
    let outcome = machine.devicetree_file(&left).run(std::time::Duration::from_secs(180));
    std::fs::remove_file(&left).unwrap();
    let outcome = outcome.unwrap();
    outcome.expect_exit(0).unwrap();
    for (index, mpidr) in [(1, 0x100), (2, 0x101), (3, 0x102)] {
        says(&outcome, &format!("core {index} runs (MPIDR {mpidr:#x})"));
    }
    for core in 0..3 {
        says(&outcome, &format!("core {core} was stopped by own EL2"));
    }
    says(&outcome, "boot 1 panicked on core 3");
    told_whole(&outcome);
}
