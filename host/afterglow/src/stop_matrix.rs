//! `afterglow stop-matrix`: how fast each means of stop is on each kind of machine, whatever the other cores are at, as tables
//! that Markdown shows too.

use crate::terminal::Filter;
use anyhow::{Result, ensure};
use clap::Args;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use qemu::Image;
use qemu::stop_matrix::{self as matrix, Cell, Cost, Figures, Kind, Means, Others};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit status when a limit was broken.
const BROKEN: u8 = 1;
/// Of failures, so many are told in full.
const TOLD: usize = 5;

/// Measures how each means of stop does on each kind of machine, whatever the other cores are at; fails if one is too slow
#[derive(Debug, Args)]
pub(crate) struct StopMatrix {
    /// The kernel: an ELF file or an arm64 Image
    kernel: PathBuf,

    /// Runs of each cell, each panicking at another moment
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,

    /// Only machines whose name contains this
    #[arg(long, default_value = "")]
    only: String,
}

/// A machine with one of its means.
type Row = (&'static Kind, Means);
/// What became of a run.
type Run = (Cell, Result<Figures>);

impl StopMatrix {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let kernel = Image::load(&self.kernel)?;
        let rows: Vec<Row> = matrix::rows().filter(|(kind, _)| kind.name.contains(&self.only)).collect();
        ensure!(!rows.is_empty(), "no machine is called {:?}: {}", self.only, names());
        let measured: Vec<Row> = matrix::measured_rows().filter(|(kind, _)| kind.name.contains(&self.only)).collect();
        let cells: Vec<Cell> = rows.iter().flat_map(|row| self.cells(*row)).collect();
        let figures = matrix::all(&cells, |done, of| progress("stops", done, of), |cell| cell.run(&kernel));
        let runs: Vec<Run> = cells.into_iter().zip(figures).collect();
        let costs = matrix::all(
            &measured,
            |done, of| progress("costs", done, of),
            |(kind, means)| matrix::cost(&kernel, kind, *means),
        );
        let mut failures: Vec<String> = runs.iter().filter_map(|(_, run)| run.as_ref().err()).map(shown).collect();
        failures.extend(costs.iter().filter_map(|cost| cost.as_ref().err()).map(shown));
        let of_row = |(kind, means): Row| {
            runs.iter().filter(move |(cell, _)| std::ptr::eq(cell.kind, kind) && cell.means == means)
        };
        let stops = rows.iter().map(|row| stops_row(row, &of_row(*row).collect::<Vec<_>>())).collect();
        let cost_rows = measured.iter().zip(&costs).map(|(row, cost)| costs_row(row, cost.as_ref().ok())).collect();
        self.show(runs.len(), stops, cost_rows)?;
        for failure in failures.iter().take(TOLD) {
            eprintln!("\n{failure}");
        }
        if failures.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("\nafterglow: {} of {} did not keep within the limits", failures.len(), runs.len() + costs.len());
        Ok(ExitCode::from(BROKEN))
    }

    fn cells(&self, (kind, means): Row) -> impl Iterator<Item = Cell> {
        let seeds = 1..=self.seeds;
        Others::ALL
            .into_iter()
            .flat_map(move |others| seeds.clone().map(move |seed| Cell { kind, means, others, seed }))
    }

    fn show(&self, runs: usize, stops: Vec<Vec<String>>, costs: Vec<Vec<String>>) -> Result<()> {
        let head = ["machine", "stop by"].into_iter().chain(Others::ALL.map(Others::word));
        let head: Vec<&str> = head.chain(["then reset"]).collect();
        let cost_head = ["machine", "stop by", "stop tick", "both ticks", "of 1 ms", "mask and unmask", "clean a line"];
        let text = format!(
            "panic to the last of three cores standing still, in us: mean / max of {seeds} seeds; a tick is {tick} us, at most {most}\n\
             {stops}\n\
             named: cannot be reached; waited for two seconds, and named by the panic and by the next boot\n\
             then reset: from stop and clean to the request, max us (at most {rest})\n\
             {runs} runs, an instruction of any core takes 1 ns; SGIs pending or active: 0 in each\n\n\
             in instructions: what ticks cost a core (both with three events, at most {ticks}), what a cleaned line costs (at most {per_line})\n\
             {costs}\n",
            seeds = self.seeds,
            tick = matrix::TICK_NS / 1000,
            most = matrix::STOPPED_MAX_NS / 1000,
            rest = matrix::RESET_MAX_NS / 1000,
            per_line = matrix::LINE_TENTHS_MAX / 10,
            ticks = matrix::TICK_INSTRUCTIONS_MAX,
            stops = table(&head, stops),
            costs = table(&cost_head, costs),
        );
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

fn names() -> String {
    matrix::MACHINES.map(|kind| kind.name).join("; ")
}

/// What a run says against itself holds a guest's console: only text goes on.
pub(crate) fn shown(error: &anyhow::Error) -> String {
    Filter::default().pass(format!("{error:#}").as_bytes())
}

/// Where somebody looks.
pub(crate) fn progress(what: &str, done: usize, of: usize) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{what}: {done} of {of}{}", if done == of { "\n" } else { "" });
    }
}

fn good<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<Figures> {
    runs.filter_map(|(_, run)| run.as_ref().ok().copied()).collect()
}

fn stops_row(row: &Row, runs: &[&Run]) -> Vec<String> {
    let figures = good(runs.iter().copied());
    let mut texts = vec![row.0.name.to_owned(), row.0.says(row.1).to_owned()];
    texts.extend(Others::ALL.map(|others| stopped(runs.iter().copied().filter(|(cell, _)| cell.others == others))));
    let rest = figures.iter().filter_map(Figures::rest_ns).max();
    texts.push(rest.map_or("-".into(), |rest| rest.div_ceil(1000).to_string()));
    texts
}

/// Mean and longest time to the stop, in microseconds.
fn stopped<'a>(runs: impl Iterator<Item = &'a Run>) -> String {
    let runs: Vec<&Result<Figures>> = runs.map(|(_, run)| run).collect();
    let failed = runs.iter().filter(|run| run.is_err()).count();
    if failed > 0 {
        return format!("{failed} FAILED");
    }
    let times: Vec<u64> = runs.iter().filter_map(|run| run.as_ref().ok()?.stopped_ns).collect();
    let Some(most) = times.iter().max() else { return "named".into() };
    let mean = times.iter().sum::<u64>() / times.len() as u64;
    format!("{} / {}", mean.div_ceil(1000), most.div_ceil(1000))
}

fn costs_row((kind, means): &Row, cost: Option<&Cost>) -> Vec<String> {
    let mut texts = vec![kind.name.to_owned(), kind.says(*means).to_owned()];
    texts.extend(cost.map_or(["FAILED", "", "", "", ""].map(str::to_owned), |cost| {
        // One instruction takes a nanosecond.
        let part = cost.both_ticks as f64 * 100.0 / matrix::TICK_NS as f64;
        let tenths = |tenths: u64| format!("{}.{}", tenths / 10, tenths % 10);
        let ticks = [cost.stop_tick.to_string(), cost.both_ticks.to_string(), format!("{part:.3} %")];
        let [stop, both, part] = ticks;
        [stop, both, part, tenths(cost.masking_tenths), tenths(cost.line_tenths)]
    }));
    texts
}

/// A table; all but the first two columns are numbers, or say why there is none.
fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(head.iter().copied()).add_rows(rows);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(others: Others, figures: Result<Figures>) -> Run {
        (Cell { kind: &matrix::MACHINES[1], means: Means::Fiq, others, seed: 1 }, figures)
    }

    #[test]
    fn a_row_says_how_long_who_was_named_and_what_failed() {
        let figures = |stopped_ns, lines| Figures { stopped_ns, lines, clean_ns: 5 * lines, reset_ns: 800_000 };
        let runs = [
            run(Others::Work, Ok(figures(Some(600_000), 100))),
            run(Others::Work, Ok(figures(Some(700_500), 300))),
            run(Others::IrqHandler, Err(anyhow::anyhow!("late"))),
            run(Others::Masked, Ok(figures(Some(1_000), 200))),
            run(Others::AllMasked, Ok(figures(None, 9))),
        ];
        let row = stops_row(&(&matrix::MACHINES[1], Means::Fiq), &runs.iter().collect::<Vec<_>>());
        assert_eq!(row[1..], ["FIQ", "651 / 701", "1 FAILED", "1 / 1", "named", "798"]);
    }
}
