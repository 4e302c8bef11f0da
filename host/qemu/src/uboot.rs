//! QEMU's `virt` with U-Boot as its firmware, which finds the kernel on a card or over the network: the ways of booting that
//! boards with U-Boot have.
//!
//! U-Boot is Debian's (package u-boot-qemu), unchanged: it lies in the machine's flash, waits its two seconds for a key, and then
//! looks for something to boot on every device. The machine's resets are PSCI's, and RAM is kept over them as QEMU keeps it.

use crate::machine::Machine;
use crate::words::option_value;
use anyhow::{Result, bail};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Names another U-Boot than Debian's.
const VARIABLE: &str = "AFTERGLOW_U_BOOT";

/// Where Debian's package puts the one for `virt`.
const INSTALLED: &str = "/usr/lib/u-boot/qemu_arm64/u-boot.bin";

/// U-Boot for `virt`.
///
/// # Errors
/// It is not installed.
pub fn firmware() -> Result<PathBuf> {
    let path = env::var_os(VARIABLE).filter(|path| !path.is_empty()).map_or_else(|| INSTALLED.into(), PathBuf::from);
    if !path.is_file() {
        bail!(
            "{} is not there: run scripts/setup.sh --tests, which installs U-Boot, or set {VARIABLE}",
            path.display()
        );
    }
    Ok(path)
}

/// A `virt` that starts U-Boot, without anything else to start.
fn bare() -> Result<Machine> {
    Ok(Machine::virt().extra([OsString::from("-bios"), firmware()?.into_os_string()]))
}

/// A `virt` that starts U-Boot, with an Ethernet in which QEMU answers DHCP, and TFTP with this directory, and nobody else is.
///
/// # Errors
/// U-Boot is not installed.
pub fn network(directory: &Path) -> Result<Machine> {
    let mut net = OsString::from("user,id=net,restrict=on,tftp=");
    net.push(option_value(directory));
    let device = OsString::from("virtio-net-device,netdev=net");
    Ok(bare()?.extra([OsString::from("-netdev"), net, OsString::from("-device"), device]))
}

/// A `virt` that starts U-Boot, with the image of a card in it. The card cannot be written.
///
/// # Errors
/// U-Boot is not installed.
pub fn machine(card: &Path) -> Result<Machine> {
    let mut drive = OsString::from("if=none,id=card,format=raw,readonly=on,file=");
    drive.push(option_value(card));
    let device = OsString::from("virtio-blk-device,drive=card");
    Ok(bare()?.extra([OsString::from("-drive"), drive, OsString::from("-device"), device]))
}
