//! What stands at a place of a region, in words: so that a lost line says what it was.

use ring::format::{Geometry, HEADER_SIZE, LINE_SIZE, header_line, tail_line};
use ring::linux::{self, SUBBUF_SIZE};
use std::fmt;

/// A place in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bank it is in.
    pub bank: Option<u32>,
    /// The core it belongs to.
    pub core: Option<u32>,
    what: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(bank) = self.bank {
            write!(f, "bank {bank}, ")?;
        }
        if let Some(core) = self.core {
            write!(f, "core {core}, ")?;
        }
        f.write_str(&self.what)
    }
}

/// Says what stands so many bytes from a region's beginning.
#[must_use]
pub fn place(geometry: &Geometry, at: u64) -> Place {
    let nowhere = |what: String| Place { bank: None, core: None, what };
    if at < HEADER_SIZE {
        return nowhere(format!("header A, {}", header(at)));
    }
    if at >= geometry.header_b() {
        return nowhere(format!("header B, {}", header(at - geometry.header_b())));
    }
    let (bank, inside) = ((at - HEADER_SIZE) / geometry.bank_size, (at - HEADER_SIZE) % geometry.bank_size);
    if bank >= u64::from(geometry.banks) {
        return nowhere("unused, behind the last bank".into());
    }
    let (core, what) = if inside >= geometry.tail(0) {
        tail(geometry, inside - geometry.tail(0))
    } else {
        linux_part(geometry, inside)
    };
    Place { bank: Some(bank as u32), core, what }
}

fn header(at: u64) -> String {
    match (at / LINE_SIZE) as u32 {
        header_line::IDENTITY => "identity".into(),
        header_line::LIFE => "life".into(),
        line => format!("record of bank {}", line - header_line::BANK),
    }
}

fn tail(geometry: &Geometry, at: u64) -> (Option<u32>, String) {
    let line = (at / LINE_SIZE) as u32;
    let what = match line {
        tail_line::BANK => "bank record",
        tail_line::BUILD => "build id",
        tail_line::BOARD => "name of the board",
        tail_line::PANIC_ADDRESS => "panic's fault address",
        tail_line::PANIC_NESTED..tail_line::PANIC => "panics in the panic path",
        tail_line::PANIC => "panic record",
        tail_line::PANIC_MESSAGE..tail_line::PANIC_LOCATION => "panic's message",
        tail_line::PANIC_LOCATION..tail_line::PANIC_REGISTERS => "panic's location",
        tail_line::PANIC_REGISTERS..tail_line::PANIC_BACKTRACE => "panic's registers",
        tail_line::PANIC_BACKTRACE..tail_line::PANIC_SECOND => "panic's backtrace",
        tail_line::PANIC_SECOND..tail_line::SCHEMA => "message of the second panic",
        tail_line::SCHEMA..tail_line::CORES => "schema",
        line if line >= tail_line::CORES + geometry.cores * tail_line::PER_CORE => "parity",
        _ => {
            let (core, line) =
                ((line - tail_line::CORES) / tail_line::PER_CORE, (line - tail_line::CORES) % tail_line::PER_CORE);
            let what = match line {
                tail_line::COUNTERS => "counters",
                tail_line::STOP => "stop record",
                _ => "last words",
            };
            return (Some(core), what.into());
        }
    };
    (None, what.into())
}

fn linux_part(geometry: &Geometry, inside: u64) -> (Option<u32>, String) {
    let core = (0..geometry.cores).rev().find(|core| inside >= linux::cpu_offset(u64::from(*core), geometry.subbufs));
    let Some(core) = core else { return (None, "Linux's global header".into()) };
    let first = geometry.subbuf(core, 0);
    let what = match inside.checked_sub(first) {
        None => "Linux's header of the ring, or the reader's page".into(),
        Some(at) => {
            let part = match at % SUBBUF_SIZE {
                0..LINE_SIZE => "header and first events",
                at if at >= SUBBUF_SIZE - LINE_SIZE => "tag and last events",
                _ => "events",
            };
            format!("sub-buffer in slot {}, {part} (byte {:#x})", at / SUBBUF_SIZE, at % SUBBUF_SIZE)
        }
    };
    (Some(core), what)
}
