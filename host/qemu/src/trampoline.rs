//! Hands a kernel a device tree that no boot loader would hand it: any bytes at all, or a pointer that leads nowhere.
//!
//! QEMU reads the tree given by `-dtb` itself and refuses what it cannot patch. So the kernel is wrapped in an image of ours,
//! which QEMU starts with its own good tree, and which then goes on to the kernel with another pointer in `x0`:
//!
//! ```text
//! +0        Image header, then: x0 = tree or pointer, branch to the kernel
//! +0x1000   the bytes (plus an odd number, if the tree has to be unaligned)
//! +2 MiB    the kernel's Image, on the boundary that the arm64 boot protocol asks for
//! ```

use crate::image::{HEADER_SIZE, Image, header};
use anyhow::{Result, ensure};

/// What a kernel finds in `x0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Handed {
    /// The address of these bytes, which begin so many bytes behind a page boundary (less than 4096).
    Bytes {
        /// The bytes: at most [`BYTES_MAX`].
        bytes: Vec<u8>,
        /// Distance from the page boundary; the boot protocol wants a multiple of 8.
        unaligned_by: u16,
    },
    /// This value, whatever is there.
    Pointer(u64),
}

const PAGE: usize = 4096;
const KERNEL_AT: usize = 2 << 20;

/// The most bytes that [`Handed::Bytes`] takes.
pub const BYTES_MAX: usize = KERNEL_AT - 2 * PAGE;

/// Wraps a kernel.
///
/// # Errors
/// There are more bytes than [`BYTES_MAX`], or the kernel wants to be loaded away from a page boundary.
pub fn wrap(kernel: &Image, handed: &Handed) -> Result<Image> {
    let text_offset = usize::try_from(kernel.text_offset())?;
    ensure!(
        text_offset.is_multiple_of(PAGE) && text_offset < KERNEL_AT,
        "the kernel's text_offset {text_offset:#x} is not one that can be wrapped: a multiple of 4 KiB below 2 MiB"
    );
    let kernel_at = KERNEL_AT + text_offset;
    let memory = kernel.memory_size().max(kernel.file_size()) + kernel_at as u64;
    let mut image = Vec::with_capacity(kernel_at + kernel.bytes().len());
    image.extend(header(memory));
    let (load, bytes, at) = match handed {
        Handed::Bytes { bytes, unaligned_by } => {
            let at = PAGE + usize::from(*unaligned_by);
            (vec![adr(0, at - HEADER_SIZE)], bytes.as_slice(), at)
        }
        Handed::Pointer(value) => (move_wide(0, *value).to_vec(), &[][..], PAGE),
    };
    ensure!(bytes.len() <= BYTES_MAX && at < 2 * PAGE, "{} bytes are too many: at most {BYTES_MAX}", bytes.len());
    // The code is in the image's first page, so a distance in pages is the distance from the image's start.
    let code = load.into_iter().chain([adrp(4, kernel_at / PAGE), BR_X4]);
    image.extend(code.flat_map(u32::to_le_bytes));
    image.resize(at, 0);
    image.extend(bytes);
    image.resize(kernel_at, 0);
    image.extend(kernel.bytes());
    Image::from_flat(image)
}

/// An image that only goes on to a kernel which lies at this address already, and hands over what it was handed.
///
/// # Errors
/// None that a caller could make.
pub fn jump(address: u64) -> Result<Image> {
    let mut image = header((PAGE) as u64).to_vec();
    image.extend(move_wide(4, address).into_iter().chain([BR_X4]).flat_map(u32::to_le_bytes));
    Image::from_flat(image)
}

/// `br x4`
const BR_X4: u32 = 0xd61f_0080;

/// `adr Xd, .+distance` (Arm ARM, C6.2.11).
fn adr(register: u32, distance: usize) -> u32 {
    let distance = distance as u32;
    0x1000_0000 | (distance & 3) << 29 | (distance >> 2) << 5 | register
}

/// `adrp Xd, .+pages * 4096` (Arm ARM, C6.2.12).
fn adrp(register: u32, pages: usize) -> u32 {
    adr(register, pages) | 0x8000_0000
}

/// `movz` and three `movk`: a register gets a value.
fn move_wide(register: u32, value: u64) -> [u32; 4] {
    std::array::from_fn(|part| {
        let operation = if part == 0 { 0xd280_0000 } else { 0xf280_0000 };
        let immediate = (value >> (16 * part)) as u32 & 0xffff;
        operation | (part as u32) << 21 | immediate << 5 | register
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_encoded_as_an_assembler_does() {
        // As llvm-mc shows them.
        assert_eq!(adr(0, 0x1003 - 64), 0x7000_7e00, "adr x0, #0xfc3");
        assert_eq!(adrp(4, 0x200), 0x9000_1004, "adrp x4, #0x200000");
        assert_eq!(move_wide(0, 0x1234_0000_5678), [0xd28a_cf00, 0xf2a0_0000, 0xf2c2_4680, 0xf2e0_0000]);
    }
}
