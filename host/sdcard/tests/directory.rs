//! A card's files in a directory: the same files, nothing of anybody else's replaced unasked, nothing half written.

use sdcard::directory::{Saved, save};
use sdcard::{Board, File, Order, assemble};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn files() -> Vec<File> {
    vec![File::new("afterglow.img", "kernel"), File::new("overlays/afterglow.dtbo", "overlay")]
}

/// Everything below a directory.
fn read(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(at) = directories.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_directory_that_is_not_there_is_made_and_gets_the_files_and_no_others() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("srv/tftp");
    assert_eq!(save(&files(), &directory, false).unwrap(), Saved { written: 2, same: 0 });
    let expected: BTreeMap<_, _> = files().into_iter().map(|file| (file.path, file.content)).collect();
    assert_eq!(read(&directory), expected);
    let mode = fs::metadata(directory.join("afterglow.img")).unwrap().permissions().mode();
    assert_ne!(mode & 0o040, 0, "a server that is somebody else may read it: {mode:o}");
    assert_eq!(save(&files(), &directory, false).unwrap(), Saved { written: 0, same: 2 }, "again, without a word");
}

#[test]
fn another_file_of_the_same_name_is_replaced_only_if_that_was_asked_for() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("overlays")).unwrap();
    fs::write(place.path().join("overlays/afterglow.dtbo"), "somebody's").unwrap();
    fs::write(place.path().join("notes"), "mine").unwrap();
    let error = save(&files(), place.path(), false).unwrap_err().to_string();
    assert!(error.contains("overlays/afterglow.dtbo;") && error.contains("--replace"), "{error}");
    assert!(!error.contains("afterglow.img"), "only what is in the way: {error}");
    assert!(!place.path().join("afterglow.img").exists(), "nothing was written");
    assert_eq!(save(&files(), place.path(), true).unwrap(), Saved { written: 2, same: 0 });
    let found = read(place.path());
    assert_eq!(found.len(), 3, "what else is there stays, and nothing is left over: {found:?}");
    assert_eq!(found["overlays/afterglow.dtbo"], b"overlay");
}

#[test]
fn what_cannot_be_written_is_told_with_its_name() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("afterglow.img")).unwrap();
    let error = format!("{:#}", save(&files(), place.path(), true).unwrap_err());
    assert!(error.contains("afterglow.img is in the way"), "{error}");
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let error = format!("{:#}", save(&files(), &file, true).unwrap_err());
    assert!(error.contains("file/afterglow.img"), "{error}");
}

#[test]
fn what_is_served_is_what_is_on_the_card_and_u_boot_s_script_by_the_name_that_it_asks_for() {
    let mut kernel = vec![0; 4096];
    kernel[0x38..0x3c].copy_from_slice(b"ARM\x64");
    let order = Order {
        board: Board::by_id("generic").unwrap(),
        kernel,
        firmware: None,
        append: None,
        region: Some((0x5000_0000, 8 << 20)),
        tree: None,
    };
    let made = assemble(&order).unwrap();
    let served = made.served();
    assert_eq!(&served[..made.files.len()], made.files);
    let [more] = &served[made.files.len()..] else { panic!("{served:?}") };
    let script = made.files.iter().find(|file| file.path == "boot.scr").unwrap();
    assert_eq!((more.path.as_str(), &more.content), ("boot.scr.uimg", &script.content));
}
