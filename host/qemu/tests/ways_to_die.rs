//! Every way to die, and what the next boot must say of it: one table, run with every means of stop of the default machine.
//!
//! `AFTERGLOW_SEEDS=20` runs each row with twenty seeds: another core dies, after another number of events of other sizes, so
//! at another moment between two ticks. `AFTERGLOW_MEANS=all` adds the means of machines that are not the default. A row runs under counted instructions, so a seed that fails fails again; its error
//! names the command line.

mod kernel;
use kernel::{machine, run, says};
use qemu::console::{Account, tables};
use qemu::{Board, Machine, Outcome, Overlay, Threads, workspace};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

/// Cores of the machine.
const CORES: u32 = 4;
/// Bounds what hangs; no test waits for it.
const PATIENCE: Duration = Duration::from_secs(180);

/// A means of stop, and a machine that has it.
#[derive(Clone, Copy)]
struct Means {
    /// `stop=`.
    word: &'static str,
    /// As the dump names it.
    name: &'static str,
    board: Board,
    /// On [`Board::Virt`].
    cpu: &'static str,
    gic: u8,
    el2: bool,
    /// A core with all of DAIF masked is stopped too.
    reaches_all: bool,
    /// The stop tick has a handler at EL1, in which somebody can die.
    at_el1: bool,
    /// Only with `AFTERGLOW_MEANS=all`.
    on_demand: bool,
}

#[rustfmt::skip]
const MEANS: [Means; 7] = [
    Means { word: "auto", name: "FIQ", board: Board::Virt, cpu: "cortex-a76", gic: 3, el2: false, reaches_all: false, at_el1: true, on_demand: false },
    Means { word: "priority-mask", name: "GICv3 priority mask", board: Board::Virt, cpu: "cortex-a76", gic: 3, el2: false, reaches_all: false, at_el1: true, on_demand: false },
    Means { word: "feat-nmi", name: "FEAT_NMI", board: Board::Virt, cpu: "max", gic: 3, el2: false, reaches_all: true, at_el1: true, on_demand: true },
    Means { word: "priority-mask", name: "GICv2 priority mask", board: Board::Virt, cpu: "cortex-a72", gic: 2, el2: false, reaches_all: false, at_el1: true, on_demand: true },
    Means { word: "el2", name: "own EL2", board: Board::Virt, cpu: "cortex-a76", gic: 3, el2: true, reaches_all: true, at_el1: false, on_demand: true },
    Means { word: "fiq", name: "FIQ", board: Board::Raspi3b, cpu: "", gic: 0, el2: false, reaches_all: false, at_el1: true, on_demand: true },
    Means { word: "auto", name: "own EL2", board: Board::Raspi3b, cpu: "", gic: 0, el2: true, reaches_all: true, at_el1: false, on_demand: true },
];

impl Means {
    fn machine(self, arguments: &str) -> Machine {
        match self.board {
            Board::Virt => machine(arguments).cpu(self.cpu).gic(self.gic).el2(self.el2),
            board => {
                let machine = Machine::new(board).kernel(workspace::kernel().unwrap());
                machine.overlay(Overlay::region_of(board)).append(arguments)
            }
        }
    }
}

/// Which core panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    /// The one of `die_core`.
    Dying,
    /// Not that one.
    Another,
    /// One of all.
    Any,
    /// The boot core.
    Boot,
}

/// What became of the others.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Others {
    /// Stopped while they recorded.
    Stopped,
    /// Stopped in the handler of an ordinary interrupt.
    InHandler,
    /// Stopped with ordinary interrupts masked.
    Masked,
    /// All of DAIF was masked: stopped or, where that keeps the tick out, waited for in vain.
    AllMasked,
    /// One core, that of `die_core`, is as above; the rest as [`Others::Stopped`].
    OneAllMasked,
    /// They panicked too.
    Panicked,
    /// Stopped, or they panicked too.
    StoppedOrPanicked,
    /// They were never started.
    NotRun,
}

/// A way to die, and what the next boot must say.
#[derive(Clone, Copy)]
struct Row {
    /// The command line, without what every row has.
    line: &'static str,
    /// What the boot says that tells it; `{core}` is the core that died.
    says: &'static [&'static str],
    who: Who,
    others: Others,
}

const fn row(line: &'static str, says: &'static [&'static str], who: Who, others: Others) -> Row {
    Row { line, says, who, others }
}

use Others::{AllMasked, InHandler, Masked, NotRun, OneAllMasked, Panicked, Stopped, StoppedOrPanicked};
use Who::{Another, Any, Boot, Dying};

/// All crashes. Of each: the sums hold, nothing is damaged, every core's events are there up to the last.
#[rustfmt::skip]
const CRASHES: &[Row] = &[
    row("die=panic", &["asked for on the command line: core {core} has recorded enough", "at kernel/src/die.rs:"], Dying, Stopped),
    row("die=index", &["index out of bounds: the len is 4 but the index is 4"], Dying, Stopped),
    row("die=heap", &["memory allocation of 16384 bytes failed"], Dying, Stopped),
    row("die=data-abort", &["data abort: translation fault, level 0, read", "address 0x7fff00000000"], Dying, Stopped),
    row("die=instruction-abort", &["instruction abort: translation fault, level 0", "pc 0x7fff00000000"], Dying, Stopped),
    row("die=undefined", &["undefined instruction"], Dying, Stopped),
    row("die=alignment", &["data abort: alignment fault"], Dying, Stopped),
    row("die=external-abort", &["data abort: external abort, write", "far 0x7000000000"], Dying, Stopped),
    row("die=write-rodata", &["data abort: permission fault, level 3, write", "in the kernel's constants"], Dying, Stopped),
    row("die=write-text", &["data abort: permission fault, level 3, write", "in the kernel's code"], Dying, Stopped),
    row("die=exec-data", &["instruction abort: permission fault, level 3", "in the kernel's variables"], Dying, Stopped),
    row("die=overflow-thread", &["level 3, write", "guard page under the thread stack of core {core}"], Dying, Stopped),
    row("die=overflow-irq", &["level 3, write", "guard page under the IRQ stack of core {core}"], Dying, Stopped),
    row("die=overflow-nmi", &["level 3, write", "guard page under the NMI stack of core {core}"], Dying, Stopped),
    row("die=panic-in-irq", &["asked for by die=panic-in-irq"], Dying, Stopped),
    row("die=panic-in-nmi", &["asked for by die=panic-in-nmi"], Dying, Stopped),
    row("die=panic-in-event", &["asked for by die=panic-in-event"], Dying, Stopped),
    row("die=panic-in-log", &["a message panics while it is formatted"], Dying, Stopped),
    row("die=panic-holding-console", &["asked for by die=panic-holding-console"], Dying, Stopped),
    row("die=panic-everywhere", &["asked for by die=panic-everywhere"], Any, Panicked),
    // A panic that is interrupted before its record is written is told by the one that interrupted it.
    row("die=panic-at-stop", &["asked for by die=panic-at-stop"], Dying, Stopped),
    row("die=panic-at-record", &["asked for by die=panic-at-record"], Dying, Stopped),
    row("die=panic-at-say", &["asked for on the command line", "then, in the panic path (step say): asked for by die=panic-at-say"], Dying, Stopped),
    row("die=panic-at-wait", &["asked for on the command line", "then, in the panic path (step wait): asked for by die=panic-at-wait"], Dying, Stopped),
    row("die=panic-at-clean", &["asked for on the command line", "then, in the panic path (step clean): asked for by die=panic-at-clean"], Dying, Stopped),
    row("die=panic-at-tell", &["asked for on the command line", "then, in the panic path (step tell): asked for by die=panic-at-tell"], Dying, Stopped),
    row("die=panic-at-reset", &["asked for on the command line", "then, in the panic path (step reset): asked for by die=panic-at-reset"], Dying, Stopped),
    row("die=panic-before-cores", &["asked for by die=panic-before-cores"], Boot, NotRun),
    row("die=panic-in-recovery", &["asked for on the command line", "boot 2 panicked on core 0", "asked for by die=panic-in-recovery"], Dying, Stopped),
    row("die=panic-in-dump", &["asked for on the command line", "boot 2 panicked on core 0", "asked for by die=panic-in-dump"], Dying, Stopped),
    row("die=lock-up hang=1", &["locked up: no ordinary interrupt came through for too long"], Dying, Stopped),
    row("die=lock-up-all-masked hang=1", &["core {dying} is locked up: it has given no sign of life for 1 s"], Another, OneAllMasked),
    row("die=lock-up-others hang=1", &["locked up: no ordinary interrupt came through for too long"], Another, StoppedOrPanicked),
    row("die=panic others=irq-handler", &["asked for on the command line"], Dying, InHandler),
    row("die=panic others=masked", &["asked for on the command line"], Dying, Masked),
    row("die=panic others=all-masked", &["asked for on the command line"], Dying, AllMasked),
    row("die=panic others=console", &["asked for on the command line"], Dying, Masked),
    row("die=overflow-irq others=irq-handler", &["guard page under the IRQ stack of core {core}"], Dying, InHandler),
    row("die=panic-in-nmi others=masked", &["asked for by die=panic-in-nmi"], Dying, Masked),
    row("die=panic-at-clean others=all-masked", &["then, in the panic path (step clean): asked for by die=panic-at-clean"], Dying, AllMasked),
    row("die=panic-holding-console others=irq-handler", &["asked for by die=panic-holding-console"], Dying, InHandler),
];

/// Ends that are no crash: the next boot tells of none.
const PEACEFUL: &[&str] = &[
    "die=reboot",
    "die=reboot others=irq-handler",
    "die=reboot others=masked",
    "die=reboot others=all-masked",
    "die=reboot others=console",
];

/// From the panic to the request for the reset, in microseconds of the guest at 8 ns an instruction: the others' next tick,
/// the clean, and all that is said.
const TOOK_MAX_US: u64 = 6_000;
/// As long again for cores that do not answer.
const WAIT_MAX_US: u64 = 2_100_000;

/// How the machine is, and who dies when, by the seed.
struct Case {
    machine: Machine,
    /// An instruction takes 2^this nanoseconds.
    shift: u8,
    /// `die_core`.
    dying: u32,
}

fn case(line: &str, means: Means, seed: u64) -> Case {
    let dying = ((seed + 1) % u64::from(CORES)) as u32;
    let events = 100 + seed * 7919 % 1000;
    // What takes seconds of the guest's time takes fewer instructions where each takes longer.
    let shift = if line.contains("lock-up") || line.contains("all-masked") { 6 } else { 3 };
    let arguments = format!(
        "tail=0 crash_loop=0 stop={} die_core={dying} events={events} payload=8..64 seed={seed} {line}",
        means.word
    );
    Case { machine: means.machine(&arguments).threads(Threads::Counted(shift)), shift, dying }
}

/// Runs a row once and judges it.
fn die(row: &Row, means: Means, seed: u64) {
    let Case { machine, shift, dying } = case(row.line, means, seed);
    if !means.at_el1 && row.line.contains("-nmi") {
        return says(&run(&machine, 2), "no stop tick comes to this level: EL2 takes them all");
    }
    let outcome = run(&machine, 0);
    let story = outcome.story();
    let told = outcome.console.rfind("  content  ").map_or("", |at| &outcome.console[at..]);
    let who = panicked(told).unwrap_or_else(|| panic!("nobody panicked\n{story}"));
    let expected = match row.who {
        Dying => who == dying,
        Another => who != dying || means.reaches_all,
        Any => true,
        Boot => who == 0,
    };
    assert!(expected, "core {who} panicked\n{story}");
    for text in row.says {
        let text = text.replace("{core}", &who.to_string()).replace("{dying}", &dying.to_string());
        // A core that is reached whatever it masks finds out by itself.
        let text = if row.others == OneAllMasked && means.reaches_all { "locked up: no ordinary".into() } else { text };
        assert!(told.contains(&text), "the next boot does not say {text:?}\n{story}");
    }
    let fates: Vec<&str> = (0..CORES).map(|core| fate(told, core)).collect();
    for core in 0..CORES {
        let expected = if core == who { Panicked } else { expected_of(row.others, core, dying) };
        let fate = fates[core as usize];
        assert!(is_as(fate, expected, means), "core {core}: {fate:?} is not {expected:?}\n{story}");
    }
    let answered = fates.iter().all(|fate| !fate.starts_with("did not answer: waited"));
    let took = reset_asked(&outcome.console).unwrap_or_else(|| panic!("it does not say when\n{story}"));
    let bound = TOOK_MAX_US * if shift > 3 { 8 } else { 1 };
    let bound = bound + if answered { 0 } else { WAIT_MAX_US };
    assert!(took < bound, "the reset was asked for after {took} us, not {bound}\n{story}");
    accounts(row, &outcome, who);
}

fn expected_of(others: Others, core: u32, dying: u32) -> Others {
    match others {
        OneAllMasked if core == dying => AllMasked,
        OneAllMasked => Stopped,
        others => others,
    }
}

/// The sums hold, nothing is damaged, and every event is there that a core had recorded before the end began.
fn accounts(row: &Row, outcome: &Outcome, who: u32) {
    let story = outcome.story();
    let tables = tables(&outcome.console);
    let crashes = if row.line.contains("panic-in-dump") || row.line.contains("panic-in-recovery") { 2 } else { 1 };
    let boots: Vec<_> = tables.iter().map(|table| table.boot).collect();
    assert_eq!(boots, [Some(1), Some(2)][..crashes], "{story}");
    for account in tables.iter().flat_map(|table| &table.accounts) {
        assert!(account.is_whole(), "{account:?}\n{story}");
        // In flight: at most one on each of four levels. Refused: only the last word of a core whose recorder was off.
        assert!(account.unfinished <= 4 && account.dropped <= 1, "{account:?}\n{story}");
    }
    for account in &tables[0].accounts {
        let ran = row.others != NotRun || account.core == who;
        assert_eq!(account.recovered > 0, ran, "{account:?}\n{story}");
        let had = recorded(&outcome.console, account.core);
        assert!(account.attempted >= had, "{account:?} had recorded {had}\n{story}");
    }
    if row.line.contains("panic-in-event") {
        assert_eq!(tables[0].accounts[who as usize].unfinished, 1, "{story}");
    }
    let intact = outcome.console.matches("events recovered, intact").count();
    assert_eq!(intact, crashes, "{story}");
}

/// From "boot 1 panicked on core 2 at     0.123456".
fn panicked(told: &str) -> Option<u32> {
    told.split_once("boot 1 panicked on core ")?.1.split(' ').next()?.parse().ok()
}

/// What a dump says of a core, behind "core 1: ".
fn fate(told: &str, core: u32) -> &str {
    let begin = format!("  core {core}: ");
    told.lines().find_map(|line| line.strip_prefix(begin.as_str())).unwrap_or_default()
}

/// From the first boot's last words, "panic: entry +0 ns, ... reset asked +1290000 ns": microseconds.
fn reset_asked(console: &str) -> Option<u64> {
    let number = console.split_once("reset asked +")?.1.split(' ').next()?;
    Some(number.parse::<u64>().ok()? / 1000)
}

/// From "  core 1: 320 events recorded, 0 refused, in sub-buffer 0", which the dying boot says; 0 if it did not come that far.
fn recorded(console: &str, core: u32) -> u64 {
    let begin = format!("  core {core}: ");
    let line =
        console.lines().filter_map(|line| line.strip_prefix(begin.as_str())).find(|l| l.contains("events recorded"));
    line.and_then(|line| line.split(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Whether what a dump says of a core is what was expected.
fn is_as(fate: &str, expected: Others, means: Means) -> bool {
    let stopped = fate.starts_with("stopped at ") && fate.contains(&format!(" by {},", means.name));
    let in_handler = fate.contains(" in an interrupt handler, ");
    let masks = |what: &str| stopped && fate.contains(&format!(", {what} masked"));
    match expected {
        Stopped => stopped,
        InHandler => in_handler && masks("ordinary interrupts"),
        Masked => !in_handler && masks("ordinary interrupts"),
        AllMasked if means.reaches_all => masks("everything"),
        AllMasked => fate.starts_with("did not answer: waited 2"),
        Panicked => fate.starts_with("panicked "),
        StoppedOrPanicked => stopped || fate.starts_with("panicked too: "),
        NotRun => fate == "did not run",
        OneAllMasked => unreachable!("a core is one or the other"),
    }
}

/// The next boot after an end that is no crash has nothing to tell.
fn end_in_peace(line: &str, means: Means, seed: u64) {
    let outcome = run(&case(line, means, seed).machine, 0);
    let story = outcome.story();
    says(&outcome, "shut down cleanly, as asked for by die=reboot");
    says(&outcome, "content    1 boot before this one");
    assert!(!outcome.console.contains("crash in bank") && !outcome.console.contains("panicked"), "{story}");
}

/// `AFTERGLOW_SEEDS`, or 1.
fn seeds() -> u64 {
    std::env::var("AFTERGLOW_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Does all jobs, as many at a time as the harness lets machines run, and reports every one that fails.
fn all<'a>(jobs: impl IntoIterator<Item = (String, Box<dyn Fn() + Send + 'a>)>) {
    let jobs: Mutex<VecDeque<_>> = Mutex::new(jobs.into_iter().collect());
    let failures = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some((name, job)) = jobs.lock().unwrap().pop_front() else { return };
                    if catch_unwind(AssertUnwindSafe(job)).is_err() {
                        failures.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_way_to_die_is_told_by_the_next_boot() {
    let mut jobs: Vec<(String, Box<dyn Fn() + Send>)> = Vec::new();
    let all_means = std::env::var("AFTERGLOW_MEANS").is_ok_and(|text| text == "all");
    for seed in 1..=seeds() {
        for means in MEANS.into_iter().filter(|means| !means.on_demand || all_means) {
            for row in CRASHES {
                let name = format!("{} by {} on {:?}, seed {seed}", row.line, means.name, means.board);
                jobs.push((name, Box::new(move || die(row, means, seed))));
            }
            for line in PEACEFUL {
                let name = format!("{line} by {} on {:?}, seed {seed}", means.name, means.board);
                jobs.push((name, Box::new(move || end_in_peace(line, means, seed))));
            }
        }
    }
    all(jobs);
}

#[test]
fn a_clean_power_off_is_no_crash_whatever_the_others_do() {
    for others in ["work", "irq-handler", "all-masked", "console"] {
        let machine = case(&format!("die=poweroff others={others}"), MEANS[0], 1).machine;
        let ram = machine.make_ram().unwrap();
        says(&run(&machine.clone().ram(&ram), 0), "shut down cleanly, as asked for by die=poweroff");
        let next = run(&machine.append("cycles=0").ram(&ram), 0);
        says(&next, "content    1 boot before this one");
        assert!(!next.console.contains("crash in bank"), "{}", next.story());
    }
}

#[test]
fn a_panic_before_the_region_is_looked_for_leaves_an_older_crash_as_it_was() {
    let first = machine("die=panic ack=no events=300 tail=0").extra(["-no-reboot"]);
    let ram = first.make_ram().unwrap();
    run(&first.clone().ram(&ram), 0);
    let early = run(&first.append("die=panic-early").ram(&ram), 0);
    says(&early, "panic: core 0: asked for by die=panic-early");
    says(&early, "panic: no region is there yet");
    says(&early, "reset: asking for it by PSCI SYSTEM_RESET");
    let next = run(&machine("cycles=0 tail=0").ram(&ram), 0);
    says(&next, "content    1 boot before this one");
    says(&next, "boot 1 panicked on core 0");
    says(&next, "events recovered, intact");
}

#[test]
fn a_reset_from_outside_at_any_time_is_accounted_for_and_never_called_a_panic() {
    for seed in 1..=seeds() {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // It never ends by itself.
        let arguments = "cycles=1000000 events=1000000000 payload=8..200 tail=0 crash_loop=0";
        let mut running = machine(arguments).qmp().start(PATIENCE).unwrap();
        running.expect("recording 1000000000 events", PATIENCE).unwrap();
        for _ in 0..8 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Into the boot, the dump or the workload, as it comes.
            std::thread::sleep(Duration::from_micros(random % 120_000));
            running.qmp().unwrap().system_reset().unwrap();
        }
        // The last one is told too.
        std::thread::sleep(Duration::from_millis(1));
        running.expect("recording 1000000000 events", PATIENCE).unwrap();
        running.qmp().unwrap().quit().unwrap();
        let outcome = running.wait().unwrap();
        let story = outcome.story();
        says(&outcome, "ended in a reset without a word");
        assert!(!outcome.console.contains("panicked") && !outcome.console.contains("panic:"), "{story}");
        assert!(!outcome.console.contains("cold: ") || outcome.console.matches("cold: ").count() == 1, "{story}");
        let accounts: Vec<Account> = tables(&outcome.console).into_iter().flat_map(|table| table.accounts).collect();
        assert!(accounts.iter().any(|account| account.recovered > 0), "{story}");
        assert!(accounts.iter().all(Account::sum_holds), "{accounts:?}\n{story}");
    }
}
