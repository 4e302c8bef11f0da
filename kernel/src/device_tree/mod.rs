//! What the firmware says about this machine: a bounded reader for flattened device trees.
//!
//! [`validate`] lets only well-formed trees through (`structure`); behind it the `fdt` crate's fallible interface finds nodes and
//! properties, and the cells are decoded here, always with the `#address-cells` and `#size-cells` of the parent, and with
//! `ranges` applied up to the root. Any bytes give an error or an answer; nothing here panics, allocates, or takes more than a
//! few passes over the tree.
//!
//! Paths are walked child by child: the crate's own search by path takes a node of the right name at any depth. Its other
//! walks through the whole tree are bounded by the validator's limit on depth, and it is never asked to decode cells.
//!
//! Names of nodes and properties are known to be printable ASCII. Values are not: what comes back as `&str` was checked, what
//! comes back as bytes is shown with [`ring::escape::Escaped`].
//!
//! The tree is read with byte accesses of any alignment: read it with the MMU on, in normal memory.

mod cells;
mod chosen;
mod cpus;
mod interrupts;
mod memory;
mod node;
mod reserved;
mod structure;
mod walk;

use fdt::Fdt;
use fdt::nodes::AsNode;
use fdt::parsing::NoPanic;
use fdt::parsing::unaligned::UnalignedParser;

pub(crate) use cells::show_cells;
pub use cells::{Cells, Malformed, Problem, Reg, Region};
pub use chosen::Stdout;
pub use cpus::{Conduit, Cpu, Cpus, EnableMethod};
pub use fdt::nodes::NodeName;
pub use interrupts::{GicInterrupt, Interrupt, Interrupts, TimerInterrupts, Trigger};
pub use memory::{Memory, Memreserve};
pub use node::{Children, Node, Path};
pub use reserved::{Dynamic, Placement, Reserved, ReservedMemory};
pub use structure::{HEADER, LARGEST, LEVELS, TreeError, size_of};
pub use walk::Walk;

/// The crate's parser for trees at any address, in the mode that returns errors.
type Mode<'a> = (UnalignedParser<'a>, NoPanic);

/// A node as the crate sees it.
type RawNode<'a> = fdt::nodes::Node<'a, Mode<'a>>;

/// A device tree that passed [`validate`].
#[derive(Clone, Debug)]
pub struct Tree<'a> {
    bytes: &'a [u8],
    fdt: Fdt<'a, Mode<'a>>,
}

/// The device tree at the start of `bytes`, which may be longer and need not be aligned.
///
/// # Errors
/// [`TreeError`]: what is wrong, and where.
pub fn validate(bytes: &[u8]) -> Result<Tree<'_>, TreeError> {
    let bytes = structure::check(bytes)?;
    let refused = TreeError::Damaged { what: "something that the fdt crate refuses", offset: 0 };
    let fdt = Fdt::new_unaligned_fallible(bytes).map_err(|_| refused)?;
    let tree = Tree { bytes, fdt };
    if tree.raw_root().is_none() { Err(refused) } else { Ok(tree) }
}

impl<'a> Tree<'a> {
    /// The bytes of the tree, without what followed it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The root node.
    pub fn root(&self) -> Node<'a> {
        Node::root(self)
    }

    /// `model` of the root: the board's name, for people. Not checked: show it escaped.
    pub fn model(&self) -> Option<&'a [u8]> {
        self.root().first_string("model")
    }

    /// Whether the root is `compatible` with `name`, as in `raspberrypi,4-model-b`.
    pub fn is_compatible(&self, name: &str) -> bool {
        self.root().is_compatible(&[name])
    }

    /// The node at `path`: absolute, or an alias, alone or followed by the path below it (`serial0`, `/soc/serial@7e201000`).
    /// A component without unit address means the first child of that name.
    pub fn node(&self, path: &str) -> Option<Node<'a>> {
        let mut node = self.root();
        let mut path = path;
        if !path.starts_with('/') {
            let (alias, below) = path.split_once('/').unwrap_or((path, ""));
            let target = node.child("aliases")?.text(alias)?.strip_prefix('/')?;
            node = node.descendant(target)?;
            path = below;
        }
        node.descendant(path)
    }

    /// The first enabled node in tree order that is compatible with any of `names`.
    pub fn find_compatible(&self, names: &[&str]) -> Option<Node<'a>> {
        self.find(|node| node.is_compatible(names) && node.is_enabled())
    }

    /// The node which others refer to as `phandle`.
    pub fn node_by_phandle(&self, phandle: u32) -> Option<Node<'a>> {
        self.find(|node| node.u32("phandle") == Some(phandle))
    }

    /// The first node below the root, in tree order, that `wanted` says yes to.
    pub fn find(&self, wanted: impl FnMut(&Node<'a>) -> bool) -> Option<Node<'a>> {
        self.walk().find(wanted)
    }

    /// Every node below the root, in tree order. One pass over the tree for all of them.
    pub fn walk(&self) -> Walk<'a> {
        Walk::new(self)
    }

    fn raw_root(&self) -> Option<RawNode<'a>> {
        self.fdt.root().ok().map(|root| root.as_node())
    }
}
