//! How an event lies in a sub-buffer: Linux's event header and time records, and where our check is.

use crate::format::{CHECK_SIZE, COMMON_HEADER, FIELDS_MAX};
use crate::position::{END_WORD, FIRST_WORD};

/// Linux's type_len values.
mod type_len {
    /// Data too long for the field: its length is in a second word.
    pub(super) const LONG: u32 = 0;
    /// Most 4-byte words of data that the field itself can say.
    pub(super) const SHORT_MAX: u32 = 28;
    /// Padding: with delta 0 the end of the sub-buffer, else a discarded event.
    pub(super) const PADDING: u32 = 29;
    /// Adds 59 bits to the time.
    pub(super) const EXTEND: u32 = 30;
    /// Sets the lower 59 bits of the time.
    pub(super) const ABSOLUTE: u32 = 31;
    pub(super) const BITS: u32 = 5;
    pub(super) const MASK: u32 = (1 << BITS) - 1;
}

/// Bits of a delta in an event header.
pub const DELTA_BITS: u32 = 27;
/// Bits of a time record.
pub const TIME_BITS: u32 = 59;
/// Words of a time record.
pub const TIME_WORDS: u32 = 2;

/// An event header.
#[inline(always)]
const fn header(kind: u32, delta: u32) -> u32 {
    delta << type_len::BITS | kind
}

/// The word that ends a sub-buffer's data before its end.
pub const END_OF_DATA: u32 = header(type_len::PADDING, 0);

/// The size of an event with `fields` bytes of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of data: common header, fields, zeros, check. A multiple of 4.
    data: u32,
}

impl Shape {
    /// The shape for so many bytes of fields; `None` for more than [`FIELDS_MAX`].
    #[inline(always)]
    #[must_use]
    pub const fn of(fields: usize) -> Option<Self> {
        if fields > FIELDS_MAX {
            return None;
        }
        Some(Self { data: (COMMON_HEADER + fields.next_multiple_of(4) + CHECK_SIZE) as u32 })
    }
    /// Whether the length stands in a word of its own.
    #[inline(always)]
    #[must_use]
    pub const fn is_long(self) -> bool {
        self.data > 4 * type_len::SHORT_MAX
    }
    /// Words from the event header to the end of the check.
    #[inline(always)]
    #[must_use]
    pub const fn words(self) -> u32 {
        1 + self.is_long() as u32 + self.data / 4
    }
    /// The event header for a delta below 2^27.
    #[inline(always)]
    #[must_use]
    pub const fn header(self, delta: u32) -> u32 {
        header(if self.is_long() { type_len::LONG } else { self.data / 4 }, delta)
    }
    /// The second word of a long event: what Linux counts is the data and this word itself.
    #[inline(always)]
    #[must_use]
    pub const fn length(self) -> u32 {
        self.data + 4
    }
    /// The first three words of the same bytes as a discarded event: header, length, and whether the delta is only
    /// claimed. Delta 0 would mean the end of the data, so a discarded event that had none claims one nanosecond.
    #[must_use]
    pub const fn discarded(self, delta: u32) -> [u32; 3] {
        let claimed = (delta == 0) as u32;
        [header(type_len::PADDING, delta + claimed), self.words() * 4 - 4, claimed]
    }
}

/// A time record that adds `delta` (59 bits) to the time.
#[inline(always)]
#[must_use]
pub const fn extend(delta: u64) -> u64 {
    time_record(type_len::EXTEND, delta)
}

/// A time record that sets the lower 59 bits of the time.
#[inline(always)]
#[must_use]
pub const fn absolute(time: u64) -> u64 {
    time_record(type_len::ABSOLUTE, time)
}

#[inline(always)]
const fn time_record(kind: u32, value: u64) -> u64 {
    let low = value as u32 & ((1 << DELTA_BITS) - 1);
    let high = (value >> DELTA_BITS) as u32;
    header(kind, low) as u64 | (high as u64) << 32
}

/// How the time of an event follows from the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// So many nanoseconds later.
    Delta(u64),
    /// At this time, whose upper five bits are those of the time before.
    Absolute(u64),
}

/// An event as its bytes say it is, not yet verified: a time record, if any, and the event behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed {
    /// Words from the first to the last, check included.
    pub words: u32,
    /// Word at which the common header begins.
    pub data: u32,
    /// Its time.
    pub time: Time,
    /// It was reserved and then discarded by its writer.
    pub discarded: bool,
}

impl Framed {
    /// Word behind the event, when it begins at `word`.
    #[must_use]
    pub const fn end(&self, word: u32) -> u32 {
        word + self.words
    }
}

/// What stands at a word of a sub-buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Something shaped like an event of ours that ends inside the data.
    Event(Framed),
    /// The mark of the end, or the end itself.
    End,
    /// Nothing that can be an event of ours.
    Nothing,
}

/// Reads what stands at `word` of a sub-buffer. `load` reads a word of it and is asked for words below [`END_WORD`] only.
#[inline]
pub fn frame(word: u32, load: impl Fn(u32) -> u32) -> Frame {
    if word >= END_WORD {
        return Frame::End;
    }
    if word < FIRST_WORD {
        return Frame::Nothing;
    }
    let mut at = word;
    let mut first = load(at);
    let mut record = None;
    let kind = first & type_len::MASK;
    if kind == type_len::EXTEND || kind == type_len::ABSOLUTE {
        if at + TIME_WORDS >= END_WORD {
            return Frame::Nothing;
        }
        let value = u64::from(load(at + 1)) << DELTA_BITS | u64::from(first >> type_len::BITS);
        record = Some((kind, value));
        at += TIME_WORDS;
        first = load(at);
    }
    let mut delta = u64::from(first >> type_len::BITS);
    let (data, end, discarded) = match first & type_len::MASK {
        type_len::PADDING if delta == 0 => {
            return if record.is_none() { Frame::End } else { Frame::Nothing };
        }
        kind @ (type_len::LONG | type_len::PADDING) => {
            if at + 1 >= END_WORD {
                return Frame::Nothing;
            }
            // Both count the bytes behind the event header; a discarded event's data keeps the shape it had.
            let length = load(at + 1);
            if !length.is_multiple_of(4) || length > 4 * END_WORD {
                return Frame::Nothing;
            }
            let discarded = kind == type_len::PADDING;
            (at + if discarded { 1 } else { 2 }, at + 1 + length / 4, discarded)
        }
        kind @ 1..=type_len::SHORT_MAX => (at + 1, at + 1 + kind, false),
        _ => return Frame::Nothing,
    };
    let least = (COMMON_HEADER + CHECK_SIZE) as u32 / 4;
    if end > END_WORD || end < data + least {
        return Frame::Nothing;
    }
    if discarded && delta == 1 && load(at + 2) == 1 {
        delta = 0;
    }
    let time = match record {
        None => Time::Delta(delta),
        Some((type_len::EXTEND, value)) => Time::Delta(value.saturating_add(delta)),
        Some((_, value)) => Time::Absolute(value.saturating_add(delta)),
    };
    Frame::Event(Framed { words: end - word, data, time, discarded })
}

impl Time {
    /// The time of an event whose predecessor was at `before`.
    #[must_use]
    pub const fn after(self, before: u64) -> u64 {
        match self {
            Self::Delta(delta) => before.wrapping_add(delta),
            Self::Absolute(low) => before >> TIME_BITS << TIME_BITS | low & ((1 << TIME_BITS) - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(words: &[u32]) -> Frame {
        frame(FIRST_WORD, |w| words.get((w - FIRST_WORD) as usize).copied().unwrap_or(0))
    }

    #[test]
    fn every_size_of_fields_comes_back_from_its_header() {
        for fields in 0..=FIELDS_MAX {
            let shape = Shape::of(fields).unwrap();
            let Frame::Event(event) = framed(&[shape.header(77), shape.length()]) else { panic!("{fields}") };
            assert_eq!(event.words, shape.words());
            assert_eq!(event.time, Time::Delta(77));
            assert!(((event.words - (event.data - FIRST_WORD)) * 4) as usize >= 8 + fields + 4);
        }
        assert_eq!(Shape::of(FIELDS_MAX + 1), None);
    }

    #[test]
    fn the_largest_event_fits_with_a_time_record() {
        let words = Shape::of(FIELDS_MAX).unwrap().words() + TIME_WORDS;
        assert_eq!(FIRST_WORD + words, END_WORD);
    }

    #[test]
    fn time_records_carry_59_bits() {
        let shape = Shape::of(4).unwrap();
        let time = (1 << TIME_BITS) - 12345;
        for (record, expected) in [(extend(time), Time::Delta(time)), (absolute(time), Time::Absolute(time))] {
            let Frame::Event(event) = framed(&[record as u32, (record >> 32) as u32, shape.header(0)]) else {
                panic!()
            };
            assert_eq!((event.time, event.words), (expected, shape.words() + 2));
        }
        assert_eq!(Time::Absolute(5).after(7 << 59 | 99), 7 << 59 | 5);
    }

    #[test]
    fn a_discarded_event_keeps_its_size_and_its_time() {
        for fields in [0, 16, 104, 4000] {
            let shape = Shape::of(fields).unwrap();
            for delta in [0, 1, 77] {
                let Frame::Event(event) = framed(&shape.discarded(delta)) else { panic!() };
                assert!(event.discarded);
                assert_eq!((event.words, event.time), (shape.words(), Time::Delta(u64::from(delta))));
            }
        }
    }

    #[test]
    fn what_cannot_be_an_event_is_nothing() {
        assert_eq!(framed(&[END_OF_DATA]), Frame::End);
        assert_eq!(framed(&[0, 0]), Frame::Nothing);
        assert_eq!(framed(&[0, 7]), Frame::Nothing);
        assert_eq!(framed(&[0, u32::MAX]), Frame::Nothing);
        assert_eq!(framed(&[1]), Frame::Nothing);
        assert_eq!(framed(&[30, 0, 30]), Frame::Nothing);
        assert_eq!(frame(END_WORD, |_| panic!()), Frame::End);
        assert_eq!(frame(END_WORD - 1, |w| if w < END_WORD { 28 } else { panic!() }), Frame::Nothing);
        assert_eq!(frame(0, |_| panic!()), Frame::Nothing);
    }
}
