//! When the plugin itself resets the machine: operations are counted from the arming on, in each boot anew.

use crate::chance::Chance;
use crate::options::Options;
use crate::report::{Access, Cause, Operation};

/// The chance that decides where in a boot an instant is.
const INSTANT: u64 = 4;

/// Counts the operations of a boot.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// Without an arming instruction each boot is armed from its beginning.
    needs_arming: bool,
    armed: bool,
    ordinal: u64,
    when: When,
    fired: bool,
    seed: u64,
    boot: u64,
}

#[derive(Clone, Copy, Debug)]
enum When {
    Never,
    /// At this one; the next time so many further.
    Point {
        at: u64,
        step: u64,
    },
    Instant {
        min: u64,
        max: u64,
    },
}

impl Trigger {
    /// As the options say.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let when = match (options.point, options.instant) {
            (Some(at), _) => When::Point { at, step: options.step },
            (None, Some((min, max))) => When::Instant { min, max },
            (None, None) => When::Never,
        };
        let needs_arming = options.arm.is_some();
        Self { needs_arming, armed: !needs_arming, ordinal: 0, when, fired: false, seed: options.seed, boot: 1 }
    }

    /// A core executes the arming instruction.
    pub fn arm(&mut self) {
        self.armed = true;
    }

    /// Whether operations are counted.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.armed
    }

    /// A core stores, cleans or completes its cleans. Returns why there must be a reset now.
    pub fn operation(&mut self, access: Access, core: u32, pc: u64, address: u64) -> Option<Cause> {
        if !self.armed || self.fired {
            return None;
        }
        self.ordinal += 1;
        let operation = Operation { ordinal: self.ordinal, access, core, pc, address };
        let (at, cause) = match self.when {
            When::Never => return None,
            When::Point { at, .. } => (at, Cause::Point(operation)),
            When::Instant { min, max } => {
                let spread = Chance::new(self.seed, self.boot).below(INSTANT, 0, max - min + 1);
                (min + spread, Cause::Instant(operation))
            }
        };
        self.fired = self.ordinal >= at;
        self.fired.then_some(cause)
    }

    /// The machine has been reset. A point that did not come is waited for again.
    pub fn next_boot(&mut self) {
        if let When::Point { at, step } = &mut self.when
            && self.fired
        {
            *at += *step;
        }
        self.armed = !self.needs_arming;
        self.ordinal = 0;
        self.fired = false;
        self.boot += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { ram: "/r".into(), range: (0, 64), ..Options::default() }
    }

    /// At which operation of so many a boot is reset.
    fn fires(trigger: &mut Trigger, operations: u64) -> Option<u64> {
        (1..=operations).find(|_| trigger.operation(Access::Store, 0, 0, 0).is_some())
    }

    #[test]
    fn points_come_one_after_the_other_until_a_boot_is_shorter() {
        let mut trigger = Trigger::new(&Options { point: Some(2), step: 3, ..options() });
        let mut seen = vec![];
        for _ in 0..4 {
            seen.push(fires(&mut trigger, 9));
            trigger.next_boot();
        }
        assert_eq!(seen, [Some(2), Some(5), Some(8), None]);
        assert_eq!(fires(&mut trigger, 20), Some(11), "one that did not come is waited for again");
    }

    #[test]
    fn nothing_is_counted_before_the_arming_or_behind_the_reset() {
        let mut trigger = Trigger::new(&Options { point: Some(1), arm: Some(8), ..options() });
        assert_eq!(fires(&mut trigger, 9), None);
        trigger.arm();
        let first = trigger.operation(Access::Clean, 3, 4, 5);
        let operation = Operation { ordinal: 1, access: Access::Clean, core: 3, pc: 4, address: 5 };
        assert_eq!(first, Some(Cause::Point(operation)));
        assert_eq!(fires(&mut trigger, 9), None, "the reset is on its way");
        trigger.next_boot();
        assert!(!trigger.is_armed());
    }

    #[test]
    fn instants_are_spread_over_their_range_and_can_be_had_again() {
        let run = || {
            let mut trigger = Trigger::new(&Options { instant: Some((10, 19)), ..options() });
            (0..200)
                .map(|_| {
                    let at = fires(&mut trigger, 100).unwrap();
                    trigger.next_boot();
                    at
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        for at in 10..20 {
            assert!(run().contains(&at), "{at}");
        }
        assert!(run().iter().all(|at| (10..20).contains(at)));
    }
}
