//! Parity under QEMU: a region that loses lines between two boots is put back by the second, which says what it did.

mod kernel;
use kernel::{REGION, machine, run, says};
use qemu::Outcome;
use qemu::console::{Account, tables};
use ring::format::Geometry;

const CORES: u32 = 4;
const LINE: u64 = 64;

/// Records, panics, tells it without acknowledging it; loses so many lines in each of three sub-buffers of core 2; and
/// tells it once more.
fn lose(parity: u32, lines: u64, status: i32) -> (Vec<Account>, Outcome) {
    let first = machine(&format!("parity={parity} events=20000 tail=0 ack=no"));
    let ram = first.make_ram().unwrap();
    let before = run(&first.ram(&ram), 0);
    let clean = tables(&before.console).remove(0).accounts;
    let geometry = Geometry::new(REGION.1, 4, CORES).and_then(|plain| plain.with_parity(parity)).unwrap();
    for subbuf in [3, 40, 41] {
        for line in 0..lines {
            let at = REGION.0 + geometry.bank(0) + geometry.subbuf(2, subbuf) + (5 + 9 * line) * LINE;
            let mut bytes = ram.read_range(at, LINE as usize).unwrap();
            for (column, byte) in (0u64..).zip(&mut bytes) {
                *byte ^= (1 + (97 * subbuf + 31 * line + 7 * column * (line + 1)) % 255) as u8;
            }
            ram.write(at, &bytes).unwrap();
        }
    }
    let second = run(&machine(&format!("parity={parity} cycles=0 tail=0")).ram(&ram), status);
    (clean, second)
}

#[test]
fn lines_that_are_lost_between_two_boots_are_put_back_and_no_event_is_missing() {
    let (before, outcome) = lose(4, 3, 0);
    says(&outcome, "parity lines for each");
    says(&outcome, "core 0: parity: 0 lines in 0 sub-buffers corrected, 0 beyond repair");
    says(&outcome, "core 2: parity: 9 lines in 3 sub-buffers corrected (576 bytes), 0 beyond repair");
    assert_eq!(tables(&outcome.console)[0].accounts, before, "{}", outcome.story());
    says(&outcome, "events recovered, intact");
}

#[test]
fn more_than_parity_can_put_back_is_told_and_the_sums_hold() {
    let (before, outcome) = lose(4, 4, 1);
    says(&outcome, "core 2: parity: 0 lines in 0 sub-buffers corrected, 3 beyond repair");
    let after = &tables(&outcome.console)[0].accounts;
    assert!(after.iter().all(Account::sum_holds), "{}", outcome.story());
    assert!(after[2].damaged > 0 && after[2].attempted == before[2].attempted, "{}", outcome.story());
}

#[test]
fn without_parity_the_same_lines_cost_their_events() {
    let (_, outcome) = lose(0, 3, 1);
    assert!(!outcome.console.contains("parity:"), "{}", outcome.story());
    assert!(tables(&outcome.console)[0].accounts[2].damaged > 0, "{}", outcome.story());
}

#[test]
fn parity_is_turned_on_and_off_as_soon_as_no_crash_is_left() {
    let first = machine("parity=8 events=500 tail=0");
    let ram = first.make_ram().unwrap();
    says(&run(&first.ram(&ram), 0), "8 parity lines for each");
    let second = run(&machine("events=500 cycles=3 tail=0").ram(&ram), 0);
    says(&second, "content    2 boots before this one");
    assert!(!second.console.contains("parity lines"), "{}", second.story());
    let all = tables(&second.console);
    assert!(!all.is_empty() && all.iter().flat_map(|table| &table.accounts).all(|a| a.is_whole()));
}
