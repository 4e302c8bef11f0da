//! Options that are not ours and yet stand on most command lines: no reason to warn about them.

/// What Linux, its initial RAM disks and distributions use.
const LINUX: &[&str] = &[
    "BOOT_IMAGE",
    "apparmor",
    "audit",
    "cma",
    "console",
    "consoleblank",
    "crashkernel",
    "debug",
    "earlycon",
    "earlyprintk",
    "elevator",
    "ignore_loglevel",
    "init",
    "initrd",
    "ip",
    "keep_bootcon",
    "nfsroot",
    "noinitrd",
    "nokaslr",
    "panic",
    "printk",
    "rdinit",
    "reboot",
    "ro",
    "root",
    "rootdelay",
    "rootflags",
    "rootfstype",
    "rootwait",
    "rw",
    "security",
    "splash",
    "video",
];

/// What the Raspberry Pi's firmware adds, beside module parameters such as `8250.nr_uarts`, `snd_bcm2835.enable_hdmi`,
/// `bcm2708_fb.fbwidth`, `vc_mem.mem_base` and `smsc95xx.macaddr`.
const RASPBERRY_PI: &[&str] =
    &["cgroup_disable", "cgroup_enable", "coherent_pool", "iommu_dma_numa_policy", "numa", "numa_policy", "pci"];

/// Whether somebody else reads this option: it is in a list above, or there is a dot in it, which makes it a parameter of a
/// Linux module or of systemd (none of ours has one).
pub(super) fn is_foreign(name: &[u8]) -> bool {
    name.contains(&b'.') || [LINUX, RASPBERRY_PI].iter().any(|list| list.iter().any(|known| super::same(known, name)))
}
