//! A thin autograd tape over the Selvedge kernels, or over their CPU reference.
//!
//! The tape is define-by-run: [`Tape::apply`] runs an operation and notes what it read; walking the
//! notes backwards, [`Tape::backward`] runs the backward directions. It knows no operation by name:
//! the argument names of [`reference::Operation::signature`] say which gradient belongs to which
//! input. The same code runs on a GPU and on the reference; [`Device`] decides.

mod clip;
mod device;
mod error;
mod functions;
mod optimizer;
mod rescale;
mod tape;

pub use clip::{clip_norm, clip_value};
pub use device::{Arena, Device, Tensor};
pub use error::Error;
pub use kernels::Element;
pub use optimizer::Optimizer;
pub use rescale::rescale;
pub use tape::{Gradients, Tape, Var};
