//! The page in a real browser: what it shows, that it finds, and that nothing from a region runs or fetches.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use trace::fake::Fake;
use trace::{Field, Format, Item, Kind, LossKind, Size, Trace, merged};

/// Longer than any browser takes; one that hangs is ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// The browser that this machine has. `scripts/setup.sh --tests` installs one.
fn browser() -> PathBuf {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).flat_map(|place| names.map(|name| place.join(name))).find(|file| file.is_file());
    found.expect("no chromium: scripts/setup.sh --tests installs it")
}

fn browse(directory: &Path, arguments: &[&str], fragment: &str) -> String {
    let profile = format!("--user-data-dir={}", directory.join("profile").display());
    let url = format!("file://{}{fragment}", directory.join("page.html").display());
    let output = directory.join("output");
    let mut child = Command::new(browser())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=15000"])
        .args(["--enable-logging=stderr", "--window-size=1200,1000", &profile])
        .args(arguments)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&output).unwrap())
        .stderr(std::fs::File::create(directory.join("errors")).unwrap())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the browser did not end: {}", std::fs::read_to_string(directory.join("errors")).unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::read_to_string(output).unwrap()
}

const HOSTILE: &[u8] =
    b"</script><img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>\x1b[2J\0";

/// A trace with everything in it that a page shows.
fn fake() -> Fake {
    let text = Field { name: "text".into(), kind: Kind::Text, offset: 0, size: Size::Rest };
    let number = Field { name: "number".into(), kind: Kind::Unsigned, offset: 0, size: Size::Fixed(8) };
    let format = |id, name: &str, field: &Field| Format {
        id,
        name: name.into(),
        fields: vec![field.clone()],
        print: format!("{}={{{}}}", field.name, field.name),
    };
    let mut fake =
        Fake::new(3, [format(1, "print", &text), format(2, "irq_entry", &number), format(3, "irq_exit", &number)]);
    // Far from zero, so that a time is more than a double holds.
    let start = (1 << 60) + 1;
    for n in 0..900u64 {
        let core = (n % 2) as u32;
        match n % 5 {
            0 => fake.event(core, start + n * 1001, 1, HOSTILE),
            1 => fake.event(core, start + n * 1001, 9, &n.to_le_bytes()),
            _ => fake.event(core, start + n * 1001, 2 + (n % 2) as u16, &n.to_le_bytes()),
        }
        if n == 500 {
            fake.loss(0, LossKind::Stale, None);
            fake.loss(1, LossKind::Missed, Some(5));
        }
    }
    fake.about.title = "boot 7 panicked <script>document.title='ran'</script>".into();
    fake.about.remarks.push("</style><script>document.title='ran'</script>".into());
    fake
}

fn page(directory: &Path, traces: &[&dyn Trace]) -> String {
    let mut html = Vec::new();
    let symbols = |_: &dyn Trace, address: u64, _: bool| Some(format!("function_{address:x}<b>"));
    page::write("input</title><script>document.title='ran'</script>", &[], traces, &symbols, &mut html).unwrap();
    std::fs::write(directory.join("page.html"), &html).unwrap();
    String::from_utf8(html).unwrap()
}

#[test]
fn the_page_holds_every_item_and_finds_them_and_nothing_hostile_runs() {
    let directory = tempfile::tempdir().unwrap();
    let fake = fake();
    let html = page(directory.path(), &[&fake]);
    assert!(!html.contains("http:") && !html.contains("https:"), "nothing is fetched");
    let dom = browse(directory.path(), &["--dump-dom"], "#check");
    let check = dom.split("<pre id=\"check\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let errors = || std::fs::read_to_string(directory.path().join("errors")).unwrap();
    let check = check.unwrap_or_else(|| panic!("no result: {}", errors()));
    let check = check.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let check: serde_json::Value = serde_json::from_str(&check).unwrap();
    let told: Vec<String> = merged(&fake)
        .map(|item| {
            let mut text = String::new();
            let (name, pid) = match &item {
                Item::Event(event) => {
                    fake.text(event, &mut text).unwrap();
                    let name = fake.name(event.id).to_owned();
                    (if name == "unknown" { format!("event {}", event.id) } else { name }, event.pid)
                }
                Item::Loss(loss) => {
                    text = loss.what.to_string() + &loss.events.map(|n| format!(" ({n} events)")).unwrap_or_default();
                    (format!("lost, {}", loss.kind.name()), 0)
                }
            };
            let time = item.time_ns();
            format!("{}.{:09} {} {pid} {name}: {text}", time / 1_000_000_000, time % 1_000_000_000, item.core())
        })
        .collect();
    assert_eq!(check["events"], told.len());
    let lines: Vec<_> = check["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(lines, told);
    assert_eq!(check["lanes"], serde_json::json!([451, 451, 0]));
    assert_eq!(check["losses"], serde_json::json!([1, 1, 0]));
    assert_eq!(check["selected"], told.len() - 1, "the last one's text was searched for");
    assert!(check["rows"].as_u64().unwrap() < 60, "only rows that are in view exist");
    let title = dom.split("<title>").nth(1).unwrap().split('<').next().unwrap();
    assert!(title.contains("boot 7 panicked") && title != "ran", "{title}");
    assert_eq!(dom.matches("<img").count(), 0);
    assert!(!errors().contains("Refused to") && !errors().contains("Uncaught"), "{}", errors());
}

#[test]
fn it_can_be_looked_at_by_day_by_night_and_on_paper() {
    let directory = tempfile::tempdir().unwrap();
    let (first, mut second) = (fake(), Fake::new(1, []));
    second.about.title = "boot 6 ended as it wanted to".into();
    page(directory.path(), &[&first, &second]);
    let picture = |name: &str, arguments: &[&str]| {
        let shot = format!("--screenshot={}", directory.path().join(name).display());
        browse(directory.path(), &[&[shot.as_str()], arguments].concat(), "");
        std::fs::read(directory.path().join(name)).unwrap()
    };
    let day = picture("day.png", &[]);
    let night = picture("night.png", &["--blink-settings=preferredColorScheme=0"]);
    assert!(day.starts_with(b"\x89PNG") && night.starts_with(b"\x89PNG") && day != night);
    // A page that draws nothing is a few kilobytes.
    assert!(day.len() > 30_000 && night.len() > 30_000, "{} {}", day.len(), night.len());
    let pdf = directory.path().join("paper.pdf");
    browse(directory.path(), &[&format!("--print-to-pdf={}", pdf.display())], "");
    assert!(std::fs::read(pdf).unwrap().starts_with(b"%PDF"));
}
