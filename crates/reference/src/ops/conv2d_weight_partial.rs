//! The gradient of a convolution's weights before it is added up.

use super::conv2d;
use super::{Conv2d, chain};
use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Contract, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, Window, wrong_arguments,
};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// `partials[s,(kh,kw,ci,co)] = Σ_{n,oh,ow} dy[n,co,oh,ow] * x[n,ci,ih,iw]` over the output pixels `(n,oh,ow)` of split `s`: the sum
/// of direction `bwd_weight` of [`Conv2d`], cut into spans of pixels. Each of the [`Conv2d::splits`] spans has
/// `ceil(n*h_out*w_out / splits)` pixels, and as many more as make it whole steps of [`Conv2dWeightPartial::STEP`]; those at the
/// end have fewer, or none.
///
/// - Shapes: `x`, `dy` as in [`Conv2d`]; `partials` plain `[splits, k_h*k_w*c_in*c_out]`, the weights in the order that they have on
///   a device, the output channel last.
/// - Writes: `partials` `=`.
/// - Numerics: `f64` sums, rounded once for each split; deterministic.
/// - Errors: those of [`Conv2d`]; `partials` past [`crate::MAX_ELEMENTS`].
/// - Source: the first half of a sum that is split for parallelism; the optimiser's update adds the splits
///   ([`super::SplitSum`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2dWeightPartial {
    conv: Conv2d,
}

impl Conv2dWeightPartial {
    /// Pixels that a tile takes at once: no span starts inside of so many.
    pub const STEP: usize = 16;

    /// See [`Conv2d::new`].
    pub fn new(x: [usize; 4], c_out: usize, h: Window, w: Window) -> Result<Self, Error> {
        Self::of(Conv2d::new(x, c_out, h, w).map_err(|error| error.of(Self::NAME))?)
    }

    /// That of this convolution.
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

    /// The output pixels of a split, counted through all images.
    pub fn span(&self, split: usize) -> Range<usize> {
        let pixels = self.conv.n * self.conv.h.size_out * self.conv.w.size_out;
        let per_split = pixels.div_ceil(self.conv.splits()).next_multiple_of(Self::STEP);
        pixels.min(split * per_split)..pixels.min((split + 1) * per_split)
    }

    fn split<T: Real>(&self, split: usize, x: &[T], dy: &[T], partials: &mut [T]) {
        let Conv2d { c_in, c_out, h, w, .. } = self.conv;
        let plane = h.size_out * w.size_out;
        let mut sums = vec![0.0; partials.len()];
        for pixel in self.span(split) {
            let (n, place) = (pixel / plane, pixel % plane);
            for kh in 0..h.window.kernel {
                for kw in 0..w.window.kernel {
                    let (oh, ow) = (place / w.size_out, place % w.size_out);
                    let (Some(ih), Some(iw)) = (h.input_at(oh, kh), w.input_at(ow, kw)) else { continue };
                    for ci in 0..c_in {
                        let x = x[((n * c_in + ci) * h.size_in + ih) * w.size_in + iw].to_f64();
                        let row = (kh * w.window.kernel + kw) * c_in + ci;
                        for (co, sum) in sums[row * c_out..][..c_out].iter_mut().enumerate() {
                            *sum += dy[(n * c_out + co) * plane + place].to_f64() * x;
                        }
                    }
                }
            }
        }
        partials.iter_mut().zip(sums).for_each(|(to, from)| *to = T::from_f64(from));
    }
}

impl Contract for Conv2dWeightPartial {
    const NAME: &'static str = "conv2d_weight_partial";
    const DIRECTIONS: &'static [Direction] = &[Direction::BwdWeight];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        if direction != Direction::BwdWeight {
            return vec![];
        }
        vec![
            Arg::read("x", chain::spec(&self.conv, direction, "x")),
            Arg::read("dy", chain::spec(&self.conv, direction, "dy")),
            Arg::write("partials", self.partials()),
        ]
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        match (direction, inputs, outputs) {
            (Direction::BwdWeight, [x, dy], [partials]) => {
                let partials = partials.real_mut();
                let len = (partials.len() / self.conv.splits()).max(1);
                let (x, dy) = (x.real(), dy.real());
                partials
                    .par_chunks_mut(len)
                    .enumerate()
                    .for_each(|(split, partials)| self.split(split, x, dy, partials));
                Ok(())
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    fn terms(&self, _direction: Direction) -> usize {
        self.span(0).len()
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, direction: Direction) -> u64 {
        Contract::flops(&self.conv, direction)
    }
}

/// Those of the convolution, without the costliest; spans that end inside of a line and of an image, that are shorter or empty at
/// the end.
pub fn cases() -> Vec<Case> {
    let part = |conv: &Conv2d| Conv2dWeightPartial::of(conv.clone()).ok();
    let mut cases = Cases(chain::cases(conv2d::cases(), Direction::BwdWeight, 1_000_000, part));
    let w = Window::new;
    for (name, x, c_out, k_h, k_w) in [
        ("splits", [3, 2, 33, 31], 5, 2, 3),
        ("splits-vec4", [1, 4, 48, 65], 8, 1, 1),
        // 5 splits of 1072 pixels, of which the last has 1024.
        ("splits-shorter-at-the-end", [1, 1, 85, 66], 3, 3, 3),
        // 32 splits of 1040 pixels, of which the last has 533.
        ("most-splits", [1, 1, 13, 2521], 2, 1, 1),
    ] {
        cases.add(name, Conv2dWeightPartial::new(x, c_out, w(k_h), w(k_w)));
    }
    cases.0
}

/// Sizes that no convolution has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{KernelTooLarge, TooLarge, ZeroSize};
    let (new, w) = (Conv2dWeightPartial::new, Window::new);
    vec![
        ErrorCase::new("no images", new([0, 1, 4, 5], 1, w(2), w(3)), ZeroSize, "n"),
        ErrorCase::new("no output channels", new([1, 1, 4, 5], 0, w(2), w(3)), ZeroSize, "c_out"),
        ErrorCase::new("zero stride", new([1, 1, 4, 5], 1, w(2).stride(0), w(3)), ZeroSize, "stride_h"),
        ErrorCase::new("kernel too wide", new([1, 1, 4, 5], 1, w(2), w(6)), KernelTooLarge, "w"),
        // The weights are not, but their splits are.
        ErrorCase::new("partials past i32", new([32, 1 << 12, 18, 18], 1 << 12, w(5), w(5)), TooLarge, "partials"),
    ]
}

/// Any convolution that [`Conv2d`] draws.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    chain::random(conv2d::random, random, |conv: &Conv2d| Conv2dWeightPartial::of(conv.clone()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_splits_add_up_to_the_gradient() {
        // 3 images of 1027 pixels: 3 splits of 1040, the last of 1001.
        let op = Conv2dWeightPartial::new([3, 2, 14, 80], 3, Window::new(2), Window::new(2)).unwrap();
        let [k_h, k_w, c_in, c_out] = [2, 2, 2, 3];
        assert_eq!((op.conv.splits(), op.span(0), op.span(2)), (3, 0..1040, 2080..3081));
        let value = |i: usize| ((i * 37 + 11) % 9) as f64 - 4.0;
        let array = |spec: &TensorSpec| Array::Real((0..spec.len()).map(value).collect::<Vec<f64>>());
        let [x, dy, _] = &Contract::signature(&op, Direction::BwdWeight)[..] else { panic!() };
        let (x, dy) = (array(&x.spec), array(&dy.spec));
        let [mut partials, mut changed] = [(); 2].map(|()| Array::<f64>::zeros(&op.partials()));
        let mut dweight = Array::Real(vec![0.0; k_h * k_w * c_in * c_out]);
        op.run_f64(Direction::BwdWeight, &[&x, &dy], &mut [&mut partials]).unwrap();
        op.conv.run_f64(Direction::BwdWeight, &[&x, &dy], &mut [&mut dweight]).unwrap();
        for co in 0..c_out {
            for (ci, kh, kw) in [(0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 1)] {
                let i = ((kh * k_w + kw) * c_in + ci) * c_out + co;
                let sum: f64 = partials.real().iter().skip(i).step_by(k_h * k_w * c_in * c_out).sum();
                assert_eq!(sum, dweight.real()[((co * c_in + ci) * k_h + kh) * k_w + kw]);
            }
        }
        // Pixel 12 of the second image is the last of the first split, and the next one of the second.
        for (pixel, split) in [(12, 0), (13, 1)] {
            let mut other = dy.clone();
            other.real_mut()[c_out * 1027 + pixel] += 1.0;
            op.run_f64(Direction::BwdWeight, &[&x, &other], &mut [&mut changed]).unwrap();
            let differ = |at: usize| partials.real()[24 * at..24 * (at + 1)] != changed.real()[24 * at..24 * (at + 1)];
            assert_eq!([0, 1, 2].map(differ), [0, 1, 2].map(|at| at == split), "pixel {pixel}");
        }
    }
}
