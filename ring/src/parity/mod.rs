//! Optional repair: Reed-Solomon parity for each sub-buffer, written when it is closed, used by the next boot.
//!
//! What a crash damages is the cache line: one that never reached memory, one whose bits flipped. So the code runs across
//! the lines. Byte `j` of each of a sub-buffer's 64 lines, one below the other, is a word of 64 bytes; `p` more bytes make
//! it a codeword; all 64 of them make `p` parity lines:
//!
//! ```text
//!              byte 0   1   2  ...  63
//!   line 0       |    |   |        |        data: the sub-buffer as it stands, header and tag included
//!   ...          |    |   |        |
//!   line 63      |    |   |        |
//!   parity 0     |    |   |        |        in the bank's tail, behind the checked line that says of which
//!   ...          |    |   |        |        sub-buffer they are and what the check of all its bytes was
//!   parity p-1   v    v   v        v
//! ```
//!
//! Since the 64 codewords share their lines, the places of lost lines are found from all of them together: up to `p` - 1
//! lines, wherever they are, unless what happened to one is a sum of what happened to others (the same bits flipped in
//! each byte of all of them). Where that finds nothing, each codeword is decoded for itself: always up to `p` / 2 bytes in
//! each, in any lines ([`code`]). A lost parity line counts like a lost line. The check of the whole sub-buffer decides: a
//! correction that does not lead back to the very bytes that were covered is taken back, and reported ([`repair`]).
//!
//! Off unless the geometry says otherwise; then a sub-buffer costs its writer one division (`code::parity_of`) when it is
//! closed, and an event costs nothing.
//!
//! Why our own code, and not a crate: `reed-solomon` (0.2.1, January 2018) is the only one on crates.io that is `no_std`,
//! does not allocate and corrects errors at unknown places; it decodes one codeword at a time, which halves what can be
//! repaired, and copies 280-byte polynomials for each (ten times the time of [`code`] for a sub-buffer). The maintained
//! ones (`reed-solomon-simd`, `reed-solomon-erasure`) allocate and must be told which lines are bad. The code itself is
//! the usual one, and tests hold it against that crate: it decodes what we encode.

pub mod code;
mod repair;
mod write;

use crate::check::{Crc32c, seed};
use crate::format::{Geometry, domain};
use crate::line::{Line, LineSeed};
use crate::seams::Memory;

pub use repair::{Repaired, repair};
pub(crate) use write::{clean, cover};

/// The numbers of parity lines per sub-buffer that there are, off first.
pub const CHOICES: [u32; 4] = [0, 2, 4, 8];

/// What the checked line before a sub-buffer's parity says.
///
/// Line: sequence u64, parity lines u32, check u32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cover {
    /// The sub-buffer that it covers.
    sequence: u64,
    /// How many parity lines follow.
    lines: u32,
    /// Over the sub-buffer's 4096 bytes as they were: [`start`], then all of them.
    check: u32,
}

impl Cover {
    fn store<M: Memory>(&self, memory: &M, bank: u64, geometry: &Geometry, boot_id: u32, core: u32) {
        let number = geometry.parity_line(core, self.sequence);
        let line = Line::default().u64(self.sequence).u32(self.lines).u32(self.check);
        line.store(memory, bank + geometry.tail(number), LineSeed::new(boot_id, domain::TAIL), number, 0);
    }

    /// What stands at the place of a sequence number; `None` where it does not verify for this boot, or cannot be.
    fn load(bank: &[u8], geometry: &Geometry, boot_id: u32, core: u32, sequence: u64) -> Option<Self> {
        let number = geometry.parity_line(core, sequence);
        let (mut line, _) = Line::load(bank, geometry.tail(number), LineSeed::new(boot_id, domain::TAIL), number)?;
        let cover = Self { sequence: line.take_u64(), lines: line.take_u32(), check: line.take_u32() };
        let ring = geometry.ring();
        let fits = cover.lines == geometry.parity && cover.sequence % ring == sequence % ring;
        (fits && cover.sequence <= crate::position::SEQUENCE_MAX).then_some(cover)
    }
}

/// What the check of a whole sub-buffer starts from.
fn start<C: Crc32c>(crc: C, boot_id: u32, core: u32, sequence: u64) -> u32 {
    crc.u64(seed(boot_id, core as u16), sequence)
}

/// Whether the checked line of a sub-buffer of a bank stands where this geometry puts it: a witness for a guess at the
/// number of parity lines.
#[must_use]
pub(crate) fn is_witness(bank: &[u8], geometry: &Geometry, boot_id: u32, core: u32, sequence: u64) -> bool {
    geometry.parity > 0 && Cover::load(bank, geometry, boot_id, core, sequence).is_some()
}
