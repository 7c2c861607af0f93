//! What the optimisers share: the `rates` they read, their ranges, the parameters they are tried on.

use crate::cases::ErrorCase;
use crate::{Array, DType, Error, ErrorKind, Operation, Random, Real, TensorSpec};

/// `[lr, 1/(1-beta1^t), 1/sqrt(1-beta2^t), 0]`, as `schedule` writes it.
pub(super) fn rates_spec() -> TensorSpec {
    TensorSpec::plain([4])
}

/// The first three of `rates`.
pub(super) fn rates<T: Real>(op: &'static str, rates: &Array<T>) -> Result<[f64; 3], Error> {
    match rates.real() {
        [lr, first, second, ..] => Ok([lr.to_f64(), first.to_f64(), second.to_f64()]),
        _ => Err(Error::Mismatch {
            op,
            what: "`rates`".into(),
            got: format!("{:?} x {}", rates.dtype(), rates.len()),
            expected: rates_spec().to_string(),
        }),
    }
}

/// A parameter holds reals, at least one, and not past [`crate::MAX_ELEMENTS`].
pub(super) fn check_param(op: &'static str, spec: &TensorSpec) -> Result<(), Error> {
    if spec.dtype != DType::Real {
        return Err(Error::Mismatch { op, what: "param".into(), got: spec.to_string(), expected: "real".into() });
    }
    spec.check(op, "param")
}

/// A decay rate: `[0, 1)`. NaN is outside.
pub(super) fn check_fraction(op: &'static str, what: &'static str, got: f64) -> Result<(), Error> {
    if (0.0..1.0).contains(&got) {
        return Ok(());
    }
    Err(Error::OutOfRange { op, what, got, range: "at least 0 and below 1" })
}

/// A strength: 0 or more, and an `f32`. NaN is outside.
pub(super) fn check_not_negative(op: &'static str, what: &'static str, got: f64) -> Result<(), Error> {
    if (0.0..=f64::from(f32::MAX)).contains(&got) {
        return Ok(());
    }
    Err(Error::OutOfRange { op, what, got, range: "at least 0 and within f32" })
}

/// A guard against division by zero. A smaller one may be flushed to 0 on a device, and a weight
/// that has not seen a gradient yet would become 0/0.
pub(super) fn check_eps(op: &'static str, got: f64) -> Result<(), Error> {
    if (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&got) {
        return Ok(());
    }
    Err(Error::OutOfRange { op, what: "eps", got, range: "a normal positive f32, at least 1.2e-38" })
}

/// One element, around the vector and workgroup widths, and the layers of `lenet5`.
pub(super) fn parameters() -> Vec<TensorSpec> {
    let plain = [1, 3, 4, 5, 7, 8, 63, 64, 65, 256, 257, 260, 1000].map(|len| TensorSpec::plain([len]));
    let layers = [
        TensorSpec::filter(6, 1, 5, 5),
        TensorSpec::filter(16, 6, 5, 5),
        TensorSpec::filter(7, 5, 3, 1),
        TensorSpec::linear(84, 120),
        TensorSpec::linear(11, 13),
    ];
    plain.into_iter().chain(layers).collect()
}

/// What `new` must refuse of a parameter.
pub(super) fn param_errors<O: Operation>(new: impl Fn(TensorSpec) -> Result<O, Error>) -> Vec<ErrorCase> {
    use ErrorKind::{Mismatch, TooLarge, ZeroSize};
    vec![
        ErrorCase::new("empty", new(TensorSpec::plain([0])), ZeroSize, "param"),
        ErrorCase::new("empty filter", new(TensorSpec::filter(6, 0, 5, 5)), ZeroSize, "param"),
        ErrorCase::new("indices", new(TensorSpec::index([2])), Mismatch, "param"),
        ErrorCase::new("past i32", new(TensorSpec::linear(1 << 16, 1 << 15)), TooLarge, "param"),
        ErrorCase::new("past usize", new(TensorSpec::linear(usize::MAX, 2)), TooLarge, "param"),
    ]
}

/// A decay of weights: none, or any up to 1.
pub(super) fn random_decay(random: &mut Random) -> f64 {
    if random.one_in(2) { 0.0 } else { random.magnitude(1e-6, 1.0) }
}
