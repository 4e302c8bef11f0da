//! What the next boot says: of each crash the table of accounts, the digests below its rows, and what it calls it.

use qemu::console::{Account, Table, tables};

/// Everything it says.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) crashes: Vec<Crash>,
    /// The line in which it panics itself, if it does before it has told of every crash.
    pub(super) died: Option<String>,
    /// Its number, and the bank that it records into.
    pub(super) recording: Option<(u64, u32)>,
}

/// What it says of one crash.
#[derive(Clone, Debug)]
pub(super) struct Crash {
    pub(super) boot: Option<u64>,
    rows: Vec<Account>,
    /// By core: the number, and of how many events it is.
    digests: Vec<(u32, (u32, u64))>,
    /// Events recovered, and whether it is called intact.
    pub(super) verdict: Option<(u64, bool)>,
}

impl Crash {
    fn new(table: Table) -> Self {
        Self { boot: table.boot, rows: table.accounts, digests: Vec::new(), verdict: None }
    }
    /// A core's row.
    pub(super) fn row(&self, core: u32) -> Option<&Account> {
        self.rows.iter().find(|row| row.core == core)
    }
    /// A core's digest.
    pub(super) fn digest(&self, core: u32) -> Option<(u32, u64)> {
        self.digests.iter().find(|(of, _)| *of == core).map(|(_, digest)| *digest)
    }
    /// Whether it was asked for digests.
    pub(super) fn has_digests(&self) -> bool {
        !self.digests.is_empty()
    }
}

impl Told {
    /// Reads a console.
    pub(super) fn read(console: &str) -> Self {
        let mut told = Self { crashes: tables(console).into_iter().map(Crash::new).collect(), ..Self::default() };
        // Each table begins with the words over its columns.
        let mut begun = 0;
        for line in console.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["core", "attempted", "recovered", ..] => begun += 1,
                ["panic:", ..] => told.died = told.died.or_else(|| Some(line.trim().to_owned())),
                ["recording", "boot", boot, "into", "bank", bank, ..] => {
                    let bank = bank.trim_end_matches(',').parse().ok();
                    told.recording = told.recording.or(boot.parse().ok().zip(bank));
                }
                words => {
                    if let Some(crash) = told.crashes.get_mut(usize::wrapping_sub(begun, 1)) {
                        read_behind_table(crash, words);
                    }
                }
            }
        }
        told
    }
}

/// A line behind the words over the columns.
fn read_behind_table(crash: &mut Crash, words: &[&str]) {
    match *words {
        [core, "digest", number, "of", events, "events"] => {
            let number = u32::from_str_radix(number, 16).ok();
            if let (Ok(core), Some(digest)) = (core.parse(), number.zip(events.parse().ok())) {
                crash.digests.push((core, digest));
            }
        }
        ["crash", "of", "boot", boot, events, "events", "recovered,", ref rest @ ..] => {
            let is_own = boot.trim_end_matches(':').parse().ok() == crash.boot;
            let intact = match rest {
                ["intact"] => Some(true),
                ["NOT", "intact"] => Some(false),
                _ => None,
            };
            crash.verdict = crash.verdict.or(events.parse().ok().zip(intact).filter(|_| is_own));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "\
  recording  boot 5 into bank 1, checks by CRC instructions

crash in bank 0:
boot 3 panicked on core 2 at     0.123456
  core  attempted  recovered  overwritten  damaged  unfinished  dropped  sum
     0         20         10           10        0           0        0  holds
     0  digest 0000beef of 10 events
     1          5          5            0        0           0        0  holds
     1  digest 00000001 of 5 events
crash of boot 3: 15 events recovered, intact

crash in bank 1:
boot 4 ended in a reset without a word: no panic, no clean shutdown (watchdog, power, reset from outside)
  core  attempted  recovered  overwritten  damaged  unfinished  dropped  sum
     0          1          0            0        1           0        0  holds
crash of boot 4: 0 events recovered, NOT intact
acknowledged: 2 banks are free again
panic: core 1: asked for
";

    #[test]
    fn each_crash_has_its_rows_its_digests_and_what_it_is_called() {
        let told = Told::read(CONSOLE);
        assert_eq!(told.recording, Some((5, 1)));
        assert_eq!(told.died.as_deref(), Some("panic: core 1: asked for"));
        let [first, second] = told.crashes.as_slice() else { panic!("{told:?}") };
        assert_eq!((first.boot, second.boot), (Some(3), Some(4)));
        assert_eq!((first.digest(0), first.digest(1)), (Some((0xbeef, 10)), Some((1, 5))));
        assert_eq!((first.has_digests(), second.has_digests()), (true, false));
        assert_eq!((first.verdict, second.verdict), (Some((15, true)), Some((0, false))));
        assert_eq!(first.row(1).map(|row| row.recovered), Some(5));
        assert!(second.row(1).is_none());
    }

    #[test]
    fn a_console_may_be_cut_anywhere() {
        for end in 0..CONSOLE.len() {
            Told::read(&CONSOLE[..end]);
            Told::read(&CONSOLE[end..]);
        }
    }
}
