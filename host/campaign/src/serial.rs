//! The loop on a real board: reads its serial line while it records, dies and resets again and again, and judges each crash
//! by what the board itself says.
//!
//! There is nobody outside the board who knows what its memory held, so this is less than the oracle of [`crate::judge`]: the
//! boot after a crash must tell it, call it intact, and its accounts must add up. A serial line loses bytes and makes some up;
//! what cannot be read is [`Verdict::Unclear`], neither held nor failed.
//!
//! | what | where |
//! |---|---|
//! | the device: speed, raw bytes, waiting | `serial/port.rs` |
//! | bytes become lines, noise and all | `serial/lines.rs` |
//! | which lines say something | `serial/words.rs` |
//! | lines become boots, and boots crashes | `serial/watch.rs` |
//! | what one telling of a crash is worth | `serial/telling.rs` |
//! | a board that hangs gets its power cycled | `serial/power.rs` |

pub mod lines;
pub mod port;
mod power;
mod telling;
mod watch;
mod words;

pub use words::How;

use anyhow::Result;
use port::{Port, Read};
use power::Switching;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};
use watch::{Event, Watch};

/// How often [`Seen::Nothing`] is reported.
const HEARTBEAT: Duration = Duration::from_millis(200);
/// Of the crashes, at most one in so many may be unclear.
const UNCLEAR_ONE_IN: usize = 10;

/// How to watch a board.
#[derive(Clone, Debug)]
pub struct Options {
    /// Speed of the line; of no meaning where it is no terminal.
    pub baud: u32,
    /// So many crashes are enough; 0: until the board says that it is done.
    pub cycles: u64,
    /// A board that says nothing readable for so long has failed.
    pub silence: Duration,
    /// So has one that talks, but no boot of the kernel begins, and none comes on, for so long: a boot loader that tries
    /// again and again.
    pub stuck: Duration,
    /// A shell's command that cycles the board's power: a board that hangs is started anew by it, and the run goes on, though
    /// it does not pass any more.
    pub power: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            baud: 115_200,
            cycles: 0,
            silence: Duration::from_secs(20),
            stuck: Duration::from_secs(200),
            power: None,
        }
    }
}

/// What is seen while the board runs.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A line, with everything but printable ASCII escaped.
    Line(&'a str),
    /// A crash was judged.
    Crash(&'a Crash),
    /// The board has said nothing for so long: for whoever shows that something is waited for, or wants to stop.
    Nothing(Duration),
}

/// A crash, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Number of the boot that crashed, if it could be read.
    pub boot: Option<u64>,
    /// How it ended, as the next boot says.
    pub how: Option<How>,
    /// Events recovered, as the next boot says.
    pub events: u64,
    /// Events that cores tried to record, from the table.
    pub attempted: u64,
    /// What to think of it.
    pub verdict: Verdict,
    /// Unless it held: the lines that it was judged by, escaped.
    pub lines: Vec<String>,
}

/// What to think of a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next boot told it, and all is there.
    Held,
    /// Something is wrong: why.
    Failed(Vec<String>),
    /// The line was so bad that nobody can say: what is missing.
    Unclear(Vec<String>),
}

/// Why watching ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// There were as many crashes as wanted.
    Enough,
    /// The board is done, with this status: 0 is well.
    Done(u32),
    /// It says that it cannot go on: its words.
    Unable(String),
    /// It said nothing for so long; its last lines.
    Silent(Duration, Vec<String>),
    /// It talked for so long, and no boot came on; its last lines.
    Stuck(Duration, Vec<String>),
    /// It hung, and its power could not be cycled: why, and the last lines.
    Unpowered(String, Vec<String>),
    /// The line is gone: why, and the last lines.
    Gone(String, Vec<String>),
    /// The caller wished so.
    Stopped,
}

/// A board that hung, and whose power was cycled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hang {
    /// How many crashes had been judged.
    pub after: usize,
    /// How it was noticed: [`End::Silent`] or [`End::Stuck`].
    pub how: End,
}

/// All that was seen.
#[derive(Clone, Debug)]
pub struct Run {
    /// Every crash, in its order.
    pub crashes: Vec<Crash>,
    /// Every time that it hung and was started anew.
    pub hangs: Vec<Hang>,
    /// Why it ended.
    pub end: End,
    /// Boots of which the beginning was seen.
    pub boots: u64,
    /// Lines.
    pub lines: u64,
    /// Of these, lines with bytes that no kernel wrote.
    pub noisy: u64,
    /// What [`Options::cycles`] was.
    pub wanted: u64,
    /// From the first byte waited for to the end.
    pub duration: Duration,
}

/// How many crashes came to which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Held.
    pub held: usize,
    /// Failed.
    pub failed: usize,
    /// Unclear.
    pub unclear: usize,
    /// Events recovered, in all of them.
    pub events: u64,
}

impl Run {
    /// Counts the verdicts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for crash in &self.crashes {
            *match crash.verdict {
                Verdict::Held => &mut counts.held,
                Verdict::Failed(_) => &mut counts.failed,
                Verdict::Unclear(_) => &mut counts.unclear,
            } += 1;
            counts.events += crash.events;
        }
        counts
    }

    /// What is wrong with the run as a whole, beside crashes that failed; empty if nothing.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        let (counts, seen) = (self.counts(), self.crashes.len());
        match &self.end {
            End::Done(0) if self.wanted > seen as u64 => {
                troubles.push(format!("the board was done after {seen} crashes of {}", self.wanted));
            }
            End::Enough | End::Done(0) | End::Stopped => {}
            other => troubles.push(other.to_string()),
        }
        troubles.extend(
            self.hangs
                .iter()
                .map(|hang| format!("it hung after {} crashes: {}; its power was cycled", hang.after, hang.how)),
        );
        if seen == 0 {
            troubles.push("no crash was seen".into());
        }
        if counts.unclear * UNCLEAR_ONE_IN > seen {
            troubles.push(format!(
                "{} of {seen} crashes are unclear: the line is too bad (wrong speed, no common ground, no flow?)",
                counts.unclear
            ));
        }
        troubles
    }

    /// Whether everything is well: no crash failed, hardly one is unclear, and the run came to the end that it should.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.counts().failed == 0 && self.troubles().is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str("held"),
            Self::Failed(why) => write!(f, "failed: {}", why.join("; ")),
            Self::Unclear(why) => write!(f, "unclear: {}", why.join("; ")),
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.boot {
            Some(boot) => write!(f, "boot {boot}")?,
            None => f.write_str("a boot")?,
        }
        match self.how {
            Some(How::Panicked(core)) => write!(f, " panicked on core {core}")?,
            Some(How::RecordLost) => f.write_str(" panicked")?,
            Some(How::CutShort) => f.write_str(" was reset in its panic")?,
            Some(How::WithoutAWord) => f.write_str(" was reset without a word")?,
            None => {}
        }
        if self.events > 0 {
            write!(f, ", {} events recovered", self.events)?;
        }
        write!(f, ": {}", self.verdict)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { held, failed, unclear, events } = self.counts();
        write!(
            f,
            "{} crashes in {} boots: {held} held, {failed} failed, {unclear} unclear; {events} events recovered; {} lines, \
             {} with noise",
            self.crashes.len(),
            self.boots,
            self.lines,
            self.noisy
        )
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enough => f.write_str("as many crashes as wanted"),
            Self::Done(status) => write!(f, "the board ended with status {status}"),
            Self::Unable(why) => write!(f, "the board says: {why}"),
            Self::Silent(time, last) if last.is_empty() => write!(
                f,
                "nothing at all came in {} s: is the board on, the right device open, is it at the right speed?",
                time.as_secs_f32()
            ),
            Self::Silent(time, _) => write!(f, "the board has said nothing for {} s", time.as_secs_f32()),
            Self::Stuck(time, _) => write!(f, "the board talks, but no boot came on for {} s", time.as_secs_f32()),
            Self::Unpowered(why, _) => write!(f, "the board hangs, and its power could not be cycled: {why}"),
            Self::Gone(why, _) => write!(f, "the serial line is gone: {why}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl End {
    /// The last lines, where they tell something; escaped.
    #[must_use]
    pub fn last_lines(&self) -> &[String] {
        match self {
            Self::Silent(_, last) | Self::Stuck(_, last) | Self::Unpowered(_, last) | Self::Gone(_, last) => last,
            _ => &[],
        }
    }
}

/// Watches a board until it is done, has failed, or [`Options::cycles`] crashes were seen. Calls `each` with all that is
/// seen, which may stop it.
///
/// `device` is a terminal such as `/dev/ttyUSB0`; anything else that can be read, such as a pipe or the recording of a
/// console, is taken as it is.
///
/// # Errors
/// The device cannot be opened or set up. What becomes of board and line later is no error but [`Run::end`].
pub fn run(device: &Path, options: &Options, each: &mut dyn FnMut(Seen<'_>) -> ControlFlow<()>) -> Result<Run> {
    let port = Port::open(device, options.baud)?;
    let begin = Instant::now();
    let mut session =
        Session { watch: Watch::default(), crashes: Vec::new(), hangs: Vec::new(), wanted: options.cycles, each };
    let end = session.follow(port, options);
    let Session { watch, crashes, hangs, .. } = session;
    let (boots, lines, noisy) = watch.counts();
    Ok(Run { crashes, hangs, end, boots, lines, noisy, wanted: options.cycles, duration: begin.elapsed() })
}

/// A run that is under way.
struct Session<'a> {
    watch: Watch,
    crashes: Vec<Crash>,
    hangs: Vec<Hang>,
    wanted: u64,
    each: &'a mut dyn FnMut(Seen<'_>) -> ControlFlow<()>,
}

impl Session<'_> {
    fn follow(&mut self, mut port: Port, options: &Options) -> End {
        let mut lines = lines::Lines::default();
        let mut buffer = vec![0; 4096];
        let (mut heard, mut progress, mut boots) = (Instant::now(), Instant::now(), 0);
        let mut switching: Option<Switching> = None;
        loop {
            match port.read(&mut buffer, HEARTBEAT.min(options.silence)) {
                Read::Bytes(count) => {
                    for line in lines.push(&buffer[..count]) {
                        if line.is_readable() {
                            heard = Instant::now();
                        }
                        if let ControlFlow::Break(end) = self.take(&line) {
                            return end;
                        }
                    }
                    if self.watch.steps() != boots {
                        (boots, progress) = (self.watch.steps(), Instant::now());
                    }
                }
                Read::Nothing => {
                    if (self.each)(Seen::Nothing(heard.elapsed())).is_break() {
                        return End::Stopped;
                    }
                }
                Read::Gone(why) => {
                    // What stands behind the last newline may be the board's last word.
                    if let Some(line) = lines.rest()
                        && let ControlFlow::Break(end) = self.take(&line)
                    {
                        return end;
                    }
                    return End::Gone(why, self.watch.last_lines());
                }
            }
            // A board whose power is being cycled says nothing with good reason.
            match switching.as_mut().map(Switching::ended) {
                Some(None) => continue,
                Some(Some(Ok(()))) => (switching, heard, progress) = (None, Instant::now(), Instant::now()),
                Some(Some(Err(why))) => return End::Unpowered(why, self.watch.last_lines()),
                None => {}
            }
            let gone_by = |since: Instant, most: Duration| (since.elapsed() >= most).then_some(most);
            let late = gone_by(heard, options.silence).map(|time| (time, true));
            if let Some((time, silent)) = late.or_else(|| gone_by(progress, options.stuck).map(|time| (time, false))) {
                let rest = lines.rest();
                match self.given_up(time, silent, rest, options.power.as_deref()) {
                    ControlFlow::Continue(begun) => switching = Some(begun),
                    ControlFlow::Break(end) => return end,
                }
            }
        }
    }

    /// The board has failed by silence, or by talk that leads to nothing. Its power is cycled if there is a command for that,
    /// and if that got it anywhere the last time.
    fn given_up(
        &mut self,
        time: Duration,
        silent: bool,
        rest: Option<lines::Line>,
        power: Option<&str>,
    ) -> ControlFlow<End, Switching> {
        if let Some(line) = rest {
            self.take(&line)?;
        }
        let last = self.watch.last_lines();
        let end = if silent { End::Silent(time, last) } else { End::Stuck(time, last) };
        let is_dead = self.hangs.last().is_some_and(|hang| hang.after == self.crashes.len());
        let told = self.watch.give_up(&end.to_string());
        // The end is clear, whatever the caller thinks of the last crash.
        let told = self.tell(told);
        let Some(power) = power.filter(|_| told.is_continue() && !is_dead) else { return ControlFlow::Break(end) };
        match Switching::begin(power) {
            Ok(begun) => {
                self.hangs.push(Hang { after: self.crashes.len(), how: end });
                self.watch.forget();
                ControlFlow::Continue(begun)
            }
            Err(why) => ControlFlow::Break(End::Unpowered(why, self.watch.last_lines())),
        }
    }

    fn take(&mut self, line: &lines::Line) -> ControlFlow<End> {
        if (self.each)(Seen::Line(&line.shown)).is_break() {
            return ControlFlow::Break(End::Stopped);
        }
        let events = self.watch.line(line);
        self.tell(events)
    }

    fn tell(&mut self, events: Vec<Event>) -> ControlFlow<End> {
        for event in events {
            match event {
                Event::Crash(crash) => {
                    let stop = (self.each)(Seen::Crash(&crash)).is_break();
                    self.crashes.push(crash);
                    if self.crashes.len() as u64 == self.wanted {
                        return ControlFlow::Break(End::Enough);
                    }
                    if stop {
                        return ControlFlow::Break(End::Stopped);
                    }
                }
                Event::End(end) => return ControlFlow::Break(end),
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
