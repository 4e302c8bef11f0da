//! The named points of a writer's way at which a core may die, and what the next boot then finds of its event: [`SURVIVES`].
//!
//! Each point lies between two steps that a crash can tell apart. All events that were committed before survive in every
//! case; the table is about the one event whose writer died, and about those of an interrupt that recorded at that very
//! point. Outside of tests reaching a point costs nothing.

/// A place on a writer's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The level is taken, no place is claimed.
    Entered,
    /// Its place is claimed; the time of the next one is not known yet.
    Claimed,
    /// The first event of the next sub-buffer is claimed with it; neither the old one's end nor the new one's header is
    /// written.
    SwitchClaimed,
    /// The old sub-buffer ends in a mark.
    Ended,
    /// The new sub-buffer says whose it is.
    Opened,
    /// Time record, event header and common header are written.
    Headed,
    /// Its check is written.
    Sealed,
    /// The commit word covers it, and what the mode promises to write back is in memory.
    Published,
    /// The next level may come.
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

/// What the next boot finds of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: no event, and none is missing in the account.
    Never,
    /// No event; the account says that one was unfinished.
    Unfinished,
    /// The event, behind what the commit word covers.
    BeyondCommit,
    /// The event, behind a gap: its time is uncertain.
    AfterGap,
    /// The event.
    Recovered,
}

/// How a core dies at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It is stopped in order: its writer is closed and written back.
    Stopped,
    /// The machine is reset on the spot, and all of the cache happens to be in memory.
    CacheKept,
    /// The machine is reset on the spot with [`CleanAt::Event`](crate::policy::CleanAt::Event), and nothing but what was
    /// cleaned is in memory.
    CacheLost,
}

/// What survives a death at a point.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Where the core dies.
    pub point: Point,
    /// How.
    pub death: Death,
    /// What becomes of its event.
    pub alone: Fate,
    /// What becomes of its event when an interrupt recorded another one just before the death.
    pub outer: Fate,
    /// What becomes of that other one, which was committed.
    pub nested: Fate,
}

const fn row(point: Point, death: Death, alone: Fate, outer: Fate, nested: Fate) -> Row {
    Row { point, death, alone, outer, nested }
}

use Death::{CacheKept, CacheLost, Stopped};
use Fate::{AfterGap, BeyondCommit, Never, Recovered, Unfinished};

/// What survives. Two things are worth a second look: a place that was claimed and left empty is noticed only by the stop's
/// counters or by an event behind it; and of a committed event inside one that is still being written, the outer one's
/// commit is what writes it back.
#[rustfmt::skip]
pub static SURVIVES: [Row; 27] = [
    //                                     alone         outer         nested
    row(Point::Entered,       Stopped,   Never,        Never,        BeyondCommit),
    row(Point::Entered,       CacheKept, Never,        Never,        BeyondCommit),
    row(Point::Entered,       CacheLost, Never,        Never,        Never),
    row(Point::Claimed,       Stopped,   Unfinished,   Unfinished,   AfterGap),
    row(Point::Claimed,       CacheKept, Never,        Unfinished,   AfterGap),
    row(Point::Claimed,       CacheLost, Never,        Never,        Never),
    row(Point::SwitchClaimed, Stopped,   Unfinished,   Unfinished,   AfterGap),
    row(Point::SwitchClaimed, CacheKept, Never,        Unfinished,   AfterGap),
    row(Point::SwitchClaimed, CacheLost, Never,        Never,        Never),
    row(Point::Ended,         Stopped,   Unfinished,   Unfinished,   AfterGap),
    row(Point::Ended,         CacheKept, Never,        Unfinished,   AfterGap),
    row(Point::Ended,         CacheLost, Never,        Never,        Never),
    row(Point::Opened,        Stopped,   Unfinished,   Unfinished,   AfterGap),
    row(Point::Opened,        CacheKept, Never,        Unfinished,   AfterGap),
    row(Point::Opened,        CacheLost, Never,        Never,        Never),
    row(Point::Headed,        Stopped,   Unfinished,   Unfinished,   AfterGap),
    row(Point::Headed,        CacheKept, Never,        Unfinished,   AfterGap),
    row(Point::Headed,        CacheLost, Never,        Never,        Never),
    row(Point::Sealed,        Stopped,   BeyondCommit, BeyondCommit, BeyondCommit),
    row(Point::Sealed,        CacheKept, BeyondCommit, BeyondCommit, BeyondCommit),
    row(Point::Sealed,        CacheLost, Never,        Never,        Never),
    row(Point::Published,     Stopped,   Recovered,    Recovered,    BeyondCommit),
    row(Point::Published,     CacheKept, Recovered,    Recovered,    BeyondCommit),
    row(Point::Published,     CacheLost, Recovered,    Recovered,    Never),
    row(Point::Left,          Stopped,   Recovered,    Recovered,    Recovered),
    row(Point::Left,          CacheKept, Recovered,    Recovered,    Recovered),
    row(Point::Left,          CacheLost, Recovered,    Recovered,    Recovered),
];

/// A writer is at a point.
#[cfg(not(feature = "fake"))]
#[inline(always)]
pub(crate) fn reach(_: Point) {}

/// A writer is at a point: whoever waits for it acts here and now.
#[cfg(feature = "fake")]
pub(crate) fn reach(point: Point) {
    crate::fake::interrupt::reach(point);
}
