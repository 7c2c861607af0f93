//! The last layer of a network, softmax, cross-entropy, accuracy and the gradient of the logits in one.

use super::{Dense, SoftmaxCrossEntropy, SoftmaxCrossEntropyWithGradient, chain};
use crate::cases::{Case, Cases, ErrorCase};
use crate::{Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, wrong_arguments};
use std::sync::Arc;

/// `loss`, `metrics` and `dlogits = dx` of [`SoftmaxCrossEntropyWithGradient`], whose `x` is the `y` of [`Dense`].
///
/// - Shapes: `x`, `weight`, `bias` those of [`Dense`] with as many features out as there are classes; `labels`, `dloss`,
///   `loss`, `metrics` those of [`SoftmaxCrossEntropyWithGradient`], `dlogits` that of its `dx`.
/// - Writes: `loss`, `metrics`, `dlogits`, all `=`.
/// - Numerics: those of the two. Where two logits are equal but for rounding, the hits of `metrics` may differ from those of
///   another order of summation.
/// - Errors: those of the two.
/// - Source: the chain of the two, fused so that the logits are not kept.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseSoftmaxCrossEntropy {
    /// The layer.
    pub dense: Dense,
    /// The loss of what it gives.
    pub softmax: SoftmaxCrossEntropy,
}

impl DenseSoftmaxCrossEntropy {
    /// Of a layer and the loss of its `y`.
    pub fn new(dense: Dense, softmax: SoftmaxCrossEntropy) -> Result<Self, Error> {
        let [given, taken] = [chain::spec(&dense, Direction::Fwd, "y"), chain::spec(&softmax, Direction::Fwd, "x")];
        if given != taken {
            return Err(Error::Mismatch {
                op: Self::NAME,
                what: "what `softmax` takes".into(),
                got: taken.to_string(),
                expected: format!("what `dense` gives, {given}"),
            });
        }
        Ok(Self { dense, softmax })
    }

    fn head(&self) -> SoftmaxCrossEntropyWithGradient {
        SoftmaxCrossEntropyWithGradient { softmax: self.softmax.clone() }
    }
}

impl Contract for DenseSoftmaxCrossEntropy {
    const NAME: &'static str = "dense_softmax_cross_entropy";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        if direction != Direction::Fwd {
            return vec![];
        }
        let inputs = Contract::signature(&self.dense, direction).into_iter().take(3);
        let renamed = |arg: Arg| if arg.name == "dx" { Arg { name: "dlogits", ..arg } } else { arg };
        inputs.chain(Contract::signature(&self.head(), direction).into_iter().skip(1).map(renamed)).collect()
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs) {
            (Direction::Fwd, [x, weight, bias, labels, dloss]) => {
                let mut logits = chain::between(&self.dense, direction, "y");
                self.dense.compute(direction, &[x, weight, bias], &mut [&mut logits])?;
                self.head().compute(direction, &[&logits, labels, dloss], outputs)
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.dense, direction) + Contract::terms(&self.softmax, direction)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        false
    }

    fn flops(&self, direction: Direction) -> u64 {
        Contract::flops(&self.dense, direction) + Contract::flops(&self.head(), direction)
    }

    fn domain(&self, arg: &str) -> Domain {
        match arg {
            // So that equal logits are equal on every device, and the hits can be compared.
            "x" | "weight" | "bias" => Domain::Coarse,
            _ => Contract::domain(&self.softmax, arg),
        }
    }
}

/// A loss over the output of a layer.
fn fuse([n, features_in, classes]: [usize; 3], smoothing: f32) -> Result<DenseSoftmaxCrossEntropy, Error> {
    let dense = Dense::new(n, features_in, classes);
    let softmax = SoftmaxCrossEntropy::new(n, classes).and_then(|softmax| softmax.with_smoothing(smoothing));
    let named = |error: Error| error.of(DenseSoftmaxCrossEntropy::NAME);
    DenseSoftmaxCrossEntropy::new(dense.map_err(named)?, softmax.map_err(named)?)
}

/// The heads of the networks, and batches, features and classes around every tile.
pub fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    for (name, sizes) in [("lenet5", [32, 84, 10]), ("depth2", [64, 128, 10]), ("r1", [100, 64, 10])] {
        cases.add(name, fuse(sizes, 0.0));
    }
    for sizes in [
        [1, 1, 1],
        [1, 5, 10],
        [3, 7, 2],
        [7, 3, 9],
        [8, 9, 8],
        [9, 16, 15],
        [31, 4, 16],
        [32, 5, 17],
        [33, 6, 10],
        [63, 3, 33],
        [64, 2, 3],
        [65, 13, 10],
        [128, 10, 4],
        [129, 3, 10],
        [255, 7, 5],
        [256, 4, 10],
        [257, 3, 10],
        [5, 65, 70],
    ] {
        let [n, features_in, classes] = sizes;
        cases.add(format!("{n}x{features_in}x{classes}"), fuse(sizes, 0.0));
    }
    for (sizes, smoothing) in [([32, 84, 10], 0.1), ([3, 7, 2], 1.0), ([70, 5, 21], 0.25)] {
        let [n, features_in, classes] = sizes;
        cases.add(format!("{n}x{features_in}x{classes}-smoothing-{smoothing}"), fuse(sizes, smoothing));
    }
    cases.0
}

/// Heads that cannot be.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{Mismatch, OutOfRange, ZeroSize};
    let new = |dense: [usize; 3], softmax: [usize; 2]| {
        let dense = Dense::new(dense[0], dense[1], dense[2])?;
        DenseSoftmaxCrossEntropy::new(dense, SoftmaxCrossEntropy::new(softmax[0], softmax[1])?)
    };
    vec![
        ErrorCase::new("another batch", new([4, 3, 10], [5, 10]), Mismatch, "softmax"),
        ErrorCase::new("other classes", new([4, 3, 10], [4, 9]), Mismatch, "softmax"),
        ErrorCase::new("no features", fuse([4, 0, 10], 0.0), ZeroSize, "features_in"),
        ErrorCase::new("no classes", fuse([4, 3, 0], 0.0), ZeroSize, "features_out"),
        ErrorCase::new("smoothing above one", fuse([4, 3, 10], 1.5), OutOfRange, "smoothing"),
    ]
}

/// Any small head, every other one smoothed.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let classes = if random.one_in(2) { 10 } else { random.size(40) };
    let sizes = [random.size(300), random.size(32), classes];
    let smoothing = if random.one_in(2) { 0.0 } else { random.unit() as f32 };
    Some(Arc::new(fuse(sizes, smoothing).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits ln 3 and 0, hence probabilities 3/4 and 1/4.
    #[test]
    fn by_hand() -> Result<(), Error> {
        let op = fuse([1, 1, 2], 0.0)?;
        let [x, weight] = [vec![2.0], vec![3.0_f64.ln(), 0.5]].map(Array::Real);
        let [bias, dloss] = [vec![-3.0_f64.ln(), -1.0], vec![4.0]].map(Array::Real);
        let labels = Array::Index(vec![1]);
        let [mut loss, mut metrics, mut dlogits] = [1, 2, 2].map(|len| Array::Real(vec![9.0; len]));
        let outputs = &mut [&mut loss, &mut metrics, &mut dlogits];
        op.run_f64(Direction::Fwd, &[&x, &weight, &bias, &labels, &dloss], outputs)?;
        let near = |got: f64, expected: f64| (got - expected).abs() < 1e-12;
        assert!(near(loss.real()[0], 4.0_f64.ln()) && metrics.real()[1] == 0.0, "{loss:?} {metrics:?}");
        assert!(near(dlogits.real()[0], 3.0) && near(dlogits.real()[1], -3.0), "{dlogits:?}");
        Ok(())
    }
}
