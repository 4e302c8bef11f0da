//! The seams between the ring and the machine: traits with one real form (in the kernel) and one fake (`crate::fake`).

/// The region's bytes, for those who write them. Offsets are from the start of the region.
///
/// An implementation may rely on every access lying inside the region: the writer derives all places from a
/// [`Geometry`](crate::format::Geometry) of that region.
pub trait Memory {
    /// Reads a u32, at any alignment.
    fn load_u32(&self, at: u64) -> u32;
    /// Reads a u64, at any alignment.
    fn load_u64(&self, at: u64) -> u64;
    /// Writes a u32, at any alignment.
    fn store_u32(&self, at: u64, value: u32);
    /// Writes a u64, at any alignment.
    fn store_u64(&self, at: u64, value: u64);
    /// Writes bytes at a multiple of 4, and zeros up to the next one.
    #[inline(always)]
    fn store_bytes(&self, at: u64, bytes: &[u8]) {
        let mut to = at;
        let (words, _) = bytes.as_chunks::<8>();
        for word in words {
            self.store_u64(to, self.word(word));
            to += 8;
        }
        store_rest(self, to, bytes);
    }
    /// Reads a word of somebody else's bytes: for machines where the compiler would take it apart.
    #[inline(always)]
    fn word(&self, bytes: &[u8; 8]) -> u64 {
        u64::from_le_bytes(*bytes)
    }
    /// Writes an aligned u64 after everything that was written before it (release): pairs with a live reader's acquire.
    fn publish_u64(&self, at: u64, value: u64);
    /// The address that a Linux kernel would see at this offset.
    fn address(&self, at: u64) -> u64;
}

/// The region's bytes, for those who read them while they are written: another core's.
pub trait Observe {
    /// Reads a u32 at a multiple of 4, whole: relaxed.
    fn observe_u32(&self, at: u64) -> u32;
    /// Reads a u64 at a multiple of 8, and after it everything that was written before it: acquire, pairs with
    /// [`Memory::publish_u64`].
    fn observe_u64(&self, at: u64) -> u64;
}

impl<M: Observe> Observe for &M {
    fn observe_u32(&self, at: u64) -> u32 {
        (**self).observe_u32(at)
    }
    fn observe_u64(&self, at: u64) -> u64 {
        (**self).observe_u64(at)
    }
}

/// The last few of `bytes` in a [`Memory::store_bytes`], fewer than 8, and zeros behind them: they belong at `at`.
#[inline(always)]
pub fn store_rest<M: Memory + ?Sized>(memory: &M, at: u64, bytes: &[u8]) {
    let rest = bytes.len() % 8;
    if rest == 0 {
        return;
    }
    let word = match bytes.last_chunk::<8>() {
        Some(last) => memory.word(last) >> (64 - 8 * rest),
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    match rest {
        1..=4 => memory.store_u32(at, word as u32),
        _ => memory.store_u64(at, word),
    }
}

/// The way from the cache to memory that keeps its content over a reset.
pub trait Persist {
    /// Before cleans that must not be overtaken by earlier writes around the cache.
    fn begin(&self) {}
    /// Begins to write back every cache line that touches the range; returns how many lines.
    fn clean(&self, at: u64, size: u64) -> u64;
    /// Waits until everything cleaned before has reached memory.
    fn complete(&self);
}

/// Time, in nanoseconds since this boot's counter start; never goes back on one core.
pub trait Clock {
    /// Now.
    fn now_ns(&self) -> u64;
}

/// Stops the other cores.
pub trait StopOthers {
    /// Raises the stop word: from now on each core's own tick stops it. Returns at once.
    fn request(&self);
    /// Whether a core ever began to run: only those are waited for.
    fn is_running(&self, core: u32) -> bool;
    /// Whether a core stands still for good.
    fn is_stopped(&self, core: u32) -> bool;
    /// Gives a core up for good: whatever it does later, it does not stop itself any more, and so leaves its records in the
    /// region alone. False when it has begun to stop itself: then it is to be waited for.
    fn give_up(&self, core: u32) -> bool;
    /// Spends a moment; false when the bounded wait is over.
    fn wait(&self) -> bool;
    /// Whether it has been waited for so long that a core which still runs is not merely late.
    fn is_overdue(&self) -> bool;
    /// Waits, bounded, until every running core below `cores` but `this` stands still.
    fn wait_for_all_but(&self, this: u32, cores: u32) {
        let all = || (0..cores).all(|core| core == this || !self.is_running(core) || self.is_stopped(core));
        while !all() && self.wait() {}
    }
}

/// Restarts the machine.
pub trait Reset {
    /// Tries each way that the machine has, the one that keeps memory first. Returns only when none worked.
    fn reset(&self);
}

/// Where a person reads along.
pub trait Console {
    /// Writes bytes as they are.
    fn write(&self, bytes: &[u8]);
}

impl<M: Memory> Memory for &M {
    #[inline(always)]
    fn load_u32(&self, at: u64) -> u32 {
        (**self).load_u32(at)
    }
    #[inline(always)]
    fn load_u64(&self, at: u64) -> u64 {
        (**self).load_u64(at)
    }
    #[inline(always)]
    fn store_u32(&self, at: u64, value: u32) {
        (**self).store_u32(at, value);
    }
    #[inline(always)]
    fn store_u64(&self, at: u64, value: u64) {
        (**self).store_u64(at, value);
    }
    #[inline(always)]
    fn store_bytes(&self, at: u64, bytes: &[u8]) {
        (**self).store_bytes(at, bytes);
    }
    #[inline(always)]
    fn word(&self, bytes: &[u8; 8]) -> u64 {
        (**self).word(bytes)
    }
    #[inline(always)]
    fn publish_u64(&self, at: u64, value: u64) {
        (**self).publish_u64(at, value);
    }
    fn address(&self, at: u64) -> u64 {
        (**self).address(at)
    }
}

impl<M: Persist> Persist for &M {
    fn begin(&self) {
        (**self).begin();
    }
    fn clean(&self, at: u64, size: u64) -> u64 {
        (**self).clean(at, size)
    }
    fn complete(&self) {
        (**self).complete();
    }
}

impl<T: Clock> Clock for &T {
    #[inline(always)]
    fn now_ns(&self) -> u64 {
        (**self).now_ns()
    }
}
