//! Which well-known event an id is. Ids of events are given out at the build of a kernel and stand nowhere in a region.
//!
//! An id is held to be an event of the table if each of its events in the region fits it: in length, in names that are
//! printable, in pids, priorities, processors and addresses that can be. Many events look alike, so that is not all:
//!
//! 1. If all ids that a known kernel gives to events of the table fit them, and one of these has a shape that is its own or
//!    two fit, then the region is from a kernel that numbers alike, and its numbers count.
//! 2. Else a shape that only one event has counts, if names or texts are in it; and from there its neighbours: ids of a
//!    subsystem follow each other in one order in all kernels that are known.

use crate::event::{Field, Holds, Is, Kind};
use crate::page::PID_MAX;
use crate::table::{KERNELS, Known, TABLE};
use std::collections::BTreeMap;

/// Ids below are Linux's own kinds of entries, or could be.
pub(crate) const DYNAMIC_FROM: u16 = 20;
/// Most processors that Linux can number.
const CPUS_MAX: i64 = 1 << 13;
/// Events of one id that are looked at; more say nothing new.
const LOOKED_AT: u32 = 1 << 12;

/// What is still possible for each id.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    by_id: BTreeMap<u16, (u32, Vec<u16>)>,
}

impl Candidates {
    /// Another event.
    pub(crate) fn event(&mut self, id: u16, payload: &[u8]) {
        if id < DYNAMIC_FROM {
            return;
        }
        let all = || (0, (0..TABLE.len() as u16).collect());
        let (seen, possible) = self.by_id.entry(id).or_insert_with(all);
        if *seen < LOOKED_AT {
            *seen += 1;
            possible.retain(|known| fits(&TABLE[usize::from(*known)].kind, payload));
        }
    }

    /// Which event each id is, if that can be said.
    pub(crate) fn decide(&self, newest_first: bool) -> BTreeMap<u16, &'static Known> {
        let kernels = if newest_first { [1, 0] } else { [0, 1] };
        match kernels.into_iter().find(|kernel| self.is_numbered_as(*kernel)) {
            Some(kernel) => self.by_number(kernel),
            None => self.by_shape(),
        }
    }

    fn possible(&self) -> impl Iterator<Item = (u16, Vec<&'static Known>)> + '_ {
        self.by_id.iter().map(|(id, (_, possible))| (*id, possible.iter().map(|n| &TABLE[usize::from(*n)]).collect()))
    }

    fn is_numbered_as(&self, kernel: usize) -> bool {
        let (mut fitting, mut sure) = (0, false);
        for (id, possible) in self.possible() {
            let named = TABLE.iter().find(|known| known.ids[kernel] == Some(id));
            let own = single(&possible);
            match named {
                Some(named) if possible.iter().any(|known| std::ptr::eq(*known, named)) => {
                    fitting += 1;
                    sure |= is_telling(&named.kind);
                }
                Some(_) => return false,
                // An event that can be nothing else has another number.
                None if own.is_some_and(|own| is_telling(&own.kind)) => return false,
                None => {}
            }
        }
        sure || fitting >= 2
    }

    fn by_number(&self, kernel: usize) -> BTreeMap<u16, &'static Known> {
        let of = |id: u16| TABLE.iter().find(|known| known.ids[kernel] == Some(id));
        self.by_id.keys().filter_map(|id| Some((*id, of(*id)?))).collect()
    }

    fn by_shape(&self) -> BTreeMap<u16, &'static Known> {
        let sure = |possible: &[&'static Known]| single(possible).filter(|own| is_telling(&own.kind));
        let mut decided: BTreeMap<u16, &'static Known> =
            self.possible().filter_map(|(id, possible)| Some((id, sure(&possible)?))).collect();
        let anchors = decided.clone();
        for (id, possible) in self.possible() {
            let is_neighbour = |known: &&&'static Known| {
                anchors.iter().any(|(other_id, other)| {
                    other.subsystem == known.subsystem
                        && (0..KERNELS).any(|kernel| match (known.ids[kernel], other.ids[kernel]) {
                            (Some(ours), Some(theirs)) => {
                                i32::from(id) - i32::from(*other_id) == i32::from(ours) - i32::from(theirs)
                            }
                            _ => false,
                        })
                })
            };
            let neighbours: Vec<&'static Known> = possible.iter().filter(is_neighbour).copied().collect();
            if let Some(own) = single(&neighbours) {
                decided.entry(id).or_insert(own);
            }
        }
        decided
    }
}

/// The one event that these are, in one form or another.
fn single(possible: &[&'static Known]) -> Option<&'static Known> {
    let first = *possible.first()?;
    possible.iter().all(|known| known.kind.name == first.kind.name).then_some(first)
}

/// Whether an event says enough for its shape to be its own: names or texts, or a good many numbers.
fn is_telling(kind: &Kind) -> bool {
    let tells = |field: &Field| matches!(field.holds, Holds::Text | Holds::TextElsewhere | Holds::Numbers(_));
    kind.fields.iter().any(tells)
}

/// Whether an event can be of this kind.
fn fits(kind: &Kind, payload: &[u8]) -> bool {
    let size = kind.size();
    let mut total = size;
    let mut behind = 0;
    for field in &kind.fields {
        if let Holds::TextElsewhere | Holds::BytesElsewhere = field.holds {
            let Some((at, len)) = field.elsewhere(payload) else { return false };
            // What is elsewhere follows one another behind the fields.
            let first = kind.fields.iter().map(|field| usize::from(field.offset + field.size)).max().unwrap_or(0);
            if at < if behind == 0 { first } else { behind } || at > behind.max(size) + 8 {
                return false;
            }
            behind = at + len;
            total += len;
        }
    }
    (total.next_multiple_of(4)..=total.next_multiple_of(8)).contains(&payload.len())
        && kind.fields.iter().all(|field| is_plausible(field, payload))
}

fn is_plausible(field: &Field, payload: &[u8]) -> bool {
    let name = field.name.as_str();
    match field.value(payload) {
        None => false,
        Some(Is::Text(text)) => {
            let is_ended = field.holds != Holds::Text || text.len() < usize::from(field.size);
            let is_printable = text.iter().all(|byte| (b' '..=b'~').contains(byte) || matches!(byte, b'\n' | b'\t'));
            let is_name = !name.ends_with("comm") || !text.is_empty();
            is_ended && is_printable && is_name
        }
        Some(Is::Bytes(_)) => true,
        Some(Is::Signed(number)) => match name {
            _ if name.ends_with("pid") => (-1..=i64::from(PID_MAX)).contains(&number),
            _ if name.ends_with("prio") => (-1..140).contains(&number),
            _ if name.ends_with("cpu") => (-1..=CPUS_MAX).contains(&number),
            "id" => (-1..1 << 12).contains(&number),
            "irq" | "sig" => (-1..1 << 16).contains(&number),
            "clockid" => (0..16).contains(&number),
            "member" => (0..4).contains(&number),
            "oom_score_adj" => (-1000..=1000).contains(&number),
            "node" | "migratetype" => (-1..1 << 10).contains(&number),
            _ => true,
        },
        Some(Is::Unsigned(number)) => match name {
            "vec" => number < 10,
            "gfp_flags" => number < 1 << 32,
            "mode" => number < 16,
            "order" => number < 16,
            "cpu" | "cpu_id" | "state" if field.size == 4 => {
                number <= CPUS_MAX as u64 || number >= u64::from(u32::MAX) - 8
            }
            "ptr" | "call_site" | "timer" | "hrtimer" | "work" | "function" | "func" | "fun" | "callsite" | "s"
            | "worker" | "tasklet" | "callback" | "reason" => number == 0 || number >> 48 == 0xffff,
            "was_armed" | "is_idle" | "accounted" | "below" | "group_dead" | "deferred" => number < 2,
            _ => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wakeup(comm: &str) -> Vec<u8> {
        let mut payload = comm.as_bytes().to_vec();
        payload.resize(16, 0);
        [12u32, 120, 1].iter().for_each(|number| payload.extend(number.to_le_bytes()));
        payload
    }

    fn names(candidates: &Candidates) -> Vec<(u16, &'static str)> {
        candidates.decide(true).into_iter().map(|(id, known)| (id, known.kind.name.as_str())).collect()
    }

    fn switch() -> Vec<u8> {
        let mut payload = wakeup("sh")[..24].to_vec();
        payload.extend(0x100u64.to_le_bytes());
        payload.extend(&wakeup("cat")[..24]);
        payload
    }

    #[test]
    fn an_id_is_what_the_kernel_that_numbers_alike_calls_it() {
        let mut candidates = Candidates::default();
        candidates.event(253, &switch());
        candidates.event(255, &wakeup("rcu_sched"));
        candidates.event(256, &wakeup("rcu_sched"));
        candidates.event(999, &[0; 8]);
        assert_eq!(names(&candidates), [(253, "sched_switch"), (255, "sched_wakeup"), (256, "sched_waking")]);
    }

    #[test]
    fn elsewhere_neighbours_tell_what_looks_alike() {
        let mut candidates = Candidates::default();
        candidates.event(453, &switch());
        candidates.event(454, &wakeup("new"));
        candidates.event(460, &wakeup("other"));
        assert_eq!(names(&candidates), [(453, "sched_switch"), (454, "sched_wakeup_new")]);
    }

    #[test]
    fn what_does_not_fit_is_not_named() {
        let mut candidates = Candidates::default();
        candidates.event(253, &switch()[..52]);
        candidates.event(255, &wakeup("\x1b[2J"));
        candidates.event(24, &[]);
        assert_eq!(names(&candidates), []);
    }
}
