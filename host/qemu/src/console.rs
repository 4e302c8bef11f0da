//! Reads what the kernel prints: the tables of accounts, which say of each core what became of its events.

use std::borrow::Cow;

/// The words over the columns, as the kernel prints them.
const HEADER: [&str; 8] = ["core", "attempted", "recovered", "overwritten", "damaged", "unfinished", "dropped", "sum"];

/// One core's row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The core.
    pub core: u32,
    /// Events that it wanted to record.
    pub attempted: u64,
    /// Events that were read back whole.
    pub recovered: u64,
    /// Events that newer ones replaced.
    pub overwritten: u64,
    /// Events of which something is left, but which fail their check.
    pub damaged: u64,
    /// Events that were being written when the core was stopped.
    pub unfinished: u64,
    /// Events that the recorder refused.
    pub dropped: u64,
    /// What the kernel says of the sum: `holds`, not `BROKEN`.
    pub said_to_hold: bool,
}

impl Account {
    /// Whether every attempt is accounted for, added up here; and the kernel says so too.
    #[must_use]
    pub fn sum_holds(&self) -> bool {
        let parts = [self.recovered, self.overwritten, self.damaged, self.unfinished, self.dropped];
        let sum = parts.iter().try_fold(0u64, |sum, part| sum.checked_add(*part));
        self.said_to_hold && sum == Some(self.attempted)
    }

    /// Whether nothing is wrong with it: [`Self::sum_holds`], and nothing was damaged.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.sum_holds() && self.damaged == 0
    }
}

/// The accounts of one boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The boot that the table is about, if the console says so.
    pub boot: Option<u64>,
    /// The line above the table that says what became of that boot.
    pub title: String,
    /// A row for each core.
    pub accounts: Vec<Account>,
}

/// Every table of a console log, in its order. Indentation and colours do not matter; remarks may stand between the rows.
#[must_use]
pub fn tables(console: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut title = None;
    for line in console.lines() {
        let line = without_colours(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.starts_with(&HEADER) {
            let (boot, title) = title.take().map_or((None, String::new()), |(boot, title)| (Some(boot), title));
            tables.push(Table { boot, title, accounts: Vec::new() });
        } else if let (Some(table), Some(account)) = (tables.last_mut(), account(&words)) {
            table.accounts.push(account);
        } else if title.is_none() {
            // The first one counts: behind it comes the panic's message, which may say anything.
            title = boot(&words).map(|boot| (boot, line.trim().to_owned()));
        }
        // A crash begins anew, also when its table never came.
        if words.starts_with(&["crash", "in", "bank"]) {
            title = None;
        }
    }
    tables
}

fn account(words: &[&str]) -> Option<Account> {
    let [core, numbers @ .., sum] = words else { return None };
    let numbers: Vec<u64> = numbers.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let [attempted, recovered, overwritten, damaged, unfinished, dropped] = *numbers.as_slice() else { return None };
    let said_to_hold = match *sum {
        "holds" => true,
        "BROKEN" => false,
        _ => return None,
    };
    let core = core.parse().ok()?;
    Some(Account { core, attempted, recovered, overwritten, damaged, unfinished, dropped, said_to_hold })
}

/// From a line such as "boot 3 panicked on core 2 at ...".
fn boot(words: &[&str]) -> Option<u64> {
    match words {
        ["boot", number, ..] => number.trim_end_matches([':', ',']).parse().ok(),
        _ => None,
    }
}

/// Without "select graphic rendition" sequences.
fn without_colours(line: &str) -> Cow<'_, str> {
    if !line.contains('\x1b') {
        return Cow::Borrowed(line);
    }
    let mut plain = String::with_capacity(line.len());
    let mut pieces = line.split("\x1b[");
    plain.extend(pieces.next());
    for piece in pieces {
        let parameters = piece.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
        plain.push_str(piece[parameters..].strip_prefix('m').unwrap_or(piece));
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH: &str = "\
  recording  boot 2 into bank 1, checks by CRC instructions

crash in bank 0:
boot 1 panicked on core 2 at     0.123456
  boot 77 is what a message may say
  at kernel/src/work.rs:61:5
  core  attempted  recovered  overwritten  damaged  unfinished  dropped  sum
     0     100123       3210        96913        0           0        0  holds
     1     100007       3200        96805        0           1        1  holds
        dropped: 1 too long
        12 events stood beyond the commit word
     2          5          4            0        0           0        0  BROKEN
# tracer: nop
";

    fn row(core: u32, numbers: [u64; 6], said_to_hold: bool) -> Account {
        let [attempted, recovered, overwritten, damaged, unfinished, dropped] = numbers;
        Account { core, attempted, recovered, overwritten, damaged, unfinished, dropped, said_to_hold }
    }

    #[test]
    fn a_dump_becomes_a_table() {
        let tables = tables(CRASH);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].boot, Some(1));
        assert_eq!(tables[0].title, "boot 1 panicked on core 2 at     0.123456");
        let rows = [
            row(0, [100_123, 3210, 96_913, 0, 0, 0], true),
            row(1, [100_007, 3200, 96_805, 0, 1, 1], true),
            row(2, [5, 4, 0, 0, 0, 0], false),
        ];
        assert_eq!(tables[0].accounts, rows);
        assert_eq!(tables[0].accounts.iter().map(Account::sum_holds).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn each_dumped_boot_has_its_own_table() {
        let three = [CRASH, &CRASH.replace("boot 1", "boot 4"), "boot 9 went without a table\n", CRASH].concat();
        let boots: Vec<_> = tables(&three).iter().map(|table| (table.boot, table.accounts.len())).collect();
        assert_eq!(boots, [(Some(1), 3), (Some(4), 3), (Some(1), 3)]);
    }

    #[test]
    fn colours_and_indentation_do_not_matter() {
        let coloured: String =
            CRASH.lines().map(|line| format!("\x1b[1;31m\t  {}\x1b[0m\r\n", line.trim_start())).collect();
        assert_eq!(tables(&coloured)[0].accounts, tables(CRASH)[0].accounts);
    }

    #[test]
    fn a_sum_is_added_up_here_too() {
        assert!(row(0, [9, 3, 2, 1, 1, 2], true).sum_holds());
        assert!(!row(0, [9, 3, 2, 1, 1, 1], true).sum_holds(), "the kernel may be wrong");
        assert!(!row(0, [9, 3, 2, 1, 1, 2], false).sum_holds());
        assert!(!row(0, [0, u64::MAX, 1, 0, 0, 0], true).sum_holds(), "and may overflow");
    }

    #[test]
    fn a_log_without_a_table_has_none() {
        assert!(tables("").is_empty());
        assert!(tables("core attempted\n 0 1 1 0 0 0 0 holds\n\x1b[").is_empty());
    }
}
