//! What this boot knows of itself, for those who need it at any moment: the region that it records into, the ways to reset.

use crate::region_memory::RegionMemory;
use core::sync::atomic::{AtomicU8, Ordering};
use ring::format::{Geometry, LINE_SIZE, tail_line};
use ring::records::{BankState, StopMeans};
use ring::region::Header;
use ring::seams::Persist;
use spin::{Mutex, Once};

/// What this boot records into.
#[derive(Clone, Copy, Debug)]
pub struct Recording {
    /// The region.
    pub memory: RegionMemory,
    /// Its places.
    pub geometry: Geometry,
    /// The bank of this boot.
    pub bank: u32,
    /// This boot's id.
    pub boot_id: u32,
}

static RECORDING: Once<Recording> = Once::new();
static HEADER: Mutex<Option<Header>> = Mutex::new(None);
static REGION: Once<RegionMemory> = Once::new();
static STOP_MEANS: AtomicU8 = AtomicU8::new(0);

/// Sets what this boot records into; the first one stays.
pub fn set_recording(recording: Recording) {
    RECORDING.call_once(|| recording);
}

/// What this boot records into, once that is known.
pub fn recording() -> Option<&'static Recording> {
    RECORDING.get()
}

/// Changes the region's header and writes it, both copies, to memory.
pub fn change_header(change: impl FnOnce(&mut Header)) {
    let mut slot = HEADER.lock();
    if let (Some(memory), Some(header)) = (REGION.get(), slot.as_mut()) {
        change(header);
        header.store(memory);
    }
}

/// Takes a header over, as the region's.
pub fn set_header(memory: RegionMemory, header: Header) {
    REGION.call_once(|| memory);
    *HEADER.lock() = Some(header);
}

/// The header as this boot last wrote it, for a core that panics: it does not wait for whoever was changing it, since
/// that core is stopped, or is itself the one that panics.
#[must_use]
pub fn header_for_panic() -> Option<Header> {
    if let Some(header) = HEADER.try_lock() {
        return *header;
    }
    // SAFETY: nobody goes on with the lock: the others are stopped and this core does not return.
    unsafe { HEADER.force_unlock() };
    HEADER.try_lock().and_then(|header| *header)
}

/// Ends this boot's bank as one that wanted to end: closes every writer that is still open and says so in the header.
pub fn end_cleanly() {
    end(0);
}

/// The same of a boot that only said that too many before it have crashed: they go on being counted.
pub fn end_in_crash_loop() {
    end(u32::MAX);
}

/// Ends this boot's bank, and leaves no more crashes in a row than so many.
fn end(crashes_in_a_row: u32) {
    for (_, writer) in crate::trace::all() {
        writer.close();
    }
    change_header(|header| {
        header.crashes_in_a_row = header.crashes_in_a_row.min(crashes_in_a_row);
        let Some(Recording { memory, geometry, bank: number, .. }) = recording() else { return };
        memory.complete();
        if let Some(bank) = header.banks.get_mut(*number as usize) {
            bank.state = BankState::Clean;
            // Also where it is found when both headers are lost.
            bank.store(memory, geometry, *number);
            memory.clean(geometry.bank(*number) + geometry.tail(tail_line::BANK), LINE_SIZE);
        }
    });
}

/// Remembers what stops a core on this machine.
pub fn set_stop_means(means: StopMeans) {
    STOP_MEANS.store(means as u8, Ordering::Relaxed);
}

/// What stops a core on this machine.
#[must_use]
pub fn stop_means() -> StopMeans {
    StopMeans::ALL.get(usize::from(STOP_MEANS.load(Ordering::Relaxed))).copied().unwrap_or_default()
}
