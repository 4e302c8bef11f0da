//! The faults: what kind, where, and which bytes they change.
#![allow(unreachable_pub, reason = "a module of a test")]

use crate::world::{CORES, Random, World};
use ring::event::{Frame, frame};
use ring::format::{DATA_END, DATA_START, HEADER_SIZE, tail_line};
use ring::linux::{SUBBUF_COMMIT, SUBBUF_SIZE};
use ring::position::FIRST_WORD;

/// A cache line.
const LINE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    OneFlip,
    TwoFlipsNear,
    TwoFlipsFar,
    LineOfAnOlderLap,
    LineOfAnOlderBoot,
    LineOfZeros,
    LinesOfAnOlderLap,
    LinesOfAnOlderBoot,
    TornLine,
    CommitStale,
    CommitFlipped,
    CommitRandom,
    CommitHuge,
}

impl Kind {
    pub const ALL: [Self; 13] = [
        Self::OneFlip,
        Self::TwoFlipsNear,
        Self::TwoFlipsFar,
        Self::LineOfAnOlderLap,
        Self::LineOfAnOlderBoot,
        Self::LineOfZeros,
        Self::LinesOfAnOlderLap,
        Self::LinesOfAnOlderBoot,
        Self::TornLine,
        Self::CommitStale,
        Self::CommitFlipped,
        Self::CommitRandom,
        Self::CommitHuge,
    ];
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneFlip => "one bit flipped",
            Self::TwoFlipsNear => "two bits, near",
            Self::TwoFlipsFar => "two bits, far",
            Self::LineOfAnOlderLap => "line of an older lap",
            Self::LineOfAnOlderBoot => "line of an older boot",
            Self::LineOfZeros => "line of zeros",
            Self::LinesOfAnOlderLap => "2-32 lines, older lap",
            Self::LinesOfAnOlderBoot => "2-32 lines, older boot",
            Self::TornLine => "torn line",
            Self::CommitStale => "commit word stale",
            Self::CommitFlipped => "commit word flipped",
            Self::CommitRandom => "commit word random",
            Self::CommitHuge => "commit word huge",
        }
    }
    /// Whether older bytes come in, and nothing else: what was lost must be called stale.
    pub const fn is_stale(self) -> bool {
        matches!(
            self,
            Self::LineOfAnOlderLap | Self::LineOfAnOlderBoot | Self::LinesOfAnOlderLap | Self::LinesOfAnOlderBoot
        )
    }
    const fn is_commit(self) -> bool {
        matches!(self, Self::CommitStale | Self::CommitFlipped | Self::CommitRandom | Self::CommitHuge)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Events,
    SubBufferHeader,
    Tag,
    LinuxMeta,
    Tail,
    Headers,
}

impl Place {
    pub const ALL: [Self; 6] =
        [Self::Events, Self::SubBufferHeader, Self::Tag, Self::LinuxMeta, Self::Tail, Self::Headers];
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::SubBufferHeader => "sub-buffer headers",
            Self::Tag => "tags",
            Self::LinuxMeta => "Linux's headers",
            Self::Tail => "tail",
            Self::Headers => "region headers",
        }
    }
}

/// A fault: the bytes that it puts somewhere.
#[derive(Debug)]
pub struct Fault {
    pub kind: Kind,
    pub place: Place,
    /// Where, and what stands there then.
    pub edits: Vec<(usize, Vec<u8>)>,
    /// A whole older event is in what a stale fault brings: that it is stale can be told.
    pub brings_an_event: bool,
}

impl Fault {
    /// Draws a fault of a kind that changes something.
    pub fn draw(kind: Kind, world: &World, random: &mut Random) -> Self {
        loop {
            let place = match random.below(20) {
                _ if kind.is_commit() => Place::SubBufferHeader,
                n @ 0..5 => Place::ALL[n + 1],
                _ => Place::Events,
            };
            let older = match kind {
                Kind::LineOfAnOlderBoot | Kind::LinesOfAnOlderBoot => &world.boots[random.below(world.boots.len())],
                Kind::TornLine if random.below(2) == 0 => &world.boots[random.below(world.boots.len())],
                _ => &world.laps[random.below(world.laps.len())],
            };
            let mut edits = Self::edits(kind, place, older, world, random);
            edits.retain(|(at, bytes)| world.region[*at..*at + bytes.len()] != bytes[..]);
            if !edits.is_empty() {
                let (at, bytes) = &edits[0];
                let brings_an_event = kind.is_stale() && place == Place::Events && {
                    let subbuf = at / SUBBUF_SIZE as usize * SUBBUF_SIZE as usize;
                    holds_an_event(
                        &older[subbuf..subbuf + SUBBUF_SIZE as usize],
                        at - subbuf..at - subbuf + bytes.len(),
                    )
                };
                return Self { kind, place, edits, brings_an_event };
            }
        }
    }

    fn edits(kind: Kind, place: Place, older: &[u8], world: &World, random: &mut Random) -> Vec<(usize, Vec<u8>)> {
        let at = spot(place, world, random);
        let line = at / LINE * LINE;
        let now = |at: usize| world.region[at];
        let bit = 1u8 << random.below(8);
        let commit = at / SUBBUF_SIZE as usize * SUBBUF_SIZE as usize + SUBBUF_COMMIT as usize;
        match kind {
            Kind::OneFlip => vec![(at, vec![now(at) ^ bit])],
            Kind::TwoFlipsNear => {
                let other = line + random.below(LINE);
                if other == at {
                    let second = 1u8 << random.below(8);
                    return vec![(at, vec![now(at) ^ bit ^ if second == bit { bit.rotate_left(1) } else { second }])];
                }
                vec![(at, vec![now(at) ^ bit]), (other, vec![now(other) ^ 1 << random.below(8)])]
            }
            Kind::TwoFlipsFar => {
                let other = spot(place, world, random);
                let other = if other == at { at ^ LINE } else { other };
                vec![(at, vec![now(at) ^ bit]), (other, vec![now(other) ^ 1 << random.below(8)])]
            }
            Kind::LineOfAnOlderLap | Kind::LineOfAnOlderBoot => vec![(line, older[line..line + LINE].to_vec())],
            Kind::LineOfZeros => vec![(line, vec![0; LINE])],
            Kind::LinesOfAnOlderLap | Kind::LinesOfAnOlderBoot => {
                let end = (line + LINE * (2 + random.below(31))).min(line / 4096 * 4096 + 4096);
                vec![(line, older[line..end].to_vec())]
            }
            Kind::TornLine => {
                let cut = 8 * (1 + random.below(7));
                let torn = if random.below(2) == 0 { line..line + cut } else { line + cut..line + LINE };
                vec![(torn.start, older[torn].to_vec())]
            }
            Kind::CommitStale => vec![(commit, older[commit..commit + 8].to_vec())],
            Kind::CommitFlipped => {
                let at = commit + random.below(8);
                vec![(at, vec![now(at) ^ bit])]
            }
            Kind::CommitRandom => {
                let mask = if random.below(2) == 0 { u64::MAX } else { 0xfff };
                vec![(commit, (random.next() & mask).to_le_bytes().to_vec())]
            }
            Kind::CommitHuge => {
                let huge = [u64::MAX, u64::from(u32::MAX), 0xf_ffff, 4096, 4080, 1 << 63][random.below(6)];
                vec![(commit, huge.to_le_bytes().to_vec())]
            }
        }
    }
}

/// Whether an event of a good sub-buffer lies between these bytes of it.
fn holds_an_event(subbuf: &[u8], bytes: std::ops::Range<usize>) -> bool {
    let load = |word: u32| u32::from_le_bytes(*subbuf[4 * word as usize..].first_chunk().expect("inside"));
    let mut word = FIRST_WORD;
    while let Frame::Event(event) = frame(word, load) {
        if 4 * word as usize >= bytes.start && 4 * event.end(word) as usize <= bytes.end {
            return true;
        }
        word = event.end(word);
    }
    false
}

/// A byte of a place.
fn spot(place: Place, world: &World, random: &mut Random) -> usize {
    let geometry = &world.geometry;
    let ring = world.ring(random.below(CORES as usize) as u32);
    let subbuf = ring.start + random.below(geometry.ring() as usize) * SUBBUF_SIZE as usize;
    match place {
        Place::Events => subbuf + DATA_START as usize + random.below((DATA_END - DATA_START) as usize),
        Place::SubBufferHeader => subbuf + random.below(DATA_START as usize),
        Place::Tag => subbuf + DATA_END as usize + random.below((SUBBUF_SIZE - DATA_END) as usize),
        Place::LinuxMeta => {
            // The global header and every core's; the scratch area between them is all zeros.
            let core = random.below(CORES as usize) as u64;
            let cpu = ring::linux::cpu_offset(core, geometry.subbufs) as usize;
            world.bank()
                + match random.below(4) {
                    0 => random.below(24),
                    _ => cpu + random.below(32 + 4 * geometry.subbufs as usize),
                }
        }
        Place::Tail => {
            let lines = tail_line::CORES + CORES * tail_line::PER_CORE;
            // Half of it where the cores' counters are.
            let from = if random.below(2) == 0 { tail_line::CORES } else { 0 };
            let line = from + random.below((lines - from) as usize) as u32;
            world.bank() + geometry.tail(line) as usize + random.below(LINE)
        }
        Place::Headers => {
            let page = if random.below(2) == 0 { 0 } else { geometry.header_b() as usize };
            // The lines that are in use, mostly.
            let within = if random.below(8) == 0 { HEADER_SIZE as usize } else { 3 * LINE };
            page + random.below(within)
        }
    }
}
