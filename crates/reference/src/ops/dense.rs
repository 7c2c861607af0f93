//! Fully connected layer.

use crate::cases::{Case, Cases, ErrorCase};
use crate::{Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments};
use rayon::prelude::*;
use std::sync::Arc;

/// `y[n,o] = bias[o] + Σ_i x[n,i] * weight[o,i]`.
///
/// - Shapes: `x` plain `[n, features_in]`, `weight` linear `[features_out, features_in]`, `bias`
///   `[features_out]`, `y` plain `[n, features_out]`.
/// - Writes: `y`, `dx`, `dweight`, `dbias`, all `=`.
/// - Numerics: `f64` sums, rounded once; deterministic.
/// - Errors: a zero size, tensors past [`crate::MAX_ELEMENTS`].
/// - Source: the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dense {
    /// Rows of the batch.
    pub n: usize,
    /// Features in.
    pub features_in: usize,
    /// Features out.
    pub features_out: usize,
}

impl Dense {
    /// A layer from `features_in` to `features_out` over a batch of `n`.
    pub fn new(n: usize, features_in: usize, features_out: usize) -> Result<Self, Error> {
        let this = Self { n, features_in, features_out };
        for (what, size) in [("n", n), ("features_in", features_in), ("features_out", features_out)] {
            if size == 0 {
                return Err(Error::ZeroSize { op: Self::NAME, what });
            }
        }
        this.x().check(Self::NAME, "x")?;
        this.weight().check(Self::NAME, "weight")?;
        this.y().check(Self::NAME, "y")?;
        Ok(this)
    }

    fn x(&self) -> TensorSpec {
        TensorSpec::plain([self.n, self.features_in])
    }

    fn weight(&self) -> TensorSpec {
        TensorSpec::linear(self.features_out, self.features_in)
    }

    fn bias(&self) -> TensorSpec {
        TensorSpec::plain([self.features_out])
    }

    fn y(&self) -> TensorSpec {
        TensorSpec::plain([self.n, self.features_out])
    }

    fn forward<T: Real>(&self, x: &[T], weight: &[T], bias: &[T], y: &mut [T]) {
        let rows = y.par_chunks_mut(self.features_out).zip(x.par_chunks(self.features_in));
        rows.for_each(|(y, x)| {
            for (o, y) in y.iter_mut().enumerate() {
                let weight = &weight[o * self.features_in..][..self.features_in];
                let mut sum = bias[o].to_f64();
                for (x, w) in x.iter().zip(weight) {
                    sum += x.to_f64() * w.to_f64();
                }
                *y = T::from_f64(sum);
            }
        });
    }

    /// `dx[n,i] = Σ_o dy[n,o] * weight[o,i]`.
    fn backward_input<T: Real>(&self, weight: &[T], dy: &[T], dx: &mut [T]) {
        let rows = dx.par_chunks_mut(self.features_in).zip(dy.par_chunks(self.features_out));
        rows.for_each(|(dx, dy)| {
            let mut sums = vec![0.0; self.features_in];
            for (dy, weight) in dy.iter().zip(weight.chunks(self.features_in)) {
                for (sum, w) in sums.iter_mut().zip(weight) {
                    *sum += dy.to_f64() * w.to_f64();
                }
            }
            for (dx, sum) in dx.iter_mut().zip(sums) {
                *dx = T::from_f64(sum);
            }
        });
    }

    /// `dweight[o,i] = Σ_n dy[n,o] * x[n,i]`.
    fn backward_weight<T: Real>(&self, x: &[T], dy: &[T], dweight: &mut [T]) {
        dweight.par_chunks_mut(self.features_in).enumerate().for_each(|(o, dweight)| {
            let mut sums = vec![0.0; self.features_in];
            for (x, dy) in x.chunks(self.features_in).zip(dy.chunks(self.features_out)) {
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum += dy[o].to_f64() * x.to_f64();
                }
            }
            for (dweight, sum) in dweight.iter_mut().zip(sums) {
                *dweight = T::from_f64(sum);
            }
        });
    }

    /// `dbias[o] = Σ_n dy[n,o]`.
    fn backward_bias<T: Real>(&self, dy: &[T], dbias: &mut [T]) {
        for (o, dbias) in dbias.iter_mut().enumerate() {
            let column = dy.iter().skip(o).step_by(self.features_out);
            *dbias = T::from_f64(column.map(|dy| dy.to_f64()).sum());
        }
    }
}

impl Contract for Dense {
    const NAME: &'static str = "dense";
    const DIRECTIONS: &'static [Direction] =
        &[Direction::Fwd, Direction::BwdInput, Direction::BwdWeight, Direction::BwdBias];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => vec![
                Arg::read("x", self.x()),
                Arg::read("weight", self.weight()),
                Arg::read("bias", self.bias()),
                Arg::write("y", self.y()),
            ],
            Direction::BwdInput => {
                vec![Arg::read("weight", self.weight()), Arg::read("dy", self.y()), Arg::write("dx", self.x())]
            }
            Direction::BwdWeight => {
                vec![Arg::read("x", self.x()), Arg::read("dy", self.y()), Arg::write("dweight", self.weight())]
            }
            Direction::BwdBias => {
                vec![Arg::read("dy", self.y()), Arg::write("dbias", self.bias())]
            }
            Direction::Update => vec![],
        }
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs, outputs) {
            (Direction::Fwd, [x, weight, bias], [y]) => {
                self.forward(x.real(), weight.real(), bias.real(), y.real_mut());
            }
            (Direction::BwdInput, [weight, dy], [dx]) => {
                self.backward_input(weight.real(), dy.real(), dx.real_mut());
            }
            (Direction::BwdWeight, [x, dy], [dweight]) => {
                self.backward_weight(x.real(), dy.real(), dweight.real_mut());
            }
            (Direction::BwdBias, [dy], [dbias]) => self.backward_bias(dy.real(), dbias.real_mut()),
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, direction: Direction) -> usize {
        match direction {
            Direction::Fwd => self.features_in + 1,
            Direction::BwdInput => self.features_out,
            _ => self.n,
        }
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, direction: Direction) -> u64 {
        match direction {
            Direction::BwdBias => self.y().len() as u64,
            _ => 2 * (self.n * self.features_in * self.features_out) as u64,
        }
    }
}

/// The layers of the networks, every tile edge, and shapes that are no multiple of anything.
pub fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    let mut add = |name: &str, [n, i, o]: [usize; 3]| cases.add(name, Dense::new(n, i, o));
    for (name, sizes) in [
        ("lenet5-fc1", [32, 1024, 120]),
        ("lenet5-fc2", [32, 120, 84]),
        ("lenet5-fc3", [32, 84, 10]),
        ("depth2-fc1", [3, 3136, 128]),
        ("depth2-fc2", [64, 128, 10]),
        ("depth3-fc1", [3, 6272, 256]),
        ("depth3-fc2", [64, 256, 10]),
        ("batch-515", [515, 9, 12]),
        ("grid-fc1", [100, 576, 64]),
        ("grid-fc1-small", [100, 64, 64]),
        ("grid-fc2", [100, 64, 10]),
        ("shallow1-fc1", [3, 5408, 128]),
        ("deep4-valid-fc1", [3, 2048, 512]),
        ("deep4-same-fc1", [1, 6272, 512]),
        ("deep4-fc2", [16, 512, 128]),
        ("two-dense-fc1", [2, 2304, 600]),
        ("two-dense-fc2", [16, 600, 120]),
        ("two-dense-fc3", [64, 120, 10]),
        ("variant-fc1", [3, 1600, 128]),
        // Support vector machines, over the pixels and over random features of them.
        ("svm", [64, 784, 10]),
        ("svm-rbf-features", [4, 784, 1024]),
        ("1x1", [1, 1, 1]),
        ("primes", [3, 37, 29]),
        ("one-feature-out", [5, 13, 1]),
        ("one-feature-in", [5, 1, 13]),
        ("batch-1", [1, 20, 11]),
        ("batch-3", [3, 12, 20]),
        ("tall", [131, 3, 5]),
        ("wide", [3, 5, 131]),
        ("deep", [5, 1031, 3]),
        // Small ones for tiles of 64 columns, which take no fewer than 33.
        ("columns-36", [5, 8, 36]),
        ("columns-36-in", [5, 36, 8]),
        ("columns-60-both", [9, 40, 60]),
    ] {
        add(name, sizes);
    }
    for edge in [3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65] {
        add(&format!("tile-{edge}"), [edge, edge, edge]);
        // Over the edge in one of the three and under it in the others.
        let (over, under) = (edge + 1, edge - 1);
        add(&format!("tile-{edge}-rows"), [over, under, under]);
        add(&format!("tile-{edge}-depth"), [under, over, under]);
        add(&format!("tile-{edge}-columns"), [under, under, over]);
    }
    cases.0
}

/// Sizes that no layer has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{TooLarge, ZeroSize};
    let (new, huge) = (Dense::new, usize::MAX);
    vec![
        ErrorCase::new("empty batch", new(0, 2, 3), ZeroSize, "n"),
        ErrorCase::new("no features in", new(1, 0, 3), ZeroSize, "features_in"),
        ErrorCase::new("no features out", new(1, 2, 0), ZeroSize, "features_out"),
        ErrorCase::new("x past i32", new(1 << 16, 1 << 15, 1), TooLarge, "x"),
        ErrorCase::new("x past usize", new(huge, huge, 1), TooLarge, "x"),
        ErrorCase::new("weight past i32", new(1, 1 << 16, 1 << 15), TooLarge, "weight"),
        ErrorCase::new("weight past usize", new(1, 3, huge), TooLarge, "weight"),
        ErrorCase::new("y past i32", new(1 << 16, 1, 1 << 15), TooLarge, "y"),
    ]
}

/// Any layer of up to 150,000 multiply-adds.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let n = if random.one_in(2) { random.between(1, 3) } else { random.size(129) };
    let [features_in, features_out] = [random.size(600), random.size(200)];
    let op = Dense::new(n, features_in, features_out).ok()?;
    if Contract::flops(&op, Direction::Fwd) <= 300_000 && op.weight().len() <= 16_384 {
        Some(Arc::new(op))
    } else {
        None
    }
}
