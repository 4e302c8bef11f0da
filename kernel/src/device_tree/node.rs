//! One node of the tree: its name, its properties, its children, and where its addresses are.

use core::ffi::CStr;
use core::fmt;

use fdt::nodes::NodeName;

use super::cells::{Bus, Cells, Malformed, Problem, Reg, Region};
use super::structure::{LEVELS, double_word, word};
use super::{RawNode, Tree};

/// One node. Its parent is known, so that looking at all children costs no more passes over a parent of many properties;
/// ancestors further up are found by another walk where they are needed. A few hundred bytes.
#[derive(Clone)]
pub struct Node<'a> {
    tree: Tree<'a>,
    /// None only for the root of a tree that did not pass the validator.
    raw: Option<RawNode<'a>>,
    /// How its own addresses are written: what the parent says.
    own_cells: Result<Cells, &'static str>,
    /// Levels below the root.
    depth: usize,
}

/// The nodes from the root to one node.
pub(super) type Way<'a> = heapless::Vec<RawNode<'a>, LEVELS>;

/// Where there is no node.
const NO_NAME: NodeName<'_> = NodeName { name: "", unit_address: None };

impl<'a> Node<'a> {
    pub(super) fn root(tree: &Tree<'a>) -> Self {
        Self { tree: tree.clone(), raw: tree.raw_root(), own_cells: Ok(Cells::DEFAULT), depth: 0 }
    }

    /// The node `raw`, which is `depth` levels below the root and whose parent says `own_cells`.
    pub(super) fn new(tree: &Tree<'a>, raw: RawNode<'a>, own_cells: Result<Cells, &'static str>, depth: usize) -> Self {
        Self { tree: tree.clone(), raw: Some(raw), own_cells, depth }
    }

    /// The nodes from the root to this one. One walk. Not inlined: it takes a kilobyte of stack, which is nobody else's to keep.
    #[inline(never)]
    pub(super) fn way(&self) -> Way<'a> {
        let mut way: Way<'a> = self.tree.raw_root().into_iter().collect();
        if self.depth == 0 {
            return way;
        }
        for (depth, raw) in self.tree.fdt.all_nodes().into_iter().flatten().map_while(Result::ok) {
            way.truncate(depth);
            // There is room: the validator bounds the depth.
            let _ = way.push(raw);
            if self.is(&raw) {
                break;
            }
        }
        way
    }

    /// Whether this is the node `raw`: the same if its name lies at the same place.
    fn is(&self, raw: &RawNode<'a>) -> bool {
        core::ptr::eq(name_of(self.raw.as_ref()).name, name_of(Some(raw)).name)
    }

    /// Name and unit address.
    pub fn name(&self) -> NodeName<'a> {
        name_of(self.raw.as_ref())
    }

    /// The path from the root, to be shown. One walk.
    pub fn path(&self) -> Path<'_, 'a> {
        Path(self)
    }

    pub(super) fn malformed(&self, property: &'static str, problem: Problem) -> Malformed<'a> {
        let parent = self.raw.and_then(|raw| raw.parent());
        Malformed { depth: self.depth, parent: name_of(parent.as_ref()), node: self.name(), property, problem }
    }

    /// The raw value of a property; None if the node does not have it.
    pub fn property(&self, name: &str) -> Option<&'a [u8]> {
        raw_property(self.raw.as_ref()?, name)
    }

    /// Whether the node has the property, with whatever value.
    pub fn has(&self, name: &str) -> bool {
        self.property(name).is_some()
    }

    /// The value of a property of exactly one cell.
    pub fn u32(&self, name: &str) -> Option<u32> {
        self.property(name).filter(|value| value.len() == 4).and_then(|value| word(value, 0))
    }

    /// The value of a property of one or two cells.
    pub fn number(&self, name: &str) -> Option<u64> {
        let value = self.property(name)?;
        match value.len() {
            4 => word(value, 0).map(u64::from),
            8 => double_word(value, 0),
            _ => None,
        }
    }

    /// The first string of a property, without its NUL, whatever bytes it has: show it escaped.
    pub fn first_string(&self, name: &str) -> Option<&'a [u8]> {
        CStr::from_bytes_until_nul(self.property(name)?).ok().map(CStr::to_bytes)
    }

    /// The strings of a property which are printable ASCII.
    pub fn strings(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let terminated = self.property(name).unwrap_or_default().split_inclusive(|byte| *byte == 0);
        terminated.filter_map(|text| text.strip_suffix(&[0])).filter_map(printable)
    }

    /// The first string of a property, if it is printable ASCII.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.first_string(name).and_then(printable)
    }

    /// Whether `compatible` has any of `names`.
    pub fn is_compatible(&self, names: &[&str]) -> bool {
        self.strings("compatible").any(|string| names.contains(&string))
    }

    /// Whether `status` is okay, or absent, which means the same.
    pub fn is_enabled(&self) -> bool {
        match self.property("status") {
            None => true,
            Some(_) => matches!(self.text("status"), Some("okay" | "ok")),
        }
    }

    /// Child nodes in tree order. One pass over this node for all of them.
    pub fn children(&self) -> Children<'a> {
        let children = self.raw.and_then(|raw| raw.children().ok()).map(|children| children.iter());
        Children { tree: self.tree.clone(), children, cells: self.bus().cells, depth: self.depth.saturating_add(1) }
    }

    /// The child `name`, or the first of that name if there is no unit address in it.
    pub fn child(&self, name: &str) -> Option<Self> {
        let raw = self.raw?.children().ok()?.find(name).ok()??;
        Some(Self::new(&self.tree, raw, self.bus().cells, self.depth.saturating_add(1)))
    }

    /// The node at a path relative to this one.
    pub(super) fn descendant(&self, path: &str) -> Option<Self> {
        let mut components = path.split('/').filter(|component| !component.is_empty());
        components.try_fold(self.clone(), |node, component| node.child(component))
    }

    /// How many cells addresses and sizes have in this node's children.
    ///
    /// # Errors
    /// [`Malformed`] if a cell count is not one word.
    pub fn cells(&self) -> Result<Cells, Malformed<'a>> {
        self.bus().cells.map_err(|property| self.malformed(property, Problem::NotOneCell))
    }

    /// The cells with which this node's own addresses are written: those of the parent.
    pub(super) fn own_cells(&self) -> Result<Cells, Malformed<'a>> {
        self.own_cells.map_err(|property| self.malformed(property, Problem::NotOneCell))
    }

    /// What this node says about the addresses in its children. One pass over its properties.
    pub(super) fn bus(&self) -> Bus<'a> {
        self.raw.as_ref().map_or(Bus::NONE, Bus::of)
    }

    /// All entries of `reg`, as the node's bus sees them (not translated). A node without `reg` has none.
    ///
    /// # Errors
    /// [`Malformed`]: the length does not fit the parent's cells, or the cells do not fit 64 bits.
    pub fn reg(&self) -> Result<Reg<'a>, Malformed<'a>> {
        self.regions("reg")
    }

    /// All entries of a property that is written like `reg`.
    ///
    /// # Errors
    /// As [`Self::reg`].
    pub(super) fn regions(&self, property: &'static str) -> Result<Reg<'a>, Malformed<'a>> {
        let Some(value) = self.property(property) else { return Ok(Reg::default()) };
        Reg::new(value, self.own_cells()?).map_err(|problem| self.malformed(property, problem))
    }

    /// Entry `index` of `reg` as the CPU sees it: translated by the `ranges` of every bus up to the root. One walk.
    ///
    /// # Errors
    /// [`Malformed`]: there is no such entry, it is not well-formed, or a bus on the way does not map it.
    pub fn region(&self, index: usize) -> Result<Region, Malformed<'a>> {
        let entry = self.reg()?.nth(index).ok_or_else(|| self.malformed("reg", Problem::NoSuchEntry(index)))?;
        let address = self.to_cpu_address(entry.address)?;
        Ok(Region { address, size: entry.size })
    }

    /// Translates an address on the bus that this node is on to the CPU's.
    fn to_cpu_address(&self, address: u64) -> Result<u64, Malformed<'a>> {
        // The root's addresses are the CPU's.
        if self.depth <= 1 {
            return Ok(address);
        }
        let way = self.way();
        let mut address = address;
        // Buses between this node and the root, the nearest first.
        let buses = way.get(..self.depth).unwrap_or_default().windows(2).enumerate();
        for (depth, pair) in buses.rev() {
            let [outer, bus] = pair else { continue };
            address = Bus::of(bus).translate(&Bus::of(outer), address).map_err(|problem| Malformed {
                depth: depth.saturating_add(1),
                parent: name_of(Some(outer)),
                node: name_of(Some(bus)),
                property: "ranges",
                problem,
            })?;
        }
        Ok(address)
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.path())
    }
}

/// The children of a node: see [`Node::children`].
pub struct Children<'a> {
    tree: Tree<'a>,
    children: Option<fdt::nodes::NodeChildrenIter<'a, super::Mode<'a>>>,
    cells: Result<Cells, &'static str>,
    depth: usize,
}

impl<'a> Iterator for Children<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        let raw = self.children.as_mut()?.next()?.ok()?;
        Some(Node::new(&self.tree, raw, self.cells, self.depth))
    }
}

/// Shows the path of a node.
pub struct Path<'n, 'a>(&'n Node<'a>);

impl fmt::Display for Path<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.way().as_slice() {
            [] | [_] => f.write_str("/"),
            [_, below @ ..] => below.iter().try_for_each(|raw| write!(f, "/{}", name_of(Some(raw)))),
        }
    }
}

/// The value of a property of a node as the crate sees it.
pub(super) fn raw_property<'a>(raw: &RawNode<'a>, name: &str) -> Option<&'a [u8]> {
    raw.raw_property(name).ok().flatten().map(|property| property.value)
}

fn name_of<'a>(raw: Option<&RawNode<'a>>) -> NodeName<'a> {
    raw.and_then(|raw| raw.name().ok()).unwrap_or(NO_NAME)
}

fn printable(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
}
