//! A processor's events and losses, one by one.

use crate::page::{self, COMMON, Frame, Span, What};
use crate::region::Region;
use std::borrow::Cow;
use trace::{Event, Item, Loss, LossKind};

/// Goes through a processor's sub-buffers in order.
pub(crate) struct Items<'r> {
    region: &'r Region<'r>,
    core: u32,
    /// The next sub-buffer.
    next: usize,
    /// The one after the last.
    end: usize,
    page: Option<InPage<'r>>,
    /// Time of the last item.
    time: u64,
}

/// Where in a sub-buffer it stands.
struct InPage<'r> {
    bytes: &'r [u8],
    sequence: u64,
    spans: std::vec::IntoIter<Span>,
    /// The rest of the events of one span.
    from: usize,
    to: usize,
    beyond_commit: bool,
    certain: bool,
    /// No time is certain here.
    is_odd: bool,
    after_loss: bool,
    missed: Option<u64>,
    time: u64,
}

impl<'r> Items<'r> {
    /// All of a processor's.
    pub(crate) fn new(region: &'r Region<'r>, core: u32) -> Self {
        let end = region.cpus().get(core as usize).map_or(0, |cpu| cpu.order.len());
        Self { region, core, next: 0, end, page: None, time: 0 }
    }
    /// Those of one sub-buffer.
    pub(crate) fn of_page(region: &'r Region<'r>, core: u32, page: usize) -> Self {
        Self {
            region,
            core,
            next: page,
            end: page + 1,
            page: None,
            time: region.stamp(core as usize, page).unwrap_or(0),
        }
    }

    fn turn(&mut self) -> Option<Option<Item<'r>>> {
        if self.next >= self.end {
            return None;
        }
        let (core, number) = (self.core as usize, self.next);
        self.next += 1;
        let Some((bytes, plan)) = self.region.plan(core, number) else {
            let size = self.region.subbuf_size() as u32;
            return Some(Some(self.loss(number as u64, (0, size), LossKind::Page, None, "it is cut off")));
        };
        let (stamp, _) = page::header(bytes);
        let time = base(self.region, core, number).unwrap_or(stamp);
        let next = self.region.stamp(core, number + 1);
        let is_odd = time != stamp || next.is_some_and(|next| plan.end_time > next) && number + 1 < self.end;
        self.page = Some(InPage {
            bytes,
            sequence: number as u64,
            spans: plan.spans.into_iter(),
            from: 0,
            to: 0,
            beyond_commit: false,
            certain: true,
            is_odd,
            after_loss: plan.missed.is_some(),
            missed: plan.missed,
            time,
        });
        Some(None)
    }

    fn loss(&self, page: u64, bytes: (u32, u32), kind: LossKind, events: Option<u64>, why: &'static str) -> Item<'r> {
        let what = match (kind, bytes.0 == bytes.1) {
            (LossKind::Missed, _) => format!("sub-buffer {page}: {why}"),
            _ => format!("sub-buffer {page}, bytes {} to {}: {why}", bytes.0, bytes.1),
        };
        let what = Cow::Owned(what);
        Item::Loss(Loss { core: self.core, page, bytes, kind, events, time_ns: self.time, what })
    }
}

/// The time from which a sub-buffer's events are counted, if it is not its own stamp: one that lies outside of what two
/// neighbours on either side agree on is damaged, and the end of the one before is the best that there is.
fn base(region: &Region<'_>, core: usize, number: usize) -> Option<u64> {
    let stamp = |n: usize| region.stamp(core, n);
    let here = stamp(number)?;
    let later = (stamp(number + 1), stamp(number + 2));
    let before = number.checked_sub(1).and_then(stamp);
    let earlier = (number.checked_sub(2).and_then(stamp), before);
    let is_late = matches!(later, (Some(next), Some(second)) if next <= second && here > second)
        && before.is_none_or(|before| Some(before) <= later.0);
    let is_early = matches!(earlier, (Some(second), Some(before)) if second <= before && here < second)
        && later.0.is_none_or(|next| Some(next) >= before);
    if !is_late && !is_early {
        return None;
    }
    match number.checked_sub(1) {
        Some(before) => region.plan(core, before).map(|(_, plan)| plan.end_time),
        None => later.0,
    }
}

impl<'r> Iterator for Items<'r> {
    type Item = Item<'r>;

    fn next(&mut self) -> Option<Item<'r>> {
        loop {
            let Some(page) = &mut self.page else {
                match self.turn()? {
                    Some(item) => return Some(item),
                    None => continue,
                }
            };
            if let Some(missed) = page.missed.take() {
                let events = Some(missed).filter(|missed| *missed > 0);
                let sequence = page.sequence;
                self.time = page.time;
                return Some(self.loss(sequence, (0, 0), LossKind::Missed, events, "Linux missed events before it"));
            }
            if let Some(event) = page.event(self.core) {
                self.time = event.time_ns;
                return Some(Item::Event(event));
            }
            match page.spans.next() {
                None => self.page = None,
                Some(Span { from, to, what: What::Events { beyond_commit, certain } }) => {
                    (page.from, page.to, page.beyond_commit) = (from, to, beyond_commit);
                    page.certain &= certain;
                }
                Some(Span { from, to, what: What::Lost { kind, why } }) => {
                    page.after_loss = true;
                    let sequence = page.sequence;
                    self.time = self.time.max(page.time);
                    return Some(self.loss(sequence, (from as u32, to as u32), kind, None, why));
                }
            }
        }
    }
}

impl<'r> InPage<'r> {
    #[inline]
    fn event(&mut self, core: u32) -> Option<Event<'r>> {
        let mut begin = self.from;
        while self.from < self.to {
            let frame = page::frame(self.bytes, self.from, self.to)?;
            self.time = page::later(self.time, &frame);
            let at = self.from;
            self.from += frame.len();
            match frame {
                Frame::Data { data, .. } => {
                    let common = self.bytes.get(data..data + COMMON)?;
                    return Some(Event {
                        core,
                        page: self.sequence,
                        at: begin as u32,
                        time_ns: self.time,
                        time_is_certain: self.certain && !self.is_odd,
                        beyond_commit: self.beyond_commit,
                        after_loss: std::mem::take(&mut self.after_loss),
                        id: u16::from_le_bytes([common[0], common[1]]),
                        flags: common[2],
                        nesting: common[3],
                        pid: i32::from_le_bytes([common[4], common[5], common[6], common[7]]),
                        payload: self.bytes.get(data + COMMON..self.from)?,
                    });
                }
                Frame::Discarded { .. } => begin = self.from,
                Frame::End => {
                    self.from = self.to;
                    return None;
                }
                Frame::Extend(_) | Frame::Absolute(_) => {
                    if begin != at {
                        begin = at;
                    }
                }
            }
        }
        None
    }
}
