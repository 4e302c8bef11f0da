//! The overlay that reserves the persistent region, as the board's own device tree wants it written.
//!
//! How many cells an address and a size take is for the tree to say, and differs between releases of one board's. Which overlay
//! fits is therefore found by reading the tree that goes onto the card, with the code by which the kernel will read it.

use anyhow::{Context, Result, bail, ensure};
pub use kernel::device_tree::Cells;
use kernel::device_tree::validate;
use std::io::ErrorKind;
use std::process::Command;

/// The overlays: address cells, size cells, source.
const VARIANTS: &[(u32, u32, &str)] = &[
    (1, 1, include_str!("../../../boards/overlays/afterglow-1-1.dtso")),
    (2, 1, include_str!("../../../boards/overlays/afterglow-2-1.dtso")),
    (2, 2, include_str!("../../../boards/overlays/afterglow-2-2.dtso")),
];

/// How a compiled device tree writes what it reserves.
///
/// # Errors
/// It is no device tree, or it has no `/reserved-memory`, which an overlay could add to.
pub fn cells_of(tree: &[u8]) -> Result<Cells> {
    let tree = validate(tree).map_err(|error| anyhow::anyhow!("it is no device tree: {error}"))?;
    ensure!(
        tree.node("/reserved-memory").is_some(),
        "it has no /reserved-memory, so it is not one of Raspberry Pi's: take the firmware's own"
    );
    Ok(tree.reserved_memory_cells())
}

/// The source of the overlay for a tree with these cells.
///
/// # Errors
/// There is none.
pub fn source_for(cells: Cells) -> Result<&'static str> {
    let found = VARIANTS.iter().find(|(address, size, _)| (*address, *size) == (cells.address, cells.size));
    let Some((_, _, source)) = found else {
        bail!(
            "its /reserved-memory has {} address cells and {} size cells, and there is no overlay for that: add one to \
             boards/overlays",
            cells.address,
            cells.size
        )
    };
    Ok(source)
}

/// Compiles an overlay's source.
///
/// # Errors
/// dtc is missing, or the source is wrong.
pub fn compile(source: &str) -> Result<Vec<u8>> {
    let directory = tempfile::tempdir().context("no temporary directory can be made: free some space")?;
    let (from, to) = (directory.path().join("overlay.dtso"), directory.path().join("overlay.dtbo"));
    std::fs::write(&from, source).context("the overlay cannot be written: free some space")?;
    let mut dtc = Command::new("dtc");
    // Without its warnings: it checks an overlay's nodes against the default cells, and they are the tree's.
    dtc.args(["-q", "-q", "-@", "-I", "dts", "-O", "dtb", "-o"]).arg(&to).arg(&from);
    let output = match dtc.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("dtc is not in PATH: run scripts/setup.sh, or install device-tree-compiler")
        }
        other => other.context("dtc does not run")?,
    };
    ensure!(output.status.success(), "dtc refuses the overlay: {}", String::from_utf8_lossy(&output.stderr).trim());
    std::fs::read(&to).context("what dtc wrote cannot be read")
}
