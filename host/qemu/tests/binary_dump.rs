//! The kernel sends a crash over its serial line, through a relay that spoils bytes; what arrives is recovered as the machine's
//! RAM itself is.

mod kernel;

use capture::{Assembler, Event};
use kernel::{REGION, machine};
use qemu::{Machine, Ram};
use ring::check::Table;
use ring::digest::Digest;
use ring::recover::Bank;
use ring::region::{Found, inspect};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

/// Bounds what hangs; no test waits for it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Every boot: a small bank, so that a run is short.
const SMALL: &str = "dump=binary events=3000 payload=8..64 banks=8 ack=no";

/// Chance that can be had again (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// One byte in so many is lost or turned over; 0: none.
    fn spoil(&mut self, one_in: u64, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            match (one_in > 0 && self.below(one_in.max(1)) == 0, self.below(2)) {
                (false, _) => out.push(*byte),
                (true, 0) => {}
                (true, _) => out.push(byte ^ 1 << self.below(8)),
            }
        }
        out
    }
}

/// What came over the line.
struct Heard {
    host: Assembler,
    text: String,
    requests: usize,
}

/// Runs the machine to its end behind a relay.
fn run(machine: Machine, ram: &Arc<Ram>, one_in: u64, answers: bool) -> Heard {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("serial");
    let listener = UnixListener::bind(&socket).unwrap();
    let running = machine.ram(ram).serial(format!("unix:{}", socket.display())).start(PATIENCE).unwrap();
    let (mut line, _) = listener.accept().unwrap();
    line.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = Heard { host: Assembler::default(), text: String::new(), requests: 0 };
    let (mut chance, mut buffer) = (Chance(0x2545_f491_4f6c_dd1d), vec![0; 4096]);
    while let Ok(count @ 1..) = line.read(&mut buffer) {
        let mut replies = Vec::new();
        let Heard { host, text, requests } = &mut heard;
        host.feed(&chance.spoil(one_in, &buffer[..count]), &mut |host, event| match event {
            Event::Text(piece) => text.push_str(&String::from_utf8_lossy(&piece)),
            Event::Prompt(transfer) => {
                *requests += usize::from(!host.transfers()[transfer].is_whole());
                replies.push(host.answer(transfer));
            }
            _ => {}
        });
        for reply in replies.iter().filter(|_| answers) {
            // A machine that has ended takes none.
            let _ = line.write_all(&chance.spoil(one_in, reply));
        }
    }
    let outcome = running.wait().unwrap();
    outcome.expect_exit(0).unwrap();
    heard
}

/// Per core of the newest crash in the image of a region: number of events, digest, account.
fn digests(image: &[u8], boot_id: u32) -> Vec<(u64, u32, String)> {
    let Found::Valid(header) = inspect(image) else { panic!("{:?}", inspect(image)) };
    let number = header.banks().iter().position(|bank| bank.boot_id == boot_id).unwrap();
    let bytes = &image[header.geometry.bank(number as u32) as usize..];
    let bank = Bank::new(bytes, header.geometry, header.banks()[number], Table).unwrap();
    let of = |core| {
        let ring = bank.core(core);
        let mut digest = Digest::new(Table);
        ring.events().for_each(|event| digest.add(&event));
        (digest.events(), digest.number(), format!("{:?} {:?}", ring.account(), bank.stop_record(core)))
    };
    (0..header.geometry.cores).map(of).collect()
}

fn compare(heard: &Heard, ram: &Ram) {
    let image = ram.read_range(REGION.0, REGION.1 as usize).unwrap();
    let transfer = &heard.host.transfers()[0];
    assert!(transfer.is_whole(), "{:?}\n{}", transfer.missing().collect::<Vec<_>>(), heard.text);
    let found = digests(&transfer.image().unwrap(), transfer.id());
    assert_eq!(found, digests(&image, transfer.id()));
    assert!(found.iter().all(|(events, ..)| *events > 1000), "{found:?}");
}

#[test]
fn a_crash_goes_over_a_quiet_line_and_nobody_needs_to_answer() {
    let machine = machine(SMALL);
    let ram = machine.make_ram().unwrap();
    let heard = run(machine, &ram, 0, false);
    compare(&heard, &ram);
    assert!(heard.text.contains("crash of boot 1: "), "{}", heard.text);
    assert!(!heard.text.contains("# tracer"), "the events come in frames only: {}", heard.text);
    assert_eq!(heard.host.broken(), 0);
}

#[test]
fn a_crash_goes_over_a_noisy_line_when_the_host_asks_again() {
    let machine = machine(SMALL);
    let ram = machine.make_ram().unwrap();
    let heard = run(machine, &ram, 5000, true);
    assert!(heard.requests > 0 && heard.host.broken() > 0, "the line was not noisy");
    compare(&heard, &ram);
}

#[test]
fn each_crash_of_several_is_a_transfer_of_its_own() {
    let machine = machine(&SMALL.replace("banks=8 ack=no", "banks=8 ack=no cycles=2 die=reset clean=subbuffer"));
    let ram = machine.make_ram().unwrap();
    let heard = run(machine, &ram, 0, true);
    let plans: Vec<_> = heard
        .host
        .transfers()
        .iter()
        .map(|transfer| {
            let plan = transfer.plan().unwrap();
            (transfer.is_whole(), transfer.record().unwrap().boot, plan.index, plan.count)
        })
        .collect();
    // The first boot's is told by the second and the third.
    assert_eq!(plans, [(true, 1, 0, 2), (true, 2, 1, 2)], "{}", heard.text);
}
