//! The bench as a user runs it, in its quick form: every table is there, with every row, and every cell holds figures.

use std::process::Command;

/// A table that was printed: its head, and its rows by their first cell.
fn tables(printed: &str) -> Vec<Vec<Vec<&str>>> {
    let mut tables: Vec<Vec<Vec<&str>>> = Vec::new();
    let mut inside = false;
    for line in printed.lines() {
        let row = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
        if row.is_some() && !inside {
            tables.push(Vec::new());
        }
        inside = row.is_some();
        if let (Some(row), Some(table)) = (row, tables.last_mut())
            && !row.starts_with("--")
        {
            table.push(row.split('|').map(str::trim).collect());
        }
    }
    tables
}

/// The numbers in a cell like `9.8 (9.5..10.2)`.
fn figures(cell: &str) -> Vec<f64> {
    let words = cell.split(|c: char| !(c.is_ascii_digit() || c == '.')).flat_map(|word| word.split(".."));
    words.filter(|word| !word.is_empty()).map(|word| word.parse().expect("a number")).collect()
}

fn first_column<'t>(table: &[Vec<&'t str>]) -> Vec<&'t str> {
    table.iter().skip(1).map(|row| row[0]).collect()
}

#[test]
fn the_quick_form_prints_every_row_with_figures_above_zero() {
    let bench = Command::new(env!("CARGO_BIN_EXE_bench")).args(["--quick", "--no-lttng"]).output().unwrap();
    let printed = String::from_utf8(bench.stdout).unwrap();
    assert!(bench.status.success(), "{printed}{}", String::from_utf8_lossy(&bench.stderr));

    let tables = tables(&printed);
    let [ours, others, threads, regions] = &tables[..] else { panic!("{} tables:\n{printed}", tables.len()) };
    let payloads = ["8 bytes", "16 bytes", "32 bytes", "64 bytes", "256 bytes"];
    assert_eq!(first_column(ours), payloads);
    assert_eq!(first_column(others), payloads);
    assert_eq!(first_column(threads), ["1", "2"]);
    assert_eq!(first_column(regions), ["1 MiB", "8 MiB"]);

    for table in &tables {
        for row in &table[1..] {
            assert_eq!(row.len(), table[0].len(), "{row:?}");
            for (head, cell) in table[0].iter().zip(row) {
                if *head == "LTTng-UST" {
                    assert_eq!(*cell, "-", "it was left out");
                    continue;
                }
                let figures = figures(cell);
                assert!(!figures.is_empty() && figures.iter().all(|figure| *figure > 0.0), "{head}: {cell}\n{printed}");
            }
        }
    }
}

#[test]
fn a_machine_without_lttng_is_told_how_to_get_it() {
    // No program at all is found in an empty PATH.
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    let bench = bench.args(["--quick", "--only", "write"]).env("PATH", "/nonexistent").output().unwrap();
    let printed = String::from_utf8(bench.stdout).unwrap();
    assert!(bench.status.success(), "{printed}");
    assert!(printed.contains("LTTng-UST: not installed (apt install liblttng-ust-dev lttng-tools)"), "{printed}");
}
