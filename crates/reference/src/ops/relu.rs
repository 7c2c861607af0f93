//! Rectified linear unit.

use crate::cases::{Case, Cases, ErrorCase, label};
use crate::{
    Arg, Array, Contract, DType, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `y = max(x, 0)`; `dx = dy` where `y > 0`, else 0.
///
/// - Shapes: `x` and `y` of any one real shape.
/// - Writes: `y`, `dx`, both `=`.
/// - Numerics: exact; a NaN stays a NaN so that divergence is seen.
/// - Errors: an empty tensor, one of indices, one past [`crate::MAX_ELEMENTS`].
/// - Source: the definition; the derivative at 0 is taken as 0, as in PyTorch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relu {
    /// Shape of `x` and of `y`.
    pub spec: TensorSpec,
}

impl Relu {
    /// Over a tensor of this shape.
    pub fn new(spec: TensorSpec) -> Result<Self, Error> {
        let op = Self::NAME;
        spec.check(op, "x")?;
        if spec.dtype != DType::Real {
            return Err(Error::Mismatch {
                op,
                what: "`x`".into(),
                got: spec.to_string(),
                expected: "real numbers".into(),
            });
        }
        Ok(Self { spec })
    }
}

impl Contract for Relu {
    const NAME: &'static str = "relu";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let spec = || self.spec.clone();
        match direction {
            Direction::Fwd => vec![Arg::read("x", spec()), Arg::write("y", spec())],
            Direction::BwdInput => {
                vec![Arg::read("y", spec()), Arg::read("dy", spec()), Arg::write("dx", spec())]
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
        let zero = T::default();
        match (direction, inputs, outputs) {
            (Direction::Fwd, [x], [y]) => {
                for (y, &x) in y.real_mut().iter_mut().zip(x.real()) {
                    // Not `max`, which would turn a NaN into 0.
                    *y = if x < zero { zero } else { x };
                }
            }
            (Direction::BwdInput, [y, dy], [dx]) => {
                let upstream = y.real().iter().zip(dy.real());
                for (dx, (&y, &dy)) in dx.real_mut().iter_mut().zip(upstream) {
                    *dx = if y > zero { dy } else { zero };
                }
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        1
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, _direction: Direction) -> u64 {
        self.spec.len() as u64
    }
}

/// One element, around the workgroup and vector widths, each layout, and the networks' layers.
pub fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    for [n, c, h, w] in
        [[3, 6, 32, 32], [3, 32, 28, 28], [2, 32, 26, 26], [3, 64, 14, 14], [3, 128, 7, 7], [3, 5, 7, 3]]
    {
        let spec = TensorSpec::image(n, c, h, w);
        cases.add(label(&spec), Relu::new(spec));
    }
    for dims in [[32, 120], [32, 84], [64, 128], [100, 64], [16, 600]] {
        let spec = TensorSpec::plain(dims);
        cases.add(label(&spec), Relu::new(spec));
    }
    for spec in [TensorSpec::filter(3, 5, 2, 7), TensorSpec::linear(11, 13), TensorSpec::linear(12, 13)] {
        cases.add(label(&spec), Relu::new(spec));
    }
    for len in [1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 252, 255, 256, 257, 260, 1031] {
        let spec = TensorSpec::plain([len]);
        cases.add(label(&spec), Relu::new(spec));
    }
    cases.0
}

/// Tensors that have no elements, or too many.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{Mismatch, TooLarge, ZeroSize};
    let (plain, image) = (|dims: &[usize]| TensorSpec::plain(dims), TensorSpec::image);
    vec![
        ErrorCase::new("empty", Relu::new(plain(&[0])), ZeroSize, "x"),
        ErrorCase::new("empty image", Relu::new(image(3, 0, 4, 5)), ZeroSize, "x"),
        ErrorCase::new("indices", Relu::new(TensorSpec::index([3])), Mismatch, "x"),
        ErrorCase::new("past i32", Relu::new(plain(&[1 << 31])), TooLarge, "x"),
        ErrorCase::new("past usize", Relu::new(plain(&[usize::MAX, usize::MAX])), TooLarge, "x"),
        ErrorCase::new("image past i32", Relu::new(image(1 << 11, 1 << 10, 32, 32)), TooLarge, "x"),
    ]
}

/// Any tensor of up to 4096 elements.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    Some(Arc::new(Relu::new(random.spec(4096)).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() -> Result<(), Error> {
        let op = Relu::new(TensorSpec::plain([4]))?;
        let x = Array::Real(vec![-2.0, 0.0, 3.0, f64::NAN]);
        let (mut y, mut dx) = (Array::zeros(&op.spec), Array::zeros(&op.spec));
        op.run_f64(Direction::Fwd, &[&x], &mut [&mut y])?;
        assert_eq!(y.real()[..3], [0.0, 0.0, 3.0]);
        assert!(y.real()[3].is_nan());
        let dy = Array::Real(vec![5.0, 6.0, 7.0, 8.0]);
        op.run_f64(Direction::BwdInput, &[&y, &dy], &mut [&mut dx])?;
        assert_eq!(dx.real(), [0.0, 0.0, 7.0, 0.0]);
        Ok(())
    }
}
