//! Which of the kernel's lines say something to a program that listens, in its usual and its terse form.

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// A boot begins.
    Banner,
    /// What the region held: so many boots, or the reason why it is none.
    Content(Result<u64, String>),
    /// The region's headers were lost, and what it held was found without them.
    Scanned,
    /// Number of cores, from the region's layout.
    Cores(usize),
    /// This boot's number.
    Recording(u64),
    /// A crash is told from here.
    CrashInBank,
    /// Who died, and how.
    Title(u64, How),
    /// What came of a crash: its boot, how many events, whether it is intact.
    Status(u64, u64, bool),
    /// The merged trace begins: up to the status it is of no interest.
    Trace,
    /// The tellings are over: this boot goes on.
    Acknowledged,
    /// The workload begins.
    Work,
    /// This boot panics.
    Panic(u32),
    /// The panic is at its end, a reset was asked for.
    ResetAsked,
    /// This boot resets without a panic and leaves no crash.
    Clean,
    /// The board ends with this status.
    Done(u32),
    /// It cannot go on.
    Unable,
    /// Nothing of interest.
    Other,
}

/// How a boot ended, by the next one's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By a panic on this core, which came to its end.
    Panicked(u32),
    /// By a panic; who panicked was lost.
    RecordLost,
    /// By a reset in the midst of its panic.
    CutShort,
    /// By a reset without a panic.
    WithoutAWord,
}

/// Reads a line.
pub(super) fn word(text: &str) -> Word {
    // It may stand behind the rest of a line that the reset cut off, and behind what a line makes up while a board starts.
    if text.contains("afterglow ") && text.contains(": a flight recorder that survives its crash") {
        return Word::Banner;
    }
    if text.starts_with('[') {
        // The log, which may say anything.
        return Word::Other;
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if text.starts_with(' ') { indented(&words) } else { outermost(&words) }
}

fn indented(words: &[&str]) -> Word {
    match words {
        ["content", count, "boot" | "boots", "before", "this", "one"] => match count.parse() {
            Ok(count) => Word::Content(Ok(count)),
            Err(_) => Word::Other,
        },
        ["content", "cold:", ..] | ["content", "it", "holds" | "was", ..] => Word::Content(Err(words[1..].join(" "))),
        ["content", "both", "headers", "are", "invalid:", ..] => Word::Scanned,
        ["layout", .., cores, "cores", "with", _, "sub-buffers", "each"] => {
            number(cores).map_or(Word::Other, Word::Cores)
        }
        ["recording", "boot", boot, "into", "bank", ..] => number(boot).map_or(Word::Other, Word::Recording),
        _ => Word::Other,
    }
}

fn outermost(words: &[&str]) -> Word {
    let known = match words {
        ["boot", boot, "records", "into", "bank", ..] => number(boot).map(Word::Recording),
        ["boot", boot, rest @ ..] => number(boot).zip(how(rest)).map(|(boot, how)| Word::Title(boot, how)),
        ["crash", "in", "bank", ..] => Some(Word::CrashInBank),
        ["crash", "of", "boot", boot, events, "events", "recovered,", verdict @ ..] => status(boot, events, verdict),
        ["#", "tracer:", ..] => Some(Word::Trace),
        ["acknowledged:", ..] => Some(Word::Acknowledged),
        ["recording", _, "events", "on", "each", "of", ..] => Some(Word::Work),
        ["panic:", "core", core, ..] => core.strip_suffix(':').and_then(number).map(Word::Panic),
        ["panic:", "entry", .., "reset", "asked", _, "ns"] | ["reset:", "asking", "for", "it", ..] => {
            Some(Word::ResetAsked)
        }
        ["shut", "down", "cleanly,", .., "die=reboot"] => Some(Word::Clean),
        ["shut", "down", "cleanly,", .., "die=poweroff"]
        | ["halted", "(after=halt);", ..]
        | ["idle,", "as", "asked", "for", "by", "die=none"] => Some(Word::Done(0)),
        ["power", "off", "with", "status", status] => number(status).map(Word::Done),
        ["the", "end", "(status", status, ..] => number(status.trim_end_matches("):")).map(Word::Done),
        ["afterglow", "cannot", ..] | ["crash", "loop:", ..] | ["reset:", "no", "way", "worked:", ..] => {
            Some(Word::Unable)
        }
        _ => None,
    };
    known.unwrap_or(Word::Other)
}

fn how(words: &[&str]) -> Option<How> {
    match words {
        ["panicked", "on", "core", core, "at", _] => number(core).map(How::Panicked),
        ["panicked;", "its", "panic", "record", "is", "lost"] => Some(How::RecordLost),
        ["was", "reset", "before", "its", "panic", ..] => Some(How::CutShort),
        ["ended", "in", "a", "reset", "without", ..] => Some(How::WithoutAWord),
        _ => None,
    }
}

fn status(boot: &str, events: &str, verdict: &[&str]) -> Option<Word> {
    let intact = match verdict {
        ["intact"] => true,
        ["NOT", "intact"] => false,
        _ => return None,
    };
    Some(Word::Status(number(boot.strip_suffix(':')?)?, number(events)?, intact))
}

fn number<T: std::str::FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_that_matters_is_understood() {
        let cases = [
            ("panic: entafterglow 0.1.0: a flight recorder that survives its crash", Word::Banner),
            ("  content    1 boot before this one", Word::Content(Ok(1))),
            ("  content    12 boots before this one", Word::Content(Ok(12))),
            ("  content    cold: no signature", Word::Content(Err("cold: no signature".into()))),
            ("  content    both headers are invalid: recovered by scan (9 sub-buffers", Word::Scanned),
            ("  layout     8192 KiB, 4 banks of 2044 KiB, 4 cores with 124 sub-buffers each", Word::Cores(4)),
            ("  recording  boot 7 into bank 2, checks by CRC32C instruction", Word::Recording(7)),
            ("boot 7 records into bank 2", Word::Recording(7)),
            ("crash in bank 0:", Word::CrashInBank),
            ("boot 3 panicked on core 2 at     0.292653", Word::Title(3, How::Panicked(2))),
            ("boot 3 panicked; its panic record is lost", Word::Title(3, How::RecordLost)),
            ("boot 3 was reset before its panic had come to an end:", Word::Title(3, How::CutShort)),
            ("boot 3 ended in a reset without a word: no panic, no clean", Word::Title(3, How::WithoutAWord)),
            ("crash of boot 1: 62136 events recovered, intact", Word::Status(1, 62136, true)),
            ("crash of boot 1: 62136 events recovered, NOT intact", Word::Status(1, 62136, false)),
            ("acknowledged: 1 bank is free again", Word::Acknowledged),
            ("recording 500 events on each of 4 cores, 16 to 16 bytes", Word::Work),
            ("panic: core 2: asked for on the command line", Word::Panic(2)),
            (
                "panic: entry +0 ns, last core stopped +1 ns, cleaned 2 lines in 3 ns, reset asked +4 ns",
                Word::ResetAsked,
            ),
            ("reset: asking for it by watchdog", Word::ResetAsked),
            ("shut down cleanly, as asked for by die=reboot", Word::Clean),
            ("power off with status 1", Word::Done(1)),
            ("the end (status 0): this machine cannot be switched off by software", Word::Done(0)),
            ("afterglow cannot go on: no region", Word::Unable),
            ("crash loop: 5 boots in a row have crashed", Word::Unable),
        ];
        for (line, expected) in cases {
            assert_eq!(word(line), expected, "{line}");
        }
    }

    #[test]
    fn what_a_message_or_a_trace_says_is_no_statement() {
        for line in [
            "  boot 77 panicked on core 3 is what a message may say",
            "  crash of boot 1: 2 events recovered, intact",
            "[    0.1] info: crash of boot 1: 2 events recovered, intact",
            "panic: core 1 was stopped by FIQ at     0.300086",
            "panic: core 1 did not answer within 2000 us: going on without it",
            "panic: at kernel/src/die.rs:77:13",
            "crash of boot 1: 62136 events recovered, intct",
            "crash of boot 1: 6x events recovered, intact",
            "boot 1 failed over",
            "",
        ] {
            let read = word(line);
            assert!(read == Word::Other, "{line}: {read:?}");
        }
    }
}
