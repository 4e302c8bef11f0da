//! The corpus: regions of every way to die, of boards and layouts, whole and damaged, in every format.
//!
//! `data/corpus/NAME.region.gz` are images that real kernels left (`scripts/corpus.sh` adds some, and leaves what is there
//! alone: that old ones can be read is what is tested). What each gives stands in `data/corpus/NAME.txt`, renewed by
//! `UPDATE_DATA=1`: the summary whole, of each format how many bytes and a digest of them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

const FORMATS: [&str; 6] = ["text", "json", "csv", "trace.dat", "ctf", "perfetto"];

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus")
}

/// The images by name, unpacked.
fn images() -> BTreeMap<String, Vec<u8>> {
    let mut images = BTreeMap::new();
    for entry in std::fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".region.gz").map(String::from)
        else {
            continue;
        };
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
        images.insert(name, bytes);
    }
    images
}

/// The command's output and status, in a directory of its own.
fn afterglow(directory: &Path, arguments: &[&str]) -> (Vec<u8>, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_afterglow"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("AFTERGLOW_KERNEL")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    (output.stdout, output.status.code().unwrap())
}

/// Bytes and a digest of everything at a path.
fn digest(path: &Path) -> String {
    let mut files: Vec<PathBuf> = match path.is_dir() {
        true => std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect(),
        false => vec![path.to_path_buf()],
    };
    files.sort();
    let algorithm = crc::Crc::<u64>::new(&crc::CRC_64_XZ);
    let (mut size, mut crc) = (0, algorithm.digest());
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        size += bytes.len();
        crc.update(&bytes);
    }
    format!("{size} bytes, {:016x}", crc.finalize())
}

/// What an image gives: its summary, and a line for each format.
fn given(image: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    std::fs::write(place.join("image"), image).unwrap();
    let (summary, status) = afterglow(place, &["show", "image", "--boot", "all", "-n", "5"]);
    assert!(summary.iter().all(|byte| *byte == b'\n' || (b' '..=b'~').contains(byte)), "no control byte");
    let mut told = String::from_utf8(summary).unwrap();
    told.push_str(&format!("status {status}\n"));
    if status == 2 {
        return told;
    }
    for format in FORMATS {
        let (_, status) = afterglow(place, &["decode", "image", "--to", format, "--out", "out"]);
        assert!(status <= 1, "{format}: {status}");
        told.push_str(&format!("{format}: {}\n", digest(&place.join("out"))));
        let _ = std::fs::remove_dir_all(place.join("out")).or_else(|_| std::fs::remove_file(place.join("out")));
    }
    told
}

/// The image with some damage that its number decides.
fn damaged(image: &[u8]) -> Vec<u8> {
    let mut image = image.to_vec();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = |end: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % end as u64) as usize
    };
    for n in 0..60 {
        let (at, from) = (below(image.len() / 64) * 64, below(image.len() / 64) * 64);
        match n % 3 {
            0 => image[at + below(64)] ^= 1 << below(8),
            1 => image[at..at + 64].fill(0),
            _ => image.copy_within(from..from + 64, at),
        }
    }
    // The first header goes.
    image[..4096].fill(0xa5);
    image
}

#[test]
fn every_image_gives_what_it_always_gave() {
    let renew = std::env::var_os("UPDATE_DATA").is_some();
    let images = images();
    assert!(images.len() >= 40, "the corpus is not there");
    let mut others = Vec::new();
    for (name, image) in images {
        for (name, image) in [(name.clone(), image.clone()), (name + "-damaged", damaged(&image))] {
            let told = given(&image);
            let golden = corpus().join(format!("{name}.txt"));
            if renew {
                std::fs::write(&golden, &told).unwrap();
            }
            if std::fs::read_to_string(&golden).unwrap_or_default() != told {
                others.push(format!("{name}:\n{told}"));
            }
        }
    }
    assert!(others.is_empty(), "UPDATE_DATA=1 renews what is told; differing: {}", others.join("\n"));
}

#[test]
fn damage_invents_no_event() {
    for (name, image) in images() {
        let events = |image: &[u8]| {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("image"), image).unwrap();
            let (json, _) = afterglow(directory.path(), &["decode", "image", "--boot", "all", "--to", "json"]);
            let lines = String::from_utf8(json).unwrap();
            let fields = |line: &str| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                line.get("fields").map(|fields| format!("{} {} {fields}", line["core"], line["name"]))
            };
            lines.lines().filter_map(fields).collect::<std::collections::BTreeSet<_>>()
        };
        let (whole, left) = (events(&image), events(&damaged(&image)));
        let invented: Vec<_> = left.difference(&whole).collect();
        assert!(invented.is_empty(), "{name}: {invented:?}");
        assert!(left.len() * 10 >= whole.len() * 7, "{name}: {} of {}", left.len(), whole.len());
    }
}
