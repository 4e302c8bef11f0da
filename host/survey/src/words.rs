//! What a line of the console says about a survey.

use crate::model::{After, By, Check, Fate, Flip, Kind, Memory, Placed, Range, Spot, Tally, Title, Total};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// A boot of the kernel begins.
    Banner,
    /// A survey begins: so many rounds, and the seed of its pattern.
    Begins(u64, u64),
    /// This is filled.
    Fills(Range),
    /// A reset is asked for: round, of how many, the reset's number, by which way.
    Asks(u64, u64, u64, By),
    /// This boot ended before the reset that it was to make.
    CutShort(u64),
    /// What was found after it.
    Checked(Check),
    /// A bit turned over at it.
    Flip(Flip),
    /// The report begins.
    Title(Title),
    /// All of one way.
    Total(Total),
    /// What firmware wrote.
    Placed(Placed),
    /// How many of the following there are.
    Places(usize),
    /// A range in which something was not as it was left.
    Spot(Spot),
    /// A filled range.
    Memory(Memory),
    /// The place that is recommended; the node follows.
    Recommended(Range),
    /// There is none.
    NoPlace,
    /// The last line of a report with a place.
    LastLine,
    /// Another line of the survey that needs no reading.
    Surveys,
    /// A line of the survey that cannot be read.
    Unread,
    /// The kernel does its usual work: it was not asked to survey.
    Works,
    /// It cannot go on: why.
    Unable(String),
    /// It is at its end.
    Off,
    /// Nothing of interest.
    Other,
}

/// Reads a line.
pub(crate) fn word(text: &str) -> Word {
    // It may stand behind what a line makes up while a board starts.
    if text.contains("afterglow ") && text.contains(": a flight recorder that survives its crash") {
        return Word::Banner;
    }
    if let Some((_, why)) = text.split_once("afterglow cannot ") {
        let why = why.strip_prefix("go on: ").unwrap_or(why);
        return Word::Unable(why.to_owned());
    }
    if text.starts_with("panic: ") {
        return Word::Other;
    }
    if let Some((_, text)) = text.split_once("survey: ") {
        return survey(text).unwrap_or(Word::Unread);
    }
    if text.starts_with("or this to the command line: ") {
        return Word::LastLine;
    }
    if text.starts_with("the end (status ") || text.starts_with("power off") {
        return Word::Off;
    }
    let works = ["recording ", "acknowledged: ", "crash in bank ", "shut down cleanly", "idle, as asked"];
    if works.iter().any(|begin| text.starts_with(begin)) { Word::Works } else { Word::Other }
}

fn survey(text: &str) -> Option<Word> {
    if text.starts_with("begins anew") {
        return Some(Word::Surveys);
    }
    if text.starts_with("no 8 MiB were kept") {
        return Some(Word::NoPlace);
    }
    if let Some(rest) = text.strip_prefix("report, ") {
        return title(rest).map(Word::Title);
    }
    if let Some(rest) = text.strip_prefix("places that were not as they were left: ") {
        return rest.parse().ok().map(Word::Places);
    }
    if let Some(rest) = text.strip_prefix("fills ") {
        return range(rest).map(Word::Fills);
    }
    if let Some(rest) = text.strip_prefix("recommended for the region: ") {
        return range(rest).map(Word::Recommended);
    }
    if let Some(rest) = text.strip_prefix("memory ") {
        return memory(rest).map(Word::Memory);
    }
    if let Some(rest) = text.strip_prefix("boot ") {
        let (boot, rest) = rest.split_once(' ')?;
        return rest.starts_with("ended before the reset ").then_some(Word::CutShort(boot.parse().ok()?));
    }
    for kind in Kind::ALL {
        if let Some(rest) = text.strip_prefix(kind.word()).and_then(|rest| rest.strip_prefix(' ')) {
            return spot(kind, rest).map(Word::Spot);
        }
    }
    if let Some(rest) = text.strip_prefix("bit ") {
        return flip(rest).map(Word::Flip);
    }
    if let Some(rest) = text.strip_prefix("round ") {
        return asks(rest);
    }
    if let Some(rest) = text.strip_prefix("reset ") {
        return checked(rest).map(Word::Checked);
    }
    if let Some((rounds, rest)) = text.split_once(" rounds, seed ") {
        let (seed, _) = rest.split_once(',')?;
        return Some(Word::Begins(rounds.parse().ok()?, hexadecimal(seed)?));
    }
    let (name, rest) = text.split_once(": ")?;
    match By::of(name) {
        Some(by) => total(by, rest).map(Word::Total),
        None => placed(text).map(Word::Placed),
    }
}

/// `3 rounds, 6 resets, the region itself was lost 0 times`
fn title(text: &str) -> Option<Title> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [rounds, "rounds,", resets, "resets,", "the", "region", "itself", "was", "lost", lost, "times"] = words[..]
    else {
        return None;
    };
    Some(Title { rounds: rounds.parse().ok()?, resets: resets.parse().ok()?, region_lost: lost.parse().ok()? })
}

/// `1 of 3, reset 2 by watchdog`
fn asks(text: &str) -> Option<Word> {
    let (round, rest) = text.split_once(" of ")?;
    let (rounds, rest) = rest.split_once(", reset ")?;
    let (number, name) = rest.split_once(" by ")?;
    Some(Word::Asks(round.parse().ok()?, rounds.parse().ok()?, number.parse().ok()?, By::of(name)?))
}

/// `2 by watchdog, the region itself was lost: damaged=...`
fn checked(text: &str) -> Option<Check> {
    let (number, rest) = text.split_once(" by ")?;
    let (name, counters) = rest.split_once(": ")?;
    let kept = name.strip_suffix(", the region itself was lost");
    Some(Check {
        number: number.parse().ok()?,
        by: By::of(kept.unwrap_or(name))?,
        region_lost: kept.is_some(),
        tally: tally(counters)?,
        flips: Vec::new(),
    })
}

/// `12 of 0x4058f1b8 became 0`
fn flip(text: &str) -> Option<Flip> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [bit, "of", address, "became", value @ ("0" | "1")] = words[..] else { return None };
    let bit = bit.parse().ok().filter(|bit| *bit < u64::BITS)?;
    Some(Flip { address: hexadecimal(address)?, bit, set: value == "1" })
}

/// `not offered`, `left out`, or `resets=2 damaged=...`
fn total(by: By, text: &str) -> Option<Total> {
    let left_out = text == "left out";
    if left_out || text == "not offered" {
        return Some(Total { by, resets: 0, left_out, tally: Tally::default() });
    }
    let (resets, counters) = text.strip_prefix("resets=")?.split_once(' ')?;
    Some(Total { by, resets: resets.parse().ok()?, left_out, tally: tally(counters)? })
}

/// `0x20000-0x1fffff (1920 KiB): kept`
fn memory(text: &str) -> Option<Memory> {
    let (place, what) = text.rsplit_once(": ")?;
    let fate = match what {
        "kept" => Fate::Kept,
        "bits turned over" => Fate::Bits,
        "damaged in part" => Fate::Damaged,
        _ => return None,
    };
    Some(Memory { range: range(place)?, fate })
}

/// `0x40200000-0x4020007f (128 bytes), after 3 of 4: 2/2 PSCI SYSTEM_RESET, 1/2 panic`
fn spot(kind: Kind, text: &str) -> Option<Spot> {
    let (place, counts) = text.split_once(", after ")?;
    let (sum, ways) = counts.split_once(": ")?;
    let (times, of) = sum.split_once(" of ")?;
    let after = |text: &str| {
        let (counts, name) = text.split_once(' ')?;
        let (times, of) = counts.split_once('/')?;
        Some(After { by: By::of(name)?, times: times.parse().ok()?, of: of.parse().ok()? })
    };
    let by = ways.split(", ").map(after).collect::<Option<_>>()?;
    Some(Spot { kind, range: range(place)?, times: times.parse().ok()?, of: of.parse().ok()?, by })
}

/// `spin table at 0xd8: written again by firmware after 2 of 2 resets`
fn placed(text: &str) -> Option<Placed> {
    let (what, rest) = text.split_once(" at ")?;
    let (address, rest) = rest.split_once(": written again by firmware after ")?;
    let (times, of) = rest.strip_suffix(" resets")?.split_once(" of ")?;
    let (times, of) = (times.parse().ok()?, of.parse().ok()?);
    Some(Placed { what: what.to_owned(), address: hexadecimal(address)?, times, of })
}

fn tally(text: &str) -> Option<Tally> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [damaged, dirty_lost, stale, oldest, moved, set, cleared, bits] = words[..] else { return None };
    let number = |word: &str, name: &str| word.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok();
    let of = |word: &str, name: &str| {
        let (part, whole) = word.strip_prefix(name)?.strip_prefix('=')?.split_once('/')?;
        let (part, whole): (u64, u64) = (part.parse().ok()?, whole.parse().ok()?);
        (part <= whole).then_some((part, whole))
    };
    let ((damaged, kept_of), (dirty_lost, dirty_of)) = (of(damaged, "damaged")?, of(dirty_lost, "dirty_lost")?);
    Some(Tally {
        checks: 0,
        damaged,
        kept_of,
        dirty_lost,
        dirty_of,
        stale: number(stale, "stale")?,
        oldest: number(oldest, "oldest")?,
        moved: number(moved, "moved")?,
        set: number(set, "set")?,
        cleared: number(cleared, "cleared")?,
        bits: hexadecimal(bits.strip_prefix("bits=")?)?,
    })
}

/// `0x3c0000-0x3ffffff (61696 KiB)`: what stands behind it is its size, and must be if it stands there.
fn range(text: &str) -> Option<Range> {
    let (first, last) = text.split_whitespace().next()?.split_once('-')?;
    let range = Range { first: hexadecimal(first)?, last: hexadecimal(last)? };
    let whole = range.first <= range.last && (!text.contains('(') || text.starts_with(&range.to_string()));
    whole.then_some(range)
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_that_matters_is_understood() {
        let by = |name| By::of(name).unwrap();
        let range = |first, last| Range { first, last };
        let cases = [
            ("pan\u{1}afterglow 0.1.0: a flight recorder that survives its crash", Word::Banner),
            ("survey: begins anew, nothing is known of an earlier one", Word::Surveys),
            ("survey: 3 rounds, seed 0x9f77de, 1978 blocks of 0x10000 bytes", Word::Begins(3, 0x9f_77de)),
            ("??survey: fills 0x40010000-0x40ffffff", Word::Fills(range(0x4001_0000, 0x40ff_ffff))),
            ("survey: round 2 of 3, reset 4 by PSCI SYSTEM_RESET", Word::Asks(2, 3, 4, by("PSCI SYSTEM_RESET"))),
            ("survey: bit 18 of 0x405f1b60 became 1", Word::Flip(Flip { address: 0x405f_1b60, bit: 18, set: true })),
            (
                "survey: report, 1 rounds, 2 resets, the region itself was lost 0 times",
                Word::Title(Title { rounds: 1, resets: 2, region_lost: 0 }),
            ),
            (
                "survey: watchdog: not offered",
                Word::Total(Total { by: by("watchdog"), resets: 0, left_out: false, tally: Tally::default() }),
            ),
            (
                "survey: panic: left out",
                Word::Total(Total { by: by("panic"), resets: 0, left_out: true, tally: Tally::default() }),
            ),
            ("survey: boot 7 ended before the reset that it was to make: done again, not counted", Word::CutShort(7)),
            (
                "survey: spin table at 0xd8: written again by firmware after 1 of 2 resets",
                Word::Placed(Placed { what: "spin table".into(), address: 0xd8, times: 1, of: 2 }),
            ),
            ("survey: places that were not as they were left: 18", Word::Places(18)),
            (
                "survey: lost 0x40200000-0x4020007f (128 bytes), after 3 of 4: 2/2 PSCI SYSTEM_RESET, 1/2 panic",
                Word::Spot(Spot {
                    kind: Kind::Lost,
                    range: range(0x4020_0000, 0x4020_007f),
                    times: 3,
                    of: 4,
                    by: vec![
                        After { by: by("PSCI SYSTEM_RESET"), times: 2, of: 2 },
                        After { by: by("panic"), times: 1, of: 2 },
                    ],
                }),
            ),
            (
                "survey: memory 0x20000-0x1fffff (1920 KiB): damaged in part",
                Word::Memory(Memory { range: range(0x2_0000, 0x1f_ffff), fate: Fate::Damaged }),
            ),
            (
                "survey: memory 0x20000-0x1fffff (1920 KiB): bits turned over",
                Word::Memory(Memory { range: range(0x2_0000, 0x1f_ffff), fate: Fate::Bits }),
            ),
            (
                "survey: recommended for the region: 0x21600000-0x21dfffff (8 MiB), kept by all ways in all rounds",
                Word::Recommended(range(0x2160_0000, 0x21df_ffff)),
            ),
            ("survey: no 8 MiB were kept by all ways in all rounds", Word::NoPlace),
            ("or this to the command line: reserve_mem=8M:4096:afterglow", Word::LastLine),
            ("afterglow cannot go on: survey: no region", Word::Unable("survey: no region".into())),
            ("recording 500 events on each of 4 cores, 16 to 16 bytes", Word::Works),
            ("panic: core 0: survey: reset by a panic", Word::Other),
        ];
        for (line, expected) in cases {
            assert_eq!(word(line), expected, "{line}");
        }
        let line = "survey: reset 2 by panic, the region itself was lost: damaged=1/2 dirty_lost=3/4 stale=5 oldest=6 moved=7 set=8 cleared=9 bits=0xa";
        let tally = Tally {
            checks: 0,
            damaged: 1,
            kept_of: 2,
            dirty_lost: 3,
            dirty_of: 4,
            stale: 5,
            oldest: 6,
            moved: 7,
            set: 8,
            cleared: 9,
            bits: 10,
        };
        let check = Check { number: 2, by: by("panic"), region_lost: true, tally, flips: vec![] };
        assert_eq!(word(line), Word::Checked(check));
    }

    #[test]
    fn a_line_with_a_byte_too_few_is_not_read_as_another() {
        for line in [
            "survey: memory 0x20000-0x1ffff (1920 KiB): kept",
            "survey: memory 0x20000-0x1fffff (1920 KiB): kep",
            "survey: bit 77 of 0x405f1b60 became 1",
            "survey: watchdo: not offered",
            "survey: watchdog: resets=1 damaged=9/1 dirty_lost=0/5 stale=0 oldest=0 moved=0 set=0 cleared=0 bits=0x0",
            "survey: reset 1 by watchdog: damaged=0/9 dirty_lost=0/5 stale=0 oldest=0 moved=0 set=0 bits=0x0",
            "survey: recommended for the region: 0x21600000-0x2dfffff (8 MiB), kept by all ways in all rounds",
            "survey: lost 0x2-0x1 (64 bytes), after 1 of 1: 1/1 panic",
            "survey: los 0x40200000-0x4020007f (128 bytes), after 1 of 1: 1/1 panic",
            "survey: lost 0x40200000-0x4020007f (128 bytes), after 1 of 1: 1/1 pani",
            "survey: lost 0x40200000-0x4020007f (128 bytes), after 1 of 1: /1 panic",
            "survey: boot  ended before the reset that it was to make: done again, not counted",
        ] {
            assert_eq!(word(line), Word::Unread, "{line}");
        }
    }
}
