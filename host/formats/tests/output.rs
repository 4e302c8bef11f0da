//! Files that are there whole or not at all.

mod support;

use formats::Output;
use std::fs;
use std::io::ErrorKind;
use std::process::Command;
use support::{damaged, everything};

#[test]
fn every_format_has_names_of_its_own_and_replaces_what_it_wrote_before() {
    let directory = tempfile::tempdir().unwrap();
    for output in Output::ALL {
        let path = directory.path().join(format!("trace.{}", output.extension()));
        formats::write(&everything(), output, &path).unwrap();
        formats::write(&damaged(), output, &path).unwrap();
        if output == Output::Ctf {
            assert!(fs::read_to_string(path.join("metadata")).unwrap().contains("event {"));
            assert!(path.join("core_1").is_file());
            continue;
        }
        let mut stream = Vec::new();
        if output == Output::TraceDat {
            let mut file = std::io::Cursor::new(stream);
            formats::tracedat::write(&damaged(), &mut file).unwrap();
            stream = file.into_inner();
        } else {
            formats::stream(&damaged(), output, &mut stream).unwrap();
        }
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
        let why = formats::write(&everything(), output, &path).unwrap_err();
        assert!(matches!(why.kind(), ErrorKind::AlreadyExists | ErrorKind::IsADirectory), "{why}");
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    // A file where a CTF is to be stays, too; an empty directory is as good as none.
    let file = directory.path().join("file");
    fs::write(&file, "mine").unwrap();
    assert!(formats::write(&everything(), Output::Ctf, &file).is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    formats::write(&everything(), Output::Ctf, &empty).unwrap();
    assert!(formats::ctf::is_ours(&empty));
}

#[test]
fn a_pipe_is_written_to_and_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    formats::write(&everything(), Output::Csv, &pipe).unwrap();
    let mut stream = Vec::new();
    formats::stream(&everything(), Output::Csv, &mut stream).unwrap();
    assert!(reader.join().unwrap() == stream);
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&fs::metadata(&pipe).unwrap().file_type()));
}

#[test]
fn what_needs_a_file_is_no_stream() {
    for output in [Output::Ctf, Output::TraceDat] {
        let why = formats::stream(&everything(), output, &mut Vec::new()).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::InvalidInput);
        assert!(!output.is_text());
    }
}
