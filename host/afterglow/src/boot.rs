//! `afterglow boot`: a kernel under QEMU, its console on this terminal, its exit status as ours. Cargo's runner.

use crate::OWN_FAILURE;
use crate::symbols::{Annotator, Symbols};
use crate::terminal::Filter;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use qemu::{Board, Image, Machine, Overlay, Running, Status, Threads};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The status for "its time was up", as coreutils' `timeout` has it.
const TIMED_OUT: u8 = 124;
/// A shell's status for a command that was ended by a signal, less the signal's number.
const SIGNALLED: i32 = 128;
/// Where QEMU waits for a debugger.
const DEBUGGER: &str = "127.0.0.1:1234";

/// Boots a kernel under QEMU and shows its console; the exit status is the guest's (124: it did not end in time).
#[derive(Debug, Args)]
pub(crate) struct Boot {
    /// The kernel: an ELF file or an arm64 Image
    kernel: PathBuf,

    /// The machine
    #[arg(long, default_value = "virt", value_enum)]
    board: BoardName,

    /// Kind of core, by QEMU's name, on virt
    #[arg(long, default_value = "cortex-a76")]
    cpu: String,

    /// Number of cores
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=512))]
    smp: u32,

    /// Version of the interrupt controller, on virt
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=4))]
    gic: u8,

    /// Cores have EL2, and the kernel starts there, on virt
    #[arg(long)]
    el2: bool,

    /// Cores have EL3 and a secure state, on virt
    #[arg(long)]
    secure: bool,

    /// Size of RAM [default: 512M on virt, 2G on raspi4b, 1G on raspi3b]
    #[arg(long, value_parser = qemu::parse_size)]
    memory: Option<u64>,

    /// Keeps RAM in this file, which `afterglow show` reads; a file that is there is what RAM holds at the start
    #[arg(long, value_name = "FILE")]
    ram: Option<PathBuf>,

    /// The kernel's command line
    #[arg(long, default_value = "", env = "AFTERGLOW_APPEND", hide_env_values = true, allow_hyphen_values = true)]
    append: String,

    /// Seconds until QEMU is ended; 0 is never
    #[arg(long, default_value_t = 60)]
    timeout: u64,

    /// A device tree instead of the board's
    #[arg(long, value_name = "DTB", conflicts_with_all = ["overlay", "region", "no_region"])]
    dtb: Option<PathBuf>,

    /// An overlay on the board's device tree instead of the one that reserves the region
    #[arg(long, value_name = "DTSO", conflicts_with_all = ["region", "no_region"])]
    overlay: Option<PathBuf>,

    /// The region, at another place [default: 0x50000000:8M on virt, 0xb000000:8M on raspi4b and raspi3b]
    #[arg(long, value_name = "BASE:SIZE", value_parser = parse_region, conflicts_with = "no_region")]
    region: Option<(u64, u64)>,

    /// The board's device tree as it is, without a region
    #[arg(long)]
    no_region: bool,

    /// Counts instructions instead of time, each 2^N ns: every run is the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=10))]
    icount: Option<u8>,

    /// Where the serial line goes, as QEMU's -serial takes it: pty to talk to the kernel (QEMU says which), unix:PATH
    #[arg(long, value_name = "WHERE", default_value = "stdio")]
    serial: String,

    /// Leaves addresses as they are, without the functions and lines that they are of
    #[arg(long)]
    no_symbols: bool,

    /// Waits for a debugger before the first instruction, for as long as it takes
    #[arg(long)]
    gdb: bool,

    /// Shows QEMU's command line instead
    #[arg(long)]
    print_command: bool,

    /// More arguments for QEMU
    #[arg(last = true, value_name = "QEMU ARGUMENTS")]
    extra: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BoardName {
    Virt,
    Raspi4b,
    Raspi3b,
}

impl BoardName {
    pub(crate) fn board(self) -> Board {
        match self {
            Self::Virt => Board::Virt,
            Self::Raspi4b => Board::Raspi4b,
            Self::Raspi3b => Board::Raspi3b,
        }
    }
}

impl Boot {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let machine = self.machine()?;
        if self.print_command {
            println!("{}", machine.command_line()?);
            return Ok(ExitCode::SUCCESS);
        }
        let limited = !self.gdb && self.timeout > 0;
        let running = machine.start(if limited { Duration::from_secs(self.timeout) } else { Duration::MAX })?;
        if self.gdb {
            let kernel = self.kernel.display();
            eprintln!("afterglow: QEMU waits for: gdb-multiarch {kernel} -ex 'target remote {DEBUGGER}'");
        }
        self.show(running)
    }

    fn machine(&self) -> Result<Machine> {
        let board = self.board.board();
        let mut machine =
            Machine::new(board).kernel(&Image::load(&self.kernel)?).append(&self.append).serial(&self.serial);
        machine = machine.cpu(&self.cpu).smp(self.smp).gic(self.gic).el2(self.el2).secure(self.secure);
        if let Some(memory) = self.memory {
            machine = machine.memory(memory);
        }
        if let Some(shift) = self.icount {
            machine = machine.threads(Threads::Counted(shift));
        }
        machine = match (&self.dtb, &self.overlay, self.region) {
            (Some(dtb), _, _) => machine.devicetree_file(dtb),
            (_, Some(overlay), _) => machine.overlay(Overlay::load(overlay)?),
            (_, _, Some((base, size))) => machine.overlay(Overlay::region_at(board, base, size)),
            _ if self.no_region => machine,
            _ => machine.overlay(Overlay::region_of(board)),
        };
        if self.gdb {
            machine = machine.extra(["-S", "-gdb", &format!("tcp:{DEBUGGER}")]);
        }
        if let Some(path) = &self.ram {
            let ram = machine.keep_ram(path)?;
            machine = machine.ram(&ram);
        }
        Ok(machine.extra(&self.extra))
    }

    /// Shows the console until the end. If nobody reads it any more, the machine ends with us.
    fn show(&self, mut running: Running) -> Result<ExitCode> {
        let mut filter = Filter::default();
        // An Image has none, and a kernel without them boots as well.
        let mut symbols = Annotator::new(if self.no_symbols { None } else { Symbols::load(&self.kernel).ok() });
        let mut out = std::io::stdout().lock();
        let mut show = |text: String| {
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("nobody reads what is shown")
        };
        while let Some(bytes) = running.bytes() {
            show(symbols.pass(&filter.pass(&bytes)))?;
        }
        let rest = symbols.pass(&filter.finish());
        show(rest + &symbols.finish())?;
        let outcome = running.wait()?;
        for line in outcome.errors.lines() {
            eprintln!("{}", Filter::default().pass(line.as_bytes()));
        }
        let status = match outcome.status {
            Status::Exit(code) => code,
            Status::Signal(signal) => SIGNALLED + signal,
            Status::TimedOut => {
                let seconds = self.timeout;
                eprintln!("afterglow: no end after {seconds} s, so QEMU was ended: --timeout gives it more time");
                TIMED_OUT.into()
            }
            Status::Killed | Status::Flooded => {
                eprintln!("afterglow: QEMU {}", outcome.status);
                OWN_FAILURE.into()
            }
        };
        Ok(ExitCode::from(u8::try_from(status).unwrap_or(OWN_FAILURE)))
    }
}

/// Reads `0x50000000:8M`.
pub(crate) fn parse_region(text: &str) -> Result<(u64, u64)> {
    let (base, size) = text.split_once(':').context("it is not BASE:SIZE, such as 0x50000000:8M")?;
    let digits = base.strip_prefix("0x").context("BASE begins with 0x")?;
    let base = u64::from_str_radix(digits, 16).context("BASE is not a hexadecimal number")?;
    Ok((base, qemu::parse_size(size)?))
}
