//! One node of the tree: its name, its properties, its children, and the way to it from the root.

use core::ffi::CStr;
use core::fmt;

use fdt::nodes::NodeName;

use super::RawNode;
use super::cells::{Bus, Cells, Malformed, Problem, Reg, Region};
use super::structure::{LEVELS, double_word, word};

/// A node and its ancestors. Almost two kilobytes: borrow rather than copy.
#[derive(Clone)]
pub struct Node<'a> {
    /// From the root to this node. Never empty: the validator made sure of the root.
    way: heapless::Vec<Step<'a>, LEVELS>,
}

/// One node on the way from the root.
#[derive(Clone)]
struct Step<'a> {
    raw: RawNode<'a>,
    /// Kept, so that looking at all children costs no more passes over a parent of many properties.
    bus: Bus<'a>,
}

impl<'a> Step<'a> {
    fn new(raw: RawNode<'a>) -> Self {
        Self { raw, bus: Bus::of(&raw) }
    }

    fn name(&self) -> NodeName<'a> {
        self.raw.name().unwrap_or(NO_NAME)
    }
}

/// Where there is no node.
const NO_NAME: NodeName<'_> = NodeName { name: "", unit_address: None };

impl<'a> Node<'a> {
    pub(super) fn at_root(root: Option<RawNode<'a>>) -> Self {
        Self { way: root.map(Step::new).into_iter().collect() }
    }

    /// Becomes the node `raw`, which is `depth` levels below the root, in a walk that has just been at its parent or beside it.
    pub(super) fn descend_to(&mut self, depth: usize, raw: RawNode<'a>) -> Option<()> {
        self.way.truncate(depth);
        self.way.push(Step::new(raw)).ok()
    }

    /// This node and then each of its ancestors, the root last.
    pub(super) fn upwards(&self) -> impl Iterator<Item = &RawNode<'a>> {
        self.way.iter().rev().map(|step| &step.raw)
    }

    /// Name and unit address.
    pub fn name(&self) -> NodeName<'a> {
        self.way.last().map_or(NO_NAME, Step::name)
    }

    /// The path from the root, to be shown.
    pub fn path(&self) -> Path<'_, 'a> {
        Path(self)
    }

    /// A name for error messages which needs no copy of the way.
    pub(super) fn malformed(&self, property: &'static str, problem: Problem) -> Malformed<'a> {
        let parent = self.parent().map_or(NO_NAME, Step::name);
        Malformed { depth: self.way.len().saturating_sub(1), parent, node: self.name(), property, problem }
    }

    fn parent(&self) -> Option<&Step<'a>> {
        self.way.len().checked_sub(2).and_then(|parent| self.way.get(parent))
    }

    /// The raw value of a property; None if the node does not have it.
    pub fn property(&self, name: &str) -> Option<&'a [u8]> {
        raw_property(&self.way.last()?.raw, name)
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
        let children = self.way.last().and_then(|step| step.raw.children().ok()).map(|children| children.iter());
        Children { parent: self.clone(), children }
    }

    /// The child `name`, or the first of that name if there is no unit address in it.
    pub fn child(&self, name: &str) -> Option<Self> {
        let raw = self.way.last()?.raw.children().ok()?.find(name).ok()??;
        let mut child = self.clone();
        child.descend_to(self.way.len(), raw)?;
        Some(child)
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
        self.checked_cells(self.way.last())
    }

    /// The cells with which this node's own addresses are written: those of the parent.
    pub(super) fn own_cells(&self) -> Result<Cells, Malformed<'a>> {
        self.checked_cells(self.parent())
    }

    fn checked_cells(&self, step: Option<&Step<'a>>) -> Result<Cells, Malformed<'a>> {
        let cells = step.map_or(Ok(Cells::DEFAULT), |step| step.bus.cells);
        cells.map_err(|property| self.malformed(property, Problem::NotOneCell))
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

    /// Entry `index` of `reg` as the CPU sees it: translated by the `ranges` of every bus up to the root.
    ///
    /// # Errors
    /// [`Malformed`]: there is no such entry, it is not well-formed, or a bus on the way does not map it.
    pub fn region(&self, index: usize) -> Result<Region, Malformed<'a>> {
        let entry = self.reg()?.nth(index).ok_or_else(|| self.malformed("reg", Problem::NoSuchEntry(index)))?;
        let address = self.to_cpu_address(entry.address)?;
        Ok(Region { address, size: entry.size })
    }

    /// Translates an address on the bus that this node is on to the CPU's.
    ///
    /// # Errors
    /// [`Malformed`] names the bus that does not map it.
    pub(super) fn to_cpu_address(&self, address: u64) -> Result<u64, Malformed<'a>> {
        let mut address = address;
        // Buses between this node and the root, the nearest first; the root's addresses are the CPU's.
        let ancestors = self.way.as_slice().split_last().map_or(&[][..], |(_, ancestors)| ancestors);
        for pair in ancestors.windows(2).rev() {
            let [outer, bus] = pair else { continue };
            address = bus.bus.translate(&outer.bus, address).map_err(|problem| Malformed {
                depth: LEVELS,
                parent: outer.name(),
                node: bus.name(),
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
    parent: Node<'a>,
    children: Option<fdt::nodes::NodeChildrenIter<'a, super::Mode<'a>>>,
}

impl<'a> Iterator for Children<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        let raw = self.children.as_mut()?.next()?.ok()?;
        let mut child = self.parent.clone();
        child.descend_to(self.parent.way.len(), raw)?;
        Some(child)
    }
}

/// Shows the path of a node.
pub struct Path<'n, 'a>(&'n Node<'a>);

impl fmt::Display for Path<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.way.as_slice() {
            [] | [_] => f.write_str("/"),
            [_, below @ ..] => below.iter().try_for_each(|step| write!(f, "/{}", step.name())),
        }
    }
}

/// The value of a property of a node as the crate sees it.
pub(super) fn raw_property<'a>(raw: &RawNode<'a>, name: &str) -> Option<&'a [u8]> {
    raw.raw_property(name).ok().flatten().map(|property| property.value)
}

fn printable(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
}
