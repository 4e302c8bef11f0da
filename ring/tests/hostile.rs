//! Regions that are damaged, stale, foreign or made up: recovery never fails, never invents, and says what is missing.

mod support;
use proptest::prelude::*;
use ring::check::Table;
use ring::fake::Ram;
use ring::format::Geometry;
use ring::merge::Merge;
use ring::recover::Bank;
use ring::region::{Found, inspect, rebuild};
use ring::writer::Mode;
use support::*;

const SIZE: u64 = 128 << 10;

/// A region with two older boots beneath the newest one: events `0..total` of it, in a wrapped ring.
fn full(total: u64) -> (Vec<u8>, u32) {
    let ram = Ram::new(SIZE);
    let mut bank = 0;
    for boot_id in [11, 22, BOOT_ID] {
        let (header, number) = boot(&ram, 1, 1, boot_id);
        bank = number;
        let w = writer(&ram, &header, bank, 0, Mode::default());
        for number in 0..total {
            w.record(&Numbered { number, padding: number as usize % 90 }).unwrap();
        }
        close(&w);
    }
    (ram.persistent(), bank)
}

/// Walks everything that recovery offers; only for its not failing.
fn walk(region: &[u8]) {
    let (geometry, banks) = match inspect(region) {
        Found::Valid(header) => (header.geometry, header.banks),
        Found::Scanned { geometry, .. } => (geometry, rebuild(region, geometry).banks),
        _ => return,
    };
    for (number, record) in (0..geometry.banks).zip(banks) {
        let bytes = &region[geometry.bank(number) as usize..];
        let Some(bank) = Bank::new(bytes, geometry, record, Table) else { continue };
        for core in 0..geometry.cores {
            let ring = bank.core(core);
            assert!(ring.items().count() as u64 <= geometry.ring() * 1024);
            let _ = ring.account();
        }
        assert!(Merge::<_, 8>::new(&bank).count() as u64 <= geometry.ring() * 1024 * u64::from(geometry.cores));
    }
}

#[test]
fn flipped_bits_cost_the_events_that_they_hit_and_no_other() {
    let (good, bank) = full(3000);
    let (_, before) = find(&good, bank, 0);
    let geometry = Geometry::new(SIZE, 1, 1).unwrap();
    let start = (geometry.bank(bank) + geometry.subbuf(0, 0)) as usize;
    let end = start + geometry.ring() as usize * 4096;
    let mut seed = 1u64;
    for _ in 0..400 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = start + (seed >> 33) as usize % (end - start);
        let mut region = good.clone();
        region[at] ^= 1 << (seed & 7);
        // `find` fails on any event whose bytes are not as written.
        let (account, after) = find(&region, bank, 0);
        assert!(before.len() - after.len() <= 1, "a flip at {at} cost {}", before.len() - after.len());
        assert_eq!(account.damaged() as usize, before.len() - after.len(), "{account:?}");
        assert!(account.sum_holds());
        for (number, event) in &after {
            let was = &before.iter().find(|(n, _)| n == number).expect("not invented").1;
            assert!(event.time_ns == was.time_ns || !event.time_is_certain, "a wrong time was called certain");
        }
    }
}

#[test]
fn a_line_of_the_older_lap_is_called_stale() {
    // The same life, stopped one lap earlier: its lines are what a lost clean would leave.
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 1, 1, BOOT_ID);
    let w = writer(&ram, &header, bank, 0, Mode::default());
    let per_subbuf = 4040 / 28;
    let lap = header.geometry.ring() * per_subbuf;
    for number in 0..2 * lap {
        w.record(&Numbered { number, padding: 0 }).unwrap();
    }
    w.close();
    let older = ram.cached();
    let ram2 = Ram::new(SIZE);
    let (header, bank2) = boot(&ram2, 1, 1, BOOT_ID);
    assert_eq!(bank, bank2);
    let w2 = writer(&ram2, &header, bank2, 0, Mode::default());
    for number in 0..3 * lap {
        w2.record(&Numbered { number, padding: 0 }).unwrap();
    }
    close(&w2);
    let mut region = ram2.persistent();
    let start = (header.geometry.bank(bank) + header.geometry.subbuf(0, 2)) as usize;
    for line in [5usize, 20, 33] {
        region[start + 64 * line..][..64].copy_from_slice(&older[start + 64 * line..][..64]);
    }
    let (account, events) = find(&region, bank, 0);
    assert!((3..=12).contains(&account.stale), "{account:?}");
    assert_eq!(account.flipped, 0);
    assert!(account.sum_holds());
    assert!(events.len() as u64 > 2 * lap / 3);
}

#[test]
fn a_region_full_of_seeded_noise_is_cold() {
    let mut seed = 7u64;
    let noise: Vec<u8> = (0..SIZE)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 56) as u8
        })
        .collect();
    assert_eq!(inspect(&noise), Found::Cold { filled_with: None });
}

#[test]
fn every_lost_tag_costs_nothing_but_itself() {
    let (good, bank) = full(3000);
    let geometry = Geometry::new(SIZE, 1, 1).unwrap();
    let (_, before) = find(&good, bank, 0);
    for subbuf in 0..geometry.ring() {
        let mut region = good.clone();
        let tag = (geometry.bank(bank) + geometry.subbuf(0, subbuf) + 4056) as usize;
        region[tag..tag + 40].fill(0x5a);
        let (account, after) = find(&region, bank, 0);
        assert_eq!(before.len(), after.len(), "tag {subbuf}");
        assert!(account.sum_holds() && account.damaged() == 0, "tag {subbuf}: {account:?}");
    }
    // All of them at once: the events themselves say where they belong.
    let mut region = good.clone();
    for subbuf in 0..geometry.ring() {
        let tag = (geometry.bank(bank) + geometry.subbuf(0, subbuf) + 4056) as usize;
        region[tag..tag + 40].fill(0);
    }
    assert_eq!(find(&region, bank, 0).1.len(), before.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn any_damage_is_survived(edits in prop::collection::vec((0..SIZE as usize, any::<u8>(), 1..600usize), 1..60)) {
        let (mut region, _) = full(400);
        for (at, value, size) in edits {
            let end = (at + size).min(region.len());
            region[at..end].iter_mut().for_each(|b| *b = b.rotate_left(3) ^ value);
        }
        walk(&region);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..4096), size in 0..200usize) {
        // Made-up bytes where the structures are, good ones around.
        let (mut region, _) = full(200);
        let at = (size * 613) % region.len();
        let end = (at + bytes.len()).min(region.len());
        region[at..end].copy_from_slice(&bytes[..end - at]);
        walk(&region);
        walk(&bytes);
    }
}
