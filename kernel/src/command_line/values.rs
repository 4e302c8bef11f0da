//! What may stand behind an option's `=`: each kind of value, how it is read and how it is shown.

use crate::survey::ways::{Way, Ways};
use core::fmt;

/// What an option's value must be, for reading it and for telling the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A number from the first to the second, decimal or `0x`.
    Number(u64, u64),
    /// One of these words.
    Words(&'static [&'static str]),
    /// This form.
    Form(&'static str),
    /// No value: the option is a word of its own.
    Nothing,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Number(0, u64::MAX) => f.write_str("number"),
            Self::Number(least, most) => write!(f, "{least} to {most}"),
            Self::Words(words) => words.iter().enumerate().try_for_each(|(index, word)| {
                f.write_str(if index == 0 { "" } else { "|" })?;
                f.write_str(word)
            }),
            Self::Form(form) => f.write_str(form),
            Self::Nothing => f.write_str("no value"),
        }
    }
}

/// A value of an option.
pub(super) trait Value: Sized {
    /// The value that `text` means; None unless it is as `expected`.
    fn parse(text: &[u8], expected: Expected) -> Option<Self>;

    /// Shows it as it is written on the command line.
    ///
    /// # Errors
    /// The formatter's.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A number, decimal or `0x` and hexadecimal.
fn number(text: &[u8]) -> Option<u64> {
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        digits => (digits, 10),
    };
    // The library's own reading would let a sign through.
    let text = core::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(text, radix).ok()
}

/// A number with an optional K, M, G or T behind it (powers of 1024).
fn size(text: &[u8]) -> Option<u64> {
    let (digits, shift) = match text {
        [digits @ .., b'K' | b'k'] => (digits, 10),
        [digits @ .., b'M' | b'm'] => (digits, 20),
        [digits @ .., b'G' | b'g'] => (digits, 30),
        [digits @ .., b'T' | b't'] => (digits, 40),
        digits => (digits, 0),
    };
    number(digits)?.checked_mul(1 << shift)
}

/// Shows a size in the largest unit that divides it, as [`size`] reads it.
fn show_size(f: &mut fmt::Formatter<'_>, size: u64) -> fmt::Result {
    for (shift, unit) in [(30, 'G'), (20, 'M'), (10, 'K')] {
        if size != 0 && size.trailing_zeros() >= shift {
            return write!(f, "{}{unit}", size >> shift);
        }
    }
    write!(f, "{size}")
}

macro_rules! numbers {
    ($($ty:ty),+) => {
        $(impl Value for $ty {
            fn parse(text: &[u8], expected: Expected) -> Option<Self> {
                let Expected::Number(least, most) = expected else { return None };
                number(text).filter(|number| (least..=most).contains(number)).and_then(|number| number.try_into().ok())
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        })+
    };
}

numbers!(u32, u64);

/// Yes or no; for an option without value, whether it is there.
impl Value for bool {
    fn parse(text: &[u8], expected: Expected) -> Option<Self> {
        match (expected, text) {
            (Expected::Nothing, b"") | (Expected::Words(_), b"yes") => Some(true),
            (Expected::Words(_), b"no") => Some(false),
            _ => None,
        }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self { "yes" } else { "no" })
    }
}

/// The words for [`bool`].
pub(super) const YES_OR_NO: Expected = Expected::Words(&["yes", "no"]);

/// The levels of the `log` crate, under their names.
impl Value for log::LevelFilter {
    fn parse(text: &[u8], _: Expected) -> Option<Self> {
        LEVELS.iter().find(|(word, _)| word.as_bytes() == text).map(|(_, level)| *level)
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LEVELS.iter().filter(|(_, level)| level == self).try_for_each(|(word, _)| f.write_str(word))
    }
}

const LEVELS: [(&str, log::LevelFilter); 5] = [
    ("error", log::LevelFilter::Error),
    ("warn", log::LevelFilter::Warn),
    ("info", log::LevelFilter::Info),
    ("debug", log::LevelFilter::Debug),
    ("trace", log::LevelFilter::Trace),
];

/// The words for [`log::LevelFilter`].
pub(super) const LOG_LEVELS: Expected =
    Expected::Words(&[LEVELS[0].0, LEVELS[1].0, LEVELS[2].0, LEVELS[3].0, LEVELS[4].0]);

/// Declares a choice: its variants, what each is called, and what it means.
macro_rules! choices {
    ($($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ })+) => {
        $($(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every choice.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
            /// The words that are understood, in the same order.
            const WORDS: &[&str] = &[$($word),+];
            pub(super) const EXPECTED: Expected = Expected::Words(Self::WORDS);

            /// How it is written.
            #[must_use]
            pub const fn word(self) -> &'static str {
                Self::WORDS[self as usize]
            }
        }

        impl Value for $name {
            fn parse(text: &[u8], _: Expected) -> Option<Self> {
                Self::ALL.get(position(Self::WORDS, text)?).copied()
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        })+
    };
}

/// Which of the words a text is.
fn position(words: &[&str], text: &[u8]) -> Option<usize> {
    words.iter().position(|word| word.as_bytes() == text)
}

choices! {
    /// What to do when every bank holds a crash that nobody acknowledged.
    Keep {
        /// The last boots: the oldest crash goes.
        Last = "last",
        /// The first crashes: recording stops.
        First = "first",
    }

    /// When a core's events are cleaned out of its cache: how much a reset without a panic may lose.
    Clean {
        /// When a panic stops it: such a reset may lose everything.
        Panic = "panic",
        /// At the end of each sub-buffer: it may lose the open one.
        SubBuffer = "subbuffer",
        /// At the end of each event: it loses at most the one being written.
        Event = "event",
    }

    /// What a boot does that finds something lost which had to survive.
    Loss {
        /// It ends, so that somebody can look.
        Stop = "stop",
        /// It goes on as if nothing were.
        GoOn = "go-on",
    }

    /// What to do when a core's bank is full.
    Full {
        /// Overwrite its oldest sub-buffer.
        Overwrite = "overwrite",
        /// Drop the newest event.
        Drop = "drop",
    }

    /// Parity lines for each sub-buffer.
    Parity {
        /// None.
        Off = "0",
        /// Two: one damaged line is put back.
        Two = "2",
        /// Four: two, mostly three.
        Four = "4",
        /// Eight: four, mostly seven.
        Eight = "8",
    }

    /// By which means a panic stops the other cores.
    Stop {
        /// The best that the machine has.
        Auto = "auto",
        /// The timer has a priority that the mask lets through (GICv2, GICv3).
        PriorityMask = "priority-mask",
        /// The timer is an FIQ.
        Fiq = "fiq",
        /// The timer is a non-maskable interrupt of Armv8.8.
        FeatNmi = "feat-nmi",
        /// The timer goes to EL2 first.
        El2 = "el2",
    }

    /// How the workload ends, or where this boot dies before that.
    Die {
        /// In a panic.
        Panic = "panic",
        /// Not at all: it idles.
        None = "none",
        /// In a reset, as if somebody pressed the button: nothing is stopped or cleaned.
        Reset = "reset",
        /// In a clean reset.
        Reboot = "reboot",
        /// In a clean power-off.
        PowerOff = "poweroff",
        /// A register that is kept from EL1 where EL2 is our own (CPUs with pointer authentication have one).
        Trap = "trap",
        /// An SError, raised by EL2 where that is our own.
        SError = "serror",
        /// An index out of bounds.
        Index = "index",
        /// The heap is exhausted.
        Heap = "heap",
        /// A load from where nothing is mapped.
        DataAbort = "data-abort",
        /// A jump to where nothing is mapped.
        InstructionAbort = "instruction-abort",
        /// An undefined instruction.
        Undefined = "undefined",
        /// An exclusive load that is not aligned.
        Alignment = "alignment",
        /// A store to a device that is not there: an SError or, under QEMU, a synchronous external abort.
        ExternalAbort = "external-abort",
        /// A store into constants.
        WriteRodata = "write-rodata",
        /// A store into code.
        WriteText = "write-text",
        /// A jump into variables.
        ExecData = "exec-data",
        /// Recursion into the guard page of the thread stack.
        OverflowThread = "overflow-thread",
        /// The same of the IRQ stack, in the handler of an ordinary interrupt.
        OverflowIrq = "overflow-irq",
        /// The same of the NMI stack, in a stop tick that interrupts such a handler.
        OverflowNmi = "overflow-nmi",
        /// A panic in the handler of an ordinary interrupt.
        PanicInIrq = "panic-in-irq",
        /// A panic in a stop tick.
        PanicInNmi = "panic-in-nmi",
        /// A panic while an event is reserved and not committed.
        PanicInEvent = "panic-in-event",
        /// A panic whose message panics while it is formatted.
        PanicInLog = "panic-in-log",
        /// A panic under the console's lock.
        PanicHoldingConsole = "panic-holding-console",
        /// All cores panic at the same instant.
        PanicEverywhere = "panic-everywhere",
        /// A second panic when the stop word is about to be raised.
        PanicAtStop = "panic-at-stop",
        /// A second panic when the panic record is about to be written.
        PanicAtRecord = "panic-at-record",
        /// A second panic when the first lines are about to be said.
        PanicAtSay = "panic-at-say",
        /// A second panic when the others are about to be waited for.
        PanicAtWait = "panic-at-wait",
        /// A second panic when everything is about to be cleaned.
        PanicAtClean = "panic-at-clean",
        /// A second panic when the details are about to be told.
        PanicAtTell = "panic-at-tell",
        /// A second panic when the reset is about to be asked for.
        PanicAtReset = "panic-at-reset",
        /// A panic path that never ends.
        HangInPanic = "hang-in-panic",
        /// A panic before the region is looked for.
        PanicEarly = "panic-early",
        /// A panic when the region is taken over and the other cores are off.
        PanicBeforeCores = "panic-before-cores",
        /// A panic; the next boot panics once more, while it reads what is left of this one.
        PanicInRecovery = "panic-in-recovery",
        /// A panic; the next boot panics once more, while it dumps.
        PanicInDump = "panic-in-dump",
        /// The core spins with ordinary interrupts masked.
        LockUp = "lock-up",
        /// The core spins with all of DAIF masked.
        LockUpAllMasked = "lock-up-all-masked",
        /// All other cores spin with ordinary interrupts masked.
        LockUpOthers = "lock-up-others",
    }

    /// What the cores do that do not end the workload, when it ends.
    Others {
        /// They go on recording.
        Work = "work",
        /// They spin in the handler of an ordinary interrupt.
        IrqHandler = "irq-handler",
        /// They spin with ordinary interrupts masked.
        Masked = "masked",
        /// They spin with all of DAIF masked.
        AllMasked = "all-masked",
        /// They take exceptions without end, all of their registers lost.
        Wild = "wild",
        /// One of them holds the console's lock and never lets go; the rest wait for it.
        Console = "console",
    }

    /// Whether a panic arms the board's watchdog.
    Watchdog {
        /// If it is seen to count.
        Auto = "auto",
        /// Always: an emulated one may reset the machine at once.
        On = "on",
        /// Never.
        Off = "off",
    }

    /// How a crash is told.
    Dump {
        /// In lines of text.
        Text = "text",
        /// The accounts in text, the bank in frames.
        Binary = "binary",
    }

    /// What follows the last dump.
    After {
        /// The power goes off.
        PowerOff = "poweroff",
        /// The machine stays as it is.
        Halt = "halt",
    }
}

impl Die {
    /// Whether the next boot has to find a crash.
    #[must_use]
    pub const fn leaves_a_crash(self) -> bool {
        !matches!(self, Self::None | Self::Reboot | Self::PowerOff | Self::PanicEarly)
    }
}

impl Parity {
    /// How many lines that is.
    #[must_use]
    pub const fn lines(self) -> u32 {
        ring::parity::CHOICES[self as usize]
    }
}

/// Sizes of the events that the workload draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Fewest bytes.
    pub least: u32,
    /// Most bytes.
    pub most: u32,
}

impl Payload {
    /// Most bytes that an event of the workload may have.
    pub const MOST: u32 = 4000;
    pub(super) const EXPECTED: Expected = Expected::Form("MIN or MIN..MAX, 0 to 4000 bytes");
}

impl Value for Payload {
    fn parse(text: &[u8], _: Expected) -> Option<Self> {
        let dots = text.windows(2).position(|pair| pair == b"..");
        let (least, most) = match dots.and_then(|at| text.split_at_checked(at)) {
            Some((least, most)) => (least, most.strip_prefix(b"..")?),
            None => (text, text),
        };
        let bound = Expected::Number(0, u64::from(Self::MOST));
        let (least, most) = (u32::parse(least, bound)?, u32::parse(most, bound)?);
        (least <= most).then_some(Self { least, most })
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most { write!(f, "{}", self.least) } else { write!(f, "{}..{}", self.least, self.most) }
    }
}

/// How much of the merged trace a dump prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// So many of the last lines; 0 is none.
    Lines(u32),
    /// Every event.
    All,
}

impl Tail {
    pub(super) const EXPECTED: Expected = Expected::Form("LINES or all");
}

impl Value for Tail {
    fn parse(text: &[u8], _: Expected) -> Option<Self> {
        if text == b"all" {
            return Some(Self::All);
        }
        u32::parse(text, Expected::Number(0, u64::from(u32::MAX))).map(Self::Lines)
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines(lines) => write!(f, "{lines}"),
            Self::All => f.write_str("all"),
        }
    }
}

/// A region asked for on the command line, in Linux's syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReserveMem {
    /// Bytes.
    pub size: u64,
    /// Alignment in bytes; 0 leaves it to the kernel.
    pub align: u64,
    /// What it is called: 1 to 15 printable characters.
    pub name: heapless::String<{ ReserveMem::LONGEST_NAME }>,
}

impl ReserveMem {
    /// Most characters in a name: what Linux has room for.
    pub const LONGEST_NAME: usize = 15;
    pub(super) const EXPECTED: Expected = Expected::Form("SIZE:ALIGN:NAME, name of 1 to 15 characters");
}

impl Value for Option<ReserveMem> {
    fn parse(text: &[u8], _: Expected) -> Option<Self> {
        let mut parts = text.splitn(3, |byte| *byte == b':');
        let (size, align) = (size(parts.next()?)?, size(parts.next()?)?);
        let name = parts.next().filter(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic))?;
        let name = core::str::from_utf8(name).ok().and_then(|name| name.try_into().ok())?;
        (size > 0 && (align == 0 || align.is_power_of_two())).then_some(Some(ReserveMem { size, align, name }))
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(asked) => write!(f, "{asked}"),
            None => f.write_str("none"),
        }
    }
}

/// As it is written behind `reserve_mem=`.
impl fmt::Display for ReserveMem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_size(f, self.size)?;
        write!(f, ":{}:{}", self.align, self.name)
    }
}

impl Ways {
    pub(super) const EXPECTED: Expected = Expected::Form("none, or a list of psci-warm,psci,watchdog,panic");
}

impl Value for Ways {
    fn parse(text: &[u8], _: Expected) -> Option<Self> {
        if text == b"none" {
            return Some(Self::NONE);
        }
        let mut numbers = text.split(|byte| *byte == b',').map(|word| position(&Way::WORDS, word));
        numbers.try_fold(0, |bits, number| Some(bits | 1 << number?)).map(Self::of)
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return f.write_str("none");
        }
        let mut between = "";
        for (_, word) in Way::WORDS.iter().enumerate().filter(|(number, _)| self.has(*number)) {
            write!(f, "{between}{word}")?;
            between = ",";
        }
        Ok(())
    }
}
