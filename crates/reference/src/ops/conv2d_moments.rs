//! 2-D convolution, ReLU where asked for, and the mean and spread of every 32 pixels of what comes out.

use super::conv2d;
use super::{Conv2d, Relu, chain};
use crate::cases::{Case, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, Window, wrong_arguments,
};
use rayon::prelude::*;
use std::cell::Cell;
use std::sync::Arc;

/// `y = conv2d(x, weight, bias)`, or `relu` of it, and for every 32 pixels of a channel, in the order `n, h, w`,
/// `mean = Σ y / count` and `M2 = Σ (y - mean)²`: what [`super::BatchNormOfMoments`] merges to the statistics of the batch.
///
/// - Shapes: those of [`Conv2d`]; `moments` `[ceil(n*h_out*w_out / 32), 2, c_out]`, the means first. The last pixels may
///   be fewer than 32.
/// - Writes: `y`, `moments`, both `=`.
/// - Numerics: those of [`Conv2d`]; mean first, then squared distances from it, in `f64`, of `y` as it is stored. A NaN is
///   in the moments of its pixels, and of no others.
/// - Errors: those of [`Conv2d`].
/// - Source: the chain of the two with the first pass of [`super::BatchNorm`], fused so that sums are looked at where they
///   are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2dMoments {
    /// The convolution.
    pub conv: Conv2d,
    /// Whether `y` is clipped at 0.
    pub relu: bool,
}

impl Conv2dMoments {
    /// Pixels that have a mean and an M2 together.
    pub const PIXELS: usize = 32;

    /// See [`Conv2d::new`].
    pub fn new(x: [usize; 4], c_out: usize, h: Window, w: Window, relu: bool) -> Result<Self, Error> {
        let conv = Conv2d::new(x, c_out, h, w).map_err(|error| error.of(Self::NAME))?;
        Ok(Self { conv, relu })
    }

    /// Pixels of an image of `y`.
    fn plane(&self) -> usize {
        self.conv.h.size_out * self.conv.w.size_out
    }

    /// The shape of `moments`.
    pub fn moments(&self) -> TensorSpec {
        TensorSpec::plain([(self.conv.n * self.plane()).div_ceil(Self::PIXELS), 2, self.conv.c_out])
    }

    /// `y` alone.
    pub fn sums<T: Real>(&self, inputs: &[&Array<T>], y: &mut Array<T>) -> Result<(), Error> {
        if !self.relu {
            return self.conv.compute(Direction::Fwd, inputs, &mut [y]);
        }
        let mut sums = chain::between(&self.conv, Direction::Fwd, "y");
        self.conv.compute(Direction::Fwd, inputs, &mut [&mut sums])?;
        Relu { spec: chain::spec(&self.conv, Direction::Fwd, "y") }.compute(Direction::Fwd, &[&sums], &mut [y])
    }

    /// The moments of what is in `y`.
    pub fn moments_of<T: Real>(&self, y: &Array<T>, moments: &mut Array<T>) {
        let (y, plane, channels) = (y.real(), self.plane(), self.conv.c_out);
        let pixels = self.conv.n * plane;
        let tiles = moments.real_mut().par_chunks_mut(2 * channels).enumerate();
        tiles.for_each(|(tile, moments)| {
            let (means, m2s) = moments.split_at_mut(channels);
            let first = tile * Self::PIXELS;
            let end = pixels.min(first + Self::PIXELS);
            for (channel, (mean, m2)) in means.iter_mut().zip(m2s).enumerate() {
                let value = |pixel: usize| y[(pixel / plane * channels + channel) * plane + pixel % plane].to_f64();
                let center = (first..end).map(value).sum::<f64>() / (end - first) as f64;
                *mean = T::from_f64(center);
                *m2 = T::from_f64((first..end).map(|pixel| (value(pixel) - center).powi(2)).sum());
            }
        });
    }
}

impl Contract for Conv2dMoments {
    const NAME: &'static str = "conv2d_moments";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => {
                let mut args = Contract::signature(&self.conv, direction);
                args.push(Arg::write("moments", self.moments()));
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
        match (direction, outputs) {
            (Direction::Fwd, [y, moments]) => {
                self.sums(inputs, y)?;
                self.moments_of(y, moments);
                Ok(())
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    fn terms(&self, direction: Direction) -> usize {
        Contract::terms(&self.conv, direction)
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        false
    }

    fn flops(&self, direction: Direction) -> u64 {
        let y = chain::spec(&self.conv, direction, "y").len() as u64;
        Contract::flops(&self.conv, direction) + (4 + u64::from(self.relu)) * y
    }
}

/// Those of the convolution, without the costliest; every other is clipped.
pub fn cases() -> Vec<Case> {
    let relu = Cell::new(true);
    chain::cases(conv2d::cases(), Direction::Fwd, 1_000_000, |conv: &Conv2d| {
        relu.set(!relu.get());
        Some(Conv2dMoments { conv: conv.clone(), relu: relu.get() })
    })
}

/// Sizes that no convolution has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{KernelTooLarge, TooLarge, ZeroSize};
    let new = |x, c_out, h, w| Conv2dMoments::new(x, c_out, h, w, true);
    let w = Window::new;
    vec![
        ErrorCase::new("no images", new([0, 1, 4, 5], 1, w(2), w(3)), ZeroSize, "n"),
        ErrorCase::new("no output channels", new([1, 1, 4, 5], 0, w(2), w(3)), ZeroSize, "c_out"),
        ErrorCase::new("zero stride", new([1, 1, 4, 5], 1, w(2).stride(0), w(3)), ZeroSize, "stride_h"),
        ErrorCase::new("kernel too wide", new([1, 1, 4, 5], 1, w(2), w(6)), KernelTooLarge, "w"),
        ErrorCase::new("x past i32", new([1 << 11, 1 << 10, 32, 32], 1, w(2), w(3)), TooLarge, "x"),
    ]
}

/// Any convolution that [`Conv2d`] draws, clipped or not; one in three in whole vec4s.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let relu = random.one_in(2);
    let draw = if random.one_in(3) { chain::conv2d_in_vec4s } else { conv2d::random };
    chain::random(draw, random, |conv: &Conv2d| Some(Conv2dMoments { conv: conv.clone(), relu }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images of 34 pixels in two channels, the second of which is negative: 64 pixels have 32 together, four are left.
    #[test]
    fn by_hand() -> Result<(), Error> {
        for relu in [false, true] {
            let op = Conv2dMoments::new([2, 1, 2, 17], 2, Window::new(1), Window::new(1), relu)?;
            let x =
                (0..68).map(|pixel| if pixel < 64 { f64::from(pixel % 2) } else { f64::from(pixel - 63) }).collect();
            let [x, weight, bias] = [x, vec![2.0, -1.0], vec![0.0, 0.0]].map(Array::Real);
            let [mut y, mut moments] = [vec![9.0; 136], vec![9.0; 12]].map(Array::Real);
            op.run_f64(Direction::Fwd, &[&x, &weight, &bias], &mut [&mut y, &mut moments])?;
            // 0 and 2 in turn, and 2, 4, 6, 8; the other channel is -1/2 times as much, or 0.
            let half = if relu { 0.0 } else { -0.5 };
            let mean_m2 = |mean: f64, m2: f64| [mean, half * mean, m2, half * half * m2];
            let expected: Vec<f64> = [mean_m2(1.0, 32.0), mean_m2(1.0, 32.0), mean_m2(5.0, 20.0)].concat();
            assert_eq!(moments.real(), expected);
        }
        Ok(())
    }
}
