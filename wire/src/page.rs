//! A page of a bank, compressed by what is known of its content.
//!
//! In a sub-buffer each event is predicted from the last two of the same kind: most words are the same or go on in the same
//! steps. Checks are left out where they follow from the rest, which they do in every event that verifies. All this is
//! guessed from the bytes, word by word, so that any 4096 bytes come back as they were.

use crate::coder::{Chance, Coder, Decoder, Encoder};
use ring::check::{Crc32c, Table, seed};
use ring::event::{Frame, Framed, frame};
use ring::format::{DATA_END, tag};
use ring::linux::SUBBUF_SIZE;
use ring::position::{END_WORD, FIRST_WORD, Position};

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;
/// Its words.
const WORDS: u32 = PAGE_SIZE as u32 / 4;

const _: () = assert!(PAGE_SIZE as u64 == SUBBUF_SIZE);

/// A page's bytes.
pub type Page = [u8; PAGE_SIZE];

/// What a page holds: how it is predicted. Both sides know it from the page's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A sub-buffer, or what is left of one.
    Events,
    /// Anything else.
    Words,
}

/// Kinds of events that are told apart: by the low bits of their ids.
const KINDS: usize = 16;
const KIND_BITS: u32 = KINDS.trailing_zeros();
/// Words of an event that are told apart: the last stands for all further ones.
const PLACES: usize = 16;
/// Words of an event whose older values are known; further ones share them.
const MEMORY: usize = 128;
/// The place at which an event's data begins; before it come time record, header and length.
const DATA_PLACE: u32 = 4;
/// The number of an event's words is coded as if it stood here, where hardly anything does.
const LENGTH_PLACE: usize = 0;
/// Bits of the number of words before its data.
const HEAD_BITS: u32 = 3;
/// Bits of an event header's type.
const TYPE_BITS: u32 = 5;
/// Bits of how many bits a number has.
const WIDTH_BITS: u32 = 6;
/// Bits behind a number's highest that are not plain.
const LEADING: u32 = 2;

/// What was learnt of one word of one kind of event.
#[derive(Clone, Copy, Debug)]
struct Word {
    same: Chance,
    steady: Chance,
    width: [Chance; 1 << WIDTH_BITS],
}

/// The last two values of a word.
#[derive(Clone, Copy, Debug, Default)]
struct Older {
    last: u32,
    before: u32,
}

/// How long an event is, and how many words stand before its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shape {
    words: u32,
    head: u32,
}

/// What was learnt of one kind of event.
#[derive(Clone, Copy, Debug)]
struct Kind {
    words: [Word; PLACES],
    older: [Older; MEMORY],
    shape: Shape,
    is_shaped: Chance,
    /// Whether an event follows, and of which kind.
    is_followed: Chance,
    followers: [Chance; KINDS],
}

/// What was learnt of a page so far. Large: it wants to be a static or on a heap.
#[derive(Clone, Debug)]
pub struct Model {
    kinds: [Kind; KINDS],
    leading: [[Chance; 1 << LEADING]; 1 << WIDTH_BITS],
    verifies: Chance,
}

/// The kind for what is no event: shared with an id that is rare.
const NO_EVENT: usize = KINDS - 1;

impl Model {
    /// One that has learnt nothing.
    pub const NEW: Self = {
        let word = Word { same: Chance::EVEN, steady: Chance::EVEN, width: [Chance::EVEN; _] };
        let kind = Kind {
            words: [word; _],
            older: [Older { last: 0, before: 0 }; _],
            shape: Shape { words: 0, head: 0 },
            is_shaped: Chance::EVEN,
            is_followed: Chance::EVEN,
            followers: [Chance::EVEN; _],
        };
        Self { kinds: [kind; _], leading: [[Chance::EVEN; _]; _], verifies: Chance::EVEN }
    };

    /// A kind: any number, so that there is none to be refused.
    fn kind(&mut self, kind: usize) -> &mut Kind {
        &mut self.kinds[kind % KINDS]
    }
}

/// One page on its way through a coder. An encoder's page is whole and stays as it is; a decoder's fills.
struct Pass<'a, C> {
    coder: C,
    model: &'a mut Model,
    page: &'a mut Page,
}

/// What was decoded is no page.
struct Nonsense;

impl<C: Coder> Pass<'_, C> {
    /// A word; 0 outside.
    fn word(&self, at: u32) -> u32 {
        let (words, _) = self.page.as_chunks();
        words.get(at as usize).map_or(0, |word| u32::from_le_bytes(*word))
    }

    fn set(&mut self, at: u32, value: u32) {
        let (words, _) = self.page.as_chunks_mut();
        if let Some(word) = words.get_mut(at as usize) {
            *word = value.to_le_bytes();
        }
    }

    /// A number: how many bits it has, then those behind its highest.
    fn number(&mut self, kind: usize, place: usize, value: u32) -> u32 {
        let bits = u32::BITS - value.leading_zeros();
        let width = self.coder.tree(&mut self.model.kind(kind).words[place % PLACES].width, WIDTH_BITS, bits);
        if width < 2 {
            return width;
        }
        // A decoder may be told of more bits than there are.
        let low = (width - 1).min(u32::BITS - 1);
        let leading = low.min(LEADING);
        let plain = low - leading;
        let tree = &mut self.model.leading[width as usize % (1 << WIDTH_BITS)];
        let first = self.coder.tree(tree, leading, value >> plain & ((1 << leading) - 1));
        let rest = self.coder.plain(plain, value);
        1 << low | first << plain | rest
    }

    /// A word for which two older ones stand.
    fn predicted(&mut self, kind: usize, place: usize, value: u32, last: u32, before: u32) -> u32 {
        let learnt = &mut self.model.kind(kind).words[place % PLACES];
        if self.coder.bit(&mut learnt.same, value == last) {
            return last;
        }
        let steady = last.wrapping_add(last.wrapping_sub(before));
        if self.coder.bit(&mut learnt.steady, value == steady) {
            return steady;
        }
        let step = value.wrapping_sub(last).cast_signed();
        let zigzag = (step << 1 ^ step >> 31).cast_unsigned();
        let zigzag = self.number(kind, place, zigzag);
        last.wrapping_add((zigzag >> 1) ^ (zigzag & 1).wrapping_neg())
    }

    /// Words that are predicted from the two before each, where a decoder knows these: from `known` on.
    fn words(&mut self, known: u32, from: u32, to: u32) {
        for at in from..to {
            let of = |back: u32| at.checked_sub(back).filter(|at| *at >= known).map_or(0, |at| self.word(at));
            let (last, before) = (of(1), of(2));
            let value = self.predicted(NO_EVENT, at as usize % PLACES, self.word(at), last, before);
            self.set(at, value);
        }
    }

    fn run(&mut self, content: Content) -> Result<(), Nonsense> {
        if content == Content::Words {
            self.words(0, 0, WORDS);
            return Ok(());
        }
        // The tag first: the checks of the events follow from it.
        self.words(END_WORD, END_WORD, WORDS);
        self.words(0, 0, FIRST_WORD);
        let at = DATA_END as u32;
        let of_tag = |this: &Self, field: u64| this.word((at + field as u32) / 4);
        let seed = seed(of_tag(self, tag::BOOT_ID), of_tag(self, tag::CORE) as u16);
        let high = of_tag(self, tag::SEQUENCE + 4);
        let sequence = u64::from(of_tag(self, tag::SEQUENCE)) | u64::from(high) << 32;
        let (mut at, mut kind) = (FIRST_WORD, 0);
        while at < END_WORD {
            // What a decoder does not know yet it does not look at.
            let framed = match frame(at, |at| self.word(at)) {
                Frame::Event(framed) => Some(framed),
                _ => None,
            };
            if self.coder.bit(&mut self.model.kind(kind).is_followed, framed.is_some()) {
                (at, kind) = self.event(at, kind, framed, seed, sequence)?;
            } else {
                self.words(0, at, at + 1);
                at += 1;
            }
        }
        Ok(())
    }

    /// An event at `at`, behind one of `kind`. Returns where the next begins, and this one's kind.
    fn event(
        &mut self,
        at: u32,
        kind: usize,
        framed: Option<Framed>,
        seed: u32,
        sequence: u64,
    ) -> Result<(u32, usize), Nonsense> {
        let told = framed.map_or(Shape::default(), |f| Shape { words: f.words, head: f.data - at });
        let id = self.word(at + told.head) & (KINDS as u32 - 1);
        let kind = self.coder.tree(&mut self.model.kind(kind).followers, KIND_BITS, id) as usize;
        let mut shape = self.model.kind(kind).shape;
        if !self.coder.bit(&mut self.model.kind(kind).is_shaped, told == shape) {
            shape.words = self.number(kind, LENGTH_PLACE, told.words);
            shape.head = self.coder.plain(HEAD_BITS, told.head);
        }
        let Shape { words, head } = shape;
        if words > END_WORD - at || head >= words || head > DATA_PLACE {
            return Err(Nonsense);
        }
        let check = at + words - 1;
        for word in at..check {
            // Where data begins differs, and its words go together all the same.
            let place = (DATA_PLACE + word - at - head) as usize;
            let value = self.in_event(kind, place, self.word(word));
            self.set(word, value);
        }
        self.check(at, check, Table.u64(seed, Position::new(0, sequence, at).checked()));
        self.model.kind(kind).shape = shape;
        Ok((check + 1, kind))
    }

    /// A word of an event but its check.
    fn in_event(&mut self, kind: usize, place: usize, value: u32) -> u32 {
        let memory = place % MEMORY;
        let Older { last, before } = self.model.kind(kind).older[memory];
        let place = place.min(PLACES - 1);
        let value = if place < DATA_PLACE as usize {
            self.head(kind, place, value, last)
        } else {
            self.predicted(kind, place, value, last, before)
        };
        self.model.kind(kind).older[memory] = Older { last: value, before: last };
        value
    }

    /// A word before an event's data: its type, and a time that no older one predicts.
    fn head(&mut self, kind: usize, place: usize, value: u32, last: u32) -> u32 {
        const TYPE: u32 = (1 << TYPE_BITS) - 1;
        let is_same = self.coder.bit(&mut self.model.kind(kind).words[place % PLACES].same, (value ^ last) & TYPE == 0);
        let low = if is_same { last & TYPE } else { self.coder.plain(TYPE_BITS, value) };
        self.number(kind, place, value >> TYPE_BITS) << TYPE_BITS | low
    }

    /// The check of the words from `from` to `at`.
    fn check(&mut self, from: u32, at: u32, register: u32) {
        let bytes = self.page.get(4 * from as usize..4 * at as usize).unwrap_or_default();
        let (check, value) = (Table.bytes(register, bytes), self.word(at));
        let verifies = self.coder.bit(&mut self.model.verifies, value == check);
        let value = if verifies { check } else { self.coder.plain(u32::BITS, value) };
        self.set(at, value);
    }
}

/// Compresses a page into `out`; returns how many bytes that took. `None` where `out` is too small: then the page travels
/// better as it is. The model need not be new. The page is left as it is.
pub fn encode(content: Content, page: &mut Page, model: &mut Model, out: &mut [u8]) -> Option<usize> {
    *model = Model::NEW;
    let mut pass = Pass { coder: Encoder::new(out), model, page };
    // An encoder is told nothing, so that there is no nonsense.
    let _ = pass.run(content);
    pass.coder.finish()
}

/// The page that was compressed to these bytes. `None` where no page was; any bytes are borne, in bounded time.
#[must_use]
pub fn decode(content: Content, bytes: &[u8], model: &mut Model) -> Option<Page> {
    *model = Model::NEW;
    let mut page = [0; PAGE_SIZE];
    let mut pass = Pass { coder: Decoder::new(bytes), model, page: &mut page };
    pass.run(content).ok()?;
    Some(page)
}
