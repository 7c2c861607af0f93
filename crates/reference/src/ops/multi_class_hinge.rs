//! Multi-class hinge loss and accuracy, over one row of scores per sample: a linear support vector machine.

use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// With `violation[r,k] = max(0, 1 - x[r,labels[r]] + x[r,k])` for `k != labels[r]`, and 0 for the label:
/// `loss_r = 1/classes Σ_k violation[r,k]`; `loss = 1/n Σ_r loss_r`;
/// `metrics = [Σ_r loss_r, number of samples whose first largest score is the label]`;
/// `dx[r,k] = [violation[r,k] > 0] * dloss / (n * classes)` for `k != labels[r]`, and for the label
/// `-Σ_k [violation[r,k] > 0] * dloss / (n * classes)`.
///
/// - Shapes: `x`, `dx` plain `[n, classes]`; `labels` index `[n]`; `loss` and `dloss` plain `[1]`;
///   `metrics` plain `[2]`.
/// - Writes: `loss`, `metrics`, `dx`, all `=`.
/// - Numerics: `f64` sums, rounded once; deterministic. A NaN score makes its sample's loss NaN (unless
///   there is no other class), and so does a label that is no class, which is never a hit and whose row of `dx` is 0.
/// - Errors: a zero size, tensors past [`crate::MAX_ELEMENTS`].
/// - Source: Weston & Watkins, "Support vector machines for multi-class pattern recognition", 1999: every
///   wrong class that comes too near counts, not the nearest alone (Crammer & Singer). Divided by the
///   number of classes, as PyTorch's `multi_margin_loss` with p and margin of 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiClassHinge {
    /// Samples.
    pub n: usize,
    /// Classes.
    pub classes: usize,
}

impl MultiClassHinge {
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
            let label = label as usize;
            let (at_label, mut violations) = x.get(label).map_or((0.0, f64::NAN), |x| (x.to_f64(), 0.0));
            let mut largest = 0;
            for (k, score) in x.iter().enumerate() {
                let distance = 1.0 - at_label + score.to_f64();
                if k != label {
                    // Not `max`, which would turn a NaN into 0.
                    violations += if distance <= 0.0 { 0.0 } else { distance };
                }
                if *score > x[largest] {
                    largest = k;
                }
            }
            loss_sum += violations / self.classes as f64;
            hits += if largest == label { 1.0 } else { 0.0 };
        }
        loss[0] = T::from_f64(loss_sum / self.n as f64);
        metrics[0] = T::from_f64(loss_sum);
        metrics[1] = T::from_f64(hits);
    }

    fn backward_input<T: Real>(&self, x: &[T], labels: &[u32], dloss: &[T], dx: &mut [T]) {
        let scale = dloss[0].to_f64() / (self.n * self.classes) as f64;
        for ((dx, x), &label) in dx.chunks_mut(self.classes).zip(x.chunks(self.classes)).zip(labels) {
            dx.fill(T::default());
            let Some(at_label) = x.get(label as usize).map(|x| x.to_f64()) else { continue };
            let mut violations = 0.0;
            for (k, (dx, score)) in dx.iter_mut().zip(x).enumerate() {
                if k != label as usize && 1.0 - at_label + score.to_f64() > 0.0 {
                    violations += 1.0;
                    *dx = T::from_f64(scale);
                }
            }
            dx[label as usize] = T::from_f64(-violations * scale);
        }
    }
}

impl Contract for MultiClassHinge {
    const NAME: &'static str = "multi_class_hinge";
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
            Direction::BwdInput => vec![
                Arg::read("x", self.x()),
                Arg::read("labels", self.labels()),
                Arg::read("dloss", scalar()),
                Arg::write("dx", self.x()),
            ],
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
            (Direction::BwdInput, [x, labels, dloss], [dx]) => {
                self.backward_input(x.real(), labels.index(), dloss.real(), dx.real_mut());
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, direction: Direction) -> usize {
        match direction {
            // As for `softmax_cross_entropy`: the sum of positive losses grows like n.
            Direction::Fwd => self.classes + self.n * (self.n.isqrt() + 1),
            _ => 2,
        }
    }

    /// Divided by the number of classes and of samples: exact where these are powers of 2.
    fn exact_on_integers(&self, _direction: Direction) -> bool {
        self.n.is_power_of_two() && self.classes.is_power_of_two()
    }

    fn flops(&self, direction: Direction) -> u64 {
        let per_element = match direction {
            Direction::Fwd => 4,
            _ => 3,
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
        cases.add(format!("{n}x{classes}"), MultiClassHinge::new(n, classes));
    };
    for n in [1, 2, 3, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257] {
        add([n, 10]);
    }
    // Powers of 2, where small integers must agree exactly.
    for n in [1, 4, 32, 64, 128, 512] {
        add([n, 8]);
    }
    for sizes in [[1, 1], [4, 1], [5, 2], [3, 3], [7, 4], [3, 5], [4, 7], [13, 17], [3, 100], [67, 129], [4097, 3]] {
        add(sizes);
    }
    cases.0
}

/// Sizes that no batch of scores has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{TooLarge, ZeroSize};
    let (new, huge) = (MultiClassHinge::new, usize::MAX);
    vec![
        ErrorCase::new("empty batch", new(0, 10), ZeroSize, "n"),
        ErrorCase::new("no classes", new(10, 0), ZeroSize, "classes"),
        ErrorCase::new("past i32", new(1 << 16, 1 << 15), TooLarge, "x"),
        ErrorCase::new("past usize", new(huge, huge), TooLarge, "x"),
    ]
}

/// Any batch of up to 8192 scores.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let classes = if random.one_in(3) { 10 } else { random.size(129) };
    let n = random.size(600.min(8192 / classes));
    Some(Arc::new(MultiClassHinge::new(n, classes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `loss`, `metrics`, and `dx` for a `dloss` of 12, of rows of three scores.
    fn run(x: &[f64], labels: &[u32]) -> Result<[Vec<f64>; 3], Error> {
        let op = MultiClassHinge::new(labels.len(), 3)?;
        let (x, labels) = (Array::Real(x.to_vec()), Array::Index(labels.to_vec()));
        let [mut loss, mut metrics, mut dx] = [1, 2, x.len()].map(|len| Array::Real(vec![0.5; len]));
        op.compute(Direction::Fwd, &[&x, &labels], &mut [&mut loss, &mut metrics])?;
        op.compute(Direction::BwdInput, &[&x, &labels, &Array::Real(vec![12.0])], &mut [&mut dx])?;
        Ok([loss, metrics, dx].map(|array| array.real().to_vec()))
    }

    /// Row 0: 1 - 2 + 1.5 = 0.5 and 1 - 2 + 1 = 0, which is no violation. Row 1: 1 - 0 + 3 and 1 - 0 + 0.
    #[test]
    fn by_hand() -> Result<(), Error> {
        let [loss, metrics, dx] = run(&[2.0, 1.5, 1.0, 3.0, 0.0, 0.0], &[0, 2])?;
        assert_eq!(metrics, [0.5 / 3.0 + 5.0 / 3.0, 1.0]);
        assert_eq!(loss, [metrics[0] / 2.0]);
        assert_eq!(dx, [-2.0, 2.0, 0.0, 2.0, 2.0, -4.0]);
        Ok(())
    }

    #[test]
    fn the_unthinkable_is_seen() -> Result<(), Error> {
        for x in [[f64::NAN, 0.0, 0.0], [0.0, 0.0, f64::NAN]] {
            let [loss, ..] = run(&x, &[0])?;
            assert!(loss[0].is_nan());
        }
        let [loss, metrics, dx] = run(&[0.0, 0.0, 0.0, 1.0, 0.0, 0.0], &[0, 3])?;
        assert!(loss[0].is_nan() && metrics[0].is_nan() && metrics[1] == 1.0);
        assert_eq!(dx[3..], [0.0; 3]);
        Ok(())
    }
}
