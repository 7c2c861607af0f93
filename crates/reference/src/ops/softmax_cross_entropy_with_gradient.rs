//! Softmax, cross-entropy, accuracy and the gradient of the logits in one.

use super::softmax_cross_entropy;
use super::{SoftmaxCrossEntropy, chain};
use crate::cases::{Case, ErrorCase};
use crate::{Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, wrong_arguments};
use std::sync::Arc;

/// `loss`, `metrics` and `dx[r,k] = (softmax(x)[r,k] - target[r,k]) * dloss / n`: what both directions of
/// [`SoftmaxCrossEntropy`] compute.
///
/// - Shapes: those of [`SoftmaxCrossEntropy`].
/// - Writes: `loss`, `metrics`, `dx`, all `=`.
/// - Numerics: those of [`SoftmaxCrossEntropy`].
/// - Errors: those of [`SoftmaxCrossEntropy`].
/// - Source: the chain of the two, fused so that the probabilities are not written. `dloss` is known before the
///   loss: it is the factor that the loss is multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftmaxCrossEntropyWithGradient {
    /// The loss.
    pub softmax: SoftmaxCrossEntropy,
}

impl SoftmaxCrossEntropyWithGradient {
    /// See [`SoftmaxCrossEntropy::new`].
    pub fn new(n: usize, classes: usize) -> Result<Self, Error> {
        let softmax = SoftmaxCrossEntropy::new(n, classes).map_err(|error| error.of(Self::NAME))?;
        Ok(Self { softmax })
    }
}

impl Contract for SoftmaxCrossEntropyWithGradient {
    const NAME: &'static str = "softmax_cross_entropy_with_gradient";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        if direction != Direction::Fwd {
            return vec![];
        }
        let arg = |direction, name: &str| {
            Contract::signature(&self.softmax, direction).into_iter().find(move |arg| arg.name == name)
        };
        let fwd = |name| arg(Direction::Fwd, name);
        let bwd = |name| arg(Direction::BwdInput, name);
        let args = [fwd("x"), fwd("labels"), bwd("dloss"), fwd("loss"), fwd("metrics"), bwd("dx")];
        args.into_iter().flatten().collect()
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs, outputs) {
            (Direction::Fwd, [x, labels, dloss], [loss, metrics, dx]) => {
                let mut probs = chain::between(&self.softmax, direction, "probs");
                self.softmax.compute(direction, &[x, labels], &mut [loss, metrics, &mut probs])?;
                self.softmax.compute(Direction::BwdInput, &[&probs, labels, dloss], &mut [dx])
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.softmax, direction)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        false
    }

    fn flops(&self, direction: Direction) -> u64 {
        Contract::flops(&self.softmax, direction) + Contract::flops(&self.softmax, Direction::BwdInput)
    }

    fn domain(&self, arg: &str) -> Domain {
        Contract::domain(&self.softmax, arg)
    }
}

/// Those of the loss.
pub fn cases() -> Vec<Case> {
    chain::cases(softmax_cross_entropy::cases(), Direction::Fwd, u64::MAX, |softmax: &SoftmaxCrossEntropy| {
        Some(SoftmaxCrossEntropyWithGradient { softmax: softmax.clone() })
    })
}

/// Sizes that no batch of logits has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{TooLarge, ZeroSize};
    let (new, huge) = (SoftmaxCrossEntropyWithGradient::new, usize::MAX);
    vec![
        ErrorCase::new("empty batch", new(0, 10), ZeroSize, "n"),
        ErrorCase::new("no classes", new(10, 0), ZeroSize, "classes"),
        ErrorCase::new("past i32", new(1 << 16, 1 << 15), TooLarge, "x"),
        ErrorCase::new("past usize", new(huge, huge), TooLarge, "x"),
    ]
}

/// Any batch that [`SoftmaxCrossEntropy`] draws.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    chain::random(softmax_cross_entropy::random, random, |softmax: &SoftmaxCrossEntropy| {
        Some(SoftmaxCrossEntropyWithGradient { softmax: softmax.clone() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities 3/4 and 1/4; then a label that is no class.
    #[test]
    fn by_hand() -> Result<(), Error> {
        let op = SoftmaxCrossEntropyWithGradient::new(2, 2)?;
        let (x, labels) = (Array::Real(vec![3.0_f64.ln(), 0.0, 0.0, 0.0]), Array::Index(vec![1, 2]));
        let dloss = Array::Real(vec![4.0]);
        let [mut loss, mut metrics, mut dx] = [1, 2, 4].map(|len| Array::Real(vec![9.0; len]));
        op.run_f64(Direction::Fwd, &[&x, &labels, &dloss], &mut [&mut loss, &mut metrics, &mut dx])?;
        assert!(loss.real()[0].is_nan() && metrics.real()[1] == 0.0);
        let near = |(got, expected): (&f64, f64)| (got - expected).abs() < 1e-12;
        assert!(dx.real().iter().zip([1.5, -1.5, 1.0, 1.0]).all(near), "{dx:?}");
        Ok(())
    }
}
