//! Memory drawn as cells: one letter for so many bytes, the worst that happened in them.

use crate::draw::{Ink, Piece};
use crate::model::{Kind, Range, Report, Size};

/// Cells of a row: with the address before them it fits a terminal of 80 columns.
const COLUMNS: u64 = 64;
/// Rows at most, of memory without gaps.
const ROWS: u64 = 16;
/// The smallest cell: the kernel's blocks.
const SMALLEST: u64 = 64 << 10;

/// What a cell holds, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// It was not filled.
    Unfilled,
    /// All that had to be kept was.
    Kept,
    /// The place that is recommended.
    Recommended,
    /// Firmware writes the image, the device tree or the like here.
    Firmware,
    /// A bit turned over in what was kept.
    Bits,
    /// A line that had to survive held what stood there before.
    Stale,
    /// Something was lost after some resets, and not after each of any way.
    Some,
    /// After each reset by some ways.
    Each,
    /// After each reset there was.
    All,
}

impl Cell {
    const ALL: [Self; 9] = [
        Self::Unfilled,
        Self::Kept,
        Self::Recommended,
        Self::Firmware,
        Self::Bits,
        Self::Stale,
        Self::Some,
        Self::Each,
        Self::All,
    ];

    fn letter(self) -> char {
        match self {
            Self::Unfilled => '-',
            Self::Kept => '.',
            Self::Recommended => 'R',
            Self::Firmware => 'F',
            Self::Bits => 'b',
            Self::Stale => 's',
            Self::Some => 'o',
            Self::Each => 'x',
            Self::All => 'X',
        }
    }

    fn ink(self) -> Ink {
        match self {
            Self::Unfilled => Ink::Faint,
            Self::Kept => Ink::Plain,
            Self::Recommended => Ink::Good,
            Self::Firmware | Self::Bits => Ink::Warning,
            Self::Stale | Self::Some | Self::Each | Self::All => Ink::Bad,
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Unfilled => "not filled: in use, firmware's, or no memory",
            Self::Kept => "kept by all ways to reset",
            Self::Recommended => "kept, and recommended for the region",
            Self::Firmware => "firmware writes here again: image, device tree, spin table",
            Self::Bits => "kept, but bits turned over",
            Self::Stale => "cleaned or past the cache, and yet stale",
            Self::Some => "something in it was lost after some resets",
            Self::Each => "something in it was lost after each reset by some ways",
            Self::All => "something in it was lost after every reset",
        }
    }
}

/// Bytes of a cell for memory that ends here.
fn cell_size(all: Range) -> u64 {
    let span = all.last.saturating_sub(all.first);
    (span / (COLUMNS * ROWS) + 1).checked_next_power_of_two().unwrap_or(1 << 54).max(SMALLEST)
}

/// What is in a cell.
fn cell(report: &Report, place: Range) -> Cell {
    let mut worst = Cell::Unfilled;
    let filled = report.memory.iter().map(|memory| memory.range).chain(report.fills.iter().copied());
    if filled.into_iter().any(|range| range.overlaps(&place)) {
        worst = Cell::Kept;
    }
    if matches!(&report.recommended, Some(Some(recommended)) if recommended.range.overlaps(&place)) {
        worst = worst.max(Cell::Recommended);
    }
    if report.placed.iter().any(|placed| placed.times > 0 && place.contains(placed.address)) {
        worst = worst.max(Cell::Firmware);
    }
    // Before there is a report, what was heard of each bit.
    let flips = report.checks.iter().flat_map(|check| &check.flips).filter(|_| report.title.is_none());
    if flips.into_iter().any(|flip| place.contains(flip.address)) {
        worst = worst.max(Cell::Bits);
    }
    for spot in report.spots.iter().filter(|spot| spot.range.overlaps(&place)) {
        worst = worst.max(match spot.kind {
            Kind::Bits => Cell::Bits,
            Kind::Stale => Cell::Stale,
            Kind::Lost if spot.times == spot.of => Cell::All,
            Kind::Lost if spot.by.iter().any(|after| after.times == after.of) => Cell::Each,
            Kind::Lost => Cell::Some,
        });
    }
    worst
}

/// The map and what its letters mean; nothing where no memory was told of.
#[must_use]
pub fn draw(report: &Report) -> Vec<Piece> {
    let ranges: Vec<Range> =
        report.memory.iter().map(|memory| memory.range).chain(report.fills.iter().copied()).collect();
    let (Some(first), Some(last)) =
        (ranges.iter().map(|range| range.first).min(), ranges.iter().map(|range| range.last).max())
    else {
        return Vec::new();
    };
    // What firmware has may lie before it.
    let first = report.placed.iter().map(|placed| placed.address).filter(|at| *at < first).fold(first, u64::min);
    let size = cell_size(Range { first, last });
    let row_size = size * COLUMNS;
    let mut pieces = vec![(Ink::Strong, format!("memory, {} a cell\n", Size(size)))];
    let (mut seen, mut skipping) = (vec![Cell::Unfilled; 0], false);
    let mut at = first / row_size * row_size;
    while at <= last {
        // Rows that are nobody's, of which there may be millions, are passed over at once.
        let next = ranges
            .iter()
            .map(|range| range.first.max(at))
            .filter(|next| ranges.iter().any(|range| range.contains(*next)));
        let next = next.chain(report.placed.iter().map(|placed| placed.address).filter(|address| *address >= at)).min();
        let start = next.map_or(last, |next| next.min(last)) / row_size * row_size;
        if start > at {
            at = start;
            skipping = true;
        }
        if std::mem::take(&mut skipping) {
            pieces.push((Ink::Faint, format!("{:>11}\n", "...")));
        }
        let row: Vec<Cell> = (0..COLUMNS)
            .map_while(|column| at.checked_add(column * size))
            .map(|cell_at| cell(report, Range { first: cell_at, last: cell_at.saturating_add(size - 1) }))
            .collect();
        seen.extend(&row);
        pieces.push((Ink::Faint, format!("{at:>#11x} ")));
        for same in row.chunk_by(|a, b| a == b) {
            pieces.push((same[0].ink(), std::iter::repeat_n(same[0].letter(), same.len()).collect()));
        }
        pieces.push((Ink::Plain, "\n".into()));
        let Some(next) = at.checked_add(row_size) else { break };
        at = next;
    }
    for cell in Cell::ALL.into_iter().filter(|cell| seen.contains(cell)) {
        pieces.push((cell.ink(), format!("{:>11}", cell.letter())));
        pieces.push((Ink::Plain, format!(" {}\n", cell.meaning())));
    }
    pieces
}
