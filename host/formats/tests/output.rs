//! Files that are there whole or not at all.

mod support;

use formats::Output;
use std::fs;
use std::io::ErrorKind;
use support::{damaged, everything};

#[test]
fn every_format_has_names_of_its_own_and_replaces_what_it_wrote_before() {
    let directory = tempfile::tempdir().unwrap();
    for output in Output::ALL {
        assert_eq!((Output::find(output.name()), Output::find(output.extension())), (Some(output), Some(output)));
        let path = directory.path().join(format!("trace.{}", output.extension()));
        output.write(&everything(), &path).unwrap();
        output.write(&damaged(), &path).unwrap();
        if output == Output::Ctf {
            assert!(fs::read_to_string(path.join("metadata")).unwrap().contains("event {"));
            assert!(path.join("core_1").is_file());
            continue;
        }
        let mut stream = Vec::new();
        output.stream(&damaged(), &mut stream).unwrap();
        assert!(fs::read(&path).unwrap() == stream, "{output:?}: a file has what a pipe would get");
    }
    // Nothing temporary is left.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), Output::ALL.len());
}

#[test]
fn a_directory_that_is_not_ours_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("metadata"), "/* CTF 1.8 */\n/* of somebody else */\n").unwrap();
    for output in Output::ALL {
        let why = output.write(&everything(), &path).unwrap_err();
        assert!(matches!(why.kind(), ErrorKind::AlreadyExists | ErrorKind::IsADirectory), "{why}");
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    // A file where a CTF is to be stays, too; an empty directory is as good as none.
    let file = directory.path().join("file");
    fs::write(&file, "mine").unwrap();
    assert!(Output::Ctf.write(&everything(), &file).is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    Output::Ctf.write(&everything(), &empty).unwrap();
    assert!(formats::ctf::is_ours(&empty));
}

#[test]
fn a_ctf_is_no_stream() {
    let why = Output::Ctf.stream(&everything(), &mut Vec::new()).unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Unsupported);
    assert!(!Output::Ctf.is_a_stream() && Output::Text.is_a_stream());
}
