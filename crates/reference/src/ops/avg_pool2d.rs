//! 2-D average pooling.

use super::max_pool2d::{check_padding, random_window};
use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Axis, Contract, Direction, Error, ErrorKind, Operation, Random, Real, TensorSpec, Window,
    wrong_arguments,
};
use rayon::prelude::*;
use std::sync::Arc;

/// `y[n,c,oh,ow] = Σ_{kh,kw} x[n,c,ih,iw] / (k_h*k_w)` with `ih = oh*stride_h + kh*dilation_h -
/// pad_h`, `iw` likewise; reads outside the image are 0 and count.
///
/// - Shapes: `x` image `[n, c, h_in, w_in]`, `y` image `[n, c, h_out, w_out]`; see [`Axis`] for
///   `h_out`.
/// - Writes: `y`, `dx`, both `=`.
/// - Numerics: `f64` sums, rounded once; deterministic.
/// - Errors: a zero size, a kernel larger than the padded input, padding over half of the kernel's
///   span, tensors past [`crate::MAX_ELEMENTS`].
/// - Source: the definition; padding counts and is limited as in PyTorch, which has no dilation here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvgPool2d {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: Axis,
    /// Columns.
    pub w: Axis,
}

impl AvgPool2d {
    /// Pooling of `[n, c, h_in, w_in]`.
    pub fn new([n, c, h_in, w_in]: [usize; 4], h: Window, w: Window) -> Result<Self, Error> {
        let op = Self::NAME;
        let h = Axis::new(op, "h", h_in, h)?;
        let w = Axis::new(op, "w", w_in, w)?;
        check_padding(op, &h, &w)?;
        for (what, size) in [("n", n), ("c", c)] {
            if size == 0 {
                return Err(Error::ZeroSize { op, what });
            }
        }
        let this = Self { n, c, h, w };
        this.x().check(op, "x")?;
        this.y().check(op, "y")?;
        Ok(this)
    }

    fn x(&self) -> TensorSpec {
        TensorSpec::image(self.n, self.c, self.h.size_in, self.w.size_in)
    }

    fn y(&self) -> TensorSpec {
        TensorSpec::image(self.n, self.c, self.h.size_out, self.w.size_out)
    }

    /// Elements of a window, those in the padding too.
    fn elements(&self) -> usize {
        self.h.window.kernel * self.w.window.kernel
    }

    fn plane_in(&self) -> usize {
        self.h.size_in * self.w.size_in
    }

    fn plane_out(&self) -> usize {
        self.h.size_out * self.w.size_out
    }

    /// Calls `visit(input)` with the place in its plane of every element of a window inside the image.
    fn window(&self, o: usize, mut visit: impl FnMut(usize)) {
        let (oh, ow) = (o / self.w.size_out, o % self.w.size_out);
        for kh in 0..self.h.window.kernel {
            let Some(ih) = self.h.input_at(oh, kh) else { continue };
            for kw in 0..self.w.window.kernel {
                let Some(iw) = self.w.input_at(ow, kw) else { continue };
                visit(ih * self.w.size_in + iw);
            }
        }
    }

    fn forward<T: Real>(&self, x: &[T], y: &mut [T]) {
        let elements = self.elements() as f64;
        let planes = y.par_chunks_mut(self.plane_out()).zip(x.par_chunks(self.plane_in()));
        planes.for_each(|(y, x)| {
            for (o, y) in y.iter_mut().enumerate() {
                let mut sum = 0.0;
                self.window(o, |i| sum += x[i].to_f64());
                *y = T::from_f64(sum / elements);
            }
        });
    }

    /// `dx[n,c,ih,iw] = Σ dy[n,c,oh,ow] / (k_h*k_w)` over the windows that read this input.
    fn backward_input<T: Real>(&self, dy: &[T], dx: &mut [T]) {
        let elements = self.elements() as f64;
        let planes = dx.par_chunks_mut(self.plane_in()).zip(dy.par_chunks(self.plane_out()));
        planes.for_each(|(dx, dy)| {
            let mut sums = vec![0.0; dx.len()];
            for (o, dy) in dy.iter().enumerate() {
                self.window(o, |i| sums[i] += dy.to_f64());
            }
            for (dx, sum) in dx.iter_mut().zip(sums) {
                *dx = T::from_f64(sum / elements);
            }
        });
    }
}

impl Contract for AvgPool2d {
    const NAME: &'static str = "avg_pool2d";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => vec![Arg::read("x", self.x()), Arg::write("y", self.y())],
            Direction::BwdInput => vec![Arg::read("dy", self.y()), Arg::write("dx", self.x())],
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
            (Direction::Fwd, [x], [y]) => self.forward(x.real(), y.real_mut()),
            (Direction::BwdInput, [dy], [dx]) => self.backward_input(dy.real(), dx.real_mut()),
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, _direction: Direction) -> usize {
        // At most as many windows share an element as a window has elements.
        self.elements()
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        // Thirds and the like are rounded, and a kernel may multiply by the rounded third.
        self.elements().is_power_of_two()
    }

    fn flops(&self, _direction: Direction) -> u64 {
        (self.y().len() * self.elements()) as u64
    }
}

/// The networks' layers, every vector edge, and each axis different from the other.
pub fn cases() -> Vec<Case> {
    let w = Window::new;
    let halves = w(2).stride(2);
    let mut cases = Cases::default();
    let mut add = |name: &str, x: [usize; 4], h: Window, w: Window| cases.add(name, AvgPool2d::new(x, h, w));
    for (name, [c, size]) in [
        ("lenet5-pool1", [6, 32]),
        ("lenet5-pool2", [16, 16]),
        ("depth-pool1", [32, 28]),
        ("depth-pool2", [64, 14]),
        ("depth-pool3", [128, 7]),
        ("grid-pool3", [64, 7]),
        ("shallow1-pool1", [32, 26]),
        ("deep4-valid-pool1", [32, 24]),
        ("deep4-valid-pool2", [128, 8]),
        ("deep4-same-pool2", [128, 14]),
        ("two-dense-pool2", [64, 12]),
        ("variant-pool2", [64, 11]),
    ] {
        add(name, [3, c, size, size], halves, halves);
    }
    let overlapping = w(4).stride(3).pad(1);
    for (name, [c, size]) in [("grid-pool1-4x4", [32, 28]), ("grid-pool2-4x4", [32, 9]), ("grid-pool3-4x4", [64, 3])] {
        add(name, [3, c, size, size], overlapping, overlapping);
    }
    add("global", [3, 16, 7, 5], w(7), w(5));
    // One of everything.
    add("batch-65", [65, 3, 5, 4], w(2).stride(2), w(3).stride(1).pad(1));
    add("batch-65-vec4", [65, 4, 4, 5], w(2).stride(2), w(2).stride(2));
    add("1x1", [1, 1, 1, 1], w(1), w(1));
    add("whole-image", [3, 5, 4, 7], w(4), w(7));
    add("one-row", [3, 4, 1, 19], w(1), w(3).stride(2).pad(1));
    add("one-column", [3, 5, 17, 1], w(4).stride(3).pad(2), w(1));
    // Asymmetric in every axis, nothing a multiple of a tile.
    add("asymmetric", [3, 5, 11, 7], w(3).stride(2).pad(1), w(2).stride(1));
    add("asymmetric-transposed", [3, 5, 7, 11], w(2).stride(1), w(3).stride(2).pad(1));
    add("asymmetric-all", [2, 3, 10, 13], w(2).stride(3).pad(2).dilation(4), w(4).stride(2).pad(3).dilation(2));
    add("primes", [3, 7, 13, 11], w(5).stride(3).pad(2), w(3).stride(2).pad(1));
    add("even-kernel", [2, 5, 9, 10], w(6).pad(3), w(4).stride(3));
    add("rows-left-over", [3, 8, 7, 9], halves, w(4).stride(3));
    add("stride-over-kernel", [3, 3, 11, 13], w(2).stride(3), w(1).stride(4));
    add("stride-over-kernel-vec4", [3, 4, 13, 11], w(2).stride(5).pad(1), w(3).stride(4).pad(1));
    add("stride-over-image", [2, 4, 3, 5], w(2).stride(7), w(3).stride(9).pad(1));
    add("disjoint-padded", [3, 8, 8, 9], w(4).stride(4).pad(2), w(2).stride(3).pad(1));
    add("dilated", [3, 3, 12, 14], w(3).dilation(2).pad(2), w(2).dilation(3).stride(2).pad(1));
    add("dilated-vec4", [3, 8, 9, 13], w(2).dilation(4).stride(2).pad(2), w(4).dilation(3).stride(2).pad(3));
    add("dilated-disjoint", [2, 4, 11, 9], w(2).dilation(2).stride(3).pad(1), w(2).dilation(3).stride(5));
    // A window wholly in the padding: its average is 0.
    add("dilated-over-the-image", [2, 4, 5, 1], w(2), w(2).dilation(3).pad(2));
    add("overlapping", [3, 4, 9, 10], w(2).pad(1), w(4).stride(2).pad(2));
    // Around the widths that kernels move at once.
    for c in [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65] {
        add(&format!("channels-{c}"), [1, c, 5, 7], w(3).stride(2).pad(1), halves);
        add(&format!("channels-{c}-halves"), [1, c, 5, 7], w(2).pad(1), w(4).stride(3).pad(1));
        add(&format!("channels-{c}-disjoint"), [1, c, 5, 7], halves, w(3).stride(3).pad(1));
    }
    // Outputs around a workgroup.
    for pixels in [63, 64, 65] {
        add(&format!("pixels-{pixels}"), [1, 1, 2, pixels + 1], w(2), w(2));
        add(&format!("pixels-{pixels}-disjoint"), [1, 1, 2, 2 * pixels], halves, halves);
        add(&format!("pixels-{pixels}-vec4"), [1, 4, 1, pixels], w(1), w(3).pad(1));
    }
    add("batch-1", [1, 6, 9, 4], w(3).stride(2), halves);
    cases.0
}

/// Sizes that no pooling has.
pub fn errors() -> Vec<ErrorCase> {
    use ErrorKind::{KernelTooLarge, OutOfRange, TooLarge, ZeroSize};
    let w = Window::new;
    let huge = usize::MAX;
    let new = |x: [usize; 4], h: Window, w: Window| AvgPool2d::new(x, h, w);
    vec![
        ErrorCase::new("no images", new([0, 1, 4, 5], w(2), w(3)), ZeroSize, "n"),
        ErrorCase::new("no channels", new([1, 0, 4, 5], w(2), w(3)), ZeroSize, "c"),
        ErrorCase::new("no rows", new([1, 1, 0, 5], w(2), w(3)), ZeroSize, "h_in"),
        ErrorCase::new("no columns", new([1, 1, 4, 0], w(2), w(3)), ZeroSize, "w_in"),
        ErrorCase::new("no kernel rows", new([1, 1, 4, 5], w(0), w(3)), ZeroSize, "k_h"),
        ErrorCase::new("no kernel columns", new([1, 1, 4, 5], w(2), w(0)), ZeroSize, "k_w"),
        ErrorCase::new("zero stride down", new([1, 1, 4, 5], w(2).stride(0), w(3)), ZeroSize, "stride_h"),
        ErrorCase::new("zero stride across", new([1, 1, 4, 5], w(2), w(3).stride(0)), ZeroSize, "stride_w"),
        ErrorCase::new("zero dilation down", new([1, 1, 4, 5], w(2).dilation(0), w(3)), ZeroSize, "dilation_h"),
        ErrorCase::new("zero dilation across", new([1, 1, 4, 5], w(2), w(3).dilation(0)), ZeroSize, "dilation_w"),
        ErrorCase::new("kernel too high", new([1, 1, 4, 5], w(5), w(3)), KernelTooLarge, "h"),
        ErrorCase::new("kernel too wide", new([1, 1, 4, 5], w(2), w(8).pad(1)), KernelTooLarge, "w"),
        ErrorCase::new("dilated too high", new([1, 1, 4, 5], w(2).dilation(4), w(3)), KernelTooLarge, "h"),
        ErrorCase::new("padding over half, odd", new([1, 1, 4, 5], w(3).pad(2), w(3)), OutOfRange, "pad_h"),
        ErrorCase::new("padding over half, even", new([1, 1, 4, 5], w(2), w(4).pad(3)), OutOfRange, "pad_w"),
        ErrorCase::new("padding of a point", new([1, 1, 4, 5], w(2), w(1).pad(1)), OutOfRange, "pad_w"),
        ErrorCase::new(
            "padding over the dilated half",
            new([1, 1, 4, 5], w(2).dilation(3).pad(3), w(3)),
            OutOfRange,
            "pad_h",
        ),
        ErrorCase::new("rows past i32", new([1, 1, 1 << 31, 5], w(2), w(3)), TooLarge, "h_in"),
        ErrorCase::new("columns past usize", new([1, 1, 4, huge], w(2), w(3).pad(1)), TooLarge, "w_in"),
        ErrorCase::new("padding past usize", new([1, 1, 4, 5], w(2).pad(huge), w(3)), TooLarge, "pad_h"),
        ErrorCase::new("padding past i32", new([1, 1, 4, 5], w(2), w(3).pad(1 << 30)), TooLarge, "pad_w"),
        ErrorCase::new("stride past i32", new([1, 1, 4, 5], w(2), w(3).stride(1 << 31)), TooLarge, "stride_w"),
        ErrorCase::new("kernel past usize", new([1, 1, 4, 5], w(huge), w(3)), TooLarge, "k_h"),
        ErrorCase::new("dilation past usize", new([1, 1, 4, 5], w(2), w(3).dilation(huge)), TooLarge, "dilation_w"),
        ErrorCase::new("x past i32", new([1 << 11, 1 << 10, 32, 32], w(2), w(3)), TooLarge, "x"),
        ErrorCase::new("x past usize", new([huge, huge, 4, 5], w(2), w(3)), TooLarge, "x"),
        // Two outputs for every input.
        ErrorCase::new("y past i32", new([1 << 15, 1 << 15, 1, 1], w(2).pad(1), w(2).pad(1)), TooLarge, "y"),
    ]
}

/// Any pooling of images of up to 8192 elements.
pub fn random(random: &mut Random) -> Option<Arc<dyn Operation>> {
    let n = random.between(1, 3);
    let c = random.size(65);
    let largest = random.choose([4, 10, 20, 60]);
    let [h_in, w_in] = [random.between(1, largest), random.between(1, largest)];
    let [h, w] = [random_window(random), random_window(random)];
    let op = AvgPool2d::new([n, c, h_in, w_in], h, w).ok()?;
    if op.x().len() <= 8192 && op.y().len() <= 8192 { Some(Arc::new(op)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let op = AvgPool2d::new([1, 1, 2, 3], Window::new(2).stride(2), Window::new(2).pad(1)).expect("a pooling");
        let (x, mut y) = (Array::Real(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), Array::zeros(&op.y()));
        op.run(Direction::Fwd, &[&x], &mut [&mut y]).expect("a forward pass");
        // The padding of the first and the last window counts as zeros.
        assert_eq!(y.real(), [1.25, 3.0, 4.0, 2.25]);

        let (dy, mut dx) = (Array::Real(vec![4.0, 8.0, 12.0, 16.0]), Array::zeros(&op.x()));
        op.run(Direction::BwdInput, &[&dy], &mut [&mut dx]).expect("a backward pass");
        assert_eq!(dx.real(), [3.0, 5.0, 7.0, 3.0, 5.0, 7.0]);
    }
}
