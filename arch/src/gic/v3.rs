//! GICv3 and GICv4: distributor, redistributors, and the CPU interface by system registers (Arm IHI 0069).
//!
//! It runs in a single security state or in the non-secure view, with affinity routing, all interrupts in group 1.
//! The arithmetic (which redistributor is whose, which bit is where) is in functions that a host tests.

use core::ops::Range;

use tock_registers::LocalRegisterCopy;

use super::{GicError, V3Regions};

#[path = "v3_layout.rs"]
mod layout;
use layout::{Distributor, GICD_TYPER, GICR_TYPER, PIDR2};

/// Bytes from one redistributor to the next, without and with virtual LPIs.
const STRIDE: usize = 0x2_0000;
const STRIDE_VLPIS: usize = 0x4_0000;
/// Bit of the software-generated interrupts in a register with one bit for each private interrupt.
const SGI_BITS: u32 = 0xffff;

/// Whether a peripheral with this PIDR2 is a GICv3 or v4.
#[must_use]
pub fn is_v3(pidr2: u32) -> bool {
    matches!(LocalRegisterCopy::<u32, PIDR2::Register>::new(pidr2).read(PIDR2::ArchRev), 3 | 4)
}

/// A core's affinity as GICR_TYPER has it, from MPIDR_EL1's layout.
#[must_use]
pub fn typer_affinity(mpidr: u64) -> u64 {
    let aff3 = mpidr >> 32 & 0xff;
    aff3 << 24 | mpidr & 0xff_ffff
}

/// A core's affinity as GICD_IROUTER has it: as MPIDR_EL1 without flags.
#[must_use]
pub fn route(mpidr: u64) -> u64 {
    crate::cores::affinity(mpidr)
}

/// The interrupt numbers of a distributor with this GICD_TYPER: all below this one, at most 1020.
#[must_use]
pub fn interrupt_count(typer: u32) -> u32 {
    let lines = LocalRegisterCopy::<u32, GICD_TYPER::Register>::new(typer).read(GICD_TYPER::LINES);
    (32 * (lines + 1)).min(super::SPECIAL_BASE)
}

/// Finds a core's redistributor by walking the ranges; `read_typer` reads GICR_TYPER of the one at an address.
#[must_use]
pub fn find_redistributor(regions: &V3Regions, mpidr: u64, read_typer: impl Fn(usize) -> u64) -> Option<usize> {
    let wanted = typer_affinity(mpidr);
    regions.redistributors.iter().find_map(|range| find_in(range, regions.stride, wanted, &read_typer))
}

fn find_in(
    range: &Range<usize>,
    stride: Option<usize>,
    wanted: u64,
    read_typer: &impl Fn(usize) -> u64,
) -> Option<usize> {
    let mut at = range.start;
    while at < range.end && range.end - at >= STRIDE {
        let typer = LocalRegisterCopy::<u64, GICR_TYPER::Register>::new(read_typer(at));
        if typer.read(GICR_TYPER::Affinity) == wanted {
            return Some(at);
        }
        if typer.is_set(GICR_TYPER::Last) {
            return None;
        }
        let own = if typer.is_set(GICR_TYPER::VLPIS) { STRIDE_VLPIS } else { STRIDE };
        // A stride of 0 in the device tree means none.
        at = at.checked_add(stride.filter(|&stride| stride >= STRIDE).unwrap_or(own))?;
    }
    None
}

#[cfg(target_os = "none")]
pub(crate) use target::enable_system_registers;
#[cfg(target_os = "none")]
pub use target::{GicV3, priority_mask};

#[cfg(target_os = "none")]
#[path = "v3_target.rs"]
mod target;

impl V3Regions {
    /// Checks sizes: what is read before the controller itself can be asked.
    ///
    /// # Errors
    ///
    /// [`GicError::NotThere`].
    pub fn check(&self) -> Result<(), GicError> {
        let aligned = |range: &Range<usize>| range.start.is_multiple_of(0x1_0000);
        let distributor = self.distributor.len() >= size_of::<Distributor>() && aligned(&self.distributor);
        let redistributors = self.redistributors.iter().any(|range| range.len() >= STRIDE)
            && self.redistributors.iter().all(|range| range.is_empty() || aligned(range));
        if distributor && redistributors { Ok(()) } else { Err(GicError::NotThere) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init, reason = "one range of redistributors is the usual case")]
    use super::*;

    fn regions(ranges: &[Range<usize>], stride: Option<usize>) -> V3Regions {
        let mut redistributors = [const { 0..0 }; super::super::V3_REGIONS_MAX];
        redistributors[..ranges.len()].clone_from_slice(ranges);
        V3Regions { distributor: 0x800_0000..0x801_0000, redistributors, stride }
    }

    const LAST: u64 = 1 << 4;
    const VLPIS: u64 = 1 << 1;

    #[test]
    fn redistributors_of_qemu_virt_are_found() {
        let regions = regions(&[0x80a_0000..0x900_0000], None);
        regions.check().unwrap();
        let typer = |at: usize| {
            let n = ((at - 0x80a_0000) / STRIDE) as u64;
            assert_eq!(at % STRIDE, 0x80a_0000 % STRIDE);
            n << 32 | if n == 3 { LAST } else { 0 }
        };
        for core in 0..4 {
            assert_eq!(find_redistributor(&regions, core, typer), Some(0x80a_0000 + core as usize * STRIDE));
        }
        assert_eq!(find_redistributor(&regions, 4, typer), None);
    }

    #[test]
    fn version_4_redistributors_are_twice_as_large() {
        let regions = regions(&[0x80a_0000..0x900_0000], None);
        let typer = |at: usize| {
            let n = ((at - 0x80a_0000) / STRIDE_VLPIS) as u64;
            n << 32 | VLPIS | if n == 1 { LAST } else { 0 }
        };
        assert_eq!(find_redistributor(&regions, 1, typer), Some(0x80a_0000 + STRIDE_VLPIS));
    }

    #[test]
    fn clusters_live_in_several_ranges_with_a_stride() {
        let ranges = [0x1000_0000..0x1008_0000, 0x2000_0000..0x2008_0000];
        let regions = regions(&ranges, Some(STRIDE_VLPIS));
        let typer = |at: usize| {
            let cluster = u64::from(at >= 0x2000_0000);
            let n = ((at & 0xff_ffff) / STRIDE_VLPIS) as u64;
            (cluster << 8 | n) << 32
        };
        assert_eq!(find_redistributor(&regions, 0x101, typer), Some(0x2004_0000));
        assert_eq!(find_redistributor(&regions, 0x102, typer), None);
    }

    #[test]
    fn affinity_level_3_moves_down() {
        assert_eq!(typer_affinity(0x07_8103_0201), 0x0703_0201);
        assert_eq!(route(0x07_8103_0201), 0x07_0003_0201);
    }

    #[test]
    fn walks_end_on_any_registers() {
        for value in [0, !LAST, VLPIS, u64::MAX] {
            for stride in [None, Some(0), Some(1), Some(usize::MAX)] {
                for range in [0..0, 0x1000..0x1001, 0..0x100_0000, usize::MAX - 0x10_0000..usize::MAX] {
                    let _ = find_redistributor(&regions(&[range], stride), 0x1234, |_| value);
                }
            }
        }
    }

    #[test]
    fn interrupts_are_counted_in_blocks_of_32() {
        assert_eq!(interrupt_count(0), 32);
        assert_eq!(interrupt_count(8), 288);
        assert_eq!(interrupt_count(31), 1020);
    }

    #[test]
    fn a_device_tree_with_too_little_space_is_refused() {
        for bad in [regions(&[0..STRIDE - 1], None), regions(&[], None), regions(&[0x100..0x100 + STRIDE], None)] {
            assert_eq!(bad.check(), Err(GicError::NotThere));
        }
        let mut bad = regions(&[0..STRIDE], None);
        bad.distributor.end -= 1;
        assert_eq!(bad.check(), Err(GicError::NotThere));
    }
}
