//! The loader on the machine: console, memory, the talk, and into the kernel.

use super::{Arena, handed, wait_ms};
use crate::boot;
use crate::device_tree::Tree;
use crate::memblock::{Memblock, Range};
use crate::memory_map::{self, Placed};
use crate::{console, hardware, say};
use arch::entry::BootInfo;
use arch::exceptions::{Fatal, Frame};
use boards::{Board, Console};
use core::fmt::{Arguments, Display, Write};
use core::ops;
use core::ptr;
use core::slice;
use ring::escape::Escaped;
use spin::mutex::SpinMutex;
use wire::push::{Line, Model, Persist, Receiver, STORE_SIZE, Stage, Store, Verdict, text_offset};

/// A loader that waits says so after so many milliseconds, then after twice as many, and so on up to the longest.
const SAY_FIRST: u64 = 10_000;
const SAY_LONGEST: u64 = 600_000;

/// Half a MiB, of which the image holds nothing.
static MODEL: SpinMutex<Model> = SpinMutex::new(Model::NEW);

/// The loader's main function.
pub fn main(info: &'static BootInfo) -> ! {
    arch::exceptions::set_early_report(fatal);
    let Ok(tree) = boot::device_tree(info) else {
        give_up_unheard(&"no device tree, or a damaged one: the kernel in its place says which")
    };
    let board = boards::choose(tree.root().strings("compatible"));
    boot::open_console(board, hardware::find_console(&tree).as_ref(), give_up_unheard);
    say!("afterglow loader {}: board {}, entry EL{}", env!("CARGO_PKG_VERSION"), board.name(), info.entry_el);
    if info.entry_el == 3 {
        give_up(
            &"it was entered at EL3, with no firmware below it: start it as firmware starts a kernel, at EL2 or EL1",
        );
    }
    let arena = arena(board, &tree);
    // SAFETY: mapped, in memory that memblock says is nobody else's, and the one reference to it.
    let memory = unsafe { &mut *ptr::with_exposed_provenance_mut::<[u8; STORE_SIZE]>(arena.store().start) };
    let mut model = MODEL.lock();
    let mut store = Store::open(memory, &mut model, Clean);
    talk(&mut store, wait_ms(tree.bootargs()));
    start(&store, &tree, arena)
}

/// Tells of a fault in few words: those that explain it would take 8 KiB more.
fn fatal(frame: &Frame, why: Fatal) {
    let Frame { esr, elr, far, .. } = frame;
    let at = arch::image::link_address(*elr);
    let words = format_args!("afterglow loader: {why}: ESR_EL1 {esr:#x}, FAR_EL1 {far:#x}, at {at:#x}\n");
    match console::get() {
        // A console cannot fail.
        Some(console) => drop(boards::console::Unlocked(console).write_fmt(words)),
        None => tell_unheard(words),
    }
}

/// Without a console, whoever runs an emulator or a debugger is told.
fn tell_unheard(words: Arguments<'_>) {
    let mut text = heapless::String::<200>::new();
    // What does not fit is cut.
    let _ = text.write_fmt(words);
    arch::semihosting::write(&text);
}

/// Ends a loader that has no console.
fn give_up_unheard(why: &dyn Display) -> ! {
    tell_unheard(format_args!("afterglow loader cannot go on: {why}\n"));
    arch::cores::park()
}

/// Ends a loader that cannot go on.
fn give_up(why: &dyn Display) -> ! {
    say!("afterglow loader cannot go on: {why}");
    arch::cores::park()
}

/// Cleans what is written to the store as deep as the core can.
struct Clean;

impl Persist for Clean {
    fn persist(&mut self, store: &[u8], offset: usize, size: usize) {
        let start = store.as_ptr().addr() + offset;
        arch::cache::clean_range(start..start + size);
    }
}

/// The console as a line for frames.
struct Wire(&'static dyn Console);

impl Line for Wire {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }
}

/// Finds the arena and maps it.
fn arena(board: &dyn Board, tree: &Tree<'_>) -> Arena {
    let mut memblock = Memblock::new();
    let image = arch::image::range();
    let dtb = tree.bytes();
    let (Some(image), Some(device_tree)) =
        (Range::new(image.start as u64, image.len() as u64), Range::new(dtb.as_ptr().addr() as u64, dtb.len() as u64))
    else {
        give_up(&"the image or the device tree is nowhere")
    };
    // Whole blocks: a few bytes more or less of what the boot loader places do not move the arena.
    let placed =
        Placed { image: image.align_outwards(super::BLOCK), device_tree: device_tree.align_outwards(super::BLOCK) };
    if let Err(error) = memory_map::add_static(&mut memblock, tree, &placed, &mut |_| {}) {
        give_up(&error)
    }
    for quirk in board.memory_quirks() {
        let range = Range::new(quirk.range.start as u64, quirk.range.len() as u64);
        if let Some(Err(error)) = range.map(|range| memblock.reserve(range)) {
            give_up(&error)
        }
    }
    match Arena::find(&memblock) {
        Ok(arena) => match arch::mmu::map_normal(arena.all()) {
            Ok(()) => arena,
            Err(_) => give_up(&"its memory cannot be mapped"),
        },
        Err(error) => give_up(&error),
    }
}

/// Milliseconds of the counter.
fn now_ms() -> u64 {
    arch::timer::now() / (arch::timer::frequency() / 1000).max(1)
}

/// The line is left alone for so many parts of a second: a tenth of the time in which 16 bytes of 300,000 baud come. An emulator
/// whose device is asked without a pause finds no time to fill it.
const PAUSES_IN_A_SECOND: u64 = 20_000;

fn pause() {
    let begin = arch::timer::now();
    while arch::timer::now() - begin < arch::timer::frequency() / PAUSES_IN_A_SECOND {
        arch::cores::relax();
    }
}

/// Listens until there is a kernel to be started.
fn talk(store: &mut Store<'_, Clean>, wait: u64) {
    let Some(console) = console::get() else { return };
    let mut line = Wire(console);
    let mut receiver = Receiver::new();
    let has_kernel = store.verdict() == Verdict::Whole;
    let (size, check) = store.id();
    let begin = now_ms();
    match has_kernel {
        true => say!(
            "it has a kernel of {size} bytes (check {check:08x}): that starts in {wait} ms unless a host pushes another"
        ),
        false if size > 0 => say!(
            "it has {} of {} chunks of a kernel (check {check:08x}): push that again, or another",
            store.chunks() - store.missing(),
            store.chunks()
        ),
        false => say!("it has no kernel: afterglow push sends one"),
    }
    let (mut every, mut next) = (SAY_FIRST, begin + SAY_FIRST);
    // A kernel that was there when the wait began is no longer, once another was offered.
    let mut is_whole = has_kernel;
    loop {
        let now = now_ms();
        match console.try_read() {
            Some(byte) => receiver.take(byte, now, store, &mut line),
            None => pause(),
        }
        receiver.tick(now, store, &mut line);
        match receiver.stage() {
            Stage::Start => return,
            Stage::Idle if is_whole && now - begin >= wait => return,
            Stage::Idle if now >= next => {
                say!("it waits for afterglow push");
                every = (2 * every).min(SAY_LONGEST);
                next = now + every;
            }
            Stage::Busy | Stage::Whole => (is_whole, next) = (false, now + every),
            Stage::Idle | Stage::Greeted(_) => {}
        }
    }
}

/// Puts the kernel and its device tree in their places, and goes there.
fn start(store: &Store<'_, Clean>, tree: &Tree<'_>, arena: Arena) -> ! {
    let image = store.image();
    let reserve = (arena.store().start as u64, arena.store().len() as u64);
    let size = match handed::write(tree, reserve, store.append(), bytes(arena.tree())) {
        Ok(size) => size,
        Err(error) => give_up(&error),
    };
    let room = bytes(arena.kernel());
    let Some(to) = room.get_mut(text_offset(image)..).and_then(|room| room.get_mut(..image.len())) else {
        give_up(&"the kernel does not fit its place")
    };
    to.copy_from_slice(image);
    let entry = to.as_ptr().addr();
    let dtb = arena.tree().start;
    if store.append().is_empty() {
        say!("it starts the kernel at {entry:#x}");
    } else {
        say!("it starts the kernel at {entry:#x}, with {}", Escaped(store.append()));
    }
    if let Some(console) = console::get() {
        console.flush();
    }
    arch::cache::clean_to_poc(dtb..dtb + size);
    arch::cache::clean_to_poc(arena.kernel());
    // SAFETY: an image that `judge` called fit lies there, cleaned; no core was started and no interrupt set up.
    unsafe { arch::entry::leave(entry, dtb) }
}

/// A part of the arena that is written once.
fn bytes(range: ops::Range<usize>) -> &'static mut [u8] {
    // SAFETY: mapped, nobody else's, and each of the two parts is asked for once.
    unsafe { slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut(range.start), range.len()) }
}
