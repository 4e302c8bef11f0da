//! Afterglow, the kernel: the whole life of the system on one screen.
//!
//! One boot finds its region, looks at what the boots before left in it, and records on every core until one of them
//! panics. The panic stops the others without an interrupt from core to core, brings what is still in the caches to
//! memory, and asks for a warm reset. The next boot validates what survived, tells it, and powers off with a status.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod target {
    use arch::entry::BootInfo;
    use kernel::boot::{self, phase};
    use kernel::command_line::Die;
    use kernel::{die, ending, measure, nest, survey, take_over, tell, work};

    /// Called by the entry code on the boot core: MMU on, its own stack, everything masked.
    #[unsafe(no_mangle)]
    extern "Rust" fn kernel_main(info: &'static BootInfo) -> ! {
        let machine = boot::discover(info);
        let taken = take_over::take_over(info, &machine);
        phase(1, "region taken over");
        if taken.boots_before == 0 {
            die::if_asked(&machine.options, Die::PanicBeforeCores);
        }
        if machine.options.measure {
            measure::report();
        }
        boot::open_interrupts(&machine);
        if machine.options.nest > 0 && taken.plan.record {
            nest::prove(&machine.options);
        }
        let cores = boot::start_cores(&machine);
        phase(2, "cores started");
        survey::unless_off(&machine, &taken);
        let status = tell::crashes(&machine, &taken);
        phase(3, "crashes told");
        if let Some(crashes) = taken.plan.crash_loop {
            tell::crash_loop(&machine, crashes);
        }
        if taken.plan.record || taken.plan.crash_loop.is_some() {
            work::record_and_die(&machine, cores)
        }
        tell::the_end(&machine, &taken, status)
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        ending::panicked(info)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is a kernel: `cargo run -p kernel` boots it in QEMU");
    std::process::exit(2);
}
