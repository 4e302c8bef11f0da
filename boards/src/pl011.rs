//! The PL011 UART.

use core::ptr::{self, NonNull};

use arm_pl011_uart::{DataBits, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer};

use crate::board::ConsoleInfo;
use crate::console::ConsoleError;
use crate::serial::{BAUD, Line};

/// Bytes from the first register to the end of the last one that is used (UARTICR).
const USED_SIZE: usize = 0x48;

pub(crate) struct Pl011(Uart<'static>);

impl Pl011 {
    /// Makes it ready. Nobody else has it: it is the console.
    pub(crate) fn open(info: &ConsoleInfo, line: Line) -> Result<Self, ConsoleError> {
        let fits =
            info.registers.len() >= USED_SIZE && info.registers.start.is_multiple_of(align_of::<PL011Registers>());
        let registers = NonNull::new(ptr::with_exposed_provenance_mut::<PL011Registers>(info.registers.start));
        let Some(registers) = registers.filter(|_| fits) else {
            return Err(ConsoleError::BadRegisters);
        };
        // SAFETY: the device tree says that these are a PL011's registers, the caller has mapped them, and the one console
        // has the only pointer to them. Registers beyond the range are not touched.
        let mut uart = Uart::new(unsafe { UniqueMmioPointer::new(registers) });
        if let (Line::Program, Some(clock_hz)) = (line, info.clock_hz) {
            let config = LineConfig { data_bits: DataBits::Bits8, parity: Parity::None, stop_bits: StopBits::One };
            uart.enable(config, info.baud.unwrap_or(BAUD), clock_hz).map_err(|_| ConsoleError::BadClock)?;
            // The FIFOs are empty now. QEMU, if one was full, does not look at the line again before somebody reads.
            // SAFETY: the data register, the first of the registers above; reading it takes nothing from an empty FIFO.
            let _ = unsafe { registers.cast::<u32>().read_volatile() };
        }
        Ok(Self(uart))
    }

    pub(crate) fn is_free(&self) -> bool {
        !self.0.is_tx_fifo_full()
    }

    pub(crate) fn is_idle(&self) -> bool {
        !self.0.is_busy() && self.0.is_tx_fifo_empty()
    }

    pub(crate) fn send(&mut self, byte: u8) {
        self.0.write_word(byte);
    }

    pub(crate) fn receive(&mut self) -> Option<u8> {
        self.0.read_word().ok().flatten()
    }
}
