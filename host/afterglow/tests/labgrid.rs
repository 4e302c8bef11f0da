//! The example for boards in CI, `examples/labgrid`, as it stands: labgrid's own QEMU driver, then a coordinator, an exporter and two
//! simulated boards at once; each does the panic loop, and rejects what a power cut left.

use std::path::Path;
use std::process::Command;

#[test]
fn the_example_runs_the_panic_loop_on_two_places_at_once_and_rejects_what_a_power_cut_left() {
    let root = qemu::workspace::root();
    let python = root.join("target/labgrid/bin/python");
    assert!(python.exists(), "labgrid is not there: scripts/setup.sh --tests installs it");
    // Whatever a test leaves, also one that fails, goes with this.
    let temporary = tempfile::tempdir().unwrap();
    let ran = Command::new("timeout")
        .args(["--kill-after=20", "300"])
        .arg(&python)
        .arg(root.join("examples/labgrid/exercise.py"))
        .args(["--crashes", "2", "--afterglow", env!("CARGO_BIN_EXE_afterglow"), "--kernel"])
        .arg(qemu::workspace::kernel_file().unwrap())
        .env("TMPDIR", temporary.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{}\n{said}\n{}", ran.status, String::from_utf8_lossy(&ran.stderr));
    for who in ["QEMUDriver", "board1", "board2"] {
        assert!(said.lines().any(|line| line.starts_with(&format!("{who}: 2 passed"))), "{who}\n{said}");
    }
    let refusal = said.lines().find(|line| line.starts_with("a second user: ")).expect("a second user is turned away");
    assert!(refusal.contains("already acquired"), "{refusal}");
    assert!(!Path::new(&root).join("examples/labgrid/places.yaml").exists(), "the coordinator's notes are temporary");
}
