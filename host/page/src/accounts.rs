//! What became of every event, as tables and bars.

use crate::html::Text;
use ring::writer::Refused;
use std::io::{self, Write};
use trace::{Account, Trace};

/// Width of a bar and its height, in pixels.
const BAR: (f64, f64) = (220.0, 10.0);

pub(crate) fn write(trace: &dyn Trace, out: &mut dyn Write) -> io::Result<()> {
    let cores = 0..trace.about().cores.len() as u32;
    let accounts: Vec<(u32, Account)> = cores.filter_map(|core| Some((core, trace.counts(core).account?))).collect();
    writeln!(out, "<h2>What became of every event</h2>\n<div class=\"wide\"><table>")?;
    if accounts.is_empty() {
        without_sums(trace, out)?;
        return writeln!(out, "</table></div>");
    }
    with_sums(&accounts, out)?;
    writeln!(out, "</table></div>\n{}", key())
}

/// Of regions that do not tell how many were attempted.
fn without_sums(trace: &dyn Trace, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<tr><th>core<th>events<th>bytes<th>first<th>last<th>places of loss</tr>")?;
    for core in 0..trace.about().cores.len() as u32 {
        let counts = trace.counts(core);
        let time = |ns: Option<u64>| ns.map(|ns| format!("{}.{:06} s", ns / 1_000_000_000, ns / 1000 % 1_000_000));
        let (first, last) = (counts.times.map(|times| times.0), counts.times.map(|times| times.1));
        writeln!(
            out,
            "<tr><td>{core}<td>{}<td>{}<td>{}<td>{}<td{}>{}</tr>",
            counts.events,
            counts.bytes,
            time(first).unwrap_or_default(),
            time(last).unwrap_or_default(),
            bad(counts.losses),
            counts.losses
        )?;
    }
    Ok(())
}

fn bad(count: u64) -> &'static str {
    if count > 0 { " class=\"bad\"" } else { "" }
}

fn with_sums(accounts: &[(u32, Account)], out: &mut dyn Write) -> io::Result<()> {
    // Causes of which there are none need no room.
    let causes: Vec<usize> =
        (0..Refused::ALL.len()).filter(|i| accounts.iter().any(|(_, account)| account.refused[*i] > 0)).collect();
    write!(out, "<tr><th>core<th>attempted<th>= recovered<th>+ overwritten<th>+ stale<th>+ flipped<th>+ unfinished")?;
    write!(out, "<th>+ dropped")?;
    for cause in &causes {
        write!(out, "<th>{}", Refused::ALL[*cause].name())?;
    }
    writeln!(out, "<th>sum<th class=\"text\">shares<th class=\"text\">remarks</tr>")?;
    for (core, account) in accounts {
        row(*core, account, &causes, out)?;
    }
    let sum = |of: fn(&Account) -> u64| accounts.iter().map(|(_, account)| u128::from(of(account))).sum::<u128>();
    write!(
        out,
        "<tfoot><tr><td>all<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}",
        sum(|a| a.attempted),
        sum(|a| a.recovered),
        sum(|a| a.overwritten),
        sum(|a| a.stale),
        sum(|a| a.flipped),
        sum(|a| a.unfinished),
        accounts.iter().flat_map(|(_, a)| a.refused).map(u128::from).sum::<u128>()
    )?;
    for cause in &causes {
        write!(out, "<td>{}", accounts.iter().map(|(_, a)| u128::from(a.refused[*cause])).sum::<u128>())?;
    }
    writeln!(out, "<td><td><td></tr></tfoot>")
}

fn row(core: u32, account: &Account, causes: &[usize], out: &mut dyn Write) -> io::Result<()> {
    let a = account;
    let dropped = a.refused.iter().map(|count| u128::from(*count)).sum::<u128>();
    write!(out, "<tr><td>{core}<td>{}<td>{}<td>{}", a.attempted, a.recovered, a.overwritten)?;
    write!(out, "<td{}>{}<td{}>{}<td>{}<td>{dropped}", bad(a.stale), a.stale, bad(a.flipped), a.flipped, a.unfinished)?;
    for cause in causes {
        write!(out, "<td class=\"faint\">{}", a.refused[*cause])?;
    }
    out.write_all(if a.sum_holds() { b"<td>holds" } else { b"<td class=\"bad\">BROKEN" })?;
    let mut remarks = Vec::new();
    if !a.is_final {
        remarks.push("not closed in order: more may have been attempted".to_owned());
    }
    if a.beyond_commit > 0 {
        remarks.push(format!("{} behind the commit word", a.beyond_commit));
    }
    if a.uncertain_times > 0 {
        remarks.push(format!("{} with uncertain times", a.uncertain_times));
    }
    writeln!(out, "<td class=\"text\">{}<td class=\"text long\">{}</tr>", bar(a), Text(remarks.join("; ")))
}

/// The shares of an account, each with the class that colours it.
fn shares(account: &Account) -> [(&'static str, f64); 5] {
    let dropped: f64 = account.refused.iter().map(|count| *count as f64).sum();
    [
        ("recovered", account.recovered as f64),
        ("damage", account.stale as f64 + account.flipped as f64),
        ("unfinished", account.unfinished as f64),
        ("missed", dropped),
        ("overwritten", account.overwritten as f64),
    ]
}

/// A bar of them: whatever there is of something can be seen.
fn bar(account: &Account) -> String {
    let (width, height) = BAR;
    let all: f64 = shares(account).iter().map(|(_, count)| count).sum::<f64>().max(1.0);
    let mut at = 0.0;
    let parts = shares(account).into_iter().filter(|(_, count)| *count > 0.0).map(|(class, count)| {
        let share = (count / all * width).max(2.0).min(width - at);
        at += share;
        format!("<rect class=\"{class}\" x=\"{:.1}\" width=\"{share:.1}\" height=\"{height}\"/>", at - share)
    });
    let parts: String = parts.collect();
    format!("<svg class=\"share\" width=\"{width}\" height=\"{height}\" aria-hidden=\"true\">{parts}</svg>")
}

/// What the colours of the bars mean.
fn key() -> String {
    let names = ["recovered", "damage", "unfinished", "dropped", "overwritten"];
    let entry = |(name, (class, _)): (&str, (&str, f64))| {
        format!(
            "<span><svg class=\"share\" width=\"9\" height=\"9\" aria-hidden=\"true\">\
             <rect class=\"{class}\" width=\"9\" height=\"9\"/></svg>{name}</span>"
        )
    };
    let entries: String = names.into_iter().zip(shares(&Account::default())).map(entry).collect();
    format!("<p class=\"key\">{entries}</p>")
}
