//! What a test may do to a machine from outside: look into its RAM, reset it, watch what it does.

mod support;

use anyhow::Result;
use qemu::{Machine, Status, Threads, trace};
use std::time::{Duration, Instant};
use support::{Guest, PATIENCE};

/// Where the guests of this file keep words: above all that QEMU loads, below where support keeps its own.
const WORD: u64 = 0x4090_0000;

fn machine(guest: Guest) -> Machine {
    Machine::virt().smp(1).memory(64 << 20).kernel(&guest.build())
}

#[test]
fn ram_is_shared_before_while_and_after_it_runs() -> Result<()> {
    let guest =
        Guest::new().print_byte_at(WORD).store(WORD + 8, 0x0102_0304).print("ready").wait_for(WORD + 16).exit(0);
    let machine = machine(guest);
    let ram = machine.make_ram()?;
    ram.write(WORD, b"!")?;
    let mut running = machine.ram(&ram).start(PATIENCE)?;
    assert_eq!(running.expect("ready", PATIENCE)?, "!ready");
    let mut word = [0; 4];
    running.ram().expect("it was given").read(WORD + 8, &mut word)?;
    assert_eq!(word, [4, 3, 2, 1]);
    ram.write(WORD + 16, &[1])?;
    running.wait()?.expect_exit(0)?;
    assert_eq!(ram.read_range(WORD + 8, 4)?, [4, 3, 2, 1], "also when QEMU is gone");
    Ok(())
}

#[test]
fn ram_can_be_carried_over_to_another_machine() -> Result<()> {
    let guest = || Guest::new().count(WORD).print_byte_at(WORD).exit(0);
    let ram = machine(guest()).make_ram()?;
    ram.write(WORD, b"0")?;
    for expected in ["1", "2", "3"] {
        assert_eq!(machine(guest()).ram(&ram).run(PATIENCE)?.console, expected);
    }
    let error = machine(guest()).memory(128 << 20).ram(&ram).run(PATIENCE).unwrap_err().to_string();
    assert!(error.contains("made for another machine"), "{error}");
    Ok(())
}

#[test]
fn a_reset_from_outside_keeps_the_ram() -> Result<()> {
    let guest = Guest::new().count(WORD).print("boot ").print_byte_at(WORD).print("\n").hang();
    let machine = machine(guest).qmp();
    let ram = machine.make_ram()?;
    ram.write(WORD, b"0")?;
    let mut running = machine.ram(&ram).start(PATIENCE)?;
    for boot in ["boot 1\n", "boot 2\n", "boot 3\n"] {
        running.expect(boot, PATIENCE)?;
        running.qmp()?.system_reset()?;
        running.qmp()?.event("RESET", PATIENCE)?;
    }
    running.qmp()?.quit()?;
    assert_eq!(running.wait()?.status, Status::Exit(0));
    Ok(())
}

#[test]
fn a_reset_from_inside_is_no_exit() -> Result<()> {
    // RAM is zero at first, and counted up before each reset.
    let guest = Guest::new().count(WORD).when(WORD, 3, Guest::new().print("third").exit(3)).print(".").reset();
    let outcome = machine(guest).run(PATIENCE)?;
    outcome.expect_exit(3)?;
    assert_eq!(outcome.console, "..third");
    Ok(())
}

#[test]
fn an_sgi_is_seen_in_the_trace_and_its_absence_too() -> Result<()> {
    for (sends, guest) in [(true, Guest::new().send_sgi()), (false, Guest::new())] {
        let outcome = machine(guest.print("done").exit(0)).smp(2).trace(trace::SGI_EVENTS).run(PATIENCE)?;
        assert_eq!(outcome.expect_exit(0)?.console, "done");
        let sgis: Vec<_> = trace::sgis(&outcome.trace).collect();
        assert_eq!(!sgis.is_empty(), sends, "{sgis:?} in {}", outcome.trace);
    }
    // QEMU warns of a name that it does not know, and knows all of ours.
    let trace = |events| machine(Guest::new().exit(0)).gic(2).trace(events).run(PATIENCE);
    assert_eq!(trace(trace::SGI_EVENTS)?.errors, "");
    assert_ne!(trace(&["gicv3_no_such_event"])?.errors, "");
    Ok(())
}

#[test]
fn a_counted_run_is_the_same_each_time() -> Result<()> {
    let run = || machine(Guest::new().print("x").exit(0)).threads(Threads::Counted(3)).run(PATIENCE);
    assert_eq!(run()?.bytes, run()?.bytes);
    Ok(())
}

#[test]
fn without_a_qmp_socket_the_error_says_how_to_get_one() -> Result<()> {
    let mut running = machine(Guest::new().hang()).start(PATIENCE)?;
    let error = running.qmp().unwrap_err().to_string();
    assert!(error.contains("Machine::qmp()"), "{error}");
    Ok(())
}

#[test]
fn a_machine_that_goes_out_of_scope_gives_its_place_to_the_next() -> Result<()> {
    let limit = Duration::from_secs(600);
    let begin = Instant::now();
    for _ in 0..8 {
        machine(Guest::new().print("up").hang()).start(limit)?.expect("up", PATIENCE)?;
    }
    assert!(begin.elapsed() < limit, "nobody waited for a limit");
    Ok(())
}
