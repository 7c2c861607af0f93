//! Softmax, cross-entropy and accuracy, over one row of logits per sample.

use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// `probs[r,k] = exp(x[r,k] - max_r) / Σ_j exp(x[r,j] - max_r)`;
/// `loss = 1/n Σ_r loss_r` with `loss_r = log Σ_j exp(x[r,j] - max_r) - Σ_k target[r,k] * (x[r,k] - max_r)`
/// and `target[r,k] = (1 - smoothing) * [k = labels[r]] + smoothing / classes`;
/// `metrics = [Σ_r loss_r, number of samples whose first largest logit is the label]`;
/// `dx[r,k] = (probs[r,k] - target[r,k]) * dloss / n`.
///
/// - Shapes: `x`, `probs`, `dx` plain `[n, classes]`; `labels` index `[n]`; `loss` and `dloss`
///   plain `[1]`; `metrics` plain `[2]`.
/// - Writes: `loss`, `metrics`, `probs`, `dx`, all `=`.
/// - Numerics: the maximum is subtracted, so that no logit overflows; the loss comes from the
///   logits, so that a probability of 0 leaves it finite. `f64` sums, rounded once; deterministic.
///   A NaN logit makes its sample's loss NaN, and so does a label that is no class, which is never
///   a hit and matches no class in `dx`. Without smoothing the other logits are not multiplied by 0:
///   an infinite one harms nobody.
/// - Errors: a zero size, tensors past [`crate::MAX_ELEMENTS`], a smoothing outside `[0, 1]`.
/// - Source: the definition; `loss` is PyTorch's `cross_entropy` with its default mean, `smoothing` its
///   `label_smoothing`, after Szegedy et al., "Rethinking the Inception architecture", 2016.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftmaxCrossEntropy {
    /// Samples.
    pub n: usize,
    /// Classes.
    pub classes: usize,
    /// The share of each target that is spread over all classes.
    pub smoothing: f32,
}

impl SoftmaxCrossEntropy {
    /// Over a batch of `n` samples, without smoothing.
    pub fn new(n: usize, classes: usize) -> Result<Self, Error> {
        let this = Self { n, classes, smoothing: 0.0 };
        for (what, size) in [("n", n), ("classes", classes)] {
            if size == 0 {
                return Err(Error::ZeroSize { op: Self::NAME, what });
            }
        }
        this.x().check(Self::NAME, "x")?;
        Ok(this)
    }

    /// With this share of each target spread over all classes.
    pub fn with_smoothing(self, smoothing: f32) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&smoothing) {
            let (op, what, got) = (Self::NAME, "smoothing", smoothing.into());
            return Err(Error::OutOfRange { op, what, got, range: "at least 0 and at most 1" });
        }
        Ok(Self { smoothing, ..self })
    }

    /// What is asked of class `k` of a sample with this label.
    fn target(&self, k: usize, label: u32) -> f64 {
        let smoothing = f64::from(self.smoothing);
        let onehot = if k == label as usize { 1.0 } else { 0.0 };
        (1.0 - smoothing) * onehot + smoothing / self.classes as f64
    }

    fn x(&self) -> TensorSpec {
        TensorSpec::plain([self.n, self.classes])
    }

    fn labels(&self) -> TensorSpec {
        TensorSpec::index([self.n])
    }

    fn forward<T: Real>(&self, x: &[T], labels: &[u32], [loss, metrics, probs]: [&mut [T]; 3]) {
        let (mut loss_sum, mut hits) = (0.0, 0.0);
        let rows = x.chunks(self.classes).zip(probs.chunks_mut(self.classes));
        for ((x, probs), &label) in rows.zip(labels) {
            let (mut max, mut largest) = (x[0].to_f64(), 0);
            for (k, x) in x.iter().enumerate() {
                if x.to_f64() > max {
                    (max, largest) = (x.to_f64(), k);
                }
            }
            let sum: f64 = x.iter().map(|x| (x.to_f64() - max).exp()).sum();
            for (probs, x) in probs.iter_mut().zip(x) {
                *probs = T::from_f64((x.to_f64() - max).exp() / sum);
            }
            let at_label = x.get(label as usize).map_or(f64::NAN, |x| x.to_f64());
            let wanted = if self.smoothing > 0.0 && !at_label.is_nan() {
                x.iter().enumerate().map(|(k, x)| self.target(k, label) * (x.to_f64() - max)).sum()
            } else {
                at_label - max
            };
            loss_sum += sum.ln() - wanted;
            hits += if largest == label as usize { 1.0 } else { 0.0 };
        }
        loss[0] = T::from_f64(loss_sum / self.n as f64);
        metrics[0] = T::from_f64(loss_sum);
        metrics[1] = T::from_f64(hits);
    }

    fn backward_input<T: Real>(&self, probs: &[T], labels: &[u32], dloss: &[T], dx: &mut [T]) {
        let scale = dloss[0].to_f64() / self.n as f64;
        let rows = dx.chunks_mut(self.classes).zip(probs.chunks(self.classes));
        for ((dx, probs), &label) in rows.zip(labels) {
            for (k, (dx, probs)) in dx.iter_mut().zip(probs).enumerate() {
                *dx = T::from_f64((probs.to_f64() - self.target(k, label)) * scale);
            }
        }
    }
}

impl Contract for SoftmaxCrossEntropy {
    const NAME: &'static str = "softmax_cross_entropy";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let scalar = || TensorSpec::plain([1]);
        match direction {
            Direction::Fwd => vec![
                Arg::read("x", self.x()),
                Arg::read("labels", self.labels()),
                Arg::write("loss", scalar()),
                Arg::write("metrics", TensorSpec::plain([2])),
                Arg::write("probs", self.x()),
            ],
            Direction::BwdInput => vec![
                Arg::read("probs", self.x()),
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
            (Direction::Fwd, [x, labels], [loss, metrics, probs]) => {
                let outputs = [loss.real_mut(), metrics.real_mut(), probs.real_mut()];
                self.forward(x.real(), labels.index(), outputs);
            }
            (Direction::BwdInput, [probs, labels, dloss], [dx]) => {
                self.backward_input(probs.real(), labels.index(), dloss.real(), dx.real_mut());
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, direction: Direction) -> usize {
        match direction {
            // Losses are positive: their sum grows like n and so does what each of n additions
            // rounds away, and those roundings add up like a random walk.
            Direction::Fwd => self.classes + self.n * (self.n.isqrt() + 1),
            _ => 2,
        }
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        false
    }

    fn flops(&self, direction: Direction) -> u64 {
        let per_element = match direction {
            Direction::Fwd => 5,
            _ => 2,
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
        cases.add(format!("{n}x{classes}"), SoftmaxCrossEntropy::new(n, classes));
    };
    for n in [1, 2, 3, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257] {
        add([n, 10]);
    }
    for sizes in [[1, 1], [4, 1], [5, 2], [3, 3], [7, 4], [3, 5], [4, 7], [13, 17], [3, 100], [67, 129], [4097, 3]] {
        add(sizes);
    }
    for (n, classes, smoothing) in [
        (3, 10, 0.1),
        (64, 10, 0.1),
        (100, 10, 0.05),
        (257, 10, 0.1),
        (4, 1, 0.5),
        (5, 2, 1.0),
        (3, 101, 0.3),
        (13, 17, 0.9),
        (12, 16, 0.2),
    ] {
        let op = SoftmaxCrossEntropy::new(n, classes).and_then(|op| op.with_smoothing(smoothing));
        cases.add(format!("{n}x{classes}-smoothing-{smoothing}"), op);
    }
    let mut add = |[n, classes]: [usize; 2]| {
        cases.add(format!("{n}x{classes}"), SoftmaxCrossEntropy::new(n, classes));
    };
    for classes in [8, 9, 15, 16, 31, 32, 33, 63, 64, 65] {
        add([3, classes]);
    }
    cases.0
}

/// Sizes that no batch of logits has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{OutOfRange, TooLarge, ZeroSize};
    let (new, huge) = (SoftmaxCrossEntropy::new, usize::MAX);
    let smoothed = |smoothing| new(3, 10)?.with_smoothing(smoothing);
    vec![
        ErrorCase::new("negative smoothing", smoothed(-0.1), OutOfRange, "smoothing"),
        ErrorCase::new("smoothing above one", smoothed(1.5), OutOfRange, "smoothing"),
        ErrorCase::new("smoothing not a number", smoothed(f32::NAN), OutOfRange, "smoothing"),
        ErrorCase::new("empty batch", new(0, 10), ZeroSize, "n"),
        ErrorCase::new("no classes", new(10, 0), ZeroSize, "classes"),
        ErrorCase::new("past i32", new(1 << 16, 1 << 15), TooLarge, "x"),
        ErrorCase::new("past usize", new(huge, huge), TooLarge, "x"),
    ]
}

/// Any batch of up to 8192 logits, every other one smoothed.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let classes = if random.one_in(3) { 10 } else { random.size(129) };
    let n = random.size(600.min(8192 / classes));
    let smoothing = if random.one_in(2) { 0.0 } else { random.unit() as f32 };
    Some(Arc::new(SoftmaxCrossEntropy::new(n, classes).ok()?.with_smoothing(smoothing).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `loss`, `metrics` and `probs` of rows of two logits.
    fn forward(x: &[f64], labels: &[u32]) -> Result<[Vec<f64>; 3], Error> {
        let op = SoftmaxCrossEntropy::new(labels.len(), 2)?;
        let inputs = [&Array::Real(x.to_vec()), &Array::Index(labels.to_vec())];
        let mut outputs = [1, 2, x.len()].map(|len| Array::Real(vec![0.0; len]));
        let [loss, metrics, probs] = &mut outputs;
        op.compute(Direction::Fwd, &inputs, &mut [loss, metrics, probs])?;
        Ok(outputs.map(|output| output.real().to_vec()))
    }

    /// The logits are log 3 apart: probabilities 3/4 and 1/4. The second row is a tie, which the
    /// first class wins.
    #[test]
    fn by_hand() -> Result<(), Error> {
        let (x, labels) = ([3.0_f64.ln(), 0.0, 5.0, 5.0], [1, 0]);
        let [loss, metrics, probs] = forward(&x, &labels)?;
        let near = |got: &[f64], expected: &[f64]| {
            assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
        };
        near(&probs, &[0.75, 0.25, 0.5, 0.5]);
        near(&metrics, &[4.0_f64.ln() + 2.0_f64.ln(), 1.0]);
        near(&loss, &[8.0_f64.ln() / 2.0]);

        let op = SoftmaxCrossEntropy::new(2, 2)?;
        let (probs, labels) = (Array::Real(probs), Array::Index(labels.to_vec()));
        let (dloss, mut dx) = (Array::Real(vec![4.0]), Array::Real(vec![0.0; 4]));
        op.compute(Direction::BwdInput, &[&probs, &labels, &dloss], &mut [&mut dx])?;
        near(dx.real(), &[1.5, -1.5, -1.0, 1.0]);
        Ok(())
    }

    /// Probabilities 3/4 and 1/4, targets 1/4 and 3/4: half of the target is spread over both classes.
    #[test]
    fn smoothing_by_hand() -> Result<(), Error> {
        let op = SoftmaxCrossEntropy::new(1, 2)?.with_smoothing(0.5)?;
        let (x, labels) = (Array::Real(vec![3.0_f64.ln(), 0.0]), Array::Index(vec![1]));
        let mut outputs = [1, 2, 2].map(|len| Array::Real(vec![0.0; len]));
        let [loss, metrics, probs] = &mut outputs;
        op.compute(Direction::Fwd, &[&x, &labels], &mut [loss, metrics, probs])?;
        let expected = -0.25 * 0.75_f64.ln() - 0.75 * 0.25_f64.ln();
        assert!((outputs[0].real()[0] - expected).abs() < 1e-12 && outputs[1].real()[1] == 0.0);
        let (dloss, mut dx) = (Array::Real(vec![2.0]), Array::Real(vec![0.0; 2]));
        op.compute(Direction::BwdInput, &[&outputs[2], &labels, &dloss], &mut [&mut dx])?;
        assert!(dx.real().iter().zip([1.0, -1.0]).all(|(got, expected)| (got - expected).abs() < 1e-12));
        Ok(())
    }

    #[test]
    fn large_logits_stay_finite_and_the_unthinkable_is_seen() -> Result<(), Error> {
        let [loss, _, probs] = forward(&[1e4, -1e4], &[1])?;
        assert_eq!((loss[0], probs), (2e4, vec![1.0, 0.0]));
        for x in [[f64::NAN, 0.0], [0.0, f64::NAN]] {
            let [loss, _, probs] = forward(&x, &[0])?;
            assert!(loss[0].is_nan() && probs.iter().all(|p| p.is_nan()));
        }
        let [loss, metrics, probs] = forward(&[0.0, 0.0, 0.0, 0.0], &[0, 2])?;
        assert!(loss[0].is_nan() && metrics[0].is_nan() && metrics[1] == 1.0);
        assert_eq!(probs, [0.5; 4]);
        Ok(())
    }
}
