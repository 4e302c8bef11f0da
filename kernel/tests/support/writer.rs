//! Writes device trees token by token, well-formed or not.

use kernel::device_tree::HEADER;

pub(crate) const BEGIN_NODE: u32 = 1;
pub(crate) const END_NODE: u32 = 2;
pub(crate) const PROPERTY: u32 = 3;
pub(crate) const NOP: u32 = 4;
pub(crate) const END: u32 = 9;

/// Writes trees, well-formed or not.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) structure: Vec<u8>,
    pub(crate) strings: Vec<u8>,
    /// Nodes that are open.
    pub(crate) depth: usize,
}

impl Writer {
    pub(crate) fn token(&mut self, token: u32) -> &mut Self {
        self.structure.extend_from_slice(&token.to_be_bytes());
        self
    }

    pub(crate) fn padded(&mut self, bytes: &[u8]) -> &mut Self {
        self.structure.extend_from_slice(bytes);
        self.structure.resize(self.structure.len().next_multiple_of(4), 0);
        self
    }

    pub(crate) fn begin(&mut self, name: &str) -> &mut Self {
        self.depth += 1;
        self.token(BEGIN_NODE).padded(format!("{name}\0").as_bytes())
    }

    pub(crate) fn end(&mut self) -> &mut Self {
        self.depth = self.depth.saturating_sub(1);
        self.token(END_NODE)
    }

    /// The offset of a name, which is written once if it was the last one written.
    pub(crate) fn name(&mut self, name: &str) -> u32 {
        let terminated = format!("{name}\0");
        if !self.strings.ends_with(terminated.as_bytes()) {
            self.strings.extend_from_slice(terminated.as_bytes());
        }
        (self.strings.len() - terminated.len()) as u32
    }

    pub(crate) fn property(&mut self, name: &str, value: &[u8]) -> &mut Self {
        let name = self.name(name);
        self.property_at(name, value)
    }

    pub(crate) fn property_at(&mut self, name: u32, value: &[u8]) -> &mut Self {
        self.token(PROPERTY).token(value.len() as u32).token(name).padded(value)
    }

    /// A strings block that ends inside a name.
    pub(crate) fn unterminated_strings(&mut self) -> &mut Self {
        self.strings = b"abc".to_vec();
        self
    }

    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.token(END);
        let structure = HEADER + 16;
        let strings = structure + self.structure.len();
        let total = strings + self.strings.len();
        let words =
            [0xd00d_feed, total, structure, strings, HEADER, 17, 16, 0, self.strings.len(), self.structure.len()];
        let mut tree: Vec<u8> = words.iter().flat_map(|word| (*word as u32).to_be_bytes()).collect();
        tree.resize(structure, 0);
        tree.extend_from_slice(&self.structure);
        tree.extend_from_slice(&self.strings);
        tree
    }
}
