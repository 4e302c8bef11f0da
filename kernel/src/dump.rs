//! What the next boot tells a person about a crash: who died and why, what became of every event, and the last ones in the
//! form of Linux's `trace` file.
//!
//! Works on any bank, on any host. Nothing from the bank reaches the terminal unescaped.

use crate::events;
use arch::exceptions::esr::Syndrome;
use core::fmt::{Result, Write};
use ring::account::Account;
use ring::check::Crc32c;
use ring::digest::Digest;
use ring::escape::Escaped;
use ring::format::{Geometry, id, tail_line};
use ring::line::{LineSeed, load_text};
use ring::merge::Merge;
use ring::parity::Repaired;
use ring::records::{
    BankState, LastWords, Masked, NESTED_MAX, Nested, PANIC_REGISTERS, PanicRecord, PanicSpace, StopOutcome,
    StopRecord, TextSpace,
};
use ring::recover::{Bank, CoreRing, Item, Recovered};
use ring::schema::{Description, Value, descriptions};
use ring::writer::Refused;

/// Most cores that a dump merges.
pub const CORES: usize = 8;

/// Bytes that a bank's schema can have: room of this size is handed to [`dump`].
pub const SCHEMA_SPACE: usize = tail_line::SCHEMA_LINES as usize * ring::format::LINE_PAYLOAD;

/// How much of the merged trace is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// So many of the last events.
    Last(u64),
    /// All of them.
    All,
}

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Of the merged trace.
    pub tail: Tail,
    /// No more than what became of the boot, and the accounts.
    pub terse: bool,
    /// Behind each account a number for the core's events: [`Digest`].
    pub digest: bool,
}

impl From<Tail> for How {
    fn from(tail: Tail) -> Self {
        Self { tail, terse: false, digest: false }
    }
}

/// What a dump found, for whoever decides what to do next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events that somebody tried to record, on all cores.
    pub attempted: u64,
    /// Events recovered, on all cores.
    pub recovered: u64,
    /// Every sum holds, every core was closed in order, nothing is damaged, the workload's numbers are unbroken up to the
    /// last one.
    pub intact: bool,
}

/// Tells everything about one bank.
///
/// # Errors
/// Those of `out`.
pub fn dump<C: Crc32c>(
    bank: &Bank<'_, C>,
    how: impl Into<How>,
    schema: &mut [u8],
    out: &mut impl Write,
) -> core::result::Result<Summary, core::fmt::Error> {
    let how = how.into();
    let mut summary = Summary { intact: true, ..Summary::default() };
    let panic = reason(bank, how.terse, out)?;
    if !how.terse {
        stops(bank, panic, out)?;
    }
    accounts(bank, how.digest, &mut summary, out)?;
    if how.terse {
        return Ok(summary);
    }
    let seed = LineSeed::new(bank.record().boot_id, ring::format::domain::TAIL);
    let (at, lines) = (bank.geometry().tail(tail_line::SCHEMA), tail_line::SCHEMA_LINES);
    let schema = load_text(bank.bytes(), at, seed, tail_line::SCHEMA, lines, schema);
    trace(bank, how.tail, &summary, schema, out)?;
    Ok(summary)
}

/// Why the boot ended. Returns the core that panicked, and when, if it says so.
fn reason<C: Crc32c>(
    bank: &Bank<'_, C>,
    terse: bool,
    out: &mut impl Write,
) -> core::result::Result<Option<(u32, u64)>, core::fmt::Error> {
    let record = bank.record();
    let mut space = PanicSpace::default();
    let panic = PanicRecord::load(bank.bytes(), bank.geometry(), record.boot_id, &mut space);
    match record.state {
        BankState::Panicked => {}
        BankState::Recording if panic.is_some() => {
            writeln!(out, "boot {} was reset before its panic had come to an end:", record.boot)?;
        }
        BankState::Recording => {
            writeln!(
                out,
                "boot {} ended in a reset without a word: no panic, no clean shutdown (watchdog, power, reset from outside)",
                record.boot
            )?;
            return Ok(None);
        }
        BankState::Clean => {
            writeln!(out, "boot {} ended as it wanted to", record.boot)?;
            return Ok(None);
        }
        BankState::Empty | BankState::Acknowledged => {
            writeln!(out, "boot {} has been seen before", record.boot)?;
            return Ok(None);
        }
    }
    let Some(panic) = panic else {
        writeln!(out, "boot {} panicked; its panic record is lost", record.boot)?;
        return Ok(None);
    };
    writeln!(out, "boot {} panicked on core {} at {}", record.boot, panic.core, Seconds(panic.time_ns))?;
    if terse {
        return Ok(Some((panic.core, panic.time_ns)));
    }
    writeln!(out, "  {}", Escaped(panic.message))?;
    writeln!(out, "  at {}", Escaped(panic.location))?;
    if panic.exception {
        write!(out, "{}", Registers { registers: &panic.registers, far: panic.far, address: panic.address })?;
    }
    out.write_str("  backtrace:")?;
    for pc in panic.backtrace {
        write!(out, " {pc:#x}")?;
    }
    writeln!(out)?;
    nested(bank, out)?;
    Ok(Some((panic.core, panic.time_ns)))
}

/// What panicked in the panic path.
fn nested<C: Crc32c>(bank: &Bank<'_, C>, out: &mut impl Write) -> Result {
    let mut space: [TextSpace; 3] = [[0; _]; 3];
    for index in 0..NESTED_MAX {
        let record = Nested::load(bank.bytes(), bank.geometry(), bank.record().boot_id, index, &mut space);
        let Some(Nested { step, pc, location, message, .. }) = record else { return Ok(()) };
        out.write_str("  then, in the panic path")?;
        if !step.is_empty() {
            write!(out, " (step {})", Escaped(step))?;
        }
        write!(out, ": {}", Escaped(message))?;
        if !location.is_empty() {
            write!(out, " at {}, pc {pc:#x}", Escaped(location))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The registers of an exception, four in a line, and what its syndrome and its address mean.
#[derive(Debug)]
pub struct Registers<'a> {
    /// x0 to x30, sp, pc, pstate, esr.
    pub registers: &'a [u64; PANIC_REGISTERS],
    /// Fault address.
    pub far: u64,
    /// What that is, in words; empty where no access was refused.
    pub address: &'a [u8],
}

impl core::fmt::Display for Registers<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> Result {
        let [x @ .., sp, pc, pstate, esr] = self.registers;
        if *esr != 0 {
            writeln!(f, "  esr {esr:#010x}: {}", Syndrome::decode(*esr))?;
        }
        if !self.address.is_empty() {
            writeln!(f, "  far {:#x}: {}", self.far, Escaped(self.address))?;
        }
        write!(f, "  pc  {pc:016x} sp  {sp:016x} pstate {pstate:#x} {}", Masks(*pstate))?;
        for (i, value) in x.iter().enumerate() {
            let before = if i % 4 == 0 { "\n " } else { "" };
            write!(f, "{before} x{i:<2} {value:016x}")?;
        }
        writeln!(f)
    }
}

/// What an exception's syndrome means.
#[must_use]
pub fn syndrome(esr: u64) -> impl core::fmt::Display {
    Syndrome::decode(esr)
}

/// What PSTATE masks: its letters D, A, I and F, large where it does; and ALLINT (FEAT_NMI) if it is set.
#[derive(Clone, Copy, Debug)]
pub struct Masks(pub u64);

impl core::fmt::Display for Masks {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> Result {
        for (bit, letter) in [(9, 'd'), (8, 'a'), (7, 'i'), (6, 'f')] {
            f.write_char(if self.0 >> bit & 1 == 1 { letter.to_ascii_uppercase() } else { letter })?;
        }
        if self.0 >> 13 & 1 == 1 { f.write_str(" ALLINT") } else { Ok(()) }
    }
}

/// How each core came to stand still.
fn stops<C: Crc32c>(bank: &Bank<'_, C>, panic: Option<(u32, u64)>, out: &mut impl Write) -> Result {
    // A path that was cut short may not have come to all of them.
    let whole = bank.record().state == BankState::Panicked;
    if !whole && panic.is_none() {
        return Ok(());
    }
    for core in 0..bank.geometry().cores {
        match bank.stop_record(core) {
            None => writeln!(out, "  core {core}: its stop record is lost")?,
            Some(stop) if !whole && stop.outcome == StopOutcome::NotStarted => {}
            Some(stop) => {
                let mut space = [[0; _]; 2];
                let (g, boot_id) = (bank.geometry(), bank.record().boot_id);
                let words = LastWords::load(bank.bytes(), g, boot_id, core, &mut space)
                    .filter(|_| panic.is_some_and(|(first, _)| first != core));
                writeln!(out, "  core {core}: {}", Stop { record: &stop, panic_ns: panic.map(|(_, at)| at), words })?;
            }
        }
    }
    Ok(())
}

/// A stop record in words.
#[derive(Debug)]
pub struct Stop<'a> {
    /// The record.
    pub record: &'a StopRecord,
    /// When the panic began, if that is known.
    pub panic_ns: Option<u64>,
    /// What the core said, if it panicked beside another one.
    pub words: Option<LastWords<'a>>,
}

impl core::fmt::Display for Stop<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> Result {
        let stop = self.record;
        let after = |f: &mut core::fmt::Formatter<'_>| match self.panic_ns.and_then(|ns| stop.time_ns.checked_sub(ns)) {
            Some(ns) => write!(f, " (+{} us after the panic)", ns / 1000),
            None => Ok(()),
        };
        match stop.outcome {
            StopOutcome::NotStarted => return f.write_str("did not run"),
            StopOutcome::NoAnswer if stop.time_ns == 0 => {
                return f.write_str("did not answer: a second panic waits for nobody");
            }
            StopOutcome::NoAnswer => return write!(f, "did not answer: waited {} us", stop.time_ns / 1000),
            StopOutcome::Panicked => match self.words {
                None => write!(f, "panicked at {}", Seconds(stop.time_ns))?,
                Some(LastWords { location, message }) => {
                    write!(
                        f,
                        "panicked too: {} at {}, at {}",
                        Escaped(message),
                        Escaped(location),
                        Seconds(stop.time_ns)
                    )?;
                    after(f)?;
                }
            },
            StopOutcome::Stopped => {
                write!(f, "stopped at {}", Seconds(stop.time_ns))?;
                after(f)?;
                let masked = match stop.masked {
                    Masked::Nothing => "nothing masked",
                    // Neither PSTATE nor a handler does it: what is left is the controller.
                    Masked::Ordinary if stop.pstate >> 7 & 1 == 0 && !stop.in_handler => {
                        "ordinary interrupts masked by priority"
                    }
                    Masked::Ordinary => "ordinary interrupts masked",
                    Masked::All => "everything masked",
                };
                let place = if stop.in_handler { " in an interrupt handler" } else { "" };
                write!(
                    f,
                    " by {}, pc {:#x}{place}, lr {:#x}, sp {:#x}, {masked} ({})",
                    stop.means.name(),
                    stop.pc,
                    stop.lr,
                    stop.sp,
                    Masks(stop.pstate)
                )?;
            }
        }
        write!(f, ", cleaned {} lines of its own", stop.lines)
    }
}

/// The table of accounts.
fn accounts<C: Crc32c>(bank: &Bank<'_, C>, digest: bool, summary: &mut Summary, out: &mut impl Write) -> Result {
    writeln!(out, "  core  attempted  recovered  overwritten  damaged  unfinished  dropped  sum")?;
    for core in 0..bank.geometry().cores {
        // Once: what is newest has to be searched for.
        let ring = bank.core(core);
        let a = ring.account();
        let sum = if a.sum_holds() { "holds" } else { "BROKEN" };
        writeln!(
            out,
            "  {core:>4}  {:>9}  {:>9}  {:>11}  {:>7}  {:>10}  {:>7}  {sum}",
            a.attempted,
            a.recovered,
            a.overwritten,
            a.damaged(),
            a.unfinished,
            a.dropped()
        )?;
        remarks(&a, out)?;
        if digest {
            let mut digest = Digest::new(*bank.crc());
            ring.events().for_each(|event| digest.add(&event));
            writeln!(out, "  {core:>4}  digest {:08x} of {} events", digest.number(), digest.events())?;
        }
        let run = work_run(&ring);
        if let Some((before, after)) = run.and_then(|run| run.broken) {
            writeln!(out, "        workload: number {before} is followed by {after}")?;
        }
        summary.attempted += a.attempted;
        summary.recovered += a.recovered;
        // A reset without a panic promises no more than the mode of cleaning does; then only the sum is judged.
        let promised = bank.record().state == BankState::Panicked;
        let whole = a.is_final && a.damaged() == 0 && run.is_none_or(|run| run.broken.is_none());
        summary.intact &= a.sum_holds() && (whole || !promised);
    }
    Ok(())
}

fn remarks(a: &Account, out: &mut impl Write) -> Result {
    if a.damaged() > 0 {
        writeln!(out, "        damaged: {} stale, {} flipped", a.stale, a.flipped)?;
    }
    for (cause, count) in Refused::ALL.iter().zip(a.refused) {
        if count > 0 {
            writeln!(out, "        dropped: {count} {}", cause.name())?;
        }
    }
    if !a.is_final {
        writeln!(out, "        the core was not closed in order: what its bytes tell")?;
    }
    if a.beyond_commit > 0 && !a.is_final {
        writeln!(out, "        events beyond the commit word: {}", a.beyond_commit)?;
    }
    if a.uncertain_times > 0 {
        writeln!(out, "        events with an uncertain time: {}", a.uncertain_times)?;
    }
    Ok(())
}

/// The numbers of a core's workload.
#[derive(Clone, Copy)]
struct Run {
    last: u64,
    /// The first two numbers of which the second should follow the first and does not.
    broken: Option<(u64, u64)>,
}

fn work_run<C: Crc32c>(ring: &CoreRing<'_, C>) -> Option<Run> {
    let mut run: Option<Run> = None;
    for item in ring.items() {
        let Item::Event(event) = item else { continue };
        if event.id != <events::Work<'_> as ring::writer::Event>::ID || event.discarded {
            continue;
        }
        let Some(number) = event.fields.first_chunk().map(|b| u64::from_le_bytes(*b)) else { continue };
        run = Some(match run {
            None => Run { last: number, broken: None },
            Some(Run { last, broken }) => {
                let follows = last.checked_add(1) == Some(number);
                Run { last: number, broken: broken.or((!follows).then_some((last, number))) }
            }
        });
    }
    run
}

/// What Linux writes right above the events: which column is what.
pub const COLUMNS: &str = "\
#                                _-----=> irqs-off
#                               / _----=> need-resched
#                              | / _---=> hardirq/nmi
#                              || / _--=> events interrupted
#                              ||| /     delay
#           TASK-PID     CPU#  ||||   TIMESTAMP  FUNCTION
#              | |         |   ||||      |         |
";

/// The merged events, as Linux's `trace` file shows them.
fn trace<C: Crc32c>(bank: &Bank<'_, C>, tail: Tail, summary: &Summary, schema: &[u8], out: &mut impl Write) -> Result {
    let Summary { attempted, recovered: total, .. } = *summary;
    let skip = match tail {
        Tail::Last(0) => return Ok(()),
        Tail::Last(n) => total.saturating_sub(n),
        Tail::All => 0,
    };
    let cores = bank.geometry().cores;
    writeln!(out, "# tracer: nop\n#\n# entries-in-buffer/entries-written: {total}/{attempted}   #P:{cores}\n#")?;
    out.write_str(COLUMNS)?;
    if skip > 0 {
        writeln!(out, "# ({skip} older entries are not shown: tail=all shows them)")?;
    }
    for (i, event) in (0u64..).zip(Merge::<C, CORES>::new(bank)) {
        if i >= skip {
            line(&event, schema, out)?;
        }
    }
    Ok(())
}

/// An event's context as Linux shows it, a letter each: interrupts off; in a handler, in an NMI; events interrupted.
#[must_use]
pub fn context(flags: u8, nesting: u8) -> [u8; 3] {
    let has = |flag: u8| flags & flag != 0;
    let irqs = if has(events::context::IRQS_OFF) { b'd' } else { b'.' };
    let handler = match (has(events::context::NMI), has(events::context::HARD_IRQ)) {
        (true, true) => b'Z',
        (true, false) => b'z',
        (false, true) => b'h',
        (false, false) => b'.',
    };
    [irqs, handler, if nesting == 0 { b'.' } else { b'0' + nesting.min(9) }]
}

/// One event.
fn line(event: &Recovered<'_>, schema: &[u8], out: &mut impl Write) -> Result {
    let [irqs, handler, nesting] = context(event.flags, event.nesting).map(char::from);
    let uncertain = if event.time_is_certain { ' ' } else { '?' };
    write!(
        out,
        "{:>16}-{:<7} [{:03}] {irqs}.{handler}{nesting} {}{uncertain}: ",
        task(event.pid),
        event.pid,
        event.core,
        Seconds(event.time_ns)
    )?;
    match descriptions(schema).find(|d| d.id == event.id) {
        // Linux prints its own PRINT without decoration but the name.
        Some(description) => {
            write!(out, "{}: ", description.name)?;
            description.show(event.fields, out)?;
            trailing(&description, event, out)?;
        }
        None => write!(out, "event {}: {}", event.id, Value::Bytes(event.fields))?,
    }
    writeln!(out)
}

/// Nothing of an event is left unsaid: of a text that was cut at its longest, that it was.
fn trailing(description: &Description<'_>, event: &Recovered<'_>, out: &mut impl Write) -> Result {
    if description.id == id::PRINT && event.fields.len() > ring::schema::TEXT_MAX {
        out.write_str(" [cut]")?;
    }
    Ok(())
}

/// The name of a pid: 0 is a core that boots or waits, the others record.
fn task(pid: i32) -> &'static str {
    if pid == 0 { "<boot>" } else { "workload" }
}

/// Nanoseconds as Linux shows a time stamp: seconds with six places.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub u64);

impl core::fmt::Display for Seconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> Result {
        write!(f, "{:>5}.{:06}", self.0 / 1_000_000_000, self.0 / 1000 % 1_000_000)
    }
}

/// What parity has put back of one core's sub-buffers, in words.
#[derive(Debug)]
pub struct Repairs<'a>(pub &'a Repaired);

impl core::fmt::Display for Repairs<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> Result {
        let Repaired { clean, corrected, lines, bytes, beyond, without } = *self.0;
        let s = |count: u32| if count == 1 { "" } else { "s" };
        write!(f, "{lines} line{} in {corrected} sub-buffer{} corrected", s(lines), s(corrected))?;
        if bytes > 0 {
            write!(f, " ({bytes} byte{})", s(bytes))?;
        }
        write!(f, ", {beyond} beyond repair, {clean} clean")?;
        if without > 0 {
            write!(f, ", {without} without parity")?;
        }
        Ok(())
    }
}

/// The geometry in a line, for the first message about a region.
#[must_use]
pub fn describe(geometry: &Geometry) -> impl core::fmt::Display + use<> {
    let g = *geometry;
    struct Described(Geometry);
    impl core::fmt::Display for Described {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> Result {
            let g = &self.0;
            write!(
                f,
                "{} KiB, {} banks of {} KiB, {} cores with {} sub-buffers each",
                g.region_size >> 10,
                g.banks,
                g.bank_size >> 10,
                g.cores,
                g.ring()
            )?;
            if g.parity > 0 {
                write!(f, ", {} parity lines for each", g.parity)?;
            }
            Ok(())
        }
    }
    Described(g)
}
