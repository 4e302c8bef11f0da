//! The means of stop on every kind of machine that they are for, forced and chosen; and that none of them is an interrupt
//! from one core to another.

mod kernel;
use kernel::says;
use qemu::console::tables;
use qemu::stop_matrix::Kind;
use qemu::{Board, Machine, Threads, trace, workspace};
use std::time::Duration;

const fn kind(gic: u8, cpu: &'static str) -> Kind {
    Kind::virt("virt", gic, cpu, &[])
}

const RASPI3B: Kind = Kind::raspberry("raspi3b", Board::Raspi3b, 0, &[]);

fn machine(kind: Kind, arguments: &str) -> Machine {
    let arguments = format!("events=500 tail=0 {arguments}");
    kind.machine(workspace::kernel().unwrap(), &arguments).threads(Threads::Counted(3))
}

/// Kind of machine, `stop=`, and the means that stops its cores or why it cannot.
#[rustfmt::skip]
const MACHINES: [(Kind, &str, Result<&str, &str>); 28] = [
    (kind(3, "max"),                  "auto",          Ok("FEAT_NMI")),
    (kind(3, "max"),                  "fiq",           Ok("FIQ")),
    (kind(3, "max"),                  "priority-mask", Ok("GICv3 priority mask")),
    (kind(3, "max").el2(),            "auto",          Ok("own EL2")),
    (kind(3, "max").el2(),            "feat-nmi",      Ok("FEAT_NMI")),
    (kind(3, "cortex-a76"),           "auto",          Ok("FIQ")),
    (kind(3, "cortex-a76"),           "feat-nmi",      Err("does not have it")),
    (kind(3, "cortex-a76"),           "el2",           Err("was not entered there")),
    (kind(3, "cortex-a76").secure(),  "auto",          Ok("GICv3 priority mask")),
    (kind(3, "cortex-a76").secure(),  "fiq",           Err("group 0 belongs to the firmware")),
    (kind(3, "cortex-a72").el2(),     "auto",          Ok("own EL2")),
    (kind(3, "cortex-a76").el2().secure(), "auto",     Ok("own EL2")),
    (kind(3, "cortex-a72").el2(),     "priority-mask", Ok("GICv3 priority mask")),
    (kind(4, "cortex-a76").el2(),     "priority-mask", Ok("GICv3 priority mask")),
    (kind(2, "cortex-a72"),           "auto",          Ok("FIQ")),
    (kind(2, "cortex-a72"),           "priority-mask", Ok("GICv2 priority mask")),
    (kind(2, "cortex-a72").secure(),  "auto",          Ok("GICv2 priority mask")),
    (kind(2, "cortex-a72").secure(),  "fiq",           Err("group 0 belongs to the firmware")),
    (kind(2, "max"),                  "feat-nmi",      Err("only a GICv3 can have it")),
    (kind(2, "cortex-a72").el2(),     "auto",          Ok("own EL2")),
    (kind(2, "cortex-a72").el2(),     "priority-mask", Ok("GICv2 priority mask")),
    // The Raspberry Pi 4 and 5 as the kernel sees them.
    (kind(2, "cortex-a72").el2().secure().bits(5), "auto",          Ok("own EL2")),
    (kind(2, "cortex-a76").el2().secure().bits(5), "priority-mask", Ok("GICv2 priority mask")),
    (kind(2, "cortex-a76").el2().secure().bits(5), "fiq",           Err("group 0 belongs to the firmware")),
    (RASPI3B,                         "auto",          Ok("own EL2")),
    (RASPI3B,                         "fiq",           Ok("FIQ")),
    (RASPI3B,                         "priority-mask", Err("this interrupt controller has none")),
    (RASPI3B,                         "feat-nmi",      Err("only a GICv3 can have it")),
];

fn try_means((kind, stop, expected): (Kind, &str, Result<&str, &str>)) {
    let outcome = machine(kind, &format!("stop={stop}")).run(Duration::from_secs(180)).unwrap();
    let story = outcome.story();
    match expected {
        Ok(means) => {
            outcome.expect_exit(0).unwrap();
            says(&outcome, &format!("stop by    {means} (no IPI)"));
            for core in 1..4 {
                says(&outcome, &format!("core {core} was stopped by {means}"));
            }
            says(&outcome, "gic: SGIs pending or active on any core: 0x0000");
            let tables = tables(&outcome.console);
            assert_eq!(tables.len(), 1, "{kind:?} {story}");
            for account in &tables[0].accounts {
                assert!(account.is_whole() && account.recovered > 0, "{kind:?} {story}");
            }
        }
        Err(why) => {
            outcome.expect_exit(2).unwrap();
            let line = outcome.console.lines().find(|line| line.contains("afterglow cannot go on")).unwrap_or_default();
            assert!(line.contains(&format!("stop={stop}")) && line.contains(why), "{kind:?} {story}");
        }
    }
}

#[test]
fn every_means_stops_the_cores_of_every_machine_that_has_it_and_the_others_say_why_not() {
    // Half of the rows each; QEMU runs as many at once as the harness lets it.
    std::thread::scope(|scope| {
        for half in MACHINES.chunks(MACHINES.len().div_ceil(2)) {
            scope.spawn(move || half.iter().copied().for_each(try_means));
        }
    });
}

#[test]
fn a_panic_in_a_handler_leaves_the_next_boot_its_ordinary_interrupts() {
    // What is active in the interrupt controller when a boot dies may outlive its reset, and keep its like out.
    let table = [
        (kind(2, "cortex-a72"), "priority-mask"),
        (kind(2, "cortex-a72"), "fiq"),
        (kind(2, "cortex-a72").el2(), "el2"),
        (kind(3, "max"), "priority-mask"),
        (kind(3, "max"), "feat-nmi"),
        (RASPI3B, "fiq"),
    ];
    for (kind, stop) in table {
        // The second boot needs an ordinary tick on the same core to die at all.
        for die in ["panic-in-irq", "panic-in-nmi"].into_iter().filter(|die| stop != "el2" || *die == "panic-in-irq") {
            let machine = machine(kind, &format!("stop={stop} die={die} die_core=1 cycles=2 hang=1"));
            let outcome = kernel::run(&machine, 0);
            says(&outcome, "boot 2 panicked on core 1");
            assert_eq!(outcome.console.matches("panic: core 1: asked for by die=").count(), 2, "{}", outcome.story());
        }
    }
}

#[test]
fn with_el2_of_its_own_every_run_is_the_same_to_the_byte() {
    let machine = machine(kind(3, "max").el2(), "events=3000");
    let run = || kernel::run(&machine, 0).console;
    assert_eq!(run(), run());
}

#[test]
fn nothing_is_sent_through_the_registers_of_a_gicv2() {
    for (kind, stop) in [
        (kind(2, "cortex-a72"), "fiq"),
        (kind(2, "cortex-a72").secure(), "priority-mask"),
        (kind(2, "cortex-a72").el2(), "el2"),
    ] {
        let outcome = kernel::run(&machine(kind, &format!("stop={stop}")).trace(trace::SGI_EVENTS), 0);
        assert!(outcome.trace.contains("gic_dist_write"), "the trace sees the interrupt controller: {kind:?}");
        let sent: Vec<_> = trace::sgis(&outcome.trace).collect();
        assert!(sent.is_empty(), "{kind:?}: {sent:?}");
    }
}

/// Whether an instruction writes ICC_SGI1R_EL1, ICC_ASGI1R_EL1 or ICC_SGI0R_EL1: MSR S3_0_C12_C11_{5, 6, 7}.
fn sends_sgi(instruction: u32) -> bool {
    let register = instruction & !0x1f;
    [0xd518_cba0, 0xd518_cbc0, 0xd518_cbe0].contains(&register)
}

#[test]
fn no_instruction_of_the_kernel_sends_a_software_generated_interrupt() {
    // LLVM's assembler says that this is `msr ICC_SGI1R_EL1, x3`.
    assert!(sends_sgi(0xd518_cba3) && !sends_sgi(0xd538_cba3) && !sends_sgi(0xd518_cc23));
    let image = workspace::kernel().unwrap();
    let words = image.bytes().chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    let sent: Vec<_> = words.enumerate().filter(|(_, word)| sends_sgi(*word)).collect();
    assert!(sent.is_empty(), "at byte {:#x}", 4 * sent[0].0);
    // And what they acknowledge is there: the scan sees system registers of the interrupt controller.
    let acknowledges = |word: u32| word & !0x1f == 0xd538_cc00;
    assert!(image.bytes().chunks_exact(4).any(|word| acknowledges(u32::from_le_bytes(word.try_into().unwrap()))));
}
