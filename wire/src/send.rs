//! The target's side: sends a bank, and parts of it again as long as somebody asks.

use crate::frame::{self, FRAME_MAX, Frame, Read, Reader, body, kind};
use crate::page::{Model, PAGE_SIZE, Page, encode};
use crate::plan::{Place, Plan};
use ring::format::{LINE_SIZE, domain};
use ring::line::{Line, LineSeed};

/// Prompts in a row that nobody answers before the target goes its way.
pub const UNANSWERED_MAX: u32 = 6;
/// Prompts in all.
pub const PROMPTS_MAX: u32 = 64;
/// Ranges of pages in a request.
pub const RANGES_MAX: usize = 32;
/// Bytes that the target reads after a prompt before it prompts again: a line that only makes noise ends as well.
const READ_MAX: u32 = 4096;

/// A line to the host.
pub trait Wire {
    /// Sends bytes, in one piece.
    fn write(&mut self, bytes: &[u8]);
    /// From now on, for a bounded time, [`Wire::read`] waits.
    fn listen(&mut self);
    /// The next byte; `None` when the time is over.
    fn read(&mut self) -> Option<u8>;
}

/// What a transfer needs beside the bank. Large: it wants to be a static or on a heap.
#[derive(Clone, Debug)]
pub struct Sender {
    model: Model,
    page: Page,
    whole: [u8; body::MAX],
    out: [u8; FRAME_MAX],
}

impl Sender {
    /// One that has sent nothing. All zeros: it takes no room in an image.
    pub const NEW: Self = Self { model: Model::NEW, page: [0; PAGE_SIZE], whole: [0; body::MAX], out: [0; FRAME_MAX] };

    /// Sends a bank, and what the host asks for again. Whether the host said that all is there.
    pub fn send(&mut self, plan: &Plan, transfer: u32, bank: &[u8], wire: &mut dyn Wire) -> bool {
        self.plan(plan, kind::PLAN, transfer, wire);
        // At first everything is wanted.
        let (mut wanted, mut ranges) = ([[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]; RANGES_MAX], 1);
        let mut unanswered = 0;
        for _ in 0..PROMPTS_MAX {
            for (number, place) in plan.pages() {
                let is_in = |range: &[u8; 8]| {
                    let both = u64::from_le_bytes(*range);
                    both as u32 <= number && number <= (both >> 32) as u32
                };
                if wanted.iter().take(ranges).any(is_in) {
                    self.page(number, place, transfer, bank, wire);
                }
            }
            self.plan(plan, kind::PROMPT, transfer, wire);
            ranges = 0;
            match self.listen(transfer, wire) {
                Some(Frame { kind: kind::DONE, .. }) => return true,
                Some(Frame { kind: kind::AGAIN, payload, .. }) => {
                    for (to, from) in wanted.iter_mut().zip(payload.as_chunks().0) {
                        *to = *from;
                        ranges += 1;
                    }
                    unanswered = 0;
                }
                _ => unanswered += 1,
            }
            if unanswered == UNANSWERED_MAX {
                break;
            }
        }
        false
    }

    fn plan(&mut self, plan: &Plan, kind: u8, transfer: u32, wire: &mut dyn Wire) {
        let Some(payload) = self.whole[body::PAYLOAD..].first_chunk_mut() else { return };
        let size = plan.store(payload);
        self.frame(kind, transfer, 0, size, wire);
    }

    fn page(&mut self, number: u32, place: Place, transfer: u32, bank: &[u8], wire: &mut dyn Wire) {
        let at = number as usize * PAGE_SIZE;
        let Some(page) = bank.get(at..).and_then(|rest| rest.first_chunk()) else { return };
        self.page = *page;
        if let Place::Tail(first) = place {
            let seed = LineSeed::new(transfer, domain::TAIL);
            for (number, line) in (first..).zip(self.page.chunks_exact_mut(LINE_SIZE as usize)) {
                if Line::load(line, 0, seed, number).is_none() {
                    line.fill(0);
                }
            }
        }
        let payload = &mut self.whole[body::PAYLOAD..][..PAGE_SIZE];
        let (kind, size) = match encode(place.content(), &mut self.page, &mut self.model, payload) {
            Some(size) => (kind::CODED, size),
            None => {
                payload.copy_from_slice(&self.page);
                (kind::PLAIN, PAGE_SIZE)
            }
        };
        self.frame(kind, transfer, number, size, wire);
    }

    /// Sends the frame whose payload stands in its place.
    fn frame(&mut self, kind: u8, transfer: u32, number: u32, payload: usize, wire: &mut dyn Wire) {
        let size = frame::write(&mut self.whole, kind, transfer, number, payload, &mut self.out);
        wire.write(self.out.get(..size).unwrap_or_default());
    }

    /// Waits for a frame of the host's.
    fn listen(&mut self, transfer: u32, wire: &mut dyn Wire) -> Option<Frame<'_>> {
        wire.listen();
        let mut reader = Reader::NEW;
        for _ in 0..READ_MAX {
            if let Read::Body(size) = reader.take(wire.read()?, &mut self.whole)
                && Frame::of(self.whole.get(..size)?).is_some_and(|frame| frame.transfer == transfer)
            {
                return Frame::of(self.whole.get(..size)?);
            }
        }
        None
    }
}
