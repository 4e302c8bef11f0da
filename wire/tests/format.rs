//! The page that describes the format says what the constants are.

use wire::frame::{END, ESCAPE, START, body, kind};
use wire::plan::field;

#[test]
fn the_page_says_what_the_constants_are() {
    let constants = [
        ("START", usize::from(START)),
        ("END", usize::from(END)),
        ("ESCAPE", usize::from(ESCAPE)),
        ("body::TYPE", body::TYPE),
        ("body::TRANSFER", body::TRANSFER),
        ("body::NUMBER", body::NUMBER),
        ("body::PAYLOAD", body::PAYLOAD),
        ("PLAN", usize::from(kind::PLAN)),
        ("PROMPT", usize::from(kind::PROMPT)),
        ("CODED", usize::from(kind::CODED)),
        ("PLAIN", usize::from(kind::PLAIN)),
        ("AGAIN", usize::from(kind::AGAIN)),
        ("DONE", usize::from(kind::DONE)),
        ("plan::VERSION", field::VERSION),
        ("plan::INDEX", field::INDEX),
        ("plan::COUNT", field::COUNT),
        ("plan::BANK", field::BANK),
        ("plan::PAGES", field::PAGES),
        ("plan::LINES", field::LINES),
        ("plan::CORES", field::CORES),
    ];
    let rows = include_str!("../FORMAT.md").lines().filter(|line| line.starts_with("| `"));
    let mut named = 0;
    for row in rows {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let (name, place) = (cells.next().unwrap().trim_matches('`'), cells.next().unwrap());
        let place = match place.strip_prefix("0x") {
            Some(digits) => usize::from_str_radix(digits, 16),
            None => place.parse(),
        };
        let known = constants.iter().find(|(known, _)| *known == name);
        assert_eq!(place.ok(), known.map(|(_, value)| *value), "{name}");
        named += 1;
    }
    assert_eq!(named, constants.len(), "the page leaves some out");
}
