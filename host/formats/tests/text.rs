//! Text in the form of Linux's `trace` file.

mod support;

use trace::Trace;

fn text(trace: &dyn Trace) -> String {
    let mut out = Vec::new();
    formats::text::write(trace, &mut out).unwrap();
    assert!(out.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "nothing can command a terminal");
    String::from_utf8(out).unwrap()
}

#[test]
fn every_event_is_a_line_in_the_order_of_time() {
    let fake = support::everything();
    let text = text(&fake);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("# tracer: nop"));
    for event in support::events(&fake) {
        let line = lines.next().unwrap();
        let mut said = String::new();
        if fake.schema().get(event.id).is_none() {
            said = format!("id={} data=", event.id);
        }
        fake.text(&event, &mut said).unwrap();
        let micros = (event.time_ns + 500) / 1000;
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        let expected = format!(
            "           <...>-{:<7} [{:03}] d.... {seconds:>5}.{micros:06}: {}: {said}",
            event.pid,
            event.core,
            fake.name(event.id)
        );
        assert_eq!(line, expected);
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn losses_stand_where_they_are_with_their_words_behind() {
    let text = text(&support::damaged());
    let lines: Vec<_> = text.lines().collect();
    let at = lines.iter().position(|line| *line == "CPU:0 [LOST 2 EVENTS]").unwrap();
    assert!(lines[at - 1].ends_with(&format!("pc={:#x}", 5_000_000 + 3 * 2_345)), "{}", lines[at - 1]);
    assert_eq!(lines[at + 1], "# CPU:0 sub-buffer 0, bytes 100 to 116: flipped");
    assert!(lines[at + 2].contains("?: irq_entry: "), "its time is not certain: {}", lines[at + 2]);
    let lost: Vec<_> = lines.iter().copied().filter(|line| line.starts_with("CPU:")).collect();
    let expected = ["0 [LOST 2", "0 [LOST", "0 [LOST 5", "0 [LOST", "1 [LOST 7", "1 [LOST 1"];
    assert_eq!(lost, expected.map(|lost| format!("CPU:{lost} EVENTS]")));
}
