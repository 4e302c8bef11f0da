//! The image of a card: what is on it, that it is the same each time, and what is told where something is missing.

use anyhow::Result;
use fatfs::{FatType, FileSystem, FsOptions};
use sdcard::boards::{BOARDS, Boot};
use sdcard::{Board, Card, File, Order, assemble};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use tempfile::TempDir;

/// What an Image is known by is in it, and nothing else.
fn kernel() -> Vec<u8> {
    let mut kernel: Vec<u8> = (0..100_000_u32).map(|at| at as u8).collect();
    kernel[0x38..0x3c].copy_from_slice(b"ARM\x64");
    kernel
}

/// The firmware's directory of a board, with everything in it that it asks for.
fn firmware(board: &Board) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let Boot::RaspberryPi { needed, trees, .. } = &board.boot else { return directory };
    fs::create_dir(directory.path().join("overlays")).unwrap();
    for file in *needed {
        fs::write(directory.path().join(file.path), file.path).unwrap();
    }
    let real = match board.id {
        "rpi3" => "bcm2837-rpi-3-b",
        "rpi4" => "bcm2711-rpi-4-b",
        "rpi5" => "bcm2712-rpi-5-b",
        other => panic!("no tree for {other}"),
    };
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel/tests/data");
    for tree in *trees {
        fs::copy(data.join(real).with_extension("dtb"), directory.path().join(tree.path)).unwrap();
    }
    directory
}

fn order(board: &'static Board, directory: &TempDir) -> Order {
    let is_generic = board.id == "generic";
    Order {
        board,
        kernel: kernel(),
        firmware: (!is_generic).then(|| directory.path().to_owned()),
        append: None,
        region: is_generic.then_some((0x5000_0000, 8 << 20)),
        tree: None,
    }
}

/// The files of a card's partition, read by what is not ours, and the card's partition table checked.
fn read(card: &Card) -> Result<BTreeMap<String, Vec<u8>>> {
    let bytes = card.bytes();
    let table = mbrman::MBR::read_from(&mut Cursor::new(bytes), 512)?;
    let used: Vec<_> = table.iter().filter(|(_, entry)| entry.is_used()).collect();
    assert_eq!(used.len(), 1);
    let (number, entry) = used[0];
    assert_eq!((number, entry.sys, entry.starting_lba, entry.is_active()), (1, 0x0c, 2048, true));
    assert_eq!((u64::from(entry.starting_lba) + u64::from(entry.sectors)) * 512, bytes.len() as u64);
    let partition = bytes[usize::try_from(entry.starting_lba)? * 512..].to_vec();
    let volume = FileSystem::new(Cursor::new(partition), FsOptions::new())?;
    assert_eq!(volume.fat_type(), FatType::Fat32, "as the partition's type says");
    assert_eq!((volume.volume_label().as_str(), volume.volume_id()), ("AFTERGLOW", 0x4146_474c));
    let mut files = BTreeMap::new();
    let mut directories = vec![(String::new(), volume.root_dir())];
    while let Some((at, directory)) = directories.pop() {
        for entry in directory.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if entry.is_dir() && name != "." && name != ".." {
                directories.push((format!("{at}{name}/"), entry.to_dir()));
            } else if entry.is_file() {
                assert_eq!(entry.modified().date.year, 2025, "no time of today");
                let mut content = Vec::new();
                entry.to_file().read_to_end(&mut content)?;
                files.insert(format!("{at}{name}"), content);
            }
        }
    }
    Ok(files)
}

#[test]
fn each_board_that_the_kernel_knows_has_a_card_by_the_same_word() {
    // QEMU's virt has no card of its own: it is the machine that U-Boot is tried on.
    let named = boards::BOARDS.iter().map(|board| board.id()).filter(|id| *id != "virt");
    let mut known: Vec<&str> = named.chain([boards::choose([]).id()]).collect();
    let mut cards: Vec<&str> = BOARDS.iter().map(|board| board.id).collect();
    known.sort_unstable();
    cards.sort_unstable();
    assert_eq!(cards, known);
}

#[test]
fn each_board_s_card_holds_what_it_wants_under_its_whole_names_and_is_the_same_when_made_again() {
    for board in BOARDS {
        let directory = firmware(board);
        let made = assemble(&order(board, &directory)).unwrap();
        let card = Card::new(&made.files).unwrap();
        assert!(card.bytes().len() < 70_000_000);
        let on_it = read(&card).unwrap();
        let expected: BTreeMap<_, _> =
            made.files.iter().map(|file| (file.path.clone(), file.content.clone())).collect();
        assert_eq!(on_it.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{}", board.id);
        assert!(on_it == expected, "{}", board.id);
        assert_eq!(on_it["afterglow.img"], kernel());
        let mut other_order = made.files.clone();
        other_order.reverse();
        assert!(Card::new(&other_order).unwrap() == card, "{}", board.id);
    }
}

#[test]
fn a_pi_s_config_names_files_that_are_on_its_card() {
    for board in BOARDS {
        let Boot::RaspberryPi { config, .. } = &board.boot else { continue };
        let directory = firmware(board);
        let made = assemble(&order(board, &directory)).unwrap();
        let is_there = |path: &str| made.files.iter().any(|file| file.path == path);
        assert!(is_there("config.txt") && is_there("cmdline.txt"));
        let mut overlays = Vec::new();
        for line in config.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (key, value) = line.split_once('=').expect("each line is a setting");
            match key {
                "kernel" => assert!(is_there(value), "{line}"),
                "dtoverlay" => {
                    assert!(is_there(&format!("overlays/{value}.dtbo")), "{line}");
                    overlays.push(value);
                }
                "arm_64bit" | "enable_uart" | "init_uart_clock" | "os_check" => {}
                other => panic!("{other} is not a setting that was looked up"),
            }
        }
        assert!(overlays.contains(&"afterglow"), "{}", board.id);
        // The first 98 characters of a line count, and everything else is cut off without a word.
        assert!(config.lines().all(|line| line.starts_with('#') || line.len() <= 98));
    }
}

#[test]
fn what_is_missing_is_named_one_by_one_with_where_it_comes_from() {
    for board in BOARDS {
        let Boot::RaspberryPi { needed, trees, .. } = &board.boot else { continue };
        let directory = firmware(board);
        let whole = order(board, &directory);
        let none = format!("{:#}", assemble(&Order { firmware: None, ..whole.clone() }).unwrap_err());
        for file in needed.iter().chain(*trees) {
            assert!(none.contains(file.path), "{none}");
        }
        assert!(none.contains("--firmware") && none.contains("raspberrypi/firmware"), "{none}");
        for file in *needed {
            let path = directory.path().join(file.path);
            fs::rename(&path, path.with_extension("away")).unwrap();
            let error = format!("{:#}", assemble(&whole).unwrap_err());
            let other = needed.iter().find(|other| other.path != file.path);
            assert!(error.contains(file.path) && error.contains(file.why), "{error}");
            assert!(other.is_none_or(|other| !error.contains(other.path)), "only what is missing: {error}");
            fs::rename(path.with_extension("away"), path).unwrap();
        }
        for (at, tree) in trees.iter().enumerate() {
            assert!(assemble(&whole).is_ok(), "one tree is enough");
            fs::remove_file(directory.path().join(tree.path)).unwrap();
            assert_eq!(assemble(&whole).is_err(), at + 1 == trees.len());
        }
    }
}

#[test]
fn trees_of_different_releases_are_not_put_onto_one_card() {
    let board = Board::by_id("rpi3").unwrap();
    let directory = firmware(board);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel/tests/data/bcm2712-rpi-5-b.dtb");
    fs::copy(data, directory.path().join("bcm2710-rpi-3-b-plus.dtb")).unwrap();
    let error = assemble(&order(board, &directory)).unwrap_err().to_string();
    assert!(error.contains("different releases") && error.contains("bcm2710-rpi-3-b-plus.dtb"), "{error}");
    fs::write(directory.path().join("bcm2710-rpi-3-b-plus.dtb"), "cut").unwrap();
    let error = format!("{:#}", assemble(&order(board, &directory)).unwrap_err());
    assert!(error.contains("bcm2710-rpi-3-b-plus.dtb: it is no device tree"), "{error}");
}

#[test]
fn a_region_elsewhere_becomes_parameters_of_the_overlay() {
    let board = Board::by_id("rpi4").unwrap();
    let directory = firmware(board);
    let config = |region| {
        let made = assemble(&Order { region: Some(region), ..order(board, &directory) })?;
        let config = made.files.into_iter().find(|file| file.path == "config.txt").unwrap();
        anyhow::Ok(String::from_utf8(config.content).unwrap())
    };
    let elsewhere = config((0x1000_0000, 4 << 20)).unwrap();
    assert!(elsewhere.contains("\ndtoverlay=afterglow,base=0x10000000,size=0x400000\n"), "{elsewhere}");
    assert!(config((0x0b00_0000, 8 << 20)).unwrap().contains("\ndtoverlay=afterglow\n"));
    for (region, why) in
        [((0x1000_0001, 1 << 20), "whole pages"), ((0x1000_0000, 4096), "64 KiB"), ((1 << 32, 1 << 20), "below 1 GiB")]
    {
        let error = config(region).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn what_cannot_be_is_told() {
    let rpi5 = Board::by_id("rpi5").unwrap();
    let directory = firmware(rpi5);
    let generic = order(Board::by_id("generic").unwrap(), &directory);
    let pi = order(rpi5, &directory);
    let region = Some((u64::MAX - 0xf_ffff, 0x20_0000));
    let cases = [
        (Order { kernel: vec![0; 100], ..pi.clone() }, "no arm64 Image"),
        (Order { append: Some("a\nb".into()), ..pi.clone() }, "more than one line"),
        (Order { tree: Some(Vec::new()), ..pi }, "leave --dtb out"),
        (Order { region: None, ..generic.clone() }, "--region BASE:SIZE"),
        (Order { region: Some((0x5000_0000, 100)), ..generic.clone() }, "whole pages"),
        (Order { region, ..generic.clone() }, "beyond all addresses"),
        (Order { append: Some("a=\"b\"".into()), ..generic.clone() }, "U-Boot's shell"),
        (Order { firmware: Some(directory.path().into()), ..generic }, "leave --firmware out"),
    ];
    for (order, why) in cases {
        let error = format!("{:#}", assemble(&order).unwrap_err());
        assert!(error.contains(why), "{why}: {error}");
    }
    let too_much = Card::new(&[File::new("large", vec![1; 61 << 20])]).unwrap_err().to_string();
    assert!(too_much.contains("64"), "{too_much}");
}

#[test]
fn a_card_that_cannot_be_saved_leaves_what_was_there() {
    let card = Card::new(&[]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("card.img");
    card.save(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), card.bytes());
    let into_nowhere = card.save(&directory.path().join("no/such/card.img")).unwrap_err().to_string();
    assert!(into_nowhere.contains("cannot be written"), "{into_nowhere}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no half-written file is left");
}
