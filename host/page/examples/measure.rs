//! How fast a page is in a headless browser: `cargo host-run -p page --example measure -- PAGE
//! [DIRECTORY]`. With a directory, pictures of it by day, by night, near by and on paper go there.

#[allow(dead_code)]
#[path = "../tests/support/browser.rs"]
mod browser;

use browser::Browser;
use std::path::PathBuf;

const FRAMES: &str = "(async () => {
  const { timeline, data } = afterglow[0], drawn = [], rastered = [], between = [];
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const context = timeline.canvas.getContext('2d');
  let before = await frame();
  for (let i = 0; i < 240; i++) {
    timeline.zoom(i % 120 < 60 ? 0.85 : 1 / 0.85, 400 + (i % 7) * 50);
    let began = performance.now();
    timeline.draw();
    drawn.push(performance.now() - began);
    context.getImageData(0, 0, 1, 1);
    rastered.push(performance.now() - began);
    const now = await frame();
    between.push(now - before);
    before = now;
  }
  const told = (name, all) => {
    all.sort((a, b) => a - b);
    return `${name}: median ${all[all.length >> 1].toFixed(1)}, 95 % ${all[Math.floor(all.length * 0.95)].toFixed(1)}, most ${all[all.length - 1].toFixed(1)} ms`;
  };
  return [told('script of a frame', drawn), told('script and raster', rastered), told('from frame to frame', between)].join('\\n');
})()";

const SEARCH: &str = "(async () => {
  const boot = afterglow[0], times = [];
  for (const text of ['number=77', 'intid=27', 'nothing has this']) {
    const began = performance.now();
    await boot.searchFor(text);
    times.push(`${text}: ${boot.found.textContent}, ${(performance.now() - began).toFixed(0)} ms`);
  }
  await boot.searchFor('');
  return times.join('\\n');
})()";

fn main() {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let page = std::path::absolute(arguments.next().expect("a page")).expect("its place");
    let mut browser = Browser::open(&page, 1400, 1100);
    let bytes = std::fs::metadata(&page).expect("its size").len();
    let events = browser.evaluate("afterglow[0].data.n").as_f64().unwrap_or(0.0);
    println!("{events} items, {bytes} bytes, {:.2} an item", bytes as f64 / events);
    let drawn = browser.evaluate("performance.getEntriesByName('drawn')[0].startTime");
    println!("opened to drawn: {:.0} ms", drawn.as_f64().unwrap_or(f64::NAN));
    println!("{}", browser.evaluate(FRAMES).as_str().unwrap_or("no frames"));
    println!("{}", browser.evaluate(SEARCH).as_str().unwrap_or("no search"));
    let memory = browser.evaluate("performance.memory?.usedJSHeapSize / 1e6");
    println!("script's heap: {:.0} MB", memory.as_f64().unwrap_or(f64::NAN));
    if let Some(directory) = arguments.next() {
        pictures(&mut browser, &directory);
    }
}

fn pictures(browser: &mut Browser, directory: &std::path::Path) {
    let save = |name: &str, bytes: Vec<u8>| std::fs::write(directory.join(name), bytes).expect("written");
    browser.evaluate("afterglow[0].timeline.showAll(); scrollTo(0, 0)");
    save("day.png", browser.picture());
    browser.evaluate("document.querySelector('.legend').scrollIntoView()");
    save("list.png", browser.picture());
    browser.evaluate(
        "(() => { const b = afterglow[0]; const i = b.timeline.data.n - 30; b.pick(i); b.timeline.zoomTo(i); })()",
    );
    save("near.png", browser.picture());
    browser.prefer("dark");
    save("near-night.png", browser.picture());
    browser.evaluate("afterglow[0].timeline.showAll(); scrollTo(0, 0)");
    save("night.png", browser.picture());
    save("paper.pdf", browser.paper());
    browser.prefer("light");
    browser.evaluate("document.querySelector('.legend').scrollIntoView(); afterglow[0].searchFor('print')");
    browser.wait("document.querySelector('.found').textContent.endsWith('found')");
    browser.evaluate("[...document.querySelectorAll('.tools button')].find((b) => b.textContent === 'panic')?.click()");
    browser.hover(".lanes", 620.0, 94.0);
    save("panic.png", browser.picture());
    browser.resize(420, 900);
    browser.evaluate("scrollTo(0, 0)");
    save("narrow.png", browser.picture());
}
