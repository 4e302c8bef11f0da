//! Tells what the boots before left, acknowledges it, and ends a boot that has nothing else to do.

use crate::boot::Machine;
use crate::command_line::{After, Die, Dump, Loss};
use crate::console::Stdout;
use crate::dump::{How, SCHEMA_SPACE, Tail, dump};
use crate::ending::{self, Status, power_off};
use crate::plan::CrashLoop;
use crate::region_memory::CpuCrc;
use crate::take_over::{Taken, bank_bytes, repair_bank};
use crate::{command_line, console, die, life, record, report, say, transfer};
use alloc::vec;
use ring::records::BankState;
use ring::recover::Bank;
use ring::seams::Memory as _;

/// Tells every crash that nobody has seen; acknowledges them if wished. A boot that loses something powers off at once.
pub fn crashes(machine: &Machine, taken: &Taken) -> Status {
    let mut status = Status::Survived;
    let tail = match machine.options.tail {
        _ if machine.options.dump == Dump::Binary => Tail::Last(0),
        command_line::Tail::Lines(lines) => Tail::Last(u64::from(lines)),
        command_line::Tail::All => Tail::All,
    };
    let how = How { tail, terse: machine.options.terse, digest: machine.options.digest };
    if !taken.plan.dump && !taken.crashes.is_empty() {
        report!(
            "\nthe crashes are not told: the last boots that did crashed themselves (crash_loop=0 tells them all the same)"
        );
        return status;
    }
    let mut schema = vec![0; SCHEMA_SPACE];
    for (index, (number, record)) in taken.crashes.iter().enumerate() {
        report!("\ncrash in bank {number}:");
        repair_bank(&machine.region, &taken.geometry, *number, record);
        let bytes = bank_bytes(&machine.region, &taken.geometry, *number);
        let Some(bank) = Bank::new(bytes, taken.geometry, *record, CpuCrc::new()) else { continue };
        if taken.boots_before == 1 {
            if machine.options.die == Die::PanicInRecovery {
                die::reading(&bank);
            }
            die::if_asked(&machine.options, Die::PanicInDump);
        }
        // Only the console could fail, and it does not.
        let summary = dump(&bank, how, &mut schema, &mut Stdout).unwrap_or_default();
        if machine.options.dump == Dump::Binary {
            transfer::send(&machine.region, &bank, *number, index as u8, taken.crashes.len() as u8);
        }
        let verdict = if summary.intact { "intact" } else { "NOT intact" };
        report!("crash of boot {}: {} events recovered, {verdict}", record.boot, summary.recovered);
        if !summary.intact {
            status = Status::Lost;
        }
    }
    if machine.options.ack && !taken.crashes.is_empty() {
        life::change_header(|header| {
            for (number, _) in &taken.crashes {
                if let Some(bank) = header.banks.get_mut(*number as usize) {
                    bank.state = BankState::Acknowledged;
                }
            }
            header.crashes_in_a_row = 0;
        });
        report!(
            "acknowledged: {} bank{} free again",
            taken.crashes.len(),
            if taken.crashes.len() == 1 { " is" } else { "s are" }
        );
    }
    if status != Status::Survived && machine.options.loss == Loss::Stop {
        report!("something that had to survive did not: ending here, so that it can be looked at");
        finish(machine, status);
    }
    status
}

/// Where a row of crashes keeps the workload from running: says so, and ends this boot. Returns when somebody wants the
/// workload all the same.
pub fn crash_loop(machine: &Machine, crash_loop: CrashLoop) {
    let CrashLoop { crashes, since_boot } = crash_loop;
    report!(
        "\ncrash loop: {crashes} boots in a row have crashed since boot {since_boot}, and nobody has acknowledged them: the \
         workload does not run. Boot with ack=yes to acknowledge them, or with crash_loop=0 to go on crashing"
    );
    if machine.options.after != After::Halt {
        finish(machine, Status::CrashLoop);
    }
    report!("crash loop: press a key to run the workload once more");
    while console::get().is_none_or(|console| console.try_read().is_none()) {
        // The tick wakes it.
        arch::cores::wait_for_interrupt();
    }
}

/// The end of a boot that does not record.
pub fn the_end(machine: &Machine, taken: &Taken, status: Status) -> ! {
    let should_have_died = machine.options.cycles > 0 && machine.options.die.leaves_a_crash();
    if should_have_died && taken.boots_before == u64::from(machine.options.cycles) && taken.crashes.is_empty() {
        report!("the boot before should have died, and the region knows of no crash");
        finish(machine, Status::Lost);
    }
    finish(machine, status)
}

fn finish(machine: &Machine, status: Status) -> ! {
    ending::sgis();
    match status {
        Status::CrashLoop => life::end_in_crash_loop(),
        _ => life::end_cleanly(),
    }
    match machine.options.after {
        After::Halt => {
            say!("halted (after=halt); the region is at {:#x}", machine.region.address(0));
            record::rest()
        }
        After::PowerOff => {
            report!("power off with status {}", status as u32);
            power_off(status)
        }
    }
}
