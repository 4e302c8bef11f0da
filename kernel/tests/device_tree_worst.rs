//! Well-formed trees that somebody made to be slow: as large as possible, and all of it in the worst place.

mod support;

use std::time::Instant;

use kernel::device_tree::{LARGEST, LEVELS};
use support::writer::{NOP, Writer};
use support::{SOON, everything_or_error};

/// The worst trees of the largest size that is accepted: what is in front, and what fills the rest, over and over.
type Worst = (&'static str, fn(&mut Writer), fn(&mut Writer, usize));

const WORST: [Worst; 17] = [
    ("many nodes", reserved_memory, |w, _| {
        w.begin("n").end();
    }),
    ("many properties of one name", reserved_memory, |w, _| {
        w.property("x", b"");
    }),
    ("many properties of a long name", reserved_memory, |w, _| {
        w.property(LONG_NAME, b"");
    }),
    ("many properties, then many reservations", reserved_memory, |w, count| {
        if count < 80_000 {
            w.property("x", b"");
        } else {
            w.begin("r").property("reg", &[1; 12]).end();
        }
    }),
    ("more ranges than are looked through, then many reservations", reserved_memory, |w, count| {
        if count == 0 {
            w.property("ranges", &vec![7; 20 * 40_000]);
        } else {
            w.begin("r").property("reg", &[1; 12]).end();
        }
    }),
    ("as many ranges as are looked through, then many reservations", reserved_memory, |w, count| {
        if count == 0 {
            w.property("ranges", &vec![7; 20 * 1024]);
        } else {
            w.begin("r").property("reg", &[1; 12]).end();
        }
    }),
    ("many regions", reserved_memory, |w, _| {
        w.begin("r").property("compatible", RING).property("size", &[0, 1, 0, 0]).end();
    }),
    ("one region with many windows", reserved_memory, |w, count| {
        if count == 0 {
            w.begin("r").property("compatible", RING).property("size", &[0, 1, 0, 0]);
            w.property("alloc-ranges", &vec![1; 12 * 170_000]).end();
        } else {
            w.token(NOP);
        }
    }),
    ("one reservation with many entries", reserved_memory, |w, count| {
        if count == 0 {
            let entries: Vec<u8> =
                (0..170_000).flat_map(|index| [0, index << 12, 0x1000]).flat_map(u32::to_be_bytes).collect();
            w.begin("r").property("reg", &entries).end();
        } else {
            w.token(NOP);
        }
    }),
    ("nodes nested as deep as possible, over and over", reserved_memory, |w, _| {
        (0..LEVELS - 2).for_each(|_| {
            w.begin("n");
        });
        (0..LEVELS - 2).for_each(|_| {
            w.end();
        });
    }),
    ("nothing but NOPs", reserved_memory, |w, _| {
        w.token(NOP);
    }),
    ("a node full of NOPs, then many nodes", reserved_memory, |w, count| {
        if count < 250_000 {
            w.token(NOP);
        } else {
            w.begin("n").end();
        }
    }),
    (
        "many cores",
        |w| {
            w.begin("cpus");
        },
        |w, _| {
            w.begin("cpu").property("reg", &[0; 12]).property("enable-method", b"psci\0").end();
        },
    ),
    (
        "many memories",
        |_| {},
        |w, _| {
            w.begin("m").property("device_type", b"memory\0").property("reg", &[1; 12]).end();
        },
    ),
    (
        "one compatible of many strings",
        |w| {
            w.begin("x");
        },
        |w, count| {
            if count == 0 {
                w.property("compatible", &vec![0; LARGEST - 20_000]);
            } else {
                w.token(NOP);
            }
        },
    ),
    (
        "a command line of many words",
        |w| {
            w.begin("chosen");
        },
        |w, count| {
            if count == 0 {
                w.property("bootargs", &[&b"a ".repeat(LARGEST / 2 - 20_000)[..], b"\0"].concat())
                    .property("stdout-path", b"a/b/c/d\0");
            } else {
                w.token(NOP);
            }
        },
    ),
    (
        "many timer interrupts",
        |w| {
            w.property("#interrupt-cells", &[0, 0, 0, 1]).begin("timer");
        },
        |w, count| {
            if count == 0 {
                w.property("compatible", b"arm,armv8-timer\0");
                w.property("interrupts", &vec![0; LARGEST / 2])
                    .property("interrupt-names", &vec![0; LARGEST / 2 - 20_000]);
            } else {
                w.token(NOP);
            }
        },
    ),
];

const RING: &[u8] = b"afterglow,persistent-ring\0";
const LONG_NAME: &str =
    concat!("fifteen-letters", "and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on");

fn reserved_memory(writer: &mut Writer) {
    writer.begin("memory").property("device_type", b"memory\0").property("reg", &[0x0f; 12]).end();
    writer.begin("reserved-memory");
}

#[test]
fn the_worst_trees_of_two_megabytes_are_read_soon() {
    for (name, start, more) in WORST {
        let mut writer = Writer::default();
        writer.begin("");
        start(&mut writer);
        let mut count = 0;
        while writer.structure.len() + writer.strings.len() < LARGEST - 4096 {
            more(&mut writer, count);
            count += 1;
        }
        while writer.depth > 0 {
            writer.end();
        }
        let tree = writer.finish();
        let begin = Instant::now();
        let answer = everything_or_error(&tree);
        println!("{:>10.1?} {name}", begin.elapsed());
        assert!(answer.is_ok(), "{name}: {answer:?}");
        assert!(begin.elapsed() < SOON, "{name}");
    }
}
