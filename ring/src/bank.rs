//! Makes a bank ready for a boot: Linux's headers, empty sub-buffers, the tail.

use crate::format::{Geometry, LINE_SIZE, domain, tail_line};
use crate::line::{LineSeed, store_text};
use crate::linux::{self, SUBBUF_COMMIT, SUBBUF_SIZE, SUBBUF_TIME};
use crate::records::{BankRecord, Counters, StopRecord};
use crate::seams::{Memory, Persist};

/// What a bank says of the kernel that records into it.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Build id of the kernel, 56 bytes at most.
    pub build: &'a [u8],
    /// Name of the board, 56 bytes at most.
    pub board: &'a [u8],
    /// The schema's text ([`crate::schema`]).
    pub schema: &'a [u8],
}

/// Writes everything but the events, and cleans it to memory. The sub-buffers' contents stay: they are evidence of what
/// was there before, and no event of theirs verifies for this boot.
pub fn prepare<M: Memory + Persist>(
    memory: &M,
    geometry: &Geometry,
    bank: u32,
    record: &BankRecord,
    about: &About<'_>,
) {
    let start = geometry.bank(bank);
    prepare_linux(memory, geometry, start);
    let seed = LineSeed::new(record.boot_id, domain::TAIL);
    let at = |line: u32| start + geometry.tail(line);
    let lines = tail_line::CORES + geometry.cores * tail_line::PER_CORE;
    for line in 0..lines {
        for word in 0..LINE_SIZE / 8 {
            memory.store_u64(at(line) + 8 * word, 0);
        }
    }
    store_text(memory, at(tail_line::BUILD), seed, tail_line::BUILD, 1, about.build);
    store_text(memory, at(tail_line::BOARD), seed, tail_line::BOARD, 1, about.board);
    store_text(memory, at(tail_line::SCHEMA), seed, tail_line::SCHEMA, tail_line::SCHEMA_LINES, about.schema);
    for core in 0..geometry.cores {
        let counters = Geometry::core_line(core, tail_line::COUNTERS);
        Counters::default().to_line().store(memory, at(counters), seed, counters, 0);
        StopRecord::default().store(memory, geometry, bank, record.boot_id, core);
    }
    record.store(memory, geometry, bank);
    memory.clean(at(0), u64::from(lines) * LINE_SIZE);
    memory.complete();
}

fn prepare_linux<M: Memory + Persist>(memory: &M, geometry: &Geometry, start: u64) {
    let subbufs = geometry.subbufs;
    for word in 0..linux::BUFFERS_OFFSET / 8 {
        memory.store_u64(start + 8 * word, 0);
    }
    let sizes = u64::from(linux::MAGIC) | u64::from(linux::STRUCT_SIZES) << 32;
    memory.store_u64(start + linux::global::MAGIC, sizes);
    memory.store_u64(start + linux::global::TOTAL_SIZE, geometry.linux_size);
    memory.store_u64(start + linux::global::BUFFERS_OFFSET, linux::BUFFERS_OFFSET);
    memory.clean(start, linux::BUFFERS_OFFSET);
    for core in 0..u64::from(geometry.cores) {
        let header = start + linux::cpu_offset(core, subbufs);
        let first = start + linux::subbufs_offset(core, subbufs);
        memory.store_u64(header + linux::cpu::FIRST_BUFFER, memory.address(first));
        memory.store_u64(header + linux::cpu::HEAD_BUFFER, memory.address(first + SUBBUF_SIZE));
        memory.store_u64(header + linux::cpu::COMMIT_BUFFER, memory.address(first + SUBBUF_SIZE));
        memory.store_u64(header + linux::cpu::SUBBUF_SIZE, SUBBUF_SIZE | subbufs << 32);
        for i in 0..subbufs {
            memory.store_u32(header + linux::CPU_HEADER + linux::ORDER_ENTRY * i, i as u32);
            let subbuf = first + SUBBUF_SIZE * i;
            memory.store_u64(subbuf + SUBBUF_TIME, 0);
            memory.store_u64(subbuf + SUBBUF_COMMIT, 0);
            memory.clean(subbuf, linux::SUBBUF_HEADER);
        }
        memory.clean(header, linux::CPU_HEADER + linux::ORDER_ENTRY * subbufs);
    }
    memory.complete();
}
