//! From the device tree to memblock: all memory, and everything in it that is already someone's.
//!
//! The order is Linux's: first what has a fixed place ([`add_static`]), then what only needs room ([`place_dynamic`]). Between
//! the two stands the ring's region ([`crate::reserve::find_region`]), so that nothing that varies comes before it.
//!
//! None of the three is inlined: what they take of the boot stack is not their caller's to keep.

use core::fmt;

use fdt::nodes::NodeName;

use crate::device_tree::{Dynamic, Malformed, Placement, Reserved, Tree};
use crate::memblock::{Memblock, MemblockError, PAGE, Range, RangeSet};
use crate::reserve;

/// Where the boot loader put what is running. The boot code knows both better than the tree does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The kernel image, with everything that it uses beyond its end (.bss, stacks).
    pub image: Range,
    /// The device tree.
    pub device_tree: Range,
}

/// Who has a range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    /// The kernel image.
    Image,
    /// The device tree.
    DeviceTree,
    /// The initial RAM disk.
    Initrd,
    /// An entry of the device tree's memory reservation block.
    Memreserve,
    /// A node under `/reserved-memory`.
    Node(NodeName<'a>),
}

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image => f.write_str("the kernel image with its stacks"),
            Self::DeviceTree => f.write_str("the device tree"),
            Self::Initrd => f.write_str("the initial RAM disk"),
            Self::Memreserve => f.write_str("a /memreserve/ entry"),
            Self::Node(name) => write!(f, "/reserved-memory/{name}"),
        }
    }
}

/// One range that has a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held<'a> {
    /// Who has it.
    pub holder: Holder<'a>,
    /// What they have.
    pub range: Range,
    /// The kernel must not even map it.
    pub no_map: bool,
}

/// The map cannot be made: nothing may be allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// The tree tells of no memory.
    NoMemory,
    /// memblock cannot hold it.
    Memblock(MemblockError),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => f.write_str(
                "device tree: no /memory node with device_type = \"memory\" and a size: have the boot loader fill it in, or add it",
            ),
            Self::Memblock(error) => write!(f, "memory map: {error}"),
        }
    }
}

impl From<MemblockError> for MapError {
    fn from(error: MemblockError) -> Self {
        Self::Memblock(error)
    }
}

/// Something in the tree that could not be honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored<'a> {
    /// It is not well-formed.
    Malformed(Malformed<'a>),
    /// There is no room for it.
    NoRoom {
        /// The node under `/reserved-memory`.
        node: NodeName<'a>,
        /// What memblock says.
        error: MemblockError,
    },
}

impl fmt::Display for Ignored<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => write!(f, "device tree: {malformed}; until then it is ignored"),
            Self::NoRoom { node, error } => write!(f, "device tree: /reserved-memory/{node} is ignored: {error}"),
        }
    }
}

/// Most times that one of these functions calls back to tell something: a hostile tree must not fill the console.
pub const MOST_NOTES: usize = 16;

/// Tells the first [`MOST_NOTES`] things and keeps the rest to itself.
pub(crate) fn at_most<'t, T>(tell: &'t mut dyn FnMut(&T)) -> impl FnMut(&T) + 't {
    let mut left = MOST_NOTES;
    move |what| {
        if let Some(less) = left.checked_sub(1) {
            left = less;
            tell(what);
        }
    }
}

/// Calls `each` for every range with a fixed place: image, device tree, initial RAM disk, `/memreserve/`, and `/reserved-memory`
/// nodes with `reg`, in this order; and for what is malformed among them. Stops at the first error that `each` returns.
pub(crate) fn for_each_held<'a, E>(
    tree: &Tree<'a>,
    placed: &Placed,
    each: &mut dyn FnMut(Result<Held<'a>, Malformed<'a>>) -> Result<(), E>,
) -> Result<(), E> {
    let plain = |holder, range| Ok(Held { holder, range, no_map: false });
    each(plain(Holder::Image, placed.image))?;
    each(plain(Holder::DeviceTree, placed.device_tree))?;
    match tree.initrd() {
        Ok(Some(range)) => each(plain(Holder::Initrd, range))?,
        Ok(None) => {}
        Err(malformed) => each(Err(malformed))?,
    }
    for range in tree.memreserve() {
        each(plain(Holder::Memreserve, range))?;
    }
    for node in tree.reserved_memory() {
        let (holder, no_map) = (Holder::Node(node.name()), node.no_map());
        match node.placement() {
            Ok(Placement::Static(reg)) => {
                // A size of 0 in one entry is a place that firmware left empty.
                for entry in reg.filter(|entry| entry.size != 0) {
                    each(node.range("reg", entry).map(|range| Held { holder, range, no_map }))?;
                }
            }
            Ok(Placement::Dynamic(_)) => {}
            Err(malformed) => each(Err(malformed))?,
        }
    }
    Ok(())
}

/// Fills `memblock` with all memory and with everything that has a fixed place. What is malformed is told to `ignored` and left
/// out, the first [`MOST_NOTES`] of it.
///
/// # Errors
/// [`MapError`]: there is no memory, or more ranges than memblock holds.
#[inline(never)]
pub fn add_static<'a>(
    memblock: &mut Memblock,
    tree: &Tree<'a>,
    placed: &Placed,
    ignored: &mut dyn FnMut(&Ignored<'a>),
) -> Result<(), MapError> {
    let mut ignored = at_most(ignored);
    for memory in tree.memory() {
        match memory {
            Ok(range) => memblock.add(range)?,
            Err(malformed) => ignored(&Ignored::Malformed(malformed)),
        }
    }
    if memblock.memory().is_empty() {
        return Err(MapError::NoMemory);
    }
    for_each_held(tree, placed, &mut |held| {
        match held {
            Ok(Held { range, no_map: true, .. }) => memblock.reserve_no_map(range)?,
            Ok(Held { range, .. }) => memblock.reserve(range)?,
            Err(malformed) => ignored(&Ignored::Malformed(malformed)),
        }
        Ok(())
    })
}

/// Finds room for the `/reserved-memory` nodes that have no fixed place, in tree order, and reserves it; those for the ring are
/// not meant. What cannot be honoured is told to `ignored`.
///
/// # Errors
/// [`MapError`]: more ranges than memblock holds.
#[inline(never)]
pub fn place_dynamic<'a>(
    memblock: &mut Memblock,
    tree: &Tree<'a>,
    ignored: &mut dyn FnMut(&Ignored<'a>),
) -> Result<(), MapError> {
    let mut ignored = at_most(ignored);
    for node in tree.reserved_memory().filter(|node| !node.is_compatible(reserve::COMPATIBLE)) {
        // What is malformed was told when the static ones were added.
        let Ok(Placement::Dynamic(asked)) = node.placement() else { continue };
        match find_dynamic(memblock, &RangeSet::<0>::new(), &node, &asked) {
            Ok(Ok(range)) if node.no_map() => memblock.reserve_no_map(range)?,
            Ok(Ok(range)) => memblock.reserve(range)?,
            Ok(Err(error)) => ignored(&Ignored::NoRoom { node: node.name(), error }),
            Err(malformed) => ignored(&Ignored::Malformed(malformed)),
        }
    }
    Ok(())
}

/// The highest free place for a node that has no fixed one: in the first of its `alloc-ranges` that has room, or anywhere if it
/// has none; and clear of `avoid`. Whole pages.
pub(crate) fn find_dynamic<'a, const N: usize>(
    memblock: &Memblock,
    avoid: &RangeSet<N>,
    node: &Reserved<'a>,
    asked: &Dynamic<'a>,
) -> Result<Result<Range, MemblockError>, Malformed<'a>> {
    let align = asked.alignment.unwrap_or(PAGE).max(PAGE);
    let mut found = Err(MemblockError::NoRoom { size: asked.size, align, window: None });
    let mut windows = asked.alloc_ranges.clone();
    if windows.len() == 0 {
        found = memblock.find_clear_of(avoid, asked.size, align, None);
    }
    while found.is_err()
        && let Some(window) = windows.next()
    {
        found = memblock.find_clear_of(avoid, asked.size, align, Some(node.range("alloc-ranges", window)?));
    }
    Ok(found)
}
