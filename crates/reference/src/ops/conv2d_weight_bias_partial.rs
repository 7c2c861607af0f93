//! The gradients of a convolution's weights and bias before they are added up.

use super::conv2d;
use super::{Conv2d, chain};
use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, Window, wrong_arguments,
};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// `partials[s,(kh,kw,ci,co)] = Σ_{n,oh,ow} dy[n,co,oh,ow] * x[n,ci,ih,iw]` and `bias_partials[s,co] = Σ_{n,oh,ow} dy[n,co,oh,ow]`
/// over the lines `(n,oh)` of split `s`: the sums of [`super::Conv2dWeightBias`], cut into stretches of whole lines. Of `n*h_out`
/// lines in all, each of the [`Conv2d::splits`] stretches has `ceil(n*h_out / splits)`; those at the end have fewer, or none.
///
/// - Shapes: `x`, `dy` as in [`Conv2d`]; `partials` plain `[splits, k_h*k_w*c_in*c_out]`, the weights in the order that they have on
///   a device, the output channel last; `bias_partials` plain `[splits, c_out]`.
/// - Writes: `partials`, `bias_partials`, both `=`.
/// - Numerics: `f64` sums, rounded once for each split; deterministic.
/// - Errors: those of [`Conv2d`]; `partials` past [`crate::MAX_ELEMENTS`].
/// - Source: the first half of a sum that is split for parallelism; the optimiser's update adds the splits
///   ([`super::SplitSum`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2dWeightBiasPartial {
    conv: Conv2d,
}

impl Conv2dWeightBiasPartial {
    /// See [`Conv2d::new`].
    pub fn new(x: [usize; 4], c_out: usize, h: Window, w: Window) -> Result<Self, Error> {
        Self::of(Conv2d::new(x, c_out, h, w).map_err(|error| error.of(Self::NAME))?)
    }

    /// Those of this convolution.
    pub fn of(conv: Conv2d) -> Result<Self, Error> {
        let this = Self { conv };
        this.partials().check(Self::NAME, "partials")?;
        Ok(this)
    }

    /// The convolution.
    pub fn conv(&self) -> &Conv2d {
        &self.conv
    }

    fn partials(&self) -> TensorSpec {
        let Conv2d { c_in, c_out, h, w, .. } = self.conv;
        TensorSpec::plain([self.conv.splits(), h.window.kernel * w.window.kernel * c_in * c_out])
    }

    fn bias_partials(&self) -> TensorSpec {
        TensorSpec::plain([self.conv.splits(), self.conv.c_out])
    }

    /// The lines of outputs of a split, counted through all images.
    fn lines(&self, split: usize) -> Range<usize> {
        let lines = self.conv.n * self.conv.h.size_out;
        let per_split = lines.div_ceil(self.conv.splits());
        lines.min(split * per_split)..lines.min((split + 1) * per_split)
    }

    fn split<T: Real>(&self, split: usize, x: &[T], dy: &[T], weights: &mut [T], biases: &mut [T]) {
        let Conv2d { c_in, c_out, h, w, .. } = self.conv;
        let mut weight_sums = vec![0.0; weights.len()];
        let mut bias_sums = vec![0.0; biases.len()];
        for line in self.lines(split) {
            let (n, oh) = (line / h.size_out, line % h.size_out);
            for ow in 0..w.size_out {
                let dy: Vec<f64> =
                    (0..c_out).map(|co| dy[((n * c_out + co) * h.size_out + oh) * w.size_out + ow].to_f64()).collect();
                bias_sums.iter_mut().zip(&dy).for_each(|(sum, dy)| *sum += dy);
                for kh in 0..h.window.kernel {
                    for kw in 0..w.window.kernel {
                        let (Some(ih), Some(iw)) = (h.input_at(oh, kh), w.input_at(ow, kw)) else { continue };
                        for ci in 0..c_in {
                            let x = x[((n * c_in + ci) * h.size_in + ih) * w.size_in + iw].to_f64();
                            let row = (kh * w.window.kernel + kw) * c_in + ci;
                            let sums = &mut weight_sums[row * c_out..][..c_out];
                            sums.iter_mut().zip(&dy).for_each(|(sum, dy)| *sum += dy * x);
                        }
                    }
                }
            }
        }
        for (to, from) in [(weights, weight_sums), (biases, bias_sums)] {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = T::from_f64(from));
        }
    }
}

impl Contract for Conv2dWeightBiasPartial {
    const NAME: &'static str = "conv2d_weight_bias_partial";
    const DIRECTIONS: &'static [Direction] = &[Direction::BwdWeight];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        if direction != Direction::BwdWeight {
            return vec![];
        }
        vec![
            Arg::read("x", chain::spec(&self.conv, direction, "x")),
            Arg::read("dy", chain::spec(&self.conv, direction, "dy")),
            Arg::write("partials", self.partials()),
            Arg::write("bias_partials", self.bias_partials()),
        ]
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs, outputs) {
            (Direction::BwdWeight, [x, dy], [partials, bias_partials]) => {
                let splits = self.conv.splits();
                let weights = partials.real_mut();
                let weights = weights.par_chunks_mut((weights.len() / splits).max(1));
                let biases = bias_partials.real_mut().par_chunks_mut(self.conv.c_out);
                let (x, dy) = (x.real(), dy.real());
                weights.zip(biases).enumerate().for_each(|(split, (weights, biases))| {
                    self.split(split, x, dy, weights, biases);
                });
                Ok(())
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    fn terms(&self, _direction: Direction) -> usize {
        self.lines(0).len() * self.conv.w.size_out
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, direction: Direction) -> u64 {
        Contract::flops(&self.conv, direction) + Contract::flops(&self.conv, Direction::BwdBias)
    }
}

/// Those of the convolution, without the costliest; sums that are split, in whole vec4s and not, with splits that are shorter or
/// empty at the end.
pub fn cases() -> Vec<Case> {
    let part = |conv: &Conv2d| Conv2dWeightBiasPartial::of(conv.clone()).ok();
    let mut cases = Cases(chain::cases(conv2d::cases(), Direction::BwdWeight, 1_000_000, part));
    let w = Window::new;
    for (name, x, c_out, k_h, k_w) in [
        ("splits", [3, 2, 33, 31], 5, 2, 3),
        ("splits-vec4", [1, 4, 48, 65], 8, 1, 1),
        ("splits-short", [3, 1, 37, 29], 20, 1, 1),
        ("splits-wide", [2, 4, 32, 33], 36, 1, 1),
        // 5 splits of 17 lines, of which the last has 15.
        ("splits-shorter-at-the-end", [1, 1, 85, 66], 3, 3, 3),
        // 15 splits of 2 lines, of which the last 2 have none.
        ("splits-empty-at-the-end", [1, 1, 26, 602], 2, 1, 3),
    ] {
        cases.add(name, Conv2dWeightBiasPartial::new(x, c_out, w(k_h), w(k_w)));
    }
    cases.0
}

/// Sizes that no convolution has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{KernelTooLarge, TooLarge, ZeroSize};
    let (new, w) = (Conv2dWeightBiasPartial::new, Window::new);
    vec![
        ErrorCase::new("no images", new([0, 1, 4, 5], 1, w(2), w(3)), ZeroSize, "n"),
        ErrorCase::new("no output channels", new([1, 1, 4, 5], 0, w(2), w(3)), ZeroSize, "c_out"),
        ErrorCase::new("zero stride", new([1, 1, 4, 5], 1, w(2).stride(0), w(3)), ZeroSize, "stride_h"),
        ErrorCase::new("kernel too wide", new([1, 1, 4, 5], 1, w(2), w(6)), KernelTooLarge, "w"),
        ErrorCase::new("x past i32", new([1 << 11, 1 << 10, 32, 32], 1, w(2), w(3)), TooLarge, "x"),
        // The weights are not, but their splits are.
        ErrorCase::new("partials past i32", new([32, 1 << 12, 18, 18], 1 << 12, w(5), w(5)), TooLarge, "partials"),
    ]
}

/// Any convolution that [`Conv2d`] draws; one in four in whole vec4s, one in four in strips.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let draw = match random.below(4) {
        0 => chain::conv2d_in_strips,
        1 => chain::conv2d_in_vec4s,
        _ => conv2d::random,
    };
    chain::random(draw, random, |conv: &Conv2d| Conv2dWeightBiasPartial::of(conv.clone()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The splits by hand, and that together they are what [`super::super::Conv2dWeightBias`] says.
    #[test]
    fn the_splits_add_up_to_the_gradients() {
        // 2 images of 4 lines of 512: 4 splits of 2 lines.
        let op = Conv2dWeightBiasPartial::new([2, 2, 5, 513], 3, Window::new(2), Window::new(2)).unwrap();
        let [k_h, k_w, c_in, c_out] = [2, 2, 2, 3];
        assert_eq!((op.conv.splits(), op.lines(0), op.lines(3)), (4, 0..2, 6..8));
        let value = |i: usize| ((i * 37 + 11) % 9) as f64 - 4.0;
        let array = |spec: &TensorSpec| Array::Real((0..spec.len()).map(value).collect::<Vec<f64>>());
        let [x, dy, partials, bias_partials] = &Contract::signature(&op, Direction::BwdWeight)[..] else { panic!() };
        let (x, dy) = (array(&x.spec), array(&dy.spec));
        let [mut partials, mut bias_partials] = [partials, bias_partials].map(|arg| Array::<f64>::zeros(&arg.spec));
        op.run_f64(Direction::BwdWeight, &[&x, &dy], &mut [&mut partials, &mut bias_partials]).unwrap();

        let [mut dweight, mut dbias] = [vec![0.0; k_h * k_w * c_in * c_out], vec![0.0; c_out]].map(Array::Real);
        op.conv.run_f64(Direction::BwdWeight, &[&x, &dy], &mut [&mut dweight]).unwrap();
        op.conv.run_f64(Direction::BwdBias, &[&dy], &mut [&mut dbias]).unwrap();
        let sum =
            |values: &Array<f64>, len: usize, i: usize| -> f64 { values.real().iter().skip(i).step_by(len).sum() };
        for co in 0..c_out {
            assert_eq!(sum(&bias_partials, c_out, co), dbias.real()[co]);
            for (ci, kh, kw) in [(0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 1)] {
                let i = ((kh * k_w + kw) * c_in + ci) * c_out + co;
                let expected = dweight.real()[((co * c_in + ci) * k_h + kh) * k_w + kw];
                assert_eq!(sum(&partials, k_h * k_w * c_in * c_out, i), expected);
            }
        }
        // Line 2 of the second image is in the last split and in no other: a change there is seen there alone.
        let mut changed = dy.clone();
        changed.real_mut()[(3 * 4 + 2) * 512] += 1.0;
        let before = (partials.clone(), bias_partials.clone());
        op.run_f64(Direction::BwdWeight, &[&x, &changed], &mut [&mut partials, &mut bias_partials]).unwrap();
        let first_three = |of: &Array<f64>| of.real()[..of.len() / 4 * 3].to_vec();
        assert_eq!(first_three(&partials), first_three(&before.0));
        assert_eq!(bias_partials.real()[9], before.1.real()[9] + 1.0);
        assert_eq!(bias_partials.real()[..9], before.1.real()[..9]);
    }
}
