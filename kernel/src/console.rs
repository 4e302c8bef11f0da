//! The console as the kernel uses it: `say!` for the story, and a log whose records go to the console and into the ring.

use crate::dump::Seconds;
use crate::events::Print;
use crate::trace;
use boards::Console;
use core::fmt::{Arguments, Write};
use core::sync::atomic::{AtomicBool, Ordering};
use log::{LevelFilter, Log, Metadata, Record};
use ring::seams::Clock;
use spin::Once;

static CONSOLE: Once<&'static dyn Console> = Once::new();

/// Says where the console is. The first one stays.
pub fn set(console: &'static dyn Console) {
    CONSOLE.call_once(|| console);
}

/// The console, once there is one.
#[must_use]
pub fn get() -> Option<&'static dyn Console> {
    CONSOLE.get().copied()
}

/// The console as something to format into, piece by piece: for what one core says alone.
#[derive(Clone, Copy, Debug)]
pub struct Stdout;

impl Write for Stdout {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        if let Some(console) = get() {
            console.write(text.as_bytes());
        }
        Ok(())
    }
}

static TERSE: AtomicBool = AtomicBool::new(false);

/// From now on only what programs read is printed.
pub fn set_terse() {
    TERSE.store(true, Ordering::Relaxed);
}

/// Whether only what programs read is printed.
#[must_use]
pub fn is_terse() -> bool {
    TERSE.load(Ordering::Relaxed)
}

/// Prints what is for people only.
pub fn tell(arguments: Arguments<'_>) {
    if !is_terse() {
        print(arguments);
    }
}

/// Prints to the console, in one piece where it is not longer than a line or two.
pub fn print(arguments: Arguments<'_>) {
    let mut line = heapless::String::<400>::new();
    match line.write_fmt(arguments) {
        Ok(()) => drop(Stdout.write_str(&line)),
        // Only `Stdout` could fail, and it does not.
        Err(_) => drop(Stdout.write_fmt(arguments)),
    }
}

/// Prints without the console's lock: for a core that has stopped the others, any of which may have been holding it.
pub fn print_unlocked(arguments: Arguments<'_>) {
    if let Some(console) = get() {
        // A console cannot fail.
        let _ = boards::console::Unlocked(console).write_fmt(arguments);
    }
}

/// Prints a line of the story, for people.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => { $crate::console::tell(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Prints a line that programs read too: also where few words are wanted.
#[macro_export]
macro_rules! report {
    ($($argument:tt)*) => { $crate::console::print(format_args!("{}\n", format_args!($($argument)*))) };
}

/// The kernel's log.
struct KernelLog;

static LOG: KernelLog = KernelLog;

/// Begins to log.
pub fn init_log(level: LevelFilter) {
    // Fails only when a logger is set already.
    if log::set_logger(&LOG).is_ok() {
        log::set_max_level(level);
    }
}

impl Log for KernelLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut text = heapless::String::<512>::new();
        // What does not fit is cut.
        let _ = write!(text, "{}", record.args());
        let writer = trace::here();
        let time = writer.map_or(0, |writer| writer.clock().now_ns());
        if let Some(writer) = writer {
            let here = arch::exceptions::Registers::here().lr;
            // A refusal is counted by the writer.
            let _ = writer.record(&Print { ip: arch::image::link_address(here), text: text.as_bytes() });
        }
        if is_terse() && record.level() > log::Level::Warn {
            return;
        }
        let mut line = heapless::String::<600>::new();
        let _ = writeln!(line, "[{}] {}: {text}", Seconds(time), record.level().as_str().to_ascii_lowercase_static());
        if let Some(console) = get() {
            console.write(line.as_bytes());
        }
    }

    fn flush(&self) {
        if let Some(console) = get() {
            console.flush();
        }
    }
}

/// Log levels in lower case, without an allocation.
trait LowerCase {
    fn to_ascii_lowercase_static(self) -> &'static str;
}

impl LowerCase for &'static str {
    fn to_ascii_lowercase_static(self) -> &'static str {
        match self {
            "ERROR" => "error",
            "WARN" => "warning",
            "INFO" => "info",
            "DEBUG" => "debug",
            _ => "trace",
        }
    }
}
