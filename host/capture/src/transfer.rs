//! One bank on its way: what of it is there, and the image that this makes.

use ring::format::{HEADER_SIZE, LINE_SIZE, header_line};
use ring::records::BankRecord;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use wire::page::{Model, PAGE_SIZE, Page, decode};
use wire::plan::{Place, Plan, PlanError};

/// A page as it came.
#[derive(Clone, Debug)]
struct Came {
    is_plain: bool,
    payload: Box<[u8]>,
}

impl Came {
    /// Its bytes, for what it is said to be.
    fn page(&self, place: Place, model: &mut Model) -> Option<Page> {
        if self.is_plain { self.payload.first_chunk().copied() } else { decode(place.content(), &self.payload, model) }
    }
}

/// A page that did not come, or came in a form that nobody can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its number in the bank.
    pub number: u32,
    /// What it is.
    pub place: Place,
    /// For a place in a core's ring: number of the sub-buffer that belongs there.
    pub sequence: u64,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::SubBuffer { core, .. } => write!(f, "core {core}: sub-buffer {}", self.sequence),
            Place::Tail(line) => {
                write!(f, "tail: lines {line} to {}", line as usize + PAGE_SIZE / LINE_SIZE as usize - 1)
            }
            Place::Linux => write!(f, "Linux's headers: page {}", self.number),
        }
    }
}

/// What came of one bank.
#[derive(Clone, Debug)]
pub struct Transfer {
    id: u32,
    plan: Option<Plan>,
    error: Option<PlanError>,
    pages: BTreeMap<u32, Came>,
}

impl Transfer {
    pub(crate) fn new(id: u32) -> Self {
        Self { id, plan: None, error: None, pages: BTreeMap::new() }
    }

    /// The boot id of the bank.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What was to come, if that came.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Why what came as a plan is none.
    #[must_use]
    pub fn error(&self) -> Option<PlanError> {
        self.error
    }

    /// Whose bank it is.
    #[must_use]
    pub fn record(&self) -> Option<BankRecord> {
        self.plan.as_ref().and_then(Plan::record)
    }

    /// Pages that are there; and how many should be, if that is known.
    #[must_use]
    pub fn pages(&self) -> (usize, Option<usize>) {
        (self.pages.len(), self.plan.as_ref().map(|plan| plan.pages().count()))
    }

    /// Bytes of payload that they took.
    #[must_use]
    pub fn payload(&self) -> usize {
        self.pages.values().map(|page| page.payload.len()).sum()
    }

    /// Whether everything is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.pages().all(|(number, _)| self.pages.contains_key(&number)))
    }

    /// What should be there and is not, in the order of the bank; nothing where no plan says what should be.
    pub fn missing(&self) -> impl Iterator<Item = Missing> + '_ {
        let plan = self.plan.as_ref();
        let mut missing: Vec<Missing> = plan
            .into_iter()
            .flat_map(|plan| plan.pages().map(move |(number, place)| (plan, number, place)))
            .filter(|(_, number, _)| !self.pages.contains_key(number))
            .map(|(plan, number, place)| Missing { number, place, sequence: sequence(plan, place) })
            .collect();
        missing.reverse();
        missing.into_iter()
    }

    /// The same as ranges of numbers, both ends included; all there can be where there is no plan.
    pub(crate) fn missing_ranges(&self) -> Vec<(u32, u32)> {
        if self.plan.is_none() {
            return vec![(0, u32::MAX)];
        }
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for Missing { number, .. } in self.missing() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        ranges
    }

    /// The newest plan counts: the same bank may be sent again by a later boot.
    pub(crate) fn take_plan(&mut self, plan: Result<Plan, PlanError>, model: &mut Model) {
        match plan {
            Ok(plan) if self.plan.as_ref() == Some(&plan) => {}
            Ok(plan) => {
                self.pages
                    .retain(|number, came| plan.place(*number).is_some_and(|place| came.page(place, model).is_some()));
                self.plan = Some(plan);
            }
            Err(error) => self.error = Some(error),
        }
    }

    /// Takes a page; whether it is new and can be read.
    pub(crate) fn take_page(&mut self, number: u32, is_plain: bool, payload: &[u8], model: &mut Model) -> bool {
        let came = Came { is_plain, payload: payload.into() };
        let is_good = match &self.plan {
            None => true,
            Some(plan) => plan.place(number).is_some_and(|place| came.page(place, model).is_some()),
        };
        is_good && self.pages.insert(number, came).is_none()
    }

    /// The parts of the region's image that are not zeros: place, bytes. None without a plan.
    pub fn parts(&self) -> impl Iterator<Item = (u64, Box<[u8]>)> + '_ {
        let plan = self.plan.as_ref();
        let lines = plan.into_iter().flat_map(|plan| {
            let numbers = [header_line::IDENTITY, header_line::LIFE, header_line::BANK + plan.bank];
            let copies = [0, plan.geometry.region_size - HEADER_SIZE];
            let (lines, _) = plan.lines.as_chunks::<{ LINE_SIZE as usize }>();
            let each = move |copy| lines.iter().zip(numbers).map(move |(line, number)| (copy, line, number));
            copies.into_iter().flat_map(each)
        });
        let lines = lines.map(|(copy, line, number)| (copy + u64::from(number) * LINE_SIZE, Box::from(&line[..])));
        let mut model = Box::new(Model::NEW);
        let pages = plan.into_iter().flat_map(|plan| self.pages.iter().map(move |page| (plan, page)));
        lines.chain(pages.filter_map(move |(plan, (number, came))| {
            let page = came.page(plan.place(*number)?, &mut model)?;
            let at = plan.geometry.bank(plan.bank) + u64::from(*number) * PAGE_SIZE as u64;
            Some((at, Box::from(&page[..])))
        }))
    }

    /// The region, with zeros where nothing came; `None` without a plan.
    #[must_use]
    pub fn image(&self) -> Option<Vec<u8>> {
        let size = self.plan.as_ref()?.geometry.region_size;
        let mut image = vec![0; usize::try_from(size).ok()?];
        for (at, bytes) in self.parts() {
            let to = usize::try_from(at).ok().and_then(|at| image.get_mut(at..)?.get_mut(..bytes.len()))?;
            to.copy_from_slice(&bytes);
        }
        Some(image)
    }

    /// Writes the same into a new file, with holes for the zeros.
    ///
    /// # Errors
    /// Those of the file; and there is no plan.
    pub fn write(&self, file: &File) -> io::Result<()> {
        let plan = self.plan.as_ref().ok_or_else(|| io::Error::other("nothing says how large the region is"))?;
        file.set_len(0)?;
        file.set_len(plan.geometry.region_size)?;
        self.parts().try_for_each(|(at, bytes)| file.write_all_at(&bytes, at))
    }
}

/// The number of the sub-buffer that belongs into a place: the newest that the core had begun for it.
fn sequence(plan: &Plan, place: Place) -> u64 {
    let Place::SubBuffer { core, place } = place else { return 0 };
    let begun = plan.begun.get(core as usize).copied().unwrap_or(0);
    let (newest, ring) = (begun.saturating_sub(1), plan.geometry.ring());
    newest - (newest % ring + ring - place) % ring
}
