//! Every node of the tree in one pass, each with what its parent says about addresses.

use fdt::nodes::root::AllNodesIter;

use super::cells::Cells;
use super::structure::LEVELS;
use super::{Mode, Node, Tree};

/// Iterates over all nodes below the root, in tree order, in time proportional to the tree: see [`Tree::walk`].
pub struct Walk<'a> {
    tree: Tree<'a>,
    /// The crate's walk. It ends silently below its 16th level, which the validator lets no tree have.
    nodes: Option<AllNodesIter<'a, Mode<'a>>>,
    /// What the root and each node on the way to the current one say.
    cells: heapless::Vec<Result<Cells, &'static str>, LEVELS>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(tree: &Tree<'a>) -> Self {
        let root = tree.root().bus().cells;
        Self { tree: tree.clone(), nodes: tree.fdt.all_nodes().ok(), cells: core::iter::once(root).collect() }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        let (depth, raw) = self.nodes.as_mut()?.next()?.ok()?;
        self.cells.truncate(depth);
        let node = Node::new(&self.tree, raw, *self.cells.last()?, depth);
        // There is room: the validator bounds the depth.
        let _ = self.cells.push(node.bus().cells);
        Some(node)
    }
}
