//! The page in a real browser: what it shows, that keys and pointers work, and that nothing from a region runs or fetches.

#[path = "support/browser.rs"]
mod browser;
#[allow(dead_code)]
#[path = "support/made_up.rs"]
mod made_up;
#[path = "support/talkative.rs"]
mod talkative;

use browser::Browser;
use serde_json::{Value, json};
use std::path::PathBuf;
use talkative::{HOSTILE, Talkative, line};
use tempfile::TempDir;
use trace::fake::Fake;
use trace::{Trace, merged};

const SHIFT: u32 = 8;
/// How tall a lane is: as in assets/timeline.js.
const LANE: f64 = 54.0;

/// A page in a file that goes with its directory.
fn page(traces: &[&dyn Trace]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let mut html = Vec::new();
    let input = format!("</title>{HOSTILE}");
    page::write(&input, &[HOSTILE.into()], traces, &|_, _, _| Some(HOSTILE.into()), &mut html).unwrap();
    let file = directory.path().join("page.html");
    std::fs::write(&file, html).unwrap();
    (directory, file)
}

fn open(trace: &dyn Trace) -> (Browser, TempDir) {
    let (directory, file) = page(&[trace]);
    (Browser::open(&file, 1200, 1000), directory)
}

fn lines(trace: &dyn Trace) -> Vec<String> {
    merged(trace).map(|item| line(trace, &item)).collect()
}

/// The one event that is selected, in the list and in the time line.
fn selected(browser: &mut Browser) -> u64 {
    let [list, timeline] = ["list", "timeline"].map(|one| browser.evaluate(&format!("afterglow[0].{one}.selected")));
    assert_eq!(list, timeline);
    let row = browser.evaluate("Number(document.querySelector('.row.current').dataset.item)");
    assert_eq!(list, row, "its row is in view");
    list.as_u64().unwrap()
}

#[test]
fn everything_told_is_shown_as_text_and_nothing_of_it_runs_or_fetches() {
    let talkative = Talkative::new();
    let (mut browser, _directory) = open(&talkative);
    let shown = browser.evaluate(
        "(() => { const { data } = afterglow[0]; return Array.from({ length: data.n }, (_, i) => \
         `${data.clock(data.times[i])} ${data.cores[i]} ${data.pids[i]} ${data.texts.line(i)}`); })()",
    );
    let told: Vec<Value> = merged(&talkative)
        .map(|item| {
            let (time, core) = (item.time_ns(), item.core());
            let line = line(&talkative, &item);
            json!(format!("{}.{:09} {core} {} {line}", time / 1_000_000_000, time % 1_000_000_000, core + 100))
        })
        .collect();
    assert!(shown == json!(told), "every item, exactly");
    // All of it on the screen: every boot's texts, the list from end to end, hover, the printed list.
    browser.evaluate("afterglow[0].list.scroller.scrollTop = 1e9");
    browser.hover(".lanes", 600.0, 20.0);
    browser.evaluate("dispatchEvent(new Event('beforeprint'))");
    assert_eq!(browser.evaluate("document.querySelectorAll('.printed .rows .row').length"), json!(200));
    browser.evaluate("dispatchEvent(new Event('afterprint'))");
    let title = browser.evaluate("document.title");
    assert!(title.as_str().unwrap().starts_with("boot 7 </script><img src=x"), "{title}");
    assert_eq!(
        browser.evaluate("document.querySelectorAll('img, iframe, object, link, style ~ style').length"),
        json!(0)
    );
    assert_eq!(browser.evaluate("document.scripts.length"), json!(2), "description and script; columns were taken out");
    let requests: Vec<&Value> =
        browser.told.iter().filter(|told| told["method"] == "Network.requestWillBeSent").collect();
    assert_eq!(requests.len(), 1, "nothing but the page itself: {requests:?}");
    let bad =
        |told: &&Value| ["Log.entryAdded", "Runtime.exceptionThrown"].contains(&told["method"].as_str().unwrap_or(""));
    assert_eq!(browser.told.iter().find(bad), None);
}

#[test]
fn markup_that_came_in_by_some_hole_would_run_nothing() {
    let (mut browser, _directory) = open(&made_up::crash(100));
    browser.evaluate(
        "document.body.insertAdjacentHTML('beforeend', `<img src='x' onerror=\"document.title='ran'\"><b style='color:red'>`)",
    );
    browser.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { textContent: \"document.title='ran'\" }))",
    );
    browser.evaluate("new Promise((done) => setTimeout(done, 50))");
    assert_ne!(browser.evaluate("document.title"), json!("ran"));
    let refused = browser.told.iter().filter(|told| told["method"] == "Log.entryAdded");
    assert!(refused.count() >= 3, "the image, the style and the script were refused: {:?}", browser.told);
}

#[test]
fn what_happened_is_told_before_any_event() {
    let (mut browser, _directory) = open(&made_up::crash(300));
    let text = browser.evaluate("document.body.innerText").as_str().unwrap().to_owned();
    let order = [
        "panicked on core 2 at 1.0000",
        "sub-buffer 12 of core 3 and the one behind it cannot be read",
        "synchronous exception: data abort",
        "far 0x7fff00000000: not mapped",
        "Registers",
        "Backtrace",
        "0x000000004020c8d8",
        "core 0, on another core: index out of bounds",
        "How each core came to stand still",
        "+4.200 us",
        "no answer",
        "What became of every event",
        "Time line",
        "Events",
    ];
    let mut from = 0;
    for part in order {
        from += text[from..].find(part).unwrap_or_else(|| panic!("no {part:?} in {}", &text[from..]));
    }
    let account: Vec<u64> = ["attempted", "= recovered", "+ overwritten", "+ stale", "+ flipped", "+ unfinished", "+ dropped"]
        .map(|name| {
            let cell = format!(
                "(() => {{ const all = [...document.querySelectorAll('table')].at(-1), place = [...all.rows[0].cells]\
                 .findIndex((cell) => cell.textContent === '{name}'); return Number(all.tFoot.rows[0].cells[place].textContent); }})()"
            );
            browser.evaluate(&cell).as_u64().unwrap()
        })
        .to_vec();
    assert_eq!(account[0], account[1..].iter().sum::<u64>(), "the sum holds: {account:?}");
}

#[test]
fn a_search_finds_steps_and_narrows_the_list() {
    let crash = made_up::crash(30_000);
    let (mut browser, _directory) = open(&crash);
    let lines = lines(&crash);
    let with = |part: &str| -> Vec<u64> {
        (0..).zip(&lines).filter(|(_, line)| line.contains(part)).map(|(i, _)| i).collect()
    };
    let search = |browser: &mut Browser, text: &str, count: usize| {
        browser.insert("input[type=search]", text);
        let found = format!("document.querySelector('.found').textContent.includes('{} found')", grouped(count));
        browser.wait(&found);
    };
    let found = with("number=77");
    assert!(found.len() > 3);
    search(&mut browser, "number=77", found.len());
    assert_eq!(selected(&mut browser), found[0]);
    browser.key("Enter", 0);
    assert_eq!(selected(&mut browser), found[1]);
    browser.key("Enter", SHIFT);
    browser.key("Enter", SHIFT);
    assert_eq!(selected(&mut browser), found[found.len() - 1], "going round");
    search(&mut browser, "no event says this", 0);
    // What is told in names and in numbers; only one core, only one name.
    search(&mut browser, "irq_entry: intid=27 pc=0x4020", with("irq_entry: intid=27 pc=0x4020").len());
    let cores: Vec<u32> = merged(&crash).map(|item| item.core()).collect();
    let narrow = with("irq_exit: ").iter().filter(|i| cores[**i as usize] == 2).count();
    browser.insert("input[type=search]", "core:2 name:irq_exit");
    browser.wait(&format!("afterglow[0].list.items.length === {narrow}"));
    // A time, as it is told and counted from the panic.
    let times: Vec<u64> = merged(&crash).map(|item| item.time_ns()).collect();
    let panic = crash.about.panic.as_ref().unwrap().time_ns;
    browser.insert("input[type=search]", "");
    browser.wait(&format!("afterglow[0].list.items.length === {}", times.len()));
    for (text, wanted) in [("1.003", 1_003_000_000), ("1.0030001", 1_003_000_100), ("-250.5us", panic - 250_500)] {
        browser.insert(".jump", text);
        browser.key("Enter", 0);
        assert_eq!(selected(&mut browser), times.partition_point(|time| *time < wanted) as u64, "{text}");
    }
    browser.insert(".jump", "soon");
    browser.key("Enter", 0);
    browser.wait("document.querySelector('.found').textContent.includes('a time is as 0.312847')");
    // Only what was found is listed.
    search(&mut browser, "number=77", found.len());
    browser.evaluate("document.querySelector('.toggle').click()");
    assert_eq!(browser.evaluate("Array.from(afterglow[0].list.items)"), json!(found));
}

fn grouped(count: usize) -> String {
    if count < 1000 { count.to_string() } else { format!("{},{:03}", count / 1000, count % 1000) }
}

#[test]
fn the_list_holds_the_rows_in_view_only_and_is_moved_by_keys_and_copied() {
    let crash = made_up::crash(450_000);
    let count = merged(&crash).count();
    let (mut browser, _directory) = open(&crash);
    assert!(count * 20 > 8_000_000, "more rows than a page is tall");
    for (top, seen) in [("0", 0), ("1e9", count - 1)] {
        browser.evaluate(&format!("afterglow[0].list.scroller.scrollTop = {top}"));
        browser.wait(&format!("!!document.getElementById('row0-{seen}')"));
        assert!(browser.evaluate("document.querySelectorAll('.row').length").as_u64().unwrap() < 40);
    }
    for place in [3, count / 2, count / 2 + 1, count - 1, 0, 23, 22] {
        browser.evaluate(&format!("afterglow[0].pick({place})"));
        assert_eq!(selected(&mut browser), place as u64);
        let is_seen = "(() => { const row = document.querySelector('.row.current').getBoundingClientRect(), \
             list = document.querySelector('.list').getBoundingClientRect(); \
             return row.top >= list.top - 1 && row.bottom <= list.bottom + 1; })()";
        assert_eq!(browser.evaluate(is_seen), json!(true), "row {place}");
    }
    browser.evaluate("document.querySelector('.list').focus()");
    for (key, modifiers, place) in
        [("ArrowDown", 0, 23), ("End", 0, count - 1), ("ArrowUp", SHIFT, count - 2), ("ArrowUp", SHIFT, count - 3)]
    {
        browser.key(key, modifiers);
        assert_eq!(selected(&mut browser), place as u64, "{key}");
    }
    browser.evaluate(
        "addEventListener('copy', (event) => { globalThis.copied = event.clipboardData.getData('text/plain'); })",
    );
    browser.evaluate("document.execCommand('copy')");
    let copied = browser.evaluate("copied");
    let copied: Vec<&str> = copied.as_str().unwrap().lines().collect();
    let last: Vec<String> = merged(&crash).skip(count - 3).map(|item| line(&crash, &item)).collect();
    assert_eq!(copied.len(), 3);
    assert!(copied.iter().zip(&last).all(|(copied, line)| copied.ends_with(line.as_str())), "{copied:?}");
}

#[test]
fn the_time_line_is_moved_by_wheel_drag_and_keys_and_picks_what_is_clicked() {
    let crash = made_up::crash(30_000);
    let (mut browser, _directory) = open(&crash);
    let view = |browser: &mut Browser| {
        let view =
            browser.evaluate("(() => { const { from, to } = afterglow[0].timeline.view; return [from, to]; })()");
        (view[0].as_f64().unwrap(), view[1].as_f64().unwrap())
    };
    let time_at =
        |browser: &mut Browser, x: f64| browser.evaluate(&format!("afterglow[0].timeline.time({x})")).as_f64().unwrap();
    let all = view(&mut browser);
    let under = time_at(&mut browser, 500.0);
    for _ in 0..20 {
        browser.wheel(".lanes", 500.0, 20.0, -240.0);
    }
    let near = view(&mut browser);
    assert!((near.1 - near.0) * 100.0 < all.1 - all.0, "{all:?} {near:?}");
    assert!(
        (time_at(&mut browser, 500.0) - under).abs() < (near.1 - near.0) / 100.0,
        "what is under the pointer stays"
    );
    browser.drag(".lanes", (500.0, 20.0), (300.0, 20.0));
    assert!((time_at(&mut browser, 300.0) - under).abs() < (near.1 - near.0) / 100.0, "and goes with it");
    // Single events are seen; one is hovered over, clicked, and selected in the list.
    let place = browser.evaluate(
        "(() => { const { timeline, data } = afterglow[0], lane = data.lanes[2], from = timeline.time(600);\
         const place = lane.times.findIndex((time) => time >= from); return [timeline.x(lane.times[place]), lane.items[place]]; })()",
    );
    let (x, item) = (place[0].as_f64().unwrap(), place[1].as_u64().unwrap());
    browser.hover(".lanes", x, 2.0 * LANE + 40.0);
    let tip = browser.evaluate("document.querySelector('.tip').innerText");
    let said = lines(&crash)[item as usize].clone();
    assert!(tip.as_str().unwrap().contains(&said) && tip.as_str().unwrap().contains("from the panic"), "{tip}");
    browser.click(".lanes", x, 2.0 * LANE + 40.0);
    assert_eq!(selected(&mut browser), item);
    // By keys: the next on this core and back, nearer, all.
    browser.evaluate("document.querySelector('.lanes').focus()");
    let cores: Vec<u32> = merged(&crash).map(|item| item.core()).collect();
    let mut there: Vec<u64> = (item..).filter(|i| cores[*i as usize] == 2).take(6).collect();
    assert!(there[5] > item + 5, "other cores' events are between them");
    for next in &there[1..] {
        browser.key(".", 0);
        assert_eq!(selected(&mut browser), *next);
    }
    there.pop();
    for before in there.iter().rev() {
        browser.key(",", 0);
        assert_eq!(selected(&mut browser), *before);
    }
    // Two fingers that part: what is under them goes with them.
    let before = view(&mut browser);
    let times = [500.0, 600.0].map(|x| time_at(&mut browser, x));
    browser.touch(".lanes", &[(500.0, 20.0), (600.0, 20.0)], &[(450.0, 20.0), (650.0, 20.0)]);
    let after = view(&mut browser);
    assert!(((before.1 - before.0) / (after.1 - after.0) - 2.0).abs() < 0.01, "{before:?} {after:?}");
    for (x, time) in [450.0, 650.0].into_iter().zip(times) {
        assert!((time_at(&mut browser, x) - time).abs() < (after.1 - after.0) / 100.0);
    }
    let before = view(&mut browser);
    browser.key("+", 0);
    let after = view(&mut browser);
    assert!(((before.1 - before.0) / (after.1 - after.0) - 2.0).abs() < 0.01);
    browser.key("ArrowRight", 0);
    assert!(view(&mut browser).0 > after.0);
    browser.key("0", 0);
    assert_eq!(view(&mut browser), all);
}

#[test]
fn losses_are_drawn_where_they_are_each_sort_in_its_own_way_and_can_be_hidden() {
    let crash = made_up::crash(3000);
    let (mut browser, _directory) = open(&crash);
    // The colours in a lane from a loss on, and the sort of loss it is.
    let drawn = "(() => { const { timeline, data } = afterglow[0], out = {};\
         const hex = (r, g, b) => '#' + [r, g, b].map((v) => v.toString(16).padStart(2, '0')).join('');\
         data.lanes.forEach((lane, core) => lane.losses.forEach((place) => {\
           const x = Math.round(timeline.x(lane.times[place])), sort = data.about.kinds[data.kinds[lane.items[place]]].loss;\
           const { data: pixels } = timeline.canvas.getContext('2d').getImageData(x - 1, core * 54 + 1, 9, 12), colours = new Set();\
           for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] === 255) colours.add(hex(pixels[i], pixels[i + 1], pixels[i + 2]));\
           out[sort] = (out[sort] ?? []).concat([...colours]);\
         })); return { out, ...timeline.colours }; })()";
    let all = browser.evaluate(&format!("(afterglow[0].timeline.draw(), {drawn})"));
    let style = |sort: &str| match sort {
        "missed" | "unfinished" => all[sort].clone(),
        _ => all["damage"].clone(),
    };
    for sort in ["stale", "flipped", "page", "missed", "unfinished"] {
        let near = browser.evaluate(&format!(
            "(() => {{ const {{ timeline, data }} = afterglow[0], kind = data.about.kinds.findIndex(({{ loss }}) => loss === '{sort}');\
             timeline.zoomTo(data.kinds.indexOf(kind)); timeline.draw(); return {drawn}; }})()"
        ));
        let colours = near["out"][sort].as_array().unwrap();
        assert!(colours.contains(&style(sort)), "{sort}: {colours:?}, not {}", style(sort));
    }
    assert_ne!(all["damage"], all["missed"]);
    // Hidden by the legend: neither listed nor drawn.
    let listed = browser.evaluate("afterglow[0].list.items.length").as_u64().unwrap();
    browser.evaluate("[...document.querySelectorAll('.legend button')].find((b) => b.textContent.startsWith('lost, missed')).click()");
    assert_eq!(browser.evaluate("afterglow[0].list.items.length"), json!(listed - 1));
    let hidden = browser.evaluate(&format!(
        "(() => {{ const {{ timeline, data }} = afterglow[0]; const kind = data.about.kinds.findIndex(({{ loss }}) => loss === 'missed');\
         timeline.zoomTo(data.kinds.indexOf(kind)); timeline.draw(); return {drawn}; }})()"
    ));
    assert!(!hidden["out"]["missed"].as_array().unwrap().contains(&all["missed"]));
}

#[test]
fn it_is_readable_by_day_by_night_and_on_paper() {
    let (first, mut second) = (made_up::crash(2000), Fake::new(1, []));
    second.about.title = "boot 6 ended as it wanted to".into();
    let (_directory, file) = page(&[&first, &second]);
    let mut browser = Browser::open(&file, 1200, 1000);
    // Contrast by WCAG: of letters and of what is drawn.
    let contrast = "(() => { const style = getComputedStyle(document.documentElement);\
         const light = (name) => { const hex = style.getPropertyValue('--' + name).trim();\
           const [r, g, b] = [1, 3, 5].map((at) => { const v = parseInt(hex.slice(at, at + 2), 16) / 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });\
           return 0.2126 * r + 0.7152 * g + 0.0722 * b; };\
         const to = (name) => { const [a, b] = [light(name), light('back')].sort((a, b) => b - a); return (a + 0.05) / (b + 0.05); };\
         const least = (names) => Math.min(...names.map(to));\
         return [least(['ink', 'faint', 'bad', 'warn', 'good', 'damage', 'unfinished', 'missed']), least(Array.from({ length: 9 }, (_, i) => 'k' + i))]; })()";
    let mut pictures = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        let found = browser.evaluate(contrast);
        assert!(found[0].as_f64().unwrap() >= 4.5 && found[1].as_f64().unwrap() >= 2.7, "{scheme}: {found}");
        pictures.push(browser.picture());
    }
    assert!(pictures.iter().all(|picture| picture.starts_with(b"\x89PNG")) && pictures[0] != pictures[1]);
    // On paper: light, all of the time line, the last events, no controls; and afterwards as before.
    browser.evaluate("afterglow[0].timeline.zoom(0.01)");
    let view = browser.evaluate("({ ...afterglow[0].timeline.view })");
    browser.evaluate(
        "addEventListener('beforeprint', () => { const { timeline } = afterglow[0], seen = (what) => !!document.querySelector(what)?.checkVisibility();\
         globalThis.onPaper = { all: timeline.view.from === timeline.full.from && timeline.view.to === timeline.full.to,\
           rows: document.querySelectorAll('.printed .rows .row').length, light: timeline.colours.back,\
           registers: document.querySelector('details.registers').open }; })",
    );
    assert!(browser.paper().starts_with(b"%PDF"));
    assert_eq!(browser.evaluate("onPaper"), json!({"all": true, "rows": 200, "light": "#ffffff", "registers": true}));
    assert_eq!(browser.evaluate("document.querySelectorAll('.printed, details.registers[open]').length"), json!(0));
    assert_eq!(browser.evaluate("({ ...afterglow[0].timeline.view })"), view);
    browser.call("Emulation.setEmulatedMedia", json!({"media": "print"}));
    let seen = browser.evaluate("['.tools', '.events-list', 'nav', '.lanes', 'table'].map((what) => document.querySelector(what).checkVisibility())");
    assert_eq!(seen, json!([false, false, false, true, true]));
}

#[test]
fn a_browser_that_cannot_inflate_says_so_and_shows_the_rest() {
    let (_directory, file) = page(&[&made_up::crash(100)]);
    let mut browser = Browser::open_after(&file, 1200, 1000, "delete globalThis.DecompressionStream");
    let text = browser.evaluate("document.body.innerText").as_str().unwrap().to_owned();
    assert!(text.contains("cannot inflate the events") && text.contains("What became of every event"), "{text}");
}
