//! Surveys whose state memory still holds: in a region, or anywhere in an image of RAM, for copies stand all over it.

use crate::serial::read;
use crate::watch::Found;
use kernel::survey::report::tell;
use kernel::survey::state::{MAGIC, State};
use ring::format::{LINE_SIZE, header_line};

/// A survey as memory holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The newest state that is there.
    pub state: State,
    /// Where its page begins in the image.
    pub at: u64,
    /// What it tells.
    pub found: Found,
}

/// All surveys of which a whole state is in an image, the one with the most resets first.
#[must_use]
pub fn find(image: &[u8]) -> Vec<Stored> {
    let mut newest: Vec<(State, u64)> = Vec::new();
    let before = u64::from(header_line::SURVEY) * LINE_SIZE;
    let lines = (0u64..).step_by(LINE_SIZE as usize).zip(image.chunks_exact(LINE_SIZE as usize));
    for (line, _) in lines.filter(|(_, line)| line.starts_with(&MAGIC)) {
        let Some(page) = line.checked_sub(before) else { continue };
        let Some(state) = State::load(image, page) else { continue };
        match newest.iter_mut().find(|(other, _)| other.seed == state.seed) {
            Some(other) if other.0.saves < state.saves => *other = (state, page),
            Some(_) => {}
            None => newest.push((state, page)),
        }
    }
    newest.sort_by_key(|(state, at)| (std::cmp::Reverse(state.resets), *at));
    newest.into_iter().map(|(state, at)| Stored { found: told(&state), state, at }).collect()
}

/// What the kernel would tell of a state, read like what it told.
fn told(state: &State) -> Found {
    let mut text = format!("survey: {} rounds, seed {:#x}, \n", state.rounds, state.seed.0);
    tell(state, &mut |line| text += &format!("{line}\n"));
    read(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Ending;
    use kernel::memblock::Range;
    use kernel::survey::judge::{Kind, Tally};
    use kernel::survey::pattern::Seed;
    use kernel::survey::spots::Spots;
    use ring::fake::Ram;

    fn state(seed: u64, saves: u32) -> State {
        let free = [Range::new(0x4000_0000, 64 << 20).unwrap()].into_iter().collect();
        let mut state = State { saves, resets: 3, ..State::new(Seed(seed), 2, free) };
        state.tallies[1] = Tally { checks: 3, kept_of: 900, damaged: 6, ..Tally::NONE };
        let mut here = Spots::new();
        here.add_line(Kind::Lost, 0x4020_0000);
        (0..3).for_each(|_| state.spots.count(&here, 1));
        state
    }

    #[test]
    fn the_newest_state_of_each_survey_is_found_wherever_it_stands_and_tells_the_report() {
        let ram = Ram::new(1 << 20);
        state(1, 4).store(&ram, 0x1_0000);
        state(1, 7).store(&ram, 0x4_0000);
        State { resets: 1, ..state(2, 9) }.store(&ram, 0x8_1000);
        let mut image = ram.cached();
        let found = find(&image);
        assert_eq!(
            found.iter().map(|stored| (stored.at, stored.state.saves)).collect::<Vec<_>>(),
            [(0x4_0000, 7), (0x8_1000, 9)]
        );
        let Found { ending, report, .. } = &found[0].found;
        assert_eq!((ending, report.seed), (&Ending::Reported, Some(1)));
        assert!(report.troubles().is_empty() && found[0].found.unread.is_empty(), "{:#?}", found[0].found);
        assert_eq!((report.spots.len(), report.spots[0].times), (1, 3));
        assert!(report.recommended.iter().flatten().count() == 1);
        // A line that is damaged: the older copy is the newest that is whole.
        image[0x4_0000 + 50 * 64] ^= 1;
        assert_eq!(find(&image)[0].at, 0x1_0000);
        assert!(find(&image[..0x1_0000]).is_empty());
    }

    #[test]
    fn a_state_too_near_to_the_beginning_of_an_image_is_none() {
        let mut image = vec![0; 4096];
        image[..8].copy_from_slice(&MAGIC);
        assert!(find(&image).is_empty());
    }
}
