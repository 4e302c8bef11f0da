//! The PL011 UART, behind a lock for the living and without one for the dying.

use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};

use arch::irq;
use arm_pl011_uart::{DataBits, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer};
use spin::Once;
use spin::mutex::SpinMutex;

use crate::board::ConsoleInfo;
use crate::console::{Console, ConsoleError};

/// Bits per second, where we program it.
const BAUD: u32 = 115_200;
/// Bytes from the first register to the end of the last one that is used (UARTICR).
const USED_SIZE: usize = 0x48;
/// How often the flag register is read before a byte is given up: a line that is stuck must not stop a panic. A
/// character at 115200 baud takes 87 us; a read of a device register takes 10 ns and more.
const POLLS_MAX: u32 = 1_000_000;

/// What to do with the line's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Leave them: firmware has set them up.
    Inherit,
    /// 8N1 at 115200 baud by the clock of the device tree; left as they are if that does not say one.
    Program,
}

struct Pl011 {
    uart: UnsafeCell<Uart<'static>>,
    lock: SpinMutex<()>,
    /// The line did not take a byte of a dying kernel in time: it gets no other chance, so that a console which is stuck holds
    /// up a panic once and not for every byte.
    given_up: AtomicBool,
}

// SAFETY: `uart` is used under `lock`, or by the panic path after the other cores were stopped. Should a core that did
// not stop be in it too, both do single volatile accesses to device registers; at worst their characters mix.
unsafe impl Sync for Pl011 {}
// SAFETY: device registers belong to no core.
unsafe impl Send for Pl011 {}

static CONSOLE: Once<Pl011> = Once::new();

/// Makes the one PL011 that is the console ready. The first call counts.
pub(crate) fn open(info: &ConsoleInfo, line: Line) -> Result<&'static dyn Console, ConsoleError> {
    let fits = info.registers.len() >= USED_SIZE && info.registers.start.is_multiple_of(align_of::<PL011Registers>());
    let registers = NonNull::new(ptr::with_exposed_provenance_mut::<PL011Registers>(info.registers.start));
    let Some(registers) = registers.filter(|_| fits) else {
        return Err(ConsoleError::BadRegisters);
    };
    let console = CONSOLE.try_call_once(|| {
        // SAFETY: the device tree says that these are a PL011's registers, the caller has mapped them, and the
        // `Once` makes this the only pointer to them. Registers beyond the range are not touched.
        let mut uart = Uart::new(unsafe { UniqueMmioPointer::new(registers) });
        if let (Line::Program, Some(clock_hz)) = (line, info.clock_hz) {
            let config = LineConfig { data_bits: DataBits::Bits8, parity: Parity::None, stop_bits: StopBits::One };
            uart.enable(config, BAUD, clock_hz).map_err(|_| ConsoleError::BadClock)?;
        }
        Ok(Pl011 { uart: UnsafeCell::new(uart), lock: SpinMutex::new(()), given_up: AtomicBool::new(false) })
    })?;
    Ok(console)
}

impl Pl011 {
    /// # Safety
    ///
    /// The caller holds the lock, or the kernel is dying.
    #[allow(clippy::mut_from_ref)]
    unsafe fn uart(&self) -> &mut Uart<'static> {
        // SAFETY: the caller keeps others out, or does not care any more.
        unsafe { &mut *self.uart.get() }
    }
}

/// Sends bytes; a line feed goes out as carriage return and line feed, which is what terminals expect. Ends at the first byte
/// that the line does not take in time, and says whether it took them all.
fn put(uart: &mut Uart<'_>, bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| (byte != b'\n' || put_raw(uart, b'\r')) && put_raw(uart, byte))
}

fn put_raw(uart: &mut Uart<'_>, byte: u8) -> bool {
    let is_free = (0..POLLS_MAX).any(|_| !uart.is_tx_fifo_full());
    if is_free {
        uart.write_word(byte);
    }
    is_free
}

impl Console for Pl011 {
    fn write(&self, bytes: &[u8]) {
        irq::without_irqs(|| {
            let _guard = self.lock.lock();
            // SAFETY: under the lock. What the line does not take is lost.
            let _ = put(unsafe { self.uart() }, bytes);
        });
    }

    fn write_unlocked(&self, bytes: &[u8]) {
        // Relaxed: nothing hangs on it but patience.
        if self.given_up.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: for the panic path, as its documentation says.
        if !put(unsafe { self.uart() }, bytes) {
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
        // SAFETY: only reads the flag register, which has no side effects.
        let uart = unsafe { &*self.uart.get() };
        let _ = (0..POLLS_MAX).any(|_| !uart.is_busy() && uart.is_tx_fifo_empty());
    }

    fn try_read(&self) -> Option<u8> {
        irq::without_irqs(|| {
            let _guard = self.lock.try_lock()?;
            // SAFETY: under the lock.
            unsafe { self.uart() }.read_word().ok().flatten()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::ConsoleKind;
    use std::boxed::Box;

    fn info(registers: core::ops::Range<usize>, clock_hz: Option<u32>) -> ConsoleInfo {
        ConsoleInfo { kind: ConsoleKind::Pl011, registers, clock_hz }
    }

    #[test]
    fn a_console_in_memory_takes_bytes_and_survives_bad_device_trees() {
        for bad in [0..0x1000, 0x1000..0x1040, 0x1002..0x2002] {
            assert_eq!(open(&info(bad, None), Line::Inherit).err(), Some(ConsoleError::BadRegisters));
        }
        let registers: &mut [u32; 1024] = Box::leak(Box::new([0; 1024]));
        let start = registers.as_mut_ptr().expose_provenance();
        let range = start..start + size_of::<PL011Registers>();
        assert_eq!(open(&info(range.clone(), Some(1)), Line::Program).err(), Some(ConsoleError::BadClock));
        let console = open(&info(range, Some(24_000_000)), Line::Program).unwrap();
        console.write(b"a\n");
        // SAFETY: test memory that stands in for the data register; nobody writes it now.
        assert_eq!(unsafe { ptr::with_exposed_provenance::<u32>(start).read_volatile() }, u32::from(b'\n'));
        console.write_unlocked(b"z");
        // SAFETY: as above.
        assert_eq!(unsafe { ptr::with_exposed_provenance::<u32>(start).read_volatile() }, u32::from(b'z'));
        console.flush(); // ends although the fake's FIFO never empties
        assert_eq!(console.try_read(), Some(b'z'));

        // A line that is stuck: the transmit FIFO stays full (UARTFR, TXFF).
        let flags = ptr::with_exposed_provenance_mut::<u32>(start + 0x18);
        // SAFETY: test memory that stands in for the flag register; nobody else uses it now.
        unsafe { flags.write_volatile(1 << 5) };
        console.write_unlocked(b"abc");
        // SAFETY: as above.
        unsafe { flags.write_volatile(0) };
        console.write_unlocked(b"d");
        // SAFETY: test memory that stands in for the data register.
        let data = || unsafe { ptr::with_exposed_provenance::<u32>(start).read_volatile() };
        assert_eq!(data(), u32::from(b'z'), "a dying kernel tries it once and no more");
        console.write(b"e");
        assert_eq!(data(), u32::from(b'e'), "the living go on trying");
    }
}
