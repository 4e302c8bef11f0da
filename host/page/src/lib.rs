//! A crash on one self-contained HTML page: what happened, a time line, every event.
//!
//! ```text
//! Trace ─► summary (HTML, readable without scripts and on paper)
//!       └► columns (times, cores, what is said; deflated, base64) ─► assets/*.js: time line and list
//! ```
//!
//! Nothing that a region says becomes markup: texts are escaped here, and inserted as text there. A content security policy
//! lets no script run but the page's own, by its hash, and lets nothing be fetched.

mod accounts;
mod columns;
mod html;
mod shapes;
mod summary;

use base64::{Engine, engine::general_purpose::STANDARD};
use html::Text;
use sha2::{Digest, Sha256};
use std::io::{self, Write};
use trace::Trace;

const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = concat!(
    "\"use strict\";(() => {\n",
    include_str!("../assets/data.js"),
    include_str!("../assets/texts.js"),
    include_str!("../assets/lanes.js"),
    include_str!("../assets/timeline.js"),
    include_str!("../assets/paint.js"),
    include_str!("../assets/input.js"),
    include_str!("../assets/list.js"),
    include_str!("../assets/main.js"),
    "})();\n"
);

/// What an address of a trace is, in words; and whether it is one that a call returns to, so that the call is before it.
pub type Symbols<'s> = &'s dyn Fn(&dyn Trace, u64, bool) -> Option<String>;

/// Writes the page of an input's boots. `remarks`: what was damaged in the input, a sentence each.
///
/// # Errors
/// Those of `out`.
pub fn write(
    name: &str,
    remarks: &[String],
    traces: &[&dyn Trace],
    symbols: Symbols<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    let title = traces.first().map_or("nothing", |trace| trace.about().title.as_str());
    writeln!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">", Text(&policy))?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
    writeln!(
        out,
        "<meta name=\"color-scheme\" content=\"light dark\">\n<title>{} - {}</title>",
        Text(title),
        Text(name)
    )?;
    writeln!(out, "<style>{STYLE}</style>\n</head>\n<body>\n<header><p class=\"input\">{}</p>", Text(name))?;
    for remark in remarks {
        writeln!(out, "<p class=\"remark\">{}</p>", Text(remark))?;
    }
    writeln!(out, "</header>")?;
    if traces.len() > 1 {
        writeln!(out, "<nav aria-label=\"boots\"><ol>")?;
        for (number, trace) in traces.iter().enumerate() {
            writeln!(out, "<li><a href=\"#trace{number}\">{}</a></li>", Text(&trace.about().title))?;
        }
        writeln!(out, "</ol></nav>")?;
    }
    for (number, trace) in traces.iter().enumerate() {
        writeln!(out, "<article id=\"trace{number}\">")?;
        summary::write(*trace, symbols, out)?;
        columns::write(*trace, number, out)?;
        writeln!(out, "</article>")?;
    }
    writeln!(out, "<noscript>The time line and the list of events need JavaScript.</noscript>")?;
    writeln!(out, "<script>{SCRIPT}</script>\n</body>\n</html>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::fake::Fake;
    use trace::{Panic, Stop};

    #[test]
    fn addresses_are_named_by_their_own_boots_symbols_and_calls_by_where_they_are() {
        let boot = |boot_id: u32| {
            let mut fake = Fake::new(1, []);
            fake.about.boot_id = Some(boot_id);
            fake.about.cores[0].stop = Some(Stop {
                outcome: "stopped",
                time_ns: 0,
                means: None,
                pc: 0x30,
                lr: 0,
                sp: 0,
                pstate: 0,
                words: String::new(),
            });
            fake.about.panic = Some(Panic {
                core: 0,
                time_ns: 0,
                message: String::new(),
                location: String::new(),
                registers: None,
                fault_address: 0,
                explained: Vec::new(),
                backtrace: vec![0x10, 0x20],
                nested: Vec::new(),
            });
            fake
        };
        let (first, second) = (boot(7), boot(8));
        let named = |trace: &dyn Trace, address: u64, is_call: bool| {
            Some(format!("boot {} at {address:#x} call {is_call}", trace.about().boot_id?))
        };
        let mut html = Vec::new();
        write("input", &[], &[&first, &second], &named, &mut html).unwrap();
        let html = String::from_utf8(html).unwrap();
        for boot in [7, 8] {
            for place in ["0x10 call false", "0x20 call true", "0x30 call false"] {
                assert!(html.contains(&format!("boot {boot} at {place}")), "{boot} {place}");
            }
        }
    }
}
