use std::time::Duration;

/// Why a device could not be opened, or why it could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter fits what was asked for.
    #[error("no GPU adapter found ({reason}). {advice}")]
    NoAdapter {
        /// What each backend said.
        reason: String,
        /// What to install or change.
        advice: &'static str,
    },
    /// The adapter refused to open a device.
    #[error("adapter `{adapter}` did not open a device: {reason}")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// What it said.
        reason: String,
    },
    /// A shader does not parse, validate or match its row.
    #[error("{path}: {message}")]
    Shader {
        /// The file below `shaders/`.
        path: String,
        /// What is wrong, with line and caret where the compiler gave them.
        message: String,
    },
    /// A kernel row cannot compute this problem.
    #[error("kernel `{id}` does not accept this problem: {reason}")]
    NotAccepted {
        /// The row.
        id: &'static str,
        /// Why not.
        reason: String,
    },
    /// The device cannot run a row.
    #[error("kernel `{id}` does not run on this device: {reason}")]
    NotSupported {
        /// The row.
        id: &'static str,
        /// What is missing.
        reason: String,
    },
    /// No row of an operation serves a problem on this device.
    #[error("no kernel for `{op}.{direction}` runs this problem here: {reasons}")]
    NoKernel {
        /// The operation.
        op: &'static str,
        /// The direction.
        direction: &'static str,
        /// Each row's reason.
        reasons: String,
    },
    /// An argument does not fit its place in the signature.
    #[error("{op}: {what} is {got}, expected {expected}")]
    Mismatch {
        /// The operation.
        op: &'static str,
        /// The argument.
        what: String,
        /// What was given.
        got: String,
        /// What was needed.
        expected: String,
    },
    /// A dispatch exceeds the device's workgroup count.
    #[error(
        "kernel `{id}` would need {groups:?} workgroups but the device allows {limit} along each dimension; use a smaller batch"
    )]
    GridTooLarge {
        /// The row.
        id: &'static str,
        /// Workgroups along x, y, z.
        groups: [u64; 3],
        /// The device's limit.
        limit: u32,
    },
    /// A buffer is larger than the device can bind.
    #[error("{name} takes a buffer of {bytes} bytes, which exceeds the device's limit of {limit}; use a smaller batch")]
    BufferTooLarge {
        /// What for.
        name: String,
        /// What was asked for.
        bytes: u64,
        /// The device's limit.
        limit: u64,
    },
    /// The device has no memory left.
    #[error(
        "out of device memory: {name} takes {bytes} bytes, {live} are in use (the largest: {largest}); use a smaller batch"
    )]
    OutOfMemory {
        /// What for.
        name: String,
        /// What was asked for.
        bytes: u64,
        /// What this device had allocated by then.
        live: u64,
        /// What most of that is for, with bytes.
        largest: String,
    },
    /// The device is gone: a driver crash, an unplugged card, a reset.
    #[error("the device was lost: {0}")]
    DeviceLost(String),
    /// The device did not finish in time.
    #[error("the device did not finish within {0:?}; it may hang, or the machine be overloaded")]
    Timeout(Duration),
    /// wgpu reported an error in what was recorded: a defect of this library.
    #[error("the graphics API refused a command: {0}")]
    Validation(String),
    /// The device cannot time dispatches.
    #[error("the device has no timestamp queries, so dispatches cannot be timed one by one")]
    NoTimestamps,
    /// Something that needs the device to run was asked of a recording.
    #[error("cannot {0} while recording a plan: nothing runs before it is replayed")]
    Recording(&'static str),
    /// The table of measured choices that comes along is damaged.
    #[error("the built-in table of kernel choices: {0}")]
    Tuned(#[from] crate::tuned::TunedError),
    /// A descriptor is impossible.
    #[error(transparent)]
    Operation(#[from] reference::Error),
}
