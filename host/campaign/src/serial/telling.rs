//! What one boot says of one crash, and what that is worth.

use super::lines::Line;
use super::words::How;
use qemu::console::{Account, tables};

/// Lines of a telling that are kept; a trace that was not recognised must not fill memory.
const LINES_MAX: usize = 400;
/// What stands over the last column of the table. It and all that is to its left has a fixed width, which numbers may exceed
/// but not fall short of.
const LAST_COLUMN: &str = "  sum";

/// The telling of a crash, as far as it has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Telling {
    /// The boot that crashed and how, from the title.
    pub(super) title: Option<(u64, How)>,
    /// The boot that crashed, its events, whether it is intact, from the last line.
    pub(super) status: Option<(u64, u64, bool)>,
    /// The trace has begun.
    pub(super) in_trace: bool,
    text: String,
    shown: Vec<String>,
    /// Where the table's last column begins, once its head was seen.
    column: Option<usize>,
    short_rows: usize,
}

impl Telling {
    /// Another line of it.
    pub(super) fn push(&mut self, line: &Line) {
        if self.in_trace || self.shown.len() == LINES_MAX {
            return;
        }
        if line.text.trim_start().starts_with("core ") && line.text.ends_with(LAST_COLUMN) {
            self.column = last_word(&line.text);
        } else if let Some(column) = self.column
            && line.text.trim_start().starts_with(|first: char| first.is_ascii_digit())
            && !line.text.contains("  digest ")
            && (last_word(&line.text) < Some(column) || !is_row(&line.text))
        {
            self.short_rows += 1;
        }
        self.text.push_str(&line.text);
        self.text.push('\n');
        self.shown.push(line.shown.clone());
    }

    /// The crashed boot's number, where the two lines that name it do not differ.
    pub(super) fn boot(&self) -> Option<u64> {
        match (self.title, self.status) {
            (Some((title, _)), Some((status, ..))) => (title == status).then_some(title),
            (Some((boot, _)), None) | (None, Some((boot, ..))) => Some(boot),
            (None, None) => None,
        }
    }

    /// Whether either line that names the crashed boot names this one.
    pub(super) fn may_be_of(&self, boot: u64) -> bool {
        self.title.is_none_or(|(title, _)| title == boot) || self.status.is_some_and(|(status, ..)| status == boot)
    }

    /// The lines, escaped.
    pub(super) fn shown(&self) -> Vec<String> {
        self.shown.clone()
    }

    /// The rows of its table.
    pub(super) fn accounts(&self) -> Vec<Account> {
        tables(&self.text).into_iter().flat_map(|table| table.accounts).collect()
    }

    /// What is wrong by the board's word, and what cannot be said since the line lost it. `cores` is how many rows there
    /// must be, if that is known.
    pub(super) fn judge(&self, cores: Option<usize>) -> Findings {
        let mut findings = Findings::default();
        let rows = self.accounts();
        match self.status {
            None => findings.unclear("the line that says what came of it was not read"),
            Some((_, _, false)) => findings.failed("the board says that it is NOT intact"),
            Some(_) => {}
        }
        if let (Some((title, _)), Some((status, ..))) = (self.title, self.status)
            && title != status
        {
            findings.unclear(format!("it is called boot {title} in one line, boot {status} in another"));
        }
        for lost in self.text.lines().filter(|line| line.ends_with("record is lost")) {
            findings.failed(format!("the board says: {}", lost.trim()));
        }
        let missing = rows.is_empty() || cores.is_some_and(|cores| rows.len() < cores);
        if missing {
            let of = cores.map_or(String::new(), |cores| format!(" of {cores}"));
            findings.unclear(format!("{}{of} rows of its table were read", rows.len()));
        }
        // Where a line has lost something, a number may have lost a digit. Noise takes a byte's place, so it counts as lost.
        let doubtful = self.short_rows > 0 || missing || cores.is_none();
        let promised = matches!(self.title, Some((_, How::Panicked(_) | How::RecordLost)));
        for row in &rows {
            if !row.said_to_hold {
                findings.failed(format!("core {}: the board says that the sum is BROKEN", row.core));
            } else if !row.sum_holds() {
                findings.wrong(doubtful, format!("core {}: the sum does not hold", row.core));
            }
            if row.damaged > 0 && promised {
                findings.wrong(doubtful, format!("core {}: {} events damaged", row.core, row.damaged));
            }
        }
        let recovered: Option<u64> = rows.iter().try_fold(0u64, |sum, row| sum.checked_add(row.recovered));
        if let Some((_, events, _)) = self.status
            && recovered != Some(events)
        {
            let doubtful = doubtful || recovered.is_some_and(|whole| lost_digits(events, whole));
            findings
                .wrong(doubtful, format!("{events} events recovered, by its last line, and not so many by its table"));
        }
        findings
    }
}

/// Where the last word of a line begins.
fn last_word(text: &str) -> Option<usize> {
    text.rfind(' ').map(|space| space + 1)
}

/// Whether a line of the table is a whole row.
fn is_row(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.len() == 8 && matches!(words[7], "holds" | "BROKEN")
}

/// Whether a number is what is left of another one, of which a line has lost digits.
fn lost_digits(read: u64, whole: u64) -> bool {
    let (read, whole) = (read.to_string(), whole.to_string());
    let mut rest = whole.bytes();
    read.len() < whole.len() && read.bytes().all(|digit| rest.any(|other| other == digit))
}

/// Reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) failed: Vec<String>,
    pub(super) unclear: Vec<String>,
}

impl Findings {
    pub(super) fn failed(&mut self, why: impl Into<String>) {
        self.failed.push(why.into());
    }

    pub(super) fn unclear(&mut self, why: impl Into<String>) {
        self.unclear.push(why.into());
    }

    /// Wrong by what was read, which may be the line's fault.
    pub(super) fn wrong(&mut self, doubtful: bool, why: String) {
        if doubtful { &mut self.unclear } else { &mut self.failed }.push(why);
    }
}
