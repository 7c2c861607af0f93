//! When the stand-in is used, and that it is never quiet about it.
#![allow(clippy::unwrap_used)]

mod common;

use std::fmt::Debug;
use std::fs;
use std::sync::{Arc, Mutex};

use common::{Fixture, Server};
use fashion_mnist::{Dataset, DatasetName, Finder, Manifest, Origin, Source};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// Collects warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Visit for &Warnings {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        self.0.lock().unwrap().push(format!("{value:?}"));
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut &*self);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn find(finder: &Finder) -> (Dataset, Vec<String>) {
    let warnings = Warnings::default();
    let data = tracing::subscriber::with_default(warnings.clone(), || finder.find(&mut |_| ())).unwrap();
    let warnings = warnings.0.lock().unwrap().clone();
    (data, warnings)
}

/// Checks that this is the stand-in and returns why.
fn reason(data: &Dataset, warnings: &[String]) -> String {
    assert_eq!(data.name, DatasetName::Synthetic);
    assert_eq!(data.train.len(), common::TRAIN as usize);
    assert_eq!(data.test.len(), common::TEST as usize);
    let Origin::StandIn { reason } = &data.origin else {
        panic!("{:?}", data.origin);
    };
    assert!(warnings.iter().any(|w| w.contains("not Fashion-MNIST") && w.contains(reason)), "{warnings:?}");
    reason.clone()
}

#[test]
fn asked_for() {
    let fixture = Fixture::good();
    let (data, warnings) = find(&fixture.finder(Source::Synthetic));
    assert_eq!(reason(&data, &warnings), "asked for");
}

#[test]
fn empty_cache_and_offline() {
    let cache = tempfile::tempdir().unwrap();
    let mut finder = Fixture::good().finder(Source::Auto);
    finder.allow_stand_in = true;
    finder.cache_directory = Some(cache.path().to_owned());
    let (data, warnings) = find(&finder);
    let reason = reason(&data, &warnings);
    assert!(reason.contains("no such file") && reason.contains("switched off"), "{reason}");
    assert_eq!(warnings.len(), 1);
}

#[test]
fn damaged_cache_and_offline_names_the_file() {
    let fixture = Fixture::good();
    let cache = tempfile::tempdir().unwrap();
    fixture.write_to(cache.path());
    let name = fixture.names()[0];
    let mut bytes = fixture.files[0].clone();
    bytes[40] ^= 1;
    fs::write(cache.path().join(name), bytes).unwrap();
    let mut finder = fixture.finder(Source::Auto);
    finder.allow_stand_in = true;
    finder.cache_directory = Some(cache.path().to_owned());
    let (data, warnings) = find(&finder);
    let reason = reason(&data, &warnings);
    assert!(reason.contains(name) && reason.contains("sha256") && reason.contains("switched off"), "{reason}");
    assert!(warnings.iter().any(|w| w.contains("is not used") && w.contains(name)), "{warnings:?}");
}

#[test]
fn damaged_cache_is_warned_about_and_downloaded_again() {
    let fixture = Fixture::good();
    let server = Server::start(&fixture);
    let cache = tempfile::tempdir().unwrap();
    fixture.write_to(cache.path());
    let path = cache.path().join(fixture.names()[2]);
    fs::write(&path, "damaged").unwrap();
    let mut finder = fixture.finder(Source::Auto);
    finder.offline = false;
    finder.cache_directory = Some(cache.path().to_owned());
    finder.download.mirrors = vec![server.mirror("good")];
    let (data, warnings) = find(&finder);
    fixture.check(&data);
    assert_eq!(data.name, DatasetName::FashionMnist);
    assert!(warnings.iter().any(|w| w.contains("is not used")), "{warnings:?}");
    assert_eq!(fs::read(path).unwrap(), fixture.files[2]);
}

#[test]
fn no_mirror_answers() {
    let cache = tempfile::tempdir().unwrap();
    let fixture = Fixture::good();
    let server = Server::start(&fixture);
    let mut finder = fixture.finder(Source::Auto);
    finder.offline = false;
    finder.allow_stand_in = true;
    finder.cache_directory = Some(cache.path().to_owned());
    finder.download.mirrors = vec![server.mirror("403"), server.mirror("503")];
    let (data, warnings) = find(&finder);
    let reason = reason(&data, &warnings);
    assert!(reason.contains("403") && reason.contains("503"), "{reason}");
    // One file is enough to know.
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn the_usual_settings() {
    let finder = Finder::new(Source::default());
    assert_eq!(finder.source, Source::Auto);
    assert_eq!(finder.manifest, Manifest::official());
    assert!(finder.allow_stand_in && !finder.offline);
    assert_eq!(finder.download.mirrors.len(), 3);
    if let Some(cache) = finder.cache_directory {
        assert!(cache.ends_with("selvedge/fashion-mnist"));
    }
}

#[test]
fn the_stand_in_can_be_smaller_and_says_so() {
    let fixture = Fixture::good();
    let sized = |size: &str| Finder { stand_in_size: Some(size.to_owned()), ..fixture.finder(Source::Synthetic) };
    let (data, warnings) = find(&sized("2, 1"));
    assert_eq!((data.train.len(), data.test.len()), (2, 1));
    assert!(warnings.iter().any(|w| w.contains("only 2 + 1 images (SELVEDGE_STAND_IN)")), "{warnings:?}");
    for wrong in ["2", "2,1,1", "0,1", "2,0", "x,1", "-2,1", "2,1.5", "4,1", "2,3"] {
        let error = sized(wrong).find(&mut |_| ()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("SELVEDGE_STAND_IN={wrong}: expected ")), "{error}");
    }
}
