//! What a person sees of recorded surveys, to the letter. `UPDATE_DATA=1` writes it anew: look at it then.
//!
//! `virt` (with a cache that loses and bits that turn over) and `raspi4b` are recorded from QEMU; `restart` is the first with its second
//! reset made one that loses all, `large` the second with three banks of memory, one of them damaged.

use std::path::Path;
use survey::draw::draw;
use survey::serial::read;

#[test]
fn recorded_reports_are_drawn_as_they_were() {
    for (name, status) in [("virt", 1), ("raspi4b", 0), ("restart", 1), ("large", 0)] {
        let path = |kind| Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.{kind}"));
        let found = read(&std::fs::read(path("txt")).unwrap());
        let drawn: String = draw(&found).into_iter().map(|(_, text)| text).collect();
        if std::env::var_os("UPDATE_DATA").is_some() {
            std::fs::write(path("drawn"), &drawn).unwrap();
        }
        assert_eq!(drawn, std::fs::read_to_string(path("drawn")).unwrap(), "{name}");
        let table = drawn.lines().take_while(|line| !line.is_empty());
        assert!(table.filter(|line| line.len() > 80).count() == 0, "{name}: map and table fit a terminal");
        assert_eq!(found.status(), status, "{name}");
        assert_eq!(found.report.troubles().is_empty(), name != "restart", "{name}: {:?}", found.report.troubles());
    }
}
