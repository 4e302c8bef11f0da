//! Well-known events, built in: a region does not describe them. Facts about two kernels, in a form of our own (`events.txt`).
//!
//! ```text
//! irq irq_handler_entry 101 101 irq:i4@8 name:loc@12 | irq={irq} name={name}
//! ```
//!
//! That is: subsystem; name; id in Debian's 6.12 and 7.3 for arm64, `-` where that kernel has it otherwise; fields with their
//! places from the common header on; what is printed.

use crate::event::{Field, Holds, Kind};
use crate::print::{How, Piece, What};
use std::sync::LazyLock;

/// Kernels whose numbers are known.
pub(crate) const KERNELS: usize = 2;

/// An event of the table.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) subsystem: &'static str,
    pub(crate) kind: Kind,
    /// Its id in each of the kernels.
    pub(crate) ids: [Option<u16>; KERNELS],
}

/// All of them.
pub(crate) static TABLE: LazyLock<Vec<Known>> = LazyLock::new(|| {
    include_str!("events.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .filter_map(known)
        .collect()
});

/// A line of the table.
fn known(line: &'static str) -> Option<Known> {
    let (head, print) = line.split_once(" | ").unwrap_or((line, ""));
    let mut words = head.split_whitespace();
    let (subsystem, name) = (words.next()?, words.next()?);
    let ids = [words.next()?.parse().ok(), words.next()?.parse().ok()];
    let fields: Vec<Field> = words.map(field).collect::<Option<_>>()?;
    let mut kind = Kind { name: name.into(), fields, print: Vec::new() };
    kind.print = pieces(print, &kind)?;
    Some(Known { subsystem, kind, ids })
}

/// `name:form@offset`.
fn field(word: &str) -> Option<Field> {
    let (name, rest) = word.split_once(':')?;
    let (form, offset) = rest.split_once('@')?;
    let (form, times) = form.split_once('*').map_or((form, None), |(form, times)| (form, times.parse::<u16>().ok()));
    let (holds, size) = match form {
        "loc" => (Holds::TextElsewhere, 4),
        "bytes" => (Holds::BytesElsewhere, 4),
        _ => {
            let size = form.get(1..)?.parse().ok()?;
            match form.as_bytes()[0] {
                b'c' => (Holds::Text, size),
                b'i' => (Holds::Signed, size),
                _ => (Holds::Unsigned, size),
            }
        }
    };
    let (holds, size) = times.map_or((holds, size), |times| (Holds::Numbers(size), size * times));
    Some(Field { name: name.into(), holds, offset: offset.parse::<u16>().ok()?.checked_sub(8)?, size })
}

/// Text with `{field}`, `{field:form}`, `{field?yes/no}`.
fn pieces(print: &str, kind: &Kind) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut parts = print.split('{');
    let text = |text: &str| (!text.is_empty()).then(|| Piece::Text(text.into()));
    pieces.extend(text(parts.next()?));
    for part in parts {
        let (value, behind) = part.split_once('}')?;
        pieces.push(piece(value, kind)?);
        pieces.extend(text(behind));
    }
    Some(pieces)
}

fn piece(value: &str, kind: &Kind) -> Option<Piece> {
    let (of, how) = if let Some((of, choice)) = value.split_once('?') {
        let (yes, no) = choice.split_once('/')?;
        (of, How::Choice(yes.into(), no.into()))
    } else if let Some((of, form)) = value.split_once(':') {
        (of, how(form)?)
    } else {
        (value, How::Plain)
    };
    let mut what = What::default();
    let place = |name: &str| kind.fields.iter().position(|field| field.name == name).map(|place| place as u16);
    let of = if let Some((of, shift)) = of.split_once(">>") {
        what.shift = shift.parse().ok()?;
        of
    } else if let Some((of, mask)) = of.split_once('&') {
        what.mask = u64::from_str_radix(mask, 16).ok();
        of
    } else if let Some((of, minus)) = of.split_once('-') {
        what.minus = Some(place(minus)?);
        of
    } else if let Some((of, element)) = of.split_once('.') {
        what.element = element.parse().ok();
        of
    } else {
        of
    };
    what.field = place(of)?;
    Some(Piece::Value { what, how })
}

fn how(form: &str) -> Option<How> {
    let names = |list: &str| list.split(' ').enumerate().map(|(n, name)| (n as u64, name.to_string())).collect();
    let bits = |list: &[(u64, &str)]| list.iter().map(|(bits, name)| (*bits, (*name).to_string())).collect();
    Some(match form {
        "d" => How::Decimal { signed: true, width: 0, zeros: false },
        "u" => How::Decimal { signed: false, width: 0, zeros: false },
        "03d" => How::Decimal { signed: true, width: 3, zeros: true },
        "3d" => How::Decimal { signed: true, width: 3, zeros: false },
        "04u" => How::Decimal { signed: false, width: 4, zeros: true },
        "x" => How::Hex { prefix: false, width: 0, zeros: false },
        "0x" => How::Hex { prefix: true, width: 0, zeros: false },
        "p" => How::Pointer,
        "ps" => How::Symbol { distance: false },
        "pS" => How::Symbol { distance: true },
        "state" => How::State,
        "vec" => How::Names(names("HI TIMER NET_TX NET_RX BLOCK IRQ_POLL TASKLET SCHED HRTIMER RCU")),
        "rss" => How::Names(names("MM_FILEPAGES MM_ANONPAGES MM_SWAPENTS MM_SHMEMPAGES")),
        "clock" => How::Names(bits(CLOCKS)),
        "mode" => How::Names(bits(MODES)),
        "tick" => How::Names(bits(TICK)),
        "timer" => How::Flags { separator: "|".into(), names: bits(TIMER), none: String::new() },
        "gfp" => How::Flags { separator: "|".into(), names: bits(&GFP), none: "none".into() },
        "gfp7" => How::Flags { separator: "|".into(), names: bits(&gfp_by_bit()), none: "none".into() },
        _ => return None,
    })
}

const CLOCKS: &[(u64, &str)] =
    &[(0, "CLOCK_REALTIME"), (1, "CLOCK_MONOTONIC"), (7, "CLOCK_BOOTTIME"), (11, "CLOCK_TAI")];

/// Bit 0 relative, 1 pinned, 2 soft, 3 hard.
const MODES: &[(u64, &str)] = &[
    (0, "ABS"),
    (1, "REL"),
    (2, "ABS|PINNED"),
    (3, "REL|PINNED"),
    (4, "ABS|SOFT"),
    (5, "REL|SOFT"),
    (6, "ABS|PINNED|SOFT"),
    (7, "REL|PINNED|SOFT"),
    (8, "ABS|HARD"),
    (9, "REL|HARD"),
    (10, "ABS|PINNED|HARD"),
    (11, "REL|PINNED|HARD"),
];

const TICK: &[(u64, &str)] = &[
    (0, "NONE"),
    (1, "POSIX_TIMER"),
    (2, "PERF_EVENTS"),
    (4, "SCHED"),
    (8, "CLOCK_UNSTABLE"),
    (16, "RCU"),
    (32, "RCU_EXP"),
];

const TIMER: &[(u64, &str)] = &[(1 << 18, "M"), (1 << 19, "D"), (1 << 20, "P"), (1 << 21, "I")];

/// What callers of the allocator name, made of its bits; the larger ones first. In this order 6.12 shows them.
const GFP: [(u64, &str); 35] = {
    const RECLAIM: u64 = 3 << 10;
    const IO: u64 = 1 << 6;
    const FS: u64 = 1 << 7;
    const HARDWALL: u64 = 1 << 20;
    const USER: u64 = RECLAIM | IO | FS | HARDWALL;
    const MOVABLE: u64 = USER | 2 | 8;
    const LIGHT: u64 = (MOVABLE | 1 << 18 | 1 << 19 | 1 << 13) & !RECLAIM;
    [
        (LIGHT | 1 << 10, "GFP_TRANSHUGE"),
        (LIGHT, "GFP_TRANSHUGE_LIGHT"),
        (MOVABLE, "GFP_HIGHUSER_MOVABLE"),
        (USER | 2, "GFP_HIGHUSER"),
        (USER, "GFP_USER"),
        (RECLAIM | IO | FS | 1 << 22, "GFP_KERNEL_ACCOUNT"),
        (RECLAIM | IO | FS, "GFP_KERNEL"),
        (RECLAIM | IO, "GFP_NOFS"),
        (1 << 5 | 1 << 11, "GFP_ATOMIC"),
        (RECLAIM, "GFP_NOIO"),
        (1 << 11 | 1 << 13, "GFP_NOWAIT"),
        (1, "GFP_DMA"),
        (1 << 1, "__GFP_HIGHMEM"),
        (1 << 2, "GFP_DMA32"),
        (1 << 5, "__GFP_HIGH"),
        (IO, "__GFP_IO"),
        (FS, "__GFP_FS"),
        (1 << 13, "__GFP_NOWARN"),
        (1 << 14, "__GFP_RETRY_MAYFAIL"),
        (1 << 15, "__GFP_NOFAIL"),
        (1 << 16, "__GFP_NORETRY"),
        (1 << 18, "__GFP_COMP"),
        (1 << 8, "__GFP_ZERO"),
        (1 << 19, "__GFP_NOMEMALLOC"),
        (1 << 17, "__GFP_MEMALLOC"),
        (HARDWALL, "__GFP_HARDWALL"),
        (1 << 21, "__GFP_THISNODE"),
        (1 << 4, "__GFP_RECLAIMABLE"),
        (1 << 3, "__GFP_MOVABLE"),
        (1 << 22, "__GFP_ACCOUNT"),
        (1 << 12, "__GFP_WRITE"),
        (RECLAIM, "__GFP_RECLAIM"),
        (1 << 10, "__GFP_DIRECT_RECLAIM"),
        (1 << 11, "__GFP_KSWAPD_RECLAIM"),
        (1 << 23, "__GFP_ZEROTAGS"),
    ]
};

/// The same in the order in which 7.3 shows them: first what callers name, then all of reclaim, then bit by bit.
fn gfp_by_bit() -> Vec<(u64, &'static str)> {
    let (named, mut bits): (Vec<_>, Vec<_>) = GFP.into_iter().partition(|(_, name)| !name.starts_with("__"));
    bits.sort_by_key(|(bits, _)| if bits.is_power_of_two() { *bits } else { 0 });
    named.into_iter().chain(bits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood() {
        let lines = include_str!("events.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        for line in lines {
            assert!(known(line).is_some(), "{line}");
        }
        assert!(TABLE.len() > 80);
        assert!(TABLE.iter().all(|known| known.ids != [None; KERNELS]));
    }

    #[test]
    fn sizes_are_those_that_a_compiler_gives() {
        let size = |name: &str| TABLE.iter().find(|known| known.kind.name == name).unwrap().kind.size() + 8;
        assert_eq!(
            ["sched_switch", "sched_wakeup", "sys_enter", "task_newtask", "irq_handler_entry"].map(size),
            [64, 36, 64, 48, 16]
        );
    }
}
