//! What parity costs on this host: for each sub-buffer that is closed, and for each that is repaired.
//!
//! `cargo run --release --target host-tuple -p ring --example parity_cost`

use ring::parity::code::{Data, Syndromes, Way, parity_of};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: u32 = 2000;

fn main() {
    let good: Data = core::array::from_fn(|i| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    println!("parity lines  lost  closed, ns  repaired, ns");
    for lines in [2u32, 4, 8] {
        let begin = Instant::now();
        for _ in 0..ROUNDS {
            black_box(parity_of(lines, black_box(&good)));
        }
        let closed = begin.elapsed().as_nanos() / u128::from(ROUNDS);
        let stands = parity_of(lines, &good);
        let lost = lines as usize - 1;
        let mut damaged = good;
        for line in 0..lost {
            damaged[line * 72..][..8].fill(line as u64);
        }
        let bytes: Vec<u8> = damaged.iter().flat_map(|word| word.to_le_bytes()).collect();
        let whole: Vec<u8> = good.iter().flat_map(|word| word.to_le_bytes()).collect();
        let begin = Instant::now();
        for _ in 0..ROUNDS {
            let mut bytes = bytes.clone();
            let syndromes = Syndromes::of(lines, &stands, &parity_of(lines, &damaged));
            let way = syndromes.ways().find(|way| *way == Way::Together(lost)).expect("a way");
            syndromes.apply(way, &mut bytes).expect("found");
            assert!(bytes == whole, "repaired");
        }
        let repaired = begin.elapsed().as_nanos() / u128::from(ROUNDS);
        println!("{lines:>12}  {lost:>4}  {closed:>10}  {repaired:>12}");
    }
}
