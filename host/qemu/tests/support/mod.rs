//! Guests for the tests of the harness: kernels of a few instructions, put together here, so that no assembler is needed.
#![allow(dead_code)] // each test file uses its own part

use qemu::{Image, image};
use std::time::Duration;

/// More than any of these guests needs, on any machine; it only bounds what hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where in RAM a guest keeps what it has to say to semihosting.
const BLOCK: u64 = 0x4100_0000;
/// The data register of `virt`'s PL011.
const UART: u64 = 0x0900_0000;

/// A guest under construction: a few instructions, one after the other.
pub(crate) struct Guest {
    code: Vec<u32>,
}

impl Guest {
    pub(crate) fn new() -> Self {
        Self { code: Vec::new() }
    }

    /// Prints.
    pub(crate) fn print(mut self, text: &str) -> Self {
        self = self.load(1, UART);
        for byte in text.bytes() {
            self = self.load(2, byte.into()).word(0xb900_0022); // str w2, [x1]
        }
        self
    }

    /// Prints the low byte of the 32-bit word at an address.
    pub(crate) fn print_byte_at(self, address: u64) -> Self {
        self.load(1, UART).load(4, address).word(0xb940_0083).word(0xb900_0023) // ldr w3, [x4]; str w3, [x1]
    }

    /// Ends QEMU with a status.
    pub(crate) fn exit(self, status: u32) -> Self {
        self.store(BLOCK, 0x2_0026) // ADP_Stopped_ApplicationExit
            .store(BLOCK + 8, status.into())
            .load(0, 0x18) // SYS_EXIT
            .load(1, BLOCK)
            .word(0xd45e_0000) // hlt #0xf000
            .hang()
    }

    /// Writes a 64-bit word.
    pub(crate) fn store(self, address: u64, value: u64) -> Self {
        self.load(4, address).load(3, value).word(0xf900_0083) // str x3, [x4]
    }

    /// Adds one to a 32-bit word.
    pub(crate) fn count(self, address: u64) -> Self {
        self.load(4, address).word(0xb940_0083).word(0x1100_0463).word(0xb900_0083) // ldr w3; add w3, w3, #1; str w3
    }

    /// Waits until the 32-bit word at an address is not zero.
    pub(crate) fn wait_for(self, address: u64) -> Self {
        // yield; ldr w3, [x4]; cbz w3, .-8
        self.load(4, address).word(0xd503_203f).word(0xb940_0083).word(0x34ff_ffc3)
    }

    /// Leaves, if the byte at an address is this one, through `then`; else goes on.
    pub(crate) fn when(self, address: u64, byte: u8, then: Guest) -> Self {
        let skip = then.code.len() as u32 + 1;
        let mut guest = self.load(4, address).word(0x3940_0083).load(5, byte.into()).word(0x6b05_007f); // ldrb; cmp w3, w5
        guest = guest.word(0x5400_0001 | skip << 5); // b.ne
        guest.code.extend(then.code);
        guest
    }

    /// Copies x0, as the guest found it, to an address. To be called first.
    pub(crate) fn keep_x0(self, address: u64) -> Self {
        self.load(4, address).word(0xf900_0080) // str x0, [x4]
    }

    /// Prints the byte to which x0 points, as the guest found it, plus an offset.
    pub(crate) fn print_handed(mut self, kept: u64, offsets: std::ops::Range<u32>) -> Self {
        self = self.load(1, UART).load(4, kept).word(0xf940_0085); // ldr x5, [x4]
        for offset in offsets {
            self = self.word(0x3940_00a3 | offset << 10).word(0xb900_0023); // ldrb w3, [x5, #offset]; str w3, [x1]
        }
        self
    }

    /// Sends a software-generated interrupt to nobody in particular (ICC_SRE_EL1, ICC_SGI1R_EL1).
    pub(crate) fn send_sgi(self) -> Self {
        self.load(3, 7).word(0xd518_cca3).word(0xd503_3fdf).load(3, 1 << 24 | 1).word(0xd518_cba3).word(0xd503_3fdf)
    }

    /// Asks the firmware for a reset (PSCI SYSTEM_RESET by HVC).
    pub(crate) fn reset(self) -> Self {
        self.load(0, 0x8400_0009).word(0xd400_0002).hang()
    }

    /// Stays here.
    pub(crate) fn hang(self) -> Self {
        self.word(0x1400_0000)
    }

    /// Does everything so far again, for ever.
    pub(crate) fn again(self) -> Self {
        let back = (self.code.len() as u32).wrapping_neg() & 0x03ff_ffff;
        self.word(0x1400_0000 | back)
    }

    /// The image.
    pub(crate) fn build(self) -> Image {
        let mut bytes = image::header(0x10_0000).to_vec();
        bytes.extend(self.hang().code.into_iter().flat_map(u32::to_le_bytes));
        Image::from_flat(bytes).expect("the header is ours")
    }

    fn load(mut self, register: u32, value: u64) -> Self {
        for part in 0..4 {
            let operation = if part == 0 { 0xd280_0000 } else { 0xf280_0000 }; // movz, movk
            self.code.push(operation | part << 21 | ((value >> (16 * part)) as u32 & 0xffff) << 5 | register);
        }
        self
    }

    fn word(mut self, instruction: u32) -> Self {
        self.code.push(instruction);
        self
    }
}
