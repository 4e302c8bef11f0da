//! Five hundred crashes with a cache that loses: by panic and out of nowhere, in every clean mode, with every chance of
//! eviction, on four cores. `make loop` has thousands of them.

use campaign::lane::{End, Lane, run};
use qemu::workspace;
use ring::policy::CleanAt;
use std::ops::ControlFlow;
use std::thread;

const CLEANS: [CleanAt; 3] = [CleanAt::Panic, CleanAt::SubBuffer, CleanAt::Event];
const EVICTS: [u32; 3] = [0, 50, 100];
const INSTANT: End = End::Instant { min: 1, max: 20_000 };
const CRASHES: u64 = 28;

/// What a lane's crashes were like, all together.
#[derive(Default)]
struct Sum {
    crashes: u64,
    whole: u64,
    promised: u64,
    lost: u64,
    violations: Vec<String>,
}

fn sum(lane: &Lane) -> Sum {
    let mut sum = Sum::default();
    let kernel = workspace::kernel().unwrap();
    let done = run(lane, kernel, &mut |crashed| {
        let verdict = &crashed.verdict;
        sum.crashes += 1;
        sum.whole += u64::from(verdict.whole);
        sum.promised += verdict.promised;
        sum.lost += verdict.lost;
        let what = verdict.violations.iter().map(|it| format!("{lane:?}, crash {}: {it}", crashed.reset.number));
        sum.violations.extend(what);
        ControlFlow::Continue(())
    });
    assert_eq!(done.unwrap(), sum.crashes);
    sum
}

/// All lanes, two at a time.
fn all(end: &End) -> Vec<(Lane, Sum)> {
    let lanes: Vec<Lane> = CLEANS
        .into_iter()
        .flat_map(|clean| EVICTS.map(|evict| (clean, evict)))
        .zip(1..)
        .map(|((clean, evict), seed)| Lane {
            clean,
            evict,
            seed,
            end: end.clone(),
            crashes: CRASHES,
            ..Lane::default()
        })
        .collect();
    thread::scope(|scope| {
        let threads: Vec<_> = lanes.iter().map(|lane| scope.spawn(move || sum(lane))).collect();
        let sums: Vec<Sum> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        lanes.iter().cloned().zip(sums).collect()
    })
}

#[test]
fn a_panic_loses_nothing_whatever_the_cache_did() {
    for (lane, sum) in all(&End::Die("panic")) {
        assert_eq!(sum.violations, [""; 0]);
        assert_eq!((sum.crashes, sum.whole, sum.lost), (CRASHES, CRASHES, 0), "{lane:?}");
        assert!(sum.promised > 1000, "{lane:?}: only {} events were at stake", sum.promised);
    }
}

#[test]
fn a_reset_out_of_nowhere_loses_no_more_than_the_mode_says() {
    for (lane, sum) in all(&INSTANT) {
        assert_eq!(sum.violations, [""; 0]);
        assert_eq!((sum.crashes, sum.whole), (CRASHES, 0), "{lane:?}");
        assert_eq!(sum.promised == 0, lane.clean == CleanAt::Panic, "{lane:?}");
        // The less is promised, the more is lost of it; and a cache that keeps all loses nothing.
        assert_eq!(sum.lost == 0, lane.evict == 100, "{lane:?}");
    }
}
