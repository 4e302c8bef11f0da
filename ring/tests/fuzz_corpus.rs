//! The stored corpus of the fuzz targets, and what once made them fail, replayed without a fuzzer.

#[allow(unreachable_pub, missing_docs, reason = "the fuzz targets' own file")]
#[path = "../../fuzz/src/lib.rs"]
mod bodies;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&folder).expect("a corpus") {
        let path = entry.expect("an entry").path();
        let input = std::fs::read(&path).expect("an input");
        println!("{}", path.display());
        body(&input);
        replayed += 1;
    }
    assert!(replayed > 20, "{replayed} inputs in {}", folder.display());
}

#[test]
fn every_stored_input_of_the_recovery_target_is_survived() {
    replay("recovery", bodies::recovery);
}

#[test]
fn every_stored_input_of_the_structured_target_invents_nothing() {
    replay("structured", bodies::structured);
}

#[test]
fn every_stored_input_of_the_walker_target_is_walked_as_a_naive_walker_does() {
    replay("walker", bodies::walker);
}
