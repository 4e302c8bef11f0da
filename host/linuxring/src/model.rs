//! A region as the model from which everything is shown: [`trace::Trace`].

use crate::event::{Formats, Holds, Kind};
use crate::items::Items;
use crate::layout::Layout;
use crate::print::plain;
use crate::recognise::{Candidates, DYNAMIC_FROM};
use crate::region::Region;
use crate::symbols::Symbols;
use std::cell::OnceCell;
use std::fmt::{Result, Write};
use trace::{About, Clock, Core, Counts, End, Event, Format, Item, Origin, Page, Schema, Size, Trace, hex};

/// Linux's own kinds of entries.
const FUNCTION: u16 = 1;
const STACK: u16 = 4;
const PRINT: u16 = 5;
/// RAW_DATA: 18 before a kind was added, 19 since.
const RAW_DATA: [u16; 2] = [18, 19];
/// Linux's list of clocks. The third counts events and not nanoseconds.
const CLOCKS: [&str; 9] = ["local", "global", "counter", "uptime", "perf", "mono", "mono_raw", "boot", "tai"];
/// Most bytes of an unknown event that a line shows.
const BYTES_SHOWN: usize = 256;
/// What ends a stack, and what marks a trampoline in it.
const STACK_END: u64 = u64::MAX;

/// A region with all that is known for reading it.
pub struct Linux<'a> {
    region: Region<'a>,
    about: About,
    symbols: Symbols,
    given: Formats,
    known: OnceCell<Formats>,
    /// Place in `kinds` plus one, by id: it is looked up for every event.
    by_id: OnceCell<(Vec<u16>, Vec<Kind>)>,
    schema: OnceCell<Schema>,
    counts: Vec<OnceCell<Counts>>,
}

impl<'a> Linux<'a> {
    /// A region, and what somebody has for reading it: nothing is needed.
    #[must_use]
    pub fn new(region: Region<'a>, given: Formats, mut symbols: Symbols) -> Self {
        let notes = region.notes();
        let mut remarks = region.remarks.clone();
        let anchor = match region.layout() {
            Layout::PerCpu => "rb_meta_init_text_addr",
            Layout::Global { .. } => "_text",
        };
        if !symbols.is_empty() {
            match (notes.text, symbols.address(anchor)) {
                (Some(theirs), Some(ours)) => symbols.moved(theirs, ours),
                _ => remarks.push(format!("symbols are taken as they are: {anchor} is not known on both sides")),
            }
        }
        for (address, name) in &notes.modules {
            remarks.push(format!("module {name} was at {address:#x}"));
        }
        let cpus = region.cpus().len();
        let clock = match notes.clock {
            Some(clock) => CLOCKS.get(clock as usize).copied().unwrap_or("unknown"),
            None => "local",
        };
        let about = About {
            title: format!("Linux {}, {cpus} cores", region.layout().words()),
            origin: Origin::Linux { layout: region.layout().words().into() },
            place: region.place(),
            boot: None,
            boot_id: None,
            end: End::Unknown,
            board: None,
            build_id: None,
            clock: Clock { name: clock.into(), frequency_hz: 0, zero: 0 },
            panic: None,
            cores: vec![Core { stop: None, pages: region.subbufs() - 1 }; cpus],
            remarks,
        };
        let counts = (0..cpus).map(|_| OnceCell::new()).collect();
        Self {
            region,
            about,
            symbols,
            given,
            known: OnceCell::new(),
            by_id: OnceCell::new(),
            schema: OnceCell::new(),
            counts,
        }
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &Region<'a> {
        &self.region
    }

    /// Ids that were recognised by shape or number, and as what.
    pub fn recognised(&self) -> impl Iterator<Item = (u16, &str)> {
        let mut ids: Vec<_> = self.known().by_id.iter().map(|(id, kind)| (*id, kind.name.as_str())).collect();
        ids.sort_unstable();
        ids.into_iter()
    }

    /// Kinds that nobody described and that are recognised.
    fn known(&self) -> &Formats {
        self.known.get_or_init(|| {
            let mut candidates = Candidates::default();
            for core in 0..self.about.cores.len() as u32 {
                for item in Items::new(&self.region, core) {
                    if let Item::Event(event) = item
                        && !self.given.by_id.contains_key(&event.id)
                    {
                        candidates.event(event.id, event.payload);
                    }
                }
            }
            let decided = candidates.decide(self.region.layout() != Layout::PerCpu);
            Formats { by_id: decided.into_iter().map(|(id, known)| (id, known.kind.clone())).collect() }
        })
    }

    fn kind(&self, id: u16) -> Option<&Kind> {
        let (places, kinds) = self.by_id.get_or_init(|| {
            let known = self.known().by_id.iter().filter(|(id, _)| !self.given.by_id.contains_key(id));
            let all = self.given.by_id.iter().chain(known).filter(|(id, _)| **id >= DYNAMIC_FROM);
            let (mut places, mut kinds) = (Vec::new(), Vec::new());
            for (id, kind) in all.take(usize::from(u16::MAX)) {
                let id = usize::from(*id);
                kinds.push(kind.clone());
                places.resize(places.len().max(id + 1), 0);
                places[id] = kinds.len() as u16;
            }
            (places, kinds)
        });
        kinds.get(usize::from(*places.get(usize::from(id))?).checked_sub(1)?)
    }

    fn raw_data(&self) -> u16 {
        RAW_DATA[usize::from(self.region.layout() != Layout::PerCpu)]
    }

    fn symbol(&self, address: u64, out: &mut dyn Write) -> Result {
        if address == 0 { out.write_char('0') } else { self.symbols.show(address, false, out) }
    }
}

fn address(payload: &[u8], at: usize) -> u64 {
    payload.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The text of a PRINT entry without the newline at its end.
fn printed(payload: &[u8]) -> &[u8] {
    let text = payload.get(8..).unwrap_or(&[]).split(|byte| *byte == 0).next().unwrap_or(&[]);
    text.strip_suffix(b"\n").unwrap_or(text)
}

/// The return addresses of a STACK entry: a number of them, then they themselves; the number is missing in older entries.
fn stack(payload: &[u8]) -> impl Iterator<Item = u64> {
    let number = payload.first_chunk().map_or(0, |word| u32::from_le_bytes(*word)) as usize;
    let room = payload.len() / 8;
    (0..number.min(room)).map(|n| address(payload, 8 + 8 * n)).take_while(|address| *address != STACK_END)
}

impl Trace for Linux<'_> {
    fn about(&self) -> &About {
        &self.about
    }

    fn schema(&self) -> &Schema {
        self.schema.get_or_init(|| {
            let mut ids: Vec<u16> = self.given.by_id.keys().chain(self.known().by_id.keys()).copied().collect();
            ids.sort_unstable();
            ids.dedup();
            let described = ids.into_iter().filter_map(|id| Some(format(id, self.kind(id)?)));
            Schema::new(own_formats(self.raw_data()).into_iter().chain(described))
        })
    }

    fn counts(&self, core: u32) -> &Counts {
        let Some(cell) = self.counts.get(core as usize) else { return &Counts::NONE };
        cell.get_or_init(|| {
            let pages = self.region.cpus()[core as usize].order.len();
            let data = (0..pages).filter_map(|page| self.region.plan(core as usize, page));
            let bytes = data.map(|(_, plan)| plan.data as u64).sum();
            Counts { bytes, ..Counts::of(Items::new(&self.region, core), |_| 0) }
        })
    }

    fn items(&self, core: u32) -> Box<dyn Iterator<Item = Item<'_>> + '_> {
        Box::new(Items::new(&self.region, core))
    }

    fn pages(&self, core: u32) -> Box<dyn Iterator<Item = Page<'_>> + '_> {
        let pages = self.region.cpus().get(core as usize).map_or(0, |cpu| cpu.order.len());
        Box::new((0..pages).filter_map(move |number| {
            let (bytes, plan) = self.region.plan(core as usize, number)?;
            let items = || Items::of_page(&self.region, core, number);
            let items = if plan.whole { Vec::new() } else { items().collect() };
            Some(Page {
                sequence: number as u64,
                bytes,
                data: plan.data as u32,
                whole: plan.whole,
                missed: plan.missed,
                items,
            })
        }))
    }

    fn heading(&self, out: &mut dyn Write) -> Result {
        let cores = self.about.cores.len();
        let events: u64 = (0..cores as u32).map(|core| self.counts(core).events).sum();
        writeln!(out, "# tracer: nop\n#")?;
        writeln!(out, "# entries-in-buffer/entries-written: {events}/{events}   #P:{cores}\n#")?;
        for line in [
            "                                _-----=> irqs-off/BH-disabled",
            "                               / _----=> need-resched",
            "                              | / _---=> hardirq/softirq",
            "                              || / _--=> preempt-depth",
            "                              ||| / _-=> migrate-disable",
            "                              |||| /     delay",
            "           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION",
            "              | |         |   |||||     |         |",
        ] {
            writeln!(out, "#{line}")?;
        }
        let mut is_first = true;
        for (id, name) in self.recognised() {
            let begin = if is_first { "# events recognised by shape and number: " } else { ", " };
            is_first = false;
            write!(out, "{begin}{id} {name}")?;
        }
        if is_first { Ok(()) } else { writeln!(out) }
    }

    fn context(&self, event: &Event<'_>) -> [u8; 5] {
        let has = |bit: u8| event.flags & 1 << bit != 0;
        let digit = |number: u8| if number == 0 { b'.' } else { b"0123456789abcdef"[usize::from(number & 15)] };
        // Bits: 0 interrupts off, 1 lazy resched, 2 resched, 3 hardirq, 4 softirq, 5 preempt resched, 6 NMI, 7 BH off.
        let off = match (has(0), has(7)) {
            (true, true) => b'D',
            (true, false) => b'd',
            (false, true) => b'b',
            (false, false) => b'.',
        };
        let resched = match (has(2), has(1), has(5)) {
            (true, true, true) => b'B',
            (true, false, true) => b'N',
            (false, true, true) => b'L',
            (true, true, false) => b'b',
            (true, false, false) => b'n',
            (false, true, false) => b'l',
            (false, false, true) => b'p',
            (false, false, false) => b'.',
        };
        let interrupt = match (has(6), has(3), has(4)) {
            (true, true, _) => b'Z',
            (true, false, _) => b'z',
            (false, true, true) => b'H',
            (false, true, false) => b'h',
            (false, false, true) => b's',
            (false, false, false) => b'.',
        };
        [off, resched, interrupt, digit(event.nesting & 15), digit(event.nesting >> 4)]
    }

    fn text(&self, event: &Event<'_>, out: &mut dyn Write) -> Result {
        match event.id {
            FUNCTION => {
                self.symbol(address(event.payload, 0), out)?;
                match address(event.payload, 8) {
                    0 => Ok(()),
                    caller => {
                        out.write_str(" <-")?;
                        self.symbol(caller, out)
                    }
                }
            }
            STACK => {
                out.write_str("<stack trace>")?;
                stack(event.payload).try_for_each(|address| {
                    out.write_str(" => ")?;
                    self.symbol(address, out)
                })
            }
            PRINT => plain(printed(event.payload), out),
            id if id == self.raw_data() => {
                let word = event.payload.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
                write!(out, "# {word:x} buf:")?;
                event.payload.get(4..).unwrap_or(&[]).iter().try_for_each(|byte| write!(out, " {byte:02x}"))
            }
            id => match self.kind(id) {
                Some(kind) => kind.show(event.payload, &self.symbols, out),
                None => {
                    let (shown, rest) = event.payload.split_at(event.payload.len().min(BYTES_SHOWN));
                    write!(out, "{}{}", hex(shown), if rest.is_empty() { "" } else { "..." })
                }
            },
        }
    }

    fn name(&self, id: u16) -> &str {
        match id {
            FUNCTION => "function",
            STACK => "kernel_stack",
            PRINT => "print",
            id if id == self.raw_data() => "raw_data",
            id => self.kind(id).map_or("unknown", |kind| kind.name.as_str()),
        }
    }

    fn listed(&self, event: &Event<'_>, out: &mut dyn Write) -> Result {
        match event.id {
            FUNCTION => self.text(event, out),
            STACK => {
                out.write_str("<stack trace>")?;
                stack(event.payload).try_for_each(|address| {
                    out.write_str("\n => ")?;
                    self.symbol(address, out)
                })
            }
            PRINT => {
                self.symbol(address(event.payload, 0), out)?;
                out.write_str(": ")?;
                self.text(event, out)
            }
            id if id == self.raw_data() => self.text(event, out),
            id => match self.kind(id) {
                Some(kind) if kind.name.starts_with("sys_e") && crate::print::is_call(kind) => {
                    crate::print::call(kind, event.payload, out)
                }
                Some(kind) => {
                    write!(out, "{}: ", kind.name)?;
                    self.text(event, out)
                }
                None => {
                    write!(out, "Unknown type {id} ")?;
                    self.text(event, out)
                }
            },
        }
    }
}

/// Descriptions of Linux's own entries.
fn own_formats(raw_data: u16) -> [Format; 4] {
    use trace::Kind as Meant;
    let field = |name: &str, kind, offset, size| trace::Field { name: name.into(), kind, offset, size };
    let format = |id, name: &str, fields, print: &str| Format { id, name: name.into(), fields, print: print.into() };
    let ip = || field("ip", Meant::Hex, 0, Size::Fixed(8));
    [
        format(
            FUNCTION,
            "function",
            vec![ip(), field("parent_ip", Meant::Hex, 8, Size::Fixed(8))],
            "{ip} <-{parent_ip}",
        ),
        format(
            STACK,
            "kernel_stack",
            vec![field("size", Meant::Unsigned, 0, Size::Fixed(4)), field("caller", Meant::Bytes, 8, Size::Rest)],
            "{caller}",
        ),
        format(PRINT, "print", vec![ip(), field("buf", Meant::Text, 8, Size::Rest)], "{buf}"),
        format(
            raw_data,
            "raw_data",
            vec![field("id", Meant::Unsigned, 0, Size::Fixed(4)), field("buf", Meant::Bytes, 4, Size::Rest)],
            "{id} {buf}",
        ),
    ]
}

/// A kind of event as the model describes it.
fn format(id: u16, kind: &Kind) -> Format {
    use trace::Kind as Meant;
    let fields: Vec<_> = kind
        .fields
        .iter()
        .map(|field| {
            let (meant, size) = match field.holds {
                Holds::Unsigned => (Meant::Unsigned, Size::Fixed(field.size)),
                Holds::Signed => (Meant::Signed, Size::Fixed(field.size)),
                Holds::Text => (Meant::Text, Size::Fixed(field.size)),
                Holds::TextElsewhere => (Meant::Text, Size::DataLoc),
                Holds::BytesElsewhere => (Meant::Bytes, Size::DataLoc),
                Holds::Numbers(_) => (Meant::Bytes, Size::Fixed(field.size)),
            };
            trace::Field { name: field.name.clone(), kind: meant, offset: field.offset, size }
        })
        .collect();
    let shown: Vec<_> = fields.iter().map(|field| format!("{0}={{{0}}}", field.name)).collect();
    Format { id, name: kind.name.clone(), fields, print: shown.join(" ") }
}
