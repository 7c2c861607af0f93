use std::fmt::Debug;

/// A floating-point type the reference can run in: `f32` as the kernels do, `f64` for finite
/// differences. Sums are always carried in `f64`.
pub trait Real: Copy + Debug + Default + PartialOrd + Send + Sync + 'static {
    /// The value as `f64`, exactly.
    fn to_f64(self) -> f64;
    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
}

impl Real for f32 {
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}

impl Real for f64 {
    fn to_f64(self) -> f64 {
        self
    }
    fn from_f64(value: f64) -> Self {
        value
    }
}
