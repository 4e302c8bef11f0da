//! The firmware of a Raspberry Pi: where it writes at each reset, and what it tells about this boot, in `/chosen/bootloader` of
//! the device tree.

use core::fmt;

use crate::board::{DeviceTree, MemoryQuirk};

/// Below 0x2f000000, downwards: `start.elf` of a Raspberry Pi 3 as well as that of a 4, and the 5's EEPROM. On a 3 B its own
/// log has "initramfs loaded to 0x2edfc000 (size 0x203181)": <https://github.com/raspberrypi/firmware/issues/1292>.
pub(crate) const BELOW_2F000000: MemoryQuirk = MemoryQuirk {
    range: 0x2d00_0000..0x2f00_0000,
    why: "the firmware writes initial RAM disk and device tree there at each reset",
};

const NODE: &str = "/chosen/bootloader";
/// PM_RSTS: the power came on.
const POWER_ON: u32 = 0x1000;
/// PM_RSTS: the watchdog ended its count, which is also what a reset by software is.
const WATCHDOG: u32 = 0x20;

/// Tells what the last reset was: `rsts` is PM_RSTS as the firmware found it. Of its bits two can be trusted.
pub(crate) fn tell_reset(tree: &dyn DeviceTree, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
    let Some(rsts) = tree.u32(NODE, "rsts") else { return };
    let what = match (rsts & POWER_ON != 0, rsts & WATCHDOG != 0) {
        (true, _) => "power on: memory may be anything",
        (false, true) => "watchdog or software",
        (false, false) => "not told",
    };
    say(format_args!("  last reset {what} (PM_RSTS {rsts:#x})"));
}

/// Warns of a bootloader that was built before `since`, in seconds since 1970.
pub(crate) fn warn_of_age(tree: &dyn DeviceTree, since: u32, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
    let Some(built) = tree.u32(NODE, "build-timestamp").filter(|built| *built < since) else { return };
    say(format_args!(
        "  warning    the bootloader EEPROM is of {}, and before {} memory came back with bit errors: update it \
         (rpi-eeprom-update -a)",
        Date(built),
        Date(since)
    ));
}

/// Shows the day of so many seconds since 1970.
struct Date(u32);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Days of the Gregorian calendar from 1 March of year 0 (719468 before 1970), in its cycles of 400 years (146097 days).
        let days = self.0 / 86_400 + 719_468;
        let (cycle, days) = (days / 146_097, days % 146_097);
        let year = (days - days / 1460 + days / 36_524 - days / 146_096) / 365;
        let day_of_year = days - (365 * year + year / 4 - year / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        write!(f, "{}-{month:02}-{day:02}", 400 * cycle + year + later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BOARDS;
    use std::string::{String, ToString};
    use std::vec::Vec;

    /// Properties of the one node.
    struct Fake<'a>(&'a [(&'a str, u32)]);

    impl DeviceTree for Fake<'_> {
        fn u32(&self, node: &str, property: &str) -> Option<u32> {
            assert_eq!(node, "/chosen/bootloader");
            self.0.iter().find(|(name, _)| *name == property).map(|(_, value)| *value)
        }
    }

    fn told(id: &str, properties: &[(&str, u32)]) -> Vec<String> {
        let mut lines = Vec::new();
        let board = BOARDS.iter().find(|board| board.id() == id).unwrap();
        board.tell(&Fake(properties), &mut |line| lines.push(line.to_string()));
        lines
    }

    #[test]
    fn every_raspberry_pi_tells_its_last_reset_and_trusts_two_bits() {
        for id in ["rpi3", "rpi4", "rpi5"] {
            for (rsts, line) in [
                (0x1000, "  last reset power on: memory may be anything (PM_RSTS 0x1000)"),
                (0x1020, "  last reset power on: memory may be anything (PM_RSTS 0x1020)"),
                (0x20, "  last reset watchdog or software (PM_RSTS 0x20)"),
                (0x575, "  last reset watchdog or software (PM_RSTS 0x575)"),
                (0x555, "  last reset not told (PM_RSTS 0x555)"),
            ] {
                assert_eq!(told(id, &[("rsts", rsts)]), [line], "{id}");
            }
            assert!(told(id, &[]).is_empty(), "{id}: firmware that tells nothing");
        }
        assert!(told("virt", &[("rsts", 0x20)]).is_empty());
    }

    #[test]
    fn an_old_bootloader_is_warned_of_on_the_board_whose_memory_it_damages() {
        let warning = "  warning    the bootloader EEPROM is of 2020-09-03, and before 2024-10-10 memory came back with bit \
                       errors: update it (rpi-eeprom-update -a)";
        assert_eq!(told("rpi4", &[("build-timestamp", 1_599_135_103)]), [warning]);
        assert_eq!(told("rpi4", &[("build-timestamp", 1_728_518_399)]).len(), 1);
        assert!(told("rpi4", &[("build-timestamp", 1_728_518_400)]).is_empty());
        assert!(told("rpi4", &[("update-timestamp", 5)]).is_empty(), "when it was written says nothing");
        assert!(told("rpi5", &[("build-timestamp", 1_599_135_103)]).is_empty());
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_728_518_399, "2024-10-09"),
            (1_735_689_599, "2024-12-31"),
            (4_107_542_400, "2100-03-01"),
            (u32::MAX, "2106-02-07"),
        ] {
            assert_eq!(Date(seconds).to_string(), day);
        }
    }
}
