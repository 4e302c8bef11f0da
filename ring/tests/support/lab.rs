//! A life that a test scripts, and what is true of it: which bytes each event has, when its check was written, when its
//! place was used again, what time it was. Taken from the stores themselves, not from the code that is tested.

use super::*;
use ring::check::Crc32c;
use ring::fake::crash::{Count, Effort, Reset, every_reset};
use ring::fake::{Operation, interrupt};
use ring::verdict::Verdict;
use ring::writer::{CleanAt, WhenFull};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;

/// Numbers begin here, so that no other word of a bank is taken for one.
const FIRST: u64 = 0xe5e5_0000_0000_0000;

/// An event that somebody began to record.
#[derive(Clone, Copy, Debug)]
struct Begun {
    core: u32,
    number: u64,
    padding: usize,
    discarded: bool,
    refused: bool,
    /// Operations before it, and behind it if its writer came back.
    begin: usize,
    end: Option<usize>,
    /// The clock before and behind.
    times: (u64, u64),
    /// Sub-buffer that was open before and behind.
    sequences: (u64, u64),
}

/// One region, its writers, and a log of what was asked of them.
pub struct Lab {
    pub ram: &'static Ram,
    pub header: Header,
    pub bank: u32,
    pub writers: Vec<&'static TestWriter<'static>>,
    begun: RefCell<Vec<Begun>>,
    before: Vec<u8>,
    mode: Mode,
    /// The part of the life in which it may end.
    from: Cell<usize>,
    until: Cell<usize>,
    /// Events begun on each core when it was closed.
    closed: RefCell<Vec<Option<u64>>>,
}

impl Lab {
    /// Boots on zeros, or on what two older boots left.
    pub fn new(size: u64, cores: u32, mode: Mode, used_before: bool) -> &'static Self {
        let ram: &'static Ram = Box::leak(Box::new(Ram::new(size)));
        if used_before {
            for boot_id in [11, 22] {
                let (header, bank) = boot(ram, 1, cores, boot_id);
                for core in 0..cores {
                    let w = writer(ram, &header, bank, core, Mode::default());
                    for number in 0..260 {
                        w.record(&Numbered { number, padding: number as usize % 200 }).unwrap();
                    }
                    close(&w);
                }
            }
        }
        let (header, bank) = boot(ram, 1, cores, BOOT_ID);
        let writers = (0..cores)
            .map(|core| {
                let target = Target { geometry: header.geometry, bank, boot_id: BOOT_ID, core };
                &*Box::leak(Box::new(Writer::new(ram, StepClock::new(1000, 0), Table, target, mode)))
            })
            .collect();
        let lab = Self {
            ram,
            header,
            bank,
            writers,
            begun: RefCell::default(),
            before: ram.persistent(),
            mode,
            from: Cell::new(0),
            until: Cell::new(usize::MAX),
            closed: RefCell::new(vec![None; cores as usize]),
        };
        ram.remember();
        Box::leak(Box::new(lab))
    }

    /// Everything that has happened so far is in memory, and is history.
    pub fn settle(&self) {
        self.ram.settle();
        self.from.set(self.now());
    }

    /// From here on the life may end.
    pub fn begin_here(&self) {
        self.from.set(self.now());
    }

    /// The life ends here: what a stopped core would do next never happens.
    pub fn end_here(&self) {
        self.until.set(self.now());
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The last sub-buffer that can be begun.
    pub fn last(&self) -> u64 {
        if self.mode.when_full == WhenFull::Drop { self.header.geometry.ring() - 1 } else { u64::MAX }
    }

    /// Operations so far.
    pub fn now(&self) -> usize {
        self.ram.operations()
    }

    fn attempt(&self, core: u32, padding: usize, act: impl FnOnce(&TestWriter<'static>, u64) -> Option<bool>) {
        let w = self.writers[core as usize];
        let i = {
            let mut begun = self.begun.borrow_mut();
            let (t, s) = (w.clock().peek(), sequence(w));
            let number = FIRST + begun.len() as u64;
            let begin = self.now();
            begun.push(Begun {
                core,
                number,
                padding,
                discarded: false,
                refused: false,
                begin,
                end: None,
                times: (t, t),
                sequences: (s, s),
            });
            begun.len() - 1
        };
        let outcome = act(w, FIRST + i as u64);
        let mut begun = self.begun.borrow_mut();
        let event = &mut begun[i];
        event.times.1 = w.clock().peek();
        event.sequences.1 = sequence(w);
        event.end = Some(self.now());
        event.refused = outcome.is_none();
        event.discarded = outcome == Some(false);
    }

    /// Ten nanoseconds later, an event.
    pub fn record(&self, core: u32, padding: usize) {
        self.writers[core as usize].clock().pass(10);
        self.attempt(core, padding, |w, number| w.record(&Numbered { number, padding }).ok().map(|()| true));
    }

    /// An event that is written and then given up.
    pub fn discard(&self, core: u32, padding: usize) {
        self.writers[core as usize].clock().pass(10);
        self.attempt(core, padding, |w, number| {
            let event = Numbered { number, padding };
            let slot = w.reserve(EVENT_ID, event.size()).ok()?;
            event.write(&slot);
            w.discard(slot);
            Some(false)
        });
    }

    /// Events of one size until the open sub-buffer has less than `left` bytes.
    pub fn fill(&self, core: u32, sequence: u64, padding: usize, left: usize) {
        let w = self.writers[core as usize];
        while self::sequence(w) < sequence {
            self.record(core, padding);
        }
        // 24 bytes around the fields of an event of less than 112 bytes, of which Numbered has 12.
        let per_event = 4 + 8 + (12 + padding).next_multiple_of(4) + 4 + if padding > 84 { 4 } else { 0 };
        for _ in 1..(4040 - left) / per_event {
            self.record(core, padding);
        }
        assert_eq!(self::sequence(w), sequence);
    }

    /// The core stops, as a panic stops it.
    pub fn close(&self, core: u32) {
        close(self.writers[core as usize]);
        let begun = self.begun.borrow();
        self.closed.borrow_mut()[core as usize] = Some(begun.iter().filter(|e| e.core == core).count() as u64);
    }

    /// What is true of all this.
    pub fn life(&self) -> Life {
        let mut operations = self.ram.remembered();
        operations.truncate(self.until.get());
        let mut begun = self.begun.borrow().clone();
        begun.retain(|event| event.begin < operations.len());
        for event in &mut begun {
            event.end = event.end.filter(|end| *end < self.until.get());
        }
        let mut facts: Vec<Fact> = begun.iter().map(|event| self.fact(event, &begun, &operations)).collect();
        // The bytes of each event at the moment of its check.
        let sealed: BTreeMap<usize, usize> =
            (0..).zip(&facts).filter_map(|(n, fact)| Some((fact.sealed?, n))).collect();
        let mut cache = self.before.clone();
        for (i, operation) in operations.iter().enumerate() {
            if let Operation::Store { at, bytes } = operation {
                cache[*at as usize..*at as usize + bytes.len()].copy_from_slice(bytes);
            }
            if let Some(fact) = sealed.get(&i).map(|n| &mut facts[*n]) {
                fact.bytes = cache[fact.range()].to_vec();
            }
        }
        Life {
            before: self.before.clone(),
            operations,
            from: self.from.get(),
            facts,
            bank: self.bank,
            header: self.header,
            closed: self.closed.borrow().clone(),
        }
    }

    /// Finds an event's place: its number was stored only there.
    fn fact(&self, event: &Begun, all: &[Begun], operations: &[Operation]) -> Fact {
        let stores = |from: usize| {
            let end = event.end.unwrap_or(operations.len());
            operations[from..end].iter().enumerate().filter_map(move |(i, operation)| match operation {
                Operation::Store { at, bytes } => Some((from + i, *at, bytes)),
                _ => None,
            })
        };
        let mut fact = Fact {
            begun: *event,
            start: 0,
            end: 0,
            sequence: 0,
            word: 0,
            placed: None,
            sealed: None,
            reused: None,
            bytes: vec![],
        };
        let Some((placed, fields, _)) =
            stores(event.begin).find(|(_, _, bytes)| bytes[..] == event.number.to_le_bytes())
        else {
            return fact;
        };
        let g = self.header.geometry;
        let size = (12 + event.padding).next_multiple_of(4) as u64;
        let header = fields - 8 - if 8 + size + 4 > 112 { 8 } else { 4 };
        let has_record = header % 4096 > 16
            && stores(event.begin).any(|(i, at, bytes)| i < placed && at == header - 8 && bytes.len() == 8);
        fact.start = if has_record { header - 8 } else { header };
        fact.end = fields + size + 4;
        let first = g.bank(self.bank) + g.subbuf(event.core, 0);
        fact.word = ((fact.start - first) % 4096 / 4) as u32;
        let page = (fact.start - first) / 4096;
        let open = event.sequences.0..=event.sequences.1;
        fact.sequence = { open }.find(|s| s % g.ring() == page).expect("in a sub-buffer that was open meanwhile");
        fact.placed = Some(placed);
        fact.sealed =
            stores(placed).find(|(_, at, bytes)| *at == fact.end - 4 && bytes.len() == 4).map(|found| found.0);
        let later = all.iter().filter(|e| e.core == event.core && e.sequences.1 >= fact.sequence + g.ring());
        fact.reused = later.map(|e| e.begin).min();
        fact
    }
}

/// The sub-buffer that is open.
fn sequence(w: &TestWriter<'_>) -> u64 {
    interrupt::unseen(|| w.counters().sequence)
}

/// The check by the host's instruction where it has it: half of a crash test's time is reading.
#[derive(Clone, Copy)]
struct Fast {
    #[cfg(target_arch = "x86_64")]
    instruction: Option<ring::check::Instruction>,
}

impl Default for Fast {
    fn default() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            instruction: ring::check::Instruction::detect(),
        }
    }
}

impl Crc32c for Fast {
    type Direct = Self;
    fn direct(self) -> Option<Self> {
        Some(self)
    }
    fn u64(self, register: u32, value: u64) -> u32 {
        #[cfg(target_arch = "x86_64")]
        if let Some(instruction) = self.instruction {
            return instruction.u64(register, value);
        }
        Table.u64(register, value)
    }
    fn u32(self, register: u32, value: u32) -> u32 {
        #[cfg(target_arch = "x86_64")]
        if let Some(instruction) = self.instruction {
            return instruction.u32(register, value);
        }
        Table.u32(register, value)
    }
}

/// What is true of one event.
#[derive(Clone, Debug)]
struct Fact {
    begun: Begun,
    /// Where in the region: time record, event, check.
    start: u64,
    end: u64,
    sequence: u64,
    word: u32,
    /// The operation that stored its number; that stored its check; at which its place may have been used again.
    placed: Option<usize>,
    sealed: Option<usize>,
    reused: Option<usize>,
    /// Its bytes when it was sealed.
    bytes: Vec<u8>,
}

impl Fact {
    fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
    /// Whether all of it is in an image that a reset left.
    fn reached(&self, reset: &Reset<'_>) -> bool {
        self.sealed.is_some_and(|at| at < reset.done)
            && self.reused.is_none_or(|at| at >= reset.done)
            && reset.image[self.range()] == self.bytes[..]
    }
}

/// The region as the cores see it after so many operations.
#[derive(Debug)]
pub struct Moment<'a> {
    pub done: usize,
    /// Where the last store went, and what the region was before it.
    pub stored: u64,
    pub before: &'a [u8],
    pub region: &'a [u8],
}

/// A life and the truth about it.
pub struct Life {
    before: Vec<u8>,
    pub operations: Vec<Operation>,
    /// Where the part of the life begins in which it may end.
    pub from: usize,
    facts: Vec<Fact>,
    bank: u32,
    header: Header,
    closed: Vec<Option<u64>>,
}

impl Life {
    /// Resets it at every operation, and judges what is left.
    pub fn crash(&self, effort: Effort) -> Count {
        every_reset(&self.before, &self.operations, self.from, effort, |reset| self.judge(reset))
    }

    /// Judges what a reset left: what reached memory is there, nothing is invented, no claim is wrong.
    pub fn judge(&self, reset: &Reset<'_>) {
        let Found::Valid(header) = inspect(reset.image) else { panic!("{reset}: no header") };
        assert_eq!(header, self.header, "{reset}");
        let g = header.geometry;
        let bytes = &reset.image[g.bank(self.bank) as usize..];
        let bank = Bank::new(bytes, g, header.banks[self.bank as usize], Fast::default()).expect("a bank");
        for core in 0..g.cores {
            self.judge_core(reset, &bank, core);
        }
    }

    fn judge_core(&self, reset: &Reset<'_>, bank: &Bank<'_, Fast>, core: u32) {
        let ring = bank.core(core);
        let mut found: BTreeMap<u64, Recovered<'_>> = BTreeMap::new();
        let (mut place, mut time) = ((0, 0), 0);
        for event in ring.events() {
            let number = Numbered::number_of(&event);
            let what = || format!("{reset}, core {core}: {:?}", Recovered { fields: &[], ..event });
            let fact = self.facts.get(number.wrapping_sub(FIRST) as usize);
            let Some(fact) = fact else { panic!("{}: invented", what()) };
            assert!(fact.sealed.is_some_and(|at| at < reset.done), "{}: not yet written", what());
            assert!(!fact.begun.discarded && fact.begun.core == core, "{}: given up, or another core's", what());
            assert_eq!((event.sequence, event.word), (fact.sequence, fact.word), "{}: its place", what());
            assert_eq!((event.id, event.flags, event.pid), (EVENT_ID, 0, 0), "{}", what());
            assert!((event.sequence, event.word) > place, "{}: order", what());
            place = (event.sequence, event.word);
            if event.time_is_certain {
                let (from, to) = fact.begun.times;
                let is_right = (from..=to).contains(&event.time_ns);
                assert!(is_right, "{}: a wrong time is called certain: {from}..={to}", what());
                assert!(event.time_ns >= time, "{}: a time goes back", what());
                time = event.time_ns;
            }
            assert!(found.insert(number, event).is_none(), "{}: twice", what());
        }
        let account = ring.account();
        let what = || format!("{reset}, core {core}: {account:?}");
        let own = || self.facts.iter().filter(|fact| fact.begun.core == core);
        for fact in own().filter(|fact| !fact.begun.discarded && fact.reached(reset)) {
            let is_found = found.contains_key(&fact.begun.number);
            assert!(is_found, "{}: not recovered: {:?}", what(), fact.begun);
        }
        assert!(account.sum_holds(), "{}: the sum", what());
        assert_eq!(account.recovered, found.len() as u64, "{}", what());
        let begun = own().filter(|fact| fact.begun.begin < reset.done).count() as u64;
        // Of a core that was not stopped in order: as many too many as there are holes, at most.
        let holes = if account.is_final { 0 } else { account.unfinished + account.damaged() };
        assert!(account.attempted <= begun + holes, "{}: only {begun} were begun", what());
        if account.is_final {
            let begun = self.closed[core as usize].expect("closed");
            // A writer that was stopped before its claim was not there yet.
            let unclaimed = own().filter(|fact| fact.begun.end.is_none() && fact.placed.is_none()).count() as u64;
            assert!((begun - unclaimed..=begun).contains(&account.attempted), "{}: {begun} were begun", what());
        }
        let ring_size = self.header.geometry.ring();
        let reached = own().filter(|fact| fact.begun.begin < reset.done).map(|fact| fact.begun.sequences.1).max();
        if reached < Some(ring_size) {
            assert_eq!(account.overwritten, 0, "{}: nothing has been overwritten yet", what());
        }
        // While the oldest sub-buffer is being overwritten, its events are damaged ones to whoever does not see by what.
        let in_flight =
            own().any(|fact| fact.begun.begin < reset.done && fact.begun.end.is_none_or(|end| end > reset.done));
        if reset.is_whole && !(in_flight && reached >= Some(ring_size)) {
            assert_eq!(account.damaged(), 0, "{}: nothing is missing in memory", what());
        }
        if reset.is_whole
            && own().all(|fact| fact.begun.end.is_some_and(|end| end <= reset.done) || fact.begun.begin >= reset.done)
        {
            assert_eq!(account.unfinished, 0, "{}: nobody was writing", what());
            for event in found.values() {
                assert!(event.verdict == Verdict::Good && event.time_is_certain, "{}: {event:?}", what());
            }
        }
    }

    /// Shows what the cores see after each operation.
    pub fn every_moment(&self, mut look: impl FnMut(Moment<'_>)) {
        let (mut cache, mut before) = (self.before.clone(), self.before.clone());
        for (i, operation) in self.operations.iter().enumerate() {
            if let Operation::Store { at, bytes } = operation {
                let range = *at as usize..*at as usize + bytes.len();
                before[range.clone()].copy_from_slice(&cache[range.clone()]);
                cache[range.clone()].copy_from_slice(bytes);
                look(Moment { done: i + 1, stored: *at, before: &before, region: &cache });
                before[range].copy_from_slice(bytes);
            }
        }
    }

    /// Checks what a mode promises of a reset that loses the whole cache: all that had been committed before it, up to the
    /// last (`CleanAt::Event`), or in all sub-buffers but the one that was open (`CleanAt::SubBuffer`).
    pub fn keeps_its_promise(&self, clean_at: CleanAt) -> Count {
        // One state after each operation: the memory alone.
        let ram = Ram::holding(self.before.clone());
        let mut count = Count::default();
        for done in 0..=self.operations.len() {
            if done >= self.from {
                let image = ram.persistent();
                self.promise(&image, done, clean_at);
                count += Count { operations: 1, states: 1, ..Count::default() };
            }
            if let Some(operation) = self.operations.get(done) {
                ram.apply(operation);
            }
        }
        count
    }

    fn promise(&self, image: &[u8], done: usize, clean_at: CleanAt) {
        let g = self.header.geometry;
        let bytes = &image[g.bank(self.bank) as usize..];
        let bank = Bank::new(bytes, g, self.header.banks[self.bank as usize], Fast::default()).expect("a bank");
        for core in 0..g.cores {
            let found: Vec<u64> = bank.core(core).events().map(|event| Numbered::number_of(&event)).collect();
            let committed = || {
                let all = self.facts.iter().filter(|fact| fact.begun.core == core && !fact.begun.discarded);
                all.filter(|fact| fact.begun.end.is_some_and(|end| end <= done) && !fact.begun.refused)
            };
            let open = committed().next_back().map_or(0, |fact| fact.sequence);
            let owed = committed().filter(|fact| fact.reused.is_none_or(|at| at >= done));
            for fact in owed.filter(|fact| clean_at == CleanAt::Event || fact.sequence < open) {
                assert!(found.contains(&fact.begun.number), "after {done} operations: {fact:?} is lost");
            }
        }
    }
}
