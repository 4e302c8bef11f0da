//! The proof that the instrument works: the kernel's image with one clean or barrier of the panic path taken out, each in its
//! turn. A loop over such a mutant must fail, and say where.
//!
//! Nothing in the sources knows of it: a mutant is the product's own image with one instruction replaced. What is replaced is
//! found in the image, not listed by anybody, and it belongs to the panic path if it is executed between the panic's first
//! instruction and the reset. A loop that cleans line by line serves many callers; there each call is replaced, and the clean
//! itself once.

use crate::lane::{Crashed, End, Lane};
use anyhow::{Result, ensure};
use qemu::Image;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;

/// Most crashes until a mutant is found.
pub const CRASHES_MAX: u64 = 500;

/// What is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A DC instruction that cleans by address: its CRm, which says how deep.
    Clean(u8),
    /// A call of a function that cleans.
    Call,
    /// A jump to such a function, which returns to the caller's caller.
    TailCall,
    /// DSB.
    Dsb,
    /// DMB.
    Dmb,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clean(10) => "DC CVAC",
            Self::Clean(12) => "DC CVAP",
            Self::Clean(13) => "DC CVADP",
            Self::Clean(_) => "DC CIVAC",
            Self::Call => "call of a clean",
            Self::TailCall => "jump to a clean",
            Self::Dsb => "DSB",
            Self::Dmb => "DMB",
        })
    }
}

/// An instruction that could be taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Where, from the image's beginning.
    pub at: u64,
    /// What it is.
    pub what: What,
    /// The function it is in, as the symbol table has it.
    pub function: String,
    /// Where that begins.
    begin: u64,
    /// Of a call, where it goes.
    to: Option<u64>,
}

/// `NOP`.
const NOP: u32 = 0xd503_201f;
/// `RET`.
const RET: u32 = 0xd65f_03c0;

/// What an instruction is, if it is to be considered. DC CVAC, CVAP, CVADP and CIVAC; barriers but those against speculation.
fn what(word: u32) -> Option<What> {
    let crm = word >> 8 & 0xf;
    match (word & 0xffff_f0e0, word & 0xffff_f0ff) {
        (0xd50b_7020, _) if [10, 12, 13, 14].contains(&crm) => Some(What::Clean(crm as u8)),
        (_, 0xd503_309f) if crm & 3 != 0 => Some(What::Dsb),
        (_, 0xd503_30bf) => Some(What::Dmb),
        _ => None,
    }
}

/// Where a `B` or `BL` at an offset goes, and whether it links.
fn branch(at: u64, word: u32) -> Option<(u64, bool)> {
    let links = match word >> 26 {
        0b00_0101 => false,
        0b10_0101 => true,
        _ => return None,
    };
    // 26 bits of words, signed.
    let distance = i64::from((word << 6) as i32 >> 6) * 4;
    Some((at.checked_add_signed(distance)?, links))
}

/// Everything in an image that cleans or orders.
#[must_use]
pub fn sites(image: &Image) -> Vec<Site> {
    let words: Vec<(u64, u32)> = (0u64..)
        .step_by(4)
        .zip(image.bytes().chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))
        .collect();
    let found: Vec<(u64, What)> = words.iter().filter_map(|(at, word)| Some((*at, what(*word)?))).collect();
    // Functions that clean: those with a DC in them, and those that end by going on to one.
    let begin = |at: u64| image.function_at(at).map(|(_, begin)| begin);
    let cleans = found.iter().filter(|(_, what)| matches!(what, What::Clean(_))).filter_map(|(at, _)| begin(*at));
    let mut cleaning: BTreeSet<u64> = cleans.collect();
    let branches: Vec<(u64, u64, bool)> =
        words.iter().filter_map(|(at, word)| branch(*at, *word).map(|(to, links)| (*at, to, links))).collect();
    loop {
        let more: Vec<u64> = branches
            .iter()
            .filter(|(_, to, links)| !links && cleaning.contains(to))
            .filter_map(|(at, ..)| begin(*at))
            .filter(|begin| !cleaning.contains(begin))
            .collect();
        if more.is_empty() {
            break;
        }
        cleaning.extend(more);
    }
    let calls = branches.iter().filter(|(_, to, _)| cleaning.contains(to));
    let calls = calls.map(|(at, to, links)| (*at, if *links { What::Call } else { What::TailCall }, Some(*to)));
    let mut all: Vec<_> = found.into_iter().map(|(at, what)| (at, what, None)).chain(calls).collect();
    all.sort_unstable();
    let site = |(at, what, to)| {
        let (function, begin) = image.function_at(at).unwrap_or(("?", at));
        Site { at, what, function: function.to_owned(), begin, to }
    };
    all.into_iter().map(site).collect()
}

/// The image without a site.
///
/// # Errors
/// The site is not in it.
pub fn without(image: &Image, site: &Site) -> Result<Image> {
    image.patched(site.at, if site.what == What::TailCall { RET } else { NOP })
}

/// A mutant, and how it was found.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was taken out.
    pub site: Site,
    /// After how many crashes it was found, and by what; None: it was not.
    pub found: Option<(u64, String)>,
    /// How many crashes there were.
    pub crashes: u64,
    /// It is a DMB, and in none of the crashes came a clean without a barrier behind another core's store: it has nothing to
    /// order that the model shows. (It also orders behind stores that no cache holds.)
    pub nothing_to_order: bool,
}

/// Something that runs lanes: [`crate::lane::run`].
pub type Runner<'a> = dyn FnMut(&Lane, &Image, &mut dyn FnMut(&Crashed) -> ControlFlow<()>) -> Result<u64> + 'a;

/// The lanes that reach all of the panic path, the cheapest first.
#[must_use]
pub fn lanes() -> Vec<Lane> {
    let base = Lane { crashes: 40, follow: true, ..Lane::default() };
    let die = |word| Lane { end: End::Die(word), ..base.clone() };
    vec![
        base.clone(),
        // Whatever is only for a moment is seen by stopping at each.
        Lane { end: End::PanicPoints, events: 5, step: 4, crashes: CRASHES_MAX, ..base.clone() },
        Lane { extra: "parity=4".into(), ..base.clone() },
        // CPUs that clean otherwise: to the point of coherency only, and to that of deep persistence.
        Lane { machine: "GICv2, cortex-a72", ..base.clone() },
        Lane { machine: "GICv3, max", ..base.clone() },
        die("panic-everywhere"),
        die("panic-at-clean"),
        // Behind the last clean: what it says has to be cleaned by itself.
        die("panic-at-tell"),
        // Cores that do not answer cost two seconds each time.
        Lane { others: "all-masked", stop: "fiq", crashes: 4, ..base },
    ]
}

/// The kernel as it is, through the same lanes to their ends: what is noticed of a mutant means something only if nothing is
/// noticed here. Returns how many crashes that were.
///
/// # Errors
/// It does not get through them, or somebody notices something.
pub fn control(image: &Image, lanes: &[Lane], run: &mut Runner<'_>) -> Result<u64> {
    let mut crashes = 0;
    for lane in lanes {
        let mut noticed = None;
        crashes += run(lane, image, &mut |crashed| {
            let Some(first) = crashed.verdict.violations.first() else { return ControlFlow::Continue(()) };
            noticed = Some(first.to_string());
            ControlFlow::Break(())
        })?;
        ensure!(noticed.is_none(), "with nothing taken out, in lane {lane}: {}", noticed.unwrap_or_default());
    }
    Ok(crashes)
}

/// Takes each clean and barrier of the panic path out in turn, as far as it is `wanted`. `each` is called with every row as it is known.
///
/// # Errors
/// The kernel as it is does not get through the lanes; or a mutant did not once, and did when it was tried again.
pub fn all(
    image: &Image,
    lanes: &[Lane],
    wanted: &dyn Fn(&Site) -> bool,
    run: &mut Runner<'_>,
    each: &mut dyn FnMut(&Row),
) -> Result<Vec<Row>> {
    let sites: Vec<Site> = sites(image).into_iter().filter(wanted).collect();
    let mut reached = Vec::new();
    for lane in lanes {
        let watch = sites.iter().map(|site| site.at).collect();
        let lane = Lane { watch, crashes: lane.crashes.min(6), end: watchable(&lane.end), ..lane.clone() };
        let mut counts = vec![0; sites.len()];
        run(&lane, image, &mut |crashed| {
            counts.iter_mut().zip(&crashed.reset.watched).for_each(|(sum, count)| *sum += count);
            ControlFlow::Continue(())
        })?;
        // A call cleans something of the region if the function does, or goes on to one that does.
        let cleans = |begin: u64| cleans_something(&sites, &counts, begin);
        let is_reached = |(site, count): (&Site, &u64)| *count > 0 && site.to.is_none_or(cleans);
        reached.push(sites.iter().zip(&counts).map(is_reached).collect::<Vec<bool>>());
    }
    let mut rows = Vec::new();
    for (number, site) in sites.iter().enumerate() {
        let of_site: Vec<&Lane> =
            lanes.iter().zip(&reached).filter(|(_, counts)| counts[number]).map(|it| it.0).collect();
        if of_site.is_empty() {
            continue;
        }
        let row = hunt(image, site, &of_site, run)?;
        each(&row);
        rows.push(row);
    }
    ensure!(!rows.is_empty(), "nothing of the panic path was executed: is this an ELF file with symbols?");
    Ok(rows)
}

/// Whether a function's own cleans, or those that it goes on to, were executed on the region.
fn cleans_something(sites: &[Site], counts: &[u64], begin: u64) -> bool {
    sites.iter().zip(counts).filter(|(site, count)| site.begin == begin && **count > 0).any(|(site, _)| {
        match site.what {
            What::Clean(_) => true,
            What::TailCall => site.to.is_some_and(|to| to != begin && cleans_something(sites, counts, to)),
            What::Call | What::Dsb | What::Dmb => false,
        }
    })
}

/// Points end a path before its end; what it executes is seen in whole ones.
fn watchable(end: &End) -> End {
    match end {
        End::Die(word) => End::Die(word),
        _ => End::Die("panic"),
    }
}

/// Crashes a mutant until somebody notices.
fn hunt(image: &Image, site: &Site, lanes: &[&Lane], run: &mut Runner<'_>) -> Result<Row> {
    let mutant = without(image, site)?;
    let mut row = Row { site: site.clone(), found: None, crashes: 0, nothing_to_order: site.what == What::Dmb };
    for lane in lanes {
        let lane = Lane { crashes: lane.crashes.min(CRASHES_MAX - row.crashes), ..(*lane).clone() };
        let by = match try_lane(&mutant, &lane, &mut row, run) {
            Ok(by) => by,
            // It did not even get there. A host that was busy is no find: the same must happen again.
            Err(first) => match try_lane(&mutant, &lane, &mut row, run) {
                Err(_) => Some(format!("{first:#}").lines().next().unwrap_or_default().to_owned()),
                Ok(Some(by)) => Some(by),
                Ok(None) => return Err(first.context(format!("{} taken out of {}, once", site.what, site.function))),
            },
        };
        row.found = by.map(|by| (row.crashes, by));
        if row.found.is_some() || row.crashes >= CRASHES_MAX {
            break;
        }
    }
    Ok(row)
}

/// Crashes a mutant in one lane. Returns what somebody noticed.
fn try_lane(mutant: &Image, lane: &Lane, row: &mut Row, run: &mut Runner<'_>) -> Result<Option<String>> {
    let (before, mut found) = (row.crashes, None);
    let done = run(lane, mutant, &mut |crashed| {
        row.crashes += 1;
        row.nothing_to_order &= crashed.reset.counts.unordered == 0;
        let Some(first) = crashed.verdict.violations.first() else { return ControlFlow::Continue(()) };
        found = Some(first.to_string());
        ControlFlow::Break(())
    });
    if found.is_none() && done.is_err() {
        row.crashes = row.crashes.max(before + 1);
    }
    if found.is_some() { Ok(found) } else { done.map(|_| None) }
}

#[cfg(test)]
mod tests;
