//! What can be wrong with the data. Each message says what, where and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The data could not be had. Nothing was half loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file in a folder that was named explicitly is missing or damaged.
    #[error(
        "{}: {problem}; {setting} names this folder, so nothing else was tried: put the four official .gz files of \
         Fashion-MNIST there, or leave {setting} out to use the cache or a download",
        path.display()
    )]
    Directory {
        /// What named the folder: `--data-dir` or `FASHION_MNIST_DIR`.
        setting: &'static str,
        /// The offending file.
        path: PathBuf,
        /// What is wrong with it.
        problem: FileProblem,
    },
    /// A file is not in the cache (or is damaged there) and could not be downloaded.
    #[error("{}: {problem}; {download}", path.display())]
    Unavailable {
        /// The file in the cache folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: FileProblem,
        /// Why a download did not help.
        download: DownloadError,
    },
    /// There is no folder to cache a download in.
    #[error(
        "no cache folder: neither XDG_CACHE_HOME nor a home folder is known; set XDG_CACHE_HOME, or pass --data-dir"
    )]
    NoCacheFolder,
    /// The variable that makes the stand-in smaller holds something else.
    #[error(
        "{}={given}: expected how many images to train on and to test with, such as 200,100; at most 60000,10000",
        crate::STAND_IN_VARIABLE
    )]
    StandInSize {
        /// What it holds.
        given: String,
    },
}

/// What is wrong with one file.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// There is no such file.
    #[error("no such file")]
    Missing,
    /// The path is a folder, a device or a pipe.
    #[error("not a regular file")]
    NotAFile,
    /// The operating system would not let it be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// The size is not the official one. The file was not loaded.
    #[error("has {found} bytes, the official file has {expected}")]
    Size {
        /// Bytes of the official file.
        expected: u64,
        /// Bytes found (where the file grew while it was read: at least this many).
        found: u64,
    },
    /// The contents are not the official ones.
    #[error("has sha256 {found}, the official file has {expected}")]
    Hash {
        /// sha256 of the official file, in hex.
        expected: String,
        /// sha256 found, in hex.
        found: String,
    },
    /// The gzip layer is damaged.
    #[error(transparent)]
    Gzip(#[from] GzipError),
    /// The IDX layer is damaged.
    #[error(transparent)]
    Idx(#[from] IdxError),
}

/// What is wrong with a gzip stream.
#[derive(Debug, thiserror::Error)]
pub enum GzipError {
    /// Bad header, bad deflate data, bad CRC or length, or cut short.
    #[error("damaged gzip stream: {0}")]
    Damaged(io::Error),
    /// It unpacks to more than the expected bytes; decompression stopped there.
    #[error("gzip stream unpacks to more than the expected {limit} bytes")]
    TooLong {
        /// Bytes expected at most.
        limit: u64,
    },
    /// Something follows the gzip member.
    #[error("{count} bytes follow the gzip stream")]
    Trailing {
        /// How many bytes follow.
        count: usize,
    },
}

/// What is wrong with an IDX file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdxError {
    /// The file ends early.
    #[error("IDX data is cut short: {found} bytes of {expected}")]
    Truncated {
        /// Bytes needed.
        expected: usize,
        /// Bytes present.
        found: usize,
    },
    /// Not IDX, not bytes, or another number of dimensions.
    #[error("IDX magic is {found:#010x}, expected {expected:#010x}")]
    Magic {
        /// The magic for unsigned bytes with the expected number of dimensions.
        expected: u32,
        /// The magic found.
        found: u32,
    },
    /// The dimensions are not the expected ones.
    #[error("IDX dimensions are {found:?}, expected {expected:?}")]
    Dimensions {
        /// Dimensions expected.
        expected: Vec<u32>,
        /// Dimensions found.
        found: Vec<u32>,
    },
    /// The expected dimensions multiply to more than this machine can address.
    #[error("IDX dimensions {0:?} are too large")]
    TooLarge(Vec<u32>),
    /// Something follows the last element.
    #[error("{count} bytes follow the IDX data")]
    Trailing {
        /// How many bytes follow.
        count: usize,
    },
    /// A label names no class.
    #[error("label {label} at index {index} is not below 10")]
    Label {
        /// Index of the label.
        index: usize,
        /// Its value.
        label: u8,
    },
}

/// Why a download gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Download was switched off.
    #[error("download is switched off: put the official file there, or allow the download")]
    Offline,
    /// The cache folder cannot be written.
    #[error(
        "cannot write to the cache folder {}: {error}; set XDG_CACHE_HOME to a folder that can be written",
        path.display()
    )]
    Cache {
        /// The cache folder.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// No mirror gave a good file.
    #[error("no mirror gave a good file ({}); check the network, or put the official file there", Joined(.0))]
    Mirrors(Vec<MirrorFailure>),
    /// The file passed its check on arrival but not when it was read back.
    #[error("the file was downloaded and verified, but another program has changed it since; try again")]
    Changed,
}

/// One mirror's failure.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {error}")]
pub struct MirrorFailure {
    /// What was asked for.
    pub url: String,
    /// What came back.
    pub error: MirrorError,
}

/// Why one mirror did not give the file.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// An HTTP status other than success.
    #[error("HTTP status {0}")]
    Status(u16),
    /// A time limit ran out; the text says which.
    #[error("time limit ran out ({0})")]
    Timeout(String),
    /// More redirects than allowed.
    #[error("too many redirects")]
    Redirects,
    /// No connection, TLS failure, protocol error.
    #[error("{0}")]
    Transport(Box<ureq::Error>),
    /// The body is, or is announced to be, of another size.
    #[error("sent {found} bytes, expected {expected}")]
    Size {
        /// Bytes of the official file.
        expected: u64,
        /// Bytes announced or received (reading stops one byte past the expected size).
        found: u64,
    },
    /// The body is not the official file.
    #[error("sent a file with sha256 {found}, expected {expected}")]
    Hash {
        /// sha256 of the official file, in hex.
        expected: String,
        /// sha256 received, in hex.
        found: String,
    },
    /// The file could not be stored in the cache folder.
    #[error("cannot store the file: {0}")]
    Store(io::Error),
}

/// Failures on one line.
struct Joined<'a>(&'a [MirrorFailure]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the list of mirrors is empty");
        }
        for (i, failure) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{failure}")?;
        }
        Ok(())
    }
}
