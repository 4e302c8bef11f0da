//! Brings the cores of a bank together in time order, without allocation.

use crate::check::Crc32c;
use crate::recover::{Bank, Item, Items, Recovered};

/// The events of up to `N` cores, in time order; at equal times the lower core first.
#[derive(Debug)]
pub struct Merge<'a, C, const N: usize> {
    cores: [Option<(Items<'a, C>, Recovered<'a>)>; N],
}

impl<'a, C: Crc32c, const N: usize> Merge<'a, C, N> {
    /// The first `N` cores of a bank.
    #[must_use]
    pub fn new(bank: &Bank<'a, C>) -> Self {
        Self {
            cores: core::array::from_fn(|core| {
                let core = u32::try_from(core).ok().filter(|core| *core < bank.geometry().cores)?;
                let mut items = bank.core(core).items();
                let first = next_event(&mut items)?;
                Some((items, first))
            }),
        }
    }
}

fn next_event<'a, C: Crc32c>(items: &mut Items<'a, C>) -> Option<Recovered<'a>> {
    items.find_map(|item| match item {
        Item::Event(event) if !event.discarded => Some(event),
        _ => None,
    })
}

impl<'a, C: Crc32c, const N: usize> Iterator for Merge<'a, C, N> {
    type Item = Recovered<'a>;

    fn next(&mut self) -> Option<Recovered<'a>> {
        let earliest = self.cores.iter_mut().filter(|core| core.is_some());
        let core = earliest.min_by_key(|core| core.as_ref().map(|(_, event)| event.time_ns))?;
        let (mut items, event) = core.take()?;
        *core = next_event(&mut items).map(|next| (items, next));
        Some(event)
    }
}
