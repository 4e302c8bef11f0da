//! What the workload writes: events that are numbered, whose data are always the same.

/// The id of its events.
pub(super) const ID: u16 = 4104;
/// Bytes of the number, which comes first.
const NUMBER: usize = 8;

/// The workload's events of a core, as they are met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    last: Option<u64>,
    /// The first number that does not lie above the one before, behind that.
    pub(super) falls: Option<(u64, u64)>,
    /// Numbers that are missing between those that are there.
    pub(super) missing: u64,
    /// The first event that does not hold what the workload writes.
    pub(super) wrong: Option<u64>,
}

impl Run {
    pub(super) fn add(&mut self, id: u16, fields: &[u8]) {
        if id != ID {
            return;
        }
        let Some((number, data)) = fields.split_first_chunk::<NUMBER>() else {
            self.wrong = self.wrong.or(Some(0));
            return;
        };
        let number = u64::from_le_bytes(*number);
        if !is_written(data) {
            self.wrong = self.wrong.or(Some(number));
        }
        match self.last {
            Some(last) if number <= last => self.falls = self.falls.or(Some((last, number))),
            Some(last) => self.missing = self.missing.saturating_add(number - last - 1),
            None => {}
        }
        self.last = Some(number);
    }
}

/// The number of an event, if it is the workload's.
pub(super) fn number(id: u16, fields: &[u8]) -> Option<u64> {
    (id == ID).then(|| fields.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)))?
}

/// Whether data are the workload's, but for up to three zeros that fill the last word.
fn is_written(data: &[u8]) -> bool {
    let wrong = data.iter().enumerate().position(|(at, byte)| *byte != written(at));
    wrong.is_none_or(|at| at + 3 >= data.len() && data[at..].iter().all(|byte| *byte == 0))
}

/// The byte that the workload writes at a place of its data.
fn written(at: usize) -> u8 {
    (at as u8).wrapping_mul(167).wrapping_add(13)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(number: u64, size: usize) -> Vec<u8> {
        let mut fields = number.to_le_bytes().to_vec();
        fields.extend((0..size).map(written));
        fields.resize(fields.len().next_multiple_of(4), 0);
        fields
    }

    #[test]
    fn what_the_workload_writes_is_right_in_every_size() {
        for size in 0..600 {
            let mut run = Run::default();
            run.add(ID, &fields(7, size));
            assert_eq!(run, Run { last: Some(7), ..Run::default() }, "{size}");
        }
    }

    #[test]
    fn a_wrong_byte_is_found_wherever_it_is() {
        for at in NUMBER..NUMBER + 40 {
            let mut wrong = fields(7, 40);
            wrong[at] ^= 1;
            let mut run = Run::default();
            run.add(ID, &wrong);
            assert_eq!(run.wrong, Some(7), "{at}");
        }
        let mut run = Run::default();
        run.add(ID, &[1, 2, 3, 4]);
        assert_eq!(run.wrong, Some(0), "not even a number");
    }

    #[test]
    fn numbers_rise_and_gaps_are_counted() {
        let mut run = Run::default();
        [3, 4, 7, 8].into_iter().for_each(|number| run.add(ID, &fields(number, 0)));
        run.add(ID + 1, &fields(0, 0));
        assert_eq!((run.missing, run.falls), (2, None));
        run.add(ID, &fields(8, 0));
        assert_eq!(run.falls, Some((8, 8)));
    }
}
