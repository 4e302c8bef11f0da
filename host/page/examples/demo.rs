//! A page of made-up events to look at: `cargo host-run -p page --example demo -- OUT EVENTS`.

#[path = "../tests/support/made_up.rs"]
mod made_up;

use std::fs::File;
use std::io::{self, BufWriter};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().unwrap_or_else(|| "demo.html".into());
    let events: u64 = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(20_000);
    let crash = made_up::crash(events);
    let remarks = ["4 lines of the region's header were damaged and are taken from its copy".to_owned()];
    page::write("demo.region", &remarks, &[&crash], &made_up::symbols, &mut BufWriter::new(File::create(out)?))
}
