//! What the crate hands out: images, labels, and where they came from.

use std::fmt;
use std::path::PathBuf;

/// Height and width of an image in pixels.
pub const SIDE: usize = 28;

/// Pixels of one image.
pub const PIXELS: usize = SIDE * SIDE;

/// Class names in label order.
pub const CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// Which data this is. Goes into every output of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatasetName {
    /// The four official files, verified by hash.
    FashionMnist,
    /// The procedural stand-in. Its figures are not comparable with any published ones.
    Synthetic,
}

impl DatasetName {
    /// `fashion-mnist` or `synthetic`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FashionMnist => "fashion-mnist",
            Self::Synthetic => "synthetic",
        }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where the data came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Read from a folder somebody named.
    Directory(PathBuf),
    /// Read from the cache folder; nothing was downloaded.
    Cache(PathBuf),
    /// At least one file was downloaded into this cache folder.
    Download(PathBuf),
    /// Drawn by code, for this reason.
    StandIn {
        /// Why the real data was not used: asked for, or what went wrong.
        reason: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Cache(path) => write!(f, "{} (cache)", path.display()),
            Self::Download(path) => write!(f, "{} (downloaded)", path.display()),
            Self::StandIn { reason } => write!(f, "drawn by code: {reason}"),
        }
    }
}

/// Images with their labels. Image `i` has label `i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    images: Vec<u8>,
    labels: Vec<u8>,
}

impl Split {
    /// The caller guarantees `images.len() == labels.len() * PIXELS` and labels below 10.
    pub(crate) fn new(images: Vec<u8>, labels: Vec<u8>) -> Self {
        debug_assert_eq!(images.len(), labels.len() * PIXELS);
        Self { images, labels }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// All pixels, `[n, 28, 28]` row-major. 0 is background, 255 full ink.
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels, each below 10.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The 784 pixels of image `index`, row-major.
    pub fn image(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_mul(PIXELS)?;
        self.images.get(start..start.checked_add(PIXELS)?)
    }

    /// The label of image `index`.
    pub fn label(&self, index: usize) -> Option<u8> {
        self.labels.get(index).copied()
    }

    /// How many images each class has.
    pub fn class_counts(&self) -> [usize; 10] {
        let mut counts = [0; 10];
        for &label in &self.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    }

    /// Gives up the pixels and the labels, without a copy.
    pub fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.images, self.labels)
    }
}

/// The training and the test split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Which data this is.
    pub name: DatasetName,
    /// Where it came from.
    pub origin: Origin,
    /// 60,000 images.
    pub train: Split,
    /// 10,000 images.
    pub test: Split,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accessors_stay_in_bounds() {
        let split = Split::new(vec![7; 2 * PIXELS], vec![3, 9]);
        assert_eq!(split.len(), 2);
        assert_eq!(split.image(1).map(<[u8]>::len), Some(PIXELS));
        assert_eq!(split.image(2), None);
        assert_eq!(split.image(usize::MAX), None);
        assert_eq!(split.label(1), Some(9));
        assert_eq!(split.label(2), None);
        assert_eq!(split.class_counts()[9], 1);
    }

    #[test]
    fn names_as_written_into_outputs() {
        assert_eq!(DatasetName::FashionMnist.to_string(), "fashion-mnist");
        assert_eq!(DatasetName::Synthetic.to_string(), "synthetic");
    }
}
