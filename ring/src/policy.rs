//! What a ring is told to do (when it is full, when it cleans), and the causes for which it refuses an event.

/// Why an event was refused. Each refusal is counted by its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// As wide as a register: beside a narrower one the compiler copies a slot byte by byte.
#[repr(u64)]
pub enum Refused {
    /// Its fields exceed [`FIELDS_MAX`](crate::format::FIELDS_MAX).
    TooLarge = 0,
    /// Four levels are already writing.
    Nested = 1,
    /// The recorder is off: stopped for a panic, or not begun.
    Stopped = 2,
    /// The ring is full and keeps the oldest (`full=drop`).
    Full = 3,
    /// Nested writers came round to the sub-buffer of the event that they interrupted.
    Overrun = 4,
    /// Interrupts recorded in between too often.
    Interrupted = 5,
    /// Reserved, then discarded by its own writer. Not an error: counted here so that nothing is missing from the sum.
    Discarded = 6,
}

impl Refused {
    /// All causes, in the order in which they are counted.
    pub const ALL: [Self; 7] =
        [Self::TooLarge, Self::Nested, Self::Stopped, Self::Full, Self::Overrun, Self::Interrupted, Self::Discarded];

    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too large",
            Self::Nested => "nested too deep",
            Self::Stopped => "recorder stopped",
            Self::Full => "ring full",
            Self::Overrun => "overrun by nested",
            Self::Interrupted => "interrupted too often",
            Self::Discarded => "discarded",
        }
    }
}

/// What happens when the ring is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest sub-buffer is overwritten.
    #[default]
    Overwrite,
    /// New events are refused.
    Drop,
}

/// How much a reset without a panic may lose: when lines are written back. Each promise holds from the moment at which the
/// outermost `record()` or `commit()` returns: its last instruction but a few is the barrier that completes its cleans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CleanAt {
    /// Everything of this boot: nothing is written back before a panic.
    #[default]
    Panic,
    /// The open sub-buffer of each core: whoever goes over the end of one writes it back.
    SubBuffer,
    /// The event that each core is writing, and what interrupted it.
    Event,
}

/// How a ring behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// What happens when it is full.
    pub when_full: WhenFull,
    /// When lines are written back.
    pub clean_at: CleanAt,
}
