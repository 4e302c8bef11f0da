//! The device tree that a machine starts with: QEMU's own, or the one that Linux has for the board, and an overlay that adds
//! the persistent region to it.
//!
//! QEMU dumps its tree with the machine options of the later run; for a board that it has none for there is a file. dtc
//! compiles the overlay, fdtoverlay applies it. The result stays in the cache under what it was made of, so that the next run
//! has it at once.

use crate::machine::{Board, Machine};
use crate::{cache, installation, process, workspace};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The source of an overlay.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Overlay {
    source: String,
}

impl Overlay {
    /// The one of boards/overlays that gives QEMU's `virt` its region: 8 MiB at 0x50000000.
    #[must_use]
    pub fn virt_region() -> Self {
        Self::from_source(include_str!("../../../boards/overlays/virt-region.dtso"))
    }

    /// The one of boards/overlays that gives a Raspberry Pi 4 its region: 8 MiB at 0x0b000000.
    #[must_use]
    pub fn rpi4_region() -> Self {
        Self::from_source(include_str!("../../../boards/overlays/afterglow-2-1.dtso"))
    }

    /// The one of boards/overlays that gives a Raspberry Pi 3 its region: 8 MiB at 0x0b000000.
    #[must_use]
    pub fn rpi3_region() -> Self {
        Self::from_source(include_str!("../../../boards/overlays/afterglow-1-1.dtso"))
    }

    /// The region that a board gets unless told otherwise.
    #[must_use]
    pub fn region_of(board: Board) -> Self {
        match board {
            Board::Virt => Self::virt_region(),
            Board::Raspi4b => Self::rpi4_region(),
            Board::Raspi3b => Self::rpi3_region(),
        }
    }

    /// A region of another place and size, in bytes, of a machine with two address and two size cells.
    #[must_use]
    pub fn region(base: u64, size: u64) -> Self {
        Self::region_at(Board::Virt, base, size)
    }

    /// A region of another place and size, in bytes, written with the cells that the board's tree has.
    #[must_use]
    pub fn region_at(board: Board, base: u64, size: u64) -> Self {
        let cells = |value: u64| format!("{:#x} {:#x}", value >> 32, value & 0xffff_ffff);
        let name = format!("persistent-ring@{base:x}");
        match board {
            Board::Virt => Self::region_node(&name, &format!("reg = <{} {}>;", cells(base), cells(size))),
            Board::Raspi4b | Board::Raspi3b => Self::from_source(format!(
                r#"/dts-v1/;
/plugin/;
/ {{
    fragment@0 {{
        target-path = "/reserved-memory";
        __overlay__ {{
            {name} {{
                compatible = "afterglow,persistent-ring";
                reg = <{} {size:#x}>;
            }};
        }};
    }};
}};
"#,
                if board == Board::Raspi3b { format!("{base:#x}") } else { cells(base) }
            )),
        }
    }

    /// A node with these properties under `/reserved-memory`; the properties are source text. For nodes that are wrong.
    #[must_use]
    pub fn region_node(name: &str, properties: &str) -> Self {
        Self::from_source(format!(
            r#"/dts-v1/;
/plugin/;
/ {{
    fragment@0 {{
        target-path = "/";
        __overlay__ {{
            #address-cells = <2>;
            #size-cells = <2>;
            reserved-memory {{
                #address-cells = <2>;
                #size-cells = <2>;
                ranges;
                {name} {{
                    compatible = "afterglow,persistent-ring";
                    {properties}
                }};
            }};
        }};
    }};
}};
"#
        ))
    }

    /// Any overlay, as dtc's source text.
    #[must_use]
    pub fn from_source(source: impl Into<String>) -> Self {
        Self { source: source.into() }
    }

    /// Any overlay, from a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(Self::from_source(fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?))
    }
}

/// The device tree that QEMU makes for a machine.
///
/// # Errors
/// QEMU is missing, or does not know the machine or cannot say its tree.
pub fn dumped(machine: &Machine) -> Result<PathBuf> {
    let arguments = machine.machine_arguments();
    let key = (machine.qemu()?.version(), &arguments);
    cache::file(machine.board().name(), "dtb", &key, |path| {
        let mut command = Command::new(machine.qemu()?.path());
        let mut dump = OsString::from("dumpdtb=");
        dump.push(crate::words::option_value(path));
        command.args(&arguments).arg("-machine").arg(dump).args(["-nic", "none", "-display", "none"]);
        process::output(command).context("QEMU does not write its device tree")?;
        Ok(())
    })
}

/// The device tree of a machine as it comes: QEMU's own, or the file for a board that QEMU has none for.
///
/// # Errors
/// As [`dumped`].
pub fn plain(machine: &Machine) -> Result<PathBuf> {
    match machine.board() {
        Board::Virt => dumped(machine),
        Board::Raspi4b => linux(machine, "bcm2711-rpi-4-b"),
        Board::Raspi3b => linux(machine, "bcm2837-rpi-3-b"),
    }
}

/// Linux's tree of a board, with the console that the machine is to have.
fn linux(machine: &Machine, name: &str) -> Result<PathBuf> {
    let (tree, stdout) =
        (workspace::root().join("kernel/tests/data").join(name).with_extension("dtb"), machine.stdout_path());
    cache::file(name, "dtb", &(&tree, stdout), |path| {
        fs::copy(&tree, path).with_context(|| format!("{} cannot be copied", tree.display()))?;
        let mut fdtput = Command::new("fdtput");
        fdtput.args(["-t", "s"]).arg(path).args(["/chosen", "stdout-path", stdout]);
        installation::device_tree_tool(fdtput).context("the tree's console cannot be set")
    })
}

/// A tree without the nodes whose name begins so: for machines that boot a thousand times, and would read them each time.
///
/// # Errors
/// dtc is missing, or does not understand the tree.
pub fn without(tree: &Path, nodes: &'static str) -> Result<PathBuf> {
    cache::file("slim", "dtb", &(tree, nodes), |path| {
        let mut decompile = Command::new("dtc");
        decompile.args(["-q", "-I", "dtb", "-O", "dts"]).arg(tree);
        let mut text = String::from_utf8(process::output(decompile).context("the tree cannot be read")?)?;
        let names =
            text.lines().filter_map(|line| line.trim().strip_suffix(" {")).filter(|name| name.starts_with(nodes));
        let deleted: String = names.map(|name| format!("\t/delete-node/ {name};\n")).collect();
        text.push_str(&format!("/ {{\n{deleted}}};\n"));
        let source = path.with_extension("dts");
        fs::write(&source, text).context("the tree cannot be written: free some space")?;
        let mut compile = Command::new("dtc");
        compile.args(["-q", "-I", "dts", "-O", "dtb", "-o"]).arg(path).arg(&source);
        installation::device_tree_tool(compile).context("the tree cannot be compiled")
    })
}

/// The device tree of a machine, with an overlay.
///
/// # Errors
/// As [`dumped`]; dtc or fdtoverlay is missing; the overlay is wrong, or does not fit the tree.
pub fn with_overlay(machine: &Machine, overlay: &Overlay) -> Result<PathBuf> {
    let tree = plain(machine)?;
    let name = format!("{}-overlay", machine.board().name());
    cache::file(&name, "dtb", &(&tree, overlay), |path| {
        let (source, compiled) = (path.with_extension("dtso"), path.with_extension("dtbo"));
        fs::write(&source, &overlay.source).context("the overlay cannot be written: free some space")?;
        let mut dtc = Command::new("dtc");
        dtc.args(["-q", "-@", "-I", "dts", "-O", "dtb", "-o"]).arg(&compiled).arg(&source);
        installation::device_tree_tool(dtc).context("the overlay cannot be compiled")?;
        let mut fdtoverlay = Command::new("fdtoverlay");
        fdtoverlay.arg("-i").arg(&tree).arg("-o").arg(path).arg(&compiled);
        installation::device_tree_tool(fdtoverlay).context("the overlay cannot be applied")
    })
}
