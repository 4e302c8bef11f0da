//! Lines of a console become a report, or the reason why there is none.

use crate::model::{By, Recommended, Report};
use crate::words::{Word, word};
use campaign::serial::lines::Line;
use std::fmt;
use std::mem::take;
use std::time::Duration;

/// Boots without a word of a survey: one that dies early, again and again.
const BOOTS_WITHOUT: u32 = 3;
/// A node has not more lines.
const NODE_LINES: usize = 24;
/// Lines that are kept to be shown.
const LAST_LINES: usize = 8;

/// Why listening ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The report is there.
    Reported,
    /// After a reset by this way the survey began again: it had lost all its notes.
    LosesAll(By),
    /// The survey began again and again, by a reset that was not read.
    BeginsAgain,
    /// A kernel of ours works, but it does not survey.
    NoSurvey,
    /// It says that it cannot go on: why.
    Unable(String),
    /// Nothing was heard for so long; which reset was waited for.
    Silent(Duration, Option<By>),
    /// It talks, and no kernel of ours begins, or the survey does not come on.
    Stuck(Duration),
    /// The line is gone: why.
    Gone(String),
    /// The caller wished so.
    Stopped,
}

/// What happens, for who watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A survey of so many rounds and bytes is under way.
    Begins(u64),
    /// A reset is asked for: round, of how many, its number, how; the fill before it took so long.
    Asks(u64, u64, u64, By, Duration),
    /// It was checked: which, how, how long after it was asked for, and what was gone of what had to be kept.
    Checked(u64, By, Option<Duration>, u64, u64),
    /// This boot ended before the reset that it was to make; the fill and the reset are done again.
    CutShort(u64),
    /// The survey began again, without the word of a reset before.
    Again,
    /// The report begins.
    Reports,
}

/// Reads line by line.
#[derive(Debug, Default)]
pub struct Watch {
    report: Report,
    /// The reset that was asked for and not yet checked, and when.
    asked: Option<(By, Duration)>,
    /// When something was last heard of the survey.
    last: Duration,
    rounds: u64,
    restarts: u32,
    boots_without: u32,
    reporting: bool,
    unread: Vec<String>,
    shown: Vec<String>,
}

/// All that came of listening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Why it ended.
    pub ending: Ending,
    /// The report, as far as it was read.
    pub report: Report,
    /// Lines of the survey that could not be read, escaped.
    pub unread: Vec<String>,
    /// The last lines of all, escaped.
    pub last_lines: Vec<String>,
}

impl Watch {
    /// Takes a line, so long after the beginning.
    pub fn line(&mut self, line: &Line, now: Duration) -> (Option<Step>, Option<Ending>) {
        if self.shown.len() == LAST_LINES {
            self.shown.remove(0);
        }
        self.shown.push(line.shown.clone());
        let word = word(&line.text);
        match &word {
            Word::Banner if self.report.recommended.is_some() => return (None, Some(Ending::Reported)),
            Word::Banner => {
                self.boots_without += 1;
                let none = self.boots_without > BOOTS_WITHOUT;
                return (None, none.then_some(Ending::NoSurvey));
            }
            // Only behind the banner: who begins to listen late does not know what it is at.
            Word::Works if self.boots_without > 0 => return (None, Some(Ending::NoSurvey)),
            Word::Unable(why) => return (None, Some(Ending::Unable(why.clone()))),
            Word::Off if self.reporting => return (None, Some(Ending::Reported)),
            Word::Works | Word::Off => return (None, None),
            Word::Other | Word::LastLine => return (None, self.node(&line.text, &line.shown, word == Word::LastLine)),
            _ => {}
        }
        self.boots_without = 0;
        let out = self.survey(word, line, now);
        self.last = now;
        out
    }

    fn survey(&mut self, word: Word, line: &Line, now: Duration) -> (Option<Step>, Option<Ending>) {
        let step = match word {
            Word::Begins(rounds, seed) => return self.begins(rounds, seed),
            Word::Asks(round, rounds, number, by) => {
                self.rounds = rounds;
                self.asked = Some((by, now));
                Some(Step::Asks(round, rounds, number, by, now.saturating_sub(self.last)))
            }
            Word::Checked(check) => {
                let took = self.asked.take().map(|(_, asked)| now.saturating_sub(asked));
                let step = Step::Checked(check.number, check.by, took, check.tally.damaged, check.tally.kept_of);
                self.report.checks.push(check);
                Some(step)
            }
            Word::CutShort(boot) => {
                self.asked = None;
                Some(Step::CutShort(boot))
            }
            Word::NoPlace => {
                self.report.recommended = Some(None);
                return (None, Some(Ending::Reported));
            }
            Word::Unread => {
                self.unread.push(line.shown.clone());
                None
            }
            word => return (self.report(word), None),
        };
        (step, None)
    }

    /// A line of the report, or one that belongs to what is under way.
    fn report(&mut self, word: Word) -> Option<Step> {
        let begins = !self.reporting && matches!(word, Word::Title(_) | Word::Total(_) | Word::Memory(_));
        self.reporting |= begins;
        match word {
            Word::Fills(range) => self.report.fills.push(range),
            Word::Flip(flip) => {
                if let Some(check) = self.report.checks.last_mut() {
                    check.flips.push(flip);
                }
            }
            Word::Title(title) => self.report.title = Some(title),
            Word::Total(total) => self.report.totals.push(total),
            Word::Placed(placed) => self.report.placed.push(placed),
            Word::Places(count) => self.report.places = count,
            Word::Spot(spot) => self.report.spots.push(spot),
            Word::Memory(memory) => self.report.memory.push(memory),
            Word::Recommended(range) => {
                self.reporting = true;
                self.report.recommended = Some(Some(Recommended { range, node: Vec::new() }));
            }
            _ => {}
        }
        begins.then_some(Step::Reports)
    }

    /// A survey begins. If one was under way already, the reset before has left nothing of it.
    fn begins(&mut self, rounds: u64, seed: u64) -> (Option<Step>, Option<Ending>) {
        self.rounds = rounds;
        if let Some((by, _)) = self.asked {
            return (None, Some(Ending::LosesAll(by)));
        }
        let again = !self.report.fills.is_empty() || !self.report.checks.is_empty();
        self.report = Report { seed: Some(seed), ..if again { Report::default() } else { take(&mut self.report) } };
        if !again {
            return (Some(Step::Begins(rounds)), None);
        }
        self.restarts += 1;
        (Some(Step::Again), (self.restarts > 1).then_some(Ending::BeginsAgain))
    }

    /// Lines behind the recommendation are the node to add.
    fn node(&mut self, text: &str, shown: &str, is_last: bool) -> Option<Ending> {
        let Some(Some(Recommended { node, .. })) = &mut self.report.recommended else { return None };
        if node.len() < NODE_LINES && !text.is_empty() {
            node.push(shown.trim_end().to_owned());
        }
        is_last.then_some(Ending::Reported)
    }

    /// The report has begun: the board falls silent behind it.
    #[must_use]
    pub fn is_reporting(&self) -> bool {
        self.reporting
    }

    /// The reset that is waited for.
    #[must_use]
    pub fn asked(&self) -> Option<By> {
        self.asked.map(|(by, _)| by)
    }

    /// When something was last heard of the survey.
    #[must_use]
    pub fn last_word(&self) -> Duration {
        self.last
    }

    /// All of it.
    #[must_use]
    pub fn found(self, ending: Ending) -> Found {
        Found { ending, report: self.report, unread: self.unread, last_lines: self.shown }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reported => f.write_str("the board has reported"),
            Self::LosesAll(by) => write!(
                f,
                "{0} loses all RAM, also the survey's notes: the survey began again after a reset by {0}. Nothing can be kept \
                 across it on this board, and the survey cannot come past it; leave this way out: survey_without={1} on the \
                 command line. (Was the power cut just then? Then begin once more.)",
                by.name(),
                by.word()
            ),
            Self::BeginsAgain => f.write_str(
                "the survey began again twice, and the reset before was not read: some reset loses all RAM, also the survey's \
                 notes. Take the board's power, and listen from its beginning",
            ),
            Self::NoSurvey => f.write_str(
                "the kernel boots, and does not survey: put survey=3 on its command line (on a Raspberry Pi the one line of \
                 cmdline.txt, with U-Boot setenv bootargs)",
            ),
            Self::Unable(why) => write!(f, "the board says that it cannot go on: {why}"),
            Self::Silent(time, Some(by)) => write!(
                f,
                "nothing was heard for {} s after a reset by {}: the board does not come back by it. Switch it off and on: the \
                 survey begins anew then, or goes on if RAM has kept its notes. survey_without={} on the command line leaves it out",
                time.as_secs(),
                by.name(),
                by.word()
            ),
            Self::Silent(time, None) => write!(
                f,
                "nothing readable was heard for {} s: is the board on, the right device open, is it at the right speed (--baud)?",
                time.as_secs()
            ),
            Self::Stuck(time) => {
                write!(f, "the board talks, and for {} s not about a survey: does it come to the kernel?", time.as_secs())
            }
            Self::Gone(why) => write!(f, "the serial line is gone before the report: {why}"),
            Self::Stopped => f.write_str("stopped before the report"),
        }
    }
}

impl Found {
    /// 0: RAM keeps a region; 1: it does not, or bits turned over; 125: nobody can say.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self.ending {
            Ending::Reported if !self.report.missing().is_empty() => 125,
            Ending::Reported => u8::from(!self.report.is_good()),
            Ending::LosesAll(_) | Ending::BeginsAgain => 1,
            _ => 125,
        }
    }
}
