//! What a bank says of itself besides its events: whose it is, why it died, how each core came to stand still.

use kernel::dump::{self, Masks};
use ring::check::Crc32c;
use ring::escape::Escaped;
use ring::format::{domain, tail_line};
use ring::line::{LineSeed, load_text};
use ring::records::{
    BankState, LastWords, NESTED_MAX, Nested as NestedRecord, PanicRecord, PanicSpace, StopOutcome, TextSpace,
};
use ring::recover::Bank;
use trace::{About, Clock, Core, End, Nested, Origin, Panic, Stop};

/// The text of a bank's schema.
pub(crate) fn schema<C: Crc32c>(bank: &Bank<'_, C>) -> Vec<u8> {
    text(bank, tail_line::SCHEMA, tail_line::SCHEMA_LINES)
}

fn text<C: Crc32c>(bank: &Bank<'_, C>, line: u32, lines: u32) -> Vec<u8> {
    let seed = LineSeed::new(bank.record().boot_id, domain::TAIL);
    let mut room = vec![0; lines as usize * ring::format::LINE_PAYLOAD];
    load_text(bank.bytes(), bank.geometry().tail(line), seed, line, lines, &mut room).to_vec()
}

/// A build id has as many bytes as its linker gave it; the line's rest is zeros.
fn build_id(payload: &[u8]) -> String {
    let size = payload.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    trace::hex(&payload[..size.next_multiple_of(4).min(payload.len())])
}

fn escaped(bytes: &[u8]) -> String {
    Escaped(bytes).to_string()
}

/// All of it.
pub(crate) fn of<C: Crc32c>(bank: &Bank<'_, C>, place: u64, number: u32) -> About {
    let (record, geometry) = (bank.record(), bank.geometry());
    let panic = panic(bank);
    let end = match record.state {
        BankState::Panicked => End::Panicked,
        BankState::Recording if panic.is_some() => End::PanicCutShort,
        BankState::Recording => End::Reset,
        BankState::Clean => End::Clean,
        BankState::Acknowledged => End::Acknowledged,
        BankState::Empty => End::Unknown,
    };
    let board = escaped(&text(bank, tail_line::BOARD, 1));
    let build_id = bank.line(tail_line::BUILD).map(|line| build_id(line.payload()));
    let mut remarks = Vec::new();
    if end == End::Panicked && panic.is_none() {
        remarks.push("the panic record is lost".into());
    }
    if build_id.is_none() {
        remarks.push("the build id is lost".into());
    }
    let stops_are_told = record.state == BankState::Panicked || panic.is_some();
    let cores = (0..geometry.cores).map(|core| Core {
        stop: stops_are_told.then(|| stop(bank, core, panic.as_ref())).flatten(),
        pages: geometry.ring(),
    });
    About {
        title: title(record.boot, end, panic.as_ref()),
        origin: Origin::Afterglow { version: geometry.version(), bank: number },
        place: place..place + geometry.bank_size,
        boot: Some(record.boot),
        boot_id: Some(record.boot_id),
        end,
        board: (!board.is_empty()).then_some(board),
        build_id,
        clock: Clock { name: "cntvct".into(), frequency_hz: record.counter_hz, zero: record.counter_start },
        cores: cores.collect(),
        panic,
        remarks,
    }
}

fn title(boot: u64, end: End, panic: Option<&Panic>) -> String {
    let how = match (end, panic) {
        (End::Panicked, Some(panic)) => {
            format!("panicked on core {} at {}", panic.core, seconds(panic.time_ns))
        }
        (End::Panicked, None) => "panicked; its panic record is lost".into(),
        (End::PanicCutShort, Some(panic)) => {
            format!(
                "was reset before its panic on core {} at {} had come to an end",
                panic.core,
                seconds(panic.time_ns)
            )
        }
        (End::PanicCutShort | End::Reset, _) => {
            "ended in a reset without a word: no panic, no clean shutdown (watchdog, power, reset from outside), or goes on"
                .into()
        }
        (End::Clean, _) => "ended as it wanted to".into(),
        (End::Acknowledged, Some(panic)) => {
            format!("has been seen before: it panicked on core {} at {}", panic.core, seconds(panic.time_ns))
        }
        (End::Acknowledged, None) => "has been seen before".into(),
        (End::Unknown, _) => "does not say how it ended".into(),
    };
    format!("boot {boot} {how}")
}

/// A time in seconds.
fn seconds(ns: u64) -> String {
    format!("{} s", dump::Seconds(ns)).trim_start().into()
}

fn panic<C: Crc32c>(bank: &Bank<'_, C>) -> Option<Panic> {
    let mut space = PanicSpace::default();
    let record = PanicRecord::load(bank.bytes(), bank.geometry(), bank.record().boot_id, &mut space)?;
    let registers = record.exception.then(|| Box::new(record.registers));
    let mut explained = Vec::new();
    if let Some([.., pstate, esr]) = registers.as_deref().map(|all| &all[..]) {
        if *esr != 0 {
            explained.push(format!("esr {esr:#010x}: {}", dump::syndrome(*esr)));
        }
        if !record.address.is_empty() {
            explained.push(format!("far {:#x}: {}", record.far, Escaped(record.address)));
        }
        explained.push(format!("pstate {pstate:#x}: {}", Masks(*pstate)));
    }
    Some(Panic {
        core: record.core,
        time_ns: record.time_ns,
        message: escaped(record.message),
        location: escaped(record.location),
        registers,
        fault_address: record.far,
        explained,
        backtrace: record.backtrace.to_vec(),
        nested: nested(bank, record.core),
    })
}

fn nested<C: Crc32c>(bank: &Bank<'_, C>, first: u32) -> Vec<Nested> {
    let (geometry, boot_id) = (bank.geometry(), bank.record().boot_id);
    let mut all = Vec::new();
    for index in 0..NESTED_MAX {
        let mut space: [TextSpace; 3] = [[0; _]; 3];
        let Some(record) = NestedRecord::load(bank.bytes(), geometry, boot_id, index, &mut space) else { break };
        all.push(Nested {
            core: record.core,
            step: escaped(record.step),
            message: escaped(record.message),
            location: escaped(record.location),
            pc: record.pc,
        });
    }
    for core in (0..geometry.cores).filter(|core| *core != first) {
        let mut space = [[0; _]; 2];
        let panicked = bank.stop_record(core).is_some_and(|stop| stop.outcome == StopOutcome::Panicked);
        let words = LastWords::load(bank.bytes(), geometry, boot_id, core, &mut space).filter(|_| panicked);
        if let Some(LastWords { location, message }) = words {
            let (message, location) = (escaped(message), escaped(location));
            all.push(Nested { core, step: "on another core".into(), message, location, pc: 0 });
        }
    }
    all
}

fn stop<C: Crc32c>(bank: &Bank<'_, C>, core: u32, panic: Option<&Panic>) -> Option<Stop> {
    let record = bank.stop_record(core)?;
    let mut space = [[0; _]; 2];
    let words = LastWords::load(bank.bytes(), bank.geometry(), bank.record().boot_id, core, &mut space)
        .filter(|_| panic.is_some_and(|panic| panic.core != core));
    let outcome = match record.outcome {
        StopOutcome::NotStarted => "did not run",
        StopOutcome::Panicked => "panicked",
        StopOutcome::Stopped => "stopped",
        StopOutcome::NoAnswer => "no answer",
    };
    Some(Stop {
        outcome,
        time_ns: record.time_ns,
        means: (record.outcome == StopOutcome::Stopped).then(|| record.means.name()),
        pc: record.pc,
        lr: record.lr,
        sp: record.sp,
        pstate: record.pstate,
        words: dump::Stop { record: &record, panic_ns: panic.map(|panic| panic.time_ns), words }.to_string(),
    })
}
