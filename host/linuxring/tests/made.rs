//! Regions made by hand, in forms of which nobody gave one: each layout, each kind of record, and faults where only their
//! place in the ring shows them.

use linuxring::{Formats, Layout, Linux, Region, Symbols, find};
use trace::{Event, Item, LossKind, Trace};

/// A region's form.
#[derive(Clone, Copy)]
struct Form {
    layout: Layout,
    cpus: usize,
    subbufs: usize,
    size: usize,
}

const NEWEST: Form = Form { layout: Layout::Global { header: 32 }, cpus: 2, subbufs: 5, size: 4096 };
const INJECT: Form = Form { layout: Layout::Global { header: 40 }, cpus: 3, subbufs: 5, size: 4096 };
const OLDER: Form = Form { layout: Layout::PerCpu, cpus: 1, subbufs: 5, size: 4096 };
const LARGE: Form = Form { layout: Layout::Global { header: 32 }, cpus: 2, subbufs: 5, size: 65536 };
const ADDRESS: u64 = 0xffff_0000_3fcf_0000;

/// A sub-buffer's bytes.
struct Made {
    bytes: Vec<u8>,
    used: usize,
}

impl Made {
    fn new(size: usize, time: u64) -> Self {
        let mut bytes = vec![0; size];
        bytes[..8].copy_from_slice(&time.to_le_bytes());
        Self { bytes, used: 16 }
    }
    fn word(&mut self, word: u32) -> &mut Self {
        self.bytes[self.used..self.used + 4].copy_from_slice(&word.to_le_bytes());
        self.used += 4;
        self
    }
    fn entry(&mut self, id: u16, pid: i32, payload: &[u8]) -> &mut Self {
        self.word(u32::from(id)).word(pid.cast_unsigned());
        payload.chunks(4).for_each(|chunk| {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u32::from_le_bytes(word));
        });
        self
    }
    /// An event in its short form.
    fn event(&mut self, delta: u32, number: u32) -> &mut Self {
        self.word(delta << 5 | 4).entry(18, 7, &[number.to_le_bytes(), [1, 2, 3, 4]].concat())
    }
    /// One whose length has a word of its own.
    fn long(&mut self, delta: u32, bytes: &[u8]) -> &mut Self {
        let length = 4 + 8 + bytes.len().next_multiple_of(4) as u32;
        self.word(delta << 5).word(length).entry(5, 8, bytes)
    }
    fn commit(&mut self, flags: u64) -> &mut Self {
        let word = (self.used - 16) as u64 | flags;
        self.bytes[8..16].copy_from_slice(&word.to_le_bytes());
        self
    }
    /// Events to the end, as in every sub-buffer that is not the newest.
    fn fill(&mut self, from: u32) -> &mut Self {
        let mut number = from;
        while self.used + 20 <= self.bytes.len() {
            self.event(10, number);
            number += 1;
        }
        let rest = self.bytes.len() - self.used;
        match rest {
            0 => {}
            4 => {
                let used = self.used;
                self.word(29);
                self.used = used;
            }
            _ => {
                self.word(1 << 5 | 29).word(rest as u32 - 4);
                self.used = self.bytes.len();
            }
        }
        self.commit(0)
    }
}

impl Form {
    /// A region with these sub-buffers, a processor's in the order of their slots, its head and its commit.
    fn region(&self, cpus: &[(&[Made], usize, usize)]) -> Vec<u8> {
        let (start, header) = match self.layout {
            Layout::PerCpu => (0, 56),
            Layout::Global { header } => (8240, usize::from(header)),
        };
        let mut bytes = vec![0; start];
        for cpu in 0..self.cpus {
            let (pages, head, commit) = cpus.get(cpu).copied().unwrap_or((&[], 1, 1));
            let at = bytes.len();
            let first = (at + header + 4 * self.subbufs).next_multiple_of(self.size);
            bytes.resize(first + self.subbufs * self.size, 0);
            let mut fields = Vec::new();
            if self.layout == Layout::PerCpu {
                fields.extend([0x0bad_feedu32.to_le_bytes(), 56u32.to_le_bytes()].concat());
                fields.extend([0xffff_8000_8020_a740u64.to_le_bytes(); 2].concat());
            }
            let address = ADDRESS + first as u64;
            for slot in [0, head, commit] {
                fields.extend((address + (slot * self.size) as u64).to_le_bytes());
            }
            fields.extend([(self.size as u32).to_le_bytes(), (self.subbufs as u32).to_le_bytes()].concat());
            fields.resize(header, 0);
            (0..self.subbufs as u32).for_each(|slot| fields.extend(slot.to_le_bytes()));
            bytes[at..at + fields.len()].copy_from_slice(&fields);
            for (n, page) in pages.iter().enumerate() {
                bytes[first + n * self.size..][..self.size].copy_from_slice(&page.bytes);
            }
        }
        if let Layout::Global { header } = self.layout {
            let size = bytes.len() as u64;
            bytes[..8]
                .copy_from_slice(&(0x0bad_feedu64 | u64::from(24u32 << 16 | u32::from(header)) << 32).to_le_bytes());
            bytes[8..16].copy_from_slice(&size.to_le_bytes());
            bytes[16..24].copy_from_slice(&8240u64.to_le_bytes());
            bytes[24..28].copy_from_slice(&5u32.to_le_bytes());
            bytes[32..40].copy_from_slice(&0xffff_8000_8000_0000u64.to_le_bytes());
        }
        bytes
    }
}

fn parsed(image: &[u8]) -> Linux<'_> {
    Linux::new(Region::parse(image, 0).unwrap(), Formats::default(), Symbols::default())
}

/// What is told of a loss: why, which bytes, how many events.
type Told = (LossKind, (u32, u32), Option<u64>);

/// Time and first word of each event, and the losses between them.
fn read(linux: &Linux<'_>, core: u32) -> (Vec<(u64, u32)>, Vec<Told>) {
    let (mut events, mut losses) = (Vec::new(), Vec::new());
    for item in linux.items(core) {
        match item {
            Item::Event(Event { time_ns, payload, .. }) => {
                events.push((time_ns, u32::from_le_bytes(*payload.first_chunk().unwrap_or(&[0xff; 4]))));
            }
            Item::Loss(loss) => losses.push((loss.kind, loss.bytes, loss.events)),
        }
    }
    (events, losses)
}

fn ring(size: usize) -> Vec<Made> {
    let page = |time: u64, from| {
        let mut page = Made::new(size, time);
        page.event(0, from).fill(from + 1);
        page
    };
    let mut newest = Made::new(size, 3_000_000);
    newest.event(0, 20_000).event(7, 20_001).commit(0);
    vec![Made::new(size, 0), page(2_000_000, 10_000), newest, page(0, 100), page(1_000_000, 5000)]
}

#[test]
fn every_layout_is_read_in_the_order_in_which_it_was_written() {
    for form in [NEWEST, INJECT, OLDER, LARGE] {
        let pages = ring(form.size);
        let image = form.region(&[(&pages, 3, 2)]);
        let linux = parsed(&image);
        assert_eq!(linux.region().layout(), form.layout);
        assert_eq!(linux.region().subbuf_size(), form.size as u64);
        assert_eq!(linux.about().cores.len(), form.cpus);
        assert_eq!(linux.region().remarks, Vec::<String>::new());
        let (events, losses) = read(&linux, 0);
        assert_eq!(losses, []);
        assert!(events.is_sorted() && events[0] == (0, 100), "{:?}", &events[..3]);
        assert_eq!(events[events.len() - 2..], [(3_000_000, 20_000), (3_000_007, 20_001)]);
        assert_eq!(linux.counts(0).events, events.len() as u64);
        assert!(linux.pages(0).all(|page| page.whole));
        assert_eq!(linux.counts(1).events, 0);
        let found: Vec<_> = find(&image, &[]).collect();
        assert_eq!((found.len(), found[0].place.clone()), (1, 0..image.len() as u64));
        let notes = linux.region().notes();
        let clock = if form.layout == Layout::PerCpu { None } else { Some(5) };
        assert_eq!((notes.clock, notes.text.is_some()), (clock, true));
    }
}

#[test]
fn times_are_counted_as_linux_counts_them() {
    let mut page = Made::new(4096, 1 << 60 | 1000);
    page.event(0, 1).event(5, 2);
    page.word((3 << 5) | 30).word(1).event(2, 3); // 2^27 + 3 later, and 2
    page.word((9 << 5) | 29).word(12).word(0).word(0); // discarded: its time does not count
    page.event(1, 4);
    page.word((77 << 5) | 31).word(4).event(0, 5); // at 4 * 2^27 + 77, with the five highest bits as before
    page.long(1, &[6; 300]).commit(0);
    let image = OLDER.region(&[(&[Made::new(4096, 0), page], 1, 1)]);
    let (events, losses) = read(&parsed(&image), 0);
    let start = 1 << 60 | 1000;
    let third = start + 5 + (1 << 27) + 3 + 2;
    let fifth = (1 << 60) + (4 << 27) + 77;
    let expected = [(start, 1), (start + 5, 2), (third, 3), (third + 1, 4), (fifth, 5), (fifth + 1, 0x0606_0606)];
    assert_eq!((events, losses), (expected.to_vec(), vec![]));
}

#[test]
fn what_linux_missed_is_said_with_its_number_if_it_is_stored() {
    let mut pages = ring(4096);
    let mut counted = Made::new(4096, 3_000_000);
    counted.event(0, 20_000).commit(1 << 31 | 1 << 30).word(42).word(0);
    pages[2] = counted;
    let commit = u64::from_le_bytes(pages[4].bytes[8..16].try_into().unwrap()) | 1 << 31;
    pages[4].bytes[8..16].copy_from_slice(&commit.to_le_bytes());
    let image = NEWEST.region(&[(&pages, 3, 2)]);
    let linux = parsed(&image);
    let (events, losses) = read(&linux, 0);
    assert_eq!(losses, [(LossKind::Missed, (0, 0), None), (LossKind::Missed, (0, 0), Some(42))]);
    assert_eq!(events.last(), Some(&(3_000_000, 20_000)));
    assert_eq!(linux.pages(0).map(|page| page.missed).collect::<Vec<_>>(), [None, Some(0), None, Some(42)]);
}

/// A region whose ring has one sub-buffer changed.
fn with(slot: usize, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut pages = ring(4096);
    change(&mut pages[slot].bytes);
    NEWEST.region(&[(&pages, 3, 2)])
}

#[test]
fn an_older_commit_word_in_a_full_sub_buffer_loses_nothing() {
    let sound = with(0, |_| {});
    let (all, _) = read(&parsed(&sound), 0);
    for older in [0u64, 20, 200, 2000] {
        let image = with(4, |page| page[8..16].copy_from_slice(&older.to_le_bytes()));
        let linux = parsed(&image);
        let (events, losses) = read(&linux, 0);
        assert!(events == all, "{older}: {} of {}", events.len(), all.len());
        assert_eq!(losses, [(LossKind::Stale, (8, 16), None)], "{older}");
        assert_eq!(linux.pages(0).filter(|page| page.whole).count(), 3);
    }
    // Of the newest nothing shows that it went on.
    let image = with(2, |page| page[8..16].copy_from_slice(&20u64.to_le_bytes()));
    let (events, losses) = read(&parsed(&image), 0);
    assert_eq!((events.len(), losses), (all.len() - 1, vec![]));
}

#[test]
fn a_commit_word_that_cannot_be_one_is_put_right_where_one_bit_does_it() {
    let sound = with(0, |_| {});
    let (all, _) = read(&parsed(&sound), 0);
    for slot in [2, 4] {
        for bit in [0, 1, 12, 13, 20, 33, 63] {
            let image = with(slot, |page| page[8 + bit / 8] ^= 1 << (bit % 8));
            let (events, losses) = read(&parsed(&image), 0);
            assert!(events == all, "{slot}, bit {bit}: {} of {}", events.len(), all.len());
            assert_eq!(losses, [(LossKind::Flipped, (8, 16), None)], "{slot}, bit {bit}");
        }
    }
}

#[test]
fn events_behind_a_damaged_one_are_found_again() {
    let sound = with(0, |_| {});
    let (all, _) = read(&parsed(&sound), 0);
    // The tenth event's header: shorter, longer, a time record, the end. (A length that is wrong and leads to words that can
    // be events shows nowhere.)
    for kind in [2u32, 28, 30, 29] {
        let at = 16 + 20 * 10;
        let image = with(4, |page| page[at] = page[at] & !31 | kind as u8);
        let (events, losses) = read(&parsed(&image), 0);
        assert!(losses.len() == 1 && losses[0].0 == LossKind::Flipped, "{kind}: {losses:?}");
        let numbers = |events: &[(u64, u32)]| events.iter().map(|(_, number)| *number).collect::<Vec<_>>();
        let (events, all) = (numbers(&events), numbers(&all));
        assert!(events.len() + 4 >= all.len(), "{kind}: {} of {}", events.len(), all.len());
        assert!(events.iter().all(|event| all.contains(event)), "{kind}");
    }
}

#[test]
fn a_time_stamp_that_fits_nowhere_is_not_used() {
    let sound = with(0, |_| {});
    let (all, _) = read(&parsed(&sound), 0);
    let image = with(3, |page| page[5] = 0x80);
    let linux = parsed(&image);
    assert!(linux.items(0).all(|item| item.time_ns() < 4_000_000));
    let uncertain = linux.items(0).filter(|item| matches!(item, Item::Event(event) if !event.time_is_certain)).count();
    assert!(uncertain > 0 && uncertain < all.len() / 2, "{uncertain}");
    // The newest may be damaged, or time went back: nothing is dropped.
    let image = with(2, |page| page[..8].copy_from_slice(&5u64.to_le_bytes()));
    let (events, losses) = read(&parsed(&image), 0);
    assert_eq!((events.len(), losses, events[events.len() - 1].1), (all.len(), vec![], 20_001));
}

#[test]
fn a_damaged_header_is_worked_round_and_said() {
    let sound = with(0, |_| {});
    let (all, _) = read(&parsed(&sound), 0);
    let header = 8240;
    for (at, byte) in [
        (0, 1),
        (4, 1),
        (8, 0x40),
        (18, 2),
        (header, 1),
        (header + 9, 0x10),
        (header + 17, 0x10),
        (header + 24, 1),
        (header + 28, 1),
        (header + 36, 1),
    ] {
        let mut image = sound.clone();
        image[at] ^= byte;
        let linux = parsed(&image);
        assert!(read(&linux, 0).0 == all, "byte {at}: {:?}", linux.about().remarks);
        assert!(!linux.region().remarks.is_empty(), "byte {at}");
    }
}

#[test]
fn a_hostile_image_is_searched_in_time_and_gives_whatever_it_gives() {
    // Every page begins as a region does, and none is one.
    let mut image = vec![0xff; 16 << 20];
    for page in image.chunks_mut(4096) {
        page[..4].copy_from_slice(&0x0bad_feedu32.to_le_bytes());
        page[4..8].copy_from_slice(&0x0018_0020u32.to_le_bytes());
        page[16..24].copy_from_slice(&8240u64.to_le_bytes());
    }
    assert_eq!(find(&image, &[]).count(), 0);
    for page in image.chunks_mut(4096) {
        page[4..8].copy_from_slice(&56u32.to_le_bytes());
        page[48..56].copy_from_slice(&(4096u64 | 0xffff << 32).to_le_bytes());
    }
    for found in find(&image, &[]) {
        let linux =
            Linux::new(Region::parse(&image, found.place.start).unwrap(), Formats::default(), Symbols::default());
        let _ = read(&linux, 0);
    }
}
