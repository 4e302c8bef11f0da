//! What the plugin says after each reset, as frames on a byte stream: eight bytes of length, then the [`Reset`] in postcard's
//! encoding.

use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// The line that the plugin writes to QEMU's standard output at each reset, where [`crate::options::Options::mark`] is set:
/// this, the reset's number, a newline. What the console shows before it was printed before the reset.
pub const MARK: &str = "\n\x1ereset ";

/// A frame is not longer than this: two gigabytes of RAM, twice.
const FRAME_MAX: u64 = 5 << 30;

/// One reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// 1 for the first one; the machine's start is none.
    pub number: u64,
    /// Why there was one.
    pub cause: Cause,
    /// Counts since the reset before.
    pub counts: Counts,
    /// The range as the cores saw it, at the instant of the reset.
    #[serde(with = "serde_bytes")]
    pub before: Vec<u8>,
    /// The range as the next boot finds it.
    #[serde(with = "serde_bytes")]
    pub after: Vec<u8>,
    /// Each line that was dirty and is lost, in the order of places.
    pub lost: Vec<Lost>,
    /// Each bit that turned over, by its number from the range's beginning, and what it is now, in the order of chance.
    pub flipped: Vec<(u64, bool)>,
    /// How often each watched instruction was executed since the arming, in the order of [`crate::options::Options::watch`].
    pub watched: Vec<u64>,
}

/// Why there was a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The guest, a watchdog or somebody at the emulator wanted it.
    #[default]
    Guest,
    /// The plugin, right behind this operation; nothing that came behind it has happened.
    Point(Operation),
    /// The plugin asked for it at this operation; cores went on for a while.
    Instant(Operation),
}

/// A store, clean or barrier of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The how many-th since the arming, from 1 on.
    pub ordinal: u64,
    /// What.
    pub access: Access,
    /// Whose.
    pub core: u32,
    /// Where in the program: a physical address.
    pub pc: u64,
    /// The physical address that is stored to or cleaned; 0 for a barrier.
    pub address: u64,
}

/// Kinds of [`Operation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// A store into the range.
    Store,
    /// A clean of a line in the range.
    Clean,
    /// A DSB while cleans are under way.
    Barrier,
}

/// What happened between two resets. Lines are those of the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Stores; counted only where stores are followed.
    pub stores: u64,
    /// Lines that were written and are in memory or lost now: useful cleans, lucky evictions and losses together.
    pub written: u64,
    /// Cleans that brought something to memory.
    pub useful: u64,
    /// Cleans of lines that memory held already.
    pub redundant: u64,
    /// Cleans that no DSB had completed at the reset: they did nothing.
    pub unfinished: u64,
    /// Cleans before which a barrier was missing: another core had stored to the line since this core's last one. They did
    /// nothing. Noticed only where stores are followed.
    pub unordered: u64,
    /// Dirty lines that were in memory by chance, at the reset.
    pub evicted: u64,
    /// Lines that were evicted right behind a store.
    pub spilled: u64,
    /// Dirty lines that were lost.
    pub lost: u64,
    /// Bits that turned over in memory.
    pub flipped: u64,
    /// Pages of DRAM whose content was lost.
    pub pages: u64,
    /// All of memory lost its content.
    pub power: bool,
}

/// A line that was dirty and is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Where the line begins, in bytes from the range's beginning.
    pub at: u64,
    /// The last store to it, where stores are followed: the instruction's physical address, and the core.
    pub stored: Option<(u64, u32)>,
    /// It had been cleaned after that store, and no DSB completed the clean.
    pub unfinished: bool,
}

impl Reset {
    /// Writes it as a frame.
    ///
    /// # Errors
    /// Nobody reads, or the stream is closed.
    pub fn send(&self, to: &mut impl Write) -> io::Result<()> {
        let bytes = postcard::to_stdvec(self).map_err(io::Error::other)?;
        to.write_all(&(bytes.len() as u64).to_le_bytes())?;
        to.write_all(&bytes)?;
        to.flush()
    }

    /// Reads the next frame; None at the stream's end.
    ///
    /// # Errors
    /// The stream ends in the middle of a frame, or holds something else.
    pub fn receive(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut length = [0; 8];
        match from.read(&mut length[..1])? {
            0 => return Ok(None),
            _ => from.read_exact(&mut length[1..])?,
        }
        let length = u64::from_le_bytes(length);
        if length > FRAME_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
        }
        let mut bytes = Vec::new();
        from.take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        postcard::from_bytes(&bytes).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reset(number: u64) -> Reset {
        let operation = Operation { ordinal: 7, access: Access::Clean, core: 3, pc: 0x4020_1234, address: 0x5000_0040 };
        Reset {
            number,
            cause: Cause::Point(operation),
            counts: Counts { lost: 1, ..Counts::default() },
            before: vec![1; 128],
            after: vec![0; 128],
            lost: vec![Lost { at: 64, stored: Some((0x4020_1230, 3)), unfinished: true }],
            flipped: vec![(9, true)],
            watched: vec![1, 0],
        }
    }

    #[test]
    fn frames_come_out_as_they_went_in() {
        let mut stream = Vec::new();
        reset(1).send(&mut stream).unwrap();
        reset(2).send(&mut stream).unwrap();
        let mut from = stream.as_slice();
        assert_eq!(Reset::receive(&mut from).unwrap(), Some(reset(1)));
        assert_eq!(Reset::receive(&mut from).unwrap(), Some(reset(2)));
        assert_eq!(Reset::receive(&mut from).unwrap(), None);
    }

    #[test]
    fn a_torn_stream_is_an_error() {
        let mut stream = Vec::new();
        reset(1).send(&mut stream).unwrap();
        for length in 1..stream.len() {
            assert!(Reset::receive(&mut &stream[..length]).is_err(), "{length} of {} bytes", stream.len());
        }
        assert!(Reset::receive(&mut [0xff; 16].as_slice()).is_err());
    }
}
