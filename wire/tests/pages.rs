//! Any page comes back as it was; any bytes are borne by the decoder.

mod support;

use proptest::prelude::*;
use support::{Seeded, bank, region};
use wire::page::{Content, Model, PAGE_SIZE, Page, decode, encode};

const BOTH: [Content; 2] = [Content::Events, Content::Words];

fn model() -> Box<Model> {
    Box::new(Model::NEW)
}

/// Both ways; returns the size, if it became smaller.
fn through(content: Content, page: &Page, model: &mut Model) -> Option<usize> {
    let (mut copy, mut out) = (*page, vec![0; 2 * PAGE_SIZE]);
    let size = encode(content, &mut copy, model, &mut out).expect("twice a page is enough for any");
    assert_eq!(copy, *page, "the encoder leaves the page as it is");
    assert_eq!(decode(content, &out[..size], model).as_ref(), Some(page));
    let mut small = vec![0; PAGE_SIZE];
    let fits = encode(content, &mut copy, model, &mut small);
    assert_eq!(fits, (size <= PAGE_SIZE).then_some(size));
    fits
}

/// The sub-buffers of a bank with events.
fn subbufs() -> Vec<Page> {
    let region = region(256 << 10, 0, 900);
    let bank = bank(&region);
    let (bytes, g) = (bank.bytes(), bank.geometry());
    let begin = |core: u32, place: u64| g.subbuf(core, place) as usize;
    let places = (0..2).flat_map(|core| (0..g.ring()).map(move |place| (core, place)));
    places.map(|(core, place)| *bytes[begin(core, place)..].first_chunk().unwrap()).collect()
}

#[test]
fn events_become_small() {
    let (pages, mut model) = (subbufs(), model());
    let full = &pages[..pages.len() / 3];
    let sum: usize = full.iter().map(|page| through(Content::Events, page, &mut model).unwrap_or(PAGE_SIZE)).sum();
    assert!(sum * 4 < full.len() * PAGE_SIZE, "{sum} bytes for {} pages", full.len());
}

#[test]
fn pages_of_one_byte_are_a_few_bytes() {
    for content in BOTH {
        for byte in [0, 1, 0x7f, 0xff] {
            assert!(through(content, &[byte; PAGE_SIZE], &mut model()).unwrap() < 400, "{content:?} {byte}");
        }
    }
    assert!(through(Content::Words, &[0; PAGE_SIZE], &mut model()).unwrap() < 40);
}

#[test]
fn noise_travels_as_it_is() {
    let mut chance = Seeded(1);
    for _ in 0..20 {
        let page = std::array::from_fn(|_| chance.next() as u8);
        assert!(BOTH.iter().all(|content| through(*content, &page, &mut model()).is_none()));
    }
}

#[test]
fn damaged_sub_buffers_come_back_with_their_damage() {
    let (pages, mut model, mut chance) = (subbufs(), model(), Seeded(2));
    for round in 0..2000 {
        let mut page = pages[chance.below(pages.len() as u64) as usize];
        for _ in 0..=chance.below(8) {
            let at = chance.below(PAGE_SIZE as u64) as usize;
            match chance.below(5) {
                0 => page[at] ^= 1 << chance.below(8),
                1 => page[at] = chance.next() as u8,
                2 => page[at..].iter_mut().take(64).for_each(|byte| *byte = 0),
                3 => page[at / 64 * 64..].iter_mut().take(64).for_each(|byte| *byte = chance.next() as u8),
                // Headers as hostile as can be: whole words of them.
                _ => page[at / 4 * 4..][..4].copy_from_slice(&(chance.next() as u32 & 0x1f).to_le_bytes()),
            }
        }
        let content = BOTH[usize::from(round % 10 == 0)];
        through(content, &page, &mut model);
    }
}

#[test]
fn hostile_bytes_give_some_page_or_none() {
    let (pages, mut model, mut chance) = (subbufs(), model(), Seeded(3));
    let mut none = 0;
    for _ in 0..4000 {
        let mut out = vec![0; PAGE_SIZE];
        let mut page = pages[chance.below(pages.len() as u64) as usize];
        let size = encode(Content::Events, &mut page, &mut model, &mut out).unwrap_or(PAGE_SIZE);
        out.truncate(chance.below(size as u64 + 1) as usize);
        for _ in 0..chance.below(5) {
            let at = chance.below(out.len() as u64 + 1) as usize;
            if let Some(byte) = out.get_mut(at) {
                *byte = chance.next() as u8;
            }
        }
        none += usize::from(decode(Content::Events, &out, &mut model).is_none());
    }
    assert!(none > 0, "some of it is nonsense");
    for len in 0..200 {
        for byte in [0, 0xff] {
            let _ = decode(Content::Events, &vec![byte; len], &mut model);
        }
    }
}

/// Pages of events, of words that look like headers, and of anything.
fn any_page() -> impl Strategy<Value = Page> {
    let words = prop_oneof![any::<u32>(), 0..64u32, (0..32u32, 0..9u32).prop_map(|(kind, delta)| delta << 5 | kind)];
    prop::collection::vec(words, PAGE_SIZE / 4).prop_map(|words| {
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        bytes.try_into().expect("a page")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_page_comes_back(page in any_page()) {
        let mut model = model();
        for content in BOTH {
            through(content, &page, &mut model);
        }
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut model = model();
        for content in BOTH {
            let _ = decode(content, &bytes, &mut model);
        }
    }
}
