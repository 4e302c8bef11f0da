//! The loader: takes a kernel over the serial line, keeps it over warm resets, and starts it. See `kernel::loader`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod target {
    use arch::entry::BootInfo;

    /// Called by the entry code on the boot core: MMU on, its own stack, everything masked.
    #[unsafe(no_mangle)]
    extern "Rust" fn kernel_main(info: &'static BootInfo) -> ! {
        kernel::loader::run::main(info)
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        // Where alone, and not why: so no words are linked that only a fault of ours could say.
        if let Some(location) = info.location() {
            kernel::report!("afterglow loader: panic at {location}");
        }
        arch::cores::park()
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is a loader for a board: `make build` builds it, boards/docs/without-a-card.md says how to use it");
    std::process::exit(2);
}
