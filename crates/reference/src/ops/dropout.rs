//! Dropout.

use crate::cases::{Case, Cases, ErrorCase, label};
use crate::philox::philox4x32;
use crate::{
    Arg, Array, Contract, DType, Direction, Domain, Error, ErrorKind, Layout, Operation, Random, Real, TensorSpec,
    wrong_arguments,
};
use std::sync::Arc;

/// `y = x / (1 - rate)` where kept, else 0; `dx = dy / (1 - rate)` where kept, else 0.
///
/// `counter` is `[step, position, seed_lo, seed_hi]`. Element `e` is kept if and only if
/// `word >= threshold` with `threshold = floor(rate * 2^32)` and
/// `word = philox4x32([e/4, layer, step, 0], [seed_lo, seed_hi])[e % 4]`: a pure function of seed,
/// step, layer and element, so that backward draws the same words again and nothing is saved.
///
/// The elements of an image are counted channels last, `e` in the order `(n, h, w, c)`, those of a
/// plain tensor row-major. That is their order in GPU memory, where four neighbours then share one
/// call of Philox; here, where images are NCHW, the count has to be converted.
///
/// - Shapes: `x` and `y` of any one image or plain shape; `counter` index `[4]`.
/// - Writes: `y`, `dx`, both `=`.
/// - Numerics: one rounding; exact where `1 / (1 - rate)` is a power of two. A dropped NaN is 0.
/// - Errors: an empty tensor, one past [`crate::MAX_ELEMENTS`], another layout, a rate outside of
///   `[0, 1)`.
/// - Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
///   2014, inverted as in PyTorch; Salmon et al. 2011 for Philox.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    /// Shape of `x` and of `y`.
    pub spec: TensorSpec,
    /// The probability of dropping an element.
    pub rate: f32,
    /// Tells the dropouts of one network apart.
    pub layer: u32,
}

impl Dropout {
    /// Over an image or a plain tensor.
    pub fn new(spec: TensorSpec, rate: f32, layer: u32) -> Result<Self, Error> {
        let op = Self::NAME;
        let known = match spec.layout {
            Layout::Image => spec.dims.len() == 4,
            Layout::Plain => true,
            _ => false,
        };
        if !known || spec.dtype != DType::Real {
            return Err(Error::Mismatch {
                op,
                what: "the shape of `x`".into(),
                got: spec.to_string(),
                expected: "image [n, c, h, w] or plain".into(),
            });
        }
        spec.check(op, "x")?;
        if !(0.0..1.0).contains(&rate) {
            return Err(Error::OutOfRange { op, what: "rate", got: rate.into(), range: "at least 0 and below 1" });
        }
        Ok(Self { spec, rate, layer })
    }

    /// The words below which an element is dropped.
    pub fn threshold(&self) -> u32 {
        (f64::from(self.rate) * 4_294_967_296.0) as u32
    }

    /// What kept values are multiplied by.
    pub fn scale(&self) -> f64 {
        1.0 / (1.0 - f64::from(self.rate))
    }

    /// The number by which Philox knows the element at `index` of a host array.
    fn element(&self, index: usize) -> usize {
        if self.spec.layout != Layout::Image {
            return index;
        }
        let [_, c, h, w] = self.spec.as_nchw();
        let (nc, pixel) = (index / (h * w), index % (h * w));
        (nc / c * (h * w) + pixel) * c + nc % c
    }

    fn apply<T: Real>(&self, from: &[T], counter: &[u32], to: &mut [T]) {
        let &[step, _, seed_lo, seed_hi] = counter else { return };
        let (threshold, scale) = (self.threshold(), self.scale());
        for (index, (to, from)) in to.iter_mut().zip(from).enumerate() {
            let e = self.element(index);
            let words = philox4x32([(e / 4) as u32, self.layer, step, 0], [seed_lo, seed_hi]);
            let kept = words[e % 4] >= threshold;
            *to = if kept { T::from_f64(from.to_f64() * scale) } else { T::default() };
        }
    }
}

impl Contract for Dropout {
    const NAME: &'static str = "dropout";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let spec = || self.spec.clone();
        let (from, to) = match direction {
            Direction::Fwd => ("x", "y"),
            Direction::BwdInput => ("dy", "dx"),
            _ => return vec![],
        };
        vec![Arg::read(from, spec()), Arg::read("counter", TensorSpec::index([4])), Arg::write(to, spec())]
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs, outputs) {
            (Direction::Fwd | Direction::BwdInput, [from, counter], [to]) => {
                self.apply(from.real(), counter.index(), to.real_mut());
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        1
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        // A scale that f32 holds as it is leaves nothing to round.
        f64::from(self.scale() as f32) == self.scale()
    }

    fn flops(&self, _direction: Direction) -> u64 {
        self.spec.len() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        match arg {
            "counter" => Domain::Below(u32::MAX),
            _ => Domain::Real,
        }
    }
}

/// One element, around the workgroup and vector widths, images whose two element orders differ, the
/// networks' layers, and rates from nothing to nearly all.
pub fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    let mut add = |spec: TensorSpec, rate: f32, layer: u32| {
        cases.add(format!("{}-rate-{rate}", label(&spec)), Dropout::new(spec, rate, layer));
    };
    // The longest: past 2^17 elements, as at a training batch.
    for len in [1, 3, 4, 5, 7, 8, 63, 64, 65, 255, 256, 257, 1021, (1 << 17) + 20] {
        add(TensorSpec::plain([len]), 0.5, 0);
    }
    for [n, c, h, w] in [[1, 1, 1, 1], [1, 3, 5, 7], [3, 5, 7, 4], [3, 4, 5, 2], [2, 33, 3, 5], [3, 32, 14, 14]] {
        add(TensorSpec::image(n, c, h, w), 0.25, 3);
    }
    for [n, c, size] in [[3, 32, 13], [3, 32, 12], [3, 64, 10], [3, 128, 4], [2, 128, 7]] {
        add(TensorSpec::image(n, c, size, size), 0.5, 1);
    }
    for rate in [0.1, 0.3, 0.5] {
        add(TensorSpec::image(3, 64, 3, 3), rate, 2);
        add(TensorSpec::image(3, 64, 1, 1), rate, 2);
    }
    for dims in [[32, 128], [64, 256], [16, 512], [16, 600], [64, 120]] {
        add(TensorSpec::plain(dims), 0.5, 1);
    }
    add(TensorSpec::plain([64, 128]), 0.2, 1);
    for rate in [0.0, 0.1, 0.3, 0.9, 0.999] {
        add(TensorSpec::plain([256]), rate, 7);
    }
    // The largest rate there is below 1, and the last layer.
    add(TensorSpec::plain([260]), 1.0_f32.next_down(), u32::MAX);
    cases.0
}

/// Tensors of which nothing can be dropped, and rates at which nothing is.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{Mismatch, OutOfRange, TooLarge, ZeroSize};
    let new = |spec, rate| Dropout::new(spec, rate, 0);
    let plain = |dims: &[usize]| TensorSpec::plain(dims);
    vec![
        ErrorCase::new("empty", new(plain(&[0]), 0.5), ZeroSize, "x"),
        ErrorCase::new("empty image", new(TensorSpec::image(1, 2, 3, 0), 0.5), ZeroSize, "x"),
        ErrorCase::new("a filter", new(TensorSpec::filter(2, 2, 3, 3), 0.5), Mismatch, "x"),
        ErrorCase::new("dense weights", new(TensorSpec::linear(2, 2), 0.5), Mismatch, "x"),
        ErrorCase::new("indices", new(TensorSpec::index([3]), 0.5), Mismatch, "x"),
        ErrorCase::new("negative rate", new(plain(&[3]), -0.1), OutOfRange, "rate"),
        ErrorCase::new("a rate of one", new(plain(&[3]), 1.0), OutOfRange, "rate"),
        ErrorCase::new("rate not a number", new(plain(&[3]), f32::NAN), OutOfRange, "rate"),
        ErrorCase::new("infinite rate", new(plain(&[3]), f32::INFINITY), OutOfRange, "rate"),
        ErrorCase::new("past i32", new(plain(&[1 << 31]), 0.5), TooLarge, "x"),
        ErrorCase::new("past usize", new(plain(&[usize::MAX, 2]), 0.5), TooLarge, "x"),
    ]
}

/// Any image or plain tensor of up to 4096 elements, at any rate, in any layer.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let spec = if random.one_in(2) {
        random.image(4096)
    } else {
        let features = random.size(129);
        TensorSpec::plain([random.size(4096 / features), features])
    };
    let rate = match random.below(3) {
        0 => random.choose([0.0, 0.25, 0.5, 0.75]),
        _ => random.unit() as f32,
    };
    let layer = random.word();
    Some(Arc::new(Dropout::new(spec, rate, layer).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of counter 0 under key 0 are published: 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
    /// At rate 0.5 the threshold is 80000000, so that the first is dropped and three are doubled.
    #[test]
    fn by_hand() -> Result<(), Error> {
        let counter = Array::Index(vec![0; 4]);
        let x = Array::Real(vec![1.0, 2.0, 3.0, 4.0]);
        let mut y = Array::Real(vec![f64::NAN; 4]);
        let plain = Dropout::new(TensorSpec::plain([4]), 0.5, 0)?;
        plain.compute(Direction::Fwd, &[&x, &counter], &mut [&mut y])?;
        assert_eq!(y.real(), [0.0, 4.0, 6.0, 8.0]);
        // Two channels of two pixels: the second word belongs to channel 1 of the first pixel.
        let image = Dropout::new(TensorSpec::image(1, 2, 1, 2), 0.75, 0)?;
        image.compute(Direction::Fwd, &[&x, &counter], &mut [&mut y])?;
        assert_eq!(y.real(), [0.0, 0.0, 12.0, 0.0]);
        Ok(())
    }

    #[test]
    fn drops_about_its_rate_and_nothing_at_zero() -> Result<(), Error> {
        let counter = Array::Index(vec![5, 0, 1, 2]);
        let x = Array::Real(vec![1.0_f32; 10_000]);
        for rate in [0.0, 0.1, 0.5, 0.9] {
            let mut y = x.clone();
            let op = Dropout::new(TensorSpec::plain([10_000]), rate, 2)?;
            op.compute(Direction::Fwd, &[&x, &counter], &mut [&mut y])?;
            let dropped = y.real().iter().filter(|&&y| y == 0.0).count() as f32 / 10_000.0;
            assert!((dropped - rate).abs() < 0.02, "{dropped} at rate {rate}");
            assert!(rate > 0.0 || y == x);
        }
        Ok(())
    }
}
