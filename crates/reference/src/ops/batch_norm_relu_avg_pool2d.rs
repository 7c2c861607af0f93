//! Batch normalisation, ReLU and 2-D average pooling in one.

use super::{AvgPool2d, BatchNorm, BatchNormMode, BatchNormRelu, avg_pool2d, chain};
use crate::cases::{Case, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, Window,
    wrong_arguments,
};
use std::sync::Arc;

/// `y = avg_pool2d(relu(batch_norm(x, weight, bias)))`: what [`BatchNormRelu`] and then [`AvgPool2d`] compute. Neither
/// direction needs what is normalised at its full size: the gradients are those of [`BatchNormRelu`], given
/// `dy / (k_h*k_w)` summed over the windows that read an element.
///
/// - Shapes: those of [`BatchNorm`] over an image; `y` and `dy` image `[n, c, h_out, w_out]`.
/// - Writes: `y`, `mean`, `rstd`, `dweight`, `dbias`, `dx`, all `=`; changes `running_mean` and `running_var` in place.
/// - Numerics: those of [`BatchNormRelu`] and of [`AvgPool2d`].
/// - Errors: those of [`BatchNorm`] and of [`AvgPool2d`].
/// - Source: the chain of the three, fused so that what is pooled is neither written nor read.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormReluAvgPool2d {
    /// The normalisation.
    pub norm: BatchNorm,
    /// The pooling.
    pub pool: AvgPool2d,
}

impl BatchNormReluAvgPool2d {
    /// A normalisation of images and the pooling of what it gives.
    pub fn new(norm: BatchNorm, pool: AvgPool2d) -> Result<Self, Error> {
        let x = chain::spec(&pool, Direction::Fwd, "x");
        if norm.spec == x {
            Ok(Self { norm, pool })
        } else {
            let (got, expected) = (x.to_string(), norm.spec.to_string());
            Err(Error::Mismatch { op: Self::NAME, what: "what the pooling takes".into(), got, expected })
        }
    }

    fn relu(&self) -> BatchNormRelu {
        BatchNormRelu { norm: self.norm.clone() }
    }

    /// The gradient of what is pooled.
    fn unpooled<T: Real>(&self, dy: &Array<T>) -> Result<Array<T>, Error> {
        let mut unpooled = Array::zeros(&self.norm.spec);
        self.pool.compute(Direction::BwdInput, &[dy], &mut [&mut unpooled])?;
        Ok(unpooled)
    }
}

impl Contract for BatchNormReluAvgPool2d {
    const NAME: &'static str = "batch_norm_relu_avg_pool2d";
    const DIRECTIONS: &'static [Direction] = BatchNorm::DIRECTIONS;

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        let mut args = Contract::signature(&self.relu(), direction);
        for arg in args.iter_mut().filter(|arg| matches!(arg.name, "y" | "dy")) {
            arg.spec = chain::spec(&self.pool, Direction::Fwd, "y");
        }
        args
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs, outputs) {
            (Direction::Fwd, inputs, [running_mean, running_var, y, mean, rstd]) => {
                let mut positive = Array::zeros(&self.norm.spec);
                self.relu().compute(direction, inputs, &mut [running_mean, running_var, &mut positive, mean, rstd])?;
                self.pool.compute(direction, &[&positive], &mut [y])
            }
            (Direction::BwdWeight, [x, weight, bias, dy, mean, rstd], outputs) => {
                let dy = self.unpooled(dy)?;
                self.relu().compute(direction, &[x, weight, bias, &dy, mean, rstd], outputs)
            }
            (Direction::BwdInput, [x, weight, bias, dy, mean, rstd, dweight, dbias], outputs) => {
                let dy = self.unpooled(dy)?;
                self.relu().compute(direction, &[x, weight, bias, &dy, mean, rstd, dweight, dbias], outputs)
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.norm, direction) + Contract::terms(&self.pool, Direction::Fwd)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        false
    }

    fn flops(&self, direction: Direction) -> u64 {
        let pooling = if direction == Direction::Fwd { direction } else { Direction::BwdInput };
        Contract::flops(&self.relu(), direction) + Contract::flops(&self.pool, pooling)
    }

    fn domain(&self, arg: &str) -> Domain {
        Contract::domain(&self.norm, arg)
    }
}

/// The normalisation before a pooling, with settings of its own.
fn before(pool: &AvgPool2d, mode: BatchNormMode) -> Option<BatchNormReluAvgPool2d> {
    let x = chain::spec(pool, Direction::Fwd, "x");
    // Few values may lie so close together that the division by their deviation would amplify every rounding.
    let [n, _, h, w] = x.as_nchw();
    let eps = if n * h * w < 32 { 0.5 } else { 1e-5 };
    let norm = BatchNorm::new(x, mode, eps, 0.1).ok()?;
    BatchNormReluAvgPool2d::new(norm, pool.clone()).ok()
}

/// Those of the pooling, in training; one in inference.
pub fn cases() -> Vec<Case> {
    let training = |pool: &AvgPool2d| before(pool, BatchNormMode::Training);
    let mut cases = chain::cases(avg_pool2d::cases(), Direction::Fwd, 100_000, training);
    let inference = |pool: &AvgPool2d| before(pool, BatchNormMode::Inference);
    let halves = chain::cases(avg_pool2d::cases(), Direction::Fwd, 100_000, inference).into_iter();
    let halves = halves.filter(|case| ["rows-left-over", "channels-5-disjoint"].contains(&&*case.name));
    cases.extend(halves.map(|case| Case { name: format!("{}-inference", case.name), ..case }));
    cases
}

/// Parts that do not fit, and tensors that cannot be normalised.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::Mismatch;
    let halves = Window::new(2).stride(2);
    let new = |spec: TensorSpec, x: [usize; 4]| {
        let norm = BatchNorm::new(spec, BatchNormMode::Training, 1e-5, 0.1)?;
        BatchNormReluAvgPool2d::new(norm, AvgPool2d::new(x, halves, halves)?)
    };
    let image = TensorSpec::image;
    vec![
        ErrorCase::new("other images", new(image(3, 4, 8, 6), [2, 4, 8, 6]), Mismatch, "pooling"),
        ErrorCase::new("other channels", new(image(3, 4, 8, 6), [3, 5, 8, 6]), Mismatch, "pooling"),
        ErrorCase::new("other rows", new(image(3, 4, 8, 6), [3, 4, 6, 6]), Mismatch, "pooling"),
        ErrorCase::new("transposed", new(image(3, 4, 8, 6), [3, 4, 6, 8]), Mismatch, "pooling"),
        ErrorCase::new("no image", new(TensorSpec::plain([3, 4]), [3, 4, 6, 8]), Mismatch, "pooling"),
    ]
}

/// A normalisation before any pooling that [`AvgPool2d`] draws, half of them with windows that do not overlap.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let mode = random.choose([BatchNormMode::Training, BatchNormMode::Training, BatchNormMode::Inference]);
    let disjoint = random.one_in(2);
    chain::random(avg_pool2d::random, random, |pool: &AvgPool2d| {
        let mut pool = pool.clone();
        if disjoint {
            let apart = |window: Window| window.stride(window.kernel.max(window.stride)).dilation(1);
            let x = [pool.n, pool.c, pool.h.size_in, pool.w.size_in];
            pool = AvgPool2d::new(x, apart(pool.h.window), apart(pool.w.window)).ok()?;
        }
        before(&pool, mode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean 2 and variance 4, so that with eps = 5 rstd is 1/3: what is normalised is -1, 3, -1, 3, and pooled by twos.
    #[test]
    fn by_hand() -> Result<(), Error> {
        let norm = BatchNorm::new(TensorSpec::image(1, 1, 1, 4), BatchNormMode::Training, 5.0, 0.5)?;
        let pool = AvgPool2d::new([1, 1, 1, 4], Window::new(1), Window::new(2).stride(2))?;
        let op = BatchNormReluAvgPool2d::new(norm, pool)?;
        let [x, weight, bias] = [vec![0.0, 4.0, 0.0, 4.0], vec![3.0], vec![1.0]].map(Array::Real);
        let [mut running_mean, mut running_var, mut mean, mut rstd] = [(); 4].map(|()| Array::Real(vec![1.0]));
        let mut y = Array::Real(vec![9.0; 2]);
        let outputs = &mut [&mut running_mean, &mut running_var, &mut y, &mut mean, &mut rstd];
        op.run_f64(Direction::Fwd, &[&x, &weight, &bias], outputs)?;
        let near = |got: &Array<f64>, expected: &[f64]| {
            let pairs = || got.real().iter().zip(expected);
            assert!(got.len() == expected.len() && pairs().all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
        };
        near(&y, &[1.5, 1.5]);
        near(&running_var, &[0.5 + 8.0 / 3.0]);
        // Half of 2 and half of 6 arrive where 3 stood; xhat is 2/3 there.
        let dy = Array::Real(vec![2.0, 6.0]);
        let [mut dweight, mut dbias] = [(); 2].map(|()| Array::Real(vec![9.0]));
        let inputs = [&x, &weight, &bias, &dy, &mean, &rstd];
        op.run_f64(Direction::BwdWeight, &inputs, &mut [&mut dweight, &mut dbias])?;
        near(&dweight, &[8.0 / 3.0]);
        near(&dbias, &[4.0]);
        let mut dx = Array::Real(vec![9.0; 4]);
        let inputs = [&x, &weight, &bias, &dy, &mean, &rstd, &dweight, &dbias];
        op.run_f64(Direction::BwdInput, &inputs, &mut [&mut dx])?;
        // weight * rstd is 1; dbias / 4 is 1, xhat * dweight / 4 is 4/9 on either side.
        near(&dx, &[-5.0 / 9.0, -4.0 / 9.0, -5.0 / 9.0, 14.0 / 9.0]);
        Ok(())
    }
}
