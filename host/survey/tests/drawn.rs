//! What a person sees of recorded surveys, to the letter. `UPDATE_DATA=1` writes it anew: look at it then.
//!
//! `virt` (with a cache that loses and bits that turn over) and `raspi4b` are recorded from QEMU: what `afterglow survey KERNEL
//! --flips 4 --console` and `--board raspi4b --rounds 1` say on their standard error. `restart` is the first with its second reset
//! made one that loses all, `large` the second with two banks of memory more, one of them damaged.

use std::path::{Path, PathBuf};
use survey::draw::draw;
use survey::serial::read;

const BANNER: &str = "afterglow 0.1.0: a flight recorder that survives its crash";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn recorded(name: &str) -> String {
    std::fs::read_to_string(data(name)).unwrap()
}

/// After its second reset the board knows nothing of the survey.
fn restart() -> String {
    let whole = recorded("virt.txt");
    let boots: Vec<usize> = whole.match_indices(BANNER).map(|(at, _)| at).collect();
    [&whole[..boots[2]], &whole[..boots[1]]].concat()
}

/// 8 GiB.
fn large() -> String {
    let banks = ["0x40010000-0xfbffffff (3080128 KiB)", "0x100010000-0x1ffffffff (4194240 KiB)"];
    let mut text = recorded("raspi4b.txt");
    let mut before = |line: &str, new: &str| {
        let at = text.find(line).unwrap();
        text.insert_str(at, new);
    };
    before(
        "survey: memory 0x",
        "survey: places that were not as they were left: 1\nsurvey: lost 0x80000000-0x87ffffff (128 MiB), after 1 of 2: 1/1 watchdog\n",
    );
    let [damaged, kept] = banks.map(|bank| format!("survey: memory {bank}: "));
    before("survey: recommended", &format!("{damaged}damaged in part\n{kept}kept\n"));
    let place = text.split("recommended for the region: 0x").nth(1).and_then(|rest| rest.split('-').next()).unwrap();
    let (first, last) = (place.to_owned(), u64::from_str_radix(place, 16).unwrap() + 0x7f_ffff);
    text.replace(&format!("0x{first}-{last:#x}"), "0x17fc00000-0x1803fffff")
        .replace(&format!("ring@{first}"), "ring@17fc00000")
        .replace(&format!("<0x0 0x{first}"), "<0x1 0x7fc00000")
}

#[test]
fn recorded_reports_are_drawn_as_they_were() {
    let cases = [
        ("virt", recorded("virt.txt"), 1),
        ("raspi4b", recorded("raspi4b.txt"), 0),
        ("restart", restart(), 1),
        ("large", large(), 0),
    ];
    for (name, text, status) in cases {
        let found = read(text.as_bytes());
        let drawn: String = draw(&found).into_iter().map(|(_, text)| text).collect();
        let path = data(&format!("{name}.drawn"));
        if std::env::var_os("UPDATE_DATA").is_some() {
            std::fs::write(&path, &drawn).unwrap();
        }
        assert_eq!(drawn, std::fs::read_to_string(path).unwrap(), "{name}");
        let table = drawn.lines().take_while(|line| !line.is_empty());
        assert!(table.filter(|line| line.len() > 80).count() == 0, "{name}: map and table fit a terminal");
        assert_eq!(found.status(), status, "{name}");
        assert_eq!(found.report.troubles().is_empty(), name != "restart", "{name}: {:?}", found.report.troubles());
    }
}

#[test]
fn the_documents_show_what_is_drawn() {
    let drawn = recorded("raspi4b.drawn");
    for document in ["README.md", "boards/docs/survey.md"] {
        let text = std::fs::read_to_string(data("../../../..").join(document)).unwrap();
        assert!(text.contains(&drawn), "{document} shows another drawing than host/survey/tests/data/raspi4b.drawn");
    }
}
