//! Damaged device trees: each thing that the validator checks is wrong once, and it says which and where.

mod support;

use kernel::device_tree::{HEADER, LARGEST, LEVELS, TreeError, size_of, validate};
use support::dtb;
use support::writer::{END, NOP, PROPERTY, Writer};

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
    // Whatever follows is taken for reservations, too; here nothing in it is empty.
    let mut endless = dtb("trees/no-region")[..HEADER].to_vec();
    endless.resize(400, 1);
    endless[4..8].copy_from_slice(&400u32.to_be_bytes());
    endless[8..12].copy_from_slice(&56u32.to_be_bytes());
    endless[12..16].copy_from_slice(&60u32.to_be_bytes());
    endless[32..36].copy_from_slice(&4u32.to_be_bytes());
    endless[36..40].copy_from_slice(&4u32.to_be_bytes());
    assert_eq!(refused(&endless), TreeError::EndlessReservations);
}

/// A way to write a tree, but for its end token.
type Write = fn(&mut Writer) -> &mut Writer;

fn tree(write: impl Fn(&mut Writer) -> &mut Writer) -> Vec<u8> {
    let mut writer = Writer::default();
    write(&mut writer);
    writer.finish()
}

#[test]
fn nops_may_stand_between_any_two_tokens() {
    let trees: [Write; 2] = [
        |w| w.begin("").end(),
        |w| {
            w.token(NOP)
                .begin("")
                .token(NOP)
                .property("a", b"x")
                .token(NOP)
                .begin("b")
                .end()
                .token(NOP)
                .end()
                .token(NOP)
        },
    ];
    for write in trees {
        assert!(validate(&tree(write)).is_ok());
    }
}

const BAD_NODE: &str = "a node whose name is empty, too long or not printable";
const BAD_PROPERTY: &str = "a property whose name is empty, too long or not printable";
const PAST_THE_END: &str = "a name or property that goes past the structure block";

#[test]
fn the_structure_is_checked_token_by_token() {
    let damaged: [(&str, Write); 16] = [
        ("the tree has no root node", |w| w),
        ("the tree ends inside a node", |w| w.begin("")),
        ("a node ends which never began", |w| w.begin("").end().end()),
        ("a second root node", |w| w.begin("").end().begin("").end()),
        ("an unknown token", |w| w.begin("").token(5).end()),
        ("something follows the end token", |w| w.begin("").end().token(END)),
        ("a property behind a child node", |w| w.property("a", b"x").begin("").end()),
        ("a property behind a child node", |w| w.begin("").begin("b").end().property("a", b"x").end()),
        (BAD_PROPERTY, |w| w.begin("").property("", b"x").end()),
        (BAD_PROPERTY, |w| w.begin("").property("\u{1b}", b"x").end()),
        (BAD_PROPERTY, |w| w.begin("").property("é", b"x").end()),
        (BAD_PROPERTY, |w| w.begin("").property_at(1000, b"x").end()),
        (BAD_PROPERTY, |w| w.unterminated_strings().begin("").property_at(0, b"x").end()),
        (PAST_THE_END, |w| w.begin("").property("a", b"x").token(PROPERTY).token(1000).token(0)),
        (PAST_THE_END, |w| w.begin("").property("a", b"x").token(PROPERTY).token(u32::MAX).token(0)),
        ("nodes nested deeper than 16 levels", |w| nested(w, LEVELS + 1)),
    ];
    for (what, write) in damaged {
        assert_eq!(what_is_damaged(&tree(write)).0, what);
    }
    let mut cut = tree(|w| w.begin("").end());
    cut[36..40].copy_from_slice(&12u32.to_be_bytes());
    assert_eq!(what_is_damaged(&cut).0, "the structure block ends without its end token");
    // The offset is where the token is: behind header, reservations, and the root's begin and name.
    assert_eq!(what_is_damaged(&tree(|w| w.begin("").token(5).end())), ("an unknown token", HEADER + 16 + 8));
}

fn nested(writer: &mut Writer, levels: usize) -> &mut Writer {
    writer.begin("");
    for _ in 1..levels {
        writer.begin("n");
    }
    for _ in 0..levels {
        writer.end();
    }
    writer
}

#[test]
fn nodes_may_be_nested_as_deep_as_the_walk_goes() {
    let bytes = tree(|w| nested(w, LEVELS));
    let deepest = validate(&bytes).unwrap();
    assert_eq!(deepest.node(&"/n".repeat(LEVELS - 1)).unwrap().path().to_string(), "/n".repeat(LEVELS - 1));
    assert_eq!(deepest.walk().count(), LEVELS - 1);
}

#[test]
fn names_are_printable_and_of_a_reasonable_length() {
    for bad in ["", "a/b", "\u{1b}[2J", "é", "a\tb"] {
        assert_eq!(what_is_damaged(&tree(|w| w.begin("").begin(bad).end().end())).0, BAD_NODE, "{bad:?}");
        // The root's name is empty; a child's is not.
        assert_eq!(validate(&tree(|w| w.begin(bad).end())).is_ok(), bad.is_empty(), "{bad:?}");
    }
    let long = |length| tree(|w| w.begin("").begin(&"n".repeat(length)).end().end());
    assert!(validate(&long(255)).is_ok());
    assert_eq!(what_is_damaged(&long(256)).0, BAD_NODE);
    let long = |length| tree(|w| w.begin("").property(&"p".repeat(length), b"").end());
    assert!(validate(&long(255)).is_ok());
    assert_eq!(what_is_damaged(&long(256)).0, BAD_PROPERTY);
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
