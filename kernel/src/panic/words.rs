//! What a dying kernel says on its console: two lines at first, everything else when nothing can be lost any more.

use super::{Out, Path, What, stop_line};
use crate::dump::{Registers, Seconds};
use core::fmt::Write;
use core::sync::atomic::Ordering;
use ring::check::Crc32c;
use ring::records::StopRecord;
use ring::seams::{Clock, Memory, Persist};

/// Most of a message that is said at first.
const SHORT: usize = 160;

/// What a person at the console sees first.
pub(super) fn announce(what: &What<'_>, out: &mut Out<'_>) {
    let _ = writeln!(out, "\npanic: core {}: {:.SHORT$}\npanic: at {}", what.core, what.message, what.location);
}

/// The details.
pub(super) fn tell<M: Memory + Persist + Copy, T: Clock, C: Crc32c>(path: &Path<'_, '_, M, T, C>) {
    if path.around.terse {
        return;
    }
    let (what, mut out) = (path.what, path.out());
    if what.message.len() > SHORT {
        let _ = writeln!(out, "panic: {}", what.message);
    }
    if what.exception {
        let _ = write!(
            out,
            "{}",
            Registers { registers: &what.registers, far: what.far, address: what.address.as_bytes() }
        );
    }
    let _ = out.write_str("panic: backtrace:");
    for pc in what.backtrace {
        let _ = write!(out, " {pc:#x}");
    }
    let _ = out.write_str("\n");
    stops(path, &mut out);
    (path.around.before_reset)();
}

/// Who was stopped, and what was cleaned.
fn stops<M: Memory + Persist + Copy, T: Clock, C: Crc32c>(path: &Path<'_, '_, M, T, C>, out: &mut Out<'_>) {
    let Some(recorder) = path.recorder else {
        let _ = writeln!(
            out,
            "panic: no region is there yet, or it is kept (keep=first): nothing of this boot will be found"
        );
        return;
    };
    let figures = &path.progress.figures;
    let waited = figures.waited_ns.load(Ordering::Relaxed) / 1000;
    for core in path.others() {
        if path.around.others.is_stopped(core) {
            let at = Seconds(recorder.memory.load_u64(stop_line(recorder, core) + StopRecord::TIME_AT));
            let _ = writeln!(out, "panic: core {core} was stopped by {} at {at}", path.around.means.name());
        } else {
            let _ = writeln!(out, "panic: core {core} did not answer within {waited} us: going on without it");
        }
    }
    let cleaning = figures.cleaning_ns.load(Ordering::Relaxed) / 1000;
    let lines = figures.lines.load(Ordering::Relaxed);
    let _ = writeln!(
        out,
        "panic: waited {waited} us for the others; no IPI was sent\npanic: cleaned {lines} cache lines by {} in {cleaning} us",
        recorder.operation
    );
}
