//! Resetting the machine so that memory is kept: the board's ways, tried in order, each failure told.

use core::fmt;

use arch::psci;

use crate::watchdog;

/// A way to reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetWay {
    /// PSCI SYSTEM_RESET2, architectural warm reset.
    PsciWarm,
    /// PSCI SYSTEM_RESET.
    Psci,
    /// The machine's watchdog.
    Watchdog,
}

impl ResetWay {
    /// Its name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ResetWay::PsciWarm => "PSCI SYSTEM_RESET2 warm",
            ResetWay::Psci => "PSCI SYSTEM_RESET",
            ResetWay::Watchdog => "watchdog",
        }
    }
}

impl fmt::Display for ResetWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a way was not taken, or did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetError {
    /// The machine does not offer it.
    NotOffered,
    /// The firmware was asked and came back.
    Refused(psci::Error),
    /// It was told to, and nothing happened.
    NoEffect,
}

impl fmt::Display for ResetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResetError::NotOffered => f.write_str("not offered"),
            ResetError::Refused(error) => write!(f, "refused: {error}"),
            ResetError::NoEffect => f.write_str("nothing happened"),
        }
    }
}

/// The firmware, or a fake of it.
pub trait Firmware {
    /// Whether it has SYSTEM_RESET2.
    fn has_reset2(&self) -> bool;
    /// SYSTEM_RESET2, architectural warm reset. Returns only if that failed.
    fn reset2_warm(&self) -> psci::Error;
    /// SYSTEM_RESET. Returns only if that failed.
    fn reset(&self) -> psci::Error;
}

#[cfg(target_os = "none")]
impl Firmware for psci::Psci {
    fn has_reset2(&self) -> bool {
        psci::Psci::has_reset2(*self)
    }

    fn reset2_warm(&self) -> psci::Error {
        self.system_reset2_warm()
    }

    fn reset(&self) -> psci::Error {
        self.system_reset()
    }
}

/// Which way [`reset`] is going to ask first, for the last words before it does.
#[must_use]
pub fn first_offered(ways: &[ResetWay], firmware: Option<&dyn Firmware>) -> Option<ResetWay> {
    ways.iter().copied().find(|way| is_offered(*way, firmware))
}

fn is_offered(way: ResetWay, firmware: Option<&dyn Firmware>) -> bool {
    match way {
        ResetWay::PsciWarm => firmware.is_some_and(Firmware::has_reset2),
        ResetWay::Psci => firmware.is_some(),
        ResetWay::Watchdog => watchdog::found().is_some(),
    }
}

/// Resets the machine. Returns only when every way failed, after each was told to `failed`. Takes no lock and
/// waits for nobody.
pub fn reset(ways: &[ResetWay], firmware: Option<&dyn Firmware>, mut failed: impl FnMut(ResetWay, ResetError)) {
    for &way in ways {
        let error = match (way, firmware) {
            _ if !is_offered(way, firmware) => ResetError::NotOffered,
            (ResetWay::PsciWarm, Some(firmware)) => ResetError::Refused(firmware.reset2_warm()),
            (ResetWay::Psci, Some(firmware)) => ResetError::Refused(firmware.reset()),
            _ => {
                watchdog::reset();
                ResetError::NoEffect
            }
        };
        failed(way, error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use psci::Error::{Denied, InternalFailure};
    use std::vec::Vec;

    struct Fake {
        has_reset2: bool,
    }

    impl Firmware for Fake {
        fn has_reset2(&self) -> bool {
            self.has_reset2
        }
        fn reset2_warm(&self) -> psci::Error {
            assert!(self.has_reset2, "asked for what is not offered");
            Denied
        }
        fn reset(&self) -> psci::Error {
            InternalFailure
        }
    }

    fn run(firmware: Option<&dyn Firmware>) -> Vec<(ResetWay, ResetError)> {
        let mut told = Vec::new();
        reset(&[ResetWay::PsciWarm, ResetWay::Psci], firmware, |way, error| told.push((way, error)));
        told
    }

    #[test]
    fn ways_are_tried_in_order_and_failures_told() {
        use ResetError::{NotOffered, Refused};
        use ResetWay::{Psci, PsciWarm};
        assert_eq!(
            run(Some(&Fake { has_reset2: true })),
            [(PsciWarm, Refused(Denied)), (Psci, Refused(InternalFailure))]
        );
        assert_eq!(run(Some(&Fake { has_reset2: false })), [(PsciWarm, NotOffered), (Psci, Refused(InternalFailure))]);
        assert_eq!(run(None), [(PsciWarm, NotOffered), (Psci, NotOffered)]);
    }

    #[test]
    fn the_last_words_name_the_way_that_is_asked_first() {
        let ways = [ResetWay::PsciWarm, ResetWay::Psci];
        assert_eq!(first_offered(&ways, Some(&Fake { has_reset2: true })), Some(ResetWay::PsciWarm));
        assert_eq!(first_offered(&ways, Some(&Fake { has_reset2: false })), Some(ResetWay::Psci));
        assert_eq!(first_offered(&ways, None), None);
    }
}
