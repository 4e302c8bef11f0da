//! Tries a lane.
use campaign::lane::*;
use ring::policy::CleanAt;
use std::ops::ControlFlow;
fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let kernel = qemu::workspace::kernel()?;
    let end = match args.next().as_deref() {
        Some("instant") => End::Instant { min: 1, max: 20000 },
        Some("panic") => End::PanicPoints,
        Some("writer") => End::WriterPoints,
        _ => End::Die("panic"),
    };
    let crashes = args.next().map_or(20, |n| n.parse().unwrap());
    let clean = match args.next().as_deref() {
        Some("event") => CleanAt::Event,
        Some("subbuffer") => CleanAt::SubBuffer,
        _ => CleanAt::Panic,
    };
    let follow = args.next().is_some();
    let lane = Lane {
        end,
        crashes,
        clean,
        follow,
        machine: Box::leak(std::env::var("M").unwrap_or("GICv3, cortex-a76".into()).into_boxed_str()),
        stop: Box::leak(std::env::var("STOP").unwrap_or("auto".into()).into_boxed_str()),
        others: Box::leak(std::env::var("OTHERS").unwrap_or("work".into()).into_boxed_str()),
        evict: std::env::var("EVICT").map_or(0, |e| e.parse().unwrap()),
        ..Lane::default()
    };
    println!("{lane:?}");
    let begin = std::time::Instant::now();
    let n = run(&lane, kernel, &mut |crashed| {
        let r = &crashed.reset;
        if r.number <= 1 {
            println!("{}\n{:?} {:?} lost {:?}", crashed.told, r.cause, r.counts, &r.lost);
        }
        if !crashed.verdict.violations.is_empty() {
            println!("{}\nreset {} {:?}: {:?}", crashed.told, r.number, r.cause, crashed.verdict);
            for v in &crashed.verdict.violations {
                println!("   {v}");
            }
        }
        ControlFlow::Continue(())
    })?;
    println!("{n} crashes in {:?}", begin.elapsed());
    Ok(())
}
