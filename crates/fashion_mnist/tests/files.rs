//! Files from a named folder: good ones load, anything else is a typed error that names the file.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Fixture, TEST, TRAIN, gzip, idx, labels, pixels};
use fashion_mnist::{DatasetName, Error, FileProblem, GzipError, IdxError, Origin, Source};

const TRAIN_IMAGES: usize = 0;
const TRAIN_LABELS: usize = 1;
const TEST_IMAGES: usize = 2;
const TEST_LABELS: usize = 3;

/// The problem, after checking that the error names the file and says what to do.
fn problem(fixture: &Fixture, index: usize) -> FileProblem {
    let error = fixture.load().unwrap_err();
    let text = error.to_string();
    assert!(text.contains(fixture.names()[index]), "{text}");
    assert!(text.contains("leave --data-dir out"), "{text}");
    let Error::Directory { problem, .. } = error else {
        panic!("{error:?}");
    };
    problem
}

#[test]
fn good_files_load() {
    let fixture = Fixture::good();
    let data = fixture.load().unwrap();
    fixture.check(&data);
    assert_eq!(data.name, DatasetName::FashionMnist);
    assert!(matches!(data.origin, Origin::Directory(_)));
    assert_eq!(data.train.len(), TRAIN as usize);
    assert_eq!(data.test.image(1).unwrap(), &pixels(TEST, 2)[784..2 * 784]);
}

#[test]
fn a_missing_file_is_an_error_that_names_the_setting() {
    let fixture = Fixture::good();
    for name in fixture.names() {
        let folder = tempfile::tempdir().unwrap();
        fixture.write_to(folder.path());
        fs::remove_file(folder.path().join(name)).unwrap();

        let mut finder = fixture.finder(Source::Directory(folder.path().to_owned()));
        // Neither setting may end at the stand-in.
        finder.allow_stand_in = true;
        let check = |error: &Error, expected: &str| {
            assert!(matches!(
                error,
                Error::Directory { setting, path, problem: FileProblem::Missing }
                    if *setting == expected && path.ends_with(name)
            ));
        };
        let error = finder.find(&mut |_| ()).unwrap_err();
        check(&error, "--data-dir");

        finder.source = Source::Auto;
        finder.environment_directory = Some(folder.path().to_owned());
        let error = finder.find(&mut |_| ()).unwrap_err();
        check(&error, "FASHION_MNIST_DIR");
        assert!(error.to_string().contains("leave FASHION_MNIST_DIR out"));
    }
}

#[test]
fn the_folder_on_the_command_line_beats_the_environment() {
    let fixture = Fixture::good();
    let (good, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fixture.write_to(good.path());
    let mut finder = fixture.finder(Source::Directory(good.path().to_owned()));
    finder.environment_directory = Some(empty.path().to_owned());
    fixture.check(&finder.find(&mut |_| ()).unwrap());
}

#[test]
fn a_folder_in_a_files_place_is_refused() {
    let fixture = Fixture::good();
    let folder = tempfile::tempdir().unwrap();
    fixture.write_to(folder.path());
    let path = folder.path().join(fixture.names()[TEST_IMAGES]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = fixture.finder(Source::Directory(folder.path().to_owned())).find(&mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::Directory { problem: FileProblem::NotAFile, .. }));
}

#[test]
fn size_and_hash_must_be_the_official_ones() {
    for index in 0..4 {
        let mut fixture = Fixture::good();
        let size = fixture.files[index].len();
        for wrong in [0, size - 1, size + 1, 10 * size] {
            let mut resized = fixture.clone();
            resized.files[index].resize(wrong, 0);
            assert!(matches!(
                problem(&resized, index),
                FileProblem::Size { expected, found } if expected == size as u64 && found == wrong as u64
            ));
        }
        fixture.files[index][size / 2] ^= 0x10;
        assert!(matches!(
            problem(&fixture, index),
            FileProblem::Hash { expected, found } if expected.len() == 64 && found.len() == 64 && expected != found
        ));
    }
}

#[test]
fn a_huge_file_is_refused_before_it_is_read() {
    let fixture = Fixture::good();
    let folder = tempfile::tempdir().unwrap();
    fixture.write_to(folder.path());
    // Sparse: a terabyte that takes no room, and could not be loaded.
    let file = fs::File::create(folder.path().join(fixture.names()[TRAIN_IMAGES])).unwrap();
    if file.set_len(1 << 40).is_err() {
        return; // The file system of this machine has no sparse files.
    }
    let error = fixture.finder(Source::Directory(folder.path().to_owned())).find(&mut |_| ()).unwrap_err();
    assert!(matches!(
        error,
        Error::Directory { problem: FileProblem::Size { found, .. }, .. } if found == 1 << 40
    ));
}

/// Loads the good files with file `index` replaced by each of `versions`. The manifest vouches for every version:
/// size and hash would catch them all, so this puts the layers below on their own.
fn problems(index: usize, versions: impl Iterator<Item = Vec<u8>>) -> Vec<FileProblem> {
    let folder = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::good();
    fixture.write_to(folder.path());
    versions
        .map(|version| {
            fs::write(folder.path().join(fixture.names()[index]), &version).unwrap();
            fixture.files[index] = version;
            fixture = Fixture::of(fixture.files.clone());
            let mut finder = fixture.finder(Source::Directory(folder.path().to_owned()));
            finder.allow_stand_in = true;
            match finder.find(&mut |_| ()).unwrap_err() {
                Error::Directory { path, problem, .. } => {
                    assert!(path.ends_with(fixture.names()[index]));
                    problem
                }
                other => panic!("{other:?}"),
            }
        })
        .collect()
}

#[test]
fn every_truncation_of_the_compressed_pair_is_refused() {
    for index in [TEST_IMAGES, TEST_LABELS] {
        let whole = Fixture::good().files[index].clone();
        let cut = (0..whole.len()).map(|end| whole[..end].to_vec());
        for (end, found) in problems(index, cut).into_iter().enumerate() {
            assert!(matches!(found, FileProblem::Gzip(GzipError::Damaged(_))), "cut at {end}: {found:?}");
        }
    }
}

#[test]
fn every_truncation_of_the_unpacked_pair_is_refused() {
    let pair = [(TEST_IMAGES, idx(&[TEST, 28, 28], &pixels(TEST, 2))), (TEST_LABELS, idx(&[TEST], &labels(TEST)))];
    for (index, whole) in pair {
        let cut = (0..whole.len()).map(|end| gzip(&whole[..end]));
        for (end, found) in problems(index, cut).into_iter().enumerate() {
            assert!(
                matches!(found, FileProblem::Idx(IdxError::Truncated { found, .. }) if found == end),
                "cut at {end}: {found:?}"
            );
        }
    }
}

#[test]
fn wrong_magic_is_refused() {
    let mut file = idx(&[TRAIN, 28, 28], &pixels(TRAIN, 1));
    file[3] = 1;
    assert!(matches!(
        problem(&Fixture::with(TRAIN_IMAGES, gzip(&file)), TRAIN_IMAGES),
        FileProblem::Idx(IdxError::Magic { expected: 0x803, found: 0x801 })
    ));
    // The other file of the pair, under this one's name.
    let swapped = gzip(&idx(&[TRAIN], &labels(TRAIN)));
    assert!(matches!(
        problem(&Fixture::with(TRAIN_IMAGES, swapped), TRAIN_IMAGES),
        FileProblem::Idx(IdxError::Magic { .. })
    ));
}

#[test]
fn wrong_and_oversized_dimensions_are_refused() {
    for dims in [
        [TRAIN, 28, 27],
        [TRAIN + 1, 28, 28],
        [TRAIN, 14, 56],
        [0, 28, 28],
        [u32::MAX; 3],
        // Multiplied in 32 bits, these come out as the right number of bytes.
        [TRAIN, 28, 28 + (1 << 30)],
    ] {
        let file = gzip(&idx(&dims, &pixels(TRAIN, 1)));
        assert!(matches!(
            problem(&Fixture::with(TRAIN_IMAGES, file), TRAIN_IMAGES),
            FileProblem::Idx(IdxError::Dimensions { found, .. }) if found == dims
        ));
    }
}

#[test]
fn labels_that_name_no_class_are_refused() {
    for label in [10, 128, 255] {
        let mut bad = labels(TEST);
        bad[1] = label;
        assert!(matches!(
            problem(&Fixture::with(TEST_LABELS, gzip(&idx(&[TEST], &bad))), TEST_LABELS),
            FileProblem::Idx(IdxError::Label { index: 1, label: found }) if found == label
        ));
    }
}

#[test]
fn nothing_may_follow_the_gzip_stream() {
    let mut file = Fixture::good().files[TEST_LABELS].clone();
    file.extend(b"more");
    assert!(matches!(
        problem(&Fixture::with(TEST_LABELS, file), TEST_LABELS),
        FileProblem::Gzip(GzipError::Trailing { count: 4 })
    ));
}

#[test]
fn nothing_may_follow_the_idx_data() {
    // One byte more is more than the expected size, so decompression stops there.
    let mut file = idx(&[TEST], &labels(TEST));
    file.push(0);
    assert!(matches!(
        problem(&Fixture::with(TEST_LABELS, gzip(&file)), TEST_LABELS),
        FileProblem::Gzip(GzipError::TooLong { limit: 10 })
    ));
}

#[test]
fn a_bomb_is_not_unpacked() {
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(matches!(
        problem(&Fixture::with(TRAIN_IMAGES, bomb), TRAIN_IMAGES),
        FileProblem::Gzip(GzipError::TooLong { .. })
    ));
}

#[test]
fn a_damaged_crc_is_refused() {
    let good = Fixture::good().files[TRAIN_IMAGES].clone();
    for byte in good.len() - 8..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 0x40;
        assert!(matches!(
            problem(&Fixture::with(TRAIN_IMAGES, bad), TRAIN_IMAGES),
            FileProblem::Gzip(GzipError::Damaged(_))
        ));
    }
}

#[test]
fn a_manifest_that_expects_more_than_memory_holds_is_an_error() {
    let mut fixture = Fixture::good();
    fixture.manifest.train_count = u32::MAX;
    assert!(matches!(
        problem(&fixture, TRAIN_LABELS),
        FileProblem::Idx(IdxError::Dimensions { .. } | IdxError::TooLarge(_))
    ));
}
