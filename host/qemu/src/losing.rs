//! A machine whose cache loses its dirty lines at each reset: QEMU with the plugin of `host/plugin`.
//!
//! The kernel is resident: it lies in RAM when cores begin, put there by the plugin, and QEMU only starts a stub which jumps to
//! it. QEMU loads a `-kernel` again at each reset, and then has to translate all of it again, which takes longer than to boot.
//!
//! A machine without a kernel begins in its firmware, which lies in flash and loads one ([`crate::uboot`]); nothing is resident then.

use crate::image::Image;
use crate::machine::Board;
use crate::words::option_value;
use crate::{cache, trampoline, workspace};
use anyhow::{Context, Result, bail, ensure};
use cachesim::options::Options;
use cachesim::report::{MARK, Reset};
use std::ffi::OsString;
use std::io::BufReader;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Where a resident kernel lies, from the beginning of RAM: on the boundary that the boot protocol asks for, behind all that
/// QEMU puts at the beginning, before the device tree.
const RESIDENT_AT: u64 = 16 << 20;
/// Reports that may wait to be read. More of them would only take memory: the machine waits.
const WAITING: usize = 2;

/// Where a kernel lies that [`crate::Machine::losing`] starts, on a board.
#[must_use]
pub fn resident_at(board: Board) -> u64 {
    board.ram_base() + RESIDENT_AT
}

/// Where `virt` has its flash, and begins if there is firmware in it.
const FLASH: u64 = 0;

/// Where cores of a board begin after a reset if QEMU starts a kernel.
fn start(board: Board) -> u64 {
    // On both QEMU puts a few instructions of its own before the kernel, at the beginning of RAM.
    board.ram_base()
}

/// What QEMU has to be told: the plugin with its words; and a stub as the kernel, where there is one to be resident.
pub(crate) fn arguments(
    board: Board,
    wished: &Options,
    kernel: Option<&Image>,
    ram: &Path,
    report: &Path,
) -> Result<(Option<PathBuf>, OsString)> {
    let text = |path: &Path| {
        let text = option_value(path).into_string();
        text.map_err(|path| anyhow::anyhow!("{}: a path in UTF-8 is wanted", path.display()))
    };
    let (start, resident, stub) = match kernel {
        Some(kernel) => {
            let resident = text(&cache::content("kernel", "img", kernel.bytes())?)?;
            let stub = cache::content("stub", "img", trampoline::jump(resident_at(board))?.bytes())?;
            (start(board), Some((resident_at(board), resident)), Some(stub))
        }
        None => (FLASH, None, None),
    };
    let options = Options {
        ram: text(ram)?,
        base: board.ram_base(),
        start,
        resident,
        report: Some(text(report)?),
        mark: true,
        ..wished.clone()
    };
    let mut plugin = option_value(workspace::plugin_file()?);
    plugin.push(",");
    plugin.push(options.to_string());
    Ok((stub, plugin))
}

/// The reports of a machine that runs.
#[derive(Debug)]
pub(crate) struct Losses {
    socket: PathBuf,
    received: Option<Receiver<Result<Reset>>>,
}

impl Losses {
    /// Listens for the plugin.
    ///
    /// # Errors
    /// There can be no such socket.
    pub(crate) fn listen(socket: PathBuf) -> Result<Self> {
        let listener = UnixListener::bind(&socket)
            .with_context(|| format!("no socket {}: a shorter TMPDIR may help", socket.display()))?;
        let (send, received) = sync_channel(WAITING);
        thread::spawn(move || {
            let Ok((stream, _)) = listener.accept() else { return };
            let mut stream = BufReader::new(stream);
            loop {
                let next = match Reset::receive(&mut stream) {
                    Ok(None) => return,
                    Ok(Some(reset)) => Ok(reset),
                    Err(error) => Err(error).context("the plugin's report cannot be read"),
                };
                let is_error = next.is_err();
                // Nobody listens any more: the machine is gone, or will be.
                if send.send(next).is_err() || is_error {
                    return;
                }
            }
        });
        Ok(Self { socket, received: Some(received) })
    }

    /// The next reset; None: the machine has ended without another.
    ///
    /// # Errors
    /// It does not come in time, or cannot be read.
    pub(crate) fn next(&mut self, timeout: Duration) -> Result<Option<Reset>> {
        let Some(received) = &self.received else { bail!("the machine has ended") };
        match received.recv_timeout(timeout) {
            Ok(reset) => reset.map(Some),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("no reset in {} s", timeout.as_secs()),
        }
    }
}

impl Drop for Losses {
    fn drop(&mut self) {
        self.received = None;
        // If the plugin never came, somebody still waits for it.
        let _ = UnixStream::connect(&self.socket);
    }
}

/// The mark in the console of a reset.
pub(crate) fn mark(number: u64) -> String {
    format!("{MARK}{number}\n")
}

/// What a machine that loses must have.
pub(crate) fn check(options: &Options, board: Board, memory: u64) -> Result<()> {
    let (start, size) = options.range;
    let end = board.ram_base() + memory;
    ensure!(
        size > 0 && start >= board.ram_base() && start.checked_add(size).is_some_and(|at| at <= end),
        "the range that loses, {start:#x}:{size:#x}, is not all RAM"
    );
    Ok(())
}
