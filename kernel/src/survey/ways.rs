//! The ways to reset that are surveyed, and sets of them.

use boards::ResetWay;

/// A way to reset that is surveyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One of the board's.
    Board(ResetWay),
    /// The panic, which cleans what was recorded, and then asks for the board's first way.
    Panic,
}

impl Way {
    /// How many there are.
    pub const COUNT: usize = 4;
    /// All of them, in the order of their numbers in memory.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Board(ResetWay::PsciWarm), Self::Board(ResetWay::Psci), Self::Board(ResetWay::Watchdog), Self::Panic];
    /// Their words on the command line, in the same order.
    pub const WORDS: [&str; Self::COUNT] = ["psci-warm", "psci", "watchdog", "panic"];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Board(way) => way.name(),
            Self::Panic => "panic",
        }
    }
}

/// Some of the ways: bit n is [`Way::ALL`]`[n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways(u8);

impl Ways {
    /// No way.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self((1 << Way::COUNT) - 1);

    /// Those of these bits; bits of no way are left out.
    #[must_use]
    pub const fn of(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// As bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether way number `number` is one of them.
    #[must_use]
    pub const fn has(self, number: usize) -> bool {
        self.0 >> number & 1 == 1
    }
}
