//! From lists of machines, means of stop, ways to end, modes and chances to lanes: every combination that there is, each with
//! its share of the crashes and a seed of its own.

use crate::lane::{End, Lane};
use crate::name;
use anyhow::{Context, Result, ensure};
use qemu::stop_matrix::{Kind, MACHINES, Means};
use ring::policy::CleanAt;

/// Words of `stop=`.
pub const STOPS: &[&str] = &["auto", "el2", "feat-nmi", "fiq", "priority-mask"];
/// Words of `others=` with which the others are stopped at once.
pub const OTHERS: &[&str] = &["work", "irq-handler", "masked", "all-masked", "wild", "console"];
/// Words of `die=` after which the machine boots again by itself, soon.
pub const DEATHS: &[&str] = &[
    "panic",
    "reset",
    "trap",
    "index",
    "heap",
    "data-abort",
    "instruction-abort",
    "undefined",
    "alignment",
    "external-abort",
    "write-rodata",
    "write-text",
    "exec-data",
    "overflow-thread",
    "overflow-irq",
    "overflow-nmi",
    "panic-in-irq",
    "panic-in-nmi",
    "panic-in-event",
    "panic-in-log",
    "panic-holding-console",
    "panic-everywhere",
    "panic-at-stop",
    "panic-at-record",
    "panic-at-say",
    "panic-at-wait",
    "panic-at-clean",
    "panic-at-tell",
    "panic-at-reset",
];

/// The word of a clean mode.
#[must_use]
pub fn clean_word(clean: CleanAt) -> &'static str {
    match clean {
        CleanAt::Panic => "panic",
        CleanAt::SubBuffer => "subbuffer",
        CleanAt::Event => "event",
    }
}

/// The word of a list that a text is.
///
/// # Errors
/// None: the error lists them.
pub(crate) fn known(what: &str, text: &str, words: &[&'static str]) -> Result<&'static str> {
    let found = words.iter().find(|word| **word == text).copied();
    found.with_context(|| format!("{what}={text}: there is none; there are: {}", words.join("; ")))
}

/// What is wished for; `all` stands for everything where a list has one.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Parts of machines' names.
    pub machines: Vec<String>,
    /// Words of `stop=`.
    pub stops: Vec<String>,
    /// How boots end: words of `die=`, instant, panic-points, writer-points.
    pub ends: Vec<String>,
    /// Words of `clean=`.
    pub cleans: Vec<String>,
    /// Percent.
    pub evicts: Vec<u32>,
    /// Words of `others=`.
    pub others: Vec<String>,
    /// Of all chance.
    pub seed: u64,
    /// Crashes in all.
    pub crashes: u64,
    /// A thread for each core.
    pub parallel: bool,
    /// More words for the kernel.
    pub extra: String,
}

/// Every lane that is wished for and that there is, and how many of them are left out, because there are fewer crashes than lanes.
/// Points get as many crashes as they need.
///
/// # Errors
/// A word is unknown, or nothing is left.
pub fn lanes(wishes: &Wishes) -> Result<(Vec<Lane>, usize)> {
    let machines = machines(&wishes.machines)?;
    let stops = words("stop", &wishes.stops, STOPS)?;
    let others = words("others", &wishes.others, OTHERS)?;
    let cleans = expand(&wishes.cleans, &["panic", "subbuffer", "event"]);
    let cleans: Vec<CleanAt> = cleans.iter().map(|word| name::clean(word)).collect::<Result<_>>()?;
    let ends: Vec<End> = expand(&wishes.ends, DEATHS).iter().map(|word| word.parse()).collect::<Result<_>>()?;
    for evict in &wishes.evicts {
        ensure!(*evict <= 100, "evict={evict}: at most 100");
    }
    let mut lanes = Vec::new();
    for kind in machines {
        for stop in
            stops.iter().filter(|stop| **stop == "auto" || kind.means.iter().any(|means| means.word() == **stop))
        {
            for end in ends.iter().filter(|end| can_end(kind, stop, end)) {
                for clean in &cleans {
                    for others in &others {
                        lanes.extend(wishes.evicts.iter().map(|evict| Lane {
                            machine: kind.name,
                            stop,
                            clean: *clean,
                            evict: *evict,
                            end: end.clone(),
                            others,
                            parallel: wishes.parallel,
                            extra: wishes.extra.clone(),
                            ..Lane::default()
                        }));
                    }
                }
            }
        }
    }
    ensure!(!lanes.is_empty(), "no machine has this means of stop, or can end so with it");
    let all = lanes.len();
    share(&mut lanes, wishes);
    let left_out = all - lanes.len();
    Ok((lanes, left_out))
}

/// Whether such a machine can end so: own EL2 stops cores without a handler at EL1, so that nobody can die in one.
fn can_end(kind: &Kind, stop: &str, end: &End) -> bool {
    let is_el2 = stop == "el2" || stop == "auto" && kind.means.first() == Some(&Means::El2);
    !(is_el2 && matches!(end, End::Die("panic-in-nmi" | "overflow-nmi")))
}

/// Crashes and seeds: the first lanes get what cannot be divided.
fn share(lanes: &mut Vec<Lane>, wishes: &Wishes) {
    let is_points = |lane: &Lane| matches!(lane.end, End::PanicPoints | End::WriterPoints);
    let sharing = lanes.iter().filter(|lane| !is_points(lane)).count().max(1) as u64;
    let (each, mut rest) = (wishes.crashes / sharing, wishes.crashes % sharing);
    for (lane, number) in lanes.iter_mut().zip(0u64..) {
        lane.seed = wishes.seed + number;
        if is_points(lane) {
            lane.crashes = u64::MAX;
            // Two hundred and fifty on each of four cores.
            lane.events = if lane.end == End::WriterPoints { 250 } else { 5 };
            continue;
        }
        lane.crashes = each + u64::from(rest > 0);
        rest = rest.saturating_sub(1);
    }
    lanes.retain(|lane| lane.crashes > 0);
}

fn machines(wished: &[String]) -> Result<Vec<&'static Kind>> {
    let mut found = Vec::new();
    for wish in wished {
        let all: Vec<&Kind> = MACHINES.iter().filter(|kind| wish == "all" || kind.name == *wish).collect();
        let all = if all.is_empty() { MACHINES.iter().filter(|kind| kind.name.contains(wish)).collect() } else { all };
        let names =
            || format!("no machine is called {wish:?}; there are: {}", MACHINES.map(|kind| kind.name).join("; "));
        ensure!(!all.is_empty(), names());
        found.extend(
            all.into_iter()
                .filter(|kind| !found.iter().any(|known: &&Kind| known.name == kind.name))
                .collect::<Vec<_>>(),
        );
    }
    Ok(found)
}

fn expand(wished: &[String], all: &[&str]) -> Vec<String> {
    let is_all = wished.iter().any(|word| word == "all");
    if is_all { all.iter().map(|word| (*word).to_owned()).collect() } else { wished.to_vec() }
}

fn words(what: &str, wished: &[String], all: &[&'static str]) -> Result<Vec<&'static str>> {
    expand(wished, all).iter().map(|word| known(what, word, all)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes() -> Wishes {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Wishes {
            machines: list(&["GICv3, cortex-a76"]),
            stops: list(&["auto"]),
            ends: list(&["panic", "instant"]),
            cleans: list(&["all"]),
            evicts: vec![0, 50, 100],
            others: list(&["work"]),
            seed: 5,
            crashes: 1000,
            parallel: false,
            extra: String::new(),
        }
    }

    #[test]
    fn crashes_are_shared_and_each_lane_has_its_seed() {
        let (lanes, left_out) = lanes(&wishes()).unwrap();
        assert_eq!(left_out, 0);
        assert_eq!(lanes.len(), 18);
        assert_eq!(lanes.iter().map(|lane| lane.crashes).sum::<u64>(), 1000);
        let seeds: std::collections::BTreeSet<u64> = lanes.iter().map(|lane| lane.seed).collect();
        assert_eq!(seeds.len(), 18);
        let (few, left_out) = super::lanes(&Wishes { crashes: 2, ..wishes() }).unwrap();
        assert_eq!(left_out, lanes.len() - 2);
        assert_eq!(few.iter().map(|lane| lane.crashes).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn a_machine_without_the_means_is_left_out_and_nothing_left_is_an_error() {
        let stops = vec!["el2".to_owned()];
        let all = Wishes { machines: vec!["all".into()], stops: stops.clone(), ..wishes() };
        let (lanes, _) = super::lanes(&all).unwrap();
        assert!(
            lanes.iter().all(|lane| lane.machine != "GICv3, cortex-a76")
                && lanes.iter().any(|l| l.machine == "raspi4b")
        );
        assert!(super::lanes(&Wishes { stops, ..wishes() }).unwrap_err().to_string().contains("means of stop"));
    }

    #[test]
    fn nobody_dies_in_a_handler_that_own_el2_does_not_have() {
        let all = |machine: &str| Wishes {
            machines: vec![machine.into()],
            stops: vec!["auto".into(), "el2".into(), "fiq".into()],
            ends: vec!["panic-in-nmi".into(), "panic-in-irq".into()],
            ..wishes()
        };
        let stops_of = |machine, word: &str| {
            let (lanes, _) = lanes(&all(machine)).unwrap();
            let mut stops: Vec<_> =
                lanes.iter().filter(|lane| lane.end == word.parse().unwrap()).map(|lane| lane.stop).collect();
            stops.dedup();
            stops
        };
        assert_eq!(stops_of("raspi3b", "panic-in-nmi"), ["fiq"]);
        assert_eq!(stops_of("raspi3b", "panic-in-irq"), ["auto", "el2", "fiq"]);
        assert_eq!(stops_of("GICv3, cortex-a76", "panic-in-nmi"), ["auto", "fiq"]);
    }

    #[test]
    fn points_take_what_they_need() {
        let (lanes, _) = lanes(&Wishes { ends: vec!["panic-points".into()], ..wishes() }).unwrap();
        assert!(lanes.iter().all(|lane| lane.crashes == u64::MAX));
    }

    #[test]
    fn unknown_words_list_the_known_ones() {
        for (wishes, says) in [
            (Wishes { machines: vec!["vax".into()], ..wishes() }, "raspi4b"),
            (Wishes { stops: vec!["ipi".into()], ..wishes() }, "feat-nmi"),
            (Wishes { ends: vec!["lock-up".into()], ..wishes() }, "panic-everywhere"),
            (Wishes { evicts: vec![101], ..wishes() }, "at most 100"),
        ] {
            let error = lanes(&wishes).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
