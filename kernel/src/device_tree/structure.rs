//! The gate in front of everything that reads a device tree: any bytes go in, and only a well-formed tree comes out.
//!
//! Behind it the `fdt` crate neither panics nor hangs: every offset and length lies in its block, depth and names are bounded,
//! tokens balance, and properties come before children (Devicetree Specification 0.4, chapter 5).

use core::fmt;

/// Largest tree that is accepted, in bytes: what Linux on arm64 accepts.
pub const LARGEST: usize = 2 << 20;

/// Bytes of the header of version 17.
pub const HEADER: usize = 40;

/// Levels of nodes, the root included. The deepest of Debian's 1,023 arm64 trees has 12; the `fdt` crate's walk has room for 16.
pub const LEVELS: usize = 16;

/// Longest name of a node or property. The specification says 31; trees in the field have up to 46.
const LONGEST_NAME: usize = 255;

const MAGIC: u32 = 0xd00d_feed;
/// The format version that is understood: current since 2007, readable as 16.
const VERSION: u32 = 17;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// What is wrong with a device tree as a whole. Offsets are bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeError {
    /// There is no tree here: the first word is not the magic number.
    NotATree {
        /// The word that is there.
        found: u32,
    },
    /// There are fewer bytes than the tree, or its header, needs.
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
    /// The header claims less than a header, or more than [`LARGEST`].
    BadSize(u32),
    /// A version of the format that is not understood.
    BadVersion {
        /// `version` of the header.
        version: u32,
        /// `last_comp_version` of the header.
        readable_as: u32,
    },
    /// A block does not lie within the tree, or is not aligned as it must be.
    BadBlock {
        /// Which block.
        block: &'static str,
        /// Its offset.
        offset: u32,
        /// Its size in bytes, 0 where the header does not say.
        size: u32,
    },
    /// The memory reservation block has no terminating entry.
    EndlessReservations,
    /// The structure block is damaged.
    Damaged {
        /// What is wrong there.
        what: &'static str,
        /// Where.
        offset: usize,
    },
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("device tree: ")?;
        match *self {
            Self::NotATree { found } => write!(
                f,
                "none: {found:#010x} stands where the magic {MAGIC:#010x} must. Have the boot loader pass one in x0: with QEMU boot \
                 the raw image, not the ELF, and give the Raspberry Pi models -dtb; on a board keep the .dtb beside the kernel"
            ),
            Self::Truncated { needed, available } => {
                write!(f, "{needed} bytes long, but only {available} are there: copy the .dtb file again")
            }
            Self::BadSize(size) => {
                write!(
                    f,
                    "its header claims {size} bytes, {HEADER} to {LARGEST} are possible: compile it again with dtc"
                )
            }
            Self::BadVersion { version, readable_as } => write!(
                f,
                "format version {version} (readable as {readable_as}), {VERSION} is needed: convert it with dtc -I dtb -O dtb -V {VERSION}"
            ),
            Self::BadBlock { block, offset, size } => write!(
                f,
                "its {block} block (offset {offset:#x}, {size} bytes) is not inside it: the header is damaged, copy the .dtb file again"
            ),
            Self::EndlessReservations => {
                f.write_str("its memory reservations have no end: it is damaged, copy the .dtb file again")
            }
            Self::Damaged { what, offset } => {
                write!(
                    f,
                    "{what} at offset {offset:#x}: it is damaged, copy the .dtb file again and check it with fdtdump"
                )
            }
        }
    }
}

/// The size in bytes which a tree's header claims, already known to be possible: how much to map before `check` can see it all.
///
/// # Errors
/// [`TreeError::Truncated`], [`TreeError::NotATree`], [`TreeError::BadSize`].
pub fn size_of(header: &[u8]) -> Result<usize, TreeError> {
    if header.len() < HEADER {
        return Err(TreeError::Truncated { needed: HEADER, available: header.len() });
    }
    let magic = word(header, 0).unwrap_or(0);
    if magic != MAGIC {
        return Err(TreeError::NotATree { found: magic });
    }
    let claimed = word(header, 4).unwrap_or(0);
    let size = usize::try_from(claimed).unwrap_or(usize::MAX);
    if (HEADER..=LARGEST).contains(&size) { Ok(size) } else { Err(TreeError::BadSize(claimed)) }
}

/// The tree at the start of `bytes`, cut to its size, if it is well-formed. Looks at each byte a bounded number of times.
///
/// # Errors
/// Any [`TreeError`].
pub(super) fn check(bytes: &[u8]) -> Result<&[u8], TreeError> {
    let size = size_of(bytes)?;
    let tree = bytes.get(..size).ok_or(TreeError::Truncated { needed: size, available: bytes.len() })?;
    let field = |index: usize| word(tree, index * 4).unwrap_or(0);
    let (version, readable_as) = (field(5), field(6));
    if version < VERSION || readable_as > VERSION {
        return Err(TreeError::BadVersion { version, readable_as });
    }
    let structure = block(tree, "structure", field(2), field(9), 4)?;
    let strings = block(tree, "strings", field(3), field(8), 1)?;
    check_reservations(tree, field(4))?;
    let start = usize::try_from(field(2)).unwrap_or(0);
    Structure { bytes: structure, strings, start, at: 0 }.check()?;
    Ok(tree)
}

/// The big-endian word at `offset`.
pub(super) fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u32::from_be_bytes(*chunk))
}

/// The big-endian double word at `offset`.
pub(super) fn double_word(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u64::from_be_bytes(*chunk))
}

/// Bytes of one entry of the memory reservation block: address and size.
pub(super) const RESERVATION: usize = 16;

fn block<'a>(tree: &'a [u8], name: &'static str, offset: u32, size: u32, align: u32) -> Result<&'a [u8], TreeError> {
    let error = TreeError::BadBlock { block: name, offset, size };
    let start = usize::try_from(offset).map_err(|_| error)?;
    let end = usize::try_from(size).ok().and_then(|size| start.checked_add(size)).ok_or(error)?;
    if start < HEADER || !offset.is_multiple_of(align) {
        return Err(error);
    }
    tree.get(start..end).ok_or(error)
}

fn check_reservations(tree: &[u8], offset: u32) -> Result<(), TreeError> {
    let error = TreeError::BadBlock { block: "memory reservation", offset, size: 0 };
    let start = usize::try_from(offset).map_err(|_| error)?;
    if start < HEADER || !offset.is_multiple_of(8) {
        return Err(error);
    }
    let entries = tree.get(start..).ok_or(error)?.chunks_exact(RESERVATION);
    let terminated = entries.into_iter().any(|entry| entry.iter().all(|byte| *byte == 0));
    if terminated { Ok(()) } else { Err(TreeError::EndlessReservations) }
}

/// A walk over the tokens of the structure block.
struct Structure<'a> {
    bytes: &'a [u8],
    strings: &'a [u8],
    /// Offset of the block in the tree, to say where something is wrong.
    start: usize,
    /// Offset in the block of what is read next.
    at: usize,
}

impl Structure<'_> {
    /// Every token: each turn of the loop consumes at least four bytes.
    fn check(mut self) -> Result<(), TreeError> {
        let mut depth = 0;
        let mut seen_root = false;
        // A property belongs between a node's begin and its first child.
        let mut properties_may_come = false;
        loop {
            match self.next_word("the structure block ends without its end token")? {
                NOP => {}
                BEGIN_NODE if depth == 0 && seen_root => return self.damaged("a second root node"),
                BEGIN_NODE if depth >= LEVELS => return self.damaged("nodes nested deeper than 16 levels"),
                BEGIN_NODE => {
                    self.check_node_name(depth == 0)?;
                    seen_root = true;
                    depth += 1;
                    properties_may_come = true;
                }
                PROPERTY if !properties_may_come => return self.damaged("a property behind a child node"),
                PROPERTY => self.check_property()?,
                END_NODE if depth == 0 => return self.damaged("a node ends which never began"),
                END_NODE => {
                    depth -= 1;
                    properties_may_come = false;
                }
                END if depth != 0 => return self.damaged("the tree ends inside a node"),
                END if !seen_root => return self.damaged("the tree has no root node"),
                END if self.at != self.bytes.len() => return self.damaged("something follows the end token"),
                END => return Ok(()),
                _ => return self.damaged("an unknown token"),
            }
        }
    }

    fn damaged<T>(&self, what: &'static str) -> Result<T, TreeError> {
        Err(TreeError::Damaged { what, offset: self.start.saturating_add(self.at).saturating_sub(4) })
    }

    fn next_word(&mut self, what: &'static str) -> Result<u32, TreeError> {
        let found = word(self.bytes, self.at);
        self.at = self.at.saturating_add(4);
        found.map_or_else(|| self.damaged(what), Ok)
    }

    fn check_node_name(&mut self, is_root: bool) -> Result<(), TreeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(name) = name(rest).filter(|name| !name.contains(&b'/') && (is_root || !name.is_empty())) else {
            return self.damaged("a node whose name is empty, too long or not printable");
        };
        self.skip(name.len() + 1)
    }

    fn check_property(&mut self) -> Result<(), TreeError> {
        let length = self.next_word("a property without its length")?;
        let name_offset = self.next_word("a property without its name")?;
        let named = usize::try_from(name_offset).ok().and_then(|offset| self.strings.get(offset..)).and_then(name);
        if named.is_none_or(<[u8]>::is_empty) {
            return self.damaged("a property whose name is empty, too long or not printable");
        }
        match usize::try_from(length) {
            Ok(length) => self.skip(length),
            Err(_) => self.damaged("a property longer than the tree"),
        }
    }

    /// Goes past `count` bytes and the padding to the next token.
    fn skip(&mut self, count: usize) -> Result<(), TreeError> {
        let end = self.at.checked_add(count).and_then(|end| end.checked_next_multiple_of(4));
        match end.filter(|end| *end <= self.bytes.len()) {
            Some(end) => {
                self.at = end;
                Ok(())
            }
            None => self.damaged("a name or property that goes past the structure block"),
        }
    }
}

/// The bytes before the first NUL, if they are a name: printable ASCII, and not too long.
fn name(bytes: &[u8]) -> Option<&[u8]> {
    let name =
        bytes.iter().take(LONGEST_NAME + 1).position(|byte| *byte == 0).and_then(|length| bytes.get(..length))?;
    name.iter().all(|byte| (b' '..=b'~').contains(byte)).then_some(name)
}
