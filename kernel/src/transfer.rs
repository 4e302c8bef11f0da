//! A crash's bank goes over the console in frames, for `afterglow capture` ([`wire`]).

use crate::console;
use crate::region_memory::{CpuCrc, RegionMemory};
use boards::Console;
use ring::format::{LINE_SIZE, header_line};
use ring::recover::Bank;
use spin::Mutex;
use wire::plan::{LINES_SIZE, Plan};
use wire::send::{Sender, Wire};

/// Half a second is this part of one.
const LISTENS_IN_A_SECOND: u64 = 2;

static SENDER: Mutex<Sender> = Mutex::new(Sender::NEW);

/// The console, and until when it is listened to.
struct Line {
    console: &'static dyn Console,
    begin: u64,
}

impl Wire for Line {
    fn write(&mut self, bytes: &[u8]) {
        self.console.write(bytes);
    }

    fn listen(&mut self) {
        self.console.flush();
        self.begin = arch::timer::now();
    }

    fn read(&mut self) -> Option<u8> {
        let most = arch::timer::frequency() / LISTENS_IN_A_SECOND;
        while arch::timer::now() - self.begin < most {
            let byte = self.console.try_read();
            if byte.is_some() {
                return byte;
            }
        }
        None
    }
}

/// Sends bank `number`, as the transfer `index` of `count`, to whoever listens.
pub(crate) fn send(memory: &RegionMemory, bank: &Bank<'_, CpuCrc>, number: u32, index: u8, count: u8) {
    let Some(console) = console::get() else { return };
    let geometry = *bank.geometry();
    let mut lines = [0; LINES_SIZE];
    let numbers = [header_line::IDENTITY, header_line::LIFE, header_line::BANK + number];
    for (line, number) in lines.chunks_exact_mut(LINE_SIZE as usize).zip(numbers) {
        // SAFETY: the header is written by this core only, and not now.
        let from = unsafe { memory.bytes(u64::from(number) * LINE_SIZE, LINE_SIZE) };
        line.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
    let begun =
        core::array::from_fn(
            |core| {
                if core < geometry.cores as usize { bank.core(core as u32).sequences().end } else { 0 }
            },
        );
    let plan = Plan { geometry, bank: number, index, count, lines, begun };
    SENDER.lock().send(&plan, bank.record().boot_id, bank.bytes(), &mut Line { console, begin: 0 });
}
