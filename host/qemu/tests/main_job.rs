//! The main job on QEMU's virt: record on four cores, panic, stop, clean, reboot, recover, dump; and all that can be wrong
//! with what a kernel is given. Each test is judged from outside: exit status, console, RAM, QEMU's own trace.

mod kernel;
use kernel::{REGION, machine, run, says};
use qemu::console::{Account, Table, tables};
use qemu::trampoline::Handed;
use qemu::{Machine, Outcome, Overlay, Threads, trace, workspace};

/// Every account of a run whose crashes were panics: the sum holds to the event, and nothing was damaged.
fn intact(outcome: &Outcome, crashes: usize) -> Vec<Table> {
    let second_panic = outcome.console.contains("panic: in the panic path");
    let tables = tables(&outcome.console);
    assert_eq!(tables.len(), crashes, "{}", outcome.story());
    for account in tables.iter().flat_map(|table| &table.accounts) {
        assert!(account.is_whole(), "{account:?}\n{}", outcome.story());
        // In flight when the core was stopped: at most one on each of four levels. Refused: only the last word of a core
        // whose recorder a second panic had switched off already.
        assert!(
            account.unfinished <= 4 && account.dropped <= u64::from(second_panic),
            "{account:?}\n{}",
            outcome.story()
        );
        assert!(account.recovered > 0, "{account:?}\n{}", outcome.story());
    }
    for table in &tables {
        assert_eq!(table.accounts.len(), 4, "{}", outcome.story());
    }
    tables
}

fn does_not_say(outcome: &Outcome, text: &str) {
    assert!(!outcome.console.contains(text), "it says {text:?}\n{}", outcome.story());
}

#[test]
fn the_main_job_from_a_cold_region_to_a_dump_that_is_whole() {
    let outcome = run(&machine(""), 0);
    let accounts: Vec<Account> = intact(&outcome, 1).remove(0).accounts;
    for account in &accounts {
        assert!(account.attempted >= 100_000 && account.overwritten > 0, "{account:?}");
    }
    for text in [
        "cold: no signature",
        "region     8192 KiB at 0x50000000, from /reserved-memory/persistent-ring@50000000 (reg)",
        "entry      EL1",
        "stop by    FIQ (no IPI)",
        "recording 100000 events on each of 4 cores",
        "panic: core 0: asked for on the command line",
        "panic: backtrace: 0x",
        "panic: core 3 was stopped by FIQ",
        "no IPI was sent",
        "cache lines by DC CVAP",
        "reset: asking for it by PSCI SYSTEM_RESET",
        "content    1 boot before this one",
        "boot 1 panicked on core 0",
        "# tracer: nop",
        "core_stop: core=1",
        "acknowledged: 1 bank is free again",
        "gic: SGIs pending or active on any core: 0x0000",
        "power off with status 0",
    ] {
        says(&outcome, text);
    }
}

#[test]
fn a_panic_on_each_core_stops_the_other_three() {
    for core in 0..4 {
        let outcome = run(&machine(&format!("die_core={core} events=3000 tail=4")), 0);
        intact(&outcome, 1);
        says(&outcome, &format!("boot 1 panicked on core {core}"));
        let stopped = (0..4).filter(|other| outcome.console.contains(&format!("core {other} was stopped by")));
        assert_eq!(stopped.collect::<Vec<_>>(), (0..4).filter(|other| *other != core).collect::<Vec<_>>());
        does_not_say(&outcome, "did not answer");
    }
}

#[test]
fn every_cpu_and_entry_level_does_the_same_job() {
    // CPU, EL2, security state, deepest clean.
    let machines = [
        ("cortex-a72", false, false, "DC CVAC"),
        ("cortex-a76", true, false, "DC CVAP"),
        ("max", false, false, "DC CVADP"),
        ("max", true, false, "DC CVADP"),
        ("neoverse-n1", true, true, "DC CVAP"),
        ("cortex-a76", false, true, "DC CVAP"),
    ];
    for (cpu, el2, secure, clean) in machines {
        let outcome = run(&machine("events=2000 tail=2").cpu(cpu).el2(el2).secure(secure), 0);
        intact(&outcome, 1);
        says(&outcome, clean);
        says(&outcome, if el2 { "entry      EL2" } else { "entry      EL1" });
    }
}

#[test]
fn three_crashes_in_a_row_are_kept_in_three_banks() {
    let outcome = run(&machine("cycles=3 ack=no events=500 tail=0"), 0);
    // Boot 2 tells one crash, boot 3 two, boot 4 three.
    let boots: Vec<_> = intact(&outcome, 6).iter().map(|table| table.boot).collect();
    assert_eq!(boots, [1, 1, 2, 1, 2, 3].map(Some));
    for bank in 0..3 {
        says(&outcome, &format!("crash in bank {bank}:"));
    }
    says(&outcome, "recording  boot 4 into bank 3");
}

#[test]
fn a_crash_during_the_dump_leaves_the_first_crash_to_be_told_again() {
    let outcome = run(&machine("die=panic-in-dump events=500 tail=2"), 0);
    let boots: Vec<_> = intact(&outcome, 2).iter().map(|table| table.boot).collect();
    assert_eq!(boots, [1, 2].map(Some));
    says(&outcome, "asked for by die=panic-in-dump");
    says(&outcome, "acknowledged: 2 banks are free again");
}

#[test]
fn a_reset_without_a_panic_is_called_what_it_is() {
    let outcome = run(&machine("die=reset events=500 tail=2"), 0);
    says(&outcome, "boot 1 ended in a reset without a word");
    says(&outcome, "what its bytes tell");
    assert!(tables(&outcome.console)[0].accounts.iter().all(Account::sum_holds), "{}", outcome.story());
}

#[test]
fn a_clean_power_off_is_no_crash() {
    let machine = machine("die=poweroff events=500");
    let ram = machine.make_ram().unwrap();
    says(&run(&machine.clone().ram(&ram), 0), "shut down cleanly");
    let next = run(&machine.append("cycles=0").ram(&ram), 0);
    says(&next, "content    1 boot before this one");
    does_not_say(&next, "crash in bank");
}

#[test]
fn a_hundred_panics_in_one_emulator_lose_nothing() {
    let outcome = run(&machine("cycles=100 events=300 tail=0"), 0);
    let tables = intact(&outcome, 100);
    assert_eq!(tables.iter().map(|table| table.boot).collect::<Vec<_>>(), (1..=100).map(Some).collect::<Vec<_>>());
}

#[test]
fn with_counted_instructions_every_run_is_the_same_to_the_byte() {
    let machine = machine("events=20000 tail=20").threads(Threads::Counted(3));
    let first = run(&machine, 0);
    intact(&first, 1);
    for _ in 0..3 {
        assert_eq!(run(&machine, 0).console, first.console);
    }
}

#[test]
fn no_software_generated_interrupt_is_ever_sent() {
    let outcome = run(&machine("cycles=3 events=500 tail=0").trace(trace::SGI_EVENTS), 0);
    assert!(outcome.trace.contains("gicv3_redist_write"), "the trace sees the interrupt controller");
    let sent: Vec<_> = trace::sgis(&outcome.trace).collect();
    assert!(sent.is_empty(), "{sent:?}");
}

#[test]
fn without_a_region_the_node_to_add_is_shown() {
    let outcome = run(&Machine::virt().kernel(workspace::kernel().unwrap()), 2);
    for text in
        ["no region for the ring", "reserved-memory {", "compatible = \"afterglow,persistent-ring\";", "reserve_mem="]
    {
        says(&outcome, text);
    }
    // What it advises works.
    let advice =
        outcome.console.lines().find_map(|line| line.split("command line: ").nth(1)).unwrap().trim().to_owned();
    let machine = Machine::virt().kernel(workspace::kernel().unwrap()).append(&format!("{advice} events=500 tail=0"));
    intact(&run(&machine, 0), 1);
}

#[test]
fn regions_that_cannot_be_are_refused_with_a_reason() {
    let table = [
        ("reg = <0x0 0x50000000 0x0>;", "reg"),
        ("reg = <0x0 0x50000800 0x0 0x800000>;", "page"),
        ("reg = <0x0 0x50000000 0x0 0x1000>;", "64"),
        ("reg = <0x0 0x70000000 0x0 0x800000>;", "memory"),
        ("reg = <0x0 0x5ff00000 0x0 0x800000>;", "memory"),
        ("reg = <0x0 0x40200000 0x0 0x800000>;", "kernel image"),
    ];
    for (properties, reason) in table {
        let overlay = Overlay::region_node("persistent-ring@50000000", properties);
        let outcome = run(&machine("").overlay(overlay), 2);
        let line = outcome.console.lines().find(|line| line.contains("afterglow cannot go on")).unwrap_or_default();
        assert!(line.contains(reason), "{properties} says {line:?}, not {reason:?}\n{}", outcome.story());
    }
}

#[test]
fn a_region_over_the_kernel_is_drawn_and_the_place_that_is_advised_works() {
    let at = |reg: &str| {
        let overlay = Overlay::region_node("persistent-ring@40200000", &format!("reg = <{reg}>;"));
        machine("events=500 tail=0").overlay(overlay)
    };
    let refused = run(&at("0x0 0x40200000 0x0 0x800000"), 2);
    for line in [
        "memory, and where the region was to be (#):",
        "   0x40000000 |   2048 KiB  free",
        "   0x40a00000 |    118 MiB  free",
        " KiB  the device tree",
    ] {
        says(&refused, line);
    }
    let drawn = refused
        .console
        .lines()
        .filter(|line| line.contains("KiB  the kernel image with its stacks"))
        .collect::<Vec<_>>();
    assert!(matches!(drawn[..], [line] if line.starts_with("   0x40200000 # ")), "{}", refused.story());
    let advice = refused.console.lines().find_map(|line| line.strip_prefix("nearest room for 8 MiB: reg = <")).unwrap();
    assert_eq!(advice, "0x0 0x40400000 0x0 0x800000>;");
    intact(&run(&at(advice.strip_suffix(">;").unwrap()), 0), 1);
}

#[test]
fn broken_device_trees_end_in_a_clear_error() {
    let good = std::fs::read(qemu::devicetree::with_overlay(&machine(""), &Overlay::virt_region()).unwrap()).unwrap();
    let cut = good[..good.len() / 2].to_vec();
    let mut token = good.clone();
    let structure = u32::from_be_bytes(good[8..12].try_into().unwrap()) as usize;
    token[structure + 3] = 0x77;
    let mut escape = good.clone();
    let strings = u32::from_be_bytes(good[12..16].try_into().unwrap()) as usize;
    escape[strings..strings + 4].copy_from_slice(b"\x1b[2J");
    for (what, bytes) in [("cut", cut), ("token", token), ("escape", escape), ("noise", vec![0xd0; 4096])] {
        let outcome = run(&machine("").handed(Handed::Bytes { bytes, unaligned_by: 0 }), 2);
        let said = format!("{}{}", outcome.console, outcome.errors);
        assert!(said.contains("afterglow cannot go on"), "{what}: {}", outcome.story());
        assert!(said.contains("device tree"), "{what}: {}", outcome.story());
        assert!(!outcome.bytes.contains(&0x1b) && !outcome.errors.contains('\x1b'), "{what}: {}", outcome.story());
    }
}

#[test]
fn a_region_full_of_noise_is_cold_and_then_used() {
    let machine = machine("events=500 tail=0");
    let ram = machine.make_ram().unwrap();
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let noise: Vec<u8> = (0..REGION.1)
        .map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 24) as u8
        })
        .collect();
    ram.write(REGION.0, &noise).unwrap();
    let outcome = run(&machine.ram(&ram), 0);
    says(&outcome, "cold: no signature (noise");
    intact(&outcome, 1);
}

#[test]
fn a_region_of_another_geometry_is_recognised() {
    let small = machine("cycles=0").overlay(Overlay::region(REGION.0, 4 << 20));
    let ram = small.make_ram().unwrap();
    says(&run(&small.ram(&ram), 0), "layout     4096 KiB");
    let outcome = run(&machine("events=500 tail=0").ram(&ram), 0);
    says(&outcome, "it was written for another geometry (4096 KiB, 4 banks, 4 cores): formatted anew");
    intact(&outcome, 1);
}

#[test]
fn other_banks_wait_until_the_crashes_have_been_acknowledged() {
    let first = machine("banks=2 events=500 tail=0 ack=no");
    let ram = first.make_ram().unwrap();
    intact(&run(&first.ram(&ram), 0), 1);
    let second = run(&machine("banks=3 cycles=0 tail=0").ram(&ram), 0);
    says(&second, "it stays as it was laid out (2 banks, 4 cores)");
    intact(&second, 1);
    let third = run(&machine("banks=3 cycles=0 tail=0").ram(&ram), 0);
    says(&third, "3 banks of");
    does_not_say(&third, "crash in bank");
}

#[test]
fn a_crash_survives_the_loss_of_both_headers() {
    let first = machine("events=500 tail=0 ack=no");
    let ram = first.make_ram().unwrap();
    intact(&run(&first.ram(&ram), 0), 1);
    ram.write(REGION.0, &[0; 4096]).unwrap();
    ram.write(REGION.0 + REGION.1 - 4096, &[0xa5; 4096]).unwrap();
    let second = run(&machine("cycles=0 tail=0").ram(&ram), 0);
    says(&second, "both headers are invalid: recovered by scan");
    assert!(tables(&second.console).iter().any(|table| table.boot == Some(1)), "{}", second.story());
}

#[test]
fn when_every_bank_holds_a_crash_the_command_line_decides() {
    let machine = machine("banks=2 events=300 tail=0 ack=no cycles=2");
    let ram = machine.make_ram().unwrap();
    let outcome = run(&machine.clone().ram(&ram), 0);
    says(&outcome, "that of boot 1 goes");
    let ram = machine.make_ram().unwrap();
    let outcome = run(&machine.append("keep=first").ram(&ram), 0);
    says(&outcome, "this boot records nothing");
    let boots: Vec<_> = tables(&outcome.console).iter().filter_map(|table| table.boot).collect();
    assert_eq!(boots, [1, 1, 2]);
}

#[test]
fn log_records_are_on_the_console_and_in_the_ring() {
    // At a pace at which no core comes round its ring before the panic.
    let outcome = run(&machine("events=10 tail=all rate=20000"), 0);
    says(&outcome, "info: core 3 runs");
    says(&outcome, "print: core 3 runs");
    for event in
        ["boot_phase: phase 1", "core_start: core=2", "irq_entry: intid=27", "tick: number=", "work: number=9 "]
    {
        says(&outcome, event);
    }
}

#[test]
fn unknown_options_and_bad_values_are_named() {
    let outcome = run(&machine("frobnicate=1 banks=99 events=300 tail=0"), 0);
    says(&outcome, "unknown option 'frobnicate'");
    says(&outcome, "banks=99: expected 1 to 16; it stays at 4");
}

#[test]
fn the_image_and_its_static_memory_stay_small() {
    let kernel = workspace::kernel().unwrap();
    // Drivers of every board and the survey are in it; it goes over a serial line of 115200 baud in half a minute all the same.
    assert!(kernel.file_size() < 320 << 10, "the raw image has {} bytes", kernel.file_size());
    assert!(kernel.memory_size() < 2 << 20, "the image takes {} bytes of memory", kernel.memory_size());
}
