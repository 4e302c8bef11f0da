//! Where bytes go that a person reads.

use core::fmt;

/// A serial line.
pub trait Console: Sync {
    /// Writes bytes in one piece: takes the console's lock with ordinary interrupts masked, so other cores wait.
    /// Not for interrupt handlers that came as NMI, and not for a dying kernel.
    fn write(&self, bytes: &[u8]);

    /// Writes bytes without a lock, for the panic path: whoever holds the lock may never let go. Bounded: a line that does not
    /// take a byte in time gets none any more.
    fn write_unlocked(&self, bytes: &[u8]);

    /// Runs something as [`Console::write`] writes: under the lock, with ordinary interrupts masked.
    fn while_locked(&self, run: &mut dyn FnMut());

    /// Waits, bounded, until everything has left the line.
    fn flush(&self);

    /// The next byte that came in, if there is one. Never waits.
    fn try_read(&self) -> Option<u8>;
}

/// Why a console cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleError {
    /// The device tree gives it too little space, or a misaligned address.
    BadRegisters,
    /// Its clock and the wanted speed do not go together.
    BadClock,
}

impl fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConsoleError::BadRegisters => "console registers are too small or misaligned",
            ConsoleError::BadClock => "console clock does not fit its speed",
        })
    }
}

/// Formats onto a console, with its lock for each piece.
pub struct Locked<'a>(pub &'a dyn Console);

/// Formats onto a console without its lock: for the panic path.
pub struct Unlocked<'a>(pub &'a dyn Console);

impl fmt::Write for Locked<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.write(s.as_bytes());
        Ok(())
    }
}

impl fmt::Write for Unlocked<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.write_unlocked(s.as_bytes());
        Ok(())
    }
}
