//! Rings that others use for the same: each keeps a time stamp and the payload, the newest MiB of them.

use crate::clock::ticks;
use heapless::HistoryBuf;
use ringbuf::LocalRb;
use ringbuf::storage::Heap;

/// An event as they keep it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<const N: usize> {
    _time: u64,
    _payload: [u64; N],
}

impl<const N: usize> Entry<N> {
    #[inline(always)]
    fn now(payload: &[u64; N]) -> Self {
        Self { _time: ticks(), _payload: *payload }
    }
}

/// How many entries of `words` words a ring of so many bytes has.
pub(crate) const fn entries(size: usize, words: usize) -> usize {
    size / (8 + 8 * words)
}

/// heapless's history: overwrites the oldest by itself.
pub(crate) struct History<const N: usize, const ENTRIES: usize>(Box<HistoryBuf<Entry<N>, ENTRIES>>);

impl<const N: usize, const ENTRIES: usize> History<N, ENTRIES> {
    pub(crate) fn new() -> Self {
        Self(Box::new(HistoryBuf::new()))
    }
    #[inline(always)]
    pub(crate) fn record(&mut self, payload: &[u64; N]) {
        self.0.write(Entry::now(payload));
    }
}

/// rtrb: a queue between two threads. It overwrites nothing; the oldest is taken out where it is full.
pub(crate) struct Rtrb<const N: usize> {
    producer: rtrb::Producer<Entry<N>>,
    consumer: rtrb::Consumer<Entry<N>>,
}

impl<const N: usize> Rtrb<N> {
    pub(crate) fn new(entries: usize) -> Self {
        let (producer, consumer) = rtrb::RingBuffer::new(entries);
        Self { producer, consumer }
    }
    #[inline(always)]
    pub(crate) fn record(&mut self, payload: &[u64; N]) {
        if let Err(rtrb::PushError::Full(entry)) = self.producer.push(Entry::now(payload)) {
            let _ = self.consumer.pop();
            // There is room now: nobody else pushes.
            let _ = self.producer.push(entry);
        }
    }
}

/// ringbuf's ring of one thread, pushed so that it overwrites the oldest.
pub(crate) struct Ringbuf<const N: usize>(LocalRb<Heap<Entry<N>>>);

impl<const N: usize> Ringbuf<N> {
    pub(crate) fn new(entries: usize) -> Self {
        Self(LocalRb::new(entries))
    }
    #[inline(always)]
    pub(crate) fn record(&mut self, payload: &[u64; N]) {
        self.0.push_overwrite(Entry::now(payload));
    }
}
