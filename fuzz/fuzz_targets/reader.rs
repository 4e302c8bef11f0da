//! Everything that the host reads, in every format: no bytes make it fail, and no control byte comes out as text.
#![no_main]

use formats::Output;
use reader::{Image, Input};
use std::io::Cursor;
use trace::Trace;

/// Bytes of the image that an input is laid over.
const SIZE: usize = 192 << 10;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // As it is: captures, listings, headers of anything.
    look(input.to_vec());
    // Laid over pages: first which pages and how far apart, then what stands there.
    let Some((spread, content)) = input.split_first() else { return };
    let mut image = vec![0; SIZE];
    let pieces = usize::from(spread % 7) + 1;
    for (number, piece) in content.chunks(content.len().div_ceil(pieces).max(1)).enumerate() {
        let at = number * SIZE / 8 / 4096 * 4096;
        let end = SIZE.min(at + piece.len());
        image[at..end].copy_from_slice(&piece[..end - at]);
    }
    look(image);
});

fn look(image: Vec<u8>) {
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
    assert!(events <= 4 * SIZE, "no more events than bytes");
}
