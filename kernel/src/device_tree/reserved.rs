//! `/reserved-memory`: ranges that are someone's, at a fixed place or at one to be found (Devicetree Specification 0.4, 3.5).

use fdt::nodes::NodeName;

use super::cells::{Bus, Cells, Malformed, Problem, Reg, Region, single};
use super::{Children, Node, Tree};
use crate::memblock::Range;

/// One child of `/reserved-memory`.
#[derive(Clone, Debug)]
pub struct Reserved<'a> {
    node: Node<'a>,
    buses: Buses<'a>,
}

/// What every child of `/reserved-memory` needs to know about addresses.
#[derive(Clone, Copy, Debug)]
struct Buses<'a> {
    /// What `/reserved-memory` says.
    inner: Bus<'a>,
    /// What the root says.
    outer: Bus<'a>,
    /// `/reserved-memory` as errors show it.
    name: NodeName<'a>,
}

/// Where a reservation is.
#[derive(Clone, Debug)]
pub enum Placement<'a> {
    /// At these places: every entry of `reg`, not yet translated.
    Static(Reg<'a>),
    /// Wherever there is room.
    Dynamic(Dynamic<'a>),
}

/// What a reservation that has no fixed place asks for.
#[derive(Clone, Debug)]
pub struct Dynamic<'a> {
    /// Bytes.
    pub size: u64,
    /// Alignment in bytes; None where the node does not say.
    pub alignment: Option<u64>,
    /// Where it may be, in order of preference; empty for anywhere.
    pub alloc_ranges: Reg<'a>,
}

/// Iterates over the reservations: see [`Tree::reserved_memory`].
pub struct ReservedMemory<'a> {
    children: Option<(Children<'a>, Buses<'a>)>,
}

impl<'a> Tree<'a> {
    /// The enabled children of `/reserved-memory` in tree order.
    pub fn reserved_memory(&self) -> ReservedMemory<'a> {
        let root = self.root();
        let children = root
            .child("reserved-memory")
            .map(|node| (node.children(), Buses { inner: node.bus(), outer: root.bus(), name: node.name() }));
        ReservedMemory { children }
    }

    /// The cells in which a child of `/reserved-memory` is written: its own, or those of the root where it does not exist yet.
    pub fn reserved_memory_cells(&self) -> Cells {
        let root = self.root();
        root.child("reserved-memory").unwrap_or(root).cells().unwrap_or(Cells::DEFAULT)
    }
}

impl<'a> Iterator for ReservedMemory<'a> {
    type Item = Reserved<'a>;

    fn next(&mut self) -> Option<Reserved<'a>> {
        let (children, buses) = self.children.as_mut()?;
        let node = children.find(Node::is_enabled)?;
        Some(Reserved { node, buses: *buses })
    }
}

impl<'a> Reserved<'a> {
    /// The node itself.
    pub fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// Its name and unit address.
    pub fn name(&self) -> NodeName<'a> {
        self.node.name()
    }

    /// Whether it is `compatible` with `name`.
    pub fn is_compatible(&self, name: &str) -> bool {
        self.node.is_compatible(&[name])
    }

    /// Whether the kernel must not even map it.
    pub fn no_map(&self) -> bool {
        self.node.has("no-map")
    }

    /// Whether the kernel may use it until its owner wants it.
    pub fn reusable(&self) -> bool {
        self.node.has("reusable")
    }

    /// Where it is. `reg` wins over `size`, as the specification has it.
    ///
    /// # Errors
    /// [`Malformed`] names this node: neither property is there, or one does not fit the cells of `/reserved-memory`.
    pub fn placement(&self) -> Result<Placement<'a>, Malformed<'a>> {
        if self.node.has("reg") {
            return Ok(Placement::Static(self.node.reg()?));
        }
        let size = self.number("size")?.ok_or_else(|| self.node.malformed("reg", Problem::Missing))?;
        let alignment = self.number("alignment")?;
        Ok(Placement::Dynamic(Dynamic { size, alignment, alloc_ranges: self.node.regions("alloc-ranges")? }))
    }

    /// The addresses that an entry of this node's `reg` or `alloc-ranges` means to the CPU.
    ///
    /// # Errors
    /// [`Malformed`]: it is empty, goes past 2^64, or `/reserved-memory` does not map it.
    pub fn range(&self, property: &'static str, entry: Region) -> Result<Range, Malformed<'a>> {
        let address = self.buses.inner.translate(&self.buses.outer, entry.address).map_err(|problem| Malformed {
            depth: 1,
            parent: NodeName { name: "/", unit_address: None },
            node: self.buses.name,
            property: "ranges",
            problem,
        })?;
        let impossible = || self.node.malformed(property, Problem::Impossible(entry));
        Range::new(address, entry.size).ok_or_else(impossible)
    }

    /// A number written with the parent's size cells; None if it is not there.
    fn number(&self, property: &'static str) -> Result<Option<u64>, Malformed<'a>> {
        let Some(value) = self.node.property(property) else { return Ok(None) };
        let cells = self.node.own_cells()?.size;
        let malformed = || self.node.malformed(property, Problem::SizeLength { bytes: value.len(), cells });
        single(value, cells).map(Some).ok_or_else(malformed)
    }
}
