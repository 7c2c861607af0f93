//! The contract of every Selvedge operation, executable on the CPU.
//!
//! An operation is a descriptor (`ops::Conv2d`, `ops::BatchNorm`, …) that knows its shapes, says
//! which arguments each direction reads and writes, and computes every direction in plain loops
//! with `f64` accumulators. The GPU kernels are judged against it, the tape differentiates through
//! it, and training can run on it where no GPU is at hand.
//!
//! Outside the GPU every tensor is in PyTorch's layout: images NCHW, filters OIHW, dense weights
//! `[out, in]`.

pub mod axis;
pub mod cases;
mod error;
mod operation;
pub mod ops;
pub mod philox;
mod random;
mod real;
mod tensor;
pub mod tolerance;

pub use axis::{Axis, Window};
pub use error::{Error, ErrorKind};
pub use operation::{Access, Arg, Contract, Direction, Domain, Operation, wrong_arguments};
pub use random::Random;
pub use real::Real;
pub use tensor::{Array, DType, Layout, TensorSpec};

/// Largest number of elements in one tensor: shader indices are 32-bit and padding makes them signed.
pub const MAX_ELEMENTS: usize = i32::MAX as usize;
