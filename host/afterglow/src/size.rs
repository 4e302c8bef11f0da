//! `afterglow size`: how large a kernel is, on its medium and in memory.

use anyhow::Result;
use clap::Args;
use qemu::Image;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Shows how large a kernel is.
#[derive(Debug, Args)]
pub(crate) struct Size {
    /// The kernel: an ELF file or an arm64 Image
    kernel: PathBuf,
}

impl Size {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let image = Image::load(&self.kernel)?;
        // What no boot loader brings: .bss, stacks, page tables.
        let beside = image.memory_size().saturating_sub(image.file_size());
        for (what, size) in [
            ("image (flat, as flashed)", image.file_size()),
            ("memory beside the image", beside),
            ("memory in all", image.memory_size()),
        ] {
            // Whoever reads only the first line has read what was wanted.
            if writeln!(std::io::stdout(), "{what:<26} {size:>8} bytes {:>6} KiB", size.div_ceil(1024)).is_err() {
                break;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
