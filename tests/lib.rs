//! Numeric parity. The tests are in `tests/tests`; here is what they share.

pub mod agreement;
pub mod altered;
pub mod lanes;
pub mod planted;
pub mod way;

use kernels::{Gpu, Options};
use std::sync::OnceLock;

/// The one device all tests of a program share: a pipeline's first dispatch on a software adapter
/// costs half a second, so pipelines are worth keeping.
///
/// # Panics
///
/// Without an adapter: a test that ran nothing must not pass.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| {
        let options = Options { poison: true, ..Options::default() };
        match pollster::block_on(Gpu::open(&options)) {
            Ok(gpu) => gpu,
            Err(error) => panic!("{error}"),
        }
    })
}
