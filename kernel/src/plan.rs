//! What this boot does, decided from what the region holds and what the command line says. Pure, so that it can be tested.

use ring::region::{Found, Header};

/// What was found in the region, as far as the life of the system depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Banks with crashes that nobody has seen are shown, and acknowledged if wished.
    pub dump: bool,
    /// The workload runs, and ends as the command line says.
    pub record: bool,
    /// Nothing is recorded in this boot: every bank holds a crash, and `keep=first` protects them.
    pub recorder_off: bool,
}

/// Decides. `header` is the region's before this boot counted itself; `cycles` of boots record and die, then one only dumps.
#[must_use]
pub fn plan(header: &Header, cycles: u64, keep_first: bool) -> Plan {
    let (_, all_banks_hold_crashes) = header.next_bank();
    Plan {
        dump: header.crashes().next().is_some(),
        record: header.boot < cycles,
        recorder_off: all_banks_hold_crashes && keep_first,
    }
}

/// The region's state in words, for the first message about it: an absence always has a reason.
#[derive(Debug)]
pub struct Absence<'a>(pub &'a Found);

impl core::fmt::Display for Absence<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Found::Valid(header) if header.boot == 1 => f.write_str("1 boot before this one"),
            Found::Valid(header) => write!(f, "{} boots before this one", header.boot),
            Found::Cold { filled_with: Some(0) } => {
                f.write_str("cold: no signature (it reads as zeros: a first boot, or firmware cleared it)")
            }
            Found::Cold { filled_with: Some(byte) } => {
                write!(f, "cold: no signature (it is filled with {byte:#04x}: firmware cleared it)")
            }
            Found::Cold { filled_with: None } => {
                f.write_str("cold: no signature (noise: RAM lost its content, or was never ours)")
            }
            Found::OtherVersion(version) => {
                write!(
                    f,
                    "it holds format version {version}, this kernel writes {}: formatted anew",
                    ring::format::VERSION
                )
            }
            Found::OtherGeometry { region_size, banks, cores } => write!(
                f,
                "it was written for another geometry ({} KiB, {banks} banks, {cores} cores): formatted anew",
                region_size >> 10
            ),
            Found::Scanned { tags, .. } => {
                write!(f, "both headers are invalid: recovered by scan ({tags} sub-buffers say who they are)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::format::Geometry;
    use ring::records::BankState;

    fn header(boot: u64, crashes: usize) -> Header {
        let mut header = Header::new(Geometry::new(8 << 20, 4, 4).unwrap());
        header.boot = boot;
        for (i, bank) in header.banks.iter_mut().take(crashes).enumerate() {
            bank.state = BankState::Panicked;
            bank.boot = i as u64 + 1;
        }
        header
    }

    #[test]
    fn the_first_boot_records_and_the_second_dumps() {
        assert_eq!(plan(&header(0, 0), 1, false), Plan { dump: false, record: true, recorder_off: false });
        assert_eq!(plan(&header(1, 1), 1, false), Plan { dump: true, record: false, recorder_off: false });
    }

    #[test]
    fn in_a_loop_each_boot_dumps_and_records() {
        assert_eq!(plan(&header(5, 1), 100, false), Plan { dump: true, record: true, recorder_off: false });
    }

    #[test]
    fn with_keep_first_full_banks_are_not_recorded_over() {
        assert!(plan(&header(4, 4), 9, true).recorder_off);
        assert!(!plan(&header(4, 4), 9, false).recorder_off);
        assert!(!plan(&header(3, 3), 9, true).recorder_off);
    }
}
