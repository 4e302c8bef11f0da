//! Everything that the host reads, in every format: no bytes make it fail, and no control byte comes out as text.
#![no_main]

use flate2::read::GzDecoder;
use formats::Output;
use reader::{Image, Input};
use std::io::{Cursor, Read};
use std::sync::LazyLock;

/// What real kernels left: ours, with and without parity, and Linux.
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let packed: [&[u8]; 5] = [
        include_bytes!("../../host/afterglow/tests/data/corpus/virt-panic.region.gz"),
        include_bytes!("../../host/afterglow/tests/data/corpus/virt-parity.region.gz"),
        include_bytes!("../../host/afterglow/tests/data/corpus/virt-data-abort.region.gz"),
        include_bytes!("../../host/linuxring/tests/data/6.12.95-prints.region.gz"),
        include_bytes!("../../host/linuxring/tests/data/7.3.4-eight.region.gz"),
    ];
    let unpacked = |packed: &[u8]| {
        let mut image = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut image).unwrap();
        image
    };
    packed.map(unpacked).into()
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // As it is: captures, listings, headers of anything.
    look(input.to_vec());
    // What is done to an image: six bytes each.
    let Some((which, edits)) = input.split_first() else { return };
    let mut image = IMAGES[usize::from(*which) % IMAGES.len()].clone();
    for edit in edits.chunks_exact(6).take(64) {
        if image.len() < 8192 {
            break;
        }
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0usize, |value, byte| value << 8 | usize::from(*byte));
        let (at, from) = (number(&edit[1..4]) % (image.len() - 4096), number(&edit[3..6]) % (image.len() - 4096));
        let line = at / 64 * 64;
        match edit[0] % 8 {
            0 | 1 => image[at] = edit[4],
            2 => image[at] ^= 1 << (edit[4] % 8),
            3 => image[line..line + 64].fill(edit[4]),
            4 => image.copy_within(from / 64 * 64..from / 64 * 64 + 64, line),
            5 => image.copy_within(from / 4096 * 4096..from / 4096 * 4096 + 4096, at / 4096 * 4096),
            6 => image[at..at + 4].copy_from_slice(&edit[2..6]),
            _ => image.truncate(at.max(4096)),
        }
    }
    look(image);
});

fn look(image: Vec<u8>) {
    let size = 4096 + image.len();
    let input = Input::new(Image::of(image));
    let reading = input.read();
    let mut events = 0;
    for trace in &reading.traces {
        events += (0..trace.about().cores.len() as u32).map(|core| trace.items(core).count()).sum::<usize>();
        (0..trace.about().cores.len() as u32).for_each(|core| drop(trace.counts(core).clone()));
        for output in [Output::Text, Output::Json, Output::Csv] {
            let mut text = Vec::new();
            formats::stream(trace.as_ref(), output, &mut text).unwrap();
            let is_plain = |byte: &u8| matches!(byte, b'\n' | b'\r' | b' '..=b'~');
            assert!(text.iter().all(is_plain), "{output:?}");
        }
        let mut packets = Vec::new();
        formats::stream(trace.as_ref(), Output::Perfetto, &mut packets).unwrap();
        formats::tracedat::write(trace.as_ref(), &mut Cursor::new(Vec::new())).unwrap();
    }
    assert!(events <= size, "no more events than bytes");
}
