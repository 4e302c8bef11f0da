//! `afterglow push` as a user has it: the command on one end of a serial line, the loader in QEMU on the other.

mod loader;
use loader::{Board, Line, Pushing, kernel, small};
use qemu::{Machine, Overlay, Threads, workspace};
use std::time::Duration;
use wire::push::{Hello, VERSION, kind};

/// Cores that spin until they are started would each take a host's core from the line.
const ONE_BY_ONE: Threads = Threads::Single;

fn virt() -> Machine {
    Machine::virt().el2(true).overlay(Overlay::virt_region()).threads(ONE_BY_ONE)
}

/// What a push said that succeeded.
fn pushed((status, said): (Option<i32>, String)) -> String {
    assert_eq!(status, Some(0), "{said}");
    said
}

fn says(said: &str, texts: &[&str]) {
    for text in texts {
        assert!(said.contains(text), "it does not say {text:?}\n{said}");
    }
}

#[test]
fn a_push_that_is_cut_goes_on_also_over_a_reset_and_its_kernel_panics_and_is_kept() {
    let mut board = Board::new(virt());
    // QEMU looks once a second whether somebody is at the line. Then knocks fill the receiver before the loader sets it up.
    let first = board.push(&kernel(), &[]);
    std::thread::sleep(Duration::from_secs(2));
    board.go();
    let first = board.cut(first, 20);
    let second = board.push(&kernel(), &[]);
    let second = board.cut(second, 50);
    assert!(second > first);

    // The third host finds what the two before it brought, over a reset; but for a chunk in which RAM lost a bit.
    board.reset();
    let store = board.store().unwrap();
    assert!(store.there >= second);
    board.flip(store.address + wire::push::DATA as u64 + u64::from(store.present[3]) * wire::push::CHUNK as u64 + 100);
    board.go();
    let kept = store.there - 1;
    board.expect(&format!("it has {kept} of {} chunks of a kernel", store.chunks));

    let pushing = board.push(&kernel(), &["--append", "events=300 tail=0 cycles=1", "--watch"]);
    let said = pushed(pushing.end_after("power off with status"));
    // The chunk that is lost is one of the whole ones.
    let size = workspace::kernel().unwrap().file_size();
    let has = size - u64::from(store.chunks - kept) * wire::push::CHUNK as u64;
    let (all, has) = (size.div_ceil(1024), has.div_ceil(1024));
    let sent = all - has;
    says(
        &said,
        &[
            &format!("it goes on: the loader has {has} of {all} KiB"),
            &format!(": {sent} of {all} KiB were sent, the loader had the rest"),
            "it starts the kernel at ",
            "entry      EL2",
            "panic: core 0: asked for on the command line",
            "it has a kernel of ",
            "boot 1 panicked on core 0",
            " events recovered, intact",
            "power off with status 0",
        ],
    );
}

#[test]
fn what_cannot_be_pushed_is_refused_with_what_to_do_and_the_loader_takes_the_next() {
    let mut board = Board::started(virt());
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = place.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let header = |memory| qemu::image::header(memory).to_vec();
    for (kernel, append, why) in [
        (file("notes.txt", &[b'x'; 100]), "", "the arm64 Image header"),
        (file("empty", b""), "", "the arm64 Image header"),
        (file("wants-much", &header(9 << 20)), "", "more than 8 MiB of memory"),
        (file("large", &[header(1 << 20), vec![1; 5 << 20]].concat()), "", "and a loader takes "),
        (place.path().join("not-there"), "", "not-there cannot be read: No such file"),
        (small(), "events=\u{1b}[2J", "the words for the command line"),
    ] {
        let (status, said) = board.push(&kernel, &["--append", append]).end();
        assert_eq!(status, Some(125), "{said}");
        says(&said, &[why]);
        assert!(!said.contains('\x1b'), "{said}");
    }
    let said = pushed(board.push(&small(), &[]).end());
    says(&said, &["pushed in "]);
    assert!(!said.contains("it goes on") && !said.contains("had the rest"), "{said}");
    board.expect("it has no kernel: afterglow push sends one");
}

fn raspberry_pi(board: qemu::Board) -> Board {
    let mut board = Board::started(Machine::new(board).overlay(Overlay::region_of(board)).threads(ONE_BY_ONE));
    board.expect("it has no kernel: afterglow push sends one");
    board
}

#[test]
fn a_raspberry_pi_4_takes_a_kernel_that_panics_and_keeps_it_over_the_watchdogs_reset() {
    let board = raspberry_pi(qemu::Board::Raspi4b);
    let pushing = board.push(&kernel(), &["--append", "events=300 tail=0 cycles=1", "--watch"]);
    let said = pushed(pushing.end_after("power off with status"));
    says(
        &said,
        &[
            "board      Raspberry Pi 4",
            "reset: asking for it by watchdog",
            concat!("afterglow loader ", env!("CARGO_PKG_VERSION"), ": board Raspberry Pi 4, entry EL2"),
            "it has a kernel of ",
            " events recovered, intact",
            "power off with status 0",
        ],
    );
}

#[test]
fn a_raspberry_pi_3_keeps_over_a_reset_what_it_took() {
    let mut board = raspberry_pi(qemu::Board::Raspi3b);
    let said = pushed(board.push(&small(), &["--watch"]).end_after("it has no kernel"));
    // The loader that was pushed speaks, and looks elsewhere for what was pushed to it.
    says(&said, &["pushed in ", "it starts the kernel at ", ": board Raspberry Pi 3, entry EL2"]);
    board.reset();
    board.go();
    board.expect("it has a kernel of ");
    board.expect("it starts the kernel at ");
    board.expect("it has no kernel");
}

#[test]
fn a_loader_of_another_version_is_told_from_one_that_is_not_there() {
    let mut line = Line::open();
    let pushing = Pushing::start(&line.name, &kernel(), &[]);
    line.hear(kind::KNOCK);
    let hello = Hello { version: VERSION + 1, whole: false, chunk: 1 << 20, limit: 5, size: 0, check: 0 };
    line.say(kind::HELLO, &hello.store());
    let (status, said) = pushing.end();
    assert_eq!(status, Some(125), "{said}");
    let versions = format!("the loader speaks version {} of the protocol, this command {VERSION}", VERSION + 1);
    says(&said, &[&versions, "put a loader of this build on the card"]);

    let (status, said) = Pushing::start(&line.name, &kernel(), &["--time", "1"]).end();
    assert_eq!(status, Some(125), "{said}");
    says(&said, &["no loader has answered for 1 s: reset the board; is the loader on its card"]);
}

#[test]
fn a_machine_with_too_little_memory_says_so_to_whoever_pushes() {
    let mut board = Board::new(virt().memory(16 << 20));
    let pushing = board.push(&kernel(), &[]);
    board.go();
    let (status, said) = pushing.end_after("afterglow loader cannot go on: ");
    assert_eq!(status, Some(125), "{said}");
    says(&said, &["afterglow loader cannot go on: ", "stopped: "]);
}

#[test]
fn the_kernel_goes_over_the_line_in_less_than_seven_tenths_of_its_bytes() {
    let kernel = workspace::kernel().unwrap();
    let bytes = push::line_bytes(kernel.bytes(), "");
    assert!(bytes * 10 < kernel.file_size() * 7, "{bytes} of {}", kernel.file_size());
}

#[test]
fn the_loader_stays_small() {
    let loader = workspace::loader().unwrap();
    assert!(loader.file_size() < 80 << 10, "the loader has {} bytes", loader.file_size());
}
