//! Batch normalisation.

use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Contract, DType, Direction, Domain, Error, ErrorKind, Layout, Operation, Random, Real, TensorSpec,
    wrong_arguments,
};
use rayon::prelude::*;
use std::sync::Arc;

/// Where the statistics come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchNormMode {
    /// From the batch; the running statistics move towards them.
    Training,
    /// From the running statistics, which stay as they are.
    Inference,
}

/// `y = xhat * weight + bias` with `xhat = (x - mean) * rstd`, per channel.
///
/// Training: `mean` and `var` are those of the batch over `n, h, w`, `var` biased (divided by
/// `m = n*h*w`); `running = (1-momentum)*running + momentum*batch`, where the batch's variance is
/// the unbiased one (divided by `m-1`). Inference: `mean = running_mean`, `var = running_var`.
/// Either way `rstd = 1/sqrt(var+eps)`.
///
/// `dweight = Σ dy*xhat` and `dbias = Σ dy` over `n, h, w`, both from `bwd_weight`. `bwd_input`
/// reads them: `dx = weight*rstd*(dy - (dbias + xhat*dweight)/m)` in training,
/// `dx = weight*rstd*dy` in inference.
///
/// - Shapes: `x` and `y` image `[n, c, h, w]` or plain `[n, c]` (then `h = w = 1`); all else `[c]`.
/// - Writes: `y`, `mean`, `rstd`, `dweight`, `dbias`, `dx`, all `=`; changes `running_mean` and
///   `running_var` in place.
/// - Numerics: mean first, then squared distances from it, in `f64`, rounded once; deterministic.
/// - Errors: a zero size, another layout, `eps` not above 0, `momentum` outside of `[0, 1]`,
///   training on one value per channel, tensors past [`crate::MAX_ELEMENTS`].
/// - Source: Ioffe & Szegedy, "Batch normalization: accelerating deep network training by reducing
///   internal covariate shift", 2015; the conventions are PyTorch's.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Shape of `x` and of `y`.
    pub spec: TensorSpec,
    /// Where the statistics come from.
    pub mode: BatchNormMode,
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the batch in the running statistics.
    pub momentum: f32,
}

impl BatchNorm {
    /// Over the channels of an image or the features of a plain `[n, features]`.
    pub fn new(spec: TensorSpec, mode: BatchNormMode, eps: f32, momentum: f32) -> Result<Self, Error> {
        let op = Self::NAME;
        let known = match spec.layout {
            Layout::Image => spec.dims.len() == 4,
            Layout::Plain => spec.dims.len() == 2,
            _ => false,
        };
        if !known || spec.dtype != DType::Real {
            return Err(Error::Mismatch {
                op,
                what: "the shape of `x`".into(),
                got: spec.to_string(),
                expected: "image [n, c, h, w] or plain [n, features]".into(),
            });
        }
        spec.check(op, "x")?;
        if !(eps > 0.0 && eps.is_finite()) {
            return Err(Error::OutOfRange { op, what: "eps", got: eps.into(), range: "finite and above 0" });
        }
        if !(0.0..=1.0).contains(&momentum) {
            return Err(Error::OutOfRange { op, what: "momentum", got: momentum.into(), range: "from 0 to 1" });
        }
        let this = Self { spec, mode, eps, momentum };
        if mode == BatchNormMode::Training && this.rows() < 2 {
            return Err(Error::OutOfRange {
                op,
                what: "the number of values per channel",
                got: this.rows() as f64,
                range: "at least 2 in training",
            });
        }
        Ok(this)
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.spec.as_nchw()[1]
    }

    /// Values per channel: `n*h*w`, the `m` of the formulas.
    pub fn rows(&self) -> usize {
        let [n, _, h, w] = self.spec.as_nchw();
        n * h * w
    }

    /// Elements of one channel of one image.
    fn plane(&self) -> usize {
        let [_, _, h, w] = self.spec.as_nchw();
        h * w
    }

    fn per_channel(&self) -> TensorSpec {
        TensorSpec::plain([self.channels()])
    }

    /// The values of channel `c`, over all images.
    fn channel<'a, T: Real>(&self, x: &'a [T], c: usize) -> impl Iterator<Item = f64> + Clone + 'a {
        let planes = x.chunks(self.plane()).skip(c).step_by(self.channels());
        planes.flatten().map(|x| x.to_f64())
    }

    /// `mean` and biased `var` of the batch, per channel.
    fn batch_statistics<T: Real>(&self, x: &[T]) -> Vec<(f64, f64)> {
        let m = self.rows() as f64;
        let of_channel = |c| {
            let values = self.channel(x, c);
            let mean = values.clone().sum::<f64>() / m;
            (mean, values.map(|x| (x - mean) * (x - mean)).sum::<f64>() / m)
        };
        (0..self.channels()).into_par_iter().map(of_channel).collect()
    }

    fn forward<T: Real>(
        &self,
        [x, weight, bias]: [&[T]; 3],
        [running_mean, running_var, y, mean, rstd]: [&mut [T]; 5],
    ) {
        let statistics = match self.mode {
            BatchNormMode::Training => self.batch_statistics(x),
            BatchNormMode::Inference => {
                running_mean.iter().zip(&*running_var).map(|(m, v)| (m.to_f64(), v.to_f64())).collect()
            }
        };
        if self.mode == BatchNormMode::Training {
            let momentum = f64::from(self.momentum);
            let m = self.rows() as f64;
            let towards = |running: &mut T, batch: f64| {
                *running = T::from_f64((1.0 - momentum) * running.to_f64() + momentum * batch);
            };
            for (c, &(batch_mean, batch_var)) in statistics.iter().enumerate() {
                towards(&mut running_mean[c], batch_mean);
                towards(&mut running_var[c], batch_var * m / (m - 1.0));
            }
        }
        let rstd_of = |var: f64| 1.0 / (var + f64::from(self.eps)).sqrt();
        let planes = y.par_chunks_mut(self.plane()).zip(x.par_chunks(self.plane()));
        planes.enumerate().for_each(|(plane, (y, x))| {
            let c = plane % self.channels();
            let (mean, var) = statistics[c];
            let rstd = rstd_of(var);
            for (y, x) in y.iter_mut().zip(x) {
                let xhat = (x.to_f64() - mean) * rstd;
                *y = T::from_f64(xhat * weight[c].to_f64() + bias[c].to_f64());
            }
        });
        for (c, (batch_mean, var)) in statistics.into_iter().enumerate() {
            mean[c] = T::from_f64(batch_mean);
            rstd[c] = T::from_f64(rstd_of(var));
        }
    }

    /// `dweight[c] = Σ dy*xhat`, `dbias[c] = Σ dy`.
    fn backward_weight<T: Real>(&self, [x, dy, mean, rstd]: [&[T]; 4], [dweight, dbias]: [&mut [T]; 2]) {
        let gradients = dweight.par_iter_mut().zip(dbias);
        gradients.enumerate().for_each(|(c, (dweight, dbias))| {
            let (mean, rstd) = (mean[c].to_f64(), rstd[c].to_f64());
            let (mut weight_sum, mut bias_sum) = (0.0, 0.0);
            for (x, dy) in self.channel(x, c).zip(self.channel(dy, c)) {
                weight_sum += dy * ((x - mean) * rstd);
                bias_sum += dy;
            }
            *dweight = T::from_f64(weight_sum);
            *dbias = T::from_f64(bias_sum);
        });
    }

    fn backward_input<T: Real>(&self, [x, weight, dy, mean, rstd, dweight, dbias]: [&[T]; 7], dx: &mut [T]) {
        let m = self.rows() as f64;
        let plane = self.plane();
        let planes = dx.par_chunks_mut(plane).zip(x.par_chunks(plane).zip(dy.par_chunks(plane)));
        planes.enumerate().for_each(|(plane, (dx, (x, dy)))| {
            let c = plane % self.channels();
            let (mean, rstd) = (mean[c].to_f64(), rstd[c].to_f64());
            for (dx, (x, dy)) in dx.iter_mut().zip(x.iter().zip(dy)) {
                let through_statistics = match self.mode {
                    BatchNormMode::Training => {
                        let xhat = (x.to_f64() - mean) * rstd;
                        (dbias[c].to_f64() + xhat * dweight[c].to_f64()) / m
                    }
                    BatchNormMode::Inference => 0.0,
                };
                *dx = T::from_f64(weight[c].to_f64() * rstd * (dy.to_f64() - through_statistics));
            }
        });
    }
}

impl Contract for BatchNorm {
    const NAME: &'static str = "batch_norm";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdWeight, Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let spec = || self.spec.clone();
        let per_channel = || self.per_channel();
        match direction {
            Direction::Fwd => vec![
                Arg::read("x", spec()),
                Arg::read("weight", per_channel()),
                Arg::read("bias", per_channel()),
                Arg::update("running_mean", per_channel()),
                Arg::update("running_var", per_channel()),
                Arg::write("y", spec()),
                Arg::write("mean", per_channel()),
                Arg::write("rstd", per_channel()),
            ],
            Direction::BwdWeight => vec![
                Arg::read("x", spec()),
                Arg::read("dy", spec()),
                Arg::read("mean", per_channel()),
                Arg::read("rstd", per_channel()),
                Arg::write("dweight", per_channel()),
                Arg::write("dbias", per_channel()),
            ],
            Direction::BwdInput => vec![
                Arg::read("x", spec()),
                Arg::read("weight", per_channel()),
                Arg::read("dy", spec()),
                Arg::read("mean", per_channel()),
                Arg::read("rstd", per_channel()),
                Arg::read("dweight", per_channel()),
                Arg::read("dbias", per_channel()),
                Arg::write("dx", spec()),
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
            (Direction::Fwd, [x, weight, bias], [running_mean, running_var, y, mean, rstd]) => {
                self.forward(
                    [x.real(), weight.real(), bias.real()],
                    [running_mean.real_mut(), running_var.real_mut(), y.real_mut(), mean.real_mut(), rstd.real_mut()],
                );
            }
            (Direction::BwdWeight, [x, dy, mean, rstd], [dweight, dbias]) => {
                self.backward_weight(
                    [x.real(), dy.real(), mean.real(), rstd.real()],
                    [dweight.real_mut(), dbias.real_mut()],
                );
            }
            (Direction::BwdInput, [x, weight, dy, mean, rstd, dweight, dbias], [dx]) => {
                let inputs = [x, weight, dy, mean, rstd, dweight, dbias].map(|array| array.real());
                self.backward_input(inputs, dx.real_mut());
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, direction: Direction) -> usize {
        // Dividing by the standard deviation of a handful of values may amplify a rounding by ten
        // and more; sums over many values have no such accidents.
        let amplified = 64;
        match (direction, self.mode) {
            (Direction::Fwd, BatchNormMode::Training) => self.rows() + amplified,
            (Direction::BwdWeight, _) => 2 * self.rows(),
            _ => amplified,
        }
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        false
    }

    fn flops(&self, direction: Direction) -> u64 {
        let per_element = match (direction, self.mode) {
            (Direction::Fwd, BatchNormMode::Training) => 8,
            (Direction::Fwd, BatchNormMode::Inference) => 4,
            (Direction::BwdWeight, _) => 5,
            (_, BatchNormMode::Training) => 7,
            (_, BatchNormMode::Inference) => 2,
        };
        per_element * self.spec.len() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        match arg {
            "running_var" | "rstd" => Domain::Positive,
            _ => Domain::Real,
        }
    }
}

/// The layers of the networks, channels around every vector and tile width, numbers of values
/// around every chunk, in training and in inference.
pub fn cases() -> Vec<Case> {
    let image = |[n, c, h, w]: [usize; 4]| TensorSpec::image(n, c, h, w);
    let plain = |[n, features]: [usize; 2]| TensorSpec::plain([n, features]);
    let mut cases = Cases::default();
    let mut add = |name: &str, spec: &TensorSpec, eps: f32, momentum: f32| {
        for (suffix, mode) in [("", BatchNormMode::Training), ("-inference", BatchNormMode::Inference)] {
            cases.add(format!("{name}{suffix}"), BatchNorm::new(spec.clone(), mode, eps, momentum));
        }
    };
    for (name, dims) in [
        ("batch-65", [65, 5, 3, 2]),
        ("depth-bn1", [3, 32, 28, 28]),
        ("depth-bn2", [3, 64, 14, 14]),
        ("depth-bn3", [3, 128, 7, 7]),
        ("grid-bn1", [2, 32, 28, 28]),
        ("grid-bn2", [3, 32, 14, 14]),
        ("grid-bn2-small", [3, 32, 9, 9]),
        ("grid-bn3", [3, 64, 7, 7]),
        ("grid-bn3-small", [3, 64, 3, 3]),
        ("deep4-valid-bn1", [2, 32, 26, 26]),
        ("deep4-valid-bn2", [2, 32, 24, 24]),
        ("deep4-valid-bn3", [3, 64, 10, 10]),
        ("deep4-valid-bn4", [3, 128, 8, 8]),
        ("deep4-same-bn4", [2, 128, 14, 14]),
    ] {
        add(name, &image(dims), 1e-5, 0.1);
    }
    for (name, dims) in
        [("depth-fc", [32, 128]), ("grid-fc", [100, 64]), ("deep4-fc1", [64, 512]), ("deep4-fc2", [64, 128])]
    {
        add(name, &plain(dims), 1e-5, 0.1);
    }
    // A large eps keeps two nearly equal values from amplifying each other's rounding.
    add("two-values", &plain([2, 5]), 0.5, 0.3);
    add("two-pixels", &image([1, 4, 1, 2]), 0.5, 1.0);
    add("still", &plain([16, 8]), 1e-3, 0.0);
    add("primes", &image([3, 7, 13, 11]), 1e-5, 0.25);
    add("asymmetric", &image([3, 5, 2, 29]), 1e-5, 0.7);
    add("one-channel", &image([3, 1, 7, 5]), 1e-5, 0.1);
    add("batch-1", &image([1, 12, 5, 7]), 1e-5, 0.1);
    add("features-37", &plain([29, 37]), 1e-5, 0.1);
    for c in [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 36, 63, 64, 65, 68, 127, 128, 129] {
        add(&format!("channels-{c}"), &image([3, c, 5, 3]), 1e-5, 0.1);
    }
    // A chunk has 32 rows of the statistics, 64 of the gradients, and a workgroup 32 rows of lanes that walk these.
    for rows in [15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129] {
        add(&format!("rows-{rows}"), &image([1, 4, 1, rows]), 1e-5, 0.1);
        add(&format!("rows-{rows}-scalar"), &plain([rows, 3]), 1e-5, 0.1);
    }
    // As many chunks as there are, and more rows than these hold: chunks grow instead.
    add("most-chunks", &image([1, 4, 64, 128]), 1e-5, 0.1);
    add("chunks-grow", &image([1, 4, 3, 2731]), 1e-5, 0.1);
    add("long", &image([3, 4, 61, 59]), 1e-5, 0.1);
    add("long-scalar", &image([3, 3, 61, 59]), 1e-5, 0.1);
    // Training on one value is an error.
    let inference = |spec| BatchNorm::new(spec, BatchNormMode::Inference, 1e-3, 0.1);
    cases.add("one-value-inference", inference(plain([1, 3])));
    cases.add("1x1-inference", inference(image([1, 1, 1, 1])));
    cases.0
}

/// Tensors that cannot be normalised, and settings that normalise none.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{Mismatch, OutOfRange, TooLarge, ZeroSize};
    let training = |spec, eps, momentum| BatchNorm::new(spec, BatchNormMode::Training, eps, momentum);
    let inference = |spec, eps, momentum| BatchNorm::new(spec, BatchNormMode::Inference, eps, momentum);
    let plain = |dims: &[usize]| TensorSpec::plain(dims);
    let image = TensorSpec::image;
    let eps_of = |eps| training(plain(&[3, 3]), eps, 0.1);
    let momentum_of = |momentum| inference(plain(&[3, 3]), 1e-5, momentum);
    vec![
        ErrorCase::new("no rows", training(plain(&[0, 3]), 1e-5, 0.1), ZeroSize, "x"),
        ErrorCase::new("no features", inference(plain(&[3, 0]), 1e-5, 0.1), ZeroSize, "x"),
        ErrorCase::new("empty image", training(image(3, 2, 0, 4), 1e-5, 0.1), ZeroSize, "x"),
        ErrorCase::new("one dimension", training(plain(&[3]), 1e-5, 0.1), Mismatch, "x"),
        ErrorCase::new("three dimensions", training(plain(&[3, 4, 5]), 1e-5, 0.1), Mismatch, "x"),
        ErrorCase::new("another layout", training(TensorSpec::linear(3, 3), 1e-5, 0.1), Mismatch, "x"),
        ErrorCase::new("indices", training(plain(&[3, 3]).of_indices(), 1e-5, 0.1), Mismatch, "x"),
        ErrorCase::new("eps of zero", eps_of(0.0), OutOfRange, "eps"),
        ErrorCase::new("negative eps", eps_of(-1e-5), OutOfRange, "eps"),
        ErrorCase::new("eps not a number", eps_of(f32::NAN), OutOfRange, "eps"),
        ErrorCase::new("infinite eps", eps_of(f32::INFINITY), OutOfRange, "eps"),
        ErrorCase::new("negative momentum", momentum_of(-0.1), OutOfRange, "momentum"),
        ErrorCase::new("momentum over one", momentum_of(1.1), OutOfRange, "momentum"),
        ErrorCase::new("momentum not a number", momentum_of(f32::NAN), OutOfRange, "momentum"),
        ErrorCase::new("training on one row", training(plain(&[1, 3]), 1e-5, 0.1), OutOfRange, "values"),
        ErrorCase::new("training on one pixel", training(image(1, 3, 1, 1), 1e-5, 0.1), OutOfRange, "values"),
        ErrorCase::new("x past i32", training(image(1 << 11, 1 << 10, 32, 32), 1e-5, 0.1), TooLarge, "x"),
        ErrorCase::new("x past usize", inference(plain(&[usize::MAX, 3]), 1e-5, 0.1), TooLarge, "x"),
    ]
}

/// Any tensor of up to 8192 elements, in either mode.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let spec = if random.one_in(2) {
        random.image(8192)
    } else {
        let features = random.size(129);
        TensorSpec::plain([random.size(8192 / features), features])
    };
    let mode = random.choose([BatchNormMode::Training, BatchNormMode::Inference]);
    // A handful of values may lie so close together that the division by their deviation would
    // amplify every rounding, unless eps limits it.
    let [n, _, h, w] = spec.as_nchw();
    let least = if n * h * w < 32 { 0.1 } else { 1e-6 };
    let eps = random.magnitude(least, 1.0) as f32;
    let momentum = match random.below(4) {
        0 => 0.0,
        1 => 1.0,
        _ => random.unit() as f32,
    };
    Some(Arc::new(BatchNorm::new(spec, mode, eps, momentum).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAINING: BatchNormMode = BatchNormMode::Training;

    #[test]
    fn two_values_or_inference_on_one_are_enough() {
        assert!(BatchNorm::new(TensorSpec::image(1, 3, 1, 2), TRAINING, 1e-5, 0.1).is_ok());
        assert!(BatchNorm::new(TensorSpec::plain([1, 3]), BatchNormMode::Inference, 1e-5, 0.1).is_ok());
    }

    /// Channel 0 holds 0, 4, 0, 4: mean 2, variance 4 biased and 16/3 unbiased, so that with
    /// eps = 5 rstd is 1/3. Channel 1 is constant.
    #[test]
    fn by_hand() -> Result<(), Error> {
        let op = BatchNorm::new(TensorSpec::image(2, 2, 1, 2), TRAINING, 5.0, 0.5)?;
        let real = |values: &[f64]| Array::Real(values.to_vec());
        let near = |got: &Array<f64>, expected: &[f64]| {
            let pairs = || got.real().iter().zip(expected);
            assert!(got.len() == expected.len() && pairs().all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
        };
        let x = real(&[0.0, 4.0, 7.0, 7.0, 0.0, 4.0, 7.0, 7.0]);
        let (weight, bias) = (real(&[3.0, 2.0]), real(&[1.0, -1.0]));
        let (mut running_mean, mut running_var) = (real(&[10.0, 1.0]), real(&[1.0, 1.0]));
        let (mut y, mut mean, mut rstd) = (real(&[0.0; 8]), real(&[0.0; 2]), real(&[0.0; 2]));
        op.compute(
            Direction::Fwd,
            &[&x, &weight, &bias],
            &mut [&mut running_mean, &mut running_var, &mut y, &mut mean, &mut rstd],
        )?;
        near(&y, &[-1.0, 3.0, -1.0, -1.0, -1.0, 3.0, -1.0, -1.0]);
        near(&mean, &[2.0, 7.0]);
        near(&rstd, &[1.0 / 3.0, 1.0 / 5.0_f64.sqrt()]);
        near(&running_mean, &[6.0, 4.0]);
        near(&running_var, &[0.5 + 8.0 / 3.0, 0.5]);

        let dy = real(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0]);
        let (mut dweight, mut dbias, mut dx) = (real(&[0.0; 2]), real(&[0.0; 2]), real(&[0.0; 8]));
        op.compute(Direction::BwdWeight, &[&x, &dy, &mean, &rstd], &mut [&mut dweight, &mut dbias])?;
        near(&dweight, &[-2.0 / 3.0, 0.0]);
        near(&dbias, &[1.0, 2.0]);
        let inputs = [&x, &weight, &dy, &mean, &rstd, &dweight, &dbias];
        op.compute(Direction::BwdInput, &inputs, &mut [&mut dx])?;
        let [a, b, c] = [23.0 / 36.0, -5.0 / 36.0, -13.0 / 36.0];
        let d = 2.0 / 5.0_f64.sqrt();
        near(&dx, &[a, b, -0.5 * d, -0.5 * d, c, b, 1.5 * d, -0.5 * d]);
        Ok(())
    }
}
