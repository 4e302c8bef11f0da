//! `afterglow show`: what a crash was, on one screen.

use crate::inputs::{DAMAGED, Inputs, Kernels, NOTHING, places};
use crate::style::{Out, Style};
use crate::symbols::Symbols;
use anyhow::{Context, Result};
use clap::Args;
use std::collections::VecDeque;
use std::process::ExitCode;
use trace::{About, Account, End, Item, Origin, Panic, Trace, is_damaged, merged};

/// Shows what happened: why it died, how each core stopped, what became of every event, and the last events.
///
/// Exit status: 0 everything is there; 1 something of it is damaged; 2 nothing was found; 125 it could not be read.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    inputs: Inputs,

    /// How many of the last events
    #[arg(long, short = 'n', default_value_t = 12)]
    events: usize,
}

impl Show {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let mut out = Out::new();
        let kernels = self.inputs.kernels();
        let linux = self.inputs.linux()?;
        let mut status = 0;
        for opened in self.inputs.open()? {
            let reading = opened.read(&linux);
            let chosen = self.inputs.chosen(&reading);
            if chosen.is_empty() {
                eprintln!("afterglow: {}", self.inputs.nothing(&opened, &reading));
                status = status.max(NOTHING);
                continue;
            }
            let count = reading.traces.len();
            let boots = if count == 1 { "1 boot".to_owned() } else { format!("{count} boots") };
            out.style(Style::Faint, &format!("{}: {}, {boots}\n", opened.name, reading.kind.name()));
            for remark in &reading.remarks {
                out.style(Style::Warning, &format!("  {remark}\n"));
            }
            for trace in chosen.iter().copied() {
                if show(trace, &kernels, self.events, &mut out) {
                    status = status.max(DAMAGED);
                }
            }
            let others: Vec<_> = reading
                .traces
                .iter()
                .map(AsRef::as_ref)
                .filter(|trace| !chosen.iter().any(|chosen| std::ptr::addr_eq(*chosen, *trace)))
                .map(|trace| trace.about().title.as_str())
                .collect();
            for other in others {
                out.style(Style::Faint, &format!("also there: {other}\n"));
            }
            if !reading.remarks.is_empty() {
                status = status.max(DAMAGED);
            }
            out.flush().context("nobody reads what is shown")?;
        }
        Ok(ExitCode::from(status))
    }
}

/// One boot. Whether something of it is damaged.
fn show(trace: &dyn Trace, kernels: &Kernels, events: usize, out: &mut Out) -> bool {
    let about = trace.about();
    let style = match about.end {
        End::Panicked | End::PanicCutShort => Style::Bad,
        End::Clean | End::Acknowledged => Style::Good,
        End::Reset | End::Unknown => Style::Warning,
    };
    out.plain("\n");
    out.style(style, &about.title);
    out.plain("\n");
    out.style(Style::Faint, &format!("  {}\n", origin(about)));
    let symbols = kernels.of(trace).unwrap_or_else(|why| {
        out.style(Style::Warning, &format!("  {why}\n"));
        None
    });
    if let Some(panic) = &about.panic {
        self::panic(panic, symbols, out);
    }
    stops(about, symbols, out);
    for remark in &about.remarks {
        out.style(Style::Warning, &format!("  {remark}\n"));
    }
    let damaged = accounts(trace, out);
    losses(trace, out);
    tail(trace, events, out);
    damaged || !about.remarks.is_empty()
}

fn origin(about: &About) -> String {
    let mut parts = vec![match &about.origin {
        Origin::Afterglow { version, bank } => format!("bank {bank} at {:#x}, format {version}", about.place.start),
        Origin::Linux { layout } => format!("Linux's layout {layout} at {:#x}", about.place.start),
        Origin::Listing => "a listing: what a console showed".into(),
    }];
    parts.extend(about.board.clone());
    parts.extend(about.build_id.as_ref().map(|build| format!("build {}", build.get(..8).unwrap_or(build))));
    if about.clock.frequency_hz > 0 {
        parts.push(format!("counter at {} kHz", about.clock.frequency_hz / 1000));
    }
    parts.join(", ")
}

fn panic(panic: &Panic, symbols: Option<&Symbols>, out: &mut Out) {
    out.style(Style::Strong, &format!("  {}\n", panic.message));
    if !panic.location.is_empty() {
        out.plain(&format!("  at {}\n", panic.location));
    }
    for line in &panic.explained {
        out.plain(&format!("  {line}\n"));
    }
    if let Some(registers) = &panic.registers {
        let [x @ .., sp, pc, _, _] = &registers[..] else { return };
        out.plain(&format!("  pc  {pc:016x} sp  {sp:016x}"));
        for (i, value) in x.iter().enumerate() {
            out.plain(&format!("{} x{i:<2} {value:016x}", if i % 4 == 0 { "\n " } else { "" }));
        }
        out.plain("\n");
        address(*pc, false, symbols, out);
    }
    if !panic.backtrace.is_empty() {
        out.plain("  backtrace:\n");
    }
    for (depth, pc) in panic.backtrace.iter().enumerate() {
        address(*pc, depth > 0, symbols, out);
    }
    for nested in &panic.nested {
        let step = if nested.step.is_empty() { String::new() } else { format!(" ({})", nested.step) };
        let at = if nested.location.is_empty() { String::new() } else { format!(" at {}", nested.location) };
        out.style(Style::Warning, &format!("  then core {}{step}: {}{at}\n", nested.core, nested.message));
        if nested.pc != 0 {
            address(nested.pc, false, symbols, out);
        }
    }
}

/// A line of a backtrace: the address, and the functions there.
fn address(address: u64, is_call: bool, symbols: Option<&Symbols>, out: &mut Out) {
    let places = places(symbols, address, is_call);
    if places.is_empty() {
        out.plain(&format!("    {address:#x}\n"));
    }
    for (depth, place) in places.iter().enumerate() {
        let inlined = if depth + 1 < places.len() { " (inlined)" } else { "" };
        out.plain(&format!("    {address:#x}  {place}{inlined}\n"));
    }
}

fn stops(about: &About, symbols: Option<&Symbols>, out: &mut Out) {
    for (core, stop) in about.cores.iter().enumerate().filter_map(|(core, about)| Some((core, about.stop.as_ref()?))) {
        let style = if stop.outcome == "no answer" { Style::Bad } else { Style::Plain };
        out.style(style, &format!("  core {core}: {}\n", stop.words));
        if stop.outcome == "stopped" {
            for place in places(symbols, stop.pc, false) {
                out.style(Style::Faint, &format!("          {place}\n"));
            }
        }
    }
}

/// The accounts of all cores. Whether something is damaged, or a sum does not hold.
fn accounts(trace: &dyn Trace, out: &mut Out) -> bool {
    let cores = 0..trace.about().cores.len() as u32;
    if cores.clone().all(|core| trace.counts(core).account.is_none()) {
        out.style(Style::Strong, "  core     events      bytes        first         last  losses\n");
        for core in cores.clone() {
            let counts = trace.counts(core);
            let (first, last) =
                counts.times.map_or_else(Default::default, |(first, last)| (seconds(first), seconds(last)));
            out.plain(&format!(
                "  {core:>4}  {:>9}  {:>9}  {first:>11}  {last:>11}  {:>6}\n",
                counts.events, counts.bytes, counts.losses
            ));
        }
        return is_damaged(trace);
    }
    out.style(Style::Strong, "  core  attempted  recovered  overwritten  damaged  unfinished  dropped  sum\n");
    let mut damaged = false;
    for core in cores {
        let Some(account) = trace.counts(core).account else { continue };
        damaged |= account.damaged() > 0 || !account.sum_holds();
        row(core, &account, out);
    }
    damaged
}

fn row(core: u32, account: &Account, out: &mut Out) {
    let (sum, style) = if account.sum_holds() { ("holds", Style::Plain) } else { ("BROKEN", Style::Bad) };
    let damaged = if account.damaged() > 0 { Style::Bad } else { Style::Plain };
    out.plain(&format!("  {core:>4}  {:>9}  {:>9}  {:>11}", account.attempted, account.recovered, account.overwritten));
    out.style(damaged, &format!("  {:>7}", account.damaged()));
    out.plain(&format!("  {:>10}  {:>7}  ", account.unfinished, account.dropped()));
    out.style(style, &format!("{sum}\n"));
    if account.damaged() > 0 {
        out.plain(&format!("        damaged: {} stale, {} flipped\n", account.stale, account.flipped));
    }
    for (cause, count) in ring::writer::Refused::ALL.iter().zip(account.refused).filter(|(_, count)| *count > 0) {
        out.plain(&format!("        dropped: {count} {}\n", cause.name()));
    }
    if !account.is_final {
        out.style(Style::Faint, "        the core was not closed in order: what its bytes tell\n");
    }
}

/// Most places of losses that are named.
const LOSSES: usize = 8;

fn losses(trace: &dyn Trace, out: &mut Out) {
    let cores = 0..trace.about().cores.len() as u32;
    let mut all = cores.flat_map(|core| trace.items(core)).filter_map(|item| match item {
        Item::Loss(loss) => Some(loss),
        Item::Event(_) => None,
    });
    for loss in all.by_ref().take(LOSSES) {
        let count = loss.events.map(|events| format!(" ({events} events)")).unwrap_or_default();
        out.style(Style::Warning, &format!("  lost: {}{count}\n", loss.what));
    }
    let more = all.count();
    if more > 0 {
        out.style(Style::Warning, &format!("  lost: {more} more places\n"));
    }
}

/// The last events of all cores.
fn tail(trace: &dyn Trace, events: usize, out: &mut Out) {
    if events == 0 {
        return;
    }
    let mut last = VecDeque::with_capacity(events.min(4096));
    for item in merged(trace) {
        if let Item::Event(event) = item {
            if last.len() == events {
                last.pop_front();
            }
            last.push_back(event);
        }
    }
    if !last.is_empty() {
        out.style(Style::Strong, &format!("  the last {} events:\n", last.len()));
    }
    for event in last {
        let context = trace.context(&event).map(char::from);
        let context: String = context.iter().collect();
        let mut text = String::new();
        // A String takes everything.
        let _ = trace.text(&event, &mut text);
        let mark = if event.time_is_certain { ' ' } else { '?' };
        out.style(Style::Faint, &format!("    [{:03}] {context} {}{mark} ", event.core, seconds(event.time_ns)));
        out.style(Style::Strong, trace.name(event.id));
        out.plain(&format!(": {text}\n"));
    }
}

fn seconds(ns: u64) -> String {
    // Rounded, as Linux does.
    let us = ns.saturating_add(500) / 1000;
    format!("{:>5}.{:06}", us / 1_000_000, us % 1_000_000)
}
