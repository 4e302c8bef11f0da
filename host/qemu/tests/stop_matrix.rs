//! A short form of `make stop-matrix`: every kind of machine, every means of stop, whatever the other cores are at; each
//! within its limits. `AFTERGLOW_SEEDS=20` is the long form.

use qemu::stop_matrix::{Cell, Figures, Others, all, cost, measured_rows, rows};
use qemu::workspace;

fn seeds() -> u64 {
    std::env::var("AFTERGLOW_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[test]
fn every_means_stops_the_cores_of_every_machine_in_time_whatever_they_are_at() {
    let kernel = workspace::kernel().unwrap();
    for (row, (kind, means)) in (0..).zip(rows()) {
        // Another seed for each cell.
        let cell = |(column, others)| move |seed| Cell { kind, means, others, seed: row + 4 * seed + column };
        let cells: Vec<Cell> = (0..).zip(Others::ALL).flat_map(|others| (0..seeds()).map(cell(others))).collect();
        let results = all(&cells, |_, _| {}, |cell| cell.run(kernel));
        let runs: Vec<Figures> = results.into_iter().map(|result| result.unwrap_or_else(|e| panic!("{e:#}"))).collect();
        let reached = runs.iter().filter(|run| run.stopped_ns.is_some()).count() as u64;
        assert_eq!(reached, seeds() * if means.reaches_all() { 4 } else { 3 });
    }
}

#[test]
fn a_tick_costs_less_than_a_thousandth_and_masking_a_few_instructions() {
    let kernel = workspace::kernel().unwrap();
    let rows: Vec<_> = measured_rows().collect();
    for result in all(&rows, |_, _| {}, |(kind, means)| cost(kernel, kind, *means)) {
        let cost = result.unwrap_or_else(|e| panic!("{e:#}"));
        assert!(cost.stop_tick > 0 && cost.stop_tick < cost.both_ticks, "{cost:?}");
        assert!(cost.masking_tenths > 0 && cost.masking_tenths < 300, "{cost:?}");
        assert!(cost.line_tenths >= 20, "{cost:?}: less than a clean and a step to the next line");
    }
}
