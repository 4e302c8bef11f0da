//! A region: what its headers say, and each processor's sub-buffers in the order in which Linux reads them.

use crate::divide::{Divided, Header};
use crate::find::inspect;
use crate::layout::{Layout, MAGIC, PAGE_HEADER, u32_at, u64_at};
use crate::order::{Order, Stamp, order};
use crate::page::{self, Frame, Plan};
use ring::escape::Escaped;
use std::cell::OnceCell;
use std::collections::HashMap;
use trace::LossKind;

/// Where the scratch area begins, and what is in it.
const SCRATCH: u64 = 24;
const SCRATCH_TEXT: u64 = SCRATCH + 8;
const SCRATCH_MODULES: u64 = SCRATCH + 16;
const MODULES: u64 = SCRATCH + 24;
const MODULE: u64 = 64;
const MODULES_MAX: u64 = 128;
/// Sub-buffers of a processor from which types and lengths of events are learned, to judge damaged ones by.
const LEARNED: usize = 64;

/// A region of Linux's.
#[derive(Debug)]
pub struct Region<'a> {
    bytes: &'a [u8],
    at: u64,
    divided: Divided,
    cpus: Vec<Cpu>,
    known: OnceCell<Known>,
    /// What was damaged or had to be worked round, a sentence each, printable ASCII.
    pub remarks: Vec<String>,
}

/// A processor's part.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Where in the image its header is.
    pub header: u64,
    /// Where in the image its first sub-buffer is.
    pub pages: u64,
    /// Its sub-buffers in the order in which they are read, by their numbers in memory.
    pub order: Vec<u32>,
}

/// What the kernel that wrote a region noted of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The clock that events were stamped with, as a place in Linux's list of clocks; `None` in the older layout.
    pub clock: Option<u32>,
    /// An address of its text: of `_text` in the newer layout, of a function in the older one. `None` if it was not noted.
    pub text: Option<u64>,
    /// Modules that were loaded: where, and what.
    pub modules: Vec<(u64, String)>,
}

/// Types of events and how long those of each are.
type Known = HashMap<u16, Vec<usize>>;
/// So many different lengths make a type one of any length.
const LENGTHS_MAX: usize = 6;

impl<'a> Region<'a> {
    /// The region that begins at a place of an image; `None` if nothing like a region is there.
    #[must_use]
    pub fn parse(image: &'a [u8], at: u64) -> Option<Self> {
        let divided = inspect(image, at)?;
        let bytes = &image[usize::try_from(at).ok()?..];
        let end = usize::try_from(divided.size).unwrap_or(usize::MAX).min(bytes.len());
        let mut region =
            Self { bytes: &bytes[..end], at, divided, cpus: Vec::new(), known: OnceCell::new(), remarks: Vec::new() };
        region.look_at_header();
        for cpu in 0..divided.cpus {
            let cpu = region.cpu_part(cpu);
            region.cpus.push(cpu);
        }
        Some(region)
    }

    /// What is wrong with the global header, or with the size of all.
    fn look_at_header(&mut self) {
        let Divided { division, size, .. } = self.divided;
        if u32_at(self.bytes, 0) != Some(MAGIC) {
            self.remarks.push("its first word is damaged".into());
        }
        let word = |at| u64_at(self.bytes, at);
        let is_form = match division.layout {
            Layout::PerCpu => u32_at(self.bytes, 4) == Some(56),
            Layout::Global { header } => {
                u32_at(self.bytes, 4) == Some(24 << 16 | u32::from(header))
                    && word(16) == Some(division.layout.first())
                    && word(8) == Some(size)
            }
        };
        if !is_form {
            self.remarks.push("its header is damaged: sizes follow from those of the processors' parts".into());
        }
        if (self.bytes.len() as u64) < size {
            let rest = size - self.bytes.len() as u64;
            self.remarks.push(format!("it is cut: {rest} of {size} bytes are missing"));
        }
    }

    fn cpu_part(&mut self, cpu: u64) -> Cpu {
        let Divided { division, .. } = self.divided;
        let place = division.place(cpu);
        let header = Header::read(self.bytes, division.layout, place.header);
        let mut wrong = Vec::new();
        if header.is_none_or(|header| header.size != division.size || header.number != division.number) {
            wrong.push("size or number of its sub-buffers is damaged in its header".to_string());
        }
        let slots: Vec<u32> = (0..division.number)
            .map_while(|n| u32_at(self.bytes, place.header + division.layout.header() + 4 * n))
            .collect();
        let stamps: Vec<Stamp> = (0..division.number)
            .map(|n| match u64_at(self.bytes, place.pages + n * division.size) {
                Some(time) => {
                    let commit = u64_at(self.bytes, place.pages + n * division.size + 8);
                    Stamp { time, is_used: commit.is_some_and(|commit| commit != 0) }
                }
                None => Stamp { time: 0, is_used: false },
            })
            .collect();
        let Order { pages, remarks } = order(header.as_ref(), &slots, &division, &stamps);
        wrong.extend(remarks);
        self.remarks.extend(wrong.into_iter().map(|what| format!("core {cpu}: {what}")));
        Cpu { header: self.at + place.header, pages: self.at + place.pages, order: pages }
    }

    /// Its layout.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.divided.division.layout
    }
    /// Bytes of the image that it takes.
    #[must_use]
    pub fn place(&self) -> std::ops::Range<u64> {
        self.at..self.at + self.bytes.len() as u64
    }
    /// Bytes of a sub-buffer.
    #[must_use]
    pub fn subbuf_size(&self) -> u64 {
        self.divided.division.size
    }
    /// Sub-buffers of a processor, the reader's page included.
    #[must_use]
    pub fn subbufs(&self) -> u64 {
        self.divided.division.number
    }
    /// The processors' parts.
    #[must_use]
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }
    /// Where in the image a sub-buffer is, counted in the order in which they are read.
    #[must_use]
    pub fn offset(&self, core: u32, page: u64) -> Option<u64> {
        let cpu = self.cpus.get(core as usize)?;
        let number = cpu.order.get(usize::try_from(page).ok()?)?;
        Some(cpu.pages + u64::from(*number) * self.subbuf_size())
    }

    /// What the kernel noted of itself.
    #[must_use]
    pub fn notes(&self) -> Notes {
        let address = |at| u64_at(self.bytes, at).filter(|address| *address != 0);
        if self.layout() == Layout::PerCpu {
            return Notes { clock: None, text: address(8), modules: Vec::new() };
        }
        let number = u64_at(self.bytes, SCRATCH_MODULES).filter(|number| *number <= MODULES_MAX).unwrap_or(0);
        let module = |n: u64| {
            let at = MODULES + MODULE * n;
            let name = self.bytes.get(at as usize + 8..(at + MODULE) as usize)?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or(&[]);
            Some((address(at)?, Escaped(name).to_string()))
        };
        Notes {
            clock: u32_at(self.bytes, SCRATCH),
            text: address(SCRATCH_TEXT),
            modules: (0..number).filter_map(module).collect(),
        }
    }

    /// A sub-buffer, counted in the order in which they are read.
    #[must_use]
    pub(crate) fn page(&self, core: usize, page: usize) -> Option<&'a [u8]> {
        let number = *self.cpus.get(core)?.order.get(page)?;
        let pages = self.divided.division.place(core as u64).pages;
        let size = self.subbuf_size();
        let at = usize::try_from(pages + u64::from(number) * size).ok()?;
        self.bytes.get(at..at.checked_add(size as usize)?)
    }

    /// The time stamp of a sub-buffer.
    pub(crate) fn stamp(&self, core: usize, page: usize) -> Option<u64> {
        self.page(core, page).map(|page| page::header(page).0)
    }

    /// What of a sub-buffer can be believed.
    pub(crate) fn plan(&self, core: usize, number: usize) -> Option<(&'a [u8], Plan)> {
        let bytes = self.page(core, number)?;
        let next_time = self.stamp(core, number + 1);
        let place = page::Place { is_full: number + 1 < self.cpus[core].order.len(), next_time };
        let is_known = |id: u16, len: usize| {
            let known = self.known.get_or_init(|| self.learn());
            known.get(&id).is_some_and(|lengths| lengths.len() >= LENGTHS_MAX || lengths.contains(&len))
        };
        let mut plan = Plan::of(bytes, place, &is_known);
        // An empty one between others is one that Linux emptied, or that never reached memory.
        let has_events = |span: &page::Span| matches!(span.what, page::What::Events { .. }) && span.from < span.to;
        if place.is_full && !plan.spans.iter().any(has_events) {
            let why = "nothing of it can be read, between others that can";
            let what = page::What::Lost { kind: LossKind::Page, why };
            plan.spans = vec![page::Span { from: 0, to: bytes.len(), what }];
            plan.whole = false;
        }
        Some((bytes, plan))
    }

    /// The lengths of each type's events in sub-buffers that are sound.
    fn learn(&self) -> Known {
        let mut known = Known::new();
        for core in 0..self.cpus.len() {
            let pages = self.cpus[core].order.len();
            let step = pages.div_ceil(LEARNED).max(1);
            for bytes in (0..pages).step_by(step).filter_map(|number| self.page(core, number)) {
                let place = page::Place { is_full: false, next_time: None };
                let plan = Plan::of(bytes, place, &|_, _| false);
                let end = PAGE_HEADER + plan.data;
                let mut at = PAGE_HEADER;
                while let Some(frame) = page::frame(bytes, at, end).filter(|_| plan.whole && at < end) {
                    if let Frame::Data { data, len, .. } = frame {
                        let lengths = known.entry(u16::from_le_bytes([bytes[data], bytes[data + 1]])).or_default();
                        let length = at + len - data;
                        if lengths.len() < LENGTHS_MAX && !lengths.contains(&length) {
                            lengths.push(length);
                        }
                    }
                    if frame == Frame::End {
                        break;
                    }
                    at += frame.len();
                }
            }
        }
        known
    }
}
