//! Lines become boots, and each boot's end a crash that the next one tells.

use super::lines::Line;
use super::telling::{Findings, Telling};
use super::words::{How, Word, word};
use super::{Crash, End, Verdict};
use std::collections::VecDeque;

/// So many of the last lines are shown where a board has failed.
const LAST_LINES: usize = 12;

/// What a line brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A crash, judged.
    Crash(Crash),
    /// The board is at its end.
    End(End),
}

/// The boot that is under way.
#[derive(Clone, Debug, Default)]
struct Boot {
    /// Its first line was seen: nothing of it was missed but what the line lost.
    from_start: bool,
    /// Its number as it says, and as the number of boots before it says.
    recording: Option<u64>,
    content: Option<Result<u64, String>>,
    /// It found the region's headers lost.
    scanned: bool,
    /// The newest boot whose crash it tells.
    newest_told: Option<u64>,
    /// The core that panicked.
    panic: Option<u32>,
    reset_asked: bool,
    clean: bool,
    at_work: bool,
    /// It tells the crash of the boot before, or has been found not to.
    told: bool,
    lines: usize,
    noisy: usize,
    shown: VecDeque<String>,
}

impl Boot {
    /// Nothing of it can come any more but from the next one.
    fn is_over(&self) -> bool {
        self.panic.is_some() || self.reset_asked || self.clean
    }

    /// Its number. A line may have lost a digit: where two that say it do not agree, the one that follows the boot before.
    fn number(&self, before: Option<u64>) -> Option<u64> {
        let counted = self.content.as_ref().and_then(|content| content.as_ref().ok()).map(|count| count + 1);
        if self.recording.is_some() && self.recording == counted {
            return counted;
        }
        let follows = |number: &u64| before.is_some_and(|before| before + 1 == *number);
        let said = [self.recording, counted, self.newest_told.map(|boot| boot + 1)];
        said.into_iter().flatten().find(follows).or_else(|| said.into_iter().flatten().next())
    }

    fn title(&self, number: Option<u64>) -> String {
        number.map_or("the boot after it".into(), |number| format!("boot {number}"))
    }
}

/// What is seen of a board.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    now: Boot,
    /// The number of the boot under way, once known; that of the one before.
    before: Option<Boot>,
    before_number: Option<u64>,
    telling: Option<Telling>,
    /// Rows that each table has.
    cores: Option<usize>,
    /// The newest boot whose crash was judged.
    judged: Option<u64>,
    boots: u64,
    steps: u64,
    lines: u64,
    noisy: u64,
    last: VecDeque<String>,
}

impl Watch {
    /// Boots begun, lines, noisy lines.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        (self.boots, self.lines, self.noisy)
    }

    /// Rises with all that brings a board on: a boot, a crash told, the workload, a panic.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// The last lines, escaped.
    pub(super) fn last_lines(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }

    /// Takes a line.
    pub(super) fn line(&mut self, line: &Line) -> Vec<Event> {
        self.lines += 1;
        self.noisy += u64::from(line.noise > 0);
        push_last(&mut self.last, &line.shown);
        let word = word(&line.text);
        let mut events = Vec::new();
        if self.begins_anew(&word) {
            self.next_boot(&mut events);
        }
        self.now.lines += 1;
        self.now.noisy += usize::from(line.noise > 0);
        push_last(&mut self.now.shown, &line.shown);
        if word != Word::Other && word != Word::Trace {
            self.steps += 1;
        }
        self.understand(word, line, &mut events);
        events
    }

    /// The board is given up: the crashes that nobody has told.
    pub(super) fn give_up(&mut self, why: &str) -> Vec<Event> {
        let mut events = Vec::new();
        self.stops_telling(why, &mut events);
        self.not_told(why, &mut events);
        if self.now.is_over() && !self.now.clean {
            let number = self.now.number(self.before_number);
            let lines = self.now.shown.iter().cloned().collect();
            events.push(failed(number, format!("it died, and no boot came to tell it: {why}"), lines));
        }
        events
    }

    /// The power goes: what was before is no boot's any more, and the next boots count anew.
    pub(super) fn forget(&mut self) {
        (self.now, self.before, self.before_number) = (Boot::default(), None, None);
        (self.telling, self.judged) = (None, None);
    }

    /// Whether a line belongs to another boot than the one under way: its first one, or, where that was lost, one that this
    /// boot has had already.
    fn begins_anew(&self, word: &Word) -> bool {
        match word {
            Word::Banner => true,
            Word::Content(_) | Word::Scanned => self.now.content.is_some() || self.now.is_over(),
            Word::Recording(_) => self.now.recording.is_some() || self.now.is_over(),
            Word::CrashInBank | Word::Title(..) | Word::Status(..) | Word::Work => self.now.is_over(),
            _ => false,
        }
    }

    fn next_boot(&mut self, events: &mut Vec<Event>) {
        if self.boots > 0 || self.now.lines > 0 {
            self.stops_telling("it was reset", events);
            self.not_told("it was reset", events);
            let number = self.now.number(self.before_number);
            // Before the first boot anything may have happened.
            let seen = self.now.from_start || self.now.is_over() || number.is_some();
            self.before = seen.then(|| std::mem::take(&mut self.now));
            self.before_number = self.before.as_ref().and(number);
        }
        self.now = Boot { from_start: true, ..Boot::default() };
        self.boots += 1;
        self.steps += 1;
    }

    fn understand(&mut self, word: Word, line: &Line, events: &mut Vec<Event>) {
        if self.telling.is_none() && matches!(word, Word::CrashInBank | Word::Title(..) | Word::Status(..)) {
            self.telling = Some(Telling::default());
        } else if word == Word::CrashInBank {
            self.told_so_far(events);
            self.telling = Some(Telling::default());
        }
        if let Some(telling) = &mut self.telling {
            match word {
                Word::Title(boot, how) if telling.title.is_none() => telling.title = Some((boot, how)),
                Word::Status(boot, count, intact) => telling.status = Some((boot, count, intact)),
                Word::Trace => telling.in_trace = true,
                _ => {}
            }
            if telling.status.is_some() {
                telling.in_trace = false;
            }
            telling.push(line);
        }
        match word {
            Word::Status(..) => self.told_so_far(events),
            Word::Content(content) => self.content(content, events),
            Word::Scanned => self.now.scanned = true,
            Word::Cores(cores) => self.cores = Some(cores),
            Word::Recording(number) => self.now.recording = Some(number),
            Word::Acknowledged => self.told_so_far(events),
            Word::Work => {
                self.not_told("it went on to record", events);
                self.now.at_work = true;
            }
            Word::Panic(core) => {
                self.not_told("it panicked itself", events);
                self.now.panic.get_or_insert(core);
            }
            Word::ResetAsked => self.now.reset_asked = true,
            Word::Clean => self.now.clean = true,
            Word::Done(status) => {
                self.not_told("it ended", events);
                events.push(Event::End(End::Done(status)));
            }
            Word::Unable => {
                self.not_told("it could not go on", events);
                events.push(Event::End(End::Unable(line.shown.clone())));
            }
            Word::Banner | Word::CrashInBank | Word::Title(..) | Word::Trace | Word::Other => {}
        }
    }

    /// The region is not what the boot before left.
    fn content(&mut self, content: Result<u64, String>, events: &mut Vec<Event>) {
        if let Err(why) = &content
            && self.before.is_some()
            && !self.now.told
        {
            self.now.told = true;
            if !self.before.as_ref().is_some_and(|before| before.clean) {
                let number = self.before_number;
                events.push(failed(number, format!("the next boot finds nothing of it: {why}"), self.shown()));
            }
            // It counts anew.
            self.judged = None;
        }
        self.now.content = Some(content);
    }

    /// A telling is at its end, or as far as it came.
    fn told_so_far(&mut self, events: &mut Vec<Event>) {
        let Some(telling) = self.telling.take() else { return };
        if !self.now.from_start && self.before.is_none() && telling.title.is_none() {
            // The reader came in the middle of it.
            return;
        }
        let of_before = self.before_number.is_some_and(|number| telling.may_be_of(number));
        let boot = if of_before { self.before_number } else { telling.boot() };
        // A boot of which nothing says which one it was may be the first one after all was forgotten.
        let nameless = self.before.is_some() && self.before_number.is_none();
        if !nameless && boot.is_some_and(|boot| self.judged.is_some_and(|judged| boot <= judged)) {
            self.told_again(&telling, boot, events);
            return;
        }
        let mut findings = telling.judge(self.cores);
        self.now.told |= of_before || self.before_number.is_none();
        self.now.newest_told = self.now.newest_told.max(boot);
        self.as_it_was_seen(&telling, of_before, &mut findings);
        self.numbers(&mut findings);
        self.judged = boot.or(self.judged);
        let rows = telling.accounts();
        let verdict = verdict(findings);
        if verdict == Verdict::Held {
            self.cores = self.cores.max(Some(rows.len()));
        }
        events.push(Event::Crash(Crash {
            boot,
            how: telling.title.map(|(_, how)| how),
            events: telling.status.map_or(0, |(_, events, _)| events),
            attempted: rows.iter().fold(0, |sum, row| sum.saturating_add(row.attempted)),
            lines: if verdict == Verdict::Held { Vec::new() } else { telling.shown() },
            verdict,
        }));
    }

    /// A crash that nobody acknowledged is told by every boot; it only counts again where it is worse than before.
    fn told_again(&self, telling: &Telling, boot: Option<u64>, events: &mut Vec<Event>) {
        let findings = telling.judge(self.cores);
        if !findings.failed.is_empty() {
            let why = format!("told once more by a later boot: {}", findings.failed.join("; "));
            events.push(failed(boot, why, telling.shown()));
        }
    }

    /// Whether what is told is what was seen.
    fn as_it_was_seen(&self, telling: &Telling, of_before: bool, findings: &mut Findings) {
        if self.now.scanned && self.before.is_some() {
            findings.failed("the next boot finds both headers of the region invalid");
        }
        let (Some(before), Some((_, how))) = (self.before.as_ref().filter(|_| of_before), telling.title) else {
            return;
        };
        match (how, before.panic) {
            (How::CutShort, _) if before.reset_asked => {
                findings.failed("it asked for its reset, and is told not to have come to the end of its panic");
            }
            (How::CutShort, _) => findings.failed("its panic did not come to its end"),
            (How::WithoutAWord, Some(core)) => {
                findings.failed(format!("it panicked on core {core}, and is told to have died without a word"));
            }
            (How::Panicked(told), Some(seen)) if told != seen => {
                findings.failed(format!("it panicked on core {seen}, and is told to have panicked on core {told}"));
            }
            _ => {}
        }
    }

    /// Whether the numbers of the boots rise by one.
    fn numbers(&self, findings: &mut Findings) {
        let (Some(before), Some(now)) = (self.before_number, self.now.number(self.before_number)) else { return };
        if now != before + 1 {
            findings.failed(format!("it is followed by boot {now}"));
        }
    }

    /// The boot under way ends. If that is in the midst of telling the crash before: it did not come through.
    fn stops_telling(&mut self, how: &str, events: &mut Vec<Event>) {
        if let Some(telling) = &self.telling
            && !self.now.is_over()
            && self.before_number.is_some_and(|number| telling.may_be_of(number))
        {
            let why = format!("the next boot began to tell it, and did not come to an end: {how}");
            events.push(failed(self.before_number, why, telling.shown()));
            self.telling = None;
            self.now.told = true;
            self.judged = self.before_number.or(self.judged);
        }
    }

    /// The boot under way has come past the place where it tells. If the one before crashed and it did not tell: why.
    fn not_told(&mut self, how: &str, events: &mut Vec<Event>) {
        // Its end was not read, but this boot went on.
        self.told_so_far(events);
        if self.now.told {
            return;
        }
        self.now.told = true;
        let Some(before) = &self.before else { return };
        if before.clean {
            return;
        }
        let by = self.now.title(self.now.number(self.before_number));
        let mut findings = Findings::default();
        let why = format!("{by} does not tell it: {how}");
        findings.wrong(2 * self.now.noisy > self.now.lines, why);
        self.numbers(&mut findings);
        events.push(Event::Crash(Crash {
            boot: self.before_number,
            how: None,
            events: 0,
            attempted: 0,
            verdict: verdict(findings),
            lines: self.shown(),
        }));
        self.judged = self.before_number.or(self.judged);
    }

    /// The last lines of the boot before, and those of this one.
    fn shown(&self) -> Vec<String> {
        let before = self.before.iter().flat_map(|before| &before.shown);
        before.chain(&self.now.shown).cloned().collect()
    }
}

fn push_last(lines: &mut VecDeque<String>, line: &str) {
    if lines.len() == LAST_LINES {
        lines.pop_front();
    }
    lines.push_back(line.to_owned());
}

fn verdict(findings: Findings) -> Verdict {
    let Findings { failed, unclear } = findings;
    match (failed.is_empty(), unclear.is_empty()) {
        (false, _) => Verdict::Failed(failed),
        (true, false) => Verdict::Unclear(unclear),
        (true, true) => Verdict::Held,
    }
}

fn failed(boot: Option<u64>, why: String, lines: Vec<String>) -> Event {
    let verdict = Verdict::Failed(vec![why]);
    Event::Crash(Crash { boot, how: None, events: 0, attempted: 0, verdict, lines })
}
