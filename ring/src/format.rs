#![doc = include_str!("../FORMAT.md")]

use crate::linux;

/// Version of this format.
pub const VERSION: u32 = 1;
/// Version of a region with parity: its places are others, so that readers of version 1 must not go on.
pub const VERSION_PARITY: u32 = 2;
/// First eight bytes of both headers: `AFTRGLOW`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"AFTRGLOW");

/// Size of each header, in bytes.
pub const HEADER_SIZE: u64 = 4096;
/// Smallest region that is taken at all, in bytes.
pub const REGION_SIZE_MIN: u64 = 64 << 10;
/// Largest region, in bytes.
pub const REGION_SIZE_MAX: u64 = 1 << 30;
/// Most banks that a region can have.
pub const BANKS_MAX: u32 = 16;
/// Most cores that a bank can record.
pub const CORES_MAX: u32 = 64;

/// Where in a sub-buffer its data begins.
pub const DATA_START: u64 = linux::SUBBUF_HEADER;
/// Where in a sub-buffer its tag begins and its data ends at the latest.
pub const DATA_END: u64 = linux::SUBBUF_SIZE - tag::SIZE;

/// Offsets in a sub-buffer's tag, from [`DATA_END`].
pub mod tag {
    /// Size of a tag, in bytes: it lies in one cache line.
    pub const SIZE: u64 = 40;
    /// u32: [`VALUE`].
    pub const MAGIC: u64 = 0;
    /// u32: boot id.
    pub const BOOT_ID: u64 = 4;
    /// u32: core.
    pub const CORE: u64 = 8;
    /// u32: check over the other 36 bytes, from seed(boot id, TAG).
    pub const CHECK: u64 = 12;
    /// u64: sequence number of the sub-buffer: how many this core had begun before it.
    pub const SEQUENCE: u64 = 16;
    /// u64: how many events the core had reserved before this sub-buffer.
    pub const RESERVED: u64 = 24;
    /// u64: a copy of the sub-buffer's time stamp.
    pub const TIME: u64 = 32;
    /// What the magic is: `TAG1`.
    pub const VALUE: u32 = u32::from_le_bytes(*b"TAG1");
}

const _: () = assert!(tag::TIME + 8 == tag::SIZE);
const _: () = assert!(DATA_END / 64 == (linux::SUBBUF_SIZE - 1) / 64);

/// Size of a checked line, in bytes.
pub const LINE_SIZE: u64 = 64;
/// Payload of a checked line, in bytes.
pub const LINE_PAYLOAD: usize = 56;
/// Offset of a line's generation.
pub const LINE_GENERATION: usize = 56;
/// Offset of a line's check.
pub const LINE_CHECK: usize = 60;

/// Who else than a core seeds a check: numbers that no core has.
pub mod domain {
    /// The lines of the two headers (with boot id 0).
    pub const HEADER: u16 = 0xffff;
    /// The lines of a bank's tail.
    pub const TAIL: u16 = 0xfffe;
    /// The tags of sub-buffers.
    pub const TAG: u16 = 0xfffd;
}

/// Lines of a header page.
pub mod header_line {
    /// Identity: magic, version, geometry.
    pub const IDENTITY: u32 = 0;
    /// Life: the boot counter.
    pub const LIFE: u32 = 1;
    /// The record of bank 0; bank n is n lines further on.
    pub const BANK: u32 = 2;
    /// The first line of a survey's state, in both headers; a reader of the ring passes over it.
    pub const SURVEY: u32 = 32;
}

/// Lines of a bank's tail.
pub mod tail_line {
    /// The bank's record, as in the header.
    pub const BANK: u32 = 0;
    /// Build id of the kernel that recorded.
    pub const BUILD: u32 = 1;
    /// Name of the board.
    pub const BOARD: u32 = 2;
    /// The panic's fault address in words.
    pub const PANIC_ADDRESS: u32 = 3;
    /// Panics in the panic path: six lines each.
    pub const PANIC_NESTED: u32 = PANIC_ADDRESS + 1;
    /// The panic: what happened.
    pub const PANIC: u32 = 16;
    /// The panic's message.
    pub const PANIC_MESSAGE: u32 = PANIC + 1;
    /// Where the panic was raised.
    pub const PANIC_LOCATION: u32 = PANIC_MESSAGE + 10;
    /// Registers of the panicking core.
    pub const PANIC_REGISTERS: u32 = PANIC_LOCATION + 3;
    /// Return addresses, innermost first.
    pub const PANIC_BACKTRACE: u32 = PANIC_REGISTERS + 5;
    /// Message of the first panic in the panic path.
    pub const PANIC_SECOND: u32 = PANIC_BACKTRACE + 5;
    /// Names, fields and formats of the events, as text.
    pub const SCHEMA: u32 = 48;
    /// Lines of schema.
    pub const SCHEMA_LINES: u32 = 128;
    /// Core 0's lines; core n's are n * [`PER_CORE`] further on.
    pub const CORES: u32 = SCHEMA + SCHEMA_LINES;
    /// Lines per core.
    pub const PER_CORE: u32 = 4;
    /// Of a core's lines: what it reserved and refused.
    pub const COUNTERS: u32 = 0;
    /// Of a core's lines: how it was stopped.
    pub const STOP: u32 = 1;
    /// Of a core's lines: where it panicked itself, while another core's panic was under way.
    pub const LAST_LOCATION: u32 = 2;
    /// Of a core's lines: what it said then.
    pub const LAST_MESSAGE: u32 = 3;
}

const _: () = assert!(tail_line::PANIC_NESTED + 2 * 6 == tail_line::PANIC);

const _: () = assert!(tail_line::PANIC_SECOND + 8 == tail_line::SCHEMA);
const _: () = assert!(header_line::BANK + BANKS_MAX <= header_line::SURVEY);
const _: () = assert!(header_line::SURVEY as u64 * LINE_SIZE < HEADER_SIZE);

/// Size of a bank's tail for `cores` cores, in bytes: whole pages.
#[must_use]
pub const fn tail_size(cores: u32) -> u64 {
    ((tail_line::CORES + cores * tail_line::PER_CORE) as u64 * LINE_SIZE).next_multiple_of(linux::SUBBUF_SIZE)
}

const _: () = assert!(tail_size(4) == 3 * 4096);

/// Linux's ids and ours.
pub mod id {
    /// Linux's PRINT: u64 address, then text, NUL-terminated. Linux shows it without knowing us.
    pub const PRINT: u16 = 5;
    /// The first of our own ids: Linux's dynamic ones start in the hundreds and shift.
    pub const FIRST: u16 = 4096;
}

/// Bytes of Linux's common header at the start of an event's data.
pub const COMMON_HEADER: usize = 8;
/// Bytes of the check at its end.
pub const CHECK_SIZE: usize = 4;
/// Most bytes of fields that an event can have: a sub-buffer's data less time record, event header, length, common header and check.
pub const FIELDS_MAX: usize = (DATA_END - DATA_START) as usize - 8 - 4 - 4 - COMMON_HEADER - CHECK_SIZE;

const _: () = assert!(FIELDS_MAX == 4012);

/// The places that follow from a region's size, its number of banks and of cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Size of the region, in bytes.
    pub region_size: u64,
    /// Number of banks.
    pub banks: u32,
    /// Number of cores that each bank can record.
    pub cores: u32,
    /// Size of a bank, in bytes.
    pub bank_size: u64,
    /// Size of a bank's Linux part, in bytes.
    pub linux_size: u64,
    /// Sub-buffers per core, Linux's reader's page included.
    pub subbufs: u64,
    /// Parity lines per sub-buffer ([`crate::parity`]); 0: none.
    pub parity: u32,
}

/// Why there is no such geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryError {
    /// The region is smaller than [`REGION_SIZE_MIN`], larger than [`REGION_SIZE_MAX`] or no whole number of pages.
    Size,
    /// No banks, or more than [`BANKS_MAX`].
    Banks,
    /// No cores, or more than [`CORES_MAX`].
    Cores,
    /// No such number of parity lines ([`crate::parity::CHOICES`]).
    Parity,
    /// A bank would be too small for three sub-buffers per core: fewer banks or a larger region are needed.
    TooSmall,
}

impl core::fmt::Display for GeometryError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Size => write!(
                f,
                "the region must be whole 4 KiB pages, from {} KiB to {} MiB",
                REGION_SIZE_MIN >> 10,
                REGION_SIZE_MAX >> 20
            ),
            Self::Banks => write!(f, "the number of banks must be from 1 to {BANKS_MAX}"),
            Self::Cores => write!(f, "the number of cores must be from 1 to {CORES_MAX}"),
            Self::Parity => f.write_str("the number of parity lines must be 0, 2, 4 or 8"),
            Self::TooSmall => f.write_str(
                "the region is too small for so many banks and cores: take fewer banks (banks=) or a larger region",
            ),
        }
    }
}

impl Geometry {
    /// The geometry of a region of `region_size` bytes.
    ///
    /// # Errors
    /// [`GeometryError`] where a number is out of bounds or a bank would be too small.
    pub const fn new(region_size: u64, banks: u32, cores: u32) -> Result<Self, GeometryError> {
        if region_size < REGION_SIZE_MIN
            || region_size > REGION_SIZE_MAX
            || !region_size.is_multiple_of(linux::SUBBUF_SIZE)
        {
            return Err(GeometryError::Size);
        }
        if banks == 0 || banks > BANKS_MAX {
            return Err(GeometryError::Banks);
        }
        if cores == 0 || cores > CORES_MAX {
            return Err(GeometryError::Cores);
        }
        let share = (region_size - 2 * HEADER_SIZE) / banks as u64;
        let bank_size = share - share % linux::SUBBUF_SIZE;
        if bank_size <= tail_size(cores) {
            return Err(GeometryError::TooSmall);
        }
        let linux_size = bank_size - tail_size(cores);
        match linux::subbufs(linux_size, cores as u64) {
            None => Err(GeometryError::TooSmall),
            Some(subbufs) => Ok(Self { region_size, banks, cores, bank_size, linux_size, subbufs, parity: 0 }),
        }
    }

    /// The same with so many parity lines per sub-buffer: they take their room from the sub-buffers.
    ///
    /// # Errors
    /// [`GeometryError`] where there is no such number of lines, or a bank would be too small.
    pub const fn with_parity(self, lines: u32) -> Result<Self, GeometryError> {
        if !matches!(lines, 0 | 2 | 4 | 8) {
            return Err(GeometryError::Parity);
        }
        let Self { region_size, banks, cores, bank_size, .. } = self;
        let room = bank_size - tail_size(cores);
        // So much for each sub-buffer that fits beside it; the rest cannot hold more than that many.
        let each = if lines == 0 { 0 } else { (1 + lines as u64) * LINE_SIZE };
        let parity_size = (room * each).div_ceil(linux::SUBBUF_SIZE + each).next_multiple_of(linux::SUBBUF_SIZE);
        if room <= parity_size {
            return Err(GeometryError::TooSmall);
        }
        let linux_size = room - parity_size;
        match linux::subbufs(linux_size, cores as u64) {
            None => Err(GeometryError::TooSmall),
            Some(subbufs) => Ok(Self { region_size, banks, cores, bank_size, linux_size, subbufs, parity: lines }),
        }
    }

    /// The version of the format that such a region has: the lowest that can read it.
    #[must_use]
    pub const fn version(&self) -> u32 {
        if self.parity == 0 { VERSION } else { VERSION_PARITY }
    }

    /// Where header A begins.
    pub const HEADER_A: u64 = 0;

    /// Where header B begins.
    #[must_use]
    pub const fn header_b(&self) -> u64 {
        self.region_size - HEADER_SIZE
    }

    /// Where a bank begins in the region.
    #[must_use]
    pub const fn bank(&self, bank: u32) -> u64 {
        HEADER_SIZE + bank as u64 * self.bank_size
    }

    /// Number of sub-buffers in a core's ring: all but Linux's reader's page, which we leave empty.
    #[must_use]
    pub const fn ring(&self) -> u64 {
        self.subbufs - 1
    }

    /// Where the sub-buffer of a sequence number begins in its bank.
    #[must_use]
    pub const fn subbuf(&self, core: u32, sequence: u64) -> u64 {
        linux::subbufs_offset(core as u64, self.subbufs) + (1 + sequence % self.ring()) * linux::SUBBUF_SIZE
    }

    /// Where a line of the tail begins in its bank.
    #[must_use]
    pub const fn tail(&self, line: u32) -> u64 {
        self.linux_size + line as u64 * LINE_SIZE
    }

    /// The line of the tail that says what the parity lines behind it cover: those of a core's sub-buffer.
    #[must_use]
    pub const fn parity_line(&self, core: u32, sequence: u64) -> u32 {
        let subbuf = core as u64 * self.ring() + sequence % self.ring();
        (tail_size(self.cores) / LINE_SIZE + subbuf * (1 + self.parity as u64)) as u32
    }

    /// The line of the tail that holds a core's counters ([`tail_line::COUNTERS`]) or stop ([`tail_line::STOP`]).
    #[must_use]
    pub const fn core_line(core: u32, line: u32) -> u32 {
        tail_line::CORES + core * tail_line::PER_CORE + line
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// The constants by the names that the page gives them.
    macro_rules! constants {
        ($($($part:ident)::+),* $(,)?) => { [$((stringify!($($part)::+), u64::from($($part)::+))),*] };
    }

    #[test]
    fn the_page_says_what_the_constants_are() {
        #[allow(clippy::useless_conversion, reason = "some are u64, some u32")]
        let constants: Vec<(&str, u64)> = [
            &constants![
                header_line::IDENTITY,
                header_line::LIFE,
                header_line::BANK,
                header_line::SURVEY,
                linux::global::MAGIC,
                linux::global::STRUCT_SIZES,
                linux::global::TOTAL_SIZE,
                linux::global::BUFFERS_OFFSET,
                linux::BUFFERS_OFFSET,
                linux::cpu::FIRST_BUFFER,
                linux::cpu::HEAD_BUFFER,
                linux::cpu::COMMIT_BUFFER,
                linux::cpu::SUBBUF_SIZE,
                linux::cpu::SUBBUFS,
                linux::SUBBUF_TIME,
                linux::SUBBUF_COMMIT,
                DATA_START,
                DATA_END,
            ][..],
            &constants![tag::MAGIC, tag::BOOT_ID, tag::CORE, tag::CHECK, tag::SEQUENCE, tag::RESERVED, tag::TIME],
            &constants![
                tail_line::BANK,
                tail_line::BUILD,
                tail_line::BOARD,
                tail_line::PANIC_ADDRESS,
                tail_line::PANIC_NESTED,
                tail_line::PANIC,
                tail_line::PANIC_MESSAGE,
                tail_line::PANIC_LOCATION,
                tail_line::PANIC_REGISTERS,
                tail_line::PANIC_BACKTRACE,
                tail_line::PANIC_SECOND,
                tail_line::SCHEMA,
                tail_line::CORES,
            ],
            &[("LINE_GENERATION", LINE_GENERATION as u64), ("LINE_CHECK", LINE_CHECK as u64)],
        ]
        .concat();
        let rows = include_str!("../FORMAT.md").lines().filter(|line| line.starts_with("| `"));
        let mut named = 0;
        for row in rows {
            let mut cells = row.trim_matches('|').split('|').map(str::trim);
            let (name, place) = (cells.next().unwrap().trim_matches('`'), cells.next().unwrap());
            let known = constants.iter().find(|(known, _)| known.replace(' ', "") == name);
            let (_, value) = known.unwrap_or_else(|| panic!("no constant is called {name}"));
            assert_eq!(place.parse(), Ok(*value), "{name}");
            named += 1;
        }
        assert_eq!(named, constants.len(), "the page leaves some out");
    }

    #[test]
    fn the_default_region_of_four_cores() {
        let g = Geometry::new(8 << 20, 4, 4).unwrap();
        assert_eq!(g.bank_size, 2_093_056);
        assert!(g.bank(3) + g.bank_size <= g.header_b());
        assert!(g.subbufs > 120);
        assert!(g.subbuf(3, g.ring() - 1) + linux::SUBBUF_SIZE <= g.linux_size);
    }

    #[test]
    fn parity_lines_lie_behind_the_tail_and_inside_the_bank() {
        for pages in (32..2000).step_by(7) {
            for (cores, lines) in [(1, 2), (2, 4), (4, 8), (8, 4), (64, 8), (3, 0)] {
                let Ok(plain) = Geometry::new(pages * 4096, 1 + pages as u32 % 4, cores) else { continue };
                let Ok(g) = plain.with_parity(lines) else { continue };
                assert_eq!(g.bank_size, plain.bank_size);
                let last = g.parity_line(cores - 1, g.ring() - 1) + lines;
                assert!(g.tail(last) + LINE_SIZE <= g.bank_size || lines == 0, "{g:?}");
                assert!(g.parity_line(0, 0) >= Geometry::core_line(cores - 1, tail_line::PER_CORE - 1));
                assert_eq!(g.linux_size % linux::SUBBUF_SIZE, 0);
                assert_eq!(g == plain, lines == 0);
            }
        }
        let small = Geometry::new(64 << 10, 1, 1).unwrap();
        assert_eq!(small.with_parity(3), Err(GeometryError::Parity));
        assert_eq!(Geometry::new(128 << 10, 4, 1).and_then(|g| g.with_parity(8)), Err(GeometryError::TooSmall));
    }

    #[test]
    fn impossible_regions_are_refused_by_name() {
        assert_eq!(Geometry::new(4096, 1, 1), Err(GeometryError::Size));
        assert_eq!(Geometry::new((1 << 20) + 1, 1, 1), Err(GeometryError::Size));
        assert_eq!(Geometry::new(1 << 20, 0, 1), Err(GeometryError::Banks));
        assert_eq!(Geometry::new(1 << 20, 17, 1), Err(GeometryError::Banks));
        assert_eq!(Geometry::new(1 << 20, 4, 65), Err(GeometryError::Cores));
        assert_eq!(Geometry::new(64 << 10, 4, 4), Err(GeometryError::TooSmall));
    }
}
