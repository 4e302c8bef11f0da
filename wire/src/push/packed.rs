//! A chunk as it comes over the line, packed by the coder of the dump ([`crate::coder`]), byte by byte.
//!
//! What a byte will be is learnt twice: from its place in an instruction of four bytes, and from that and the byte before.

use crate::coder::{Chance, Coder, Decoder, Encoder};

/// Places in an instruction.
const PLACES: usize = 4;
/// Values of a byte; also the chances of its bits, by those before them, of which the first is not used.
const VALUES: usize = 256;

/// What is known of the bytes of a chunk; anew for each, so that each is read without the others.
#[derive(Debug)]
pub struct Model {
    by_place: [[Chance; VALUES]; PLACES],
    by_byte_before: [[[Chance; VALUES]; VALUES]; PLACES],
}

impl Default for Model {
    fn default() -> Self {
        Self::NEW
    }
}

impl Model {
    /// One that knows nothing: all zeros.
    pub const NEW: Self =
        Self { by_place: [[Chance::EVEN; VALUES]; PLACES], by_byte_before: [[[Chance::EVEN; VALUES]; VALUES]; PLACES] };

    fn forget(&mut self) {
        self.by_place.as_flattened_mut().fill(Chance::EVEN);
        self.by_byte_before.as_flattened_mut().as_flattened_mut().fill(Chance::EVEN);
    }

    /// Codes the byte at this place of a chunk.
    fn byte(&mut self, coder: &mut impl Coder, at: usize, before: u8, byte: u8) -> u8 {
        let place = at % PLACES;
        let one = &mut self.by_byte_before[place][usize::from(before)];
        let other = &mut self.by_place[place];
        // The bits of the byte so far, below a one.
        let read = (0..8).rev().fold(1_u8, |so_far, bit| {
            let chances = usize::from(so_far);
            so_far << 1 | u8::from(coder.surer(&mut one[chances], &mut other[chances], byte >> bit & 1 == 1))
        });
        // The one has left at the top.
        read
    }

    /// Packs a chunk. Bytes that `out` needs; `None` where it is too small.
    pub fn pack(&mut self, chunk: &[u8], out: &mut [u8]) -> Option<usize> {
        self.forget();
        let mut coder = Encoder::new(out);
        let mut before = 0;
        for (at, byte) in chunk.iter().enumerate() {
            before = self.byte(&mut coder, at, before, *byte);
        }
        coder.finish()
    }

    /// Unpacks bytes until `out` is full, whatever they are: so many steps as `out` has bits, and a check has to tell whether that
    /// is a chunk.
    pub fn unpack(&mut self, packed: &[u8], out: &mut [u8]) {
        self.forget();
        let mut coder = Decoder::new(packed);
        let mut before = 0;
        for (at, byte) in out.iter_mut().enumerate() {
            before = self.byte(&mut coder, at, before, 0);
            *byte = before;
        }
    }
}
