//! A frame is found or not; it is never another one.

use proptest::prelude::*;
use wire::frame::{END, FRAME_MAX, Frame, Read, Reader, START, body, write};

/// A frame with this payload, as it goes over the line.
fn frame(kind: u8, transfer: u32, number: u32, payload: &[u8]) -> Vec<u8> {
    let (mut whole, mut out) = (vec![0; body::MAX], vec![0; FRAME_MAX]);
    whole[body::PAYLOAD..][..payload.len()].copy_from_slice(payload);
    let size = write(&mut whole, kind, transfer, number, payload.len(), &mut out);
    out.truncate(size);
    out
}

/// Type, transfer, number, payload.
type Found = (u8, u32, u32, Vec<u8>);

/// The frames among these bytes, and the text between.
fn read(bytes: &[u8]) -> (Vec<Found>, Vec<u8>) {
    let (mut reader, mut buffer, mut frames, mut text) = (Reader::NEW, vec![0; body::MAX], Vec::new(), Vec::new());
    for byte in bytes {
        match reader.take(*byte, &mut buffer) {
            Read::Body(size) => {
                if let Some(f) = Frame::of(&buffer[..size]) {
                    frames.push((f.kind, f.transfer, f.number, f.payload.to_vec()));
                }
            }
            Read::Text(byte) => text.push(byte),
            Read::Within | Read::Broken(_) => {}
        }
    }
    (frames, text)
}

#[test]
fn the_check_is_the_known_one() {
    let bytes = frame(b'1', u32::from_le_bytes(*b"2345"), u32::from_le_bytes(*b"6789"), b"");
    assert_eq!(bytes, b"\x02123456789\x83\x92\x06\xe3\x03");
}

#[test]
fn marks_line_ends_and_flow_control_stand_in_no_body() {
    let all: Vec<u8> = (0..=255).collect();
    let bytes = frame(3, 0x1311_0a0d, 0x0002_0310, &all);
    let inner = &bytes[1..bytes.len() - 1];
    assert!(!inner.iter().any(|byte| [0, START, END, b'\n', b'\r', 0x11, 0x13, 0x1b].contains(byte)));
    assert_eq!(read(&bytes).0, [(3, 0x1311_0a0d, 0x0002_0310, all)]);
}

#[test]
fn a_body_too_large_for_its_room_is_refused() {
    let mut whole = vec![0; body::MAX];
    assert_eq!(write(&mut whole, 1, 2, 3, body::PAYLOAD_MAX + 1, &mut vec![0; FRAME_MAX]), 0);
    assert_eq!(write(&mut whole, 1, 2, 3, 100, &mut [0; 20]), 0);
    let endless: Vec<u8> = [START].into_iter().chain([b'x'; 3 * body::MAX]).collect();
    let (frames, text) = read(&endless);
    assert!(frames.is_empty() && text.len() < 2 * body::MAX, "what is behind the longest body is text again");
}

#[test]
fn each_byte_lost_turned_over_or_put_in_costs_its_own_frame_and_invents_none() {
    let frames: Vec<_> = (0..3u8).map(|n| (n + 3, 77, u32::from(n), vec![n * 5; 9 + usize::from(n)])).collect();
    let all: Vec<Vec<u8>> =
        frames.iter().map(|(kind, id, number, payload)| frame(*kind, *id, *number, payload)).collect();
    let line: Vec<u8> =
        [b"before ".to_vec(), all[0].clone(), b"between\r\n".to_vec(), all[1].clone(), all[2].clone()].concat();
    let intact = read(&line);
    assert_eq!((intact.0, intact.1.as_slice()), (frames.clone(), &b"before between\r\n"[..]));
    for at in 0..line.len() {
        let mut lost = line.clone();
        lost.remove(at);
        let flips = (0..8).map(|bit| {
            let mut turned = line.clone();
            turned[at] ^= 1 << bit;
            turned
        });
        let inserts = [0, START, END, 0x10, b'x', 0xff].into_iter().map(|byte| {
            let mut more = line.clone();
            more.insert(at, byte);
            more
        });
        for changed in flips.chain(inserts).chain([lost]) {
            let (found, _) = read(&changed);
            assert!(found.iter().all(|frame| frames.contains(frame)), "at {at}");
            // A mark between two frames that touch belongs to both.
            assert!(found.len() + 1 >= frames.len(), "at {at}: {} frames are left", found.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_payload_comes_back_through_any_text(payload in prop::collection::vec(any::<u8>(), 0..600), text in "[ -~\r\n\t]{0,50}") {
        let line: Vec<u8> = [text.as_bytes(), &frame(4, 1, 2, &payload), text.as_bytes()].concat();
        let (frames, rest) = read(&line);
        prop_assert_eq!(frames, [(4, 1, 2, payload)]);
        prop_assert_eq!(rest, [text.as_bytes(), text.as_bytes()].concat());
    }
}
