//! A bank on the heap, ready to be recorded into.

use crate::clock::Counter;
use crate::heap::{Region, View};
use ring::bank::{About, prepare};
use ring::check::Crc32c;
use ring::format::Geometry;
use ring::linux::SUBBUF_SIZE;
use ring::records::{BankRecord, BankState};
use ring::region::Header;
use ring::seams::Memory;
use ring::writer::{Event, Mode, Slot, Target, Writer};

const BOOT_ID: u32 = 0x0af7_e960;

/// A writer as it is measured.
pub(crate) type HeapWriter<'r, C> = Writer<View<'r>, Counter, C>;

/// The geometry of the smallest region with one bank in which each core's ring holds so many bytes.
pub(crate) fn geometry(cores: u32, ring_size: u64) -> Geometry {
    let mut size = u64::from(cores) * ring_size;
    loop {
        if let Ok(geometry) = Geometry::new(size, 1, cores)
            && geometry.ring() * SUBBUF_SIZE >= ring_size
        {
            return geometry;
        }
        size += SUBBUF_SIZE;
    }
}

/// Makes a region's only bank ready, and says so in the region's headers.
pub(crate) fn boot(region: &Region, geometry: Geometry, clock: &Counter) {
    let record = BankRecord {
        state: BankState::Recording,
        boot_id: BOOT_ID,
        boot: 1,
        cores: geometry.cores,
        counter_hz: clock.hz(),
        ..BankRecord::default()
    };
    let about = About { build: b"bench", board: b"host", schema: b"" };
    prepare(&region.view(), &geometry, 0, &record, &about);
    let mut header = Header::new(geometry);
    header.boot = record.boot;
    header.banks[0] = record;
    header.store(&region.view());
}

/// A core's writer: overwrites the oldest, writes nothing back.
pub(crate) fn writer<C: Crc32c>(
    region: &Region,
    geometry: Geometry,
    core: u32,
    clock: Counter,
    crc: C,
) -> HeapWriter<'_, C> {
    Writer::new(region.view(), clock, crc, Target { geometry, bank: 0, boot_id: BOOT_ID, core }, Mode::default())
}

/// An event of so many 64-bit fields, each written by itself, as typed events are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'p, const N: usize>(pub(crate) &'p [u64; N]);

impl<const N: usize> Event for Words<'_, N> {
    const ID: u16 = 5001;
    #[inline(always)]
    fn size(&self) -> usize {
        8 * N
    }
    #[inline(always)]
    fn write<M: Memory>(&self, slot: &Slot<'_, M>) {
        for (i, word) in self.0.iter().enumerate() {
            slot.put_u64(8 * i, *word);
        }
    }
}

/// An event of bytes whose number is known when it happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'p>(pub(crate) &'p [u8]);

impl Event for Bytes<'_> {
    const ID: u16 = 5002;
    #[inline(always)]
    fn size(&self) -> usize {
        self.0.len()
    }
    #[inline(always)]
    fn write<M: Memory>(&self, slot: &Slot<'_, M>) {
        slot.put_bytes(0, self.0);
    }
}
