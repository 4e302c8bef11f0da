//! What the next boot says about a crash: its table of accounts, and the digests below.

use qemu::console::tables;
use std::collections::HashMap;
use std::fmt;

/// What is said of a boot.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) rows: HashMap<u32, Row>,
}

/// What is said of a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Attempted, recovered, overwritten, damaged, unfinished, dropped.
    pub(super) numbers: [u64; 6],
    /// The digest, and of how many events it is.
    pub(super) digest: Option<(u32, u64)>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [attempted, recovered, overwritten, damaged, unfinished, dropped] = self.numbers;
        write!(
            f,
            "attempted {attempted}, recovered {recovered}, overwritten {overwritten}, damaged {damaged}, unfinished \
             {unfinished}, dropped {dropped}"
        )?;
        match self.digest {
            Some((digest, events)) => write!(f, ", digest {digest:08x} of {events}"),
            None => Ok(()),
        }
    }
}

/// What a console says of a boot; None if it says nothing.
pub(super) fn told(console: &str, boot: u64) -> Option<Told> {
    let table = tables(console).into_iter().find(|table| table.boot == Some(boot))?;
    let mut told = Told::default();
    for row in &table.accounts {
        let numbers = [row.attempted, row.recovered, row.overwritten, row.damaged, row.unfinished, row.dropped];
        told.rows.insert(row.core, Row { numbers, digest: None });
    }
    // Between this boot's title and the next crash.
    let of_boot = console.split("crash in bank").find(|part| part.contains(&table.title));
    for words in of_boot.unwrap_or_default().lines().map(|line| line.split_whitespace().collect::<Vec<_>>()) {
        if let [core, "digest", digest, "of", events, "events"] = *words.as_slice()
            && let (Ok(core), Ok(digest), Ok(events)) = (core.parse(), u32::from_str_radix(digest, 16), events.parse())
            && let Some(row) = told.rows.get_mut(&core)
        {
            row.digest = Some((digest, events));
        }
    }
    Some(told)
}
