//! A listing of events as text, in the form of Linux's `trace` file or of our own kernel's dump: what a captured console
//! keeps of a boot when nothing else was kept.
//!
//! ```text
//!           <...>-593     [001] d..2.     6.264634: sched_switch: prev_comm=exe ...
//!         workload-101     [001] dh1      0.123456: work: number=7 data=...
//! ```

use kernel::events::context::{HARD_IRQ, IRQS_OFF, NMI};
use ring::escape::Escaped;
use std::collections::HashMap;
use std::fmt::{Result, Write};
use trace::{
    About, Clock, Core, Counts, End, Event, Field, Format, Item, Kind, Loss, LossKind, Origin, Page, Panic, Schema,
    Size, Trace,
};

/// Most cores that a listing is believed to have.
const CORES_MAX: u32 = 4096;
/// Linux's flag for the handler of a soft interrupt, of which our kernel has none.
const SOFT_IRQ: u8 = 0x10;
/// Longest line that is looked at.
const LINE_MAX: usize = 16 << 10;
/// Bytes from which it is judged whether an input is text.
const SAMPLE: usize = 64 << 10;

/// The listing: each core's lines, in order.
pub(crate) struct Listing<'a> {
    about: About,
    schema: Schema,
    cores: Vec<Vec<Line<'a>>>,
    counts: Vec<Counts>,
}

enum Line<'a> {
    Event { time_ns: u64, id: u16, pid: i32, flags: u8, text: &'a [u8] },
    Lost { time_ns: u64, events: Option<u64> },
}

/// The listings in a text, the last one first: each begins with its heading, or with the text.
pub(crate) fn listings(bytes: &[u8]) -> Vec<Listing<'_>> {
    // A picture of memory is no text.
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    if sample.iter().filter(|byte| **byte == 0).count() > sample.len() / 8 {
        return Vec::new();
    }
    let mut all = Vec::new();
    let mut reading = Building::default();
    let mut preamble = Preamble::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = line.get(..LINE_MAX).unwrap_or(line).trim_ascii_end();
        if line.starts_with(b"# tracer:") {
            all.extend(std::mem::take(&mut reading).finish(bytes.len()));
            reading.preamble = std::mem::take(&mut preamble);
        } else if !reading.add(line) {
            preamble.add(line);
        }
    }
    if reading.preamble.boot.is_none() {
        reading.preamble = preamble;
    }
    all.extend(reading.finish(bytes.len()));
    all.reverse();
    all
}

/// What our own kernel says of a boot before it lists its events.
#[derive(Default)]
struct Preamble {
    title: String,
    boot: Option<u64>,
    panic: Option<Panic>,
    /// Lines since the title.
    lines: usize,
}

impl Preamble {
    fn add(&mut self, line: &[u8]) {
        self.lines += 1;
        let text = Escaped(line).to_string();
        if let Some(rest) = text.strip_prefix("boot ")
            && let Some((boot, rest)) = rest.split_once(' ')
            && let Ok(boot) = boot.parse()
        {
            *self = Self { boot: Some(boot), panic: panicked(rest), lines: 0, title: text };
            return;
        }
        let Some(panic) = self.panic.as_mut().filter(|_| self.lines <= 2) else { return };
        match text.strip_prefix("  at ") {
            Some(location) => panic.location = location.into(),
            None => panic.message = text.trim_start().into(),
        }
    }
}

/// "panicked on core 1 at     1.500000"
fn panicked(text: &str) -> Option<Panic> {
    let (core, at) = text.strip_prefix("panicked on core ")?.split_once(" at ")?;
    let (core, time_ns) = (core.parse().ok()?, time(at.trim().as_bytes())?);
    Some(Panic {
        core,
        time_ns,
        message: String::new(),
        location: String::new(),
        registers: None,
        fault_address: 0,
        explained: Vec::new(),
        backtrace: Vec::new(),
        nested: Vec::new(),
    })
}

/// A listing while its lines come.
#[derive(Default)]
struct Building<'a> {
    preamble: Preamble,
    ids: HashMap<&'a str, u16>,
    cores: Vec<Vec<Line<'a>>>,
    newest: u64,
}

impl<'a> Building<'a> {
    /// Whether it was a line of an event or a loss.
    fn add(&mut self, line: &'a [u8]) -> bool {
        let Some((core, parsed)) = parse(line, self.newest, &mut self.ids) else { return false };
        if let Line::Event { time_ns, .. } = parsed {
            self.newest = time_ns;
        }
        if self.cores.len() <= core as usize {
            self.cores.resize_with(core as usize + 1, Vec::new);
        }
        self.cores[core as usize].push(parsed);
        true
    }

    fn finish(self, size: usize) -> Option<Listing<'a>> {
        let Self { preamble, ids, cores, .. } = self;
        if ids.is_empty() {
            return None;
        }
        let mut names: Vec<_> = ids.into_iter().collect();
        names.sort_by_key(|(_, id)| *id);
        let schema = Schema::new(names.into_iter().map(|(name, id)| format(id, name)));
        let about = About {
            title: if preamble.title.is_empty() { "a listing of events".into() } else { preamble.title },
            origin: Origin::Listing,
            place: 0..size as u64,
            boot: preamble.boot,
            boot_id: None,
            end: if preamble.panic.is_some() { End::Panicked } else { End::Unknown },
            board: None,
            build_id: None,
            clock: Clock { name: "listing".into(), ..Clock::default() },
            panic: preamble.panic,
            cores: vec![Core::default(); cores.len()],
            remarks: vec![
                "from a listing: times are in microseconds, and what the events' fields were is not known".into(),
            ],
        };
        let mut listing = Listing { about, schema, cores, counts: Vec::new() };
        let cores = 0..listing.cores.len() as u32;
        let size = |event: &Event<'_>| event.payload.len() as u64;
        listing.counts = cores.map(|core| Counts::of(listing.told(core), size)).collect();
        Some(listing)
    }
}

/// All that is left of an event is its text.
fn format(id: u16, name: &str) -> Format {
    let text = Field { name: "text".into(), kind: Kind::Text, offset: 0, size: Size::Rest };
    Format { id, name: name.into(), fields: vec![text], print: "{text}".into() }
}

/// A line of an event, or of lost ones; `None` for any other.
fn parse<'a>(line: &'a [u8], newest: u64, ids: &mut HashMap<&'a str, u16>) -> Option<(u32, Line<'a>)> {
    if let Some(lost) = line.strip_prefix(b"CPU:") {
        let (core, rest) = std::str::from_utf8(lost).ok()?.split_once(" [LOST ")?;
        let events = rest.strip_suffix(" EVENTS]").and_then(|count| count.parse().ok());
        let core = core.parse().ok().filter(|core| *core < CORES_MAX)?;
        return Some((core, Line::Lost { time_ns: newest, events }));
    }
    let open = line.windows(2).position(|two| two == b" [")?;
    let task = line[..open].trim_ascii();
    let pid = task.rsplit(|byte| *byte == b'-').next()?;
    let pid = std::str::from_utf8(pid).ok()?.parse().ok()?;
    let rest = &line[open + 2..];
    let close = rest.iter().position(|byte| *byte == b']')?;
    let core = std::str::from_utf8(&rest[..close]).ok()?.parse().ok().filter(|core| *core < CORES_MAX)?;
    let rest = rest[close + 1..].trim_ascii_start();
    let (letters, rest) = rest.split_at(rest.iter().position(|byte| *byte == b' ')?);
    let flags = pack(letters);
    let rest = rest.trim_ascii_start();
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let time_ns = time(rest[..colon].trim_ascii())?;
    let rest = rest[colon + 1..].trim_ascii_start();
    // Linux shows a function's trace without a name.
    let named = rest
        .iter()
        .position(|byte| *byte == b':')
        .filter(|end| *end > 0 && rest[..*end].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'));
    let (name, text) = match named {
        Some(end) => (std::str::from_utf8(&rest[..end]).ok()?, rest[end + 1..].trim_ascii_start()),
        None => ("function", rest),
    };
    let next = u16::try_from(ids.len()).ok()?.checked_add(1)?;
    let id = *ids.entry(name).or_insert(next);
    Some((core, Line::Event { time_ns, id, pid, flags, text }))
}

/// Seconds with six or nine places, and a mark where the time is uncertain.
fn time(text: &[u8]) -> Option<u64> {
    let (seconds, rest) = std::str::from_utf8(text).ok()?.trim_end_matches('?').split_once('.')?;
    let scale = match rest.len() {
        6 => 1000,
        9 => 1,
        _ => return None,
    };
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(rest.parse::<u64>().ok()? * scale)
}

impl Listing<'_> {
    fn told(&self, core: u32) -> impl Iterator<Item = Item<'_>> {
        let mut after_loss = false;
        self.cores.get(core as usize).into_iter().flatten().map(move |line| match line {
            Line::Event { time_ns, id, pid, text, flags } => Item::Event(Event {
                core,
                page: 0,
                at: 0,
                time_ns: *time_ns,
                time_is_certain: true,
                beyond_commit: false,
                after_loss: std::mem::take(&mut after_loss),
                id: *id,
                flags: *flags,
                nesting: 0,
                pid: *pid,
                payload: text,
            }),
            Line::Lost { time_ns, events } => {
                after_loss = true;
                let what = "the listing says that events are lost here".into();
                Item::Loss(Loss {
                    core,
                    page: 0,
                    bytes: (0, 0),
                    kind: LossKind::Missed,
                    events: *events,
                    time_ns: *time_ns,
                    what,
                })
            }
        })
    }
}

/// The flags byte that these letters stand for, as far as they are known.
fn pack(letters: &[u8]) -> u8 {
    let irqs = if matches!(letters.first(), Some(b'd' | b'D')) { IRQS_OFF } else { 0 };
    let handler = match letters.get(2) {
        Some(b'h' | b'H') => HARD_IRQ,
        Some(b'z') => NMI,
        Some(b'Z') => NMI | HARD_IRQ,
        Some(b's') => SOFT_IRQ,
        _ => 0,
    };
    irqs | handler
}

impl Trace for Listing<'_> {
    fn about(&self) -> &About {
        &self.about
    }
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn counts(&self, core: u32) -> &Counts {
        self.counts.get(core as usize).unwrap_or(&Counts::NONE)
    }
    fn items(&self, core: u32) -> Box<dyn Iterator<Item = Item<'_>> + '_> {
        Box::new(self.told(core))
    }
    fn pages(&self, core: u32) -> Box<dyn Iterator<Item = Page<'_>> + '_> {
        let items: Vec<_> = self.told(core).collect();
        let page =
            (!items.is_empty()).then_some(Page { sequence: 0, bytes: &[], data: 0, whole: false, missed: None, items });
        Box::new(page.into_iter())
    }
    fn heading(&self, out: &mut dyn Write) -> Result {
        out.write_str("#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n#              | |         |   |||||     |         |\n")
    }
    fn context(&self, event: &Event<'_>) -> [u8; 5] {
        let [irqs, handler, _] = kernel::dump::context(event.flags, 0);
        let handler = if event.flags & SOFT_IRQ != 0 { b's' } else { handler };
        [irqs, b'.', handler, b'.', b'.']
    }
}
