//! Why a boot died: the panic, what panicked in its path, and the last words of other cores that panicked meanwhile.
//!
//! Only the lines that say something are written: a panic has little time, and a line that was not written reads as zeros
//! or as the end of a text.

use crate::format::{Geometry, LINE_PAYLOAD, LINE_SIZE, domain, tail_line};
use crate::line::{Line, LineSeed, load_text, store_text};
use crate::seams::Memory;

/// Registers in a panic record: x0 to x30, sp, pc, pstate, esr.
pub const PANIC_REGISTERS: usize = 35;
/// Return addresses in a panic record.
pub const PANIC_FRAMES: usize = 35;
/// Panics in the panic path that are kept: the first ones.
pub const NESTED_MAX: u32 = 2;
/// Most lines that one of these texts has.
pub const TEXT_LINES_MAX: u32 = 10;

/// Lines of the message, of the place and of the address of a panic.
const MESSAGE: (u32, u32) = (tail_line::PANIC_MESSAGE, TEXT_LINES_MAX);
const LOCATION: (u32, u32) = (tail_line::PANIC_LOCATION, 3);
const ADDRESS: (u32, u32) = (tail_line::PANIC_ADDRESS, 1);

/// Where a bank's tail is written: by whoever dies.
struct TailWriter<'m, M> {
    memory: &'m M,
    start: u64,
    seed: LineSeed,
}

impl<'m, M: Memory> TailWriter<'m, M> {
    fn new(memory: &'m M, geometry: &Geometry, bank: u32, boot_id: u32) -> Self {
        let start = geometry.bank(bank) + geometry.tail(0);
        Self { memory, start, seed: LineSeed::new(boot_id, domain::TAIL) }
    }
    fn at(&self, line: u32) -> u64 {
        self.start + u64::from(line) * LINE_SIZE
    }
    fn line(&self, number: u32, line: Line) {
        line.store(self.memory, self.at(number), self.seed, number, 0);
    }
    /// A text, with a zero behind it wherever there is room for one.
    fn text(&self, (number, lines): (u32, u32), text: &[u8]) {
        let used = (text.len() / LINE_PAYLOAD + 1).min(lines as usize) as u32;
        store_text(self.memory, self.at(number), self.seed, number, used, text);
    }
    /// Words, seven in a line; lines of zeros are left out.
    fn words(&self, number: u32, words: &[u64]) {
        for (number, seven) in (number..).zip(words.chunks(7)).filter(|(_, seven)| seven.iter().any(|word| *word != 0))
        {
            self.line(number, Line::of_words(seven));
        }
    }
}

/// Where a bank's tail is read.
#[derive(Clone, Copy)]
struct TailReader<'b> {
    bank: &'b [u8],
    geometry: &'b Geometry,
    seed: LineSeed,
}

impl<'b> TailReader<'b> {
    fn new(bank: &'b [u8], geometry: &'b Geometry, boot_id: u32) -> Self {
        Self { bank, geometry, seed: LineSeed::new(boot_id, domain::TAIL) }
    }
    fn line(&self, number: u32) -> Option<Line> {
        Line::load(self.bank, self.geometry.tail(number), self.seed, number).map(|(line, _)| line)
    }
    fn text<'s>(&self, (number, lines): (u32, u32), space: &'s mut [u8]) -> &'s [u8] {
        load_text(self.bank, self.geometry.tail(number), self.seed, number, lines, space)
    }
    /// A text that older kernels did not write: empty where its first line does not verify.
    fn text_if_any<'s>(&self, lines: (u32, u32), space: &'s mut [u8]) -> &'s [u8] {
        if self.line(lines.0).is_some() { self.text(lines, space) } else { &[] }
    }
    fn words(&self, number: u32, words: &mut [u64; 35]) {
        for (number, seven) in (number..).zip(words.chunks_mut(7)) {
            if let Some(mut line) = self.line(number) {
                seven.fill_with(|| line.take_u64());
            }
        }
    }
}

/// Why the boot died. The texts are cut to what their lines hold: 560 bytes of message, 168 of location, 56 of address.
///
/// First line: core u32, exception u32, time u64, far u64, frames u32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanicRecord<'a> {
    /// The core.
    pub core: u32,
    /// Not a panic of the program but an exception.
    pub exception: bool,
    /// When, as in the events.
    pub time_ns: u64,
    /// Fault address register, for an exception.
    pub far: u64,
    /// What it said.
    pub message: &'a [u8],
    /// Where in the source.
    pub location: &'a [u8],
    /// What the fault address is, in words; empty where nothing was refused.
    pub address: &'a [u8],
    /// x0 to x30, sp, pc, pstate, esr.
    pub registers: [u64; PANIC_REGISTERS],
    /// Return addresses, innermost first.
    pub backtrace: &'a [u64],
}

/// Room for one text that is read.
pub type TextSpace = [u8; TEXT_LINES_MAX as usize * LINE_PAYLOAD];

/// Room for the texts and frames of a panic record that is read.
#[derive(Clone, Debug)]
pub struct PanicSpace {
    message: TextSpace,
    location: [u8; 168],
    address: [u8; LINE_PAYLOAD],
    frames: [u64; PANIC_FRAMES],
}

impl Default for PanicSpace {
    fn default() -> Self {
        Self {
            message: [0; TEXT_LINES_MAX as usize * LINE_PAYLOAD],
            location: [0; 168],
            address: [0; LINE_PAYLOAD],
            frames: [0; PANIC_FRAMES],
        }
    }
}

impl<'a> PanicRecord<'a> {
    /// Writes it into a bank's tail.
    pub fn store<M: Memory>(&self, memory: &M, geometry: &Geometry, bank: u32, boot_id: u32) {
        let to = TailWriter::new(memory, geometry, bank, boot_id);
        let frames = self.backtrace.len().min(PANIC_FRAMES);
        to.text(MESSAGE, self.message);
        to.text(LOCATION, self.location);
        if !self.address.is_empty() {
            to.text(ADDRESS, self.address);
        }
        to.words(tail_line::PANIC_REGISTERS, &self.registers);
        to.words(tail_line::PANIC_BACKTRACE, &self.backtrace[..frames]);
        // Last: a record that begins is whole.
        let first = Line::default().u32(self.core).u32(u32::from(self.exception));
        to.line(tail_line::PANIC, first.u64(self.time_ns).u64(self.far).u32(frames as u32));
    }

    /// Reads it from a bank; `None` where its first line does not verify. Lost lines become `?` and zeros.
    #[must_use]
    pub fn load(bank: &[u8], geometry: &Geometry, boot_id: u32, space: &'a mut PanicSpace) -> Option<Self> {
        let from = TailReader::new(bank, geometry, boot_id);
        let mut first = from.line(tail_line::PANIC)?;
        let (core, exception) = (first.take_u32(), first.take_u32() != 0);
        let (time_ns, far) = (first.take_u64(), first.take_u64());
        let frames = (first.take_u32() as usize).min(PANIC_FRAMES);
        let mut registers = [0; PANIC_REGISTERS];
        from.words(tail_line::PANIC_REGISTERS, &mut registers);
        from.words(tail_line::PANIC_BACKTRACE, &mut space.frames);
        Some(Self {
            core,
            exception,
            time_ns,
            far,
            registers,
            message: from.text(MESSAGE, &mut space.message),
            location: from.text(LOCATION, &mut space.location),
            address: from.text_if_any(ADDRESS, &mut space.address),
            backtrace: &space.frames[..frames],
        })
    }
}

/// A panic in the panic path. The message of the first one is cut to 448 bytes, that of others to 168, the place to 112.
///
/// First line: core u32, step 8 bytes of text, time u64, pc u64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nested<'a> {
    /// The core.
    pub core: u32,
    /// The step of the path that panicked: 8 bytes at most.
    pub step: &'a [u8],
    /// When, as in the events.
    pub time_ns: u64,
    /// Where.
    pub pc: u64,
    /// Where in the source.
    pub location: &'a [u8],
    /// What it said.
    pub message: &'a [u8],
}

impl<'a> Nested<'a> {
    /// First line, lines of place, lines of message.
    fn lines(index: u32) -> (u32, (u32, u32), (u32, u32)) {
        let first = tail_line::PANIC_NESTED + 6 * index.min(NESTED_MAX - 1);
        let message = if index == 0 { (tail_line::PANIC_SECOND, 8) } else { (first + 3, 3) };
        (first, (first + 1, 2), message)
    }

    /// Writes it into a bank's tail, as number `index` of those in this path, from 0. Those behind [`NESTED_MAX`] are
    /// left out.
    pub fn store<M: Memory>(&self, memory: &M, geometry: &Geometry, bank: u32, boot_id: u32, index: u32) {
        if index >= NESTED_MAX {
            return;
        }
        let to = TailWriter::new(memory, geometry, bank, boot_id);
        let (first, location, message) = Self::lines(index);
        to.text(message, self.message);
        to.text(location, self.location);
        let step = core::array::from_fn(|i| self.step.get(i).copied().unwrap_or(0));
        to.line(first, Line::default().u32(self.core).u64(u64::from_le_bytes(step)).u64(self.time_ns).u64(self.pc));
    }

    /// Reads one; `None` where there was none. Of what an older kernel wrote there is only the message.
    #[must_use]
    pub fn load(
        bank: &[u8],
        geometry: &Geometry,
        boot_id: u32,
        index: u32,
        [step, location, message]: &'a mut [TextSpace; 3],
    ) -> Option<Self> {
        let from = TailReader::new(bank, geometry, boot_id);
        let (first, location_at, message_at) = Self::lines(index);
        let head = from.line(first);
        if index >= NESTED_MAX || (head.is_none() && from.line(message_at.0).is_none()) {
            return None;
        }
        let known = head.is_some();
        let mut head = head.unwrap_or_default();
        let (core, word) = (head.take_u32(), head.take_u64().to_le_bytes());
        let used = word.iter().position(|byte| *byte == 0).unwrap_or(word.len());
        step[..used].copy_from_slice(&word[..used]);
        Some(Self {
            core,
            step: &step[..used],
            time_ns: head.take_u64(),
            pc: head.take_u64(),
            location: if known { from.text(location_at, location) } else { &[] },
            message: from.text(message_at, message),
        })
    }
}

/// What a core said that panicked while another one's panic was under way: 56 bytes of each; the event has all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastWords<'a> {
    /// Where in the source.
    pub location: &'a [u8],
    /// What it said.
    pub message: &'a [u8],
}

impl<'a> LastWords<'a> {
    fn lines(core: u32) -> [(u32, u32); 2] {
        [tail_line::LAST_LOCATION, tail_line::LAST_MESSAGE].map(|line| (Geometry::core_line(core, line), 1))
    }

    /// Writes them into a bank's tail.
    pub fn store<M: Memory>(&self, memory: &M, geometry: &Geometry, bank: u32, boot_id: u32, core: u32) {
        let to = TailWriter::new(memory, geometry, bank, boot_id);
        let [location, message] = Self::lines(core);
        to.text(location, self.location);
        to.text(message, self.message);
    }

    /// Reads them; `None` where there are none.
    #[must_use]
    pub fn load(
        bank: &[u8],
        geometry: &Geometry,
        boot_id: u32,
        core: u32,
        [location, message]: &'a mut [[u8; LINE_PAYLOAD]; 2],
    ) -> Option<Self> {
        let from = TailReader::new(bank, geometry, boot_id);
        let [location_at, message_at] = Self::lines(core);
        from.line(message_at.0)?;
        Some(Self { location: from.text(location_at, location), message: from.text(message_at, message) })
    }
}
