//! What Linux 7.2 and later check of a region at boot, written down once more from the description of their layout and
//! behaviour, without our own layout code: whether they would accept a bank, and how many events they would show.

use std::fmt;

/// How much Linux throws away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The whole region is wiped.
    Region(&'static str),
    /// Everything of a CPU is wiped.
    Cpu(u64, &'static str),
    /// A page of a CPU, by its physical number, is emptied.
    Page(u64, u64, &'static str),
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(why) => write!(f, "the region: {why}"),
            Self::Cpu(cpu, why) => write!(f, "CPU {cpu}: {why}"),
            Self::Page(cpu, page, why) => write!(f, "page {page} of CPU {cpu}: {why}"),
        }
    }
}

const PAGE: u64 = 4096;
const GLOBAL_HEADER: u64 = 24;
const CPU_HEADER: u64 = 32;
const BUFFERS_OFFSET: u64 = 8240;
const DATA_MAX: u64 = 4080;

/// Where a CPU's header begins, and its sub-buffers.
pub fn chunk(cpu: u64, subbufs: u64) -> (u64, u64) {
    let mut header = BUFFERS_OFFSET;
    for _ in 0..cpu {
        header = (pages_of(header, subbufs) + subbufs * PAGE).next_multiple_of(PAGE);
    }
    (header, pages_of(header, subbufs))
}

fn pages_of(header: u64, subbufs: u64) -> u64 {
    (header + CPU_HEADER + 4 * subbufs).next_multiple_of(PAGE)
}

/// Sub-buffers per CPU in a region: what fits into a share, lowered until the last CPU's fit as well.
pub fn subbufs(size: u64, cpus: u64) -> u64 {
    let mut n = ((size - BUFFERS_OFFSET) / cpus - CPU_HEADER) / (PAGE + 4);
    while chunk(cpus - 1, n).1 + n * PAGE > size {
        n -= 1;
    }
    n
}

struct Region<'a>(&'a [u8]);

impl Region<'_> {
    fn u32(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.0[at as usize..at as usize + 4].try_into().unwrap())
    }
    fn u64(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.0[at as usize..at as usize + 8].try_into().unwrap())
    }
}

/// The number of events that Linux shows of a region that it is told of, with so many possible CPUs.
///
/// # Errors
/// The first thing for which Linux would throw something away.
pub fn linux_accepts(region: &[u8], cpus: u64) -> Result<u64, Rejected> {
    let size = region.len() as u64;
    let region = Region(region);
    let check = |ok: bool, why| if ok { Ok(()) } else { Err(Rejected::Region(why)) };
    check(region.u32(0) == 0x0bad_feed, "magic")?;
    check(region.u32(4) == 0x0018_0020, "struct sizes")?;
    check(region.u64(8) == size, "total size")?;
    check(region.u64(16) == BUFFERS_OFFSET, "offset of the buffers")?;
    // Not checked by Linux but used: clock 0 is in nanoseconds, and addresses of modules are followed.
    check(region.0[GLOBAL_HEADER as usize..BUFFERS_OFFSET as usize].iter().all(|b| *b == 0), "scratch")?;
    let n = subbufs(size, cpus);
    check(n >= 3, "too small")?;
    (0..cpus).map(|cpu| accept_cpu(&region, cpu, n)).sum()
}

fn accept_cpu(region: &Region<'_>, cpu: u64, n: u64) -> Result<u64, Rejected> {
    let check = |ok: bool, why| if ok { Ok(()) } else { Err(Rejected::Cpu(cpu, why)) };
    let (header, pages) = chunk(cpu, n);
    check(u64::from(region.u32(header + 24)) == PAGE, "size of a sub-buffer")?;
    check(u64::from(region.u32(header + 28)) == n, "number of sub-buffers")?;
    // Addresses of the boot that wrote them: only their distance from the first sub-buffer counts.
    let first = region.u64(header);
    let page_at = |at: u64, why| {
        let offset = region.u64(at).wrapping_sub(first);
        check(offset < n * PAGE, why)?;
        // In range but not at a page's beginning crashes Linux.
        check(offset.is_multiple_of(PAGE), "head or commit inside a page").map(|()| offset / PAGE)
    };
    let head = page_at(header + 8, "head out of range")?;
    let commit = page_at(header + 16, "commit out of range")?;
    // Logical place -> page; place 0 is the reader's page, the others are the ring in order.
    let order: Vec<u64> = (0..n).map(|i| u64::from(region.u32(header + CPU_HEADER + 4 * i))).collect();
    check(order.iter().all(|page| *page < n), "order out of range")?;
    check((0..n).all(|page| order.contains(&page)), "order is no permutation")?;
    let place = |page: u64| order.iter().position(|p| *p == page).unwrap_or(0);
    check(place(head) > 0, "head is the reader's page")?;
    // The reader's page first; if it is the commit page there is no other.
    let mut shown = vec![order[0]];
    if commit != order[0] {
        let mut at = place(head);
        loop {
            shown.push(order[at]);
            if order[at] == commit {
                break;
            }
            check(shown.len() <= order.len(), "commit page not found")?;
            at = if at + 1 == order.len() { 1 } else { at + 1 };
        }
    }
    let (mut events, mut before) = (0, 0);
    for page in shown {
        let time = region.u64(pages + page * PAGE);
        events += accept_page(region, pages + page * PAGE).map_err(|why| Rejected::Page(cpu, page, why))?;
        if time < before {
            return Err(Rejected::Page(cpu, page, "its time is before that of the page before"));
        }
        before = time;
    }
    Ok(events)
}

/// Walks a page's events; returns how many a reader is shown.
fn accept_page(region: &Region<'_>, page: u64) -> Result<u64, &'static str> {
    let (mut time, commit) = (region.u64(page), region.u64(page + 8));
    let check = |ok: bool, why| if ok { Ok(()) } else { Err(why) };
    check(commit <= DATA_MAX, "commit is larger than the page")?;
    let (mut at, mut events) = (0, 0);
    while at < commit {
        check(at + 4 <= commit, "an event begins behind the last word")?;
        let event = page + 16 + at;
        let word = region.u32(event);
        let (kind, delta) = (word & 31, u64::from(word >> 5));
        // Only events of these kinds have a second word, which must be committed as well.
        let second = || -> Result<u64, &'static str> {
            check(at + 8 <= commit, "an event's second word is behind the commit")?;
            Ok(u64::from(region.u32(event + 4)))
        };
        let length = match kind {
            29 if delta == 0 => return Err("the end of the page inside the commit"),
            29 => {
                let length = 4 + second()?;
                // One nanosecond stands for none.
                time += if delta == 1 { 0 } else { delta };
                length
            }
            30 => {
                time += second()? << 27 | delta;
                8
            }
            31 => {
                let stamp = time >> 59 << 59 | second()? << 27 | delta;
                check(stamp >= time, "an absolute time goes back")?;
                time = stamp;
                8
            }
            0 => {
                events += 1;
                time += delta;
                let length = second()?;
                check(length >= 4, "a long event without a length")?;
                4 + length
            }
            words => {
                events += 1;
                time += delta;
                4 + 4 * u64::from(words)
            }
        };
        at += length;
        check(at <= commit, "an event ends behind the commit")?;
    }
    Ok(events)
}
