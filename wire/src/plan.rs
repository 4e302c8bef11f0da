//! What is sent of a bank: both sides work it out from the same few numbers.

use crate::page::{Content, PAGE_SIZE};
use ring::format::{BANKS_MAX, CORES_MAX, Geometry, LINE_SIZE, MAGIC, domain, header_line, tail_size};
use ring::line::{Line, LineSeed};
use ring::records::BankRecord;

/// This version.
pub const VERSION: u8 = 1;

/// Where in a plan what stands.
pub mod field {
    /// u8: [`super::VERSION`].
    pub const VERSION: usize = 0;
    /// u8: which transfer of this boot.
    pub const INDEX: usize = 1;
    /// u8: how many it makes.
    pub const COUNT: usize = 2;
    /// u32: number of the bank.
    pub const BANK: usize = 4;
    /// u32: pages that are sent.
    pub const PAGES: usize = 8;
    /// Three lines of the header.
    pub const LINES: usize = 12;
    /// u64 per core.
    pub const CORES: usize = LINES + super::LINES_SIZE;
}

/// Bytes of the three lines.
pub const LINES_SIZE: usize = 3 * LINE_SIZE as usize;
/// Most bytes of a plan.
pub const PLAN_MAX: usize = field::CORES + 8 * CORES_MAX as usize;

const _: () = assert!(field::CORES == 204);
const _: () = assert!(PLAN_MAX <= crate::frame::body::PAYLOAD_MAX);

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The region's places.
    pub geometry: Geometry,
    /// Which bank.
    pub bank: u32,
    /// Of the transfers of one boot, which.
    pub index: u8,
    /// How many it makes.
    pub count: u8,
    /// Identity, life and the bank's record, as they stand in the region's header.
    pub lines: [u8; LINES_SIZE],
    /// Sub-buffers that each core had begun; of those cores that the geometry has.
    pub begun: [u64; CORES_MAX as usize],
}

/// What a page of a bank is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Linux's headers, or pages that nothing uses.
    Linux,
    /// A place in a core's ring.
    SubBuffer {
        /// The core.
        core: u32,
        /// Place in its ring.
        place: u64,
    },
    /// The tail, from this line on.
    Tail(u32),
}

impl Place {
    /// How it is compressed.
    #[must_use]
    pub fn content(self) -> Content {
        match self {
            Self::SubBuffer { .. } => Content::Events,
            _ => Content::Words,
        }
    }
}

impl Plan {
    /// What page `number` is; `None` where it is not sent.
    #[must_use]
    pub fn place(&self, number: u32) -> Option<Place> {
        let g = &self.geometry;
        let at = u64::from(number) * PAGE_SIZE as u64;
        if at >= g.linux_size {
            let lines = at - g.linux_size;
            return (lines < tail_size(g.cores)).then_some(Place::Tail((lines / LINE_SIZE) as u32));
        }
        for core in 0..g.cores {
            let place = at.wrapping_sub(g.subbuf(core, 0)) / PAGE_SIZE as u64;
            if at >= g.subbuf(core, 0) && place < g.ring() {
                let begun = self.begun.get(core as usize).is_some_and(|begun| place < *begun);
                return begun.then_some(Place::SubBuffer { core, place });
            }
        }
        Some(Place::Linux)
    }

    /// The pages that are sent, in their order.
    pub fn pages(&self) -> impl Iterator<Item = (u32, Place)> + '_ {
        let pages = (self.geometry.bank_size / PAGE_SIZE as u64) as u32;
        (0..pages).rev().filter_map(|number| Some((number, self.place(number)?)))
    }

    /// Writes it down; returns its size.
    pub fn store(&self, out: &mut [u8; PLAN_MAX]) -> usize {
        out[..field::LINES].fill(0);
        out[field::VERSION] = VERSION;
        out[field::INDEX] = self.index;
        out[field::COUNT] = self.count;
        out[field::BANK..][..4].copy_from_slice(&self.bank.to_le_bytes());
        out[field::PAGES..][..4].copy_from_slice(&(self.pages().count() as u32).to_le_bytes());
        out[field::LINES..field::CORES].copy_from_slice(&self.lines);
        let (begun, _) = out[field::CORES..].as_chunks_mut();
        for (to, from) in begun.iter_mut().zip(&self.begun) {
            *to = from.to_le_bytes();
        }
        field::CORES + 8 * self.geometry.cores as usize
    }
}

/// Why a plan is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// It is of another version.
    Version(u8),
    /// It says what cannot be.
    Nonsense,
}

impl core::fmt::Display for PlanError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Version(version) => write!(f, "the dump has version {version}, and {VERSION} is known"),
            Self::Nonsense => f.write_str("the dump's plan says what cannot be"),
        }
    }
}

impl core::error::Error for PlanError {}

impl Plan {
    /// Reads one.
    ///
    /// # Errors
    /// [`PlanError`] where it is none of ours.
    pub fn load(payload: &[u8]) -> Result<Self, PlanError> {
        match payload.first() {
            Some(&VERSION) => Self::read(payload).ok_or(PlanError::Nonsense),
            Some(&version) => Err(PlanError::Version(version)),
            None => Err(PlanError::Nonsense),
        }
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (fixed, cores) = payload.split_first_chunk::<{ field::CORES }>()?;
        let lines = *fixed.last_chunk::<LINES_SIZE>()?;
        let bank = u32::from_le_bytes(*fixed[field::BANK..].first_chunk()?);
        let mut identity = line(&lines, 0, header_line::IDENTITY)?;
        let (magic, version, banks) = (identity.take_u64(), identity.take_u32(), identity.take_u32());
        let (size, of_cores, parity) = (identity.take_u64(), identity.take_u32(), identity.take_u32());
        let geometry = Geometry::new(size, banks, of_cores).ok()?.with_parity(parity).ok()?;
        let begun_by = cores.as_chunks::<8>().0;
        let is_whole = begun_by.len() == of_cores as usize && bank < banks.min(BANKS_MAX);
        if magic != MAGIC || version != geometry.version() || !is_whole {
            return None;
        }
        let mut begun = [0; CORES_MAX as usize];
        for (to, from) in begun.iter_mut().zip(begun_by) {
            *to = u64::from_le_bytes(*from);
        }
        let plan = Self { geometry, bank, index: fixed[field::INDEX], count: fixed[field::COUNT], lines, begun };
        let pages = u32::from_le_bytes(*fixed[field::PAGES..].first_chunk()?);
        (plan.pages().count() as u32 == pages).then_some(plan)
    }

    /// Whose bank it is; `None` where that line does not verify.
    #[must_use]
    pub fn record(&self) -> Option<BankRecord> {
        line(&self.lines, 2, header_line::BANK + self.bank).and_then(BankRecord::from_line)
    }
}

/// The line of the header with this number, which stands at `index` of those that are sent.
fn line(lines: &[u8; LINES_SIZE], index: u64, number: u32) -> Option<Line> {
    Line::load(lines, index * LINE_SIZE, LineSeed::new(0, domain::HEADER), number).map(|(line, _)| line)
}
