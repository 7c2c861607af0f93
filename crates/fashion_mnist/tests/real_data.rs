//! The official files, where `FASHION_MNIST_DIR` names them.
#![allow(clippy::unwrap_used)]

use fashion_mnist::{DIRECTORY_VARIABLE, DatasetName, Finder, Source};

#[test]
fn the_official_files_are_as_published() {
    if std::env::var_os(DIRECTORY_VARIABLE).is_none_or(|folder| folder.is_empty()) {
        eprintln!("skipped: {DIRECTORY_VARIABLE} is not set");
        return;
    }
    let data = Finder::new(Source::Auto).find(&mut |_| ()).unwrap();
    assert_eq!(data.name, DatasetName::FashionMnist);
    assert_eq!(data.train.class_counts(), [6000; 10]);
    assert_eq!(data.test.class_counts(), [1000; 10]);
    assert_eq!(data.train.images().len(), 60_000 * 784);
    assert_eq!(data.test.images().len(), 10_000 * 784);
    // The first labels, and the mean pixel, as every report quotes them: ankle boot, T-shirt, T-shirt, dress; 0.2860.
    assert_eq!(data.train.labels()[..4], [9, 0, 0, 3]);
    let sum: u64 = data.train.images().iter().map(|&pixel| u64::from(pixel)).sum();
    let mean = sum as f64 / (60_000.0 * 784.0 * 255.0);
    assert!((mean - 0.2860).abs() < 1e-4, "{mean}");
}
