//! A boot records, dies, and the next one finds what it left.

mod support;
use ring::fake::Ram;
use ring::format::{FIELDS_MAX, MAGIC, domain, header_line};
use ring::line::{Line, LineSeed};
use ring::region::{Found, inspect};
use ring::verdict::Verdict;
use ring::writer::{Mode, Refused, WhenFull};
use support::*;

const SIZE: u64 = 256 << 10;

#[test]
fn what_was_closed_before_the_reset_is_all_there() {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 2, 2, BOOT_ID);
    let writers: Vec<_> = (0..2).map(|core| writer(&ram, &header, bank, core, Mode::default())).collect();
    for number in 0..100 {
        for w in &writers {
            w.record(&Numbered { number, padding: number as usize % 40 }).unwrap();
        }
    }
    writers.iter().for_each(close);
    let region = ram.persistent();
    for core in 0..2 {
        let (account, events) = find(&region, bank, core);
        assert_eq!(events.iter().map(|e| e.0).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        assert!(events.iter().all(|(_, e)| e.verdict == Verdict::Good && e.time_is_certain));
        assert!(events.is_sorted_by_key(|(_, e)| e.time_ns));
        assert_eq!((account.attempted, account.recovered, account.damaged()), (100, 100, 0));
        assert!(account.sum_holds() && account.is_final);
    }
    assert_eq!(linux_shows(&region, &header, bank), Ok(200));
}

#[test]
fn a_wrapped_ring_keeps_an_unbroken_run_up_to_the_last_event() {
    for (total, padding) in [(5_000u64, 4usize), (3_000, 61), (300, 1200), (40, FIELDS_MAX - 12)] {
        let ram = Ram::new(SIZE);
        let (header, bank) = boot(&ram, 2, 1, BOOT_ID);
        let w = writer(&ram, &header, bank, 0, Mode::default());
        for number in 0..total {
            w.record(&Numbered { number, padding }).unwrap();
        }
        close(&w);
        let region = ram.persistent();
        let (account, events) = find(&region, bank, 0);
        let first = events[0].0;
        assert!(first > 0, "wrapped");
        assert_eq!(events.iter().map(|e| e.0).collect::<Vec<_>>(), (first..total).collect::<Vec<_>>());
        assert_eq!((account.attempted, account.recovered, account.overwritten), (total, total - first, first));
        assert_eq!((account.damaged(), account.unfinished, account.dropped()), (0, 0, 0));
        assert_eq!(linux_shows(&region, &header, bank), Ok(total - first));
    }
}

#[test]
fn events_of_all_sizes_over_many_laps_leave_what_linux_accepts_at_every_moment() {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 4, 1, BOOT_ID);
    let w = writer(&ram, &header, bank, 0, Mode::default());
    let mut random = 1u64;
    for number in 0..1500 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        w.record(&Numbered { number, padding: (random >> 40) as usize % 700 }).unwrap();
        if number % 11 == 0 {
            let region = ram.cached();
            let shown = linux_shows(&region, &header, bank);
            let recovered = find(&region, bank, 0).1.len() as u64;
            assert_eq!(shown, Ok(recovered), "after event {number}");
        }
    }
}

#[test]
fn a_clock_that_goes_back_does_not_take_the_events_with_it() {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 1, 1, BOOT_ID);
    let w = writer(&ram, &header, bank, 0, Mode::default());
    for number in 0..100 {
        if number % 10 == 3 {
            w.clock().turn_back(20);
        }
        w.record(&Numbered { number, padding: 0 }).unwrap();
    }
    close(&w);
    let (account, events) = find(&ram.persistent(), bank, 0);
    assert_eq!(account.recovered, 100);
    assert!(events.is_sorted_by_key(|(_, e)| e.time_ns));
    assert!(events.last().unwrap().1.time_ns < 10_000, "{}", events.last().unwrap().1.time_ns);
}

#[test]
fn long_pauses_become_time_records() {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 1, 1, BOOT_ID);
    let w = writer(&ram, &header, bank, 0, Mode::default());
    let mut expected = vec![];
    for number in 0..2000u64 {
        let pause = if number % 7 == 0 { 1 << (number % 45) } else { number };
        w.clock().pass(pause);
        w.record(&Numbered { number, padding: 0 }).unwrap();
        expected.push(pause);
    }
    close(&w);
    let (account, events) = find(&ram.persistent(), bank, 0);
    assert!(account.sum_holds() && account.recovered == 2000);
    for pair in events.windows(2) {
        let passed = pair[1].1.time_ns - pair[0].1.time_ns;
        let pause = expected[pair[1].0 as usize];
        assert!((pause..pause + 30).contains(&passed), "{passed} for a pause of {pause}");
    }
}

#[test]
fn every_refusal_is_counted_by_its_cause() {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 2, 1, BOOT_ID);
    let w = writer(&ram, &header, bank, 0, Mode { when_full: WhenFull::Drop, ..Mode::default() });
    assert_eq!(w.reserve(EVENT_ID, FIELDS_MAX + 1).err(), Some(Refused::TooLarge));
    let mut accepted = 0;
    while w.record(&Numbered { number: accepted, padding: 100 }).is_ok() {
        accepted += 1;
    }
    assert_eq!(w.record(&Numbered { number: 0, padding: 2000 }), Err(Refused::Full));
    w.stop();
    assert_eq!(w.record(&Numbered { number: 0, padding: 0 }), Err(Refused::Stopped));
    close(&w);
    let (account, events) = find(&ram.persistent(), bank, 0);
    assert_eq!(events.len() as u64, accepted);
    assert_eq!(events[0].0, 0, "the oldest are kept");
    assert_eq!(account.refused, [1, 0, 1, 2, 0, 0, 0]);
    assert!(account.sum_holds());
    assert_eq!(account.attempted, accepted + 4);
}

#[test]
fn a_fifth_level_is_refused_and_the_four_below_commit() {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 2, 1, BOOT_ID);
    let w = writer(&ram, &header, bank, 0, Mode::default());
    let slots: Vec<_> = (0..4).map(|_| w.reserve(EVENT_ID, 12).unwrap()).collect();
    assert_eq!(w.record(&Numbered { number: 9, padding: 0 }), Err(Refused::Nested));
    for (number, slot) in slots.into_iter().enumerate().rev() {
        use ring::writer::Event;
        Numbered { number: number as u64, padding: 0 }.write(&slot);
        w.commit(slot);
    }
    close(&w);
    let (account, events) = find(&ram.persistent(), bank, 0);
    assert_eq!(events.iter().map(|(n, e)| (*n, e.nesting)).collect::<Vec<_>>(), [(0, 0), (1, 1), (2, 2), (3, 3)]);
    assert_eq!(account.refused[Refused::Nested as usize], 1);
    assert!(account.sum_holds());
}

#[test]
fn a_discarded_event_leaves_no_event_and_no_gap() {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 2, 1, BOOT_ID);
    let w = writer(&ram, &header, bank, 0, Mode::default());
    for number in 0..60 {
        if number % 3 == 1 {
            let slot = w.reserve(EVENT_ID, 8 + number as usize * 4).unwrap();
            w.discard(slot);
        } else {
            w.record(&Numbered { number, padding: 0 }).unwrap();
        }
    }
    close(&w);
    let region = ram.persistent();
    let (account, events) = find(&region, bank, 0);
    assert_eq!(events.len(), 40);
    assert!(events.iter().all(|(_, e)| e.verdict == Verdict::Good));
    assert_eq!((account.attempted, account.recovered, account.refused[6]), (60, 40, 20));
    assert!(account.sum_holds());
    assert_eq!(linux_shows(&region, &header, bank), Ok(40));
}

#[test]
fn an_event_in_flight_is_unfinished_and_those_nested_in_it_are_recovered() {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 2, 1, BOOT_ID);
    let w = writer(&ram, &header, bank, 0, Mode::default());
    for number in 0..1000 {
        w.record(&Numbered { number, padding: 0 }).unwrap();
    }
    let slot = w.reserve(EVENT_ID, 40).unwrap();
    for number in 1000..1003 {
        w.record(&Numbered { number, padding: 9 }).unwrap();
    }
    close(&w);
    let _never_committed = slot;
    let region = ram.persistent();
    let (account, events) = find(&region, bank, 0);
    assert_eq!(events.last().unwrap().0, 1002);
    assert_eq!(events.iter().filter(|(_, e)| e.verdict == Verdict::AfterGap).count(), 3);
    assert_eq!((account.attempted, account.unfinished, account.damaged()), (1004, 1, 0));
    assert!(account.sum_holds());
    let shown = linux_shows(&region, &header, bank).unwrap();
    assert_eq!(shown, events.len() as u64 - 3, "Linux is not shown what is nested in an unfinished event");
}

#[test]
fn three_crashes_stay_in_three_banks_and_the_fourth_boot_takes_the_free_one() {
    let ram = Ram::new(SIZE);
    for n in 0..3u32 {
        let (header, bank) = boot(&ram, 4, 1, 100 + n);
        assert_eq!(bank, n);
        let w = writer(&ram, &header, bank, 0, Mode::default());
        w.record(&Numbered { number: u64::from(n), padding: 0 }).unwrap();
        close(&w);
    }
    let region = ram.persistent();
    let Found::Valid(header) = inspect(&region) else { panic!() };
    assert_eq!(header.crashes().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(header.next_bank(), (3, false));
    for n in 0..3 {
        assert_eq!(find(&region, n, 0).1.iter().map(|e| e.0).collect::<Vec<_>>(), [u64::from(n)]);
    }
}

#[test]
fn when_every_bank_holds_a_crash_the_oldest_goes() {
    let ram = Ram::new(SIZE);
    for n in 0..4 {
        boot(&ram, 4, 1, 100 + n);
    }
    let Found::Valid(header) = inspect(&ram.persistent()) else { panic!() };
    assert_eq!(header.next_bank(), (0, true));
}

#[test]
fn a_line_lost_in_one_header_costs_nothing() {
    let ram = Ram::new(SIZE);
    let (header, _) = boot(&ram, 4, 1, BOOT_ID);
    let region = ram.persistent();
    for line in 0..64 {
        for page in [0, SIZE - 4096] {
            let mut region = region.clone();
            region[(page + line * 64) as usize..][..64].fill(0xa5);
            assert_eq!(inspect(&region), Found::Valid(header), "line {line} of {page}");
        }
    }
}

#[test]
fn regions_that_are_not_ours_are_told_apart() {
    assert_eq!(inspect(&vec![0; SIZE as usize]), Found::Cold { filled_with: Some(0) });
    assert_eq!(inspect(&[]), Found::Cold { filled_with: None });
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 2, 2, BOOT_ID);
    let w = writer(&ram, &header, bank, 1, Mode::default());
    for number in 0..2000 {
        w.record(&Numbered { number, padding: 0 }).unwrap();
    }
    close(&w);
    let good = ram.persistent();
    // Another size: the header says for which it was.
    let mut larger = good.clone();
    larger.resize(2 * SIZE as usize, 0);
    assert_eq!(inspect(&larger), Found::OtherGeometry { region_size: SIZE, banks: 2, cores: 2 });
    // Both headers gone: the sub-buffers say where they stand.
    let mut headless = good.clone();
    headless[..4096].fill(0);
    headless[SIZE as usize - 4096..].fill(0);
    let Found::Scanned { geometry, .. } = inspect(&headless) else { panic!("{:?}", inspect(&headless)) };
    assert_eq!(geometry, header.geometry);
    let rebuilt = ring::region::rebuild(&headless, geometry);
    assert_eq!(rebuilt.banks()[bank as usize], header.banks()[bank as usize]);
    assert_eq!(rebuilt.boot, 1);
}

#[test]
fn a_region_of_another_version_is_named_and_not_read() {
    let ram = Ram::new(SIZE);
    let (header, _) = boot(&ram, 2, 2, BOOT_ID);
    for version in [0, 3, u32::MAX] {
        for page in [0, header.geometry.header_b()] {
            let line = Line::default().u64(MAGIC).u32(version).u32(2).u64(SIZE).u32(2);
            line.store(&ram, page, LineSeed::new(0, domain::HEADER), header_line::IDENTITY, 1000);
        }
        assert_eq!(inspect(&ram.cached()), Found::OtherVersion(version));
    }
}
