//! The one serial line that is the console: behind a lock for the living and without one for the dying. What differs between
//! chips is in a file for each.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use arch::irq;
use spin::Once;
use spin::mutex::SpinMutex;

use crate::board::{ConsoleInfo, ConsoleKind};
use crate::console::{Console, ConsoleError};
use crate::ns16550::Ns16550;
use crate::pl011::Pl011;
use crate::registers::Mmio;

/// Bits per second, where we program it and the device tree does not say others.
pub(crate) const BAUD: u32 = 115_200;
/// How often a status register is read before a byte is given up: a line that is stuck must not stop a panic. A character at
/// 115200 baud takes 87 us; a read of a device register takes 10 ns and more.
const POLLS_MAX: u32 = 1_000_000;

/// What to do with the line's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Leave them: firmware has set them up.
    Inherit,
    /// 8N1 by the clock of the device tree or of the board; left as they are if neither says one.
    Program,
}

/// A chip that sends and receives bytes.
pub(crate) enum Chip {
    Pl011(Pl011),
    Ns16550(Ns16550<Mmio>),
}

impl Chip {
    /// Makes it ready.
    fn open(info: &ConsoleInfo, line: Line) -> Result<Self, ConsoleError> {
        Ok(match info.kind {
            ConsoleKind::Pl011 => Chip::Pl011(Pl011::open(info, line)?),
            ConsoleKind::Ns16550 | ConsoleKind::MiniUart => Chip::Ns16550(Ns16550::open(info, line)?),
        })
    }

    /// Whether it takes a byte now.
    fn is_free(&self) -> bool {
        match self {
            Chip::Pl011(chip) => chip.is_free(),
            Chip::Ns16550(chip) => chip.is_free(),
        }
    }

    /// Whether everything has left.
    fn is_idle(&self) -> bool {
        match self {
            Chip::Pl011(chip) => chip.is_idle(),
            Chip::Ns16550(chip) => chip.is_idle(),
        }
    }

    fn send(&mut self, byte: u8) {
        match self {
            Chip::Pl011(chip) => chip.send(byte),
            Chip::Ns16550(chip) => chip.send(byte),
        }
    }

    fn receive(&mut self) -> Option<u8> {
        match self {
            Chip::Pl011(chip) => chip.receive(),
            Chip::Ns16550(chip) => chip.receive(),
        }
    }

    /// Sends bytes; a line feed goes out as carriage return and line feed, which is what terminals expect. Ends at the first
    /// byte that the line does not take in time, and says whether it took them all.
    fn put(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| (byte != b'\n' || self.put_raw(b'\r')) && self.put_raw(byte))
    }

    fn put_raw(&mut self, byte: u8) -> bool {
        let is_free = (0..POLLS_MAX).any(|_| self.is_free());
        if is_free {
            self.send(byte);
        }
        is_free
    }
}

pub(crate) struct Serial {
    chip: UnsafeCell<Chip>,
    lock: SpinMutex<()>,
    /// The line did not take a byte of a dying kernel in time: it gets no other chance, so that a console which is stuck holds
    /// up a panic once and not for every byte.
    given_up: AtomicBool,
}

// SAFETY: `chip` is used under `lock`, or by the panic path after the other cores were stopped. Should a core that did
// not stop be in it too, both do single volatile accesses to device registers; at worst their characters mix.
unsafe impl Sync for Serial {}
// SAFETY: device registers belong to no core.
unsafe impl Send for Serial {}

static CONSOLE: Once<Serial> = Once::new();

/// Makes the one line that is the console ready. The first call counts.
pub(crate) fn open(info: &ConsoleInfo, line: Line) -> Result<&'static dyn Console, ConsoleError> {
    let console = CONSOLE.try_call_once(|| Serial::new(info, line))?;
    Ok(console)
}

/// Opens a Raspberry Pi's, to be programmed: a PL011 by the clock that the firmware sets (`init_uart_clock`; the device tree
/// leaves it to the clock controller), a mini-UART by the core's.
pub(crate) fn open_raspberry_pi(info: &ConsoleInfo, core_hz: u32) -> Result<&'static dyn Console, ConsoleError> {
    const PL011_HZ: u32 = 48_000_000;
    let clock_hz = if info.kind == ConsoleKind::MiniUart { core_hz } else { info.clock_hz.unwrap_or(PL011_HZ) };
    open(&ConsoleInfo { clock_hz: Some(clock_hz), ..info.clone() }, Line::Program)
}

impl Serial {
    fn new(info: &ConsoleInfo, line: Line) -> Result<Self, ConsoleError> {
        let chip = UnsafeCell::new(Chip::open(info, line)?);
        Ok(Self { chip, lock: SpinMutex::new(()), given_up: AtomicBool::new(false) })
    }

    /// # Safety
    ///
    /// The caller holds the lock, or the kernel is dying.
    #[allow(clippy::mut_from_ref)]
    unsafe fn chip(&self) -> &mut Chip {
        // SAFETY: the caller keeps others out, or does not care any more.
        unsafe { &mut *self.chip.get() }
    }
}

impl Console for Serial {
    fn write(&self, bytes: &[u8]) {
        irq::without_irqs(|| {
            let _guard = self.lock.lock();
            // SAFETY: under the lock. What the line does not take is lost.
            let _ = unsafe { self.chip() }.put(bytes);
        });
    }

    fn write_unlocked(&self, bytes: &[u8]) {
        // Relaxed: nothing hangs on it but patience.
        if self.given_up.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: for the panic path, as its documentation says.
        if !unsafe { self.chip() }.put(bytes) {
            self.given_up.store(true, Ordering::Relaxed);
        }
    }

    fn while_locked(&self, run: &mut dyn FnMut()) {
        irq::without_irqs(|| {
            let _guard = self.lock.lock();
            run();
        });
    }

    fn flush(&self) {
        if self.given_up.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: only reads the status register, which has no side effects that matter here.
        let chip = unsafe { &*self.chip.get() };
        let _ = (0..POLLS_MAX).any(|_| chip.is_idle());
    }

    fn try_read(&self) -> Option<u8> {
        irq::without_irqs(|| {
            let _guard = self.lock.try_lock()?;
            // SAFETY: under the lock.
            unsafe { self.chip() }.receive()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr;
    use std::boxed::Box;

    fn info(kind: ConsoleKind, registers: core::ops::Range<usize>, clock_hz: Option<u32>) -> ConsoleInfo {
        ConsoleInfo { kind, registers, clock_hz, ..ConsoleInfo::EMPTY }
    }

    /// Memory in place of registers.
    #[derive(Clone, Copy)]
    struct Page(usize);

    impl Page {
        fn new() -> Self {
            let words: &mut [u32; 1024] = Box::leak(Box::new([0; 1024]));
            Self(words.as_mut_ptr().expose_provenance())
        }
        fn get(self, at: usize) -> u8 {
            // SAFETY: inside the page, which is never freed.
            unsafe { ptr::with_exposed_provenance::<u8>(self.0 + at).read_volatile() }
        }
        fn set(self, at: usize, value: u8) {
            // SAFETY: as above.
            unsafe { ptr::with_exposed_provenance_mut::<u8>(self.0 + at).write_volatile(value) }
        }
    }

    #[test]
    fn a_console_in_memory_takes_bytes_and_survives_bad_device_trees() {
        for bad in [0..0x1000, 0x1000..0x1040, 0x1002..0x2002] {
            let opened = Serial::new(&info(ConsoleKind::Pl011, bad, None), Line::Inherit);
            assert_eq!(opened.err(), Some(ConsoleError::BadRegisters));
        }
        let page = Page::new();
        let range = page.0..page.0 + 0x1000;
        let bad_clock = Serial::new(&info(ConsoleKind::Pl011, range.clone(), Some(1)), Line::Program);
        assert_eq!(bad_clock.err(), Some(ConsoleError::BadClock));
        let pl011 = Serial::new(&info(ConsoleKind::Pl011, range, Some(24_000_000)), Line::Program).unwrap();
        // UARTFR: the transmit FIFO is full.
        all_of_it(&pl011, page, |is_stuck| page.set(0x18, if is_stuck { 1 << 5 } else { 0 }));
        assert_eq!(pl011.try_read(), Some(b'e'));

        let page = Page::new();
        let registers = page.0..page.0 + 8;
        let ns16550 = Serial::new(&info(ConsoleKind::Ns16550, registers, None), Line::Inherit).unwrap();
        // LSR: the transmit holding register is empty.
        let stuck = |is_stuck: bool| page.set(5, if is_stuck { 0 } else { 1 << 5 });
        stuck(false);
        all_of_it(&ns16550, page, stuck);
        assert_eq!(ns16550.try_read(), None);
        page.set(5, 1);
        assert_eq!(ns16550.try_read(), Some(b'e'));
    }

    /// The data register is the first on both chips.
    fn all_of_it(console: &dyn Console, page: Page, stuck: impl Fn(bool)) {
        console.write(b"a\n");
        assert_eq!(page.get(0), b'\n');
        console.write_unlocked(b"z");
        assert_eq!(page.get(0), b'z');
        console.flush(); // ends although the fake never empties
        stuck(true);
        console.write_unlocked(b"abc");
        stuck(false);
        console.write_unlocked(b"d");
        assert_eq!(page.get(0), b'z', "a dying kernel tries it once and no more");
        console.write(b"e");
        assert_eq!(page.get(0), b'e', "the living go on trying");
    }
}
