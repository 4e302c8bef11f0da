//! All cores in one order: by time, at equal times the lower core first.

use crate::{Item, Trace};

/// All cores' items in time order. A core's own order is never changed, even where its times go back.
pub struct Merged<'t> {
    /// Each core's next item, until its last has gone, and what is behind it.
    heads: Vec<(Option<Item<'t>>, Items<'t>)>,
    /// Times of the heads and their cores' places; the earliest is last. So few that moving them costs less than a heap.
    order: Vec<(u64, u32)>,
}

type Items<'t> = Box<dyn Iterator<Item = Item<'t>> + 't>;

/// All events and losses of a trace in time order.
#[must_use]
pub fn merged(trace: &dyn Trace) -> Merged<'_> {
    let cores = 0..u32::try_from(trace.about().cores.len()).unwrap_or(u32::MAX);
    let heads: Vec<_> = cores
        .filter_map(|core| {
            let mut items = trace.items(core);
            Some((Some(items.next()?), items))
        })
        .collect();
    let keys = (0u32..).zip(&heads).filter_map(|(place, (head, _))| Some((head.as_ref()?.time_ns(), place)));
    let mut order: Vec<_> = keys.collect();
    order.sort_by_key(|key| std::cmp::Reverse(*key));
    Merged { heads, order }
}

impl<'t> Iterator for Merged<'t> {
    type Item = Item<'t>;

    fn next(&mut self) -> Option<Item<'t>> {
        let (_, place) = *self.order.last()?;
        let (head, items) = self.heads.get_mut(place as usize)?;
        let Some(next) = items.next() else {
            self.order.pop();
            return head.take();
        };
        let key = (next.time_ns(), place);
        let item = head.replace(next);
        let mut at = self.order.len() - 1;
        while at > 0 && key > self.order[at - 1] {
            self.order[at] = self.order[at - 1];
            at -= 1;
        }
        self.order[at] = key;
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LossKind;
    use crate::fake::Fake;

    #[test]
    fn cores_are_merged_by_time_and_each_keeps_its_own_order() {
        let mut fake = Fake::new(3, []);
        for (core, time) in [(0, 5), (0, 9), (2, 1), (2, 5), (2, 1 << 40), (1, 5), (1, 9)] {
            fake.event(core, time, 1, &[]);
        }
        fake.loss(0, LossKind::Stale, None);
        let seen: Vec<_> =
            merged(&fake).map(|item| (item.core(), item.time_ns(), matches!(item, Item::Loss(_)))).collect();
        let events = [(2, 1), (0, 5), (1, 5), (2, 5), (0, 9)].map(|(core, time)| (core, time, false));
        assert_eq!(seen[..5], events);
        assert_eq!(seen[5..], [(0, 9, true), (1, 9, false), (2, 1 << 40, false)]);
    }

    #[test]
    fn what_follows_a_time_that_goes_back_does_not_come_before_it() {
        let mut fake = Fake::new(2, []);
        for (core, time) in [(0, 10), (0, 100), (0, 20), (0, 110), (1, 30), (1, 105)] {
            fake.event(core, time, 1, &[]);
        }
        let seen: Vec<_> = merged(&fake).map(|item| (item.core(), item.time_ns())).collect();
        assert_eq!(seen, [(0, 10), (1, 30), (0, 100), (0, 20), (1, 105), (0, 110)]);
    }
}
