//! What happens when: translation, execution, stores, resets.

use crate::a64::{self, Matters};
use crate::ffi::{self, Block, Id, Instruction, Register};
use crate::ram::{Part, Ram};
use crate::{core, instrument, ram};
use cachesim::cache::Cache;
use cachesim::dram::Dram;
use cachesim::options::Options;
use cachesim::report::{Access, Cause, MARK};
use cachesim::trigger::Trigger;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_int, c_uint, c_void};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io, mem, ptr};

/// Pages of a resident image are compared and put back one by one: where nothing has changed, nothing is written, and QEMU
/// need not translate the code in them again.
const PAGE: usize = 4096;

/// Everything that the plugin is.
#[derive(Debug)]
pub(crate) struct Instrument {
    options: Options,
    /// Each store is the cache's business.
    follows: bool,
    ram: Ram,
    dram: Arc<Dram>,
    resident: Option<(u64, Vec<u8>)>,
    watched: Vec<AtomicU64>,
    state: Mutex<State>,
}

/// What changes.
#[derive(Debug)]
struct State {
    cache: Cache,
    trigger: Trigger,
    report: Option<UnixStream>,
    /// Since when there is anything to lose: the first boot.
    begun: bool,
}

/// General registers of a core, as handles.
struct Registers {
    general: Vec<*mut Register>,
    /// Space for one.
    bytes: *mut ffi::Array<u8>,
}

thread_local! {
    /// Of the core that this thread runs, or of all cores where one thread runs them: handles are the same for all.
    static REGISTERS: RefCell<Option<Registers>> = const { RefCell::new(None) };
}

impl Instrument {
    pub(crate) fn new(options: Options) -> Result<Self, String> {
        let ram = Ram::new(&options.ram, options.base)?;
        let (start, size) = options.range;
        if !ram.has(start, size) {
            return Err(format!("range={start:#x}:{size:#x} is not all RAM"));
        }
        let unread = Cell::new(None);
        let cache = Cache::new(&options, |at, to| {
            unread.set(ram.read_file(start + at as u64, to).err().or(unread.take()));
        });
        if let Some(why) = unread.into_inner() {
            return Err(format!("ram={}: {why}", options.ram));
        }
        let resident = match &options.resident {
            Some((address, path)) => {
                let image = fs::read(path).map_err(|why| format!("resident: {path}: {why}"))?;
                Some((*address, image))
            }
            None => None,
        };
        let report = match &options.report {
            Some(path) => Some(UnixStream::connect(path).map_err(|why| format!("report={path}: {why}"))?),
            None => None,
        };
        let dram = cache.dram();
        ram::advise_large(&dram);
        let state = Mutex::new(State { cache, trigger: Trigger::new(&options), report, begun: false });
        let watched = options.watch.iter().map(|_| AtomicU64::new(0)).collect();
        let follows = options.follows_stores();
        let instrument = Self { options, follows, ram, dram, resident, watched, state };
        if !instrument.put_resident() {
            return Err("the resident image is not all in RAM".into());
        }
        Ok(instrument)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The range as the cores see it.
    fn part(&self) -> Part<'_> {
        Part { ram: &self.ram, start: self.options.range.0 }
    }

    fn content(&self) -> Vec<u8> {
        let mut content = vec![0; self.options.range.1 as usize];
        self.ram.read(self.options.range.0, &mut content);
        content
    }

    /// Where in the range an address is.
    fn place(&self, address: u64) -> Option<u64> {
        let at = address.checked_sub(self.options.range.0)?;
        (at < self.options.range.1).then_some(at)
    }

    /// Puts the resident image back where something wrote over it; false where there is no RAM.
    fn put_resident(&self) -> bool {
        let Some((address, image)) = &self.resident else { return true };
        let mut there = vec![0; PAGE];
        image.chunks(PAGE).zip((*address..).step_by(PAGE)).all(|(page, at)| {
            let there = &mut there[..page.len()];
            self.ram.read(at, there) && (there == page || self.ram.write(at, page))
        })
    }

    /// The first instruction after a reset: what is not in memory is gone.
    fn begin(&self) {
        let mut state = self.state();
        self.put_resident();
        if !mem::replace(&mut state.begun, true) {
            return;
        }
        let mut reset = state.cache.reset(&mut self.part());
        state.trigger.next_boot();
        reset.watched = self.watched.iter().map(|count| count.swap(0, Ordering::Relaxed)).collect();
        // Whoever listened may be gone: the machine goes on.
        if let Some(stream) = &mut state.report
            && reset.send(stream).is_err()
        {
            state.report = None;
        }
        drop(state);
        if self.options.mark {
            mark(reset.number);
        }
    }

    /// Counts an operation that has been done, and resets the machine where it must.
    fn operation(&self, state: &mut State, access: Access, core: u32, pc: u64, address: u64) {
        let Some(cause) = state.trigger.operation(access, core, pc, address) else { return };
        match cause {
            Cause::Point(_) => state.cache.freeze(self.content(), cause),
            Cause::Guest | Cause::Instant(_) => state.cache.expect(cause),
        }
        request_reset();
    }

    /// Counts an execution, if it is to be counted.
    fn watch(&self, state: &State, pc: u64) {
        if state.trigger.is_armed()
            && let Some(number) = self.options.watch.iter().position(|watched| *watched == pc)
        {
            self.watched[number].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether it is a store past the cache: memory has it.
    fn stored_past(&self, address: u64, size: u64) -> bool {
        let Some((window, length)) = self.options.uncached else { return false };
        let address = address.wrapping_sub(window);
        if address >= length {
            return false;
        }
        let mut bytes = [0; 16];
        if let (Some(at), Some(bytes)) = (self.place(address), bytes.get_mut(..size as usize)) {
            self.ram.read(address, bytes);
            self.dram.write_through(at, bytes);
        }
        true
    }

    fn clean(&self, core: u32, pc: u64, address: u64) {
        let address = address & !(self.options.line - 1);
        let Some(at) = self.place(address) else { return };
        let mut state = self.state();
        self.watch(&state, pc);
        state.cache.clean(core, at, &self.part());
        self.operation(&mut state, Access::Clean, core, pc, address);
    }

    fn complete(&self, core: u32, pc: u64) {
        let mut state = self.state();
        let was_cleaning = state.cache.is_cleaning(core);
        state.cache.complete(core);
        if was_cleaning {
            self.watch(&state, pc);
            self.operation(&mut state, Access::Barrier, core, pc, 0);
        }
    }

    fn stored(&self, core: u32, pc: u64, address: u64, size: u64) {
        let Some(at) = self.place(address) else { return };
        let mut state = self.state();
        state.cache.store(core, pc, at, size);
        if state.cache.is_spilled() {
            let first = at & !(self.options.line - 1);
            let mut line = vec![0; self.options.line as usize];
            self.ram.read(self.options.range.0 + first, &mut line);
            state.cache.evict(first, &line);
        }
        self.operation(&mut state, Access::Store, core, pc, address);
    }
}

/// Asks QEMU for a reset. Its function for that is not in the plugin interface, but exported.
fn request_reset() {
    // SAFETY: a string with its end; the handle stands for QEMU and all that it has loaded.
    let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"qemu_system_reset_request".as_ptr()) };
    if function.is_null() {
        eprintln!("afterglow plugin: this QEMU does not export qemu_system_reset_request: no crash points");
        std::process::abort();
    }
    // SAFETY: that is its type: `void qemu_system_reset_request(ShutdownCause)`, an enum. Any thread may call it.
    let function: extern "C" fn(c_int) = unsafe { mem::transmute::<*mut c_void, extern "C" fn(c_int)>(function) };
    function(ffi::GUEST_RESET);
}

/// Writes the mark where the console goes. QEMU may have made the pipe one that does not block.
fn mark(number: u64) {
    let text = format!("{MARK}{number}\n");
    let mut rest = text.as_bytes();
    let mut out = io::stdout().lock();
    while !rest.is_empty() {
        match out.write(rest).and_then(|written| out.flush().map(|()| written)) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Asks for the callbacks from which all else follows.
pub(crate) fn register(id: Id) {
    // SAFETY: the functions stay, and may be called on any thread.
    unsafe {
        ffi::qemu_plugin_register_vcpu_init_cb(id, core_begins);
        ffi::qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    }
}

/// A core is made, on the thread that will run it.
extern "C" fn core_begins(_: Id, number: c_uint) {
    core::begins(number);
    // SAFETY: on a core's thread, as the interface wants it. The array is ours to free; names live as long as QEMU.
    let registers = unsafe {
        let list = ffi::qemu_plugin_get_registers();
        let mut general = vec![ptr::null_mut(); 31];
        if let Some(array) = list.as_ref() {
            for descriptor in (0..array.len as usize).map(|n| &*array.data.add(n)) {
                let name = CStr::from_ptr(descriptor.name).to_str().ok();
                let number =
                    name.and_then(|name| name.strip_prefix('x')).and_then(|digits| digits.parse::<usize>().ok());
                if let Some(slot) = number.and_then(|number| general.get_mut(number)) {
                    *slot = descriptor.handle;
                }
            }
            ffi::g_array_free(list, 1);
        }
        Registers { general, bytes: ffi::g_byte_array_new() }
    };
    if registers.general.iter().any(|register| register.is_null()) {
        say("afterglow plugin: this machine's cores have no registers x0 to x30: no clean will be seen\n");
    }
    REGISTERS.with_borrow_mut(|slot| *slot = Some(registers));
}

fn say(text: &str) {
    if let Ok(text) = CString::new(text) {
        // SAFETY: a string with its end.
        unsafe { ffi::qemu_plugin_outs(text.as_ptr()) };
    }
}

/// A general register of the core that this thread runs.
fn register_value(number: u8) -> Option<u64> {
    REGISTERS.with_borrow(|registers| {
        let registers = registers.as_ref()?;
        let handle = *registers.general.get(usize::from(number))?;
        if handle.is_null() {
            return None;
        }
        // SAFETY: a handle of QEMU's, used in a callback that was registered as one that reads registers; the bytes are only
        // used on this thread.
        unsafe {
            ffi::g_byte_array_set_size(registers.bytes, 0);
            let size = ffi::qemu_plugin_read_register(handle, registers.bytes);
            (size == 8).then(|| u64::from_le_bytes(*(*registers.bytes).data.cast::<[u8; 8]>()))
        }
    })
}

/// What a callback is told of its instruction: its address, and for a clean the register's number above it.
const REGISTER_SHIFT: u32 = 56;

/// A block has been translated: the instructions that matter get a callback.
extern "C" fn translated(_: Id, block: *mut Block) {
    let Some(instrument) = instrument() else { return };
    let options = &instrument.options;
    let on_store: Option<ffi::Accessed> = match options.uncached {
        _ if instrument.follows => Some(stores),
        uncached => uncached.map(|_| stores_past as ffi::Accessed),
    };
    // SAFETY: the block and its instructions live as long as this call.
    let count = unsafe { ffi::qemu_plugin_tb_n_insns(block) };
    for number in 0..count {
        // SAFETY: as above; the word is four bytes.
        let (instruction, pc, word) = unsafe {
            let instruction = ffi::qemu_plugin_tb_get_insn(block, number);
            let mut word = [0u8; 4];
            ffi::qemu_plugin_insn_data(instruction, word.as_mut_ptr().cast(), word.len());
            (instruction, ffi::qemu_plugin_insn_vaddr(instruction), u32::from_le_bytes(word))
        };
        if pc == options.start {
            on_execution(instruction, begins, ffi::NO_REGISTERS, pc);
        }
        if options.arm == Some(pc) {
            on_execution(instruction, arms, ffi::NO_REGISTERS, pc);
        }
        let matters = a64::matters(word);
        // Cleans and DSBs count themselves, where there is something to clean.
        if !matches!(matters, Some(Matters::Clean(_) | Matters::Complete))
            && let Some(number) = options.watch.iter().position(|watched| *watched == pc)
        {
            on_execution(instruction, watched, ffi::NO_REGISTERS, number as u64);
        }
        match matters {
            Some(Matters::Clean(register)) => {
                on_execution(instruction, cleans, ffi::READS_REGISTERS, pc | u64::from(register) << REGISTER_SHIFT);
            }
            Some(Matters::Order) if instrument.follows => on_execution(instruction, orders, ffi::NO_REGISTERS, pc),
            Some(Matters::Complete) => on_execution(instruction, completes, ffi::NO_REGISTERS, pc),
            Some(Matters::Order) | None => {}
        }
        if let Some(on_store) = on_store {
            // SAFETY: the instruction is this block's; the callback stays.
            unsafe {
                ffi::qemu_plugin_register_vcpu_mem_cb(
                    instruction,
                    on_store,
                    ffi::NO_REGISTERS,
                    ffi::STORES,
                    ptr::without_provenance_mut(pc as usize),
                );
            }
        }
    }
}

fn on_execution(instruction: *mut Instruction, callback: ffi::Executed, registers: c_int, data: u64) {
    let data = ptr::without_provenance_mut(data as usize);
    // SAFETY: the instruction is of the block that is being translated; the callback stays, and takes data for a number.
    unsafe { ffi::qemu_plugin_register_vcpu_insn_exec_cb(instruction, callback, registers, data) };
}

extern "C" fn begins(core: c_uint, _: *mut c_void) {
    // On some boards all cores begin there. Core 0 does on all.
    if let Some(instrument) = instrument()
        && core::number(core) == 0
    {
        instrument.begin();
    }
}

extern "C" fn arms(_: c_uint, _: *mut c_void) {
    if let Some(instrument) = instrument() {
        instrument.state().trigger.arm();
    }
}

extern "C" fn watched(_: c_uint, number: *mut c_void) {
    if let Some(instrument) = instrument()
        && let Some(count) = instrument.watched.get(number.addr())
        && instrument.state().trigger.is_armed()
    {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

extern "C" fn cleans(core: c_uint, data: *mut c_void) {
    let data = data.addr() as u64;
    let (pc, register) = (data & ((1 << REGISTER_SHIFT) - 1), (data >> REGISTER_SHIFT) as u8);
    if let Some(instrument) = instrument()
        && let Some(address) = register_value(register)
    {
        instrument.clean(core::number(core), pc, address);
    }
}

extern "C" fn orders(core: c_uint, _: *mut c_void) {
    if let Some(instrument) = instrument() {
        instrument.state().cache.order(core::number(core));
    }
}

extern "C" fn completes(core: c_uint, pc: *mut c_void) {
    if let Some(instrument) = instrument() {
        instrument.complete(core::number(core), pc.addr() as u64);
    }
}

extern "C" fn stores(core: c_uint, access: u32, address: u64, pc: *mut c_void) {
    if let Some(instrument) = instrument()
        && !instrument.stored_past(address, size(access))
    {
        instrument.stored(core::number(core), pc.addr() as u64, address, size(access));
    }
}

/// Where nothing but stores past the cache matters, most have nothing to do: the fewest questions, and no lock.
extern "C" fn stores_past(_: c_uint, access: u32, address: u64, _: *mut c_void) {
    if let Some(instrument) = instrument() {
        instrument.stored_past(address, size(access));
    }
}

/// How many bytes an access takes.
fn size(access: u32) -> u64 {
    // SAFETY: a pure function of its argument.
    1 << unsafe { ffi::qemu_plugin_mem_size_shift(access) }
}
