//! A run ends with what the guest said, or with its time; nothing hangs and nothing stays.

mod support;

use anyhow::Result;
use qemu::{Machine, Status, Threads};
use std::time::Duration;
use support::{Guest, PATIENCE};

/// A machine without a region, and so without a device tree compiler.
fn machine(guest: Guest) -> Machine {
    Machine::virt().smp(1).memory(64 << 20).kernel(&guest.build())
}

#[test]
fn the_guests_exit_status_passes_through() -> Result<()> {
    for code in [0, 1, 3, 255] {
        let outcome = machine(Guest::new().print("before the end\n").exit(code as u32)).run(PATIENCE)?;
        assert_eq!(outcome.status, Status::Exit(code));
        assert_eq!(outcome.console, "before the end\n");
        assert_eq!(outcome.errors, "");
    }
    Ok(())
}

#[test]
fn every_machine_starts_a_guest_without_kvm() -> Result<()> {
    let guest = || Guest::new().print("here").exit(7);
    let machines = [
        machine(guest()).smp(4),
        machine(guest()).cpu("max"),
        machine(guest()).gic(2).threads(Threads::Single),
        machine(guest()).el2(true),
        machine(guest()).secure(true),
        machine(guest()).threads(Threads::Counted(3)),
    ];
    for machine in machines {
        let outcome = machine.run(PATIENCE)?;
        outcome.expect_exit(7)?;
        assert_eq!(outcome.console, "here", "{}", outcome.command_line);
        assert!(outcome.command_line.contains("-accel tcg"), "{}", outcome.command_line);
    }
    Ok(())
}

#[test]
fn a_guest_that_hangs_is_killed_when_its_time_is_up() -> Result<()> {
    let outcome = machine(Guest::new().print("alive").hang()).run(Duration::from_secs(2))?;
    assert_eq!(outcome.status, Status::TimedOut);
    assert_eq!(outcome.console, "alive");
    let error = outcome.expect_exit(0).unwrap_err().to_string();
    for part in ["did not end in time", "alive", "qemu-system-aarch64 -machine virt", "-kernel "] {
        assert!(error.contains(part), "{part:?} is missing in:\n{error}");
    }
    Ok(())
}

#[test]
fn bytes_that_are_no_text_are_kept() -> Result<()> {
    const AT: u64 = 0x4110_0000;
    let guest = Guest::new().print("<").store(AT, 0xff).print_byte_at(AT).print(">").exit(0);
    let outcome = machine(guest).run(PATIENCE)?;
    assert_eq!(outcome.bytes, b"<\xff>");
    assert_eq!(outcome.console, "<\u{fffd}>");
    Ok(())
}

#[test]
fn the_console_is_read_while_the_guest_runs() -> Result<()> {
    let mut running = machine(Guest::new().print("one\r\ntwo\nthree\n>").hang()).start(PATIENCE)?;
    assert_eq!(running.expect("tw", PATIENCE)?, "one\r\ntw");
    assert_eq!(running.line(PATIENCE).as_deref(), Some("o"), "the rest of the line");
    assert_eq!(running.expect_line(|line| line.ends_with("ree"), PATIENCE)?, "three");
    assert_eq!(running.expect(">", PATIENCE)?, ">");
    assert!(running.is_running());
    let error = running.expect("never", Duration::from_millis(50)).unwrap_err().to_string();
    for part in ["\"never\" did not come", "QEMU still runs", "three", "-kernel "] {
        assert!(error.contains(part), "{part:?} is missing in:\n{error}");
    }
    let outcome = running.kill()?;
    assert_eq!(outcome.status, Status::Killed);
    assert_eq!(outcome.console, "one\r\ntwo\nthree\n>");
    Ok(())
}

#[test]
fn what_does_not_come_is_not_waited_for_after_the_end() -> Result<()> {
    let mut running = machine(Guest::new().print("first\nlast").exit(4)).start(PATIENCE)?;
    let error = running.expect("never", PATIENCE).unwrap_err().to_string();
    assert!(error.contains("exit status 4") && error.contains("last"), "{error}");
    let lines: Vec<_> = running.lines().collect();
    assert_eq!(lines, ["first", "last"]);
    assert_eq!(running.wait()?.status, Status::Exit(4));
    Ok(())
}

#[test]
fn more_machines_than_may_run_at_once_wait_for_each_other() {
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..8).map(|code| scope.spawn(move || machine(Guest::new().exit(code)).run(PATIENCE))).collect();
        for (code, run) in (0..8).zip(runs) {
            let outcome = run.join().expect("it does not panic").expect("QEMU starts");
            assert_eq!(outcome.status, Status::Exit(code));
        }
    });
}

#[test]
fn what_qemu_itself_refuses_says_so() -> Result<()> {
    let outcome = machine(Guest::new()).extra(["-no-such-option"]).run(PATIENCE)?;
    let error = outcome.expect_exit(0).unwrap_err().to_string();
    assert!(error.contains("exit status 1") && error.contains("no-such-option: invalid option"), "{error}");
    Ok(())
}
