//! `afterglow mutants`: the proof that the loop notices what it is there for, as a table that Markdown shows too.

use crate::symbols::Symbols;
use crate::terminal::Filter;
use anyhow::Result;
use campaign::lane::{self, Crashed, Lane};
use campaign::mutants::{self, CRASHES_MAX, Row};
use clap::Args;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use qemu::Image;
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

/// Sources of cleans and barriers themselves.
const MAKERS: [&str; 2] = ["arch/src/cache.rs", "kernel/src/region_memory.rs"];
/// The exit status when a mutant was not found.
const MISSED: u8 = 1;

/// Takes each clean and barrier of the panic path out of the kernel in turn; fails if a loop of crashes does not notice
#[derive(Debug, Args)]
pub(crate) struct Mutants {
    /// The kernel: an ELF file, with its symbols
    kernel: PathBuf,

    /// Only what is taken out of functions whose path contains this
    #[arg(long, default_value = "")]
    only: String,
}

impl Mutants {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let kernel = Image::load(&self.kernel)?;
        let symbols = Symbols::load(&self.kernel)?;
        let mut done = 0;
        let shown = |done: usize| {
            if std::io::stderr().is_terminal() {
                eprint!("\rmutants: {done}");
            }
        };
        let mut run = |lane: &Lane, image: &Image, each: &mut dyn FnMut(&Crashed) -> ControlFlow<()>| {
            lane::run(lane, image, each)
        };
        let lanes = mutants::lanes();
        let control = mutants::control(&kernel, &lanes, &mut run)?;
        let wanted = |site: &mutants::Site| site.function.contains(&self.only);
        let rows = mutants::all(&kernel, &lanes, &wanted, &mut run, &mut |_| {
            done += 1;
            shown(done);
        })?;
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN).set_header(["taken out", "where", "found after crashes", "by"]);
        table.add_rows(rows.iter().map(|row| {
            let (after, by) = found(row);
            let places = symbols.places(kernel.link_base() + row.site.at).unwrap_or_default();
            // Who wants the clean, not what it is made of.
            let is_maker = |place: &&String| MAKERS.iter().any(|maker| place.starts_with(maker));
            let place = places.iter().find(|place| !is_maker(place)).or(places.first());
            [row.site.what.to_string(), place.unwrap_or(&row.site.function).clone(), after, by]
        }));
        let missed = rows.iter().filter(|row| row.found.is_none() && !row.nothing_to_order).count();
        let text = format!(
            "{}\n{} cleans and barriers of the panic path, {missed} of them not found within {CRASHES_MAX} crashes; \
             with nothing taken out: nothing noticed in {control} crashes\n",
            Filter::default().pass(table.trim_fmt().as_bytes()),
            rows.len()
        );
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::from(MISSED) })
    }
}

fn found(row: &Row) -> (String, String) {
    match &row.found {
        Some((after, by)) => (after.to_string(), by.split(": was not").next().unwrap_or(by).to_owned()),
        None if row.nothing_to_order => ("-".into(), format!("nothing to order in {} crashes", row.crashes)),
        None => (format!("not in {}", row.crashes), String::new()),
    }
}
