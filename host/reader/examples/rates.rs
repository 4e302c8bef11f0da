//! How fast images are read: `cargo run --profile host --target host-tuple -p reader --example rates -- FILE`.

use std::time::Instant;

fn main() -> std::io::Result<()> {
    let path = std::env::args_os().nth(1).unwrap_or_default();
    let start = Instant::now();
    let input = reader::Input::new(reader::Image::open(path.as_ref())?);
    println!("found in {:?}: {:?}", start.elapsed(), input.regions().count());
    let reading = input.read();
    println!("{:?} {:?} {:?}", reading.kind, reading.remarks, start.elapsed());
    for trace in &reading.traces {
        let about = trace.about();
        println!("{}: {about:?}", about.title);
        let cores = 0..about.cores.len() as u32;
        let start = Instant::now();
        let bytes: u64 =
            cores.clone().map(|core| trace.pages(core).map(|page| page.bytes.len() as u64).sum::<u64>()).sum();
        let pages = start.elapsed();
        let start = Instant::now();
        let items: usize = cores.clone().map(|core| trace.items(core).count()).sum();
        let walked = start.elapsed();
        let start = Instant::now();
        let merged = trace::merged(trace.as_ref()).count();
        let rate = |time: std::time::Duration| bytes as f64 / 1e6 / time.as_secs_f64();
        println!(
            "{bytes} bytes, {items} items ({merged}): pages {:.0} MB/s, items {:.0} MB/s, merged {:.0} MB/s",
            rate(pages),
            rate(walked),
            rate(start.elapsed())
        );
    }
    Ok(())
}
