//! A board at a serial port that surveys.

use crate::watch::{Ending, Found, Step, Watch};
use anyhow::Result;
use campaign::serial::lines::{Line, Lines};
use campaign::serial::port::{Port, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the caller is asked whether to go on.
const HEARTBEAT: Duration = Duration::from_millis(200);
/// A report is over when nothing follows for so long; its last line may be unreadable.
const PAUSE: Duration = Duration::from_secs(3);

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Speed of the line; of no meaning where it is no terminal.
    pub baud: u32,
    /// A board that says nothing readable for so long has failed. Filling and checking are silent.
    pub silence: Duration,
    /// So has one that talks, but not about a survey, for so long.
    pub stuck: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { baud: 115_200, silence: Duration::from_secs(300), stuck: Duration::from_secs(600) }
    }
}

/// What is seen meanwhile.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A line, escaped.
    Line(&'a str),
    /// The survey has come on.
    Step(&'a Step),
    /// Nothing now.
    Nothing,
}

/// Listens until the report is there, or there will be none. `device` is a serial port, or anything else that can be read, such
/// as the recording of a console.
///
/// # Errors
/// The device cannot be opened or set up.
pub fn run(device: &Path, options: &Options, each: &mut dyn FnMut(Seen<'_>) -> ControlFlow<()>) -> Result<Found> {
    let port = Port::open(device, options.baud)?;
    let mut session = Session { watch: Watch::default(), begin: Instant::now(), each };
    let ending = session.follow(port, options);
    Ok(session.watch.found(ending))
}

/// What a console that was recorded whole says.
#[must_use]
pub fn read(console: &[u8]) -> Found {
    let mut lines = Lines::default();
    let mut watch = Watch::default();
    let all: Vec<Line> = lines.push(console).into_iter().chain(lines.rest()).collect();
    for line in &all {
        if let (_, Some(ending)) = watch.line(line, Duration::ZERO) {
            return watch.found(ending);
        }
    }
    let ending = if watch.is_reporting() { Ending::Reported } else { Ending::Gone("it has come to its end".into()) };
    watch.found(ending)
}

struct Session<'a> {
    watch: Watch,
    begin: Instant,
    each: &'a mut dyn FnMut(Seen<'_>) -> ControlFlow<()>,
}

impl Session<'_> {
    fn follow(&mut self, mut port: Port, options: &Options) -> Ending {
        let mut lines = Lines::default();
        let mut buffer = vec![0; 4096];
        let mut heard = Instant::now();
        loop {
            let read = port.read(&mut buffer, HEARTBEAT.min(options.silence));
            let (new, over) = match read {
                Read::Bytes(count) => (lines.push(&buffer[..count]), None),
                Read::Nothing => (Vec::new(), None),
                Read::Gone(why) => (lines.rest().into_iter().collect(), Some(why)),
            };
            for line in &new {
                if line.is_readable() {
                    heard = Instant::now();
                }
                if let ControlFlow::Break(ending) = self.take(line) {
                    return ending;
                }
            }
            if let Some(why) = over {
                return if self.watch.is_reporting() { Ending::Reported } else { Ending::Gone(why) };
            }
            if (self.each)(Seen::Nothing).is_break() {
                return Ending::Stopped;
            }
            if self.watch.is_reporting() && heard.elapsed() >= PAUSE {
                return Ending::Reported;
            }
            if heard.elapsed() >= options.silence {
                return Ending::Silent(options.silence, self.watch.asked());
            }
            if self.begin.elapsed().saturating_sub(self.watch.last_word()) >= options.stuck {
                return Ending::Stuck(options.stuck);
            }
        }
    }

    fn take(&mut self, line: &Line) -> ControlFlow<Ending> {
        if (self.each)(Seen::Line(&line.shown)).is_break() {
            return ControlFlow::Break(Ending::Stopped);
        }
        let (step, ending) = self.watch.line(line, self.begin.elapsed());
        if let Some(step) = step
            && (self.each)(Seen::Step(&step)).is_break()
        {
            return ControlFlow::Break(Ending::Stopped);
        }
        ending.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }
}
