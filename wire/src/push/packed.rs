//! A chunk as it comes over the line, packed (raw DEFLATE, RFC 1951).

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// Unpacks all of `packed` so that it fills all of `out`. Whether it did; if not, `out` holds anything.
///
/// One pass over `packed`, whatever its bytes are, and no write but to `out`.
pub(super) fn unpack(packed: &[u8], out: &mut [u8]) -> bool {
    let mut state = DecompressorOxide::new();
    let (status, read, written) = decompress(&mut state, packed, out, 0, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF);
    status == TINFLStatus::Done && read == packed.len() && written == out.len()
}
