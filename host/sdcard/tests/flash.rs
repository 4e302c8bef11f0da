//! Every reason not to write a disk, on systems that are told by plain files; and what a device that lies is caught by.

use sdcard::flash::{Disk, Permission, Phase, Refusal, System, Target, refusals, verify, write};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const IMAGE: u64 = 64 << 20;
const FORCED: Permission = Permission { not_removable: true };

/// A machine with a system disk (sda, with LVM and swap), a card on USB (sdb), a card in a slot (mmcblk0), an inner disk (sdc).
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        machine.disk("pci0/ata1/sda", "8:0", 1 << 30, &[("removable", "0"), ("device/model", "SYSTEM SSD")]);
        machine.partition("pci0/ata1/sda", "sda1", "8:1");
        machine.partition("pci0/ata1/sda", "sda2", "8:2");
        machine.partition("pci0/ata1/sda", "sda3", "8:3");
        machine.disk("virtual/dm-0", "254:0", 1 << 29, &[]);
        machine.link("pci0/ata1/sda/sda2/holders/dm-0");
        machine.disk(
            "pci0/usb1/sdb",
            "8:16",
            16 << 30,
            &[("removable", "0"), ("device/vendor", "Generic"), ("device/model", "Card\x1b[2J Reader")],
        );
        machine.partition("pci0/usb1/sdb", "sdb1", "8:17");
        machine.disk(
            "pci0/mmc0/mmcblk0",
            "179:0",
            8 << 30,
            &[("removable", "0"), ("device/type", "SD"), ("device/name", "SC08G")],
        );
        machine.disk("pci0/ata2/sdc", "8:32", 1 << 30, &[("removable", "0")]);
        machine.write("proc/self/mountinfo", "25 1 254:0 / / rw,relatime shared:1 - ext4 /dev/mapper/root rw\n");
        machine.write("proc/swaps", "Filename Type Size Used Priority\n/dev/sda3 partition 100 0 -2\n");
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str) {
        fs::create_dir_all(self.root.path().join("sys/devices").join(path)).unwrap();
    }

    fn disk(&self, at: &str, number: &str, size: u64, words: &[(&str, &str)]) {
        let name = at.rsplit('/').next().unwrap();
        let device = format!("sys/devices/{at}");
        for (file, word) in [("size", (size / 512).to_string().as_str()), ("dev", number), ("ro", "0")]
            .into_iter()
            .chain(words.iter().copied())
        {
            self.write(&format!("{device}/{file}"), &format!("{word}\n"));
        }
        self.class(name, &device);
        self.write(&format!("dev/{name}"), "");
    }

    fn partition(&self, disk: &str, name: &str, number: &str) {
        let device = format!("sys/devices/{disk}/{name}");
        for (file, word) in [("size", "20480"), ("dev", number), ("ro", "0"), ("partition", "1")] {
            self.write(&format!("{device}/{file}"), word);
        }
        self.class(name, &device);
        self.write(&format!("dev/{name}"), "");
    }

    fn class(&self, name: &str, device: &str) {
        let class = self.root.path().join("sys/class/block");
        fs::create_dir_all(&class).unwrap();
        symlink(self.root.path().join(device), class.join(name)).unwrap();
    }

    fn dev(&self, name: &str) -> PathBuf {
        self.root.path().join("dev").join(name)
    }

    fn system(&self) -> System {
        System::told_by(self.root.path())
    }

    fn look(&self, name: &str) -> Disk {
        self.system().disk(&self.dev(name)).unwrap()
    }

    fn refusals(&self, name: &str, allowed: Permission) -> Vec<Refusal> {
        refusals(&self.look(name), IMAGE, allowed)
    }

    fn mount(&self, line: &str) {
        let path = self.root.path().join("proc/self/mountinfo");
        let text = fs::read_to_string(&path).unwrap() + line + "\n";
        fs::write(path, text).unwrap();
    }
}

#[test]
fn a_card_is_written_whether_on_usb_or_in_a_slot() {
    let machine = Machine::new();
    for name in ["sdb", "mmcblk0"] {
        assert_eq!(machine.refusals(name, Permission::default()), [], "{name}");
    }
    let disk = machine.look("sdb");
    assert_eq!(disk.model, "Generic Card[2J Reader", "nothing that a terminal would obey");
    assert_eq!((disk.size, disk.partitions.len(), disk.partitions[0].size), (16 << 30, 1, 10 << 20));
}

#[test]
fn the_disk_that_the_system_runs_from_is_refused_whatever_is_allowed() {
    let machine = Machine::new();
    let found = machine.refusals("sda", FORCED);
    for expected in [
        Refusal::System { name: "dm-0".into(), at: "/".into() },
        Refusal::Held { by: "dm-0".into() },
        Refusal::Swap { name: "sda3".into() },
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    // And through a part of it, which is a reason of its own.
    assert!(machine.refusals("sda2", FORCED).contains(&Refusal::Partition { of: "sda".into() }));
    assert!(machine.refusals("dm-0", FORCED).contains(&Refusal::System { name: "dm-0".into(), at: "/".into() }));
}

#[test]
fn a_mounted_card_is_refused_by_number_and_by_name() {
    let at = |line| {
        let machine = Machine::new();
        machine.mount(line);
        machine.refusals("sdb", FORCED)
    };
    let mounted = |at: &str| vec![Refusal::Mounted { name: "sdb1".into(), at: at.into() }];
    assert_eq!(at(r"30 25 8:17 / /media/my\040card rw - vfat /dev/whatever rw"), mounted("/media/my card"));
    // btrfs has numbers of its own.
    assert_eq!(at("30 25 0:44 / /mnt rw shared:2 master:1 - btrfs /dev/sdb1 rw"), mounted("/mnt"));
    assert_eq!(
        at("30 25 8:16 / /boot rw - vfat /dev/sdb rw"),
        [Refusal::System { name: "sdb".into(), at: "/boot".into() }]
    );
    assert_eq!(at("30 25 8:170 / /mnt rw - vfat /dev/sdb10 rw"), []);
}

#[test]
fn one_reason_is_told_for_each_thing_that_is_wrong() {
    let machine = Machine::new();
    assert_eq!(machine.refusals("sdc", Permission::default()), [Refusal::NotRemovable]);
    assert_eq!(machine.refusals("sdc", FORCED), []);
    assert_eq!(machine.refusals("sdb1", FORCED)[0], Refusal::Partition { of: "sdb".into() });
    let device = "sys/devices/pci0/usb1/sdb";
    machine.write(&format!("{device}/ro"), "1\n");
    machine.write(&format!("{device}/size"), "2048\n");
    assert_eq!(machine.refusals("sdb", FORCED), [Refusal::TooSmall { size: 1 << 20, image: IMAGE }, Refusal::ReadOnly]);
    machine.write(&format!("{device}/size"), "0\n");
    assert_eq!(machine.refusals("sdb", FORCED), [Refusal::Empty, Refusal::ReadOnly]);
    machine.write(&format!("{device}/ro"), "0\n");
    machine.write(&format!("{device}/size"), "1000000\n");
    machine.write("proc/swaps", "Filename Type\n/dev/sdb1 partition\n");
    assert_eq!(machine.refusals("sdb", FORCED), [Refusal::Swap { name: "sdb1".into() }]);
    for refusal in machine.refusals("sda", FORCED) {
        assert!(refusal.to_string().len() > 20, "each says what it is: {refusal}");
    }
}

#[test]
fn where_nobody_can_tell_what_is_in_use_nothing_is_written() {
    let machine = Machine::new();
    fs::remove_file(machine.root.path().join("proc/self/mountinfo")).unwrap();
    let error = machine.system().disk(&machine.dev("sdb")).unwrap_err().to_string();
    assert!(error.contains("what is mounted is unknown"), "{error}");
    let error = Machine::new().system().disk(Path::new("/dev/no-such-disk")).unwrap_err().to_string();
    assert!(error.contains("lsblk"), "{error}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = System::real().disk(file.path()).unwrap_err().to_string();
    assert!(error.contains("no block device"), "{error}");
}

#[test]
fn what_was_written_is_read_back_and_a_device_that_did_not_keep_it_is_caught() {
    let machine = Machine::new();
    let path = machine.dev("sdb");
    // On a disk, so that it can be read past the page cache; and not a whole number of pieces.
    let image: Vec<u8> = (0..(3 << 20) + 5 * 512).map(|at: u32| (at >> 3) as u8).collect();
    let mut target = Target::open(&machine.system(), &machine.look("sdb")).unwrap();
    let mut seen = Vec::new();
    let mut progress = |phase, done| seen.push((phase, done));
    write(&image, &mut target, &mut progress).unwrap();
    verify(&image, &target, &mut progress).unwrap();
    assert_eq!(seen.first(), Some(&(Phase::Write, 1 << 20)));
    assert_eq!(seen.last(), Some(&(Phase::Verify, image.len() as u64)));
    let mut other = image.clone();
    other[0x123456] ^= 0x40;
    other[0x200000] ^= 1;
    fs::write(&path, &other).unwrap();
    let error = verify(&image, &target, &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("2 bytes differ, the first at 0x123456"), "{error}");
    fs::write(&path, &image[..0x180000]).unwrap();
    let error = verify(&image, &target, &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("ends at 0x180000"), "{error}");
}
