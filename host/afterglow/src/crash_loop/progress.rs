//! How far it is: a bar where somebody looks, a line now and then where a log is kept.

use crate::progress;
use indicatif::ProgressBar;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a log is told.
const EVERY: Duration = Duration::from_secs(10);

/// Counts crashes as they come.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    expected: Option<u64>,
    crashes: AtomicU64,
    bad: AtomicU64,
    begin: Instant,
    told: Mutex<Instant>,
}

impl Progress {
    /// Of so many crashes, if that is known.
    pub(crate) fn new(expected: Option<u64>) -> Self {
        let bar = progress::is_watched().then(|| {
            let template = match expected {
                Some(_) => "{wide_bar} {pos} of {len} crashes, {per_sec}, {msg}, {eta} left",
                None => "{spinner} {pos} crashes, {per_sec}, {msg}, {elapsed}",
            };
            let bar = progress::bar(expected, template);
            bar.set_message("0 bad");
            bar
        });
        let now = Instant::now();
        Self { bar, expected, crashes: AtomicU64::new(0), bad: AtomicU64::new(0), begin: now, told: Mutex::new(now) }
    }

    /// One more.
    pub(crate) fn crash(&self, is_bad: bool) {
        let crashes = self.crashes.fetch_add(1, Ordering::Relaxed) + 1;
        let bad = self.bad.fetch_add(u64::from(is_bad), Ordering::Relaxed) + u64::from(is_bad);
        if let Some(bar) = &self.bar {
            bar.set_position(crashes);
            if is_bad {
                bar.set_message(format!("{bad} bad"));
            }
        } else if let Ok(mut told) = self.told.try_lock()
            && told.elapsed() >= EVERY
        {
            *told = Instant::now();
            eprintln!("{}", line(crashes, self.expected, bad, self.begin.elapsed()));
        }
    }

    /// No more.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line for a log.
fn line(crashes: u64, expected: Option<u64>, bad: u64, time: Duration) -> String {
    let of = expected.map_or(String::new(), |expected| format!(" of {expected}"));
    let rate = crashes as f64 / time.as_secs_f64().max(0.001);
    format!("loop: {crashes}{of} crashes, {bad} bad, {} s, {rate:.0} a second", time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_told_in_plain_words() {
        let text = line(300, Some(1000), 1, Duration::from_secs(10));
        assert_eq!(text, "loop: 300 of 1000 crashes, 1 bad, 10 s, 30 a second");
        assert_eq!(line(1, None, 0, Duration::ZERO), "loop: 1 crashes, 0 bad, 0 s, 1000 a second");
    }
}
