//! The files that make up the data set, and what they must look like.

use crate::dataset::SIDE;

/// One file, as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// File name, the same on every mirror.
    pub name: String,
    /// Size of the compressed file in bytes.
    pub size: u64,
    /// sha256 of the compressed file, in lower-case hex.
    pub sha256: String,
}

/// The four files and how many images they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Images (and labels) in the training split.
    pub train_count: u32,
    /// Images (and labels) in the test split.
    pub test_count: u32,
    /// Training images.
    pub train_images: FileSpec,
    /// Training labels.
    pub train_labels: FileSpec,
    /// Test images.
    pub test_images: FileSpec,
    /// Test labels.
    pub test_labels: FileSpec,
}

impl Manifest {
    /// The official files, as published by Zalando Research.
    pub fn official() -> Self {
        let file = |name: &str, size, sha256: &str| FileSpec { name: name.to_owned(), size, sha256: sha256.to_owned() };
        Self {
            train_count: 60_000,
            test_count: 10_000,
            train_images: file(
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            train_labels: file(
                "train-labels-idx1-ubyte.gz",
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            test_images: file(
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            test_labels: file(
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        }
    }

    /// The files with the dimensions they must have, small ones first: a folder that cannot work should fail fast.
    pub(crate) fn files(&self) -> [(&FileSpec, Vec<u32>); 4] {
        [
            (&self.train_labels, vec![self.train_count]),
            (&self.test_labels, vec![self.test_count]),
            (&self.test_images, image_dims(self.test_count)),
            (&self.train_images, image_dims(self.train_count)),
        ]
    }
}

fn image_dims(count: u32) -> Vec<u32> {
    vec![count, SIDE as u32, SIDE as u32]
}
