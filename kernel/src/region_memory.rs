//! The region as the ring's writers see it: plain stores to mapped memory, cleans by address.

use crate::scale::Scale;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use ring::check::{Crc32c, Table};
use ring::seams::{Clock, Memory, Observe, Persist};

/// Memory as words.
///
/// # Safety
/// `size` bytes from `address` on are mapped, readable and writable, whole words, and nobody else's while the slice lives.
#[must_use]
pub(crate) unsafe fn words(address: usize, size: usize) -> &'static mut [u64] {
    // SAFETY: as our caller promises.
    unsafe { core::slice::from_raw_parts_mut(address as *mut u64, size / 8) }
}

/// The mapped region.
#[derive(Clone, Copy, Debug)]
pub struct RegionMemory {
    base: usize,
    size: usize,
}

impl RegionMemory {
    /// The region that is mapped at `base`.
    ///
    /// # Safety
    /// `base..base + size` is mapped normal memory, readable and writable, for the rest of this boot; nothing but the
    /// ring's writers (through this type) writes there.
    #[must_use]
    pub unsafe fn new(base: usize, size: usize) -> Self {
        Self { base, size }
    }

    /// The bytes in a range, for recovery. Empty where the range does not lie inside.
    ///
    /// # Safety
    /// Nobody writes there while the slice lives.
    #[must_use]
    pub unsafe fn bytes(&self, at: u64, size: u64) -> &'static [u8] {
        let (Ok(at), Ok(size)) = (usize::try_from(at), usize::try_from(size)) else { return &[] };
        if at.checked_add(size).is_none_or(|end| end > self.size) {
            return &[];
        }
        // SAFETY: inside the region, which `new`'s caller promised to be mapped; not written, as our caller promises.
        unsafe { core::slice::from_raw_parts((self.base + at) as *const u8, size) }
    }

    /// The bytes in a range, for repair. Empty where the range does not lie inside.
    ///
    /// # Safety
    /// Nobody else reads or writes there while the slice lives.
    #[must_use]
    pub unsafe fn bytes_mut(&self, at: u64, size: u64) -> &'static mut [u8] {
        // SAFETY: as our caller promises.
        let bytes = unsafe { self.bytes(at, size) };
        let (at, size) = (bytes.as_ptr().addr(), bytes.len());
        if size == 0 {
            return &mut [];
        }
        // SAFETY: inside the region, as `bytes` has checked; nobody else's, as our caller promises.
        unsafe { core::slice::from_raw_parts_mut(at as *mut u8, size) }
    }

    /// Physical address and size.
    #[must_use]
    pub fn place(&self) -> (u64, u64) {
        (self.base as u64, self.size as u64)
    }

    /// Size of the region in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size as u64
    }

    fn at<T>(&self, at: u64) -> *mut T {
        debug_assert!(at as usize + size_of::<T>() <= self.size);
        (self.base + at as usize) as *mut T
    }
}

// SAFETY of every block below: `new`'s caller promised the mapping, and the trait's callers stay inside the region.
impl Memory for RegionMemory {
    #[inline(always)]
    fn load_u32(&self, at: u64) -> u32 {
        // SAFETY: see above.
        unsafe { arch::unaligned::load_u32(self.at(at)) }
    }
    #[inline(always)]
    fn load_u64(&self, at: u64) -> u64 {
        // SAFETY: see above.
        unsafe { arch::unaligned::load_u64(self.at(at)) }
    }
    #[inline(always)]
    fn store_u32(&self, at: u64, value: u32) {
        // SAFETY: see above.
        unsafe { arch::unaligned::store_u32(self.at(at), value) }
    }
    #[inline(always)]
    fn store_u64(&self, at: u64, value: u64) {
        // SAFETY: see above.
        unsafe { arch::unaligned::store_u64(self.at(at), value) }
    }
    #[inline(always)]
    fn word(&self, bytes: &[u8; 8]) -> u64 {
        // SAFETY: the bytes are readable.
        unsafe { arch::unaligned::load_u64(bytes.as_ptr().cast()) }
    }
    #[inline(always)]
    fn publish_u64(&self, at: u64, value: u64) {
        // SAFETY: see above; the trait's callers publish aligned words only. Release: pairs with the acquire of a
        // reader on another core, so that it sees the events before the word that covers them.
        unsafe { AtomicU64::from_ptr(self.at(at)) }.store(value, Ordering::Release);
    }
    fn address(&self, at: u64) -> u64 {
        self.base as u64 + at
    }
}

impl Observe for RegionMemory {
    fn observe_u32(&self, at: u64) -> u32 {
        // SAFETY: see above; aligned, as the trait's callers promise. The writer's stores are single instructions: no word is
        // torn, whatever Rust's own model says of a reader beside stores that are not its atomics.
        unsafe { AtomicU32::from_ptr(self.at(at)) }.load(Ordering::Relaxed)
    }
    fn observe_u64(&self, at: u64) -> u64 {
        // SAFETY: see above. Acquire: pairs with the release of `publish_u64`.
        unsafe { AtomicU64::from_ptr(self.at(at)) }.load(Ordering::Acquire)
    }
}

impl Persist for RegionMemory {
    fn begin(&self) {
        arch::cache::before_clean();
    }
    fn clean(&self, at: u64, size: u64) -> u64 {
        let start = self.base + at as usize;
        arch::cache::clean_range_no_barrier(start..start + size as usize)
    }
    fn complete(&self) {
        arch::cache::complete();
    }
}

/// Nanoseconds since the counter stood at `start`.
#[derive(Clone, Copy, Debug)]
pub struct CounterClock {
    /// The counter when time stamps are zero.
    pub start: u64,
    /// Its scale.
    pub scale: Scale,
}

impl CounterClock {
    /// The time at which the counter stood at `counter`.
    #[inline(always)]
    #[must_use]
    pub fn ns_at(&self, counter: u64) -> u64 {
        self.scale.ns(counter.wrapping_sub(self.start))
    }
}

impl Clock for CounterClock {
    #[inline(always)]
    fn now_ns(&self) -> u64 {
        // Unordered: an event's stamp may be a few instructions early, which nobody can tell; an ISB would cost more than
        // the event. The writer never lets a time go back.
        self.ns_at(arch::timer::now_unordered())
    }
}

/// CRC-32C by the CPU's instruction where it has it.
#[derive(Clone, Copy, Debug)]
pub struct CpuCrc {
    instruction: Option<Instruction>,
}

impl CpuCrc {
    /// Asks the CPU.
    #[must_use]
    pub fn new() -> Self {
        Self { instruction: arch::crc::available().then_some(Instruction(())) }
    }
    /// How it is computed.
    #[must_use]
    pub fn name(self) -> &'static str {
        if self.instruction.is_some() { "CRC32C instruction" } else { "CRC-32C in software" }
    }
}

impl Default for CpuCrc {
    fn default() -> Self {
        Self::new()
    }
}

impl Crc32c for CpuCrc {
    type Direct = Instruction;
    #[inline(always)]
    fn direct(self) -> Option<Instruction> {
        self.instruction
    }
    #[inline(always)]
    fn u64(self, register: u32, value: u64) -> u32 {
        match self.instruction {
            Some(instruction) => instruction.u64(register, value),
            None => Table.u64(register, value),
        }
    }
    #[inline(always)]
    fn u32(self, register: u32, value: u32) -> u32 {
        match self.instruction {
            Some(instruction) => instruction.u32(register, value),
            None => Table.u32(register, value),
        }
    }
}

/// CRC-32C by the CPU's instruction: exists only where the CPU has it.
#[derive(Clone, Copy, Debug)]
pub struct Instruction(());

impl Crc32c for Instruction {
    type Direct = Self;
    #[inline(always)]
    fn direct(self) -> Option<Self> {
        Some(self)
    }
    #[inline(always)]
    fn u64(self, register: u32, value: u64) -> u32 {
        // SAFETY: whoever made this asked the CPU.
        unsafe { arch::crc::crc32cx(register, value) }
    }
    #[inline(always)]
    fn u32(self, register: u32, value: u32) -> u32 {
        // SAFETY: whoever made this asked the CPU.
        unsafe { arch::crc::crc32cw(register, value) }
    }
}
