//! Where everything lies in a region: the numbers of both layouts, and the arithmetic by which Linux divides a region among
//! its processors.

use ring::linux as newest;

/// First word of a region, and in the older layout of every processor's part.
pub(crate) const MAGIC: u32 = newest::MAGIC;
/// Where the first processor's part begins in the newer layout.
pub(crate) const BUFFERS_OFFSET: u64 = newest::BUFFERS_OFFSET;
/// Bytes of a sub-buffer before its events: time stamp and commit word.
pub(crate) const PAGE_HEADER: usize = newest::SUBBUF_HEADER as usize;
/// What regions and their parts are aligned to at least.
pub(crate) const ALIGNMENT: u64 = newest::SUBBUF_SIZE;
/// Fewest sub-buffers of a processor.
pub(crate) const SUBBUFS_MIN: u64 = newest::SUBBUFS_MIN;
/// Bytes that count in a commit word.
pub(crate) const COMMIT_MASK: u64 = newest::COMMIT_MASK;
/// Commit word: the number of missed events stands behind the data.
pub(crate) const MISSED_STORED: u64 = 1 << 30;
/// Commit word: events were missed before this sub-buffer.
pub(crate) const MISSED: u64 = 1 << 31;
/// Sizes that a sub-buffer can have: pages of 4, 16 and 64 KiB, and orders of them; an event's place fits a commit word.
const SUBBUF_SIZES: std::ops::RangeInclusive<u64> = 4096..=1 << 19;

/// Which of Linux's layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// 6.12 and 6.13: each processor's part begins with a header of its own, of 56 bytes; nothing is global.
    PerCpu,
    /// 6.15 and later: a global header and a scratch area, then the processors' parts.
    Global {
        /// Bytes of a processor's header: 32, or 40 in a kernel that can inject errors.
        header: u16,
    },
}

impl Layout {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Global { header: 32 }, Self::Global { header: 40 }, Self::PerCpu];

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::PerCpu => "6.12 to 6.13",
            Self::Global { header: 40 } => "6.15 to 7.3, with error injection",
            Self::Global { .. } => "6.15 to 7.3",
        }
    }
    /// Bytes of a processor's header.
    pub(crate) const fn header(self) -> u64 {
        match self {
            Self::PerCpu => 56,
            Self::Global { header } => header as u64,
        }
    }
    /// Where the first processor's header begins.
    pub(crate) const fn first(self) -> u64 {
        match self {
            Self::PerCpu => 0,
            Self::Global { .. } => BUFFERS_OFFSET,
        }
    }
    /// Where in a processor's header the three addresses begin; behind them are size and number of sub-buffers.
    pub(crate) const fn addresses(self) -> u64 {
        match self {
            Self::PerCpu => 24,
            Self::Global { .. } => 0,
        }
    }
}

/// Where a processor's part lies, from the start of the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its header.
    pub(crate) header: u64,
    /// Its first sub-buffer.
    pub(crate) pages: u64,
    /// Behind its last one.
    pub(crate) end: u64,
}

/// How a region is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Division {
    pub(crate) layout: Layout,
    /// Bytes of a sub-buffer.
    pub(crate) size: u64,
    /// Sub-buffers of a processor, the reader's page included.
    pub(crate) number: u64,
    /// How far behind a multiple of `size` the region begins: alignment is that of addresses.
    pub(crate) skew: u64,
}

impl Division {
    /// A division that a region can have.
    pub(crate) fn new(layout: Layout, size: u64, number: u64, skew: u64) -> Option<Self> {
        let is_size = size.is_power_of_two() && SUBBUF_SIZES.contains(&size);
        (is_size && (SUBBUFS_MIN..1 << 24).contains(&number) && skew < size).then_some(Self {
            layout,
            size,
            number,
            skew,
        })
    }

    fn from(&self, header: u64) -> Place {
        let pages =
            (self.skew + header + self.layout.header() + 4 * self.number).next_multiple_of(self.size) - self.skew;
        Place { header, pages, end: pages + self.number * self.size }
    }

    /// Where the part of a processor lies.
    pub(crate) fn place(&self, cpu: u64) -> Place {
        let first = self.from(self.layout.first());
        if cpu == 0 {
            return first;
        }
        // All parts but the first begin on a multiple, so all are of one size.
        let second = self.from(first.end);
        let step = (second.end - second.header) * (cpu - 1);
        Place { header: second.header + step, pages: second.pages + step, end: second.end + step }
    }

    /// How many processors' parts end inside so many bytes.
    pub(crate) fn fitting(&self, bytes: u64) -> u64 {
        let first = self.place(0).end;
        if first > bytes {
            return 0;
        }
        let second = self.place(1);
        1 + (bytes - first) / (second.end - second.header)
    }
}

/// How many sub-buffers of this size each of `cpus` processors has in a region of `total` bytes: what fits into an equal
/// share, lowered until the last part ends inside.
pub(crate) fn subbufs(layout: Layout, total: u64, cpus: u64, size: u64, skew: u64) -> Option<u64> {
    let share = total.checked_sub(layout.first())? / cpus;
    let most = share.checked_sub(layout.header())? / (size + 4);
    let lowered = (SUBBUFS_MIN..=most).rev().take(4);
    lowered.into_iter().find(|number| {
        Division::new(layout, size, *number, skew).is_some_and(|division| division.place(cpus - 1).end <= total)
    })
}

/// A word of an image, if it is there.
pub(crate) fn u32_at(bytes: &[u8], at: u64) -> Option<u32> {
    bytes.get(usize::try_from(at).ok()?..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// Two words of an image, if they are there.
pub(crate) fn u64_at(bytes: &[u8], at: u64) -> Option<u64> {
    bytes.get(usize::try_from(at).ok()?..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_buffers_are_counted_as_linux_counts_them() {
        let newest = Layout::Global { header: 32 };
        let counted = |total, cpus| subbufs(newest, total, cpus, 4096, 0);
        assert_eq!([256 << 10, 512 << 10, 12 << 20].map(|total| counted(total, 4)), [Some(14), Some(30), Some(766)]);
        for pages in 8..400 {
            for cpus in 1..9 {
                assert_eq!(counted(pages * 4096, cpus), ring::linux::subbufs(pages * 4096, cpus));
            }
        }
        assert_eq!(subbufs(Layout::PerCpu, 512 << 10, 4, 4096, 0), Some(31));
        assert_eq!(counted(0, 4), None);
    }

    #[test]
    fn as_many_parts_fit_as_there_are_processors() {
        for layout in Layout::ALL {
            for (total, cpus) in [(256 << 10, 4), (1 << 20, 8), (64 << 10, 1)] {
                let number = subbufs(layout, total, cpus, 4096, 0).unwrap();
                assert_eq!(Division::new(layout, 4096, number, 0).unwrap().fitting(total), cpus);
            }
        }
    }
}
