//! The next boot's words beside what memory holds.

use super::found::{Found as OfCore, Recovered};
use super::told::{Crash, Told};
use super::violation::Violation;
use super::{Memory, Verdict};
use kernel::plan::Absence;
use ring::region::Found;

/// Judges what the next boot says, and what its accounts say of themselves.
pub(super) fn judge(console: &str, told: &Told, content: &Found, memory: Option<&Memory<'_>>, verdict: &mut Verdict) {
    if !matches!(content, Found::Valid(_)) {
        let reason = Absence(content).to_string();
        if !console.contains(&reason) {
            verdict.violations.push(Violation::NoReason { reason });
        }
    }
    let none = Vec::new();
    let crashes = memory.map_or(&none, |memory| &memory.crashes);
    for (_, recovered) in crashes {
        let boot = recovered.record.boot;
        for (core, found) in (0..).zip(&recovered.cores) {
            account(boot, core, found, verdict);
        }
        match told.crashes.iter().find(|crash| crash.boot == Some(boot)) {
            Some(crash) => compare(recovered, crash, verdict),
            None if memory.is_some_and(|memory| memory.goes == Some(boot)) => {}
            None => verdict.violations.push(Violation::NotTold { boot, died: told.died.clone() }),
        }
    }
    for crash in &told.crashes {
        if crash.boot.is_none() || !crashes.iter().any(|(_, recovered)| Some(recovered.record.boot) == crash.boot) {
            verdict.violations.push(Violation::NobodysCrash { boot: crash.boot });
        }
    }
    if let (Some(says), Some(memory)) = (told.recording, memory) {
        let expected = (memory.header.boot + 1, memory.header.next_bank().0);
        if says != expected {
            verdict.violations.push(Violation::NextBoot { says, expected });
        }
    }
}

/// What holds for every account, and for the workload's events in it.
fn account(boot: u64, core: u32, found: &OfCore, verdict: &mut Verdict) {
    if !found.account.sum_holds() {
        verdict.violations.push(Violation::Sum { boot, core });
    }
    if let Some(numbers) = found.run.falls {
        verdict.violations.push(Violation::Order { core, numbers });
    }
    if let Some(number) = found.run.wrong {
        verdict.violations.push(Violation::Data { core, number });
    }
}

/// What is said of one crash.
fn compare(recovered: &Recovered<'_>, crash: &Crash, verdict: &mut Verdict) {
    let boot = recovered.record.boot;
    let mut differ = |core, what, says: String, holds: String| {
        if says != holds {
            verdict.violations.push(Violation::Told { boot, core, what, says, holds });
        }
    };
    let mut digests = 0;
    for (core, found) in (0..).zip(&recovered.cores) {
        let account = &found.account;
        let Some(row) = crash.row(core) else {
            differ(Some(core), "its row", "nothing".into(), format!("{} events", account.recovered));
            continue;
        };
        for (what, says, holds) in [
            ("attempted", row.attempted, account.attempted),
            ("recovered", row.recovered, account.recovered),
            ("overwritten", row.overwritten, account.overwritten),
            ("damaged", row.damaged, account.damaged()),
            ("unfinished", row.unfinished, account.unfinished),
            ("dropped", row.dropped, account.dropped()),
        ] {
            differ(Some(core), what, says.to_string(), holds.to_string());
        }
        let sum = |holds: bool| if holds { "holds" } else { "BROKEN" };
        differ(Some(core), "the sum", sum(row.sum_holds()).into(), sum(account.sum_holds()).into());
        if crash.has_digests() {
            let text = |(number, events): (u32, u64)| format!("{number:08x} of {events} events");
            let says = crash.digest(core).map_or("nothing".into(), text);
            differ(Some(core), "the digest", says, text(found.digest));
            digests += 1;
        }
    }
    if let Some((events, is_intact)) = crash.verdict {
        let text =
            |events: u64, intact: bool| format!("{events} events, {}", if intact { "intact" } else { "NOT intact" });
        differ(None, "all", text(events, is_intact), text(recovered.events(), recovered.is_intact()));
    }
    verdict.digests += digests;
}
