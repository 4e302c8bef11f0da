//! What an event costs: ours beside the floor, and beside rings that others use.
//!
//! Everybody is asked in the same way: its state and the payload pass through [`black_box`] before every event, so that
//! neither is kept in registers from one event to the next, as it would not be in a program that does something else
//! between two events. Time stamp, check and commit are included, and every buffer holds 1 MiB and overwrites its oldest.

use crate::clock::Counter;
use crate::floor::Floor;
use crate::heap::Region;
use crate::lttng;
use crate::rivals::{History, Ringbuf, Rtrb, entries};
use crate::rounds::{Contender, Figure, Plan, interleaved};
use crate::setting::{Bytes, HeapWriter, Words, boot, geometry, writer};
use crate::table::table;
use anyhow::{Result, ensure};
use ring::check::Crc32c;
use std::hint::black_box;

/// What each buffer holds, in bytes.
const BUFFER: usize = 1 << 20;

/// Prints the table.
pub(crate) fn report<C: Crc32c>(
    plan: &Plan,
    clock: Counter,
    crc: C,
    lttng: Result<lttng::Session, String>,
) -> Result<()> {
    let (mut lttng, absent) = match lttng {
        Ok(session) => (Some(session), None),
        Err(why) => (None, Some(why)),
    };
    let measured = [
        measure::<1, { entries(BUFFER, 1) }, C>(plan, clock, crc, lttng.as_mut())?,
        measure::<2, { entries(BUFFER, 2) }, C>(plan, clock, crc, lttng.as_mut())?,
        measure::<4, { entries(BUFFER, 4) }, C>(plan, clock, crc, lttng.as_mut())?,
        measure::<8, { entries(BUFFER, 8) }, C>(plan, clock, crc, lttng.as_mut())?,
        measure::<32, { entries(BUFFER, 32) }, C>(plan, clock, crc, lttng.as_mut())?,
    ];
    println!("\nns per event, ring of 1 MiB, the oldest overwritten; median (best..worst batch):");
    let head = ["payload", "floor", "afterglow", "ratio", "floor", "afterglow", "ratio"];
    let ours: Vec<_> = measured.iter().map(Measured::ours).collect();
    println!("{}", table(&head, &ours));
    println!(
        "left: fields written one by one, their number known to the compiler; right: bytes copied, any number of them"
    );
    println!("\nns per event, beside others; median (best..worst batch):");
    let head = ["payload", "afterglow", "heapless HistoryBuf", "rtrb", "ringbuf", "LTTng-UST"];
    let others: Vec<_> = measured.iter().map(Measured::others).collect();
    println!("{}", table(&head, &others));
    if let Some(why) = absent {
        println!("LTTng-UST: {why}");
    }
    Ok(())
}

/// The figures at one size of payload.
struct Measured {
    bytes: usize,
    floor_words: Figure,
    words: Figure,
    floor_bytes: Figure,
    copied: Figure,
    history: Figure,
    rtrb: Figure,
    ringbuf: Figure,
    lttng: Option<Figure>,
}

impl Measured {
    fn ours(&self) -> Vec<String> {
        let ratio = |a: &Figure, b: &Figure| format!("{:.2} (best {:.2})", a.by(b), a.min() / b.min());
        vec![
            format!("{} bytes", self.bytes),
            shown(&self.floor_words),
            shown(&self.words),
            ratio(&self.words, &self.floor_words),
            shown(&self.floor_bytes),
            shown(&self.copied),
            ratio(&self.copied, &self.floor_bytes),
        ]
    }
    fn others(&self) -> Vec<String> {
        vec![
            format!("{} bytes", self.bytes),
            shown(&self.words),
            shown(&self.history),
            shown(&self.rtrb),
            shown(&self.ringbuf),
            self.lttng.as_ref().map_or_else(|| "-".into(), shown),
        ]
    }
}

fn shown(figure: &Figure) -> String {
    format!("{:.1} ({:.1}..{:.1})", figure.median(), figure.min(), figure.max())
}

fn measure<const N: usize, const ENTRIES: usize, C: Crc32c>(
    plan: &Plan,
    clock: Counter,
    crc: C,
    lttng: Option<&mut lttng::Session>,
) -> Result<Measured> {
    let payload: [u64; N] = std::array::from_fn(|i| 0x0123_4567_89ab_cdef ^ i as u64);
    let bytes: Vec<u8> = payload.iter().flat_map(|word| word.to_le_bytes()).collect();
    let regions = [(); 2].map(|()| Region::new(geometry(1, BUFFER as u64).region_size));
    let [words, copied] = [0, 1].map(|i| one_core(&regions[i], clock, crc));
    let mut contenders = vec![
        floor_of_words(&payload),
        Contender::each(|| {
            let (writer, payload) = black_box((&words, &payload));
            let _ = black_box(writer.record(&Words(payload)));
        }),
        floor_of_bytes(&bytes),
        Contender::each(|| {
            let (writer, bytes) = black_box((&copied, &bytes[..]));
            let _ = black_box(writer.record(&Bytes(bytes)));
        }),
        history::<N, ENTRIES>(&payload),
        rtrb(&payload),
        ringbuf(&payload),
    ];
    if let Some(session) = lttng {
        contenders.push(Contender::of(|events| session.record(8 * N, events)));
    }
    let mut figures = interleaved(plan, &mut contenders)?.into_iter();
    drop(contenders);
    for writer in [&words, &copied] {
        let counters = writer.counters();
        ensure!(counters.refused == [0; 7], "events were refused: {counters:?}");
        ensure!(counters.reserved > 0, "nothing was recorded");
    }
    let mut next = || figures.next().expect("as many figures as contenders");
    Ok(Measured {
        bytes: 8 * N,
        floor_words: next(),
        words: next(),
        floor_bytes: next(),
        copied: next(),
        history: next(),
        rtrb: next(),
        ringbuf: next(),
        lttng: figures.next(),
    })
}

/// The writer of a ring of 1 MiB.
fn one_core<C: Crc32c>(region: &Region, clock: Counter, crc: C) -> HeapWriter<'_, C> {
    let geometry = geometry(1, BUFFER as u64);
    boot(region, geometry, &clock);
    writer(region, geometry, 0, clock, crc)
}

fn floor_of_words<const N: usize>(payload: &[u64; N]) -> Contender<'_> {
    let mut floor = Floor::new(BUFFER);
    Contender::each(move || {
        let (floor, payload) = black_box((&mut floor, payload));
        floor.record(payload);
    })
}

fn floor_of_bytes(bytes: &[u8]) -> Contender<'_> {
    let mut floor = Floor::new(BUFFER);
    Contender::each(move || {
        let (floor, bytes) = black_box((&mut floor, bytes));
        floor.record(bytes);
    })
}

fn history<const N: usize, const ENTRIES: usize>(payload: &[u64; N]) -> Contender<'_> {
    let mut history = History::<N, ENTRIES>::new();
    Contender::each(move || {
        let (history, payload) = black_box((&mut history, payload));
        history.record(payload);
    })
}

fn rtrb<const N: usize>(payload: &[u64; N]) -> Contender<'_> {
    let mut rtrb = Rtrb::new(entries(BUFFER, N));
    Contender::each(move || {
        let (rtrb, payload) = black_box((&mut rtrb, payload));
        rtrb.record(payload);
    })
}

fn ringbuf<const N: usize>(payload: &[u64; N]) -> Contender<'_> {
    let mut ringbuf = Ringbuf::new(entries(BUFFER, N));
    Contender::each(move || {
        let (ringbuf, payload) = black_box((&mut ringbuf, payload));
        ringbuf.record(payload);
    })
}
