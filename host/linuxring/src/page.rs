//! A sub-buffer: how events follow each other in it, and what of it can be believed.
//!
//! Nothing in a sub-buffer is checked by a sum. What there is to hold on to: events fill it from its beginning to the commit
//! word without a gap; a sub-buffer that is not the newest is full; each event begins with a common header whose type is not
//! zero and whose pid is one that Linux gives out.

use crate::layout::{COMMIT_MASK, MISSED, MISSED_STORED, PAGE_HEADER};
use trace::LossKind;

/// Bytes of the common header: type u16, flags u8, preempt count u8, pid i32.
pub(crate) const COMMON: usize = 8;
/// The largest pid that Linux gives out.
pub(crate) const PID_MAX: i32 = 1 << 22;
const PADDING: u32 = 29;
const EXTEND: u32 = 30;
const ABSOLUTE: u32 = 31;
const KIND_BITS: u32 = 5;
const DELTA_BITS: u32 = 27;
const TIME_BITS: u32 = 59;
/// Fewest bytes that Linux marks as unused at the end of a full sub-buffer, rather than counting them.
const EVENT_MIN: usize = 8;

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// An event whose data are there.
    Data { delta: u32, data: usize, len: usize },
    /// One that was discarded: Linux does not count its time.
    Discarded { len: usize },
    /// The mark of the end.
    End,
    /// So much later.
    Extend(u64),
    /// At this time, up to its five highest bits.
    Absolute(u64),
}

impl Frame {
    /// Bytes from its first to its last.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Data { len, .. } | Self::Discarded { len } => *len,
            Self::End => 0,
            Self::Extend(_) | Self::Absolute(_) => 8,
        }
    }
}

#[inline(always)]
fn word(page: &[u8], at: usize) -> Option<u32> {
    page.get(at..at + 4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// What stands at `at`, if it ends before `end` and can be an event of Linux's.
#[inline]
pub(crate) fn frame(page: &[u8], at: usize, end: usize) -> Option<Frame> {
    let first = word(page, at).filter(|_| at + 4 <= end)?;
    let delta = first >> KIND_BITS;
    let frame = match first & ((1 << KIND_BITS) - 1) {
        PADDING if delta == 0 => return Some(Frame::End),
        kind @ (0 | PADDING) => {
            let length = word(page, at + 4).filter(|length| length % 4 == 0 && *length >= 4)? as usize;
            if length > page.len() {
                return None;
            }
            let len = 4 + length;
            if kind == PADDING { Frame::Discarded { len } } else { Frame::Data { delta, data: at + 8, len } }
        }
        kind @ (EXTEND | ABSOLUTE) => {
            let time = u64::from(word(page, at + 4)?) << DELTA_BITS | u64::from(delta);
            if kind == EXTEND { Frame::Extend(time) } else { Frame::Absolute(time) }
        }
        words => Frame::Data { delta, data: at + 4, len: 4 + 4 * words as usize },
    };
    if at + frame.len() > end {
        return None;
    }
    let Frame::Data { data, len, .. } = frame else { return Some(frame) };
    if at + len < data + COMMON {
        return None;
    }
    let common = word(page, data)?;
    let pid = word(page, data + 4)?.cast_signed();
    ((common & 0xffff) != 0 && (-1..=PID_MAX).contains(&pid)).then_some(frame)
}

/// The time behind a time record or an event's own delta.
#[inline(always)]
pub(crate) fn later(time: u64, frame: &Frame) -> u64 {
    match frame {
        Frame::Data { delta, .. } => time.wrapping_add(u64::from(*delta)),
        Frame::Extend(delta) => time.wrapping_add(*delta),
        Frame::Absolute(low) => time >> TIME_BITS << TIME_BITS | low & ((1 << TIME_BITS) - 1),
        Frame::Discarded { .. } | Frame::End => time,
    }
}

/// A part of a sub-buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) what: What,
}

/// What can be said of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Events follow each other from its first byte to its last.
    Events {
        /// The commit word does not reach it.
        beyond_commit: bool,
        /// The time at its beginning follows from what is before it.
        certain: bool,
    },
    /// Nothing that can be shown.
    Lost { kind: LossKind, why: &'static str },
}

/// What is known of the sub-buffer's surroundings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Others follow it: it was full when they were begun.
    pub(crate) is_full: bool,
    /// Time stamp of the one that follows, if there is one.
    pub(crate) next_time: Option<u64>,
}

/// A sub-buffer taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) spans: Vec<Span>,
    /// Everything that the commit word counts is events, and it counts everything.
    pub(crate) whole: bool,
    /// Bytes of data up to the last event.
    pub(crate) data: usize,
    /// How many events Linux missed before it, 0 if it does not say; `None` if it missed none.
    pub(crate) missed: Option<u64>,
    /// The time of its last event, as far as it is known.
    pub(crate) end_time: u64,
}

const GOOD: What = What::Events { beyond_commit: false, certain: true };
const BEYOND: What = What::Events { beyond_commit: true, certain: true };
const RESUMED: What = What::Events { beyond_commit: false, certain: false };

const fn lost(from: usize, to: usize, kind: LossKind, why: &'static str) -> Span {
    Span { from, to, what: What::Lost { kind, why } }
}

/// Follows events from `from` to `end`: the place of the first thing that is none, and the time of the last event before it.
fn follow(page: &[u8], from: usize, end: usize, mut time: u64) -> (usize, u64) {
    let mut at = from;
    while at < end {
        match frame(page, at, end) {
            None | Some(Frame::End) => break,
            Some(frame) => {
                time = later(time, &frame);
                at += frame.len();
            }
        }
    }
    (at, time)
}

/// The place of the first event that is not credible, or `broken`, where something stands that can be none.
fn first_incredible(page: &[u8], broken: usize, end: usize, is_credible: &dyn Fn(usize) -> bool) -> usize {
    let mut at = PAGE_HEADER;
    while at < broken && is_credible(at) {
        at += frame(page, at, end).map_or(broken, |frame| frame.len().max(4));
    }
    at.min(broken)
}

/// Whether the mark of the end stands at `at`, or nothing that could hold an event.
fn is_end(page: &[u8], at: usize) -> bool {
    at + EVENT_MIN > page.len() || frame(page, at, page.len()) == Some(Frame::End)
}

/// A sub-buffer's time stamp and commit word.
pub(crate) fn header(page: &[u8]) -> (u64, u64) {
    let word = |at: usize| page.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
    (word(0), word(8))
}

/// The bytes that a commit word counts; `None` if it cannot be one.
pub(crate) fn committed(commit: u64, size: usize) -> Option<usize> {
    let length = usize::try_from(commit & COMMIT_MASK).ok()?;
    let is_plain = commit & !(COMMIT_MASK | MISSED | MISSED_STORED) == 0;
    (is_plain && length.is_multiple_of(4) && PAGE_HEADER + length <= size).then_some(length)
}

impl Plan {
    /// Takes a sub-buffer apart. `is_known` says whether events of this type and length are known from elsewhere.
    pub(crate) fn of(page: &[u8], place: Place, is_known: &dyn Fn(u16, usize) -> bool) -> Self {
        let (time, commit) = header(page);
        let mut plan = Self { spans: Vec::new(), whole: false, data: 0, missed: None, end_time: time };
        let Some(length) = committed(commit, page.len()) else {
            plan.without_commit(page, place, commit);
            return plan;
        };
        let end = PAGE_HEADER + length;
        if commit & MISSED != 0 {
            let stored = page.get(end..end + 8).filter(|_| commit & MISSED_STORED != 0);
            plan.missed = Some(stored.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes));
        }
        let (at, end_time) = follow(page, PAGE_HEADER, end, time);
        plan.end_time = end_time;
        if at == end || (at + EVENT_MIN > end && is_end(page, at)) {
            plan.spans.push(Span { from: PAGE_HEADER, to: at, what: GOOD });
            plan.whole = !place.is_full || is_end(page, at) || plan.missed.is_some();
            plan.data = at - PAGE_HEADER;
            if !plan.whole {
                plan.beyond(page, at, end_time, place, "the commit word is older than the events behind it");
            }
            return plan;
        }
        plan.broken(page, at, end, place, is_known);
        plan
    }

    /// The events behind what the commit word says, where something shows that they belong to it: they end where the sub-
    /// buffer ends, and not later than the next one begins.
    fn beyond(&mut self, page: &[u8], from: usize, time: u64, place: Place, why: &'static str) {
        let (at, end_time) = follow(page, from, page.len(), time);
        if at > from && is_end(page, at) && place.next_time.is_none_or(|next| end_time <= next) {
            self.spans.push(lost(PAGE_HEADER / 2, PAGE_HEADER, LossKind::Stale, why));
            self.spans.push(Span { from, to: at, what: BEYOND });
            self.end_time = end_time;
            self.data = at - PAGE_HEADER;
        } else {
            let why = "it should be full, and the commit word ends it here";
            self.spans.push(lost(from, page.len(), LossKind::Stale, why));
        }
    }

    /// The commit word cannot be one. A full sub-buffer shows itself where it ends; of another one only so much is taken as
    /// the commit word says when one of its bits is turned, if there is one way to do that.
    fn without_commit(&mut self, page: &[u8], place: Place, commit: u64) {
        let (time, _) = header(page);
        let (at, end_time) = follow(page, PAGE_HEADER, page.len(), time);
        let is_in_time = place.next_time.is_none_or(|next| end_time <= next);
        let end = if place.is_full && is_end(page, at) && is_in_time { Some(at) } else { one_bit(page, commit) };
        let Some(end) = end.filter(|end| *end > PAGE_HEADER) else {
            self.spans.push(lost(0, page.len(), LossKind::Page, "its commit word is damaged"));
            return;
        };
        self.spans.push(lost(PAGE_HEADER / 2, PAGE_HEADER, LossKind::Flipped, "its commit word is damaged"));
        self.spans.push(Span { from: PAGE_HEADER, to: end, what: BEYOND });
        self.end_time = follow(page, PAGE_HEADER, end, time).1;
        self.data = end - PAGE_HEADER;
    }

    /// Something in the middle cannot be an event. What is damaged may be the length of one before it, too long or too short,
    /// so that words of payloads are taken for events: they are believed as far as others of their types are as long. Behind
    /// that the first chain of such events is taken that reaches the end.
    fn broken(&mut self, page: &[u8], at: usize, end: usize, place: Place, is_known: &dyn Fn(u16, usize) -> bool) {
        let (_, commit) = header(page);
        let cut = || place.is_full || one_bit(page, commit).is_some();
        if frame(page, at, page.len()).is_some_and(|frame| frame != Frame::End) && cut() {
            // The commit word ends in the middle of an event that is whole: it is the commit word that is damaged.
            return self.without_commit(page, place, commit);
        }
        let is_credible = |at: usize| match frame(page, at, end) {
            Some(Frame::Data { data, len, .. }) => {
                is_known(u16::from_le_bytes([page[data], page[data + 1]]), at + len - data)
            }
            Some(_) => true,
            None => false,
        };
        let from = first_incredible(page, at, end, &is_credible);
        if from > PAGE_HEADER {
            self.spans.push(Span { from: PAGE_HEADER, to: from, what: GOOD });
        }
        self.data = from - PAGE_HEADER;
        let resumed = resume(page, from + 4, end, &is_credible);
        let to = resumed.unwrap_or(end);
        self.spans.push(lost(from, to, LossKind::Flipped, "no event can begin so"));
        if let Some(resumed) = resumed {
            self.spans.push(Span { from: resumed, to: end, what: RESUMED });
            self.data = end - PAGE_HEADER;
        }
    }
}

/// The end that the commit word would say if one of its bits were turned, if an event ends there and it is the only one.
fn one_bit(page: &[u8], commit: u64) -> Option<usize> {
    let mut ends =
        (0..u64::BITS).filter_map(|bit| committed(commit ^ 1 << bit, page.len())).filter(|length| *length > 0);
    let is_boundary = |length: &usize| follow(page, PAGE_HEADER, PAGE_HEADER + length, 0).0 == PAGE_HEADER + length;
    let first = ends.by_ref().find(is_boundary)?;
    ends.all(|other| other == first || !is_boundary(&other)).then_some(PAGE_HEADER + first)
}

/// The first place from `from` on at which a chain of credible events begins that ends exactly at `end`.
fn resume(page: &[u8], from: usize, end: usize, is_credible: &dyn Fn(usize) -> bool) -> Option<usize> {
    let words = end.checked_sub(from)? / 4;
    // Whether a chain begins at the word before the end that has this number.
    let mut reaches = vec![false; words + 1];
    reaches[0] = true;
    let mut first = None;
    for back in 1..=words {
        let at = end - 4 * back;
        let Some(frame) = frame(page, at, end).filter(|frame| *frame != Frame::End) else { continue };
        let is_chain = reaches[back - frame.len() / 4] && is_credible(at);
        reaches[back] = is_chain;
        // A time record or a discarded event proves nothing: the words of a payload look like them too easily.
        if is_chain && matches!(frame, Frame::Data { .. }) {
            first = Some(at);
        }
    }
    first
}
