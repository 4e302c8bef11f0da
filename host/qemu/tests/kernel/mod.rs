//! This project's own kernel as a guest, for the tests that boot it.
#![allow(dead_code, reason = "each test file uses its part")]

use qemu::console::tables;
use qemu::{Machine, Outcome, Overlay, workspace};
use std::time::Duration;

/// Bounds what hangs; no test waits for it.
const PATIENCE: Duration = Duration::from_secs(180);
/// Where the overlay of `boards/overlays` puts the region, and its size.
pub(crate) const REGION: (u64, u64) = (0x5000_0000, 8 << 20);

pub(crate) fn machine(arguments: &str) -> Machine {
    Machine::virt().kernel(workspace::kernel().unwrap()).overlay(Overlay::virt_region()).append(arguments)
}

pub(crate) fn run(machine: &Machine, status: i32) -> Outcome {
    let outcome = machine.run(PATIENCE).unwrap();
    outcome.expect_exit(status).unwrap();
    outcome
}

/// The first crash was told of all four cores: each sum holds, nothing is damaged, something was recovered.
pub(crate) fn told_whole(outcome: &Outcome) {
    let accounts = &tables(&outcome.console)[0].accounts;
    assert_eq!(accounts.len(), 4, "{}", outcome.story());
    for account in accounts {
        assert!(account.is_whole() && account.recovered > 0, "{account:?}\n{}", outcome.story());
    }
}

pub(crate) fn says(outcome: &Outcome, text: &str) {
    assert!(outcome.console.contains(text), "it does not say {text:?}\n{}", outcome.story());
}
