//! Which files a board wants on its card: one row a board. The ids are those of the kernel's own boards.

/// A file of the board's firmware, which the user has and this project never ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// Its path, in the firmware's directory and on the card.
    pub path: &'static str,
    /// What it is for.
    pub why: &'static str,
}

/// A board that a card can be made for.
#[derive(Debug)]
pub struct Board {
    /// The word for it: `--board rpi4`.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// How its firmware is told what to start.
    pub boot: Boot,
    /// The kernel's command line, if there is no other.
    pub command_line: &'static str,
}

/// How a kernel is started.
#[derive(Debug)]
pub enum Boot {
    /// By Raspberry Pi's firmware.
    RaspberryPi {
        /// `config.txt`.
        config: &'static str,
        /// What the firmware must find.
        needed: &'static [Firmware],
        /// Device trees, one for each model: at least one of them is wanted, and all that are there are taken.
        trees: &'static [Firmware],
        /// What is taken where it is there.
        welcome: &'static [Firmware],
    },
    /// By U-Boot, which is in the board already.
    UBoot {
        /// The source of `boot.scr`.
        script: &'static str,
    },
}

/// The name of the kernel on every card.
pub const KERNEL: &str = "afterglow.img";

/// The region that a Raspberry Pi gets unless told otherwise: base and size, in bytes.
pub const REGION: (u64, u64) = (0x0b00_0000, 8 << 20);

const DISABLE_BT: Firmware = Firmware { path: "overlays/disable-bt.dtbo", why: "the serial line goes to the header" };

/// Only exceptions are in it, but an overlay of the firmware's own may be one.
const OVERLAY_MAP: Firmware = Firmware { path: "overlays/overlay_map.dtb", why: "which overlay is for which model" };

/// Every board.
pub const BOARDS: &[Board] = &[
    Board {
        id: "rpi3",
        name: "Raspberry Pi 3",
        boot: Boot::RaspberryPi {
            config: include_str!("../../../boards/config/rpi3/config.txt"),
            needed: &[
                Firmware { path: "bootcode.bin", why: "the first program that the boot ROM loads" },
                Firmware { path: "start.elf", why: "the firmware" },
                Firmware { path: "fixup.dat", why: "the firmware's memory layout, of the same release" },
                DISABLE_BT,
            ],
            trees: &[
                Firmware { path: "bcm2710-rpi-3-b.dtb", why: "the device tree of a 3 B" },
                Firmware { path: "bcm2710-rpi-3-b-plus.dtb", why: "the device tree of a 3 B+" },
            ],
            welcome: &[OVERLAY_MAP],
        },
        command_line: include_str!("../../../boards/config/rpi3/cmdline.txt"),
    },
    Board {
        id: "rpi4",
        name: "Raspberry Pi 4",
        boot: Boot::RaspberryPi {
            config: include_str!("../../../boards/config/rpi4/config.txt"),
            needed: &[
                Firmware { path: "start4.elf", why: "the firmware" },
                Firmware { path: "fixup4.dat", why: "the firmware's memory layout, of the same release" },
                DISABLE_BT,
            ],
            trees: &[Firmware { path: "bcm2711-rpi-4-b.dtb", why: "the device tree" }],
            welcome: &[OVERLAY_MAP],
        },
        command_line: include_str!("../../../boards/config/rpi4/cmdline.txt"),
    },
    Board {
        id: "rpi5",
        name: "Raspberry Pi 5",
        boot: Boot::RaspberryPi {
            config: include_str!("../../../boards/config/rpi5/config.txt"),
            needed: &[],
            trees: &[
                Firmware { path: "bcm2712-rpi-5-b.dtb", why: "the device tree" },
                Firmware { path: "bcm2712d0-rpi-5-b.dtb", why: "the device tree of boards with the D0 stepping" },
            ],
            welcome: &[
                Firmware { path: "overlays/bcm2712d0.dtbo", why: "what differs on boards with the D0 stepping" },
                OVERLAY_MAP,
            ],
        },
        command_line: include_str!("../../../boards/config/rpi5/cmdline.txt"),
    },
    Board {
        id: "generic",
        name: "a board with U-Boot",
        boot: Boot::UBoot { script: include_str!("../../../boards/config/generic/boot.cmd") },
        command_line: include_str!("../../../boards/config/generic/cmdline.txt"),
    },
];

impl Board {
    /// The board of this id.
    #[must_use]
    pub fn by_id(id: &str) -> Option<&'static Self> {
        BOARDS.iter().find(|board| board.id == id)
    }
}
