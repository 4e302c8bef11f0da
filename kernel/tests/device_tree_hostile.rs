//! Trees that nobody should have made: damaged, mutated and hostile ones give errors or answers, soon, and never a panic.

mod support;

use std::time::{Duration, Instant};

use kernel::device_tree::{HEADER, LARGEST, LEVELS, TreeError, size_of, validate};
use support::{REAL, SMALL, dtb, everything_or_error};

/// Far more than anything here takes, and far less than a walk that is not linear would.
const SOON: Duration = Duration::from_secs(20);

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// Writes trees, well-formed or not.
#[derive(Default)]
struct Writer {
    structure: Vec<u8>,
    strings: Vec<u8>,
    /// Nodes that are open.
    depth: usize,
}

impl Writer {
    fn token(&mut self, token: u32) -> &mut Self {
        self.structure.extend_from_slice(&token.to_be_bytes());
        self
    }

    fn padded(&mut self, bytes: &[u8]) -> &mut Self {
        self.structure.extend_from_slice(bytes);
        self.structure.resize(self.structure.len().next_multiple_of(4), 0);
        self
    }

    fn begin(&mut self, name: &str) -> &mut Self {
        self.depth += 1;
        self.token(BEGIN_NODE).padded(format!("{name}\0").as_bytes())
    }

    fn end(&mut self) -> &mut Self {
        self.depth = self.depth.saturating_sub(1);
        self.token(END_NODE)
    }

    /// The offset of a name, which is written once if it was the last one written.
    fn name(&mut self, name: &str) -> u32 {
        let terminated = format!("{name}\0");
        if !self.strings.ends_with(terminated.as_bytes()) {
            self.strings.extend_from_slice(terminated.as_bytes());
        }
        (self.strings.len() - terminated.len()) as u32
    }

    fn property(&mut self, name: &str, value: &[u8]) -> &mut Self {
        let name = self.name(name);
        self.property_at(name, value)
    }

    fn property_at(&mut self, name: u32, value: &[u8]) -> &mut Self {
        self.token(PROPERTY).token(value.len() as u32).token(name).padded(value)
    }

    fn finish(&mut self) -> Vec<u8> {
        self.token(END);
        let structure = HEADER + 16;
        let strings = structure + self.structure.len();
        let total = strings + self.strings.len();
        let words =
            [0xd00d_feed, total, structure, strings, HEADER, 17, 16, 0, self.strings.len(), self.structure.len()];
        let mut tree: Vec<u8> = words.iter().flat_map(|word| (*word as u32).to_be_bytes()).collect();
        tree.resize(structure, 0);
        tree.extend_from_slice(&self.structure);
        tree.extend_from_slice(&self.strings);
        tree
    }
}

fn refused(tree: &[u8]) -> TreeError {
    validate(tree).unwrap_err()
}

fn what_is_damaged(tree: &[u8]) -> (&'static str, usize) {
    match refused(tree) {
        TreeError::Damaged { what, offset } => (what, offset),
        other => panic!("{other}"),
    }
}

/// The small tree with the word at `offset` of its header replaced.
fn with_header_word(offset: usize, word: u32) -> Vec<u8> {
    let mut tree = dtb("trees/no-region");
    tree[offset..offset + 4].copy_from_slice(&word.to_be_bytes());
    tree
}

#[test]
fn the_header_is_checked_field_by_field() {
    let tree = dtb("trees/no-region");
    assert_eq!(refused(&[]), TreeError::Truncated { needed: HEADER, available: 0 });
    assert_eq!(refused(&tree[..39]), TreeError::Truncated { needed: HEADER, available: 39 });
    assert_eq!(refused(&tree[..200]), TreeError::Truncated { needed: tree.len(), available: 200 });
    assert_eq!(refused(&with_header_word(0, 0xedfe_0dd0)), TreeError::NotATree { found: 0xedfe_0dd0 });
    assert_eq!(refused(&[0; 64]), TreeError::NotATree { found: 0 });
    for size in [0, 39, LARGEST as u32 + 1, u32::MAX] {
        assert_eq!(refused(&with_header_word(4, size)), TreeError::BadSize(size));
        assert_eq!(size_of(&with_header_word(4, size)), Err(TreeError::BadSize(size)));
    }
    assert_eq!(size_of(&tree[..HEADER]), Ok(tree.len()));
    assert_eq!(refused(&with_header_word(20, 16)), TreeError::BadVersion { version: 16, readable_as: 16 });
    assert_eq!(refused(&with_header_word(24, 18)), TreeError::BadVersion { version: 17, readable_as: 18 });
    let outside = [0, 36, tree.len() as u32, 0xffff_fffc, 0x8000_0000];
    for (field, block) in [(8, "structure"), (12, "strings"), (16, "memory reservation")] {
        for offset in outside {
            let error = refused(&with_header_word(field, offset));
            let is_bad =
                matches!(error, TreeError::BadBlock { block: got, offset: at, .. } if got == block && at == offset);
            // An offset at the very end leaves the reservations no room for an end.
            assert!(is_bad || (field == 16 && error == TreeError::EndlessReservations), "{block} {offset:#x}: {error}");
        }
    }
    for (field, block) in [(36, "structure"), (32, "strings")] {
        for size in [0xffff_fffc, 0x8000_0000, tree.len() as u32 & !3] {
            let error = refused(&with_header_word(field, size));
            assert!(
                matches!(error, TreeError::BadBlock { block: got, size: of, .. } if got == block && of == size),
                "{error}"
            );
        }
    }
    assert!(matches!(refused(&with_header_word(8, 57)), TreeError::BadBlock { block: "structure", .. }), "unaligned");
    assert!(
        matches!(refused(&with_header_word(16, 44)), TreeError::BadBlock { block: "memory reservation", .. }),
        "unaligned"
    );
}

#[test]
fn reservations_without_an_end_are_refused() {
    let mut tree = dtb("trees/no-region");
    for byte in &mut tree[HEADER..HEADER + 16] {
        *byte = 0x41;
    }
    // Whatever follows is taken for reservations, too; here nothing in it is empty.
    let mut endless = tree[..HEADER].to_vec();
    endless.resize(400, 1);
    endless[4..8].copy_from_slice(&400u32.to_be_bytes());
    endless[8..12].copy_from_slice(&56u32.to_be_bytes());
    endless[12..16].copy_from_slice(&60u32.to_be_bytes());
    endless[32..36].copy_from_slice(&4u32.to_be_bytes());
    endless[36..40].copy_from_slice(&4u32.to_be_bytes());
    assert_eq!(refused(&endless), TreeError::EndlessReservations);
}

#[test]
fn the_structure_is_checked_token_by_token() {
    let tree = |write: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::default();
        write(&mut writer);
        writer.finish()
    };
    let name = |tree: &[u8]| what_is_damaged(tree).0;
    assert!(
        validate(&tree(&|w| {
            w.begin("").end();
        }))
        .is_ok()
    );
    assert!(
        validate(&tree(&|w| {
            w.token(NOP).begin("").token(NOP).property("a", b"x").token(NOP).end().token(NOP);
        }))
        .is_ok()
    );
    assert_eq!(name(&tree(&|_| {})), "the tree has no root node");
    assert_eq!(
        name(&tree(&|w| {
            w.begin("");
        })),
        "the tree ends inside a node"
    );
    assert_eq!(
        name(&tree(&|w| {
            w.begin("").end().end();
        })),
        "a node ends which never began"
    );
    assert_eq!(
        name(&tree(&|w| {
            w.begin("").end().begin("").end();
        })),
        "a second root node"
    );
    assert_eq!(
        name(&tree(&|w| {
            w.begin("").token(5).end();
        })),
        "an unknown token"
    );
    assert_eq!(
        name(&tree(&|w| {
            w.begin("").end().token(END);
        })),
        "something follows the end token"
    );
    assert_eq!(
        name(&tree(&|w| {
            w.property("a", b"x").begin("").end();
        })),
        "a property behind a child node"
    );
    assert_eq!(
        name(&tree(&|w| {
            w.begin("").begin("a").end().property("a", b"x").end();
        })),
        "a property behind a child node"
    );
    let bad_node = "a node whose name is empty, too long or not printable";
    for bad in ["", "a/b", "\u{1b}[2J", "é", "a\tb"] {
        assert_eq!(
            name(&tree(&|w| {
                w.begin("").begin(bad).end().end();
            })),
            bad_node,
            "{bad:?}"
        );
        // Only a child's name may not be empty or contain a slash; the root's is empty.
        assert_eq!(
            validate(&tree(&|w| {
                w.begin(bad).end();
            }))
            .is_ok(),
            bad.is_empty(),
            "{bad:?}"
        );
    }
    let long = |length| {
        tree(&move |w: &mut Writer| {
            w.begin("").begin(&"n".repeat(length)).end().end();
        })
    };
    assert!(validate(&long(255)).is_ok());
    assert_eq!(name(&long(256)), bad_node);
    let bad_property = "a property whose name is empty, too long or not printable";
    let named = |name: &'static str| {
        tree(&move |w: &mut Writer| {
            w.begin("").property(name, b"x").end();
        })
    };
    for bad in ["", "\u{1b}", "é"] {
        assert_eq!(name(&named(bad)), bad_property, "{bad:?}");
    }
    let outside = tree(&|w| {
        w.begin("").property_at(1000, b"x").end();
    });
    assert_eq!(name(&outside), bad_property);
    let unterminated = tree(&|w| {
        w.strings = b"abc".to_vec();
        w.begin("").property_at(0, b"x").end();
    });
    assert_eq!(name(&unterminated), bad_property);
    let past = tree(&|w| {
        w.begin("").token(PROPERTY).token(1000).token(0);
        w.strings = b"a\0".to_vec();
    });
    assert_eq!(name(&past), "a name or property that goes past the structure block");
    let huge = tree(&|w| {
        w.begin("").token(PROPERTY).token(u32::MAX).token(0);
        w.strings = b"a\0".to_vec();
    });
    assert_eq!(name(&huge), "a name or property that goes past the structure block");
    let nested = |levels: usize| {
        tree(&move |w: &mut Writer| {
            w.begin("");
            (1..levels).for_each(|_| {
                w.begin("n");
            });
            (0..levels).for_each(|_| {
                w.end();
            });
        })
    };
    assert_eq!(name(&nested(LEVELS + 1)), "nodes nested deeper than 16 levels");
    let deepest = nested(LEVELS);
    let deepest = validate(&deepest).unwrap();
    assert_eq!(deepest.node(&"/n".repeat(LEVELS - 1)).unwrap().path().to_string(), "/n".repeat(LEVELS - 1));
    let mut walk = deepest.walk();
    assert_eq!(std::iter::from_fn(|| walk.advance().map(|_| ())).count(), LEVELS - 1, "the walk goes as deep");
    let mut cut = tree(&|w| {
        w.begin("").end();
    });
    cut[36..40].copy_from_slice(&12u32.to_be_bytes());
    assert_eq!(name(&cut), "the structure block ends without its end token");
    // The offset is where the token is: behind header, reservations, and the root's begin and name.
    assert_eq!(
        what_is_damaged(&tree(&|w| {
            w.begin("").token(5).end();
        })),
        ("an unknown token", HEADER + 16 + 8)
    );
}

#[test]
fn every_error_says_what_to_do() {
    let errors = [
        refused(&[0; 64]),
        refused(&[]),
        refused(&with_header_word(4, 0)),
        refused(&with_header_word(20, 1)),
        refused(&with_header_word(8, 0)),
        TreeError::EndlessReservations,
        refused(&with_header_word(8, 60)),
    ];
    for error in errors {
        let shown = error.to_string();
        assert!(
            shown.starts_with("device tree: ")
                && ["copy", "compile", "convert", "Have"].iter().any(|verb| shown.contains(verb)),
            "{shown}"
        );
    }
}

/// The xorshift generator of Marsaglia, 64 bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn mutate(tree: &mut Vec<u8>, random: &mut Random) {
    const WORDS: [u32; 12] = [0, 1, 2, 3, 4, 9, 16, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, u32::MAX, 0xd00d_feed];
    if tree.len() < HEADER {
        return;
    }
    let words = tree.len() / 4;
    let word = random.below(words) * 4;
    match random.below(8) {
        0 => tree[word] = random.next() as u8,
        1 => {
            let at = random.below(tree.len());
            tree[at] ^= 1 << random.below(8);
        }
        2 => tree[word..word + 4].copy_from_slice(&WORDS[random.below(WORDS.len())].to_be_bytes()),
        3 => {
            let number = random.below(tree.len() * 2) as u32;
            tree[word..word + 4].copy_from_slice(&number.to_be_bytes());
        }
        // In the header.
        4 => tree[random.below(10) * 4 + 3] = random.next() as u8,
        5 => tree.truncate(1 + random.below(words * 4)),
        // A piece over another, both aligned: tokens in the wrong places.
        6 => {
            let length = (4 * (1 + random.below(16))).min(tree.len() - word);
            let from = random.below((tree.len() - length) / 4 + 1) * 4;
            tree.copy_within(from..from + length, word);
        }
        // One property's NOPs, or a hole in one.
        _ => {
            for at in (word..).step_by(4).take(1 + random.below(8)) {
                if let Some(hole) = tree.get_mut(at..at + 4) {
                    hole.copy_from_slice(&NOP.to_be_bytes());
                }
            }
        }
    }
}

/// Where the values of a well-formed tree are that are not empty: start and length.
fn values(tree: &[u8]) -> Vec<(usize, usize)> {
    let word = |at: usize| u32::from_be_bytes(tree[at..at + 4].try_into().unwrap());
    let (mut at, mut values) = (word(8) as usize, Vec::new());
    loop {
        at += 4;
        match word(at - 4) {
            BEGIN_NODE => at = (at + tree[at..].iter().position(|byte| *byte == 0).unwrap() + 1).next_multiple_of(4),
            PROPERTY => {
                let length = word(at) as usize;
                values.extend(Some((at + 8, length)).filter(|_| length > 0));
                at = (at + 8 + length).next_multiple_of(4);
            }
            END => return values,
            _ => {}
        }
    }
}

/// Changes one value and leaves the structure as it is: the look-ups must cope.
fn mutate_value(tree: &mut [u8], (start, length): (usize, usize), random: &mut Random) {
    let value = &mut tree[start..start + length];
    match random.below(4) {
        0 => value[random.below(length)] = random.next() as u8,
        1 => value[random.below(length)] ^= 1 << random.below(8),
        2 => value.fill([0, 1, 0x7f, 0xff][random.below(4)]),
        _ => value.rotate_left(random.below(length)),
    }
}

#[test]
fn twenty_thousand_mutated_trees_give_an_error_or_an_answer() {
    // Small trees more often than large ones, so that it stays a matter of seconds.
    let trees: Vec<(Vec<u8>, usize)> = SMALL
        .iter()
        .map(|name| (dtb(name), 1200))
        .chain(REAL.iter().map(|name| (dtb(name), if name.starts_with("virt") { 2000 } else { 400 })))
        .collect();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut answered, mut refused) = (0, 0);
    let mut slowest = Duration::ZERO;
    for (tree, times) in &trees {
        let values = values(tree);
        for turn in 0..*times {
            let mut mutated = tree.clone();
            for _ in 0..=random.below(3) {
                if turn % 2 == 0 {
                    mutate(&mut mutated, &mut random);
                } else {
                    mutate_value(&mut mutated, values[random.below(values.len())], &mut random);
                }
            }
            let start = Instant::now();
            match everything_or_error(&mutated) {
                Ok(_) => answered += 1,
                Err(_) => refused += 1,
            }
            slowest = slowest.max(start.elapsed());
        }
    }
    println!("{answered} answered, {refused} refused, the slowest took {slowest:?}");
    assert!(answered + refused >= 20_000, "{answered} + {refused}");
    // Both kinds are worth something only if there are many of them.
    assert!(answered > 8_000 && refused > 8_000, "{answered} answered, {refused} refused");
    assert!(slowest < SOON, "{slowest:?}");
}

#[test]
fn random_bytes_behind_a_good_header_give_an_error_or_an_answer() {
    let mut random = Random(7);
    for _ in 0..2_000 {
        let mut tree = dtb("trees/no-region");
        for (at, byte) in tree.iter_mut().enumerate().skip(HEADER) {
            // Mostly tokens and small numbers, else hardly anything would get past the first.
            *byte = if at % 4 == 3 { [1, 2, 3, 4, 9, 0][random.below(6)] } else { 0 };
        }
        let _ = everything_or_error(&tree);
    }
}

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
