//! 2-D convolution (cross-correlation, as every framework defines it).

use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Axis, Contract, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, Window,
    wrong_arguments,
};
use rayon::prelude::*;
use std::sync::Arc;

/// `y[n,co,oh,ow] = bias[co] + Σ_{ci,kh,kw} x[n,ci,ih,iw] * weight[co,ci,kh,kw]` with
/// `ih = oh*stride_h + kh*dilation_h - pad_h`, `iw` likewise; reads outside the image are 0.
///
/// - Shapes: `x` image `[n, c_in, h_in, w_in]`, `weight` filter `[c_out, c_in, k_h, k_w]`,
///   `bias` `[c_out]`, `y` image `[n, c_out, h_out, w_out]`; see [`Axis`] for `h_out`.
/// - Writes: `y`, `dx`, `dweight`, `dbias`, all `=`.
/// - Numerics: `f64` sums, rounded once; deterministic.
/// - Errors: a zero size, a kernel larger than the padded input, tensors past
///   [`crate::MAX_ELEMENTS`].
/// - Source: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Images.
    pub n: usize,
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Rows.
    pub h: Axis,
    /// Columns.
    pub w: Axis,
}

/// Parts of the sums over all output pixels, at most while none is longer than [`LONGEST_SPLIT`].
pub(super) const MOST_SPLITS: usize = 32;

/// Pixels of a part at most, but for those of a single line. Software Vulkan leaves loops after 65,535 rounds, and kernels in tiles
/// need up to two for a pixel.
const LONGEST_SPLIT: usize = 1 << 14;

impl Conv2d {
    /// A convolution of `[n, c_in, h_in, w_in]` to `c_out` channels.
    pub fn new([n, c_in, h_in, w_in]: [usize; 4], c_out: usize, h: Window, w: Window) -> Result<Self, Error> {
        let op = Self::NAME;
        let h = Axis::new(op, "h", h_in, h)?;
        let w = Axis::new(op, "w", w_in, w)?;
        let this = Self { n, c_in, c_out, h, w };
        for (what, size) in [("n", n), ("c_in", c_in), ("c_out", c_out)] {
            if size == 0 {
                return Err(Error::ZeroSize { op, what });
            }
        }
        this.x().check(op, "x")?;
        this.weight().check(op, "weight")?;
        this.y().check(op, "y")?;
        Ok(this)
    }

    /// Into how many parts kernels cut the sums over all output pixels. By the problem alone, so that results do not depend
    /// on the device.
    pub fn splits(&self) -> usize {
        // As many as keep each part long enough to pay for its partial sums, and short enough for loops over it to get to
        // their end everywhere. A part is at least one line of outputs.
        let pixels = self.n * self.plane_out();
        (pixels / 1024).clamp(1, MOST_SPLITS).max(pixels.div_ceil(LONGEST_SPLIT)).min(self.n * self.h.size_out)
    }

    fn x(&self) -> TensorSpec {
        TensorSpec::image(self.n, self.c_in, self.h.size_in, self.w.size_in)
    }

    fn weight(&self) -> TensorSpec {
        TensorSpec::filter(self.c_out, self.c_in, self.h.window.kernel, self.w.window.kernel)
    }

    fn bias(&self) -> TensorSpec {
        TensorSpec::plain([self.c_out])
    }

    fn y(&self) -> TensorSpec {
        TensorSpec::image(self.n, self.c_out, self.h.size_out, self.w.size_out)
    }

    /// Elements of one input channel of one image.
    fn plane_in(&self) -> usize {
        self.h.size_in * self.w.size_in
    }

    /// Elements of one output channel of one image.
    fn plane_out(&self) -> usize {
        self.h.size_out * self.w.size_out
    }

    /// Calls `visit(output, input, count)` for every row of outputs that kernel element `(kh, kw)`
    /// reaches inside the image: `count` outputs from `output` on, each reading an input one
    /// `stride_w` further than the one before.
    fn rows(&self, kh: usize, kw: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let ow = self.w.outputs_inside(kw);
        let Some(iw) = self.w.input_at(ow.start, kw).filter(|_| !ow.is_empty()) else { return };
        for oh in self.h.outputs_inside(kh) {
            if let Some(ih) = self.h.input_at(oh, kh) {
                let output = oh * self.w.size_out + ow.start;
                visit(output, ih * self.w.size_in + iw, ow.len());
            }
        }
    }

    fn forward<T: Real>(&self, x: &[T], weight: &[T], bias: &[T], y: &mut [T]) {
        let (k_h, k_w) = (self.h.window.kernel, self.w.window.kernel);
        let stride = self.w.window.stride;
        y.par_chunks_mut(self.plane_out()).enumerate().for_each(|(plane, y)| {
            let (n, co) = (plane / self.c_out, plane % self.c_out);
            let mut sums = vec![bias[co].to_f64(); y.len()];
            for ci in 0..self.c_in {
                let x = &x[(n * self.c_in + ci) * self.plane_in()..][..self.plane_in()];
                for kh in 0..k_h {
                    for kw in 0..k_w {
                        let w = weight[((co * self.c_in + ci) * k_h + kh) * k_w + kw].to_f64();
                        self.rows(kh, kw, |output, input, count| {
                            for i in 0..count {
                                sums[output + i] += w * x[input + i * stride].to_f64();
                            }
                        });
                    }
                }
            }
            store(y, &sums);
        });
    }

    /// `dx[n,ci,ih,iw] = Σ_{co,kh,kw} dy[n,co,oh,ow] * weight[co,ci,kh,kw]` over the outputs that
    /// read this input.
    fn backward_input<T: Real>(&self, weight: &[T], dy: &[T], dx: &mut [T]) {
        let (k_h, k_w) = (self.h.window.kernel, self.w.window.kernel);
        let stride = self.w.window.stride;
        dx.par_chunks_mut(self.plane_in()).enumerate().for_each(|(plane, dx)| {
            let (n, ci) = (plane / self.c_in, plane % self.c_in);
            let mut sums = vec![0.0; dx.len()];
            for co in 0..self.c_out {
                let dy = &dy[(n * self.c_out + co) * self.plane_out()..][..self.plane_out()];
                for kh in 0..k_h {
                    for kw in 0..k_w {
                        let w = weight[((co * self.c_in + ci) * k_h + kh) * k_w + kw].to_f64();
                        self.rows(kh, kw, |output, input, count| {
                            for i in 0..count {
                                sums[input + i * stride] += w * dy[output + i].to_f64();
                            }
                        });
                    }
                }
            }
            store(dx, &sums);
        });
    }

    /// `dweight[co,ci,kh,kw] = Σ_{n,oh,ow} dy[n,co,oh,ow] * x[n,ci,ih,iw]`.
    fn backward_weight<T: Real>(&self, x: &[T], dy: &[T], dweight: &mut [T]) {
        let (k_h, k_w) = (self.h.window.kernel, self.w.window.kernel);
        let stride = self.w.window.stride;
        dweight.par_chunks_mut(k_h * k_w).enumerate().for_each(|(plane, dweight)| {
            let (co, ci) = (plane / self.c_in, plane % self.c_in);
            for kh in 0..k_h {
                for kw in 0..k_w {
                    let mut sum = 0.0;
                    for n in 0..self.n {
                        let x = &x[(n * self.c_in + ci) * self.plane_in()..][..self.plane_in()];
                        let dy = &dy[(n * self.c_out + co) * self.plane_out()..][..self.plane_out()];
                        self.rows(kh, kw, |output, input, count| {
                            for i in 0..count {
                                sum += dy[output + i].to_f64() * x[input + i * stride].to_f64();
                            }
                        });
                    }
                    dweight[kh * k_w + kw] = T::from_f64(sum);
                }
            }
        });
    }

    /// `dbias[co] = Σ_{n,oh,ow} dy[n,co,oh,ow]`.
    fn backward_bias<T: Real>(&self, dy: &[T], dbias: &mut [T]) {
        let plane = self.plane_out();
        for (co, dbias) in dbias.iter_mut().enumerate() {
            let planes = (0..self.n).flat_map(|n| &dy[(n * self.c_out + co) * plane..][..plane]);
            *dbias = T::from_f64(planes.map(|dy| dy.to_f64()).sum());
        }
    }
}

fn store<T: Real>(to: &mut [T], from: &[f64]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = T::from_f64(from);
    }
}

impl Contract for Conv2d {
    const NAME: &'static str = "conv2d";
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
        let kernel = self.h.window.kernel * self.w.window.kernel;
        match direction {
            Direction::Fwd => self.c_in * kernel + 1,
            Direction::BwdInput => self.c_out * kernel,
            _ => self.n * self.plane_out(),
        }
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, direction: Direction) -> u64 {
        let outputs = self.y().len() as u64;
        match direction {
            Direction::BwdBias => outputs,
            _ => {
                let kernel = self.h.window.kernel * self.w.window.kernel;
                2 * outputs * (self.c_in * kernel) as u64
            }
        }
    }
}

/// The networks' layers, every tile edge, and each axis different from the other.
pub fn cases() -> Vec<Case> {
    let w = Window::new;
    let mut cases = Cases::default();
    for (name, [n, c_in, size, c_out, k, pad]) in [
        ("lenet5-conv1", [3, 1, 28, 6, 5, 4]),
        ("lenet5-conv2", [3, 6, 16, 16, 5, 2]),
        ("depth-conv1", [3, 1, 28, 32, 3, 1]),
        ("depth-conv2", [3, 32, 14, 64, 3, 1]),
        ("depth-conv3", [3, 64, 7, 128, 3, 1]),
        ("grid-conv1", [2, 1, 28, 32, 5, 2]),
        ("grid-conv2", [1, 32, 14, 32, 5, 2]),
        ("grid-conv2-small", [2, 32, 9, 32, 5, 2]),
        ("grid-conv3", [1, 32, 7, 64, 5, 2]),
        ("grid-conv3-small", [3, 32, 3, 64, 5, 2]),
        ("shallow1-conv1", [3, 1, 28, 32, 3, 0]),
        ("deep4-valid-conv2", [1, 32, 26, 32, 3, 0]),
        ("deep4-valid-conv3", [1, 32, 12, 64, 3, 0]),
        ("deep4-valid-conv4", [1, 64, 10, 128, 3, 0]),
        ("deep4-same-conv2", [1, 32, 28, 32, 3, 1]),
        ("deep4-same-conv3", [1, 32, 14, 64, 3, 1]),
        ("deep4-same-conv4", [1, 64, 14, 128, 3, 1]),
        ("two-dense-conv2", [1, 32, 14, 64, 3, 0]),
        ("variant-conv2", [1, 32, 13, 64, 3, 0]),
    ] {
        let window = w(k).pad(pad);
        cases.add(name, Conv2d::new([n, c_in, size, size], c_out, window, window));
    }
    let mut add = |name: &str, x: [usize; 4], c_out: usize, h: Window, w: Window| {
        cases.add(name, Conv2d::new(x, c_out, h, w));
    };
    // As many images as a training batch, and one more than a power of two.
    add("batch-65", [65, 2, 5, 6], 3, w(3).pad(1), w(2));
    add("batch-65-wide", [65, 8, 4, 3], 17, w(2), w(3).pad(1));
    // One of everything.
    add("1x1", [1, 1, 1, 1], 1, w(1), w(1));
    add("pointwise", [3, 5, 4, 6], 7, w(1), w(1));
    add("whole-image", [3, 2, 4, 5], 3, w(4), w(5));
    add("one-row", [3, 4, 1, 19], 5, w(1), w(3).pad(1));
    add("one-column", [3, 4, 17, 1], 5, w(5).pad(2).stride(2), w(1));
    // Asymmetric in every axis, nothing a multiple of a tile.
    add("asymmetric", [3, 5, 11, 7], 13, w(3).stride(2).pad(1), w(2).stride(1).pad(0));
    add("asymmetric-transposed", [3, 5, 7, 11], 13, w(2).stride(1).pad(0), w(3).stride(2).pad(1));
    add("asymmetric-all", [2, 3, 10, 13], 6, w(2).stride(3).pad(2).dilation(4), w(4).stride(2).pad(3).dilation(2));
    add("primes", [3, 7, 13, 11], 17, w(5).pad(2), w(3).pad(1));
    add("even-kernel", [3, 3, 9, 10], 5, w(4).stride(2).pad(1), w(2).stride(3).pad(1));
    add("even-kernel-vec4", [2, 4, 8, 9], 8, w(2).pad(1), w(6).stride(2).pad(3));
    add("pad-over-half", [3, 2, 5, 6], 4, w(3).pad(3), w(5).pad(4));
    // Windows wholly in the padding.
    add("pad-over-kernel", [3, 4, 3, 2], 8, w(2).pad(5), w(3).stride(2).pad(7));
    add("stride-over-kernel", [3, 3, 11, 13], 5, w(2).stride(3), w(1).stride(4));
    add("stride-over-image", [3, 8, 3, 5], 4, w(2).stride(7), w(3).stride(9).pad(1));
    add("rows-left-over", [2, 4, 10, 12], 4, w(3).stride(4), w(2).stride(5));
    add("dilated", [3, 3, 12, 14], 6, w(3).dilation(2).pad(2), w(3).dilation(3).stride(2).pad(1));
    add("dilated-vec4", [2, 8, 9, 11], 12, w(2).dilation(5), w(3).dilation(4).pad(3));
    // Every second tap of every second output meets the image: stride and dilation share a factor.
    add("dilation-and-stride", [2, 3, 13, 9], 5, w(3).dilation(2).stride(2), w(2).dilation(4).stride(4).pad(2));
    add("dilated-over-the-image", [2, 4, 1, 3], 4, w(2).dilation(3).pad(2), w(3).dilation(5).pad(6));
    // Around the widths that kernels tile by: 4 (vec4), 8 (subgroup), 16, 32, 64.
    for c in [2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65] {
        add(&format!("tile-{c}"), [1, c, 3, 5], c, w(3).pad(1), w(2));
    }
    // The same for the pixels, which are rows of the matrix product, and for its depth.
    for pixels in [15, 16, 17, 31, 32, 33, 63, 64, 65] {
        add(&format!("pixels-{pixels}"), [1, 3, 1, pixels], 4, w(1), w(1));
        add(&format!("depth-{pixels}"), [2, pixels, 3, 2], 5, w(1), w(1));
    }
    // Small ones for tiles of 64 columns, which take no fewer than 33.
    add("columns-36", [2, 4, 3, 2], 36, w(2).pad(1), w(1));
    add("columns-36-in", [2, 36, 2, 3], 8, w(1), w(2));
    add("columns-60-both", [1, 40, 2, 2], 60, w(1), w(1));
    add("tile-edges-mixed", [1, 33, 5, 13], 31, w(1), w(1));
    add("batch-1", [1, 4, 6, 5], 8, w(3).pad(1), w(3));
    // In f32 41 * (1 / 41) and 47 * (1 / 47) are below 1: for kernels that divide by multiplying.
    add("reciprocals-inexact", [2, 2, 47, 41], 3, w(1), w(1));
    // Channels in twos, and lines of more than a strip of pixels and of less.
    for (c_in, c_out, w_in, k_w) in [(2, 10, 8, 3), (6, 12, 17, 5), (10, 14, 7, 4), (6, 16, 5, 2), (18, 18, 9, 3)] {
        let name = format!("pairs-{c_in}-{c_out}");
        add(&name, [2, c_in, 3, w_in], c_out, w(2).pad(1), w(k_w).pad(k_w / 2));
    }
    add("pairs-split", [1, 2, 46, 47], 4, w(3).pad(1), w(3).pad(1));
    add("pairs-strided", [2, 2, 9, 10], 12, w(3).stride(2).pad(1), w(3).pad(2));
    // One channel in whole vec4s of pixels, wherever in a vec4 the kernel begins.
    for pad in 0..=5 {
        add(&format!("one-channel-pad-{pad}"), [2, 1, 5, 12], 12 + 4 * pad, w(3).pad(1), w(5).pad(pad));
    }
    add("one-channel-narrow", [3, 1, 4, 4], 20, w(4).stride(2).pad(2), w(3).pad(1));
    add("one-channel-long", [1, 1, 3, 36], 16, w(3).dilation(2).pad(2), w(2));
    // The sums over output pixels are split at every 1024 of them, 32 times at most, by whole lines.
    for (name, h, w_out) in [("one", 31, 33), ("two", 32, 64), ("below-two", 23, 89), ("three", 48, 65)] {
        add(&format!("splits-{name}"), [1, 2, h, w_out], 3, w(1), w(1));
    }
    add("splits-of-two-lines", [2, 3, 2, 1031], 4, w(1), w(2).pad(1));
    add("splits-uneven", [3, 2, 37, 67], 5, w(3).pad(1), w(3).pad(1));
    add("splits-most", [1, 1, 181, 182], 2, w(1), w(1));
    add("splits-no-more", [1, 2, 199, 211], 3, w(2), w(1));
    // A kernel of three to five lines and columns, which one kernel slides over them.
    add("slides", [2, 1, 9, 7], 7, w(5).pad(4), w(4).pad(1));
    add("slides-pairs", [2, 2, 6, 8], 8, w(2).stride(2), w(3).pad(2));
    add("slides-over-one", [3, 4, 5, 5], 9, w(1).stride(3).pad(1), w(5));
    add("slides-wide", [1, 1, 38, 33], 33, w(3).dilation(2).pad(2), w(5).pad(2));
    cases.0
}

/// Sizes that no convolution has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{KernelTooLarge, TooLarge, ZeroSize};
    let w = Window::new;
    let huge = usize::MAX;
    let new = |x: [usize; 4], c_out: usize, h: Window, w: Window| Conv2d::new(x, c_out, h, w);
    vec![
        ErrorCase::new("no images", new([0, 1, 4, 5], 1, w(2), w(3)), ZeroSize, "n"),
        ErrorCase::new("no input channels", new([1, 0, 4, 5], 1, w(2), w(3)), ZeroSize, "c_in"),
        ErrorCase::new("no output channels", new([1, 1, 4, 5], 0, w(2), w(3)), ZeroSize, "c_out"),
        ErrorCase::new("no rows", new([1, 1, 0, 5], 1, w(2), w(3)), ZeroSize, "h_in"),
        ErrorCase::new("no columns", new([1, 1, 4, 0], 1, w(2), w(3)), ZeroSize, "w_in"),
        ErrorCase::new("no rows but padding", new([1, 1, 0, 5], 1, w(2).pad(2), w(3)), ZeroSize, "h_in"),
        ErrorCase::new("no kernel rows", new([1, 1, 4, 5], 1, w(0), w(3)), ZeroSize, "k_h"),
        ErrorCase::new("no kernel columns", new([1, 1, 4, 5], 1, w(2), w(0)), ZeroSize, "k_w"),
        ErrorCase::new("zero stride down", new([1, 1, 4, 5], 1, w(2).stride(0), w(3)), ZeroSize, "stride_h"),
        ErrorCase::new("zero stride across", new([1, 1, 4, 5], 1, w(2), w(3).stride(0)), ZeroSize, "stride_w"),
        ErrorCase::new("zero dilation down", new([1, 1, 4, 5], 1, w(2).dilation(0), w(3)), ZeroSize, "dilation_h"),
        ErrorCase::new("zero dilation across", new([1, 1, 4, 5], 1, w(2), w(3).dilation(0)), ZeroSize, "dilation_w"),
        ErrorCase::new("kernel too high", new([1, 1, 4, 5], 1, w(5), w(3)), KernelTooLarge, "h"),
        ErrorCase::new("kernel too wide", new([1, 1, 4, 5], 1, w(2), w(6)), KernelTooLarge, "w"),
        ErrorCase::new("padding too small", new([1, 1, 4, 5], 1, w(2), w(8).pad(1)), KernelTooLarge, "w"),
        ErrorCase::new("dilated too high", new([1, 1, 4, 5], 1, w(2).dilation(4), w(3)), KernelTooLarge, "h"),
        ErrorCase::new("too many rows", new([1, 1, 1 << 31, 5], 1, w(2), w(3)), TooLarge, "h_in"),
        ErrorCase::new("rows past usize", new([1, 1, huge, 5], 1, w(2).pad(1), w(3)), TooLarge, "h_in"),
        ErrorCase::new("padding past usize", new([1, 1, 4, 5], 1, w(2), w(3).pad(huge)), TooLarge, "pad_w"),
        ErrorCase::new("padding past i32", new([1, 1, 4, 5], 1, w(2).pad(1 << 30), w(3)), TooLarge, "pad_h"),
        ErrorCase::new("stride past i32", new([1, 1, 4, 5], 1, w(2), w(3).stride(1 << 31)), TooLarge, "stride_w"),
        ErrorCase::new("kernel past usize", new([1, 1, 4, 5], 1, w(huge), w(3)), TooLarge, "k_h"),
        ErrorCase::new("dilation past usize", new([1, 1, 4, 5], 1, w(2), w(3).dilation(huge)), TooLarge, "dilation_w"),
        ErrorCase::new(
            "span past i32",
            new([1, 1, 4, 5], 1, w(1 << 16).dilation(1 << 16), w(3)),
            TooLarge,
            "dilation_h",
        ),
        ErrorCase::new("x past i32", new([1 << 11, 1 << 10, 32, 32], 1, w(2), w(3)), TooLarge, "x"),
        ErrorCase::new("x past usize", new([huge, huge, 4, 5], 1, w(2), w(3)), TooLarge, "x"),
        ErrorCase::new("weight past i32", new([1, 1 << 16, 4, 5], 1 << 16, w(1), w(1)), TooLarge, "weight"),
        ErrorCase::new("y past i32", new([1 << 12, 1, 32, 32], 1 << 10, w(1), w(1)), TooLarge, "y"),
        // A small image, but padded to a large one.
        ErrorCase::new("padded y past i32", new([4, 1, 1, 1], 1, w(1).pad(1 << 15), w(1).pad(1 << 14)), TooLarge, "y"),
    ]
}

/// Any convolution of up to 300,000 multiply-adds. One in three has few channels and many pixels, over
/// which the sums of the gradients are split; half of these are like the first one of a network.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let n = random.between(1, 3);
    let kind = random.below(8);
    let ([c_in, c_out], [least, most]) = match kind {
        0 => ([1, random.choose([1, 2, 3, 4, 5, 7, 8, 4, 8])], [16, 60]),
        1 => ([random.between(1, 5), random.between(1, 5)], [20, 80]),
        // Whole vec4s of channels, and enough of them for every tile.
        2 => ([4 * random.between(1, 17), 4 * random.between(1, 17)], [1, 6]),
        // For strips of pixels: channels in twos; one channel, and lines in whole vec4s.
        3 => ([2 * random.between(1, 5), 2 * random.between(1, 10)], [1, 10]),
        4 => ([1, 4 * random.between(3, 9)], [4, 24]),
        _ => ([random.size(65), random.size(65)], [1, random.choose([4, 10, 20])]),
    };
    let [h_in, w_in] = [random.between(least, most), random.between(least, most)];
    let w_in = if kind == 4 { w_in.next_multiple_of(4) } else { w_in };
    let [h, w] = match kind {
        0 => [first_window(random), first_window(random)],
        3 | 4 => [window(random), first_window(random)],
        _ => [window(random), window(random)],
    };
    let op = Conv2d::new([n, c_in, h_in, w_in], c_out, h, w).ok()?;
    let elements = op.x().len().max(op.weight().len()).max(op.y().len());
    if Contract::flops(&op, Direction::Fwd) <= 600_000 && elements <= 16_384 { Some(Arc::new(op)) } else { None }
}

/// A window of a network's first convolution.
fn first_window(random: &mut Random) -> Window {
    let kernel = random.between(3, 5);
    Window::new(kernel).pad(random.between(0, kernel))
}

/// A window of a convolution: small kernels are likelier, padding may exceed them.
fn window(random: &mut Random) -> Window {
    let kernel = random.choose([1, 1, 2, 2, 3, 3, 3, 4, 5, 5, 6, 7]);
    let mut window = Window::new(kernel);
    if random.one_in(2) {
        window = window.stride(random.between(1, 4));
    }
    if random.one_in(3) {
        window = window.dilation(random.between(1, 4));
    }
    let span = (kernel - 1) * window.dilation + 1;
    match random.below(4) {
        0 => window,
        1 | 2 => window.pad(random.between(0, span / 2)),
        _ => window.pad(random.between(0, span + 1)),
    }
}
