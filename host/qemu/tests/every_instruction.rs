//! Nesting on the target itself: the kernel lets an NMI that records come at each single instruction of recording
//! (`nest=`), and reads its ring back after each. QEMU counts the instructions, so every run is the same.

mod kernel;
use kernel::run;
use qemu::console::tables;
use qemu::{Machine, Outcome, Threads};

/// One core whose counter ticks once an instruction.
fn machine(cpu: &str, shift: u8, arguments: &str) -> Machine {
    let machine = kernel::machine("events=0 tail=0");
    machine.cpu(cpu).smp(1).threads(Threads::Counted(shift)).append(arguments)
}

/// One line of the kernel's table.
#[derive(Debug)]
struct Row {
    instructions: u64,
    nmis: u64,
    first: u64,
    open: u64,
}

fn rows(outcome: &Outcome) -> Vec<Row> {
    let table = outcome.console.lines().skip_while(|line| !line.starts_with("an NMI that records"));
    let rows = table.skip(1).map_while(|line| {
        let numbers: Option<Vec<u64>> = line.split_whitespace().rev().take(4).map(|word| word.parse().ok()).collect();
        let [open, first, nmis, instructions] = numbers?[..] else { return None };
        Some(Row { instructions, nmis, first, open })
    });
    rows.collect()
}

/// The numbers in the only line, or two, that begin so.
fn numbers(outcome: &Outcome, is_it: &str, lines: usize) -> Vec<u64> {
    let text: Vec<_> = outcome.console.lines().skip_while(|line| !line.contains(is_it)).take(lines).collect();
    let words = text.iter().flat_map(|line| line.split(|c: char| !c.is_ascii_digit()));
    words.filter(|word| !word.is_empty()).map(|word| word.parse().unwrap()).collect()
}

#[test]
fn an_nmi_at_every_instruction_leaves_every_event_whole() {
    let machines = [
        ("max", 0, "nest=400 stop=feat-nmi"),
        ("cortex-a72", 4, "nest=400 stop=fiq"),
        ("cortex-a76", 4, "nest=400 stop=priority-mask clean=subbuffer"),
        ("max", 0, "nest=400 stop=priority-mask clean=event"),
    ];
    for (cpu, shift, arguments) in machines {
        let outcome = run(&machine(cpu, shift, arguments), 0);
        let story = outcome.story();
        let rows = rows(&outcome);
        assert_eq!(rows.len(), 8, "{story}");
        for row in &rows {
            // Each once; some before the event has its place, some behind; most while it is open.
            assert_eq!(row.nmis, row.instructions, "{row:?}\n{story}");
            assert!(row.instructions > 40 && (1..row.instructions).contains(&row.first), "{row:?}\n{story}");
            assert!((1..row.instructions).contains(&row.open), "{row:?}\n{story}");
        }
        let [pairs, _, in_handler, two_open, beside] = numbers(&outcome, " pairs of an ordinary", 2)[..] else {
            panic!("{story}")
        };
        assert_eq!(pairs, 400);
        assert!(in_handler > 100 && two_open > 40 && beside > 20 && in_handler + beside <= pairs, "{story}");
        let all: u64 = rows.iter().map(|row| row.instructions).sum();
        assert_eq!(numbers(&outcome, "nest: ", 1), [all, pairs], "{story}");
        // And the boot after the panic finds it all.
        let tables = tables(&outcome.console);
        assert_eq!(tables.len(), 1, "{story}");
        for account in &tables[0].accounts {
            assert!(account.is_whole() && account.unfinished == 0, "{account:?}\n{story}");
            assert!(account.attempted > 3 * all && account.recovered > 0, "{account:?}\n{story}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_pairs_and_another_one_others() {
    let pairs = |seed: u32| {
        let outcome = run(&machine("max", 0, &format!("nest=200 seed={seed}")), 0);
        (numbers(&outcome, " pairs of an ordinary", 2).split_off(2), outcome.console)
    };
    let (first, console) = pairs(1);
    assert_eq!(pairs(1).1, console);
    assert_ne!(pairs(2).0, first);
}

#[test]
fn a_counter_that_does_not_count_instructions_is_refused() {
    let outcome = run(&machine("max", 1, "nest=1"), 2);
    assert!(outcome.console.contains("the counter does not tick once an instruction"), "{}", outcome.story());
}
