//! Every event of this kernel, declared once: the types that record them and the schema that explains them in the region.
//!
//! To add one: a line here with the next free id, and `trace::record(&TheEvent { .. })` where it happens. Ids are never used
//! again for something else: regions outlive builds.

ring::events! {
    /// Text. Linux's own PRINT, so that Linux shows it as well: an address, and what was said there.
    5 Print<'a> "print" { ip: hex, text: str } "{text}";
    /// A phase of this boot begins.
    4096 BootPhase<'a> "boot_phase" { number: u32, name: str } "phase {number}: {name}";
    /// An interrupt is handled.
    4097 IrqEntry "irq_entry" { intid: u32, pc: hex } "intid={intid} pc={pc}";
    /// An interrupt has been handled.
    4098 IrqExit "irq_exit" { intid: u32 } "intid={intid}";
    /// An exception was taken that nobody expected.
    4099 Exception "exception" { core: u32, esr: hex, pc: hex, far: hex } "core={core} esr={esr} pc={pc} far={far}";
    /// The ordinary tick of a core.
    4100 Tick "tick" { number: u64 } "number={number}";
    /// A core begins to run.
    4101 CoreStart "core_start" { core: u32, mpidr: hex } "core={core} mpidr={mpidr}";
    /// A core found the stop word.
    4102 CoreStop "core_stop" { core: u32, pc: hex, pstate: hex } "core={core} pc={pc} pstate={pstate}";
    /// A core panics.
    4103 Panic<'a> "panic" { core: u32, message: str } "core={core}: {message}";
    /// The workload: numbered, so that a gap is visible.
    4104 Work<'a> "work" { number: u64, data: bytes } "number={number} data={data}";
    /// The test of nesting records, and is interrupted.
    4105 Trial<'a> "trial" { number: u64, data: bytes } "number={number} data={data}";
    /// Its NMI: in which trial it came, and where.
    4106 TrialNmi "trial_nmi" { number: u64, pc: hex } "number={number} pc={pc}";
}

/// Linux's flags byte of the common header: what the context of an event was.
pub mod context {
    /// Interrupts were off.
    pub const IRQS_OFF: u8 = 0x01;
    /// In an interrupt handler.
    pub const HARD_IRQ: u8 = 0x08;
    /// In an NMI handler.
    pub const NMI: u8 = 0x40;
}

const _: () = assert!(SCHEMA.len() <= ring::format::tail_line::SCHEMA_LINES as usize * ring::format::LINE_PAYLOAD);
