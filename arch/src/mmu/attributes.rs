//! The five kinds of page there are. None is both writable and executable, and there is no way to say so.

use aarch64_paging::descriptor::El1Attributes;
use aarch64_paging::mair::{Mair, MairAttribute, NormalMemory};

/// MAIR_EL1: index 0 is Device-nGnRE, index 1 normal write-back memory, index 2 normal memory past the cache.
pub const MAIR: Mair = Mair::EMPTY
    .with_attribute(0, MairAttribute::DEVICE_NGNRE)
    .with_attribute(
        1,
        MairAttribute::normal(
            NormalMemory::WriteBackNonTransientReadWriteAllocate,
            NormalMemory::WriteBackNonTransientReadWriteAllocate,
        ),
    )
    .with_attribute(2, MairAttribute::normal(NormalMemory::NonCacheable, NormalMemory::NonCacheable));

const DEVICE: El1Attributes = El1Attributes::ATTRIBUTE_INDEX_0;
const NORMAL: El1Attributes = El1Attributes::ATTRIBUTE_INDEX_1.union(El1Attributes::INNER_SHAREABLE);
const MAPPED: El1Attributes = El1Attributes::VALID.union(El1Attributes::ACCESSED).union(El1Attributes::UXN);
const NEVER_EXECUTE: El1Attributes = El1Attributes::PXN;

/// Memory past the cache, for [`super::uncached`] only: no [`Kind`], since nothing of the identity map is.
pub(super) const UNCACHED: El1Attributes =
    MAPPED.union(El1Attributes::ATTRIBUTE_INDEX_2).union(El1Attributes::INNER_SHAREABLE).union(NEVER_EXECUTE);

/// Marks an invalid entry as a guard page: nothing maps it later by covering it.
pub(super) const GUARD: El1Attributes = El1Attributes::SWFLAG_0;

/// What may be done with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Code: read and execute.
    Text,
    /// Constants and the device tree: read.
    ReadOnly,
    /// Memory: read and write, write-back cacheable, inner shareable.
    Data,
    /// Device registers: read and write, no gathering, no reordering.
    Device,
}

impl Kind {
    pub(super) const fn attributes(self) -> El1Attributes {
        match self {
            Kind::Text => MAPPED.union(NORMAL).union(El1Attributes::READ_ONLY),
            Kind::ReadOnly => MAPPED.union(NORMAL).union(El1Attributes::READ_ONLY).union(NEVER_EXECUTE),
            Kind::Data => MAPPED.union(NORMAL).union(NEVER_EXECUTE),
            Kind::Device => MAPPED.union(DEVICE).union(NEVER_EXECUTE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_writable_and_executable() {
        for kind in [Kind::Text, Kind::ReadOnly, Kind::Data, Kind::Device] {
            let attributes = kind.attributes();
            let writable = !attributes.contains(El1Attributes::READ_ONLY);
            let executable = !attributes.contains(El1Attributes::PXN);
            assert!(!(writable && executable), "{kind:?}");
            assert!(attributes.contains(El1Attributes::UXN) && !attributes.contains(El1Attributes::USER));
        }
    }
}
