//! What a kernel does with a region before it records: for tests that want regions as kernels leave them.

use super::Ram;
use crate::bank::{About, prepare};
use crate::format::Geometry;
use crate::records::{BankRecord, BankState};
use crate::region::{Found, Header, inspect, rebuild};

/// Boots: formats the region or goes on in it, and returns the header and the bank to record into. Its counter runs at 1 GHz.
pub fn boot(ram: &Ram, geometry: Geometry, boot_id: u32, about: &About<'_>) -> (Header, u32) {
    let bytes = ram.cached();
    let mut header = match inspect(&bytes) {
        Found::Valid(header) => header,
        Found::Scanned { geometry, .. } => rebuild(&bytes, geometry),
        _ => Header::new(geometry),
    };
    let (bank, _) = header.next_bank();
    header.boot += 1;
    let record = BankRecord {
        state: BankState::Recording,
        boot_id,
        boot: header.boot,
        boot_id_before: header.banks[bank as usize].boot_id,
        cores: geometry.cores,
        counter_hz: 1_000_000_000,
        counter_start: 0,
    };
    prepare(&ram, &geometry, bank, &record, about);
    header.banks[bank as usize] = record;
    header.store(&ram);
    (header, bank)
}
