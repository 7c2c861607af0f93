//! Random Fourier features: the cosine that follows a random dense layer.

use crate::cases::{Case, Cases, ErrorCase, label};
use crate::{
    Arg, Array, Contract, DType, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `y = scale * cos(x)`; `dx = -scale * sin(x) * dy`.
///
/// With `x = v W + b` from a dense layer that is not trained, `W` drawn from N(0, 2*gamma), `b` from
/// U[0, 2*pi) and `scale = sqrt(2 / features)`, the inner product of two rows of `y` estimates the
/// Gaussian kernel `exp(-gamma * |v - v'|^2)`, so that a linear classifier over `y` is one with that
/// kernel over `v`. [`FourierFeatures::scale_for`] gives the scale.
///
/// - Shapes: `x` and `y` of any one real shape.
/// - Writes: `y`, `dx`, both `=`.
/// - Numerics: `f64`, rounded once. On a device whole turns are taken off in three parts and the rest
///   goes through a polynomial: within 1e-6 times `scale` for `|x|` up to 50,000, and worse beyond, where
///   neighbouring `f32` are far apart anyway. Infinity and NaN give NaN.
/// - Errors: an empty tensor, one of indices, one past [`crate::MAX_ELEMENTS`], a scale that is not
///   above 0 and finite.
/// - Source: Rahimi & Recht, "Random features for large-scale kernel machines", 2007.
#[derive(Clone, Debug, PartialEq)]
pub struct FourierFeatures {
    /// Shape of `x` and of `y`.
    pub spec: TensorSpec,
    /// What the cosine is multiplied by.
    pub scale: f32,
}

impl FourierFeatures {
    /// Over a tensor of this shape.
    pub fn new(spec: TensorSpec, scale: f32) -> Result<Self, Error> {
        let op = Self::NAME;
        spec.check(op, "x")?;
        if spec.dtype != DType::Real {
            let (what, got, expected) = ("`x`".into(), spec.to_string(), "real numbers".into());
            return Err(Error::Mismatch { op, what, got, expected });
        }
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(Error::OutOfRange { op, what: "scale", got: scale.into(), range: "above 0 and finite" });
        }
        Ok(Self { spec, scale })
    }

    /// `sqrt(2 / features)`: the scale at which inner products estimate the kernel.
    pub fn scale_for(features: usize) -> f32 {
        (2.0 / features as f64).sqrt() as f32
    }
}

impl Contract for FourierFeatures {
    const NAME: &'static str = "fourier_features";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let spec = || self.spec.clone();
        match direction {
            Direction::Fwd => vec![Arg::read("x", spec()), Arg::write("y", spec())],
            Direction::BwdInput => {
                vec![Arg::read("x", spec()), Arg::read("dy", spec()), Arg::write("dx", spec())]
            }
            _ => vec![],
        }
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        let scale = f64::from(self.scale);
        match (direction, inputs, outputs) {
            (Direction::Fwd, [x], [y]) => {
                for (y, x) in y.real_mut().iter_mut().zip(x.real()) {
                    *y = T::from_f64(scale * x.to_f64().cos());
                }
            }
            (Direction::BwdInput, [x, dy], [dx]) => {
                for ((dx, x), dy) in dx.real_mut().iter_mut().zip(x.real()).zip(dy.real()) {
                    *dx = T::from_f64(-scale * x.to_f64().sin() * dy.to_f64());
                }
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    /// A cosine is within a few roundings of numbers up to 4, then multiplied by the scale.
    fn terms(&self, _direction: Direction) -> usize {
        (16.0 * self.scale).ceil() as usize
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        false
    }

    fn flops(&self, _direction: Direction) -> u64 {
        24 * self.spec.len() as u64
    }
}

/// One element, around the workgroup and vector widths, several layouts, and the widths of the features.
pub fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    let mut add = |spec: TensorSpec, scale: f32| {
        cases.add(format!("{}-scale-{scale}", label(&spec)), FourierFeatures::new(spec, scale));
    };
    for len in [1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 252, 255, 256, 257, 260, 1031] {
        add(TensorSpec::plain([len]), 1.0);
    }
    for [n, features] in [[3, 8], [32, 128], [16, 1000], [5, 1023], [64, 512]] {
        add(TensorSpec::plain([n, features]), FourierFeatures::scale_for(features));
    }
    add(TensorSpec::image(3, 5, 7, 3), 2.5);
    add(TensorSpec::image(2, 4, 3, 5), 0.125);
    cases.0
}

/// Tensors that have no elements, or too many, and scales that are none.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{Mismatch, OutOfRange, TooLarge, ZeroSize};
    let new = |spec| FourierFeatures::new(spec, 1.0);
    let scaled = |scale| FourierFeatures::new(TensorSpec::plain([3]), scale);
    vec![
        ErrorCase::new("empty", new(TensorSpec::plain([0])), ZeroSize, "x"),
        ErrorCase::new("indices", new(TensorSpec::index([3])), Mismatch, "x"),
        ErrorCase::new("past i32", new(TensorSpec::plain([1 << 31])), TooLarge, "x"),
        ErrorCase::new("past usize", new(TensorSpec::plain([usize::MAX, 2])), TooLarge, "x"),
        ErrorCase::new("scale of nothing", scaled(0.0), OutOfRange, "scale"),
        ErrorCase::new("negative scale", scaled(-1.0), OutOfRange, "scale"),
        ErrorCase::new("scale not a number", scaled(f32::NAN), OutOfRange, "scale"),
        ErrorCase::new("infinite scale", scaled(f32::INFINITY), OutOfRange, "scale"),
    ]
}

/// Any tensor of up to 4096 elements.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let spec = random.spec(4096);
    let scale = random.magnitude(0.01, 2.0) as f32;
    Some(Arc::new(FourierFeatures::new(spec, scale).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    #[test]
    fn by_hand() -> Result<(), Error> {
        let op = FourierFeatures::new(TensorSpec::plain([4]), 2.0)?;
        let x = Array::Real(vec![0.0, PI / 3.0, PI, -PI / 2.0]);
        let [mut y, mut dx] = [4, 4].map(|len| Array::Real(vec![f64::NAN; len]));
        op.compute(Direction::Fwd, &[&x], &mut [&mut y])?;
        let dy = Array::Real(vec![1.0, 1.0, 1.0, 3.0]);
        op.compute(Direction::BwdInput, &[&x, &dy], &mut [&mut dx])?;
        let near = |got: &[f64], expected: [f64; 4]| {
            assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
        };
        near(y.real(), [2.0, 1.0, -2.0, 0.0]);
        near(dx.real(), [0.0, -3.0_f64.sqrt(), 0.0, 6.0]);
        Ok(())
    }

    /// Inner products estimate the Gaussian kernel: over 20,000 features to about 1/sqrt(20,000).
    #[test]
    fn inner_products_are_the_gaussian_kernel() -> Result<(), Error> {
        let (features, gamma) = (20_000, 0.7_f64);
        let op = FourierFeatures::new(TensorSpec::plain([features]), FourierFeatures::scale_for(features))?;
        let mut random = Random::new(3, "features");
        // Box and Muller's normal numbers.
        let draws: Vec<[f64; 2]> = (0..features)
            .map(|_| {
                let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
                let w = radius * (2.0 * PI * random.unit()).cos() * (2.0 * gamma).sqrt();
                [w, 2.0 * PI * random.unit()]
            })
            .collect();
        let of = |v: f64| -> Result<Vec<f64>, Error> {
            let x = Array::Real(draws.iter().map(|[w, b]| v * w + b).collect());
            let mut y = Array::Real(vec![0.0; features]);
            op.compute(Direction::Fwd, &[&x], &mut [&mut y])?;
            Ok(y.real().to_vec())
        };
        for (a, b) in [(0.3, 0.3), (0.0, 1.0), (-0.5, 1.2)] {
            let product: f64 = of(a)?.iter().zip(of(b)?).map(|(a, b)| a * b).sum();
            let kernel = (-gamma * f64::powi(a - b, 2)).exp();
            assert!((product - kernel).abs() < 0.03, "{product}, expected {kernel}");
        }
        Ok(())
    }
}
