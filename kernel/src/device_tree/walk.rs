//! Every node of the tree in one pass, each with the way to it, which is what translating its addresses needs.

use fdt::nodes::root::AllNodesIter;

use super::{Mode, Node};

/// A walk over all nodes below the root, in tree order, in time proportional to the tree: see [`super::Tree::walk`].
///
/// Not an `Iterator`: the node is lent, because a node carries the way to it, and copying that for each would cost more than
/// the walk.
pub struct Walk<'a> {
    /// The crate's walk. It ends silently below its 16th level, which the validator lets no tree have.
    nodes: Option<AllNodesIter<'a, Mode<'a>>>,
    node: Node<'a>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(nodes: Option<AllNodesIter<'a, Mode<'a>>>, root: Node<'a>) -> Self {
        Self { nodes, node: root }
    }

    /// The next node; None after the last.
    pub fn advance(&mut self) -> Option<&Node<'a>> {
        let (depth, raw) = self.nodes.as_mut()?.next()?.ok()?;
        self.node.descend_to(depth, raw)?;
        Some(&self.node)
    }
}
