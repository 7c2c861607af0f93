//! Batch normalisation, given mean and spread of every 32 rows.

use super::batch_norm;
use super::{BatchNorm, BatchNormMode, Conv2dMoments, Relu, chain};
use crate::cases::{Case, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, wrong_arguments,
};
use std::cell::Cell;
use std::sync::Arc;

/// `y = (x - mean) * rstd * weight + bias`, or `relu` of it: what [`BatchNorm`] computes in training, with the statistics
/// merged of those of every 32 values of a channel, `mean = Σ count_i * mean_i / m` and
/// `var = Σ (M2_i + count_i * (mean_i - mean)²) / m`.
///
/// - Shapes: those of [`BatchNorm`]; `moments` `[ceil(n*h*w / 32), 2, c]`, as [`Conv2dMoments`] leaves them.
/// - Writes: `y`, `mean`, `rstd`, all `=`; changes `running_mean` and `running_var` in place.
/// - Numerics: in `f64`, rounded once; a NaN stays a NaN.
/// - Errors: those of [`BatchNorm`] in training.
/// - Source: the second pass of [`BatchNorm`], and [`Relu`]; the merge is that of Chan, Golub & LeVeque, "Updating formulae
///   and a pairwise algorithm for computing sample variances", 1979.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormOfMoments {
    /// The normalisation, in training.
    pub norm: BatchNorm,
    /// Whether `y` is clipped at 0.
    pub relu: bool,
}

impl BatchNormOfMoments {
    /// See [`BatchNorm::new`].
    pub fn new(spec: TensorSpec, eps: f32, momentum: f32, relu: bool) -> Result<Self, Error> {
        let norm = BatchNorm::new(spec, BatchNormMode::Training, eps, momentum);
        Ok(Self { norm: norm.map_err(|error| error.of(Self::NAME))?, relu })
    }

    /// The shape of `moments`.
    pub fn moments(&self) -> TensorSpec {
        TensorSpec::plain([self.norm.rows().div_ceil(Conv2dMoments::PIXELS), 2, self.norm.channels()])
    }

    /// Mean and biased variance of a channel.
    fn statistics<T: Real>(&self, moments: &[T], channel: usize) -> (f64, f64) {
        let (rows, channels) = (self.norm.rows(), self.norm.channels());
        let parts = || {
            moments.chunks(2 * channels).enumerate().map(|(chunk, moments)| {
                let count = Conv2dMoments::PIXELS.min(rows - chunk * Conv2dMoments::PIXELS) as f64;
                (count, moments[channel].to_f64(), moments[channels + channel].to_f64())
            })
        };
        let mean = parts().map(|(count, mean, _)| count * mean).sum::<f64>() / rows as f64;
        let m2: f64 = parts().map(|(count, part, m2)| m2 + count * (part - mean).powi(2)).sum();
        (mean, m2 / rows as f64)
    }
}

impl Contract for BatchNormOfMoments {
    const NAME: &'static str = "batch_norm_of_moments";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => {
                let mut args = Contract::signature(&self.norm, direction);
                args.insert(1, Arg::read("moments", self.moments()));
                args
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
        let (Direction::Fwd, [x, moments, weight, bias], [running_mean, running_var, y, mean, rstd]) =
            (direction, inputs, outputs)
        else {
            return Err(wrong_arguments(Self::NAME, direction));
        };
        let rows = self.norm.rows() as f64;
        let statistics: Vec<_> =
            (0..self.norm.channels()).map(|channel| self.statistics(moments.real(), channel)).collect();
        let momentum = f64::from(self.norm.momentum);
        let towards = |running: &mut T, batch: f64| {
            *running = T::from_f64((1.0 - momentum) * running.to_f64() + momentum * batch);
        };
        for (channel, &(batch_mean, batch_var)) in statistics.iter().enumerate() {
            towards(&mut running_mean.real_mut()[channel], batch_mean);
            towards(&mut running_var.real_mut()[channel], batch_var * rows / (rows - 1.0));
            mean.real_mut()[channel] = T::from_f64(batch_mean);
            rstd.real_mut()[channel] = T::from_f64(1.0 / (batch_var + f64::from(self.norm.eps)).sqrt());
        }
        let [_, channels, h, w] = self.norm.spec.as_nchw();
        let mut normal: Array<T> = Array::zeros(&self.norm.spec);
        for (at, (normal, x)) in normal.real_mut().iter_mut().zip(x.real()).enumerate() {
            let channel = at / (h * w) % channels;
            let (mean, var) = statistics[channel];
            let xhat = (x.to_f64() - mean) / (var + f64::from(self.norm.eps)).sqrt();
            *normal = T::from_f64(xhat * weight.real()[channel].to_f64() + bias.real()[channel].to_f64());
        }
        if self.relu {
            return Relu { spec: self.norm.spec.clone() }.compute(direction, &[&normal], &mut [y]);
        }
        **y = normal;
        Ok(())
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.norm, direction)
    }

    fn exact_on_integers(&self, direction: Direction) -> bool {
        Contract::exact_on_integers(&self.norm, direction)
    }

    fn flops(&self, _direction: Direction) -> u64 {
        (3 + u64::from(self.relu)) * self.norm.spec.len() as u64 + 5 * self.moments().len() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        match arg {
            "moments" => Domain::Positive,
            _ => Contract::domain(&self.norm, arg),
        }
    }
}

/// Those of the normalisation in training; every other is clipped.
pub fn cases() -> Vec<Case> {
    let relu = Cell::new(true);
    chain::cases(batch_norm::cases(), Direction::Fwd, u64::MAX, |norm: &BatchNorm| {
        let training = norm.mode == BatchNormMode::Training;
        relu.set(relu.get() ^ training);
        training.then(|| BatchNormOfMoments { norm: norm.clone(), relu: relu.get() })
    })
}

/// Tensors that cannot be normalised, and settings that normalise none.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{Mismatch, OutOfRange, ZeroSize};
    let new = |dims: &[usize], eps, momentum| BatchNormOfMoments::new(TensorSpec::plain(dims), eps, momentum, true);
    vec![
        ErrorCase::new("no rows", new(&[0, 3], 1e-5, 0.1), ZeroSize, "x"),
        ErrorCase::new("one dimension", new(&[3], 1e-5, 0.1), Mismatch, "x"),
        ErrorCase::new("eps of zero", new(&[3, 3], 0.0, 0.1), OutOfRange, "eps"),
        ErrorCase::new("momentum over one", new(&[3, 3], 1e-5, 1.1), OutOfRange, "momentum"),
        ErrorCase::new("training on one row", new(&[1, 3], 1e-5, 0.1), OutOfRange, "values"),
    ]
}

/// Any in training that [`BatchNorm`] draws, clipped or not.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let relu = random.one_in(2);
    chain::random(batch_norm::random, random, |norm: &BatchNorm| {
        let training = norm.mode == BatchNormMode::Training;
        training.then(|| BatchNormOfMoments { norm: norm.clone(), relu })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 33 values in two parts: 32 of mean 1 and M2 32, and a 4. What comes out is what BatchNorm makes of such values.
    #[test]
    fn the_moments_are_those_of_the_values() -> Result<(), Error> {
        for relu in [false, true] {
            let op = BatchNormOfMoments::new(TensorSpec::plain([33, 1]), 0.25, 0.5, relu)?;
            let values = (0..33).map(|row| if row < 32 { f64::from(2 * (row % 2)) } else { 4.0 }).collect();
            let [x, weight, bias] = [values, vec![3.0], vec![1.0]].map(Array::Real);
            let moments = Array::Real(vec![1.0, 32.0, 4.0, 0.0]);
            let run = |op: &dyn Operation, inputs: &[&Array<f64>]| -> Result<[Array<f64>; 5], Error> {
                let [mut running_mean, mut running_var, mut mean, mut rstd] = [(); 4].map(|()| Array::Real(vec![1.0]));
                let mut y = Array::Real(vec![9.0; 33]);
                let outputs = &mut [&mut running_mean, &mut running_var, &mut y, &mut mean, &mut rstd];
                op.run_f64(Direction::Fwd, inputs, outputs)?;
                Ok([running_mean, running_var, y, mean, rstd])
            };
            let got = run(&op, &[&x, &moments, &weight, &bias])?;
            let mut expected = run(&op.norm, &[&x, &weight, &bias])?;
            if relu {
                expected[2].real_mut().iter_mut().for_each(|y| *y = y.max(0.0));
            }
            for (got, expected) in got.iter().zip(&expected) {
                let pairs = got.real().iter().zip(expected.real());
                assert!(pairs.clone().count() > 0);
                for (got, expected) in pairs {
                    assert!((got - expected).abs() < 1e-12, "{got} {expected}");
                }
            }
        }
        Ok(())
    }
}
