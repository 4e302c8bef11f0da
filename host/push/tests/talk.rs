//! Both ends of a push in memory, with a line between them that loses, doubles, flips and swaps, and ends that restart.

use proptest::prelude::*;
use push::{Pusher, State};
use std::collections::VecDeque;
use wire::frame::{FRAME_MAX, body};
use wire::push::{CHUNK, DATA, Line, Model, Persist, Receiver, STORE_SIZE, Stage, Store, Verdict, kind};

struct Memory;
impl Persist for Memory {
    fn persist(&mut self, _: &[u8], _: usize, _: usize) {}
}

#[derive(Default)]
struct Out(VecDeque<u8>);
impl Line for Out {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }
}

fn memory() -> Box<[u8; STORE_SIZE]> {
    vec![0x5a; STORE_SIZE].into_boxed_slice().try_into().unwrap()
}

/// A kernel that is none but begins as one. Some of its chunks can be packed, some cannot.
fn image(size: usize, seed: u64) -> Vec<u8> {
    let mut random = seed | 1;
    let mut bytes: Vec<u8> = (0..size)
        .map(|at| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if at / 700 % 3 == 0 && at / 9000 % 2 == 0 { 0 } else { (random >> 56) as u8 }
        })
        .collect();
    bytes[8..16].fill(0);
    bytes[16..24].copy_from_slice(&0x10_0000_u64.to_le_bytes());
    bytes[24..32].copy_from_slice(&0xa_u64.to_le_bytes());
    bytes[56..60].copy_from_slice(b"ARM\x64");
    bytes
}

/// What a line does to bytes that go over it, one byte in so many each; 0: never.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    lost: u32,
    doubled: u32,
    flipped: u32,
    swapped: u32,
}

struct Noise {
    faults: Faults,
    random: u64,
}

impl Noise {
    fn hits(&mut self, one_in: u32) -> bool {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        one_in > 0 && ((self.random >> 33) as u32).is_multiple_of(one_in)
    }

    fn pass(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in bytes {
            let faults = self.faults;
            if self.hits(faults.lost) {
                continue;
            }
            out.push(if self.hits(faults.flipped) { byte ^ 1 << (self.random >> 40 & 7) } else { byte });
            if self.hits(faults.doubled) {
                out.push(byte);
            }
            let len = out.len();
            if len > 1 && self.hits(faults.swapped) {
                out.swap(len - 1, len - 2);
            }
        }
        out
    }
}

/// A board with a loader, a host, the line between them, and the time.
struct World {
    memory: Box<[u8; STORE_SIZE]>,
    model: Box<Model>,
    receiver: Receiver,
    noise: Noise,
    to_host: Out,
    now: u64,
    /// Bytes that the host sent.
    sent: u64,
}

impl World {
    fn new(faults: Faults, seed: u64) -> Self {
        let noise = Noise { faults, random: seed };
        Self {
            memory: memory(),
            model: Box::default(),
            receiver: Receiver::new(),
            noise,
            to_host: Out::default(),
            now: 1,
            sent: 0,
        }
    }

    /// A warm reset: the loader begins anew, its store stays.
    fn reset(&mut self) {
        self.receiver = Receiver::new();
    }

    fn step(&mut self, host: &mut Pusher) {
        let out = host.output(self.now);
        self.sent += out.len() as u64;
        let mut store = Store::open(&mut self.memory, &mut self.model, Memory);
        for byte in self.noise.pass(out) {
            self.receiver.take(byte, self.now, &mut store, &mut self.to_host);
        }
        self.now += 20;
        self.receiver.tick(self.now, &mut store, &mut self.to_host);
        let back: Vec<u8> = self.to_host.0.drain(..).collect();
        host.feed(&self.noise.pass(back), self.now);
    }

    /// Until the host is done or the loader starts the kernel, or so many steps.
    fn run(&mut self, host: &mut Pusher, steps: usize) -> bool {
        (0..steps).any(|_| {
            self.step(host);
            matches!(host.state(), State::Done(_)) || self.receiver.stage() == Stage::Start
        })
    }

    fn has(&mut self, image: &[u8], append: &str) -> bool {
        let store = Store::open(&mut self.memory, &mut self.model, Memory);
        store.verdict() == Verdict::Whole && store.image() == image && store.append() == append.as_bytes()
    }
}

#[test]
fn a_kernel_comes_over_whole_and_is_started() {
    let image = image(100_000, 1);
    let mut host = Pusher::new(image.clone(), "events=500").unwrap();
    let mut world = World::new(Faults::default(), 1);
    assert!(world.run(&mut host, 100));
    assert_eq!(host.state(), State::Done(Verdict::Whole));
    assert!(world.has(&image, "events=500"));
    world.step(&mut host);
    assert_eq!(world.receiver.stage(), Stage::Start);
    // Its trailing zeros were not sent, and nothing twice.
    let most = push::line_bytes(&image, "events=500") + 200;
    assert!(world.sent <= most, "{} of {most}", world.sent);
}

#[test]
fn a_push_that_was_cut_by_a_reset_or_a_dead_host_sends_only_the_rest() {
    let image = image(100_000, 2);
    let mut world = World::new(Faults::default(), 2);
    let mut first = Pusher::new(image.clone(), "").unwrap();
    assert!(!world.run(&mut first, 3));
    let half = world.sent;
    // The host dies; the board is reset.
    world.reset();
    let mut second = Pusher::new(image.clone(), "").unwrap();
    assert!(world.run(&mut second, 300));
    assert!(second.resumed() > 0);
    assert!(world.has(&image, ""));
    let whole = push::line_bytes(&image, "");
    assert!(half > whole / 5 && world.sent < whole + whole / 10, "{half}, {} of {whole}", world.sent);

    // Once more: nothing is left to be sent.
    let before = world.sent;
    world.reset();
    let mut third = Pusher::new(image.clone(), "tail=0").unwrap();
    assert!(world.run(&mut third, 100));
    assert!(world.sent - before < 200);
    assert!(world.has(&image, "tail=0"));
}

#[test]
fn a_reset_in_the_middle_is_survived_by_the_same_host() {
    let image = image(150_000, 3);
    let mut world = World::new(Faults::default(), 3);
    let mut host = Pusher::new(image.clone(), "").unwrap();
    for _ in 0..3 {
        assert!(!world.run(&mut host, 2));
        world.reset();
    }
    assert!(world.run(&mut host, 1000));
    assert!(world.has(&image, ""));
}

#[test]
fn memory_that_lost_bits_is_asked_for_again() {
    let image = image(60_000, 4);
    let mut world = World::new(Faults::default(), 4);
    assert!(world.run(&mut Pusher::new(image.clone(), "").unwrap(), 100));
    for at in [wire::push::DATA + 5000, wire::push::DATA + 59_000] {
        world.memory[at] ^= 4;
    }
    world.reset();
    assert_eq!(Store::open(&mut world.memory, &mut world.model, Memory).missing(), 2);
    assert!(world.run(&mut Pusher::new(image.clone(), "").unwrap(), 100));
    assert!(world.has(&image, ""));
    world.memory[9] ^= 1;
    assert_eq!(Store::open(&mut world.memory, &mut world.model, Memory).id(), (0, 0), "a damaged header is no store");
}

/// A frame that verifies, whatever it says.
fn frame(kind: u8, transfer: u32, number: u32, payload: &[u8]) -> Vec<u8> {
    let mut whole = vec![0; body::MAX];
    whole[body::PAYLOAD..][..payload.len()].copy_from_slice(payload);
    let mut out = vec![0; FRAME_MAX];
    let size = wire::frame::write(&mut whole, kind, transfer, number, payload.len(), &mut out);
    out.truncate(size);
    out
}

#[test]
fn a_chunk_that_does_not_unpack_to_itself_ends_the_push_and_is_not_there() {
    let image = image(30_000, 6);
    let mut world = World::new(Faults::default(), 6);
    let mut host = Pusher::new(image.clone(), "").unwrap();
    // Knock and offer: the first request is on its way.
    for _ in 0..2 {
        world.step(&mut host);
    }
    let wrong_check = [&[1, 2, 3, 4][..], &[0x5a; 900]].concat();
    for byte in [frame(kind::PACKED, host.check(), 0, &wrong_check), frame(kind::END, host.check(), 1, &[])].concat() {
        let mut store = Store::open(&mut world.memory, &mut world.model, Memory);
        world.receiver.take(byte, world.now, &mut store, &mut world.to_host);
    }
    let back: Vec<u8> = world.to_host.0.drain(..).collect();
    host.feed(&back, world.now);
    assert_eq!(host.state(), State::Done(Verdict::BadChunk));
    assert_eq!(world.receiver.stage(), Stage::Idle);
    let store = Store::open(&mut world.memory, &mut world.model, Memory);
    assert_eq!(store.missing(), store.chunks());

    assert!(world.run(&mut Pusher::new(image.clone(), "").unwrap(), 300));
    assert!(world.has(&image, ""));
}

#[test]
fn what_a_bytes_place_tells_costs_nothing_whatever_stands_before_it() {
    // As the highest byte of an instruction does, behind three that nobody can know.
    let mut random = 9_u64;
    let chunk: Vec<u8> = (0..CHUNK)
        .map(|at| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if at % 4 == 3 { 0x91 } else { (random >> 56) as u8 }
        })
        .collect();
    let size = Box::<Model>::default().pack(&chunk, &mut [0; 2 * CHUNK]).unwrap();
    let unknown = CHUNK / 4 * 3;
    assert!(size < unknown + unknown / 8, "{size}");
}

#[test]
fn a_packed_chunk_of_one_kernel_is_not_taken_for_the_next_ones() {
    let (mut memory, mut model) = (memory(), Box::<Model>::default());
    let chunk = [0x11; CHUNK];
    let mut packed = [crc(&chunk).to_le_bytes().to_vec(), vec![0; 4000]].concat();
    let size = model.pack(&chunk, &mut packed[4..]).unwrap();
    for (second, there) in [(7, 1), (8, 0)] {
        let mut store = Store::open(&mut memory, &mut model, Memory);
        let (mut receiver, mut line) = (Receiver::new(), Out::default());
        let mut take = |bytes: Vec<u8>| bytes.iter().for_each(|byte| receiver.take(*byte, 1, &mut store, &mut line));
        take(frame(kind::OFFER, 7, 0, &20_000_u32.to_le_bytes()));
        take(frame(kind::PACKED, 7, 0, &packed[..4 + size]));
        if second != 7 {
            take(frame(kind::OFFER, second, 0, &20_000_u32.to_le_bytes()));
        }
        take(frame(kind::END, second, if second == 7 { 1 } else { 2 }, &[]));
        assert_eq!(store.chunks() - store.missing(), there, "{second}");
        store.clear();
    }
}

#[test]
fn packed_chunks_that_came_before_the_line_fell_silent_are_there() {
    let image = image(60_000, 7);
    let mut world = World::new(Faults::default(), 7);
    let mut host = Pusher::new(image.clone(), "").unwrap();
    for _ in 0..2 {
        world.step(&mut host);
    }
    // The host dies before the end of what it was asked for.
    let out = host.output(world.now);
    let mut store = Store::open(&mut world.memory, &mut world.model, Memory);
    for byte in &out[..out.len() - 20] {
        world.receiver.take(*byte, world.now, &mut store, &mut world.to_host);
    }
    assert!(store.missing() > store.chunks() - 7, "packed ones wait");
    world.receiver.tick(world.now + 1000, &mut store, &mut world.to_host);
    assert!(store.missing() <= store.chunks() - 7, "{} of {}", store.missing(), store.chunks());
}

#[test]
fn what_no_loader_can_start_is_refused_by_both_ends() {
    let good = image(5000, 5);
    let with = |at: usize, bytes: &[u8]| {
        let mut image = good.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    let cases = [
        (with(56, b"MZ"), Verdict::NoImage),
        (with(24, &[0xb]), Verdict::BadHeader), // big endian
        (with(24, &[0xc]), Verdict::BadHeader), // 16 KiB pages
        (with(16, &[0xff; 8]), Verdict::BadHeader),
        (with(8, &[0xff; 8]), Verdict::BadHeader),
        (with(16, &(wire::push::MEMORY + 1).to_le_bytes()), Verdict::BadHeader),
    ];
    assert_eq!(wire::push::judge(&with(16, &wire::push::MEMORY.to_le_bytes())), Verdict::Whole, "exactly so much fits");
    for (image, verdict) in cases {
        assert_eq!(wire::push::judge(&image), verdict);
        assert!(Pusher::new(image.clone(), "").is_err());
        let (mut memory, mut model) = (memory(), Box::<Model>::default());
        let mut store = Store::open(&mut memory, &mut model, Memory);
        store.begin(image.len() as u32, crc(&image), b"");
        for (index, chunk) in image.chunks(wire::push::CHUNK).enumerate() {
            assert!(store.put(index as u32, chunk));
        }
        assert_eq!(store.verdict(), verdict);
    }
    assert!(Pusher::new(good.clone(), "\u{1b}[2J").is_err());
    assert!(Pusher::new(good, &"x".repeat(1025)).is_err());
    assert!(Pusher::new(vec![0; 5 << 20], "").is_err());
}

fn crc(bytes: &[u8]) -> u32 {
    use ring::check::{Crc32c, Table};
    !Table.bytes(!0, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a line does to a byte in some thousand, the kernel that is started is the one that was pushed.
    #[test]
    fn over_a_bad_line_it_comes_whole_all_the_same(
        seed in any::<u64>(), size in 2000_usize..40_000,
        lost in 2500_u32..9000, doubled in 2500_u32..9000, flipped in 2500_u32..9000, swapped in 2500_u32..9000,
        resets in proptest::collection::vec(1_usize..40, 0..3),
    ) {
        let image = image(size, seed);
        let mut world = World::new(Faults { lost, doubled, flipped, swapped }, seed);
        let mut host = Pusher::new(image.clone(), "a=b").unwrap();
        for steps in resets {
            if !world.run(&mut host, steps) {
                world.reset();
            }
        }
        prop_assert!(world.run(&mut host, 20_000));
        prop_assert!(world.has(&image, "a=b"));
    }

    /// A chunk that can be packed is the same afterwards; what cannot be packed says so.
    #[test]
    fn what_was_packed_unpacks_to_itself(
        bytes in proptest::collection::vec(0_u8..7, 0..CHUNK), noise in proptest::collection::vec(any::<u8>(), 0..64),
        room in 0_usize..5000,
    ) {
        let (mut model, chunk) = (Box::<Model>::default(), [bytes, noise].concat());
        let mut packed = vec![0; room];
        if let Some(size) = model.pack(&chunk, &mut packed) {
            let mut out = vec![0xa5; chunk.len()];
            model.unpack(&packed[..size], &mut out);
            prop_assert_eq!(out, chunk);
        } else {
            prop_assert!(room < 2 * chunk.len() + 8);
        }
    }

    /// Packed chunks of any bytes, any length and any number, in frames that verify, change no byte of the store but those of
    /// the chunk that they claim to be.
    #[test]
    fn a_hostile_packed_chunk_writes_nowhere_else(
        number in 0_u32..6, size in 1_u32..20_000, payload in proptest::collection::vec(any::<u8>(), 0..4096),
    ) {
        let (mut memory, mut model) = (memory(), Box::<Model>::default());
        let mut store = Store::open(&mut memory, &mut model, Memory);
        let (mut receiver, mut line) = (Receiver::new(), Out::default());
        let mut take = |bytes: Vec<u8>| bytes.iter().for_each(|byte| receiver.take(*byte, 1, &mut store, &mut line));
        take(frame(kind::OFFER, 7, 0, &size.to_le_bytes()));
        take([frame(kind::PACKED, 7, number, &payload), frame(kind::END, 7, 1, &[])].concat());
        prop_assert!(!matches!(receiver.stage(), Stage::Whole | Stage::Start));
        let begin = DATA + number as usize * CHUNK;
        let own = begin..(begin + CHUNK).min(DATA + size as usize);
        let changed = memory.iter().enumerate().skip(DATA).filter(|(at, byte)| **byte != 0x5a && !own.contains(at));
        prop_assert_eq!(changed.count(), 0);
        let marks = Store::open(&mut memory, &mut model, Memory);
        prop_assert_eq!(marks.missing(), marks.chunks());
    }

    /// Any bytes, also such that are frames: the loader neither panics nor starts what is not whole.
    #[test]
    fn hostile_bytes_start_nothing(
        frames in proptest::collection::vec(
            (30_u8..42, any::<bool>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..1300)), 1..60),
        noise in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let (mut memory, mut model) = (memory(), Box::<Model>::default());
        let mut store = Store::open(&mut memory, &mut model, Memory);
        let (mut receiver, mut line) = (Receiver::new(), Out::default());
        let mut now = 0;
        for (kind, known, number, payload) in frames {
            let mut payload = payload;
            if known && payload.len() > 4 {
                // A size that fits, so that the talk goes on.
                payload[..4].copy_from_slice(&(1 + number % 9000).to_le_bytes());
                payload[4..].fill(b'a');
            }
            let (transfer, number) = if known { (7, number % 9) } else { (number, number) };
            let out = frame(kind, transfer, number, &payload);
            for byte in out.iter().chain(noise.iter().take(30)) {
                receiver.take(*byte, now, &mut store, &mut line);
            }
            now += 300;
            receiver.tick(now, &mut store, &mut line);
            prop_assert!(!matches!(receiver.stage(), Stage::Whole | Stage::Start));
        }
    }
}
