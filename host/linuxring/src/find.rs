//! Looks for regions anywhere in an image.

use crate::divide::{Divided, divide, is_candidate};
use crate::layout::{ALIGNMENT, Layout};
use std::ops::Range;

/// A region that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where in the image it lies. It may end behind the image's end, if the image is cut.
    pub place: Range<u64>,
    /// In which layout it is.
    pub layout: Layout,
    /// Processors that have a part of it.
    pub cpus: u32,
}

/// All regions in an image, in the order in which they lie there. `but` are places that belong to somebody else: what begins
/// in one of them is not looked at.
///
/// One word in each page is looked at, and where it may be the beginning of a region some more; behind a region the search
/// goes on, so that nothing is looked at twice.
pub fn find<'a>(image: &'a [u8], but: &'a [Range<u64>]) -> impl Iterator<Item = Found> + 'a {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at + 64 <= image.len() as u64 {
            if let Some(other) = but.iter().find(|other| other.contains(&at)) {
                at = other.end.next_multiple_of(ALIGNMENT).max(at + ALIGNMENT);
                continue;
            }
            match inspect(image, at) {
                Some(divided) => {
                    let place = at..at + divided.size;
                    at = place.end.next_multiple_of(ALIGNMENT);
                    return Some(Found { place, layout: divided.division.layout, cpus: divided.cpus as u32 });
                }
                None => at += ALIGNMENT,
            }
        }
        None
    })
}

/// What begins at a place of an image, if a region does.
pub(crate) fn inspect(image: &[u8], at: u64) -> Option<Divided> {
    let rest = image.get(usize::try_from(at).ok()?..)?;
    let first = *rest.first_chunk::<24>()?;
    // Most pages are nothing at all: one look at a line of them is enough.
    if first == [0; 24] {
        return None;
    }
    let possible = Layout::ALL.into_iter().filter(|layout| is_candidate(rest, *layout, 0));
    possible
        .filter_map(|layout| divide(rest, layout))
        .reduce(|best, other| if other.score(rest) > best.score(rest) { other } else { best })
}
