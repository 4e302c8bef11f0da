//! The 8250 and its descendants: 16550, DesignWare's, and the mini-UART of the Raspberry Pi, whose line and FIFO are the same
//! and whose speed is set elsewhere.
//!
//! A boot loader has used it before us, so that its settings are inherited; only the mini-UART is set up where it is off and a
//! clock is known. Its registers are 8 bits each, at distances and with accesses that the device tree says.

use core::ops::Range;

use tock_registers::register_bitfields;

use crate::board::{ConsoleInfo, ConsoleKind};
use crate::console::ConsoleError;
use crate::registers::{Mmio, Registers};
use crate::serial::{BAUD, Line};

register_bitfields! {u32,
    /// Line status.
    LSR [
        /// Everything has left.
        TEMT OFFSET(6) NUMBITS(1) [],
        /// A byte is taken.
        THRE OFFSET(5) NUMBITS(1) [],
        /// A byte is there.
        DR OFFSET(0) NUMBITS(1) []
    ],
    /// Extra control of the mini-UART.
    CNTL [
        TransmitterEnable OFFSET(1) NUMBITS(1) [],
        ReceiverEnable OFFSET(0) NUMBITS(1) []
    ],
    /// What is on in the block that the mini-UART is part of.
    AUX_ENABLES [
        MiniUart OFFSET(0) NUMBITS(1) []
    ]
}

/// Numbers of registers.
const DATA: usize = 0;
const IER: usize = 1;
const FCR: usize = 2;
const LCR: usize = 3;
const MCR: usize = 4;
const LSR_AT: usize = 5;
/// Beyond the 8250's: the mini-UART's own.
const CNTL_AT: usize = 8;
const BAUD_AT: usize = 10;

/// Eight bits (the mini-UART's documentation forgets the second bit).
const LCR_8_BITS: u32 = 3;
/// Empties both FIFOs.
const FCR_CLEAR: u32 = 6;
/// From the beginning of the mini-UART's registers back to those of its block, whose second it is that enables it.
const BLOCK_BEFORE: usize = 0x40;
const AUX_ENABLES_AT: usize = 4;
/// The mini-UART takes eight samples of a bit.
const OVERSAMPLING: u32 = 8;

/// The chip.
pub(crate) struct Ns16550<R> {
    registers: R,
    /// From the first register of the range that is mapped to the chip's.
    offset: usize,
    /// Bytes from one register to the next, as a power of two.
    shift: u8,
    /// Bytes of an access: 1 or 4.
    width: u8,
}

impl Ns16550<Mmio> {
    /// Makes it ready.
    pub(crate) fn open(info: &ConsoleInfo, line: Line) -> Result<Self, ConsoleError> {
        let is_mini = info.kind == ConsoleKind::MiniUart;
        let (shift, width) = if is_mini { (2, 4) } else { (info.shift, info.width) };
        let (used, before) = if is_mini { (BAUD_AT, BLOCK_BEFORE) } else { (LSR_AT, 0) };
        let range = usable(&info.registers, shift, width, used, before).ok_or(ConsoleError::BadRegisters)?;
        // SAFETY: the device tree says that these are such registers, and the caller has mapped them; the mini-UART's block
        // begins in the same page.
        let chip = Self { registers: unsafe { Mmio::new(range) }, offset: before, shift, width };
        if is_mini {
            chip.set_up_mini(info, line);
        }
        Ok(chip)
    }
}

/// The registers from `before` bytes before the first, in the same page, to the one of number `last`, if they are all there and
/// aligned.
fn usable(registers: &Range<usize>, shift: u8, width: u8, last: usize, before: usize) -> Option<Range<usize>> {
    const PAGE: usize = 4096;
    let width_bytes = usize::from(width);
    // Each needs room for an access.
    if !matches!(width, 1 | 4) || shift > 4 || 1 << shift < width_bytes {
        return None;
    }
    let (start, size) = (registers.start, (last << shift) + width_bytes);
    let fits = start != 0 && start.is_multiple_of(width_bytes) && start % PAGE >= before && size <= registers.len();
    fits.then(|| start - before..start + size)
}

impl<R: Registers> Ns16550<R> {
    fn read(&self, register: usize) -> u32 {
        let at = self.offset + (register << self.shift);
        if self.width == 4 { self.registers.read(at) } else { self.registers.read_8(at).into() }
    }

    fn write(&self, register: usize, value: u32) {
        let at = self.offset + (register << self.shift);
        if self.width == 4 { self.registers.write(at, value) } else { self.registers.write_8(at, value as u8) }
    }

    /// The mini-UART's block is turned on, without which it has no registers. If it sends already, its speed is right: the
    /// firmware knows the core's clock, from which that is derived.
    fn set_up_mini(&self, info: &ConsoleInfo, line: Line) {
        let enabled = self.registers.read(AUX_ENABLES_AT);
        self.registers.write(AUX_ENABLES_AT, AUX_ENABLES::MiniUart::SET.modify(enabled));
        let is_on = CNTL::TransmitterEnable.is_set(self.read(CNTL_AT));
        let (false, Line::Program, Some(clock_hz)) = (is_on, line, info.clock_hz) else { return };
        let bits = OVERSAMPLING * info.baud.unwrap_or(BAUD).clamp(1, clock_hz / OVERSAMPLING);
        self.write(CNTL_AT, 0);
        self.write(IER, 0);
        self.write(LCR, LCR_8_BITS);
        self.write(MCR, 0);
        self.write(FCR, FCR_CLEAR);
        // The nearest.
        self.write(BAUD_AT, (clock_hz + bits / 2) / bits - 1);
        self.write(CNTL_AT, (CNTL::TransmitterEnable::SET + CNTL::ReceiverEnable::SET).value);
    }

    pub(crate) fn is_free(&self) -> bool {
        LSR::THRE.is_set(self.read(LSR_AT))
    }

    pub(crate) fn is_idle(&self) -> bool {
        LSR::TEMT.is_set(self.read(LSR_AT))
    }

    pub(crate) fn send(&mut self, byte: u8) {
        self.write(DATA, byte.into());
    }

    pub(crate) fn receive(&mut self) -> Option<u8> {
        LSR::DR.is_set(self.read(LSR_AT)).then(|| self.read(DATA) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registers::fake::Fake;

    fn chip(words: &[(usize, u32)], offset: usize, shift: u8, width: u8) -> Ns16550<Fake> {
        Ns16550 { registers: Fake::with(words), offset, shift, width }
    }

    #[test]
    fn a_byte_goes_where_shift_and_width_say() {
        for (shift, width, lsr, bits) in [(0, 1, 5, 8), (2, 1, 20, 8), (2, 4, 20, 32), (3, 4, 40, 32)] {
            let mut chip = chip(&[(lsr & !3, 0x60 << ((lsr & 3) * 8))], 0, shift, width);
            assert!(chip.is_free() && chip.is_idle());
            assert_eq!(chip.receive(), None);
            chip.send(b'a');
            assert_eq!(chip.registers.taken(), [(0, bits, u32::from(b'a'))]);
            chip.registers.set(lsr & !3, 1 << ((lsr & 3) * 8));
            assert!(!chip.is_free() && !chip.is_idle());
            assert_eq!(chip.receive(), Some(b'a'));
            assert!(chip.registers.taken().is_empty());
        }
    }

    fn mini(clock_hz: Option<u32>, baud: Option<u32>) -> ConsoleInfo {
        ConsoleInfo { kind: ConsoleKind::MiniUart, clock_hz, baud, ..ConsoleInfo::EMPTY }
    }

    #[test]
    fn a_mini_uart_that_sends_already_keeps_its_speed() {
        for (cntl, line, clock_hz) in
            [(3, Line::Program, Some(500_000_000)), (0, Line::Inherit, Some(500_000_000)), (0, Line::Program, None)]
        {
            let chip = chip(&[(0x4, 6), (0x60, cntl)], 0x40, 2, 4);
            chip.set_up_mini(&mini(clock_hz, None), line);
            assert_eq!(chip.registers.taken(), [(4, 32, 7)], "its block is on, with the others of it");
        }
    }

    #[test]
    fn a_mini_uart_that_is_off_is_programmed_by_the_cores_clock() {
        for (clock_hz, baud, divisor) in
            [(250_000_000, None, 270), (500_000_000, None, 542), (500_000_000, Some(921_600), 67), (8, None, 0)]
        {
            let chip = chip(&[], 0x40, 2, 4);
            chip.set_up_mini(&mini(Some(clock_hz), baud), Line::Program);
            let expected = [
                (0x04, 32, 1),
                (0x60, 32, 0),
                (0x44, 32, 0),
                (0x4c, 32, 3),
                (0x50, 32, 0),
                (0x48, 32, 6),
                (0x68, 32, divisor),
                (0x60, 32, 3),
            ];
            assert_eq!(chip.registers.taken(), expected, "{clock_hz}");
        }
    }

    #[test]
    fn registers_that_are_too_few_or_crooked_are_refused() {
        let open = |registers, shift, width| {
            let info = ConsoleInfo { kind: ConsoleKind::Ns16550, registers, shift, width, ..ConsoleInfo::EMPTY };
            Ns16550::open(&info, Line::Inherit).err()
        };
        assert_eq!(open(0x1000..0x1006, 0, 1), None);
        assert_eq!(open(0x1000..0x1018, 2, 4), None);
        for (registers, shift, width) in [
            (0x1000..0x1005, 0, 1),
            (0x1000..0x1014, 2, 4),
            (0x1002..0x2000, 2, 4),
            (0x1000..0x2000, 0, 4),
            (0x1000..0x2000, 2, 2),
            (0x1000..0x2000, 2, 0),
            (0x1000..0x2000, 200, 1),
            (0..0x1000, 0, 1),
        ] {
            assert_eq!(
                open(registers.clone(), shift, width),
                Some(ConsoleError::BadRegisters),
                "{registers:x?} {shift} {width}"
            );
        }
    }
}
