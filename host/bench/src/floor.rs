//! The floor: what any recorder must do. It reads the counter, writes an eight-byte header that holds the time, copies the
//! payload into a circular array, and remembers where the next one goes. No check, no commit, nothing that nests.

use crate::clock::ticks;

/// A circular array of 1 MiB.
pub(crate) struct Floor {
    array: Box<[u8]>,
    at: usize,
}

const HEADER: usize = 8;

impl Floor {
    /// Every page has been touched.
    pub(crate) fn new(size: usize) -> Self {
        Self { array: vec![0xff; size].into_boxed_slice(), at: 0 }
    }

    /// Inlined: a payload of constant size is copied by moves, one of any size by `memcpy`, as the compiler sees fit.
    #[inline(always)]
    pub(crate) fn record<T: Copy>(&mut self, payload: &[T]) {
        let size = HEADER + size_of_val(payload);
        // Events do not lie across the end, as in the ring.
        let at = if self.at + size <= self.array.len() { self.at } else { 0 };
        assert!(size <= self.array.len());
        // SAFETY: at + size is inside the array, by the two lines above; the payload lies elsewhere, as the array is ours.
        unsafe {
            let to = self.array.as_mut_ptr().add(at);
            to.cast::<u64>().write_unaligned(ticks());
            to.add(HEADER).copy_from_nonoverlapping(payload.as_ptr().cast(), size_of_val(payload));
        }
        self.at = at + size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_writes_every_event_and_wraps_before_the_end() {
        let mut floor = Floor::new(100);
        for event in 0..5u8 {
            floor.record(&[event; 16]);
        }
        // Four events of 24 bytes fit; the fifth stands where the first was, and no byte behind the fourth was touched.
        assert_eq!(floor.array[HEADER..24], [4; 16]);
        for event in 1..4 {
            assert_eq!(floor.array[24 * event + HEADER..24 * (event + 1)], [event as u8; 16]);
        }
        assert_eq!(floor.array[96..], [0xff; 4]);
        let time = |event: usize| u64::from_le_bytes(*floor.array[24 * event..].first_chunk().unwrap());
        assert!(time(1) <= time(2) && time(2) <= time(3) && time(3) <= time(0));
    }
}
