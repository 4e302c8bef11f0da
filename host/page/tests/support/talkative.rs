//! A trace whose texts are as bad as can be, and as many.

use std::fmt::{Result, Write};
use trace::fake::Fake;
use trace::{About, Counts, Event, Format, Item, Page, Schema, Trace};

/// Ends an element, runs a script, turns text round, moves a cursor: if anybody believes it.
pub(crate) const HOSTILE: &str = "</script><img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>\
     <!-- ${1} {{1}} \u{1}\u{2}\u{3}\u{4}\u{1b}[2J\u{202e}\u{2028}\n\r\0&lt;";

pub(crate) struct Talkative(Fake);

impl Talkative {
    /// The number that an event has, as id and first field, says which text it gets.
    pub(crate) fn new() -> Self {
        let format = |id| Format { id, name: format!("kind{id}"), fields: Vec::new(), print: String::new() };
        let mut fake = Fake::new(2, (1..1200).map(format));
        // Far from zero, so that a time is more than a double holds.
        let start = (1 << 60) + 1;
        for n in 0..3000u64 {
            let id = if n < 1200 { n as u16 } else { 5 };
            fake.event((n % 2) as u32, start + n * 1001, id, &n.to_le_bytes());
        }
        fake.about.title = format!("boot 7 {HOSTILE}");
        fake.about.remarks.push("</style><script>document.title='ran'</script>".into());
        Self(fake)
    }
}

impl Trace for Talkative {
    fn text(&self, event: &Event<'_>, out: &mut dyn Write) -> Result {
        let n = u64::from_le_bytes(*event.payload.first_chunk().unwrap_or(&[0; 8]));
        match n % 7 {
            0 => out.write_str(HOSTILE),
            1 if n < 100 => out.write_str(&"long 1 ".repeat(9400)),
            2 => write!(out, "word{n}x and another{}y", n * n),
            3 => write!(out, "0x{:x} {} -{n} 0{n} 0x{n:016x}", u64::MAX - n, u64::MAX - n),
            4 => Ok(()),
            _ => write!(out, "{n}{}", ".".repeat(n as usize % 300)),
        }
    }
    fn about(&self) -> &About {
        self.0.about()
    }
    fn schema(&self) -> &Schema {
        self.0.schema()
    }
    fn counts(&self, core: u32) -> &Counts {
        self.0.counts(core)
    }
    fn items(&self, core: u32) -> Box<dyn Iterator<Item = Item<'_>> + '_> {
        self.0.items(core)
    }
    fn pages(&self, core: u32) -> Box<dyn Iterator<Item = Page<'_>> + '_> {
        self.0.pages(core)
    }
    fn heading(&self, out: &mut dyn Write) -> Result {
        self.0.heading(out)
    }
    fn context(&self, event: &Event<'_>) -> [u8; 5] {
        self.0.context(event)
    }
}

/// "name: text" of an item as a page shows it.
pub(crate) fn line(trace: &dyn Trace, item: &Item<'_>) -> String {
    let (mut name, mut text) = (String::new(), String::new());
    match item {
        Item::Event(event) => {
            trace.text(event, &mut text).unwrap();
            name.push_str(trace.name(event.id));
            if name == "unknown" {
                name = format!("event {}", event.id);
            }
            // The first 1024 kinds have names of their own.
            if let Some(id) = name.strip_prefix("kind").and_then(|id| id.parse::<u32>().ok())
                && id >= 1024
            {
                name = format!("other: {name}");
            }
        }
        Item::Loss(loss) => {
            text = loss.what.to_string() + &loss.events.map(|n| format!(" ({n} events)")).unwrap_or_default();
            name = format!("lost, {}", loss.kind.name());
        }
    }
    let text: String = text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
    format!("{name}: {text}")
}
