//! What was there before the loss: the header as the cores saw it, and of each core in a bank every event that verifies.

use super::subbuf::{Event, SubBuf, Writer};
use ring::check::Crc32c;
use ring::format::{Geometry, HEADER_SIZE, LINE_SIZE, MAGIC, VERSION, VERSION_PARITY, domain, header_line, tail_line};
use ring::line::{Line, LineSeed};
use ring::linux::SUBBUF_SIZE;
use ring::position::SEQUENCE_MAX;
use ring::records::{BankRecord, BankState, Counters, StopOutcome, StopRecord};

/// The region's header.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) geometry: Geometry,
    /// By bank.
    pub(super) records: Vec<BankRecord>,
    /// Copy A is in memory: nothing in it has been written since its last clean was complete.
    pub(super) a_is_settled: bool,
    /// The same of copy B, as far as the two copies tell. Both equal: nobody knows whether B's clean is complete.
    pub(super) b_is_settled: bool,
    /// The copies are equal.
    pub(super) is_equal: bool,
}

impl Header {
    /// Reads it; `None` where there is none, or none that could be read.
    pub(super) fn read(region: &[u8]) -> Option<Self> {
        let size = region.len() as u64;
        let end = size.checked_sub(HEADER_SIZE)?;
        let mut identity = newer(region, end, header_line::IDENTITY)?;
        let (magic, version) = (identity.take_u64(), identity.take_u32());
        let (banks, region_size, cores) = (identity.take_u32(), identity.take_u64(), identity.take_u32());
        let parity = if version == VERSION_PARITY { identity.take_u32() } else { 0 };
        if magic != MAGIC || ![VERSION, VERSION_PARITY].contains(&version) || region_size != size {
            return None;
        }
        let geometry = Geometry::new(region_size, banks, cores).ok()?.with_parity(parity).ok()?;
        let record = |number| newer(region, end, number).and_then(BankRecord::from_line).unwrap_or_default();
        let lines = header_line::BANK..header_line::BANK + banks;
        let [a, b] = [0, end].map(|page| Copy::look(region, page, lines.end));
        // A store writes and completes A, then B.
        let (a_is_newer, is_equal) = (newer_than(a.newest, b.newest), a.newest == b.newest && a.newest.is_some());
        Some(Self {
            geometry,
            records: lines.map(record).collect(),
            a_is_settled: (is_equal && !a.is_torn) || (a_is_newer && b.is_torn),
            b_is_settled: (is_equal && a.is_torn) || (a_is_newer && !b.is_torn),
            is_equal: is_equal && !a.is_torn && !b.is_torn,
        })
    }

    /// The bank of the newest boot.
    pub(super) fn newest(&self) -> Option<u32> {
        let banks = (0..).zip(&self.records).filter(|(_, record)| record.state != BankState::Empty);
        banks.max_by_key(|(_, record)| record.boot).map(|(bank, _)| bank)
    }

    /// The bank that the next boot takes; its content may be on its way out already. Only one of several.
    pub(super) fn next(&self) -> Option<u32> {
        let oldest = |is_crash: bool| {
            let banks = (0..).zip(&self.records).filter(|(_, record)| record.state.is_crash() == is_crash);
            banks.min_by_key(|(_, record)| record.boot).map(|(bank, _)| bank)
        };
        oldest(false).or_else(|| oldest(true)).filter(|_| self.records.len() > 1)
    }
}

/// One copy of the header.
struct Copy {
    /// The highest generation of its lines.
    newest: Option<u32>,
    /// Some lines verify and others do not: somebody is writing it.
    is_torn: bool,
}

impl Copy {
    fn look(region: &[u8], page: u64, lines: u32) -> Self {
        let found: Vec<Option<u32>> =
            (0..lines).map(|number| header_line(region, page, number).map(|(_, generation)| generation)).collect();
        let there = found.iter().flatten().copied();
        let newest = there.reduce(|a, b| if newer_than(Some(a), Some(b)) { a } else { b });
        Self { newest, is_torn: newest.is_some() && found.contains(&None) }
    }
}

fn newer_than(a: Option<u32>, b: Option<u32>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a.wrapping_sub(b).cast_signed() > 0)
}

fn header_line(region: &[u8], page: u64, number: u32) -> Option<(Line, u32)> {
    Line::load(region, page + u64::from(number) * LINE_SIZE, LineSeed::new(0, domain::HEADER), number)
}

/// A header line from whichever copy has it whole and newer.
fn newer(region: &[u8], end: u64, number: u32) -> Option<Line> {
    match (header_line(region, 0, number), header_line(region, end, number)) {
        (Some((_, a)), Some((line, b))) if newer_than(Some(b), Some(a)) => Some(line),
        (a, b) => a.or(b).map(|(line, _)| line),
    }
}

/// What was there of a boot.
#[derive(Clone, Debug)]
pub(super) struct Boot<'a> {
    pub(super) bank: u32,
    pub(super) record: BankRecord,
    pub(super) cores: Vec<Core<'a>>,
}

/// What was there of a core.
#[derive(Clone, Debug)]
pub(super) struct Core<'a> {
    bank: &'a [u8],
    geometry: Geometry,
    number: u32,
    /// The newest sub-buffer that was claimed.
    pub(super) newest: Option<u64>,
    /// The oldest first.
    pub(super) events: Vec<Event>,
    /// As they stood in the tail.
    pub(super) counters: Option<Counters>,
    /// How it ended.
    pub(super) outcome: Option<StopOutcome>,
    /// Places of this boot: sequence number and word at which something published does not verify.
    pub(super) unsound: Vec<(u64, u32)>,
    /// Sub-buffers whose tags verify.
    tagged: Vec<u64>,
}

impl<'a> Boot<'a> {
    /// Reads a bank; `None` where it lies outside of the region.
    pub(super) fn read<C: Crc32c>(region: &'a [u8], header: &Header, bank: u32, crc: C) -> Option<Self> {
        let (geometry, record) = (header.geometry, *header.records.get(bank as usize)?);
        let bytes = bank_bytes(region, &geometry, bank)?;
        let cores = (0..geometry.cores).map(|core| Core::read(bytes, geometry, &record, core, crc)).collect();
        Some(Self { bank, record, cores })
    }
}

/// The bytes of a bank.
pub(super) fn bank_bytes<'a>(region: &'a [u8], geometry: &Geometry, bank: u32) -> Option<&'a [u8]> {
    let start = usize::try_from(geometry.bank(bank)).ok()?;
    region.get(start..)?.get(..usize::try_from(geometry.bank_size).ok()?)
}

/// The bytes of a sub-buffer of a bank.
pub(super) fn subbuf<'a>(bank: &'a [u8], geometry: &Geometry, core: u32, sequence: u64) -> Option<SubBuf<'a>> {
    let at = usize::try_from(geometry.subbuf(core, sequence)).ok()?;
    Some(SubBuf(bank.get(at..)?.first_chunk::<{ SUBBUF_SIZE as usize }>()?))
}

impl<'a> Core<'a> {
    fn read<C: Crc32c>(bank: &'a [u8], geometry: Geometry, record: &BankRecord, number: u32, crc: C) -> Self {
        let line = |line: u32| {
            let line = Geometry::core_line(number, line);
            Line::load(bank, geometry.tail(line), LineSeed::new(record.boot_id, domain::TAIL), line).map(|it| it.0)
        };
        let mut core = Self {
            bank,
            geometry,
            number,
            newest: None,
            events: Vec::new(),
            counters: line(tail_line::COUNTERS).map(Counters::from_line),
            outcome: line(tail_line::STOP).and_then(StopRecord::from_line).map(|stop| stop.outcome),
            unsound: Vec::new(),
            tagged: Vec::new(),
        };
        let writer = Writer::new(crc, record.boot_id, number);
        core.newest = core.find_newest(&writer);
        for sequence in core.sequences() {
            core.walk(&writer, sequence);
        }
        core
    }

    /// The sub-buffers that can be there, the oldest first.
    pub(super) fn sequences(&self) -> std::ops::Range<u64> {
        let ring = self.geometry.ring();
        self.newest.map_or(0..0, |newest| (newest + 1).saturating_sub(ring)..newest + 1)
    }

    /// The sub-buffer that stands in a place of the ring.
    pub(super) fn in_slot(&self, slot: u64) -> Option<u64> {
        self.sequences().find(|sequence| sequence % self.geometry.ring() == slot)
    }

    pub(super) fn subbuf(&self, sequence: u64) -> Option<SubBuf<'a>> {
        subbuf(self.bank, &self.geometry, self.number, sequence)
    }

    /// Whether the tag of a sub-buffer of this boot stood where it belongs.
    pub(super) fn is_tagged(&self, sequence: u64) -> bool {
        self.tagged.contains(&sequence)
    }

    /// The newest sub-buffer that was claimed: tags tell, counters of a core that was closed, and the next place, where
    /// its writer may have begun before the tag was written.
    fn find_newest<C: Crc32c>(&self, writer: &Writer<C>) -> Option<u64> {
        let ring = self.geometry.ring();
        let tagged = (0..ring).filter_map(|slot| {
            let tag = writer.tag(self.subbuf(slot)?)?;
            (tag.sequence % ring == slot && tag.sequence < SEQUENCE_MAX).then_some(tag.sequence)
        });
        let counted = self.counters.filter(|counters| counters.last).map(|counters| counters.sequence);
        let newest = tagged.max().max(counted.filter(|sequence| *sequence < SEQUENCE_MAX))?;
        let (next, older) = (newest + 1, (newest + 1).checked_sub(ring));
        let Some(subbuf) = self.subbuf(next) else { return Some(newest) };
        let is_claimed = match (older, writer.tag(subbuf)) {
            // The tag of this boot that had to be there is not: it is being written.
            (Some(_), None) => true,
            // What nested between the claim and the opening writes behind a place that is still free.
            (Some(older), Some(tag))
                if tag.sequence == older && (subbuf.is_being_opened(&tag) || writer.breaks_off(subbuf, older)) =>
            {
                true
            }
            _ => writer.is_begun(subbuf, next, older),
        };
        Some(if is_claimed { next } else { newest })
    }

    fn walk<C: Crc32c>(&mut self, writer: &Writer<C>, sequence: u64) {
        let Some(subbuf) = self.subbuf(sequence) else { return };
        let is_tagged = writer.tag(subbuf).is_some_and(|tag| tag.sequence == sequence);
        let mut behind = ring::position::FIRST_WORD;
        writer.events(subbuf, sequence, &mut |event| {
            if is_tagged && event.word > behind && behind < subbuf.published() {
                self.unsound.push((sequence, behind));
            }
            behind = event.end;
            self.events.push(event);
        });
        if is_tagged {
            if behind < subbuf.published() {
                self.unsound.push((sequence, behind));
            }
            self.tagged.push(sequence);
        }
    }
}
