//! What a core was doing when an exception interrupted it.

use core::fmt;
use core::mem::offset_of;

use super::esr::Syndrome;

/// All registers at an exception, as the vectors save them on the stack. A handler may change `x`, `elr` and
/// `spsr`: the interrupted code goes on with them.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Frame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// The stack pointer of the interrupted code.
    pub sp: u64,
    /// Where it was interrupted.
    pub elr: u64,
    /// Its PSTATE.
    pub spsr: u64,
    /// Exception syndrome; 0 for interrupts.
    pub esr: u64,
    /// Fault address; 0 for interrupts, and meaningless where the syndrome says so.
    pub far: u64,
    /// A frame record, so that frame pointers lead from the handler to the interrupted code: its x29 and `elr`.
    #[allow(dead_code, reason = "read by walking frame pointers")]
    record: [u64; 2],
    /// SP_EL1 before the exception: what the vectors put back.
    #[allow(dead_code, reason = "read by the vectors")]
    sp_el1: u64,
    #[allow(dead_code, reason = "keeps the stack aligned to 16 bytes")]
    reserved: u64,
}

/// Bytes of a frame.
pub(super) const FRAME_SIZE: usize = size_of::<Frame>();
pub(super) const SP: usize = offset_of!(Frame, sp);
pub(super) const ELR: usize = offset_of!(Frame, elr);
pub(super) const ESR: usize = offset_of!(Frame, esr);
pub(super) const RECORD: usize = offset_of!(Frame, record);
pub(super) const SP_EL1: usize = offset_of!(Frame, sp_el1);

const _: () = assert!(FRAME_SIZE == 320);
const _: () = assert!(SP == 31 * 8 && ELR == 32 * 8 && ESR == 34 * 8);
const _: () = assert!(FRAME_SIZE.is_multiple_of(16) && RECORD.is_multiple_of(16));

impl Frame {
    /// A frame of zeroes, for fakes and tests.
    pub const EMPTY: Self =
        Self { x: [0; 31], sp: 0, elr: 0, spsr: 0, esr: 0, far: 0, record: [0; 2], sp_el1: 0, reserved: 0 };

    /// The syndrome in words.
    #[must_use]
    pub fn syndrome(&self) -> Syndrome {
        Syndrome::decode(self.esr)
    }

    /// The address that an access was refused for; `None` if the exception was about something else.
    #[must_use]
    pub fn fault_address(&self) -> Option<usize> {
        self.syndrome().fault.filter(|fault| fault.address_valid).map(|_| self.far as usize)
    }

    /// Where to start a backtrace: the frame record of the interrupted code. Its first program counter, `elr`, is
    /// not part of what that yields.
    #[must_use]
    pub fn frame_pointer(&self) -> u64 {
        self.x[29]
    }
}

/// Registers, four in a line, with the syndrome in words first if there is one.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.esr != 0 {
            writeln!(f, "esr {:#010x}: {}", self.esr, self.syndrome())?;
        }
        writeln!(f, "pc  {:016x}  sp  {:016x}  pstate {:08x}  far {:016x}", self.elr, self.sp, self.spsr, self.far)?;
        for (i, value) in self.x.iter().enumerate() {
            let end = if i % 4 == 3 || i == self.x.len() - 1 { "\n" } else { "  " };
            write!(f, "x{i:<2} {value:016x}{end}")?;
        }
        Ok(())
    }
}

/// The registers that a stop record keeps: where a core stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Program counter.
    pub pc: u64,
    /// Link register, x30.
    pub lr: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer, x29: start of a backtrace.
    pub fp: u64,
    /// PSTATE: what was masked, which stack pointer was in use.
    pub pstate: u64,
}

impl From<&Frame> for Registers {
    fn from(frame: &Frame) -> Self {
        Self { pc: frame.elr, lr: frame.x[30], sp: frame.sp, fp: frame.x[29], pstate: frame.spsr }
    }
}

#[cfg(target_os = "none")]
impl Registers {
    /// Where the calling function stands.
    #[inline(always)]
    #[must_use]
    pub fn here() -> Self {
        let (pc, lr, sp, fp): (u64, u64, u64, u64);
        // SAFETY: only reads registers.
        unsafe {
            core::arch::asm!(
                "adr {}, .", "mov {}, x30", "mov {}, sp", "mov {}, x29",
                out(reg) pc, out(reg) lr, out(reg) sp, out(reg) fp,
                options(nomem, nostack, preserves_flags)
            );
        }
        Self { pc, lr, sp, fp, pstate: super::pstate() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_frame_prints_each_register_once() {
        let mut frame = Frame::EMPTY;
        for (i, x) in frame.x.iter_mut().enumerate() {
            *x = 0xabcd_0000 + i as u64;
        }
        frame.esr = 0x9600_0045;
        let text = frame.to_string();
        for i in 0..31u64 {
            assert_eq!(text.matches(&std::format!("{:016x}", 0xabcd_0000 + i)).count(), 1, "{text}");
        }
        assert!(text.starts_with("esr 0x96000045: data abort"), "{text}");
    }
}
