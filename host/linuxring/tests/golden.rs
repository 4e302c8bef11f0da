//! Regions that Linux itself wrote, held against what that Linux said of them on its next boot.

mod support;
use support::{corpus, listing, shown};
use trace::Trace;

#[test]
fn every_event_is_shown_as_linux_shows_it() {
    for name in support::ALL {
        let corpus = corpus(name);
        let linux = corpus.linux();
        let (ours, theirs) = (shown(&linux), listing(&corpus.trace));
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{name}");
        }
        assert_eq!(linux.region().remarks, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_count_is_the_one_that_linux_says() {
    for name in support::ALL {
        let corpus = corpus(name);
        let linux = corpus.linux();
        let mut core = 0;
        for said in corpus.stats.split("entries: ").skip(1) {
            let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim();
            let entries: u64 = said.lines().next().unwrap().parse().unwrap();
            let counts = linux.counts(core);
            assert_eq!(counts.events, entries, "{name}, core {core}");
            assert_eq!(counts.bytes.to_string(), value("bytes:"), "{name}, core {core}");
            assert_eq!(counts.losses, 0, "{name}, core {core}");
            // As Linux rounds it.
            let oldest = counts.times.map_or(0, |(first, _)| (first + 500) / 1000);
            let oldest = format!("{}.{:06}", oldest / 1_000_000, oldest % 1_000_000);
            assert_eq!(oldest, value("oldest event ts:"), "{name}, core {core}");
            core += 1;
        }
        assert_eq!(core as usize, linux.about().cores.len(), "{name}");
    }
}
