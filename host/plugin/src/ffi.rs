//! QEMU's plugin interface, version 4 (QEMU 10.0 and later): the few functions of it that are used here, declared from its
//! documentation (<https://www.qemu.org/docs/master/devel/tcg-plugins.html>). QEMU itself defines them when it loads us.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// The version of the interface that this plugin is written for.
pub(crate) const VERSION: c_int = 4;

/// The callback reads or writes no registers.
pub(crate) const NO_REGISTERS: c_int = 0;
/// The callback reads registers.
pub(crate) const READS_REGISTERS: c_int = 1;
/// Of memory accesses, those that write.
pub(crate) const STORES: c_int = 2;
/// `SHUTDOWN_CAUSE_GUEST_RESET`, QEMU's `qapi/run-state.json`: nothing but the guest's own wish.
pub(crate) const GUEST_RESET: c_int = 7;

/// QEMU's name for a plugin.
pub(crate) type Id = u64;
/// Called when an instruction is about to be executed.
pub(crate) type Executed = extern "C" fn(c_uint, *mut c_void);
/// Called when a memory access has been done: core, what it was, virtual address.
pub(crate) type Accessed = extern "C" fn(c_uint, u32, u64, *mut c_void);

/// A translation block.
#[repr(C)]
pub(crate) struct Block(c_void);
/// An instruction of one.
#[repr(C)]
pub(crate) struct Instruction(c_void);
/// A register of a core, and a core's own.
#[repr(C)]
pub(crate) struct Register(c_void);

/// GLib's `GArray`.
#[repr(C)]
pub(crate) struct Array<T> {
    pub(crate) data: *mut T,
    pub(crate) len: c_uint,
}

/// An entry of what [`qemu_plugin_get_registers`] returns.
#[repr(C)]
pub(crate) struct Descriptor {
    pub(crate) handle: *mut Register,
    pub(crate) name: *const c_char,
    pub(crate) feature: *const c_char,
}

unsafe extern "C" {
    pub(crate) fn qemu_plugin_outs(text: *const c_char);
    pub(crate) fn qemu_plugin_register_vcpu_init_cb(id: Id, callback: extern "C" fn(Id, c_uint));
    pub(crate) fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: extern "C" fn(Id, *mut Block));
    pub(crate) fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub(crate) fn qemu_plugin_tb_get_insn(block: *const Block, number: usize) -> *mut Instruction;
    pub(crate) fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    pub(crate) fn qemu_plugin_insn_data(instruction: *const Instruction, to: *mut c_void, size: usize) -> usize;
    pub(crate) fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        callback: Executed,
        registers: c_int,
        data: *mut c_void,
    );
    pub(crate) fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Instruction,
        callback: Accessed,
        registers: c_int,
        which: c_int,
        data: *mut c_void,
    );
    pub(crate) fn qemu_plugin_mem_size_shift(access: u32) -> c_uint;
    pub(crate) fn qemu_plugin_get_registers() -> *mut Array<Descriptor>;
    pub(crate) fn qemu_plugin_read_register(register: *mut Register, to: *mut Array<u8>) -> c_int;
    pub(crate) fn g_byte_array_new() -> *mut Array<u8>;
    pub(crate) fn g_byte_array_set_size(array: *mut Array<u8>, size: c_uint) -> *mut Array<u8>;
    pub(crate) fn g_array_free(array: *mut Array<Descriptor>, data_too: c_int) -> *mut c_char;
}
