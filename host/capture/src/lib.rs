//! The host's side of [`wire`]: bytes of a serial line, live or stored, become console text and images of regions.
//!
//! [`Assembler`] is fed with whatever came, in pieces of any size. It keeps what verifies, knows what is missing, and has the
//! answer for a target that listens. An image holds what came and zeros elsewhere, and the ordinary recovery reads it.
//!
//! Hostile bytes cost no more memory than they take up themselves: pages are kept compressed. Only an image is as large as
//! the region that its plan names, at most 1 GiB, and [`Transfer::write`] leaves holes in the file.

mod transfer;

pub use transfer::{Missing, Transfer};

use wire::frame::{self, FRAME_MAX, Frame, Read, Reader, body, kind};
use wire::page::Model;
use wire::plan::Plan;
use wire::send::RANGES_MAX;

/// Transfers that are kept: each crash of a region is one, and a region has 16 banks at most.
pub const TRANSFERS_MAX: usize = 64;
/// Text is handed on in pieces of at most this size.
const TEXT_MAX: usize = 4096;

/// What happened on the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Console text, as it came: not escaped.
    Text(Vec<u8>),
    /// Something that began as a frame, of so many bytes, does not verify.
    Broken(usize),
    /// A transfer's plan came, or came again: the number of the transfer in [`Assembler::transfers`].
    Plan(usize),
    /// A page came that was not there before.
    Page(usize),
    /// The target has sent everything, and listens: [`Assembler::answer`] is what to tell it.
    Prompt(usize),
}

/// Puts together what comes over a line.
#[derive(Debug)]
pub struct Assembler {
    reader: Reader,
    buffer: Vec<u8>,
    text: Vec<u8>,
    transfers: Vec<Transfer>,
    broken: u64,
    model: Box<Model>,
}

impl Default for Assembler {
    fn default() -> Self {
        Self {
            reader: Reader::NEW,
            buffer: vec![0; body::MAX],
            text: Vec::new(),
            transfers: Vec::new(),
            broken: 0,
            model: Box::new(Model::NEW),
        }
    }
}

impl Assembler {
    /// Takes the next bytes, and tells what they were in their order.
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(&Self, Event)) {
        for byte in bytes {
            match self.reader.take(*byte, &mut self.buffer) {
                Read::Text(byte) => {
                    self.text.push(byte);
                    if self.text.len() == TEXT_MAX {
                        self.tell_text(each);
                    }
                }
                Read::Within => {}
                Read::Broken(size) => self.tell_broken(size, each),
                Read::Body(size) => {
                    let whole = std::mem::take(&mut self.buffer);
                    match Frame::of(&whole[..size]) {
                        Some(frame) => {
                            if let Some(event) = self.frame(&frame) {
                                self.tell_text(each);
                                each(self, event);
                            }
                        }
                        None => self.tell_broken(size, each),
                    }
                    self.buffer = whole;
                }
            }
        }
        self.tell_text(each);
    }

    /// No more bytes will come: tells what has begun and will not end.
    pub fn finish(&mut self, each: &mut dyn FnMut(&Self, Event)) {
        let pending = std::mem::take(&mut self.reader).pending();
        if pending > 0 {
            self.tell_broken(pending, each);
        }
    }

    /// The transfers of which something came, in their order.
    #[must_use]
    pub fn transfers(&self) -> &[Transfer] {
        &self.transfers
    }

    /// How often something that began as a frame did not verify.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.broken
    }

    /// What a target is told that listens: a request for what is missing, or that all is there. Bytes for the line.
    #[must_use]
    pub fn answer(&self, transfer: usize) -> Vec<u8> {
        let Some(transfer) = self.transfers.get(transfer) else { return Vec::new() };
        let mut whole = vec![0; body::MAX];
        let ranges = transfer.missing_ranges();
        let (to, _) = whole[body::PAYLOAD..].as_chunks_mut::<8>();
        for (to, (first, last)) in to.iter_mut().zip(ranges.iter().take(RANGES_MAX)) {
            *to = (u64::from(*last) << 32 | u64::from(*first)).to_le_bytes();
        }
        let kind = if ranges.is_empty() { kind::DONE } else { kind::AGAIN };
        let mut out = vec![0; FRAME_MAX];
        let size = frame::write(&mut whole, kind, transfer.id(), 0, 8 * ranges.len().min(RANGES_MAX), &mut out);
        out.truncate(size);
        out
    }

    fn tell_text(&mut self, each: &mut dyn FnMut(&Self, Event)) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            each(self, Event::Text(text));
        }
    }

    fn tell_broken(&mut self, size: usize, each: &mut dyn FnMut(&Self, Event)) {
        self.broken += 1;
        self.tell_text(each);
        each(self, Event::Broken(size));
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Option<Event> {
        if !matches!(frame.kind, kind::PLAN | kind::PROMPT | kind::CODED | kind::PLAIN) {
            return None;
        }
        let index = self.transfer(frame.transfer)?;
        let transfer = self.transfers.get_mut(index)?;
        match frame.kind {
            kind::PLAN | kind::PROMPT => {
                transfer.take_plan(Plan::load(frame.payload), &mut self.model);
                Some(if frame.kind == kind::PROMPT { Event::Prompt(index) } else { Event::Plan(index) })
            }
            kind => transfer
                .take_page(frame.number, kind == kind::PLAIN, frame.payload, &mut self.model)
                .then_some(Event::Page(index)),
        }
    }

    /// The transfer with this id, perhaps a new one.
    fn transfer(&mut self, id: u32) -> Option<usize> {
        let known = self.transfers.iter().position(|transfer| transfer.id() == id);
        if known.is_none() && self.transfers.len() < TRANSFERS_MAX {
            self.transfers.push(Transfer::new(id));
            return Some(self.transfers.len() - 1);
        }
        known
    }
}
