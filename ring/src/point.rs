//! The named points of a writer's way at which a core may die: tests stop it there, and know what must survive.
//!
//! Each point lies between two steps that a crash can tell apart. What the next boot finds of an event whose writer died
//! at a point is told beside it; all events that were committed before survive in every case. Outside of tests reaching a
//! point costs nothing.

/// A place on a writer's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The level is taken, no place is claimed. The event was never there.
    Entered,
    /// Its place is claimed; the time of the next one is not known yet. Unfinished.
    Claimed,
    /// The first event of the next sub-buffer is claimed with it; neither the old one's end nor the new one's header is
    /// written. Unfinished.
    SwitchClaimed,
    /// The old sub-buffer ends in a mark. Unfinished.
    Ended,
    /// The new sub-buffer says whose it is. Unfinished.
    Opened,
    /// Time record, event header and common header are written. Unfinished.
    Headed,
    /// Its check is written. Recovered, beyond the commit word.
    Sealed,
    /// The commit word covers it. Recovered.
    Published,
    /// The next level may come. Recovered.
    Left,
}

impl Point {
    /// All of them, in the order in which a writer reaches them.
    pub const ALL: [Self; 9] = [
        Self::Entered,
        Self::Claimed,
        Self::SwitchClaimed,
        Self::Ended,
        Self::Opened,
        Self::Headed,
        Self::Sealed,
        Self::Published,
        Self::Left,
    ];
}

/// A writer is at a point.
#[cfg(not(feature = "fake"))]
#[inline(always)]
pub(crate) fn reach(_: Point) {}

/// A writer is at a point: whoever waits for it acts here and now.
#[cfg(feature = "fake")]
pub(crate) fn reach(point: Point) {
    crate::fake::interrupt::reach(point);
}
