/// Why a descriptor cannot exist or cannot run on what it was given.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size that must be at least 1 is 0.
    #[error("{op}: {what} is 0; it must be at least 1")]
    ZeroSize {
        /// The operation.
        op: &'static str,
        /// The size, by its name in the descriptor.
        what: &'static str,
    },
    /// The (dilated) kernel does not fit into the padded input.
    #[error(
        "{op}: along {axis} the kernel spans {span} elements but the padded input has {padded}; \
         pad more or use a smaller kernel"
    )]
    KernelTooLarge {
        /// The operation.
        op: &'static str,
        /// `h` or `w`.
        axis: &'static str,
        /// `dilation * (kernel - 1) + 1`.
        span: usize,
        /// `size_in + 2 * pad`.
        padded: usize,
    },
    /// A product of sizes exceeds [`crate::MAX_ELEMENTS`].
    #[error("{op}: {what} has more than {max} elements; use a smaller batch or image", max = crate::MAX_ELEMENTS)]
    TooLarge {
        /// The operation.
        op: &'static str,
        /// The tensor or size.
        what: &'static str,
    },
    /// Two things that must agree do not.
    #[error("{op}: {what} is {got}, expected {expected}")]
    Mismatch {
        /// The operation.
        op: &'static str,
        /// What disagrees.
        what: String,
        /// What was given.
        got: String,
        /// What was needed.
        expected: String,
    },
    /// A number outside of its range.
    #[error("{op}: {what} is {got}; it must be {range}")]
    OutOfRange {
        /// The operation.
        op: &'static str,
        /// The number's name.
        what: &'static str,
        /// What was given.
        got: f64,
        /// The allowed range in words.
        range: &'static str,
    },
}

/// The variants of [`Error`], without what they carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// [`Error::ZeroSize`]
    ZeroSize,
    /// [`Error::KernelTooLarge`]
    KernelTooLarge,
    /// [`Error::TooLarge`]
    TooLarge,
    /// [`Error::Mismatch`]
    Mismatch,
    /// [`Error::OutOfRange`]
    OutOfRange,
}

impl Error {
    /// The same error, of another operation: one that contains the first.
    pub(crate) fn of(mut self, name: &'static str) -> Self {
        match &mut self {
            Self::ZeroSize { op, .. }
            | Self::KernelTooLarge { op, .. }
            | Self::TooLarge { op, .. }
            | Self::Mismatch { op, .. }
            | Self::OutOfRange { op, .. } => *op = name,
        }
        self
    }

    /// Which variant it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::ZeroSize { .. } => ErrorKind::ZeroSize,
            Self::KernelTooLarge { .. } => ErrorKind::KernelTooLarge,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Mismatch { .. } => ErrorKind::Mismatch,
            Self::OutOfRange { .. } => ErrorKind::OutOfRange,
        }
    }
}
