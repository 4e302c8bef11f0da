//! Which machine QEMU is, and the command line that makes it so.

use crate::devicetree::{self, Overlay};
use crate::image::Image;
use crate::installation::Qemu;
use crate::ram::Ram;
use crate::running::{Outcome, Running};
use crate::trampoline::{self, Handed};
use crate::words::{option_value, quoted};
use crate::{cache, losing, running};
use anyhow::{Result, bail};
use cachesim::options::Options;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A board that QEMU has a machine for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Board {
    /// QEMU's own: any core, any memory size, PSCI.
    Virt,
    /// A Raspberry Pi 4: four Cortex-A72, no PSCI; its device tree is Linux's, from the kernel's test data.
    Raspi4b,
    /// A Raspberry Pi 3: four Cortex-A53, neither PSCI nor GIC; its device tree is Linux's as well.
    Raspi3b,
}

impl Board {
    /// Every board.
    pub const ALL: &[Self] = &[Self::Virt, Self::Raspi4b, Self::Raspi3b];

    /// The name of QEMU's machine.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Virt => "virt",
            Self::Raspi4b => "raspi4b",
            Self::Raspi3b => "raspi3b",
        }
    }

    /// The first address of its RAM.
    #[must_use]
    pub fn ram_base(self) -> u64 {
        match self {
            Self::Virt => 0x4000_0000,
            Self::Raspi4b | Self::Raspi3b => 0,
        }
    }

    /// Bytes of RAM that it has unless told otherwise.
    #[must_use]
    pub fn memory(self) -> u64 {
        match self {
            Self::Virt => 512 << 20,
            // No other sizes.
            Self::Raspi4b => 2 << 30,
            Self::Raspi3b => 1 << 30,
        }
    }
}

/// How QEMU's translator runs the machine's cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Threads {
    /// One thread for each: really in parallel.
    Multi,
    /// One thread for all, in turns: slower to stop a core, never torn.
    Single,
    /// As [`Threads::Single`], with a clock that counts instructions, each taking 2^N nanoseconds: every run is the same.
    Counted(u8),
}

/// The device tree that the machine starts with.
#[derive(Clone, Debug)]
enum Tree {
    /// The board's, as it comes.
    Boards,
    Overlay(Overlay),
    File(PathBuf),
    /// QEMU's own, but the kernel is handed something else.
    Handed(Handed),
}

#[derive(Clone, Debug)]
enum Kernel {
    None,
    Image(Image),
    File(PathBuf),
}

/// A machine to be run; by default four Cortex-A76 with a GICv3 and 512 MiB, without a region and without a kernel.
///
/// A clone is another machine with the same options, and with the same [`Ram`] if it has one.
#[derive(Clone, Debug)]
pub struct Machine {
    qemu: Option<Qemu>,
    board: Board,
    cpu: String,
    smp: u32,
    memory: u64,
    gic: u8,
    el2: bool,
    secure: bool,
    threads: Threads,
    kernel: Kernel,
    tree: Tree,
    append: String,
    stdout: String,
    serial: String,
    pub(crate) ram: Option<Arc<Ram>>,
    pub(crate) qmp: bool,
    pub(crate) losing: Option<Options>,
    traces: Vec<String>,
    extra: Vec<OsString>,
}

impl Machine {
    /// A board as it comes.
    #[must_use]
    pub fn new(board: Board) -> Self {
        Self {
            qemu: None,
            board,
            cpu: "cortex-a76".into(),
            smp: 4,
            memory: board.memory(),
            gic: 3,
            el2: false,
            secure: false,
            threads: Threads::Multi,
            kernel: Kernel::None,
            tree: Tree::Boards,
            append: String::new(),
            stdout: "serial0:115200n8".into(),
            serial: "stdio".into(),
            ram: None,
            qmp: false,
            losing: None,
            traces: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// QEMU's `virt`.
    #[must_use]
    pub fn virt() -> Self {
        Self::new(Board::Virt)
    }

    /// Uses this QEMU instead of the one in `PATH`.
    #[must_use]
    pub fn with_qemu(mut self, qemu: Qemu) -> Self {
        self.qemu = Some(qemu);
        self
    }

    /// The kind of core, by QEMU's name, on a board that leaves the choice.
    #[must_use]
    pub fn cpu(mut self, cpu: impl Into<String>) -> Self {
        self.cpu = cpu.into();
        self
    }

    /// Number of cores.
    #[must_use]
    pub fn smp(mut self, cores: u32) -> Self {
        self.smp = cores;
        self
    }

    /// Bytes of RAM.
    #[must_use]
    pub fn memory(mut self, size: u64) -> Self {
        self.memory = size;
        self
    }

    /// Version of the interrupt controller of `virt`: 2, 3 or 4.
    #[must_use]
    pub fn gic(mut self, version: u8) -> Self {
        self.gic = version;
        self
    }

    /// Cores of `virt` have EL2, and the kernel starts there.
    #[must_use]
    pub fn el2(mut self, has: bool) -> Self {
        self.el2 = has;
        self
    }

    /// Cores of `virt` have EL3 and a secure state.
    #[must_use]
    pub fn secure(mut self, has: bool) -> Self {
        self.secure = has;
        self
    }

    /// How the cores are run.
    #[must_use]
    pub fn threads(mut self, threads: Threads) -> Self {
        self.threads = threads;
        self
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(mut self, image: &Image) -> Self {
        self.kernel = Kernel::Image(image.clone());
        self
    }

    /// The kernel, as a file that QEMU itself understands.
    #[must_use]
    pub fn kernel_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.kernel = Kernel::File(path.into());
        self
    }

    /// The board's device tree, with this overlay.
    #[must_use]
    pub fn overlay(mut self, overlay: Overlay) -> Self {
        self.tree = Tree::Overlay(overlay);
        self
    }

    /// A device tree from a file. QEMU patches memory, PSCI and bootargs into it.
    #[must_use]
    pub fn devicetree_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tree = Tree::File(path.into());
        self
    }

    /// The kernel gets these bytes instead of a device tree, or this pointer: see [`trampoline`]. Needs [`Machine::kernel`].
    #[must_use]
    pub fn handed(mut self, handed: Handed) -> Self {
        self.tree = Tree::Handed(handed);
        self
    }

    /// More of the kernel's command line.
    #[must_use]
    pub fn append(mut self, arguments: &str) -> Self {
        if !self.append.is_empty() && !arguments.is_empty() {
            self.append.push(' ');
        }
        self.append.push_str(arguments);
        self
    }

    /// What `stdout-path` says on a Raspberry Pi, whose tree from Linux says the mini-UART: by default the PL011, as the overlay
    /// disable-bt has it, which is QEMU's first serial line.
    #[must_use]
    pub fn stdout(mut self, path: &str) -> Self {
        path.clone_into(&mut self.stdout);
        self
    }

    /// Where the serial line goes instead of [`Outcome::console`]: what QEMU's `-serial` takes, `pty` or `unix:PATH`.
    #[must_use]
    pub fn serial(mut self, to: impl Into<String>) -> Self {
        self.serial = to.into();
        self
    }

    /// RAM that others may look at, from [`Machine::make_ram`]; it must be as large as the machine's memory.
    #[must_use]
    pub fn ram(mut self, ram: &Arc<Ram>) -> Self {
        self.ram = Some(ram.clone());
        self
    }

    /// Makes RAM of this machine's size, for this machine and others of the size.
    ///
    /// # Errors
    /// There is no room for a file.
    pub fn make_ram(&self) -> Result<Arc<Ram>> {
        Ok(Arc::new(Ram::new(self.board.ram_base(), self.memory)?))
    }

    /// The same in a file that stays when everything has ended, and is found again.
    ///
    /// # Errors
    /// The file cannot be opened or made, or is of another size.
    pub fn keep_ram(&self, path: &Path) -> Result<Arc<Ram>> {
        Ok(Arc::new(Ram::kept(path, self.board.ram_base(), self.memory)?))
    }

    /// [`Running::qmp`] works.
    #[must_use]
    pub fn qmp(mut self) -> Self {
        self.qmp = true;
        self
    }

    /// Its cache loses what was not cleaned, as these options say, at each reset; [`Running::next_reset`] tells. Needs
    /// [`Machine::kernel`], which stays resident, or firmware in the flash of `virt`; paths, addresses of RAM and marks in the
    /// options are the harness's.
    #[must_use]
    pub fn losing(mut self, options: Options) -> Self {
        self.losing = Some(options);
        self
    }

    /// [`Outcome::trace`] holds these trace events of QEMU's (`qemu-system-aarch64 -trace help` lists all).
    #[must_use]
    pub fn trace(mut self, events: &[&str]) -> Self {
        self.traces.extend(events.iter().map(|&event| event.to_owned()));
        self
    }

    /// More arguments for QEMU.
    #[must_use]
    pub fn extra(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.extra.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Runs it to its end, at most for this long.
    ///
    /// # Errors
    /// QEMU or a tool is missing, or a file cannot be read or written. How the guest ended is no error but
    /// [`Outcome::status`].
    pub fn run(&self, limit: Duration) -> Result<Outcome> {
        self.start(limit)?.wait()
    }

    /// Starts it. It is killed after this long, however it is waited for.
    ///
    /// Waits first while as many machines run as may.
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub fn start(&self, limit: Duration) -> Result<Running> {
        running::start(self, limit)
    }

    /// The command line that does the same by hand; without what only the harness uses (RAM file, QMP, traces).
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub fn command_line(&self) -> Result<String> {
        let arguments = self.arguments(None)?;
        Ok(quoted(std::iter::once(self.qemu()?.path().as_os_str()).chain(arguments.iter().map(OsString::as_os_str))))
    }

    pub(crate) fn qemu(&self) -> Result<&Qemu> {
        match &self.qemu {
            Some(qemu) => Ok(qemu),
            None => Qemu::find(),
        }
    }

    pub(crate) fn board(&self) -> Board {
        self.board
    }

    pub(crate) fn stdout_path(&self) -> &str {
        &self.stdout
    }

    /// What decides how the machine's own device tree looks.
    pub(crate) fn machine_arguments(&self) -> Vec<OsString> {
        let mut machine = self.board.name().to_owned();
        let mut more = Vec::new();
        if self.board == Board::Virt {
            let on_off = |on| if on { "on" } else { "off" };
            // Seeds in the device tree would make every run another one. Writing to a String does not fail.
            let _ = write!(machine, ",gic-version={},dtb-randomness=off", self.gic);
            let _ = write!(machine, ",virtualization={},secure={}", on_off(self.el2), on_off(self.secure));
            more = vec!["-cpu".into(), OsString::from(&self.cpu)];
        }
        let mut arguments = vec!["-machine".into(), OsString::from(machine)];
        arguments.extend(more);
        let memory = if self.memory.is_multiple_of(1 << 20) {
            format!("{}M", self.memory >> 20)
        } else {
            format!("{}B", self.memory)
        };
        arguments.extend(["-smp", &self.smp.to_string(), "-m", &memory].map(OsString::from));
        arguments
    }

    /// All arguments; with what the harness needs if there is a directory for it.
    pub(crate) fn arguments(&self, run: Option<&Path>) -> Result<Vec<OsString>> {
        let mut arguments = self.machine_arguments();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
        match self.threads {
            Threads::Multi => add(&["-accel", "tcg,thread=multi"]),
            Threads::Single => add(&["-accel", "tcg,thread=single"]),
            Threads::Counted(shift) => {
                add(&["-accel", "tcg,thread=single", "-icount", &format!("shift={shift},sleep=off")]);
            }
        }
        add(&["-display", "none", "-monitor", "none", "-serial", &self.serial, "-nic", "none"]);
        add(&["-semihosting-config", "enable=on,target=native"]);
        self.add_kernel(&mut arguments, run)?;
        match &self.tree {
            // QEMU hands over its own tree by itself, where it has one.
            Tree::Boards if self.board == Board::Virt => {}
            Tree::Boards => arguments.extend(["-dtb".into(), devicetree::plain(self)?.into()]),
            Tree::Handed(_) => {}
            Tree::Overlay(overlay) => {
                let mut tree = devicetree::with_overlay(self, overlay)?;
                if self.losing.is_some() && self.board == Board::Virt {
                    tree = devicetree::without(&tree, "virtio_mmio@")?;
                }
                arguments.extend(["-dtb".into(), tree.into()]);
            }
            Tree::File(path) => arguments.extend(["-dtb".into(), path.into()]),
        }
        if let Some(run) = run {
            self.add_harness(&mut arguments, run)?;
        }
        arguments.extend(self.extra.iter().cloned());
        Ok(arguments)
    }

    fn add_kernel(&self, arguments: &mut Vec<OsString>, run: Option<&Path>) -> Result<()> {
        let kernel = match (&self.kernel, &self.tree) {
            (Kernel::Image(image), _) if self.losing.is_some() && run.is_some() => {
                self.add_plugin(arguments, Some(image), run)?
            }
            (Kernel::None, Tree::Boards) if self.losing.is_some() && run.is_some() => {
                self.add_plugin(arguments, None, run)?
            }
            (Kernel::Image(image), Tree::Handed(handed)) => {
                Some(cache::content("trampoline", "img", trampoline::wrap(image, handed)?.bytes())?)
            }
            (_, Tree::Handed(_)) => bail!("only a kernel given as an Image can be handed something else"),
            (Kernel::Image(image), _) => Some(cache::content("kernel", "img", image.bytes())?),
            (Kernel::File(path), _) => Some(path.clone()),
            (Kernel::None, _) => None,
        };
        if let Some(kernel) = kernel {
            arguments.extend(["-kernel".into(), kernel.into()]);
            if !self.append.is_empty() {
                arguments.extend(["-append".into(), OsString::from(&self.append)]);
            }
        }
        Ok(())
    }

    /// The plugin. Returns the stub that goes on to the resident kernel, if there is one.
    fn add_plugin(
        &self,
        arguments: &mut Vec<OsString>,
        image: Option<&Image>,
        run: Option<&Path>,
    ) -> Result<Option<PathBuf>> {
        let (Some(options), Some(ram), Some(run)) = (&self.losing, &self.ram, run) else {
            bail!("a machine that loses needs RAM that others may look at: Machine::ram")
        };
        losing::check(options, self.board, self.memory)?;
        let (stub, plugin) = losing::arguments(self.board, options, image, ram.path(), &losses_socket(run))?;
        arguments.extend(["-plugin".into(), plugin]);
        Ok(stub)
    }

    fn add_harness(&self, arguments: &mut Vec<OsString>, run: &Path) -> Result<()> {
        if let Some(ram) = &self.ram {
            let (there, wanted) = (ram.size(), self.memory);
            if there != wanted || ram.base() != self.board.ram_base() {
                bail!("the RAM was made for another machine: it has {there:#x} bytes, this machine {wanted:#x}");
            }
            let mut object =
                OsString::from(format!("memory-backend-file,id=ram,share=on,size={}B,mem-path=", ram.size()));
            object.push(option_value(ram.path()));
            arguments.extend(["-object".into(), object, "-machine".into(), "memory-backend=ram".into()]);
        }
        if self.qmp {
            let mut socket = OsString::from("unix:");
            socket.push(option_value(&qmp_socket(run)));
            socket.push(",server=on,wait=off");
            arguments.extend(["-qmp".into(), socket]);
        }
        if !self.traces.is_empty() {
            // One -d: of several QEMU takes the last.
            let events: Vec<String> = self.traces.iter().map(|event| format!("trace:{event}")).collect();
            arguments.extend(["-d".into(), OsString::from(events.join(","))]);
            arguments.extend(["-D".into(), trace_log(run).into()]);
        }
        Ok(())
    }
}

pub(crate) fn qmp_socket(run: &Path) -> PathBuf {
    run.join("qmp")
}

pub(crate) fn losses_socket(run: &Path) -> PathBuf {
    run.join("losses")
}

pub(crate) fn trace_log(run: &Path) -> PathBuf {
    run.join("trace")
}
