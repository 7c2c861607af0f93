//! Hostile files: whatever a file holds, it is loaded or refused with a typed error, and never at a price in memory.
//!
//! A few hundred damaged files of each format are tried; `cargo xtask faults` tries tens of thousands.
#![allow(clippy::unwrap_used)]

mod formats;
mod memory;
#[path = "../../../../tests/fuzz/targets.rs"]
mod targets;

use faults::{Random, campaign, record};
use formats::{FORMATS, Format};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use trainer::checkpoint::{Names, Store, decode};

/// What came of reading files.
#[derive(Default)]
struct Tally {
    accepted: u64,
    refused: u64,
    /// Memory in the worst case, and which that was.
    peak: usize,
    worst: String,
}

impl Tally {
    /// Reads one file and counts. `what` says how to make it again.
    fn read(&mut self, format: &Format, path: &Path, bytes: &[u8], small: bool, what: &str) {
        // Writing over a file waits for the disk on some file systems, a new one does not.
        let _ = fs::remove_file(path);
        fs::write(path, bytes).unwrap();
        let read = || memory::peak(|| (format.read)(path, small));
        let Ok((result, peak)) = catch_unwind(AssertUnwindSafe(read)) else {
            panic!("{}: reading panicked: {what}", format.name);
        };
        match result {
            Ok(()) => self.accepted += 1,
            Err(error) => {
                let text = error.to_string();
                assert!((1..4096).contains(&text.len()), "{}: {what}: {text:.200}", format.name);
                assert!(!text.contains(char::is_control), "{}: {what}: {text:?}", format.name);
                self.refused += 1;
            }
        }
        if peak > self.peak {
            (self.peak, self.worst) = (peak, format!("{what}, {} bytes", bytes.len()));
        }
    }

    /// What happened; fails if it took more than twice the verified size.
    fn told(&self, format: &Format, verified: usize) -> String {
        let Self { accepted, refused, peak, worst } = self;
        assert!(*peak <= 2 * verified, "{}: {peak} bytes of memory for {verified}: {worst}", format.name);
        let memory = match format.text {
            true => format!("{} KiB", peak.div_ceil(1024)),
            false => format!("{:.2} times the verified size", *peak as f64 / verified as f64),
        };
        format!("{refused} refused, {accepted} still valid, no panic; memory at most {memory}")
    }
}

#[test]
fn damaged_files_are_refused_or_valid() {
    let _alone = memory::alone();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(Store::FOLDER)).unwrap();
    for format in FORMATS {
        let id = format!("{}-damage", format.name);
        let good = (format.good)();
        let path = folder.path().join(format.file);
        let mut tally = Tally::default();
        tally.read(format, &path, &good, false, "undamaged");
        assert_eq!(tally.accepted, 1, "{}: the good file is refused", format.name);
        tally.accepted = 0;
        let times = campaign(&id).times();
        for seed in 0..times {
            let (bytes, damage) = (format.damage)(&good, &mut Random::new(seed));
            tally.read(format, &path, &bytes, false, &format!("seed {seed}, {damage:?}"));
        }
        record(&id, times, &tally.told(format, (format.verified)(&good)));
    }
}

#[test]
fn files_cut_at_every_byte_are_refused_or_valid() {
    let _alone = memory::alone();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(Store::FOLDER)).unwrap();
    let (mut cuts, mut accepted) = (0, 0);
    for format in FORMATS {
        let good = (format.small)();
        let path = folder.path().join(format.file);
        let mut tally = Tally::default();
        for end in 0..good.len() {
            tally.read(format, &path, &good[..end], true, &format!("cut at {end}"));
        }
        assert!(format.text || tally.accepted == 0, "{}: {} cut files pass", format.name, tally.accepted);
        cuts += good.len() as u64;
        accepted += tally.accepted;
    }
    let names: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
    let whole = format!("all refused but {accepted} texts that are whole without their end");
    record("truncation", cuts, &format!("{}: {whole}", names.join(", ")));
}

/// A run whose newest checkpoint is damaged goes on from the one before, and says so.
#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let id = "checkpoint-fallback";
    let _alone = memory::alone();
    let run = tempfile::tempdir().unwrap();
    let mut store = Store::create(run.path()).unwrap();
    let mut checkpoint = formats::checkpoint(&targets::parameters());
    store.save(&checkpoint, Names::Last).unwrap();
    let before = checkpoint.clone();
    checkpoint.snapshot.state.steps += 1;
    store.save(&checkpoint, Names::Last).unwrap();
    let last = run.path().join(Store::FOLDER).join("last.safetensors");
    let good = fs::read(&last).unwrap();
    let times = campaign(id).times();
    let mut harmless = 0;
    for seed in 0..times {
        let (bytes, damage) = faults::damaged(&good, &mut Random::new(seed));
        fs::write(&last, &bytes).unwrap();
        let (_, found) = Store::load(run.path(), 1 << 20, |_| Ok(())).unwrap();
        if found.path == last {
            // In a blank, say.
            assert!(decode(&bytes).unwrap() == checkpoint, "seed {seed}, {damage:?}: another checkpoint passes");
            harmless += 1;
        } else {
            assert!(found.path.ends_with("previous.safetensors") && found.checkpoint == before, "seed {seed}");
            assert_eq!(found.refused.len(), 1, "seed {seed}: it is not said that `last` was refused");
        }
    }
    let refused = times - harmless;
    let told = format!(
        "{refused} times the one before was taken, and it was said why; {harmless} times the damage was harmless"
    );
    record(id, times, &told);
}

/// Text is parsed into something many times as large. So it may not be long, or hold too much.
#[test]
fn texts_that_swell_are_refused_at_a_bounded_price() {
    let _alone = memory::alone();
    let folder = tempfile::tempdir().unwrap();
    for format in FORMATS.iter().filter(|format| format.text) {
        let good = (format.good)();
        let verified = (format.verified)(&good);
        let path = folder.path().join(format.file);
        let mut tally = Tally::default();
        for (begin, piece) in [
            ("x = [", "0,"),
            ("x = [", "[],"),
            ("x = [", "{},"),
            ("x = [", "{a=1},"),
            ("x = ", "["),
            ("x = ", "{a="),
            ("", "a."),
            ("", "[[layers]]\n"),
            ("", "[a]\n"),
            ("", "#\n"),
            ("", "\n"),
            ("", " "),
            ("", "y "),
            ("x = [", "0 "),
            ("x = 0", "_0"),
            ("x = \"\"\"", "\"\" "),
            ("x = \"", "\\n"),
            ("x = \"", "y"),
            ("", "=\n"),
            ("", "\"\"="),
        ] {
            let mut text = begin.to_owned();
            // Up to the limits, and beyond them.
            for limit in [1, 4, 16].map(|times| times * formats::TEXT_LIMIT) {
                while text.len() + piece.len() <= limit {
                    text.push_str(piece);
                }
                tally.read(format, &path, text.as_bytes(), false, piece);
            }
        }
        // Every line another key.
        let mut text = String::new();
        for number in 0.. {
            let line = format!("a{number}=0\n");
            if text.len() + line.len() > 4 * formats::TEXT_LIMIT {
                break;
            }
            text.push_str(&line);
        }
        tally.read(format, &path, text.as_bytes(), false, "keys");
        assert_eq!(tally.accepted, 0, "{}", format.name);
        println!("{}: {} ({})", format.name, tally.told(format, verified), tally.worst);
    }
}

/// Every file of the corpus does what the fuzz target of its folder demands.
#[test]
fn the_fuzz_corpus_keeps_every_promise() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus");
    let mut files = 0;
    for (target, run) in targets::TARGETS {
        let mut of_target = 0;
        for entry in fs::read_dir(corpus.join(target)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            assert!(catch_unwind(|| run(&bytes)).is_ok(), "{}", path.display());
            of_target += 1;
        }
        assert!(of_target >= 3, "the corpus of {target} has {of_target} files");
        files += of_target;
    }
    record("corpus", files, "replayed through the fuzz targets; no panic");
}

/// The targets are the ones that `cargo fuzz` knows.
#[test]
fn every_fuzz_target_is_listed() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz");
    let manifest: toml::Table = toml::from_str(&fs::read_to_string(fuzz.join("Cargo.toml")).unwrap()).unwrap();
    let listed: Vec<&str> =
        manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap()).collect();
    let known: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, known);
}

/// The table of the page on reliability has a row for every campaign, with the full count or more.
#[test]
fn the_page_on_reliability_lists_every_campaign() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/RELIABILITY.md");
    let rows = faults::rows(&fs::read_to_string(page).unwrap()).unwrap();
    let listed: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let known: Vec<&str> = faults::CAMPAIGNS.iter().map(|campaign| campaign.id).collect();
    assert_eq!(listed, known, "run `cargo xtask faults`");
    for (row, campaign) in rows.iter().zip(faults::CAMPAIGNS) {
        assert!(row.times >= campaign.full, "{}: {} times of {}", row.id, row.times, campaign.full);
    }
}
