//! Mutated and random device trees give errors or answers, soon, and never a panic.

mod support;

use std::time::{Duration, Instant};

use kernel::device_tree::HEADER;
use support::writer::{BEGIN_NODE, END, NOP, PROPERTY};
use support::{REAL, SMALL, SOON, dtb, everything_or_error};

/// The xorshift generator of Marsaglia, 64 bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn mutate(tree: &mut Vec<u8>, random: &mut Random) {
    const WORDS: [u32; 12] = [0, 1, 2, 3, 4, 9, 16, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, u32::MAX, 0xd00d_feed];
    if tree.len() < HEADER {
        return;
    }
    let words = tree.len() / 4;
    let word = random.below(words) * 4;
    match random.below(8) {
        0 => tree[word] = random.next() as u8,
        1 => {
            let at = random.below(tree.len());
            tree[at] ^= 1 << random.below(8);
        }
        2 => tree[word..word + 4].copy_from_slice(&WORDS[random.below(WORDS.len())].to_be_bytes()),
        3 => {
            let number = random.below(tree.len() * 2) as u32;
            tree[word..word + 4].copy_from_slice(&number.to_be_bytes());
        }
        // In the header.
        4 => tree[random.below(10) * 4 + 3] = random.next() as u8,
        5 => tree.truncate(1 + random.below(words * 4)),
        // A piece over another, both aligned: tokens in the wrong places.
        6 => {
            let length = (4 * (1 + random.below(16))).min(tree.len() - word);
            let from = random.below((tree.len() - length) / 4 + 1) * 4;
            tree.copy_within(from..from + length, word);
        }
        // One property's NOPs, or a hole in one.
        _ => {
            for at in (word..).step_by(4).take(1 + random.below(8)) {
                if let Some(hole) = tree.get_mut(at..at + 4) {
                    hole.copy_from_slice(&NOP.to_be_bytes());
                }
            }
        }
    }
}

/// Where the values of a well-formed tree are that are not empty: start and length.
fn values(tree: &[u8]) -> Vec<(usize, usize)> {
    let word = |at: usize| u32::from_be_bytes(tree[at..at + 4].try_into().unwrap());
    let (mut at, mut values) = (word(8) as usize, Vec::new());
    loop {
        at += 4;
        match word(at - 4) {
            BEGIN_NODE => at = (at + tree[at..].iter().position(|byte| *byte == 0).unwrap() + 1).next_multiple_of(4),
            PROPERTY => {
                let length = word(at) as usize;
                values.extend(Some((at + 8, length)).filter(|_| length > 0));
                at = (at + 8 + length).next_multiple_of(4);
            }
            END => return values,
            _ => {}
        }
    }
}

/// Changes one value and leaves the structure as it is: the look-ups must cope.
fn mutate_value(tree: &mut [u8], (start, length): (usize, usize), random: &mut Random) {
    let value = &mut tree[start..start + length];
    match random.below(4) {
        0 => value[random.below(length)] = random.next() as u8,
        1 => value[random.below(length)] ^= 1 << random.below(8),
        2 => value.fill([0, 1, 0x7f, 0xff][random.below(4)]),
        _ => value.rotate_left(random.below(length)),
    }
}

#[test]
fn twenty_thousand_mutated_trees_give_an_error_or_an_answer() {
    // Small trees more often than large ones, so that it stays a matter of seconds.
    let trees: Vec<(Vec<u8>, usize)> = SMALL
        .iter()
        .map(|name| (dtb(name), 1200))
        .chain(REAL.iter().map(|name| (dtb(name), if name.starts_with("virt") { 2000 } else { 400 })))
        .collect();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut answered, mut refused) = (0, 0);
    let mut slowest = Duration::ZERO;
    for (tree, times) in &trees {
        let values = values(tree);
        for turn in 0..*times {
            let mut mutated = tree.clone();
            for _ in 0..=random.below(3) {
                if turn % 2 == 0 {
                    mutate(&mut mutated, &mut random);
                } else {
                    mutate_value(&mut mutated, values[random.below(values.len())], &mut random);
                }
            }
            let start = Instant::now();
            match everything_or_error(&mutated) {
                Ok(_) => answered += 1,
                Err(_) => refused += 1,
            }
            slowest = slowest.max(start.elapsed());
        }
    }
    println!("{answered} answered, {refused} refused, the slowest took {slowest:?}");
    assert!(answered + refused >= 20_000, "{answered} + {refused}");
    // Both kinds are worth something only if there are many of them.
    assert!(answered > 8_000 && refused > 8_000, "{answered} answered, {refused} refused");
    assert!(slowest < SOON, "{slowest:?}");
}

#[test]
fn random_bytes_behind_a_good_header_give_an_error_or_an_answer() {
    let mut random = Random(7);
    for _ in 0..2_000 {
        let mut tree = dtb("trees/no-region");
        for (at, byte) in tree.iter_mut().enumerate().skip(HEADER) {
            // Mostly tokens and small numbers, else hardly anything would get past the first.
            *byte = if at % 4 == 3 { [1, 2, 3, 4, 9, 0][random.below(6)] } else { 0 };
        }
        let _ = everything_or_error(&tree);
    }
}
