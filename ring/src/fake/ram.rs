//! Memory behind a write-back cache, which remembers every store and clean so that a test can crash at each of them.

extern crate std;
use super::interrupt;
use crate::seams::{Memory, Observe, Persist};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

/// Bytes of a cache line.
pub const LINE: u64 = 64;

/// One thing that happened to memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bytes were written to the cache.
    Store {
        /// Where.
        at: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// A line's way to memory began.
    Clean {
        /// The line's number.
        line: u64,
    },
    /// Everything cleaned before is in memory.
    Complete,
}

#[derive(Debug, Default)]
struct Inner {
    /// What the cores see.
    cache: Vec<u8>,
    /// What a reset leaves.
    memory: Vec<u8>,
    /// Cleaned, not waited for: the content at the time of the clean.
    cleaning: BTreeMap<u64, Vec<u8>>,
    /// All operations, when they are remembered.
    log: Option<Vec<Operation>>,
}

/// The fake memory.
#[derive(Debug, Default)]
pub struct Ram(RefCell<Inner>);

impl Ram {
    /// Zeros.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self::holding(std::vec![0; size as usize])
    }

    /// Memory that holds `bytes`, with nothing in the cache.
    #[must_use]
    pub fn holding(bytes: Vec<u8>) -> Self {
        Self(RefCell::new(Inner { cache: bytes.clone(), memory: bytes, ..Inner::default() }))
    }

    /// What the cores see.
    #[must_use]
    pub fn cached(&self) -> Vec<u8> {
        self.0.borrow().cache.clone()
    }

    /// What is left after a reset that loses the whole cache.
    #[must_use]
    pub fn persistent(&self) -> Vec<u8> {
        self.0.borrow().memory.clone()
    }

    /// From now on remembers every operation.
    pub fn remember(&self) {
        self.0.borrow_mut().log = Some(Vec::new());
    }

    /// What was remembered.
    #[must_use]
    pub fn remembered(&self) -> Vec<Operation> {
        self.0.borrow().log.clone().unwrap_or_default()
    }

    /// How many operations are remembered.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.0.borrow().log.as_ref().map_or(0, Vec::len)
    }

    /// Writes every dirty line back, as time does.
    pub fn settle(&self) {
        for line in self.dirty() {
            self.apply(&Operation::Clean { line });
        }
        self.apply(&Operation::Complete);
    }

    /// Does one operation.
    pub fn apply(&self, operation: &Operation) {
        let inner = &mut *self.0.borrow_mut();
        if let Some(log) = &mut inner.log {
            log.push(operation.clone());
        }
        match operation {
            Operation::Store { at, bytes } => {
                inner.cache[*at as usize..*at as usize + bytes.len()].copy_from_slice(bytes);
            }
            Operation::Clean { line } => {
                let start = (line * LINE) as usize;
                let end = (start + LINE as usize).min(inner.cache.len());
                inner.cleaning.insert(*line, inner.cache[start..end].to_vec());
            }
            Operation::Complete => {
                for (line, bytes) in core::mem::take(&mut inner.cleaning) {
                    let start = (line * LINE) as usize;
                    inner.memory[start..start + bytes.len()].copy_from_slice(&bytes);
                }
            }
        }
    }

    /// The lines whose content a reset would lose.
    #[must_use]
    pub fn dirty(&self) -> BTreeSet<u64> {
        let inner = self.0.borrow();
        let lines = inner.cache.chunks(LINE as usize).zip(inner.memory.chunks(LINE as usize));
        lines.enumerate().filter(|(_, (cache, memory))| cache != memory).map(|(line, _)| line as u64).collect()
    }

    /// What a reset leaves when these lines happened to be evicted before it.
    #[must_use]
    pub fn after_reset(&self, evicted: impl IntoIterator<Item = u64>) -> Vec<u8> {
        let inner = self.0.borrow();
        let mut memory = inner.memory.clone();
        for line in evicted {
            let start = (line * LINE) as usize;
            let end = (start + LINE as usize).min(memory.len());
            memory[start..end].copy_from_slice(&inner.cache[start..end]);
        }
        memory
    }

    fn store(&self, at: u64, bytes: &[u8]) {
        interrupt::point();
        self.apply(&Operation::Store { at, bytes: bytes.to_vec() });
    }

    fn load<const N: usize>(&self, at: u64) -> [u8; N] {
        interrupt::point();
        *self.0.borrow().cache[at as usize..].first_chunk::<N>().expect("a load inside the region")
    }
}

impl Memory for Ram {
    fn load_u32(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.load(at))
    }
    fn load_u64(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.load(at))
    }
    fn store_u32(&self, at: u64, value: u32) {
        self.store(at, &value.to_le_bytes());
    }
    fn store_u64(&self, at: u64, value: u64) {
        self.store(at, &value.to_le_bytes());
    }
    fn publish_u64(&self, at: u64, value: u64) {
        self.store(at, &value.to_le_bytes());
    }
    fn address(&self, at: u64) -> u64 {
        0x5000_0000 + at
    }
}

impl Observe for Ram {
    fn observe_u32(&self, at: u64) -> u32 {
        self.load_u32(at)
    }
    fn observe_u64(&self, at: u64) -> u64 {
        self.load_u64(at)
    }
}

impl Persist for Ram {
    fn clean(&self, at: u64, size: u64) -> u64 {
        if size == 0 {
            return 0;
        }
        let lines = at / LINE..=(at + size - 1) / LINE;
        let count = lines.end() - lines.start() + 1;
        for line in lines {
            interrupt::point();
            self.apply(&Operation::Clean { line });
        }
        count
    }
    fn complete(&self) {
        interrupt::point();
        self.apply(&Operation::Complete);
    }
}
