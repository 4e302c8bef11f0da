//! The whole report for a person: the map, a column for each way to reset, what firmware writes, where to put the region.

use crate::map;
use crate::model::{After, By, Kind, Report, Tally, Total};
use crate::watch::{Ending, Found};

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Nothing special.
    Plain,
    /// A title.
    Strong,
    /// Beside the matter.
    Faint,
    /// As it should be.
    Good,
    /// To be looked at.
    Warning,
    /// As it should not be.
    Bad,
}

/// A piece of text, which may end a line.
pub type Piece = (Ink, String);

/// Ranges with something wrong that are shown.
const SPOTS_SHOWN: usize = 12;
/// Width of a name in the table, and of each column.
const NAME: usize = 26;
const COLUMN: usize = 13;

/// All of it.
#[must_use]
pub fn draw(found: &Found) -> Vec<Piece> {
    let report = &found.report;
    let mut pieces = map::draw(report);
    gap(&mut pieces);
    table(report, &mut pieces);
    firmware(report, &mut pieces);
    spots(report, &mut pieces);
    recommended(report, &mut pieces);
    troubles(found, &mut pieces);
    pieces
}

fn gap(pieces: &mut Vec<Piece>) {
    if !pieces.is_empty() {
        plain(pieces, "\n");
    }
}

fn plain(pieces: &mut Vec<Piece>, text: impl Into<String>) {
    pieces.push((Ink::Plain, text.into()));
}

/// A column for each way that the board offers. Without a report: what was heard of each.
fn table(report: &Report, pieces: &mut Vec<Piece>) {
    let totals = totals(report);
    let (used, unused): (Vec<&Total>, Vec<&Total>) = totals.iter().partition(|total| total.resets > 0);
    if used.is_empty() {
        return;
    }
    pieces.push((Ink::Strong, row("after a reset by", used.iter().map(|total| (total.by.short().to_owned(), false)))));
    type Cell = fn(&Tally) -> (String, bool);
    let rows: [(&str, Cell); 9] = [
        ("lines kept", |tally| (tally.kept_of.saturating_sub(tally.damaged).to_string(), false)),
        ("  gone", |tally| (tally.damaged.to_string(), tally.damaged > 0)),
        ("dirty lines lost", |tally| (tally.dirty_lost.to_string(), false)),
        ("  of", |tally| (tally.dirty_of.to_string(), false)),
        ("stale lines", |tally| (tally.stale.to_string(), false)),
        ("  the oldest, in resets", |tally| (tally.oldest.to_string(), false)),
        ("lines at another address", |tally| (tally.moved.to_string(), tally.moved > 0)),
        ("bits 0 -> 1", |tally| (tally.set.to_string(), tally.set > 0)),
        ("bits 1 -> 0", |tally| (tally.cleared.to_string(), tally.cleared > 0)),
    ];
    plain(pieces, row("  resets", used.iter().map(|total| (total.resets.to_string(), false))));
    for (name, cell) in rows {
        let cells: Vec<_> = used.iter().map(|total| cell(&total.tally)).collect();
        let ink = if cells.iter().any(|(_, bad)| *bad) { Ink::Warning } else { Ink::Plain };
        pieces.push((ink, row(name, cells.into_iter())));
    }
    for total in used.iter().filter(|total| total.tally.bits != 0) {
        plain(pieces, format!("bits of a word that turned over by {}: {}\n", total.by.short(), bits(total.tally.bits)));
    }
    for (text, left_out) in [("this board does not offer", false), ("left out", true)] {
        let those = unused.iter().filter(|total| total.left_out == left_out);
        let names: Vec<&str> = those.map(|total| total.by.name()).collect();
        if !names.is_empty() {
            pieces.push((Ink::Faint, format!("{text}: {}\n", names.join(", "))));
        }
    }
    gap(pieces);
}

/// The report's, or what was heard before there was one.
fn totals(report: &Report) -> Vec<Total> {
    if !report.totals.is_empty() {
        return report.totals.clone();
    }
    let heard = |by| {
        let mut total = Total { by, resets: 0, left_out: false, tally: Tally::default() };
        for check in report.checks.iter().filter(|check| check.by == by) {
            total.resets += 1;
            total.tally.add(&check.tally);
        }
        (total.resets > 0).then_some(total)
    };
    By::all().filter_map(heard).collect()
}

fn row(name: &str, cells: impl Iterator<Item = (String, bool)>) -> String {
    let mut row = format!("{name:<NAME$}");
    cells.for_each(|(cell, _)| row += &format!("{cell:>COLUMN$}"));
    row + "\n"
}

/// `0-3, 7`.
fn bits(mask: u64) -> String {
    let set: Vec<u32> = (0..u64::BITS).filter(|bit| mask >> bit & 1 == 1).collect();
    let runs = set.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    runs.collect::<Vec<_>>().join(", ")
}

fn firmware(report: &Report, pieces: &mut Vec<Piece>) {
    if report.placed.is_empty() {
        return;
    }
    pieces.push((Ink::Strong, "written again by firmware at a reset\n".into()));
    for placed in &report.placed {
        let ink = if placed.times > 0 { Ink::Warning } else { Ink::Plain };
        let text = format!("{:<NAME$}{:#13x}  after {} of {}\n", placed.what, placed.address, placed.times, placed.of);
        pieces.push((ink, text));
    }
    gap(pieces);
}

fn spots(report: &Report, pieces: &mut Vec<Piece>) {
    if report.spots.is_empty() {
        return;
    }
    pieces.push((Ink::Strong, "not as it was left\n".into()));
    for spot in report.spots.iter().take(SPOTS_SHOWN) {
        let what = match spot.kind {
            Kind::Lost => "lost",
            Kind::Stale => "stale",
            Kind::Bits => "bits turned over",
        };
        let by = |after: &After| format!("{} of {} by {}", after.times, after.of, after.by.short());
        let by: Vec<String> = spot.by.iter().map(by).collect();
        let ink = if spot.kind == Kind::Bits { Ink::Warning } else { Ink::Bad };
        pieces.push((ink, format!("{}: {what} after {}\n", spot.range, by.join(", "))));
    }
    if let Some(more @ 1..) = report.spots.len().checked_sub(SPOTS_SHOWN) {
        plain(pieces, format!("and {more} ranges more (--json has them all)\n"));
    }
    gap(pieces);
}

fn recommended(report: &Report, pieces: &mut Vec<Piece>) {
    match &report.recommended {
        Some(Some(recommended)) => {
            pieces.push((Ink::Good, format!("recommended for the region: {}\n", recommended.range)));
            if report.has_bits_in_place() {
                let text = "no 8 MiB were without bits that turned over: the ring's checks will reject what they hit\n";
                pieces.push((Ink::Warning, text.to_owned()));
            }
            recommended.node.iter().for_each(|line| plain(pieces, format!("{line}\n")));
        }
        Some(None) => pieces
            .push((Ink::Bad, "no 8 MiB were kept by all ways in all rounds: there is no place for a region\n".into())),
        None => {}
    }
}

fn troubles(found: &Found, pieces: &mut Vec<Piece>) {
    let reported = found.ending == Ending::Reported;
    if let Some(title) = found.report.title.filter(|title| title.region_lost > 0) {
        let text = format!("the region itself was lost {} times in {} resets\n", title.region_lost, title.resets);
        pieces.push((Ink::Bad, text));
    }
    if !reported {
        pieces.push((Ink::Bad, format!("{}\n", found.ending)));
        found.last_lines.iter().for_each(|line| pieces.push((Ink::Faint, format!("  | {line}\n"))));
        return;
    }
    for trouble in found.report.troubles() {
        pieces.push((Ink::Warning, format!("the line was bad: {trouble}\n")));
    }
    for line in &found.unread {
        pieces.push((Ink::Warning, format!("this could not be read: {line}\n")));
    }
}
