//! In which order a processor's sub-buffers are read: the reader's page, then the ring from its head to the one that was
//! written last; where the pointers are damaged, as the time stamps say.

use crate::divide::Header;
use crate::layout::Division;

/// What a sub-buffer's header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) time: u64,
    /// It holds something: its commit word is not zero.
    pub(crate) is_used: bool,
}

/// A processor's sub-buffers in the order in which they are read, and what was wrong with the pointers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// Numbers of sub-buffers as they lie in memory.
    pub(crate) pages: Vec<u32>,
    pub(crate) remarks: Vec<String>,
}

/// Puts them in order. `slots` is the order array as it stands.
pub(crate) fn order(header: Option<&Header>, slots: &[u32], division: &Division, stamps: &[Stamp]) -> Order {
    let mut order = Order::default();
    let used = |page: &u32| stamps.get(*page as usize).is_some_and(|stamp| stamp.is_used);
    let time = |page: u32| stamps.get(page as usize).map_or(0, |stamp| stamp.time);
    if slots.len() < stamps.len() || slots.is_empty() || !is_permutation(slots) {
        order.remarks.push("the order of the sub-buffers is damaged: they are ordered by time".into());
        order.pages = (0..stamps.len() as u32).filter(used).collect();
        order.pages.sort_by_key(|page| time(*page));
        return order;
    }
    let slot_of = |address| {
        let page = header?.slot(address, division)?;
        slots.iter().position(|slot| *slot == page)
    };
    let head = header.and_then(|header| slot_of(header.head));
    let commit = header.and_then(|header| slot_of(header.commit));
    let all = slots.iter().filter(|page| used(page)).count();
    // The reader's page is the newest where nothing has been written behind it.
    if let (Some(_), Some(0)) = (head, commit)
        && all == usize::from(used(&slots[0]))
    {
        order.pages = slots[..1].iter().copied().filter(used).collect();
        return order;
    }
    if let (Some(head @ 1..), Some(commit @ 1..)) = (head, commit) {
        let ring = slots.len() - 1;
        let length = (commit + ring - head) % ring + 1;
        let pages = (0..length).map(|n| slots[1 + (head - 1 + n) % ring]);
        order.pages = slots[..1].iter().copied().filter(used).chain(pages).collect();
        if order.pages.iter().filter(|page| used(page)).count() == all {
            trim(&mut order.pages, used);
            return order;
        }
    }
    order.remarks.push("head or commit is damaged: the ring is read as its time stamps say".into());
    order.pages = rotated(&slots[1..], used, time);
    if used(&slots[0]) {
        let is_newest = order.pages.last().is_some_and(|last| time(*last) <= time(slots[0]));
        let at = if is_newest { order.pages.len() } else { 0 };
        order.pages.insert(at, slots[0]);
    }
    order
}

/// Empty sub-buffers at the beginning and at the end say nothing.
fn trim(pages: &mut Vec<u32>, used: impl Fn(&u32) -> bool) {
    let end = pages.iter().rposition(&used).map_or(0, |last| last + 1);
    pages.truncate(end);
    let start = pages.iter().position(used).unwrap_or(0);
    pages.drain(..start);
}

fn is_permutation(slots: &[u32]) -> bool {
    let mut seen = vec![false; slots.len()];
    slots.iter().all(|slot| seen.get_mut(*slot as usize).is_some_and(|seen| !std::mem::replace(seen, true)))
}

/// A ring's used sub-buffers, begun where its time goes back; a single one whose time fits nowhere does not count.
fn rotated(ring: &[u32], used: impl Fn(&u32) -> bool, time: impl Fn(u32) -> u64) -> Vec<u32> {
    let pages: Vec<u32> = ring.iter().copied().filter(used).collect();
    let number = pages.len();
    let at = |n: usize| time(pages[n % number]);
    let is_odd = |n: usize| {
        let (before, here, next) = (at(n + number - 1), at(n), at(n + 1));
        before <= next && !(before..=next).contains(&here)
    };
    let sound: Vec<usize> = (0..number).filter(|n| !is_odd(*n)).collect();
    let falls = |n: &usize| at(sound[*n]) < at(sound[(*n + sound.len() - 1) % sound.len()]);
    let start = (0..sound.len()).find(falls).map_or(0, |n| sound[n]);
    (0..number).map(|n| pages[(start + n) % number]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    fn read(head: u64, commit: u64, slots: &[u32], times: &[u64]) -> Order {
        let division = Division::new(Layout::PerCpu, 4096, times.len() as u64, 0).unwrap();
        let header =
            Header { first: 0x1000, head: 0x1000 * (1 + head), commit: 0x1000 * (1 + commit), size: 4096, number: 5 };
        let stamps: Vec<_> = times.iter().map(|time| Stamp { time: *time, is_used: *time != 0 }).collect();
        order(Some(&header), slots, &division, &stamps)
    }

    #[test]
    fn a_ring_is_read_from_its_head_around_and_the_readers_page_before_it() {
        let whole = |head, commit, slots: &[u32], times: &[u64]| {
            let order = read(head, commit, slots, times);
            assert_eq!(order.remarks, Vec::<String>::new());
            order.pages
        };
        assert_eq!(whole(3, 2, &[0, 1, 2, 3, 4], &[0, 30, 40, 10, 20]), [3, 4, 1, 2]);
        assert_eq!(whole(1, 2, &[0, 1, 2, 3, 4], &[0, 30, 40, 0, 0]), [1, 2]);
        assert_eq!(whole(3, 0, &[4, 1, 2, 3, 0], &[40, 0, 0, 30, 20]), [4, 3, 0], "a page was swapped for the reader");
        assert_eq!(whole(1, 0, &[0, 1, 2, 3, 4], &[7, 0, 0, 0, 0]), [0], "nothing behind the reader's page");
        assert_eq!(whole(1, 1, &[0, 1, 2, 3, 4], &[0, 0, 0, 0, 0]), [0; 0]);
        assert_eq!(whole(1, 3, &[0, 1, 2, 3, 4], &[0, 10, 0, 20, 0]), [1, 2, 3], "an emptied one between others");
    }

    #[test]
    fn damaged_pointers_are_found_out_by_what_they_leave_out() {
        let worked_round = |head, commit, slots: &[u32], times: &[u64]| {
            let order = read(head, commit, slots, times);
            assert_eq!(order.remarks.len(), 1);
            order.pages
        };
        assert_eq!(worked_round(3, 1, &[0, 1, 2, 3, 4], &[0, 30, 40, 10, 20]), [3, 4, 1, 2]);
        assert_eq!(worked_round(99, 1, &[0, 1, 2, 3, 4], &[0, 30, 40, 10, 20]), [3, 4, 1, 2]);
        assert_eq!(worked_round(99, 1, &[0, 1, 2, 3, 4], &[5, 30, u64::MAX, 10, 20]), [0, 3, 4, 1, 2]);
        assert_eq!(worked_round(3, 2, &[0, 1, 2, 2, 4], &[0, 30, 40, 10, 20]), [3, 4, 1, 2]);
    }
}
