//! Lists every region of Linux's in a RAM image: `listing IMAGE [SYMBOLS [EVENTS]]`, where SYMBOLS is a kallsyms or System.map
//! and EVENTS a copy of tracefs' `events` or `format` files in one. With `--rates` it tells how fast it was instead.

use linuxring::{Formats, Linux, Region, Symbols, find};
use std::error::Error;
use std::io::Write;
use std::time::Instant;
use trace::{Item, Trace, merged};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let rates = words.iter().position(|word| word == "--rates").map(|place| words.remove(place)).is_some();
    let mut words = words.into_iter();
    let image = std::fs::read(words.next().ok_or("which image?")?)?;
    let symbols =
        words.next().map(std::fs::read).transpose()?.map_or_else(Symbols::default, |text| Symbols::load(&text));
    let formats = match words.next().map(std::path::PathBuf::from) {
        None => Formats::default(),
        Some(path) if path.is_dir() => Formats::load_directory(&path)?,
        Some(path) => Formats::load(&String::from_utf8_lossy(&std::fs::read(path)?)),
    };
    let start = Instant::now();
    let found: Vec<_> = find(&image, &[]).collect();
    eprintln!("{} regions in {} MiB, found in {:?}", found.len(), image.len() >> 20, start.elapsed());
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for found in found {
        let Some(region) = Region::parse(&image, found.place.start) else { continue };
        let linux = Linux::new(region, formats.clone(), symbols.clone());
        if rates {
            tell_rates(&linux);
            continue;
        }
        let mut text = String::new();
        linux.heading(&mut text)?;
        for remark in &linux.about().remarks {
            text += &format!("# {remark}\n");
        }
        for item in merged(&linux) {
            match item {
                Item::Event(event) => line(&linux, &event, &mut text)?,
                Item::Loss(loss) => text += &format!("# CPU:{} {}\n", loss.core, loss.what),
            }
            if text.len() > 1 << 16 {
                out.write_all(text.as_bytes())?;
                text.clear();
            }
        }
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn line(linux: &Linux<'_>, event: &trace::Event<'_>, text: &mut String) -> std::fmt::Result {
    use std::fmt::Write as _;
    let task = if event.pid == 0 { "<idle>" } else { "<...>" };
    let context = linux.context(event).map(char::from);
    let micros = event.time_ns.saturating_add(500) / 1000;
    write!(text, "{task:>16}-{:<7} [{:03}] ", event.pid, event.core)?;
    context.iter().for_each(|c| text.push(*c));
    write!(text, " {:5}.{:06}: ", micros / 1_000_000, micros % 1_000_000)?;
    linux.listed(event, text)?;
    text.push('\n');
    Ok(())
}

/// How fast events are decoded, sub-buffers handed out, and all of it written as text.
fn tell_rates(linux: &Linux<'_>) {
    let bytes = (linux.region().place().end - linux.region().place().start) as f64 / 1e6;
    let told = |what: &str, start: Instant, number: u64| {
        println!(
            "{what}: {number} in {:?}, {:.0} MB/s of region",
            start.elapsed(),
            bytes / start.elapsed().as_secs_f64()
        );
    };
    let cores = || 0..linux.about().cores.len() as u32;
    let start = Instant::now();
    let sum = cores().flat_map(|core| linux.items(core)).fold(0, |sum, item| sum + u64::from(item.time_ns() != 0));
    told("events", start, sum);
    let start = Instant::now();
    let pages = cores().flat_map(|core| linux.pages(core)).filter(|page| page.whole).count();
    told("whole sub-buffers", start, pages as u64);
    let start = Instant::now();
    linux.recognised().for_each(drop);
    told("recognised", start, linux.recognised().count() as u64);
    let start = Instant::now();
    let (mut text, mut lines) = (String::new(), 0);
    for item in merged(linux) {
        if let Item::Event(event) = item {
            text.clear();
            lines += u64::from(line(linux, &event, &mut text).is_ok());
        }
    }
    told("lines", start, lines);
}
