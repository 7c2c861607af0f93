//! Hand-written WGSL compute kernels and what launches them.
//!
//! Every operation of [`mod@reference`] has a table of kernel rows (`ops/<op>.rs`), from `naive` to the
//! best; `shaders/<op>/` holds their code. [`Gpu`] opens a device, keeps pipelines and memory, picks
//! a row for a problem and launches it. Nothing here needs a thread, a file or a clock: what waits
//! is `async`.
//!
//! Another crate adds kernels of its own by [`Options::rows`]; `examples/custom_kernel.rs` shows how.

mod adapter;
pub mod check;
mod edited;
mod error;
mod gpu;
pub mod grid;
pub mod kernel;
mod layout;
pub mod measure;
mod memory;
pub mod ops;
pub mod probe;
mod shader;
pub mod shared;
pub mod storage;
pub mod tuned;

pub use adapter::{Wish, adapters};
pub use edited::edited;
pub use error::Error;
pub use gpu::{Clock, Fusion, Gpu, Options, Plan, Sample, Timing};
pub use kernel::{Kernel, Needs, Overrides, Prefer, Row, Scratch, Source, Stage, Summation, Table, custom};
pub use measure::{ClockKind, Measured, Percentiles};
pub use memory::{Tensor, Transient};
pub use shader::{Binding, BindingKind, Resources, Shader};
pub use storage::{Element, Storage};
pub use tuned::{Class, Tuned, Tuning};
pub use wgpu;
