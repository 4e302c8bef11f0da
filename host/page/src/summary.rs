//! What happened, as HTML that needs no script.

use crate::Symbols;
use crate::accounts;
use crate::html::Text;
use std::io::{self, Write};
use trace::{About, End, Origin, Panic, Registers, Trace};

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
    accounts::write(trace, out)
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
        writeln!(out, "<p>at {}</p>", Text(&panic.location))?;
    }
    for line in &panic.explained {
        writeln!(out, "<p class=\"faint\">{}</p>", Text(line))?;
    }
    if let Some(registers) = &panic.registers {
        self::registers(registers, out)?;
    }
    if !panic.backtrace.is_empty() {
        writeln!(out, "<h2>Backtrace</h2>\n<ol class=\"backtrace\">")?;
        for (depth, pc) in panic.backtrace.iter().enumerate() {
            // The first is where it stood; to the others calls would have returned.
            writeln!(out, "<li>{}</li>", place(*pc, &|address| symbols(trace, address, depth > 0)))?;
        }
        writeln!(out, "</ol>")?;
    }
    if !panic.nested.is_empty() {
        writeln!(out, "<h2>Panics in the panic path</h2>")?;
    }
    for nested in &panic.nested {
        let step = if nested.step.is_empty() { String::new() } else { format!(", {}", nested.step) };
        let at = if nested.location.is_empty() { String::new() } else { format!(" at {}", nested.location) };
        writeln!(out, "<p>core {}{}: {}{}</p>", nested.core, Text(step), Text(&nested.message), Text(at))?;
        if nested.pc != 0 {
            writeln!(
                out,
                "<ol class=\"backtrace\"><li>{}</li></ol>",
                place(nested.pc, &|address| symbols(trace, address, false))
            )?;
        }
    }
    writeln!(out, "</section>")
}

fn registers(registers: &Registers, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<details class=\"registers\"><summary>Registers</summary><pre>")?;
    let names = (0..31).map(|i| format!("x{i}")).chain(["sp", "pc", "pstate", "esr"].map(String::from));
    for (i, (name, value)) in names.zip(registers.iter()).enumerate() {
        write!(out, "{name:>7} {value:016x}{}", if i % 4 == 3 { "\n" } else { "" })?;
    }
    writeln!(out, "</pre></details>")
}

/// An address, and what it is called.
fn place(address: u64, words: &dyn Fn(u64) -> Option<String>) -> String {
    let words = words(address).unwrap_or_default();
    format!("<code>{address:#018x}</code> <span>{}</span>", Text(words))
}

fn stops(trace: &dyn Trace, symbols: Symbols<'_>, out: &mut dyn Write) -> io::Result<()> {
    let about = trace.about();
    if about.cores.iter().all(|core| core.stop.is_none()) {
        return Ok(());
    }
    writeln!(out, "<h2>How each core came to stand still</h2>\n<div class=\"wide\"><table>")?;
    writeln!(out, "<tr><th>core<th class=\"text\">outcome<th>at<th>after the panic<th class=\"text\">by")?;
    writeln!(out, "<th class=\"text\">where it stood<th class=\"text\">to return to</tr>")?;
    for (core, stop) in about.cores.iter().enumerate().filter_map(|(core, about)| Some((core, about.stop.as_ref()?))) {
        let has_time = matches!(stop.outcome, "stopped" | "panicked");
        let at = if has_time { seconds(stop.time_ns) } else { String::new() };
        let after = about.panic.as_ref().filter(|_| stop.outcome == "stopped").map(|panic| {
            let ns = i128::from(stop.time_ns) - i128::from(panic.time_ns);
            format!("{}{}.{:03} us", if ns < 0 { "-" } else { "+" }, ns.abs() / 1000, ns.abs() % 1000)
        });
        let at_address = |address, is_call| match address {
            0 => String::new(),
            _ => place(address, &|address| symbols(trace, address, is_call)),
        };
        writeln!(
            out,
            "<tr title=\"{}\"><td>{core}<td class=\"text{}\">{}<td>{at}<td>{}<td class=\"text\">{}\
             <td class=\"text long\">{}<td class=\"text long\">{}</tr>",
            Text(&stop.words),
            if stop.outcome == "no answer" { " bad" } else { "" },
            Text(stop.outcome),
            after.unwrap_or_default(),
            Text(stop.means.unwrap_or("")),
            at_address(stop.pc, false),
            at_address(stop.lr, true)
        )?;
    }
    writeln!(out, "</table></div>")
}

fn seconds(ns: u64) -> String {
    format!("{}.{:06} s", ns / 1_000_000_000, ns / 1000 % 1_000_000)
}
