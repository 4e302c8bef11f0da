//! All cores in one order: by time, at equal times the lower core first.

use crate::{Item, Trace};

/// All cores' items in time order. A core's own order is never changed, even where its times go back.
pub struct Merged<'t> {
    /// The core whose head is earliest is last. So few that moving them costs less than a heap.
    heads: Vec<(u64, Item<'t>, Items<'t>)>,
}

type Items<'t> = Box<dyn Iterator<Item = Item<'t>> + 't>;

/// All events and losses of a trace in time order.
#[must_use]
pub fn merged(trace: &dyn Trace) -> Merged<'_> {
    let cores = 0..u32::try_from(trace.about().cores.len()).unwrap_or(u32::MAX);
    let mut heads: Vec<_> = cores
        .filter_map(|core| {
            let mut items = trace.items(core);
            let first = items.next()?;
            Some((first.time_ns(), first, items))
        })
        .collect();
    heads.sort_by_key(|(time, item, _)| std::cmp::Reverse((*time, item.core())));
    Merged { heads }
}

impl<'t> Iterator for Merged<'t> {
    type Item = Item<'t>;

    fn next(&mut self) -> Option<Item<'t>> {
        let (key, head, items) = self.heads.last_mut()?;
        let Some(next) = items.next() else {
            return self.heads.pop().map(|(_, head, _)| head);
        };
        // A core whose time goes back keeps its place in the order of the others.
        *key = (*key).max(next.time_ns());
        let item = std::mem::replace(head, next);
        let mut at = self.heads.len() - 1;
        while at > 0 {
            let key = |i: usize| (self.heads[i].0, self.heads[i].1.core());
            if key(at) <= key(at - 1) {
                break;
            }
            self.heads.swap(at, at - 1);
            at -= 1;
        }
        Some(item)
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
}
