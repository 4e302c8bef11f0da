//! What the boots before left in the region, and a bank for this one.

use crate::boot::{Machine, unable};
use crate::command_line::{Clean, Full, Keep, Options};
use crate::life::Recording;
use crate::plan::{Absence, Plan, Wishes, crashes_in_a_row, plan};
use crate::region_memory::{CounterClock, CpuCrc, RegionMemory};
use crate::scale::Scale;
use crate::{dump, events, life, report, say, trace};
use arch::core_local::MAX_CORES;
use arch::entry::BootInfo;
use ring::bank::{About, prepare};
use ring::check::{Crc32c, Table};
use ring::format::{BANKS_MAX, Geometry};
use ring::records::{BankRecord, BankState};
use ring::region::{Found, Header, inspect, rebuild};
use ring::seams::Persist as _;
use ring::writer::{CleanAt, Mode, Target, WhenFull, Writer};

/// What this boot does, and what it may tell of the ones before.
pub struct Taken {
    /// What it does.
    pub plan: Plan,
    /// Boots before this one, since the region was formatted.
    pub boots_before: u64,
    /// The region's places.
    pub geometry: Geometry,
    /// Banks with crashes that nobody has seen, the oldest boot first.
    pub crashes: heapless::Vec<(u32, BankRecord), { BANKS_MAX as usize }>,
}

/// Looks at the region, takes a bank for this boot, and gives every core its writer.
pub fn take_over(info: &BootInfo, machine: &Machine) -> Taken {
    let memory = &machine.region;
    // SAFETY: nothing records yet.
    let bytes = unsafe { memory.bytes(0, memory.size()) };
    let found = inspect(bytes);
    let absence = Absence(&found);
    match found {
        Found::Valid(_) => say!("  content    {absence}"),
        // Also where few words are wanted: nothing is lost without a reason.
        _ => report!("  content    {absence}"),
    }
    let cores = machine.tree.cpus().filter(Result::is_ok).count().clamp(1, MAX_CORES) as u32;
    let mut header = header(machine, bytes, &found, cores);
    let geometry = header.geometry;
    say!("  layout     {}", dump::describe(&geometry));

    header.crashes_in_a_row = crashes_in_a_row(&header);
    let wishes = Wishes {
        cycles: u64::from(machine.options.cycles),
        // A survey never takes the place of a crash that nobody has seen.
        keep_first: machine.options.keep == Keep::First || machine.options.survey > 0,
        ack: machine.options.ack,
        crash_loop: machine.options.crash_loop,
    };
    let plan = plan(&header, &wishes);
    let boots_before = header.boot;
    let (bank, lost) = header.next_bank();
    if lost && !plan.recorder_off {
        say!(
            "  warning    every bank holds a crash that nobody has seen: that of boot {} goes (keep=first would stop recording instead)",
            header.banks[bank as usize].boot
        );
        header.banks[bank as usize].state = BankState::Acknowledged;
    }
    let crashes = header.crashes().map(|bank| (bank, header.banks[bank as usize])).collect();
    if plan.recorder_off {
        say!(
            "  warning    every bank holds a crash that nobody has seen, and keep=first keeps them: this boot records nothing"
        );
        // It has no bank that could say how it ends: if it runs the workload, it counts as a crash until it ends as it wants
        // to. The next boot will count the newest bank once more if that was cut short.
        let again = crashes_in_a_row(&header) - header.crashes_in_a_row;
        header.crashes_in_a_row = (header.crashes_in_a_row - again).saturating_add(u32::from(plan.record));
        header.store(memory);
        life::set_header(*memory, header);
    } else {
        record_into(info, machine, header, bank);
    }
    Taken { plan, boots_before, geometry, crashes }
}

/// The header to go on with: the one that is there, one made of what a scan found, or a new one.
fn header(machine: &Machine, bytes: &[u8], found: &Found, cores: u32) -> Header {
    let plain = Geometry::new(machine.region.size(), machine.options.banks, cores);
    let wanted = match plain.and_then(|plain| plain.with_parity(machine.options.parity.lines())) {
        Ok(wanted) => wanted,
        Err(error) => unable(&error),
    };
    let old = match found {
        Found::Valid(header) => *header,
        Found::Scanned { geometry, .. } => rebuild(bytes, *geometry),
        _ => return Header::new(wanted),
    };
    if old.geometry == wanted {
        return old;
    }
    if old.crashes().next().is_some() {
        say!(
            "  warning    it stays as it was laid out ({} banks, {} cores) until its crashes have been acknowledged",
            old.geometry.banks,
            old.geometry.cores
        );
        return old;
    }
    old.laid_out_as(wanted)
}

/// Takes the bank: header first, so that a reset at any moment finds it named; then the writers.
fn record_into(info: &BootInfo, machine: &Machine, mut header: Header, bank: u32) {
    let (memory, geometry) = (&machine.region, header.geometry);
    let hz = arch::timer::frequency();
    let Some(scale) = Scale::new(hz) else {
        unable(&format_args!("the counter says that it runs at {hz} Hz: the firmware must set CNTFRQ_EL0"))
    };
    header.boot += 1;
    let record = BankRecord {
        state: BankState::Recording,
        boot_id: boot_id(info, machine, header.boot),
        boot: header.boot,
        boot_id_before: header.banks[bank as usize].boot_id,
        cores: geometry.cores,
        counter_hz: hz,
        counter_start: info.entry_ticks,
    };
    let about = About {
        build: arch::image::build_id(),
        board: machine.board.name().as_bytes(),
        schema: events::SCHEMA.as_bytes(),
    };
    prepare(memory, &geometry, bank, &record, &about);
    header.banks[bank as usize] = record;
    header.store(memory);
    life::set_header(*memory, header);
    life::set_recording(Recording { memory: *memory, geometry, bank, boot_id: record.boot_id });

    let clock = CounterClock { start: info.entry_ticks, scale };
    let crc = CpuCrc::new();
    for core in 0..geometry.cores.min(MAX_CORES as u32) {
        trace::install(
            core as usize,
            Writer::new(
                *memory,
                clock,
                crc,
                Target { geometry, bank, boot_id: record.boot_id, core },
                mode(&machine.options),
            ),
        );
    }
    say!("  recording  boot {} into bank {bank}, checks by {}", record.boot, crc.name());
}

fn mode(options: &Options) -> Mode {
    Mode {
        when_full: match options.full {
            Full::Overwrite => WhenFull::Overwrite,
            Full::Drop => WhenFull::Drop,
        },
        clean_at: match options.clean {
            Clean::Panic => CleanAt::Panic,
            Clean::SubBuffer => CleanAt::SubBuffer,
            Clean::Event => CleanAt::Event,
        },
    }
}

/// An id that no other boot of this region has: from the counter, the boot's number, and what the boot loader offers of
/// randomness. Not a secret: only different.
fn boot_id(info: &BootInfo, machine: &Machine, boot: u64) -> u32 {
    let mut id = Table.u64(Table.u64(!0, info.entry_ticks), boot);
    id = Table.bytes(id, machine.tree.rng_seed());
    id = Table.bytes(id, machine.tree.kaslr_seed());
    // 0 is the header lines' own.
    Table.u64(id, arch::timer::now()).max(1)
}

/// Puts back what the parity of a crashed bank still knows, before anybody reads it, and says what that was.
pub fn repair_bank(memory: &RegionMemory, geometry: &Geometry, bank: u32, record: &BankRecord) {
    if geometry.parity == 0 {
        return;
    }
    // SAFETY: called for banks that this boot does not record into; what inspected the region has looked away.
    let bytes = unsafe { memory.bytes_mut(geometry.bank(bank), geometry.bank_size) };
    let mut changed = 0;
    for core in 0..geometry.cores {
        let repaired = ring::parity::repair(bytes, geometry, record, core, CpuCrc::new());
        say!("  core {core}: parity: {}", dump::Repairs(&repaired));
        changed += repaired.lines;
    }
    if changed > 0 {
        // So that it is done for good: nobody may have to do it again from less.
        memory.clean(geometry.bank(bank), geometry.linux_size);
        memory.complete();
    }
}

/// The region again, for what else there is to say about it.
#[must_use]
pub fn bank_bytes(memory: &RegionMemory, geometry: &Geometry, bank: u32) -> &'static [u8] {
    // SAFETY: called for banks that this boot does not record into.
    unsafe { memory.bytes(geometry.bank(bank), geometry.bank_size) }
}
