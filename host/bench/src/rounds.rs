//! How a figure comes about.
//!
//! Harnesses measure one thing after the other, so that whatever else the machine did meanwhile falls on one of them. Here
//! all contenders take turns: one round is a batch of each, in an order that moves on from round to round; a batch lasts
//! milliseconds, so its clock readings cost nothing; a figure is the median of at least 21 rounds, with the best and the
//! worst. A ratio is the median of each round's own ratio, so that what slowed a whole round down falls out of it; beside
//! it stands the ratio of the best batches, which come nearest to a machine that does nothing else.
//!
//! Batches on one thread are measured in that thread's own processor time: what it waits for a processor does not count.
//! Still, who shares a core with us slows us down; hardly the floor, most of whose time is one slow instruction.

use anyhow::{Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Events before the first that count: they go through any buffer of 1 MiB, so that each of its pages is there.
const WARM_UP: u64 = 1 << 16;
/// More than any batch has.
const EVENTS_MAX: u64 = 1 << 40;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Rounds; an odd number.
    pub(crate) rounds: usize,
    /// How long one batch takes.
    pub(crate) batch: Duration,
    /// Sizes of the regions that are recovered, in MiB, rising.
    pub(crate) recovered_mib: &'static [u64],
    /// How often each of them is recovered.
    pub(crate) recoveries: usize,
}

impl Plan {
    /// For figures.
    pub(crate) const FULL: Self =
        Self { rounds: 41, batch: Duration::from_millis(2), recovered_mib: &[1, 8, 64, 512], recoveries: 5 };
    /// To see that it runs.
    pub(crate) const QUICK: Self =
        Self { rounds: 3, batch: Duration::from_micros(200), recovered_mib: &[1, 8], recoveries: 1 };

    /// For the tables' reader.
    pub(crate) fn in_words(&self) -> String {
        format!("median of {} interleaved batches of {} us", self.rounds, self.batch.as_micros())
    }
}

/// What this thread has used of processors so far.
pub(crate) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Something that is measured: records so many events, and says how long that took.
pub(crate) struct Contender<'a> {
    run: Box<dyn FnMut(u64) -> Result<Duration> + 'a>,
}

impl<'a> Contender<'a> {
    /// One that measures itself.
    pub(crate) fn of(run: impl FnMut(u64) -> Result<Duration> + 'a) -> Self {
        Self { run: Box::new(run) }
    }

    /// One whose event is `record`.
    pub(crate) fn each(mut record: impl FnMut() + 'a) -> Self {
        Self::of(move |events| {
            let start = processor_time();
            for _ in 0..events {
                record();
            }
            Ok(processor_time() - start)
        })
    }

    /// How many events fill a batch.
    fn events_in(&mut self, batch: Duration) -> Result<u64> {
        (self.run)(WARM_UP)?;
        let mut events = 64;
        loop {
            let taken = (self.run)(events)?;
            if taken * 2 >= batch {
                return Ok(((events as f64 * batch.as_secs_f64() / taken.as_secs_f64()) as u64).max(1));
            }
            ensure!(events < EVENTS_MAX, "{events} events take no time");
            events *= 2;
        }
    }
}

/// What a contender took in each round, in nanoseconds per event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure(Vec<f64>);

impl Figure {
    pub(crate) fn new(rounds: Vec<f64>) -> Self {
        assert!(!rounds.is_empty());
        Self(rounds)
    }
    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
    /// The smallest.
    pub(crate) fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }
    /// The largest.
    pub(crate) fn max(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }
    /// This by another: the middle of all rounds' ratios.
    pub(crate) fn by(&self, other: &Self) -> f64 {
        Self::new(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect()).median()
    }
}

/// Measures all of them, by turns.
pub(crate) fn interleaved(plan: &Plan, contenders: &mut [Contender<'_>]) -> Result<Vec<Figure>> {
    let mut events = Vec::new();
    for contender in contenders.iter_mut() {
        events.push(contender.events_in(plan.batch)?);
    }
    let mut figures = vec![Vec::new(); contenders.len()];
    for round in 0..plan.rounds {
        for turn in 0..contenders.len() {
            let i = (round + turn) % contenders.len();
            let taken = (contenders[i].run)(events[i])?;
            figures[i].push(taken.as_secs_f64() * 1e9 / events[i] as f64);
        }
    }
    Ok(figures.into_iter().map(Figure::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn a_batch_is_as_long_as_the_plan_says() {
        let mut batches = Vec::new();
        let mut contender = Contender::of(|events| {
            batches.push(events);
            Ok(Duration::from_nanos(50 * events))
        });
        assert_eq!(contender.events_in(Duration::from_millis(1)).unwrap(), 20_000);
        drop(contender);
        assert_eq!(batches[0], WARM_UP);
    }

    #[test]
    fn contenders_take_turns_and_the_first_of_a_round_is_another_each_time() {
        let turns = RefCell::new(Vec::new());
        let contender = |name: char| {
            let turns = &turns;
            Contender::of(move |events| {
                turns.borrow_mut().push(name);
                Ok(Duration::from_nanos(events * 1000))
            })
        };
        let plan = Plan { rounds: 3, batch: Duration::from_micros(32), ..Plan::QUICK };
        interleaved(&plan, &mut [contender('a'), contender('b'), contender('c')]).unwrap();
        // Two calls of each warm it up and find the size of its batch.
        assert_eq!(turns.borrow().iter().collect::<String>(), "aabbcc abc bca cab".replace(' ', ""));
    }

    #[test]
    fn what_slows_a_whole_round_down_falls_out_of_the_ratio() {
        let (ours, floor) = (Figure::new(vec![15.0, 150.0, 16.0]), Figure::new(vec![10.0, 100.0, 10.0]));
        assert_eq!(ours.by(&floor), 1.5);
    }

    #[test]
    fn the_middle_of_a_figure_is_not_moved_by_one_bad_round() {
        let figure = Figure::new(vec![10.0, 11.0, 900.0, 9.0, 10.5]);
        assert_eq!((figure.median(), figure.min(), figure.max()), (10.5, 9.0, 900.0));
    }
}
