//! Events and losses, as they follow each other on one core.

use std::borrow::Cow;

/// An event that can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The core that recorded it.
    pub core: u32,
    /// The sub-buffer in which it stands, counted from the core's first.
    pub page: u64,
    /// Byte of the sub-buffer at which it begins, a time record before it included.
    pub at: u32,
    /// When, in nanoseconds of the trace's clock.
    pub time_ns: u64,
    /// The time follows from records that all verify.
    pub time_is_certain: bool,
    /// The commit word did not know of it: recovered from behind it.
    pub beyond_commit: bool,
    /// The first one behind a loss in its sub-buffer.
    pub after_loss: bool,
    /// What kind of event: an id of the trace's [`Schema`](crate::Schema), or one that nobody described.
    pub id: u16,
    /// The common header's flags byte.
    pub flags: u8,
    /// The common header's preempt count (Linux), or how many events it interrupted (ours).
    pub nesting: u8,
    /// The common header's pid.
    pub pid: i32,
    /// What stands behind the common header: the fields, with zeros up to a multiple of 4.
    pub payload: &'a [u8],
}

/// Why something is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossKind {
    /// Older bytes stand where newer ones were written: lines that never reached memory.
    Stale,
    /// The bytes are nobody's: flipped, overwritten by somebody else, or noise.
    Flipped,
    /// It was being written when the core was stopped.
    Unfinished,
    /// A whole sub-buffer cannot be read.
    Page,
    /// The writer itself said that it had to drop events.
    Missed,
}

impl LossKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Stale, Self::Flipped, Self::Unfinished, Self::Page, Self::Missed];
    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Flipped => "flipped",
            Self::Unfinished => "unfinished",
            Self::Page => "page",
            Self::Missed => "missed",
        }
    }
    /// Whether something that was recorded is gone, rather than never having been recorded whole.
    #[must_use]
    pub const fn is_damage(self) -> bool {
        matches!(self, Self::Stale | Self::Flipped | Self::Page)
    }
}

/// A place where events are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss<'a> {
    /// The core.
    pub core: u32,
    /// The sub-buffer.
    pub page: u64,
    /// First byte of the sub-buffer that is lost, and the one behind the last; equal if nothing of it is.
    pub bytes: (u32, u32),
    /// Why.
    pub kind: LossKind,
    /// How many events, if that is known; at least one otherwise.
    pub events: Option<u64>,
    /// Not before this time: that of the event before it, or of its sub-buffer. Nanoseconds.
    pub time_ns: u64,
    /// The same in words, printable ASCII.
    pub what: Cow<'a, str>,
}

/// What a core left, one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An event.
    Event(Event<'a>),
    /// A loss.
    Loss(Loss<'a>),
}

impl Item<'_> {
    /// When: a loss comes behind the event before it.
    #[must_use]
    pub fn time_ns(&self) -> u64 {
        match self {
            Self::Event(event) => event.time_ns,
            Self::Loss(loss) => loss.time_ns,
        }
    }
    /// Whose.
    #[must_use]
    pub fn core(&self) -> u32 {
        match self {
            Self::Event(event) => event.core,
            Self::Loss(loss) => loss.core,
        }
    }
}

/// A sub-buffer as it stands in the region: time stamp u64, commit word u64, then Linux's encoding of events.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    /// Its number, counted from the core's first. A gap between two is a page that is missing.
    pub sequence: u64,
    /// The whole sub-buffer.
    pub bytes: &'a [u8],
    /// Bytes of events from byte 16 on: what the commit word should say.
    pub data: u32,
    /// All of that is events that can be believed, and the time stamp before it is theirs: it can be copied as it is. If
    /// not, `items` tell what is.
    pub whole: bool,
    /// Events are missing between the page before and this one: how many, 0 if that is not known.
    pub missed: Option<u64>,
    /// The events and losses of a page that is not whole.
    pub items: Vec<Item<'a>>,
}
