//! What stands at a place of a region, in words: so that a lost line says what it was.

use ring::format::{DATA_END, Geometry, HEADER_SIZE, LINE_SIZE, header_line, tail_line};
use ring::linux::{self, SUBBUF_HEADER, SUBBUF_SIZE};
use std::fmt;

/// A place in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of one of the two headers.
    Header {
        /// `A` or `B`.
        copy: char,
        /// Which one.
        line: u32,
    },
    /// A place in a bank.
    Bank {
        /// Which bank.
        bank: u32,
        /// What it is.
        part: Part,
    },
    /// Between the last bank and header B, or behind the region: nobody's.
    Nobodys,
}

/// A place in a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Linux's global header, and its scratch area.
    Global,
    /// Linux's header of a core's ring.
    LinuxHeader {
        /// Whose.
        core: u32,
    },
    /// Linux's order of a core's sub-buffers, and what stands between that and the first one.
    Order {
        /// Whose.
        core: u32,
    },
    /// Linux's reader's page, which stays empty.
    ReadersPage {
        /// Whose.
        core: u32,
    },
    /// A sub-buffer.
    SubBuffer {
        /// Whose.
        core: u32,
        /// Where in the core's ring, from 0.
        slot: u64,
        /// Its sequence number, where that is known.
        sequence: Option<u64>,
        /// What of it.
        inside: Inside,
    },
    /// A line of the tail that is the whole boot's.
    Tail {
        /// Its number.
        line: u32,
    },
    /// A line of the tail that is a core's.
    Core {
        /// Whose.
        core: u32,
        /// Which of its lines.
        line: u32,
    },
    /// Parity of a core's sub-buffer.
    Parity {
        /// Whose.
        core: u32,
        /// Of which place in its ring.
        slot: u64,
    },
    /// Between two parts, for the sake of alignment.
    Gap,
}

/// A place in a sub-buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// Time and commit word.
    Header,
    /// Events.
    Events,
    /// The tag.
    Tag,
}

impl Place {
    /// The core that it belongs to, in a bank.
    #[must_use]
    pub fn core(&self) -> Option<u32> {
        let Self::Bank { part, .. } = self else { return None };
        match *part {
            Part::LinuxHeader { core }
            | Part::Order { core }
            | Part::ReadersPage { core }
            | Part::SubBuffer { core, .. }
            | Part::Core { core, .. }
            | Part::Parity { core, .. } => Some(core),
            Part::Global | Part::Tail { .. } | Part::Gap => None,
        }
    }
}

/// Says what stands so many bytes from a region's beginning. Which sub-buffer stands in a place of a ring, the geometry does
/// not say.
#[must_use]
pub fn place(geometry: &Geometry, at: u64) -> Place {
    if at < HEADER_SIZE {
        return Place::Header { copy: 'A', line: (at / LINE_SIZE) as u32 };
    }
    if at >= geometry.region_size {
        return Place::Nobodys;
    }
    if at >= geometry.header_b() {
        return Place::Header { copy: 'B', line: ((at - geometry.header_b()) / LINE_SIZE) as u32 };
    }
    let (bank, inside) = ((at - HEADER_SIZE) / geometry.bank_size, (at - HEADER_SIZE) % geometry.bank_size);
    if bank >= u64::from(geometry.banks) {
        return Place::Nobodys;
    }
    let part = match inside.checked_sub(geometry.tail(0)) {
        Some(at) => tail(geometry, (at / LINE_SIZE) as u32),
        None => linux_part(geometry, inside),
    };
    Place::Bank { bank: bank as u32, part }
}

fn tail(geometry: &Geometry, line: u32) -> Part {
    let parity = u64::from(geometry.parity_line(0, 0));
    match line.checked_sub(tail_line::CORES) {
        None => Part::Tail { line },
        Some(of_cores) if of_cores < geometry.cores * tail_line::PER_CORE => {
            Part::Core { core: of_cores / tail_line::PER_CORE, line: of_cores % tail_line::PER_CORE }
        }
        Some(_) => {
            let subbuf = u64::from(line).checked_sub(parity).map(|at| at / (1 + u64::from(geometry.parity)));
            match subbuf.filter(|_| geometry.parity > 0) {
                Some(subbuf) if subbuf < u64::from(geometry.cores) * geometry.ring() => {
                    Part::Parity { core: (subbuf / geometry.ring()) as u32, slot: subbuf % geometry.ring() }
                }
                _ => Part::Gap,
            }
        }
    }
}

fn linux_part(geometry: &Geometry, inside: u64) -> Part {
    let begin = |core: u32| linux::cpu_offset(u64::from(core), geometry.subbufs);
    let Some(core) = (0..geometry.cores).rev().find(|core| inside >= begin(*core)) else { return Part::Global };
    let pages = linux::subbufs_offset(u64::from(core), geometry.subbufs);
    let Some(at) = inside.checked_sub(pages) else {
        let is_header = inside - begin(core) < linux::CPU_HEADER;
        return if is_header { Part::LinuxHeader { core } } else { Part::Order { core } };
    };
    let inside = match at % SUBBUF_SIZE {
        0..SUBBUF_HEADER => Inside::Header,
        SUBBUF_HEADER..DATA_END => Inside::Events,
        _ => Inside::Tag,
    };
    match (at / SUBBUF_SIZE).checked_sub(1) {
        None => Part::ReadersPage { core },
        Some(slot) if slot < geometry.ring() => Part::SubBuffer { core, slot, sequence: None, inside },
        Some(_) => Part::Gap,
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Header { copy, line } => {
                write!(f, "header {copy}: ")?;
                match line {
                    header_line::IDENTITY => f.write_str("identity"),
                    header_line::LIFE => f.write_str("life"),
                    _ => write!(f, "record of bank {}", line - header_line::BANK),
                }
            }
            Self::Bank { bank, part } => write!(f, "bank {bank}, {part}"),
            Self::Nobodys => f.write_str("a place of nobody, behind the last bank"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Global => f.write_str("Linux's global header"),
            Self::LinuxHeader { core } => write!(f, "core {core}: Linux's header of the ring"),
            Self::Order { core } => write!(f, "core {core}: Linux's order of the sub-buffers"),
            Self::ReadersPage { core } => write!(f, "core {core}: Linux's reader's page"),
            Self::SubBuffer { core, slot, sequence, inside } => {
                write!(f, "core {core}: ")?;
                match sequence {
                    Some(sequence) => write!(f, "sub-buffer {sequence} (place {slot})")?,
                    None => write!(f, "sub-buffer in place {slot}")?,
                }
                f.write_str(match inside {
                    Inside::Header => ", time and commit word",
                    Inside::Events => ", events",
                    Inside::Tag => ", tag",
                })
            }
            Self::Tail { line } => write!(f, "tail: {}", tail_name(line)),
            Self::Core { core, line } => write!(f, "tail: {} of core {core}", core_name(line)),
            Self::Parity { core, slot } => write!(f, "tail: parity of core {core}'s sub-buffer in place {slot}"),
            Self::Gap => f.write_str("between two parts"),
        }
    }
}

fn core_name(line: u32) -> &'static str {
    match line {
        tail_line::COUNTERS => "counters",
        tail_line::STOP => "stop record",
        tail_line::LAST_LOCATION => "last words (where)",
        _ => "last words",
    }
}

fn tail_name(line: u32) -> &'static str {
    match line {
        tail_line::BANK => "bank record",
        tail_line::BUILD => "build id",
        tail_line::BOARD => "name of the board",
        tail_line::PANIC_ADDRESS => "panic's fault address",
        tail_line::PANIC_NESTED..tail_line::PANIC => "panics in the panic path",
        tail_line::PANIC => "panic record",
        tail_line::PANIC_MESSAGE..tail_line::PANIC_LOCATION => "panic's message",
        tail_line::PANIC_LOCATION..tail_line::PANIC_REGISTERS => "panic's place",
        tail_line::PANIC_REGISTERS..tail_line::PANIC_BACKTRACE => "panic's registers",
        tail_line::PANIC_BACKTRACE..tail_line::PANIC_SECOND => "panic's backtrace",
        tail_line::PANIC_SECOND..tail_line::SCHEMA => "message of the panic in the panic path",
        _ => "schema",
    }
}
