//! Talking to the emulator or debugger (Arm semihosting): ending it with an exit status, and a last word where there
//! is no console. Finds out that nobody listens.
//!
//! A call is an HLT instruction. Where no emulator or debugger takes it, it is an undefined instruction: then the
//! exception handler recognises this very HLT and skips it.

use core::arch::global_asm;

use crate::exceptions::Frame;

/// Nobody takes semihosting calls here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAvailable;

/// Operation number: writes a string that ends in a zero byte.
const SYS_WRITE0: u64 = 0x04;
/// Operation number: end of the application.
const SYS_EXIT: u64 = 0x18;
/// Reason: it ended by itself; the second word is its status.
const ADP_STOPPED_APPLICATION_EXIT: u64 = 0x2_0026;
const INSTRUCTION_SIZE: u64 = 4;

unsafe extern "C" {
    safe fn semihosting_call(operation: u64, block: *const u8);
    safe fn semihosting_hlt();
}

global_asm!(
    r#"
    .pushsection .text.semihosting, "ax"
    .global semihosting_call
    .global semihosting_hlt
semihosting_call:
semihosting_hlt:
    hlt     #0xf000
    ret
    .popsection
"#
);

/// Ends the emulator with a status. Returns only if nobody listens.
pub fn exit(status: u32) -> NotAvailable {
    let block = [ADP_STOPPED_APPLICATION_EXIT, u64::from(status)];
    semihosting_call(SYS_EXIT, block.as_ptr().cast());
    NotAvailable
}

/// Writes text where the emulator or debugger shows it, for when there is no console. Zero bytes end a piece of it.
pub fn write(text: &str) {
    let mut piece = [0; 64];
    for bytes in text.as_bytes().chunks(piece.len() - 1) {
        piece[..bytes.len()].copy_from_slice(bytes);
        piece[bytes.len()] = 0;
        semihosting_call(SYS_WRITE0, piece.as_ptr());
    }
}

/// If this is the HLT above, undefined for want of a listener: goes on behind it and says so.
pub(crate) fn skip_unanswered(frame: &mut Frame) -> bool {
    let here = semihosting_hlt as *const () as u64;
    if frame.elr == here && frame.syndrome().is_undefined() {
        frame.elr += INSTRUCTION_SIZE;
        return true;
    }
    false
}
