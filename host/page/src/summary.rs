//! What happened, as HTML that needs no script.

use crate::Symbols;
use crate::html::Text;
use ring::writer::Refused;
use std::io::{self, Write};
use trace::{About, End, Origin, Panic, Trace};

pub(crate) fn write(trace: &dyn Trace, symbols: Symbols<'_>, out: &mut dyn Write) -> io::Result<()> {
    let about = trace.about();
    let class = match about.end {
        End::Panicked | End::PanicCutShort => "bad",
        End::Reset | End::Unknown => "warn",
        End::Clean | End::Acknowledged => "good",
    };
    writeln!(out, "<h1 class=\"{class}\">{}</h1>", Text(&about.title))?;
    facts(about, out)?;
    for remark in &about.remarks {
        writeln!(out, "<p class=\"remark\">{}</p>", Text(remark))?;
    }
    if let Some(panic) = &about.panic {
        self::panic(trace, panic, symbols, out)?;
    }
    stops(trace, symbols, out)?;
    accounts(trace, out)
}

fn facts(about: &About, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<dl class=\"facts\">")?;
    let mut fact = |name: &str, value: String| writeln!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", Text(value));
    match &about.origin {
        Origin::Afterglow { version, bank } => {
            fact("bank", format!("{bank} at {:#x}, format {version}", about.place.start))?;
        }
        Origin::Linux { layout } => fact("Linux", format!("layout {layout} at {:#x}", about.place.start))?,
        Origin::Listing => fact("source", "a listing: what a console showed".into())?,
    }
    if let Some(board) = &about.board {
        fact("board", board.clone())?;
    }
    if let Some(build) = &about.build_id {
        fact("build", build.clone())?;
    }
    if let Some(boot_id) = about.boot_id {
        fact("boot id", format!("{boot_id:#010x}"))?;
    }
    if about.clock.frequency_hz > 0 {
        fact("counter", format!("{} at {} Hz", about.clock.name, about.clock.frequency_hz))?;
    }
    writeln!(out, "</dl>")
}

fn panic(trace: &dyn Trace, panic: &Panic, symbols: Symbols<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<section class=\"panic\"><p class=\"message\">{}</p>", Text(&panic.message))?;
    if !panic.location.is_empty() {
        writeln!(out, "<p class=\"place\">at {}</p>", Text(&panic.location))?;
    }
    for line in &panic.explained {
        writeln!(out, "<p class=\"place\">{}</p>", Text(line))?;
    }
    if !panic.backtrace.is_empty() {
        writeln!(out, "<ol class=\"backtrace\">")?;
        for (depth, pc) in panic.backtrace.iter().enumerate() {
            // The first is where it stood; to the others calls would have returned.
            let words = symbols(trace, *pc, depth > 0).unwrap_or_default();
            writeln!(out, "<li><code>{pc:#018x}</code> {}</li>", Text(words))?;
        }
        writeln!(out, "</ol>")?;
    }
    if let Some(registers) = &panic.registers {
        writeln!(out, "<details><summary>registers</summary><pre>")?;
        let names = (0..31).map(|i| format!("x{i}")).chain(["sp", "pc", "pstate", "esr"].map(String::from));
        for (i, (name, value)) in names.zip(registers.iter()).enumerate() {
            write!(out, "{name:>6} {value:016x}{}", if i % 4 == 3 { "\n" } else { "" })?;
        }
        writeln!(out, "</pre></details>")?;
    }
    for nested in &panic.nested {
        writeln!(
            out,
            "<p class=\"remark\">then core {} {}: {} {}</p>",
            nested.core,
            Text(&nested.step),
            Text(&nested.message),
            Text(&nested.location)
        )?;
    }
    writeln!(out, "</section>")
}

fn stops(trace: &dyn Trace, symbols: Symbols<'_>, out: &mut dyn Write) -> io::Result<()> {
    let about = trace.about();
    if about.cores.iter().all(|core| core.stop.is_none()) {
        return Ok(());
    }
    writeln!(out, "<h2>How each core came to stand still</h2>\n<table class=\"stops\">")?;
    writeln!(out, "<tr><th>core<th>outcome<th>at<th>after the panic<th>by<th>where it stood</tr>")?;
    for (core, stop) in about.cores.iter().enumerate().filter_map(|(core, about)| Some((core, about.stop.as_ref()?))) {
        let class = if stop.outcome == "no answer" { " class=\"bad\"" } else { "" };
        let after = about.panic.as_ref().and_then(|panic| stop.time_ns.checked_sub(panic.time_ns));
        let after =
            after.filter(|_| stop.outcome == "stopped").map(|ns| format!("+{} us", ns / 1000)).unwrap_or_default();
        let place = if stop.pc == 0 {
            String::new()
        } else {
            format!("{:#x} {}", stop.pc, symbols(trace, stop.pc, false).unwrap_or_default())
        };
        writeln!(
            out,
            "<tr title=\"{}\"><td>{core}<td{class}>{}<td>{}<td>{after}<td>{}<td>{}</tr>",
            Text(&stop.words),
            stop.outcome,
            seconds(stop.time_ns),
            stop.means.unwrap_or(""),
            Text(place)
        )?;
    }
    writeln!(out, "</table>")
}

fn accounts(trace: &dyn Trace, out: &mut dyn Write) -> io::Result<()> {
    let cores = 0..trace.about().cores.len() as u32;
    writeln!(out, "<h2>What became of every event</h2>\n<table class=\"accounts\">")?;
    if cores.clone().all(|core| trace.counts(core).account.is_none()) {
        writeln!(out, "<tr><th>core<th>events<th>bytes<th>first<th>last<th>losses</tr>")?;
        for core in cores {
            let counts = trace.counts(core);
            let (first, last) = counts.times.unwrap_or_default();
            writeln!(
                out,
                "<tr><td>{core}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
                counts.events,
                counts.bytes,
                seconds(first),
                seconds(last),
                counts.losses
            )?;
        }
        return writeln!(out, "</table>");
    }
    write!(out, "<tr><th>core<th>attempted<th>= recovered<th>+ overwritten<th>+ stale<th>+ flipped<th>+ unfinished")?;
    writeln!(out, "<th>+ dropped<th>sum<th>remarks</tr>")?;
    for core in cores {
        let Some(a) = trace.counts(core).account else { continue };
        let bad = |count: u64| if count > 0 { " class=\"bad\"" } else { "" };
        let sum = if a.sum_holds() { "<td>holds" } else { "<td class=\"bad\">BROKEN" };
        let mut remarks: Vec<String> = Refused::ALL
            .iter()
            .zip(a.refused)
            .filter(|(_, count)| *count > 0)
            .map(|(cause, count)| format!("{count} {}", cause.name()))
            .collect();
        if !a.is_final {
            remarks.push("not closed in order".into());
        }
        writeln!(
            out,
            "<tr><td>{core}<td>{}<td>{}<td>{}<td{}>{}<td{}>{}<td>{}<td>{}{sum}<td>{}</tr>",
            a.attempted,
            a.recovered,
            a.overwritten,
            bad(a.stale),
            a.stale,
            bad(a.flipped),
            a.flipped,
            a.unfinished,
            a.dropped(),
            Text(remarks.join(", "))
        )?;
    }
    writeln!(out, "</table>")
}

fn seconds(ns: u64) -> String {
    format!("{}.{:06} s", ns / 1_000_000_000, ns / 1000 % 1_000_000)
}
