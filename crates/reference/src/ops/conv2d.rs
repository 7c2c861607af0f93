//! 2-D convolution (cross-correlation, as every framework defines it).

use crate::cases::Case;
use crate::{Arg, Array, Axis, Contract, Direction, Error, Real, TensorSpec, Window, wrong_arguments};
use rayon::prelude::*;

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

impl Conv2d {
    /// A convolution of `[n, c_in, h_in, w_in]` to `c_out` channels.
    pub fn new(
        [n, c_in, h_in, w_in]: [usize; 4],
        c_out: usize,
        h: Window,
        w: Window,
    ) -> Result<Self, Error> {
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
                        let dy =
                            &dy[(n * self.c_out + co) * self.plane_out()..][..self.plane_out()];
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
            Direction::BwdInput => vec![
                Arg::read("weight", self.weight()),
                Arg::read("dy", self.y()),
                Arg::write("dx", self.x()),
            ],
            Direction::BwdWeight => vec![
                Arg::read("x", self.x()),
                Arg::read("dy", self.y()),
                Arg::write("dweight", self.weight()),
            ],
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

/// The convolutions every implementation is run on: the layers of the networks, every tile edge,
/// and each axis different from the other.
pub fn cases() -> Vec<Case> {
    let w = Window::new;
    let mut cases = Vec::new();
    let mut add = |name: &str, x: [usize; 4], c_out: usize, h: Window, w: Window| {
        cases.extend(Conv2d::new(x, c_out, h, w).map(|op| Case::new(name, op)));
    };
    // The networks' layers, at a batch that keeps the reference quick.
    let both = |k: usize, pad: usize| (w(k).pad(pad), w(k).pad(pad));
    for (name, [c_in, size, c_out, k, pad]) in [
        ("lenet5-conv1", [1, 28, 6, 5, 4]),
        ("lenet5-conv2", [6, 16, 16, 5, 2]),
        ("depth-conv1", [1, 28, 32, 3, 1]),
        ("depth-conv2", [32, 14, 64, 3, 1]),
        ("depth-conv3", [64, 7, 128, 3, 1]),
    ] {
        let (h, w) = both(k, pad);
        add(name, [3, c_in, size, size], c_out, h, w);
    }
    // One of everything.
    add("1x1", [1, 1, 1, 1], 1, w(1), w(1));
    add("pointwise", [3, 5, 4, 6], 7, w(1), w(1));
    add("whole-image", [3, 2, 4, 5], 3, w(4), w(5));
    // Asymmetric in every axis, nothing a multiple of a tile.
    add(
        "asymmetric",
        [3, 5, 11, 7],
        13,
        w(3).stride(2).pad(1),
        w(2).stride(1).pad(0),
    );
    add("primes", [3, 7, 13, 11], 17, w(5).pad(2), w(3).pad(1));
    add("even-kernel", [3, 3, 9, 10], 5, w(4).stride(2).pad(1), w(2).stride(3).pad(1));
    add("pad-over-half", [3, 2, 5, 6], 4, w(3).pad(3), w(5).pad(4));
    add("stride-over-kernel", [3, 3, 11, 13], 5, w(2).stride(3), w(1).stride(4));
    add(
        "dilated",
        [3, 3, 12, 14],
        6,
        w(3).dilation(2).pad(2),
        w(3).dilation(3).stride(2).pad(1),
    );
    // Around the widths that kernels tile by: 4 (vec4), 8 (subgroup), 16, 32, 64.
    for (name, c) in [("3", 3), ("4", 4), ("5", 5), ("7", 7), ("8", 8), ("9", 9), ("15", 15)]
        .into_iter()
        .chain([("16", 16), ("17", 17), ("31", 31), ("32", 32), ("33", 33), ("63", 63)])
        .chain([("64", 64), ("65", 65)])
    {
        add(&format!("tile-{name}"), [1, c, 3, 5], c, w(3).pad(1), w(2));
    }
    add("batch-1", [1, 4, 6, 5], 8, w(3).pad(1), w(3));
    cases
}
