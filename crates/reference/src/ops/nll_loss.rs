//! Negative log-likelihood and accuracy, over one row of log-probabilities per sample.

use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `loss_r = -x[r,labels[r]]`, `x` being logarithms of probabilities as `log_softmax` makes them;
/// `loss = 1/n Σ_r loss_r`;
/// `metrics = [Σ_r loss_r, number of samples whose first largest element is the label]`;
/// `dx[r,k] = -[k = labels[r]] * dloss / n`.
///
/// - Shapes: `x`, `dx` plain `[n, classes]`; `labels` index `[n]`; `loss` and `dloss` plain `[1]`;
///   `metrics` plain `[2]`.
/// - Writes: `loss`, `metrics`, `dx`, all `=`.
/// - Numerics: `f64` sums, rounded once; deterministic. A label that is no class makes its sample's loss
///   NaN, is never a hit and matches no class in `dx`.
/// - Errors: a zero size, tensors past [`crate::MAX_ELEMENTS`].
/// - Source: the definition; PyTorch's `nll_loss` with its default mean. Behind `log_softmax` it is the
///   loss of `softmax_cross_entropy`, in two operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NllLoss {
    /// Samples.
    pub n: usize,
    /// Classes.
    pub classes: usize,
}

impl NllLoss {
    /// Over a batch of `n` samples.
    pub fn new(n: usize, classes: usize) -> Result<Self, Error> {
        let this = Self { n, classes };
        for (what, size) in [("n", n), ("classes", classes)] {
            if size == 0 {
                return Err(Error::ZeroSize { op: Self::NAME, what });
            }
        }
        this.x().check(Self::NAME, "x")?;
        Ok(this)
    }

    fn x(&self) -> TensorSpec {
        TensorSpec::plain([self.n, self.classes])
    }

    fn labels(&self) -> TensorSpec {
        TensorSpec::index([self.n])
    }

    fn forward<T: Real>(&self, x: &[T], labels: &[u32], loss: &mut [T], metrics: &mut [T]) {
        let (mut loss_sum, mut hits) = (0.0, 0.0);
        for (x, &label) in x.chunks(self.classes).zip(labels) {
            let mut largest = 0;
            for (k, value) in x.iter().enumerate() {
                if *value > x[largest] {
                    largest = k;
                }
            }
            loss_sum -= x.get(label as usize).map_or(f64::NAN, |x| x.to_f64());
            hits += if largest == label as usize { 1.0 } else { 0.0 };
        }
        loss[0] = T::from_f64(loss_sum / self.n as f64);
        metrics[0] = T::from_f64(loss_sum);
        metrics[1] = T::from_f64(hits);
    }

    fn backward_input<T: Real>(&self, labels: &[u32], dloss: &[T], dx: &mut [T]) {
        let scale = dloss[0].to_f64() / self.n as f64;
        for (dx, &label) in dx.chunks_mut(self.classes).zip(labels) {
            for (k, dx) in dx.iter_mut().enumerate() {
                *dx = T::from_f64(if k == label as usize { -scale } else { 0.0 });
            }
        }
    }
}

impl Contract for NllLoss {
    const NAME: &'static str = "nll_loss";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let scalar = || TensorSpec::plain([1]);
        match direction {
            Direction::Fwd => vec![
                Arg::read("x", self.x()),
                Arg::read("labels", self.labels()),
                Arg::write("loss", scalar()),
                Arg::write("metrics", TensorSpec::plain([2])),
            ],
            Direction::BwdInput => {
                vec![Arg::read("labels", self.labels()), Arg::read("dloss", scalar()), Arg::write("dx", self.x())]
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
        match (direction, inputs, outputs) {
            (Direction::Fwd, [x, labels], [loss, metrics]) => {
                self.forward(x.real(), labels.index(), loss.real_mut(), metrics.real_mut());
            }
            (Direction::BwdInput, [labels, dloss], [dx]) => {
                self.backward_input(labels.index(), dloss.real(), dx.real_mut());
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, direction: Direction) -> usize {
        match direction {
            // As for `softmax_cross_entropy`: the sum of positive losses grows like n.
            Direction::Fwd => self.n * (self.n.isqrt() + 1),
            _ => 2,
        }
    }

    /// Divided by the number of samples: exact where it is a power of 2.
    fn exact_on_integers(&self, _direction: Direction) -> bool {
        self.n.is_power_of_two()
    }

    fn flops(&self, direction: Direction) -> u64 {
        let per_element = match direction {
            Direction::Fwd => 2,
            _ => 1,
        };
        per_element * self.x().len() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        match arg {
            "labels" => Domain::Below(u32::try_from(self.classes).unwrap_or(u32::MAX)),
            _ => Domain::Real,
        }
    }
}

/// The networks' ten classes at batches around every workgroup's samples, few and many classes.
pub fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    let mut add = |[n, classes]: [usize; 2]| {
        cases.add(format!("{n}x{classes}"), NllLoss::new(n, classes));
    };
    for n in [1, 2, 3, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257] {
        add([n, 10]);
    }
    for n in [4, 32, 512] {
        add([n, 8]);
    }
    for sizes in [[1, 1], [4, 1], [5, 2], [3, 3], [7, 4], [3, 5], [4, 7], [13, 17], [3, 100], [67, 129], [4097, 3]] {
        add(sizes);
    }
    cases.0
}

/// Sizes that no batch of log-probabilities has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{TooLarge, ZeroSize};
    let (new, huge) = (NllLoss::new, usize::MAX);
    vec![
        ErrorCase::new("empty batch", new(0, 10), ZeroSize, "n"),
        ErrorCase::new("no classes", new(10, 0), ZeroSize, "classes"),
        ErrorCase::new("past i32", new(1 << 16, 1 << 15), TooLarge, "x"),
        ErrorCase::new("past usize", new(huge, huge), TooLarge, "x"),
    ]
}

/// Any batch of up to 8192 elements.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let classes = if random.one_in(3) { 10 } else { random.size(129) };
    let n = random.size(600.min(8192 / classes));
    Some(Arc::new(NllLoss::new(n, classes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second row is a tie, which the first class wins; the third has a label that is none.
    #[test]
    fn by_hand() -> Result<(), Error> {
        let run = |labels: &[u32]| -> Result<[Vec<f64>; 3], Error> {
            let op = NllLoss::new(labels.len(), 2)?;
            let x = Array::Real([-0.5, -1.0, -2.0, -2.0, -3.0, -4.0][..2 * labels.len()].to_vec());
            let labels = Array::Index(labels.to_vec());
            let [mut loss, mut metrics, mut dx] = [1, 2, x.len()].map(|len| Array::Real(vec![0.5; len]));
            op.compute(Direction::Fwd, &[&x, &labels], &mut [&mut loss, &mut metrics])?;
            op.compute(Direction::BwdInput, &[&labels, &Array::Real(vec![6.0])], &mut [&mut dx])?;
            Ok([loss, metrics, dx].map(|array| array.real().to_vec()))
        };
        assert_eq!(run(&[1, 0])?, [vec![1.5], vec![3.0, 1.0], vec![0.0, -3.0, -3.0, 0.0]]);
        let [loss, metrics, dx] = run(&[0, 1, 2])?;
        assert!(loss[0].is_nan() && metrics[0].is_nan() && metrics[1] == 1.0);
        assert_eq!(dx, [-2.0, 0.0, 0.0, -2.0, 0.0, 0.0]);
        Ok(())
    }
}
