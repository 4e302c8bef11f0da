//! Chance that can be had again: a number for each question, from the seed alone (splitmix64's mixing function).

/// Stirs all bits.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// All the chance of one reset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// That of the n-th reset under a seed.
    pub(crate) fn new(seed: u64, reset: u64) -> Self {
        Self(mixed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ mixed(reset)))
    }

    /// A number for a question about a place.
    pub(crate) fn number(self, question: u64, place: u64) -> u64 {
        mixed(self.0 ^ mixed(question << 56 ^ place))
    }

    /// Below `bound`, which is not 0.
    pub(crate) fn below(self, question: u64, place: u64, bound: u64) -> u64 {
        ((u128::from(self.number(question, place)) * u128::from(bound)) >> 64) as u64
    }
}
