//! The cores, and how each is started: `/cpus` (Devicetree Specification 0.4, 3.8) and the PSCI node.

use fdt::nodes::NodeName;

use super::cells::{Malformed, Problem, Reg};
use super::{Children, Node, Tree};

/// One core that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu<'a> {
    /// Its node: `cpu@0`.
    pub name: NodeName<'a>,
    /// `reg`: the affinity fields of its MPIDR_EL1, in their places.
    pub mpidr: u64,
    /// How to start it.
    pub enable: EnableMethod<'a>,
}

/// How a core is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnableMethod<'a> {
    /// By PSCI CPU_ON.
    Psci,
    /// By writing the entry address where the core spins.
    SpinTable {
        /// `cpu-release-addr`: physical address of the 64-bit word it polls.
        release: u64,
    },
    /// By something that this kernel does not know.
    Other(&'a str),
    /// The tree does not say: the core can only be the one that is running.
    Missing,
}

/// How firmware is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// The HVC instruction, to EL2.
    Hvc,
    /// The SMC instruction, to EL3 (or to who emulates it).
    Smc,
}

/// Iterates over the usable cores: see [`Tree::cpus`].
pub struct Cpus<'a> {
    children: Option<Children<'a>>,
}

impl<'a> Tree<'a> {
    /// The cores whose status is okay, in tree order. A malformed one is an error in its place; the others follow.
    pub fn cpus(&self) -> Cpus<'a> {
        Cpus { children: self.root().child("cpus").map(|cpus| cpus.children()) }
    }

    /// How PSCI (0.2 or later) is called; None if the tree has none.
    ///
    /// # Errors
    /// [`Malformed`]: `method` is neither `hvc` nor `smc`.
    pub fn psci(&self) -> Result<Option<Conduit>, Malformed<'a>> {
        let Some(node) = self.find_compatible(&["arm,psci-1.0", "arm,psci-0.2"]) else { return Ok(None) };
        match node.text("method") {
            Some("hvc") => Ok(Some(Conduit::Hvc)),
            Some("smc") => Ok(Some(Conduit::Smc)),
            _ => Err(node.malformed("method", Problem::NotAWord { expected: "\"hvc\", \"smc\"" })),
        }
    }
}

impl<'a> Iterator for Cpus<'a> {
    type Item = Result<Cpu<'a>, Malformed<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_core = |node: &Node<'a>| node.text("device_type") == Some("cpu") || node.name().name == "cpu";
        let node = self.children.as_mut()?.find(|node| is_core(node) && node.is_enabled())?;
        Some(cpu(&node))
    }
}

fn cpu<'a>(node: &Node<'a>) -> Result<Cpu<'a>, Malformed<'a>> {
    let mut reg: Reg<'a> = node.reg()?;
    let mpidr = reg.next().ok_or_else(|| node.malformed("reg", Problem::Missing))?.address;
    let enable = match node.text("enable-method") {
        Some("psci") => EnableMethod::Psci,
        Some("spin-table") => {
            let release = node.number("cpu-release-addr");
            let release = release.ok_or_else(|| node.malformed("cpu-release-addr", Problem::NotANumber))?;
            EnableMethod::SpinTable { release }
        }
        Some(other) => EnableMethod::Other(other),
        None => EnableMethod::Missing,
    };
    Ok(Cpu { name: node.name(), mpidr, enable })
}
