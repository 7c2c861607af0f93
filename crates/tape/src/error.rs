/// Why the tape could not record or differentiate.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A descriptor is impossible, or does not fit its arguments.
    #[error(transparent)]
    Operation(#[from] reference::Error),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] kernels::Error),
    /// Tensors of two devices were mixed.
    #[error("{op}: argument `{arg}` lives on another device")]
    OtherDevice {
        /// The operation.
        op: &'static str,
        /// The argument.
        arg: &'static str,
    },
    /// A value of another tape was used.
    #[error("{op}: an argument was recorded on another tape")]
    OtherTape {
        /// The operation.
        op: &'static str,
    },
    /// A backward direction asks for an argument that nothing provides.
    #[error(
        "{op}: `{direction}` needs `{arg}`, which is neither an argument of `fwd` nor the result of an earlier direction"
    )]
    MissingArgument {
        /// The operation.
        op: &'static str,
        /// The direction.
        direction: &'static str,
        /// The argument.
        arg: &'static str,
    },
    /// `backward` was called on something that is not a single number.
    #[error("backward starts from one number, not from {0}; take its mean or sum first")]
    NotAScalar(String),
}
