//! 2-D max pooling.

use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Arg, Array, Axis, Contract, Direction, Domain, Error, ErrorKind, Operation, Random, Real, TensorSpec, Window,
    wrong_arguments,
};
use rayon::prelude::*;
use std::sync::Arc;

/// `y[n,c,oh,ow] = max_{kh,kw} x[n,c,ih,iw]` with `ih = oh*stride_h + kh*dilation_h - pad_h`, `iw`
/// likewise, over the window's elements inside the image; `argmax[n,c,oh,ow] = ih*w_in + iw` of the
/// element taken. `dx[n,c,ih,iw]` is the sum of `dy` over the windows whose argmax it is.
///
/// - Shapes: `x` image `[n, c, h_in, w_in]`; `y` and `argmax` images `[n, c, h_out, w_out]`, argmax
///   of indices; see [`Axis`] for `h_out`.
/// - Writes: `y`, `argmax`, `dx`, all `=`.
/// - Numerics: `y` and `argmax` are exact. Among equals the first in row-major window order is taken;
///   a NaN beats every number, and the last NaN the ones before it. `dx` is summed in `f64`, rounded
///   once; an argmax outside of its window's span counts nowhere. Deterministic.
/// - Errors: a zero size, a kernel larger than the padded input, padding over half of the kernel's
///   span, a window with no element inside the image, tensors past [`crate::MAX_ELEMENTS`].
/// - Source: the definition; ties, NaN and the limit on padding are those of PyTorch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool2d {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: Axis,
    /// Columns.
    pub w: Axis,
}

impl MaxPool2d {
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
        // Last, since it takes time for every output.
        check_windows_inside(op, "h", &this.h)?;
        check_windows_inside(op, "w", &this.w)?;
        Ok(this)
    }

    fn x(&self) -> TensorSpec {
        TensorSpec::image(self.n, self.c, self.h.size_in, self.w.size_in)
    }

    fn y(&self) -> TensorSpec {
        TensorSpec::image(self.n, self.c, self.h.size_out, self.w.size_out)
    }

    fn argmax(&self) -> TensorSpec {
        self.y().of_indices()
    }

    fn plane_in(&self) -> usize {
        self.h.size_in * self.w.size_in
    }

    fn plane_out(&self) -> usize {
        self.h.size_out * self.w.size_out
    }

    fn forward<T: Real>(&self, x: &[T], y: &mut [T], argmax: &mut [u32]) {
        let (plane_in, plane_out) = (self.plane_in(), self.plane_out());
        let outputs = y.par_chunks_mut(plane_out).zip(argmax.par_chunks_mut(plane_out));
        outputs.zip(x.par_chunks(plane_in)).for_each(|((y, argmax), x)| {
            for (o, (y, argmax)) in y.iter_mut().zip(argmax).enumerate() {
                let best = self.best(x, o / self.w.size_out, o % self.w.size_out);
                // Every window has an element inside: the constructor saw to it.
                let (at, value) = best.unwrap_or_default();
                (*y, *argmax) = (value, at as u32);
            }
        });
    }

    /// The largest element of a window over one plane, and where in the plane it stands.
    fn best<T: Real>(&self, x: &[T], oh: usize, ow: usize) -> Option<(usize, T)> {
        let mut best: Option<(usize, T)> = None;
        for kh in 0..self.h.window.kernel {
            let Some(ih) = self.h.input_at(oh, kh) else { continue };
            for kw in 0..self.w.window.kernel {
                let Some(iw) = self.w.input_at(ow, kw) else { continue };
                let at = ih * self.w.size_in + iw;
                let value = x[at];
                let is_nan = value.to_f64().is_nan();
                if best.is_none_or(|(_, best)| value > best || is_nan) {
                    best = Some((at, value));
                }
            }
        }
        best
    }

    fn backward_input<T: Real>(&self, argmax: &[u32], dy: &[T], dx: &mut [T]) {
        let (plane_in, plane_out) = (self.plane_in(), self.plane_out());
        let upstream = argmax.par_chunks(plane_out).zip(dy.par_chunks(plane_out));
        dx.par_chunks_mut(plane_in).zip(upstream).for_each(|(dx, (argmax, dy))| {
            let mut sums = vec![0.0; dx.len()];
            for (o, (&at, dy)) in argmax.iter().zip(dy).enumerate() {
                let (oh, ow) = (o / self.w.size_out, o % self.w.size_out);
                let (ih, iw) = (at as usize / self.w.size_in, at as usize % self.w.size_in);
                if ih < self.h.size_in && spans(&self.h, oh, ih) && spans(&self.w, ow, iw) {
                    sums[at as usize] += dy.to_f64();
                }
            }
            for (dx, sum) in dx.iter_mut().zip(sums) {
                *dx = T::from_f64(sum);
            }
        });
    }
}

/// Whether input `i` lies between the first and the last element of window `o`.
fn spans(axis: &Axis, o: usize, i: usize) -> bool {
    let start = o * axis.window.stride;
    (start..start + span(axis)).contains(&(i + axis.window.pad))
}

/// Input elements from the first to the last of a window.
fn span(axis: &Axis) -> usize {
    (axis.window.kernel - 1) * axis.window.dilation + 1
}

/// Refuses padding over half of the kernel's span, as PyTorch does for every pooling.
pub(super) fn check_padding(op: &'static str, h: &Axis, w: &Axis) -> Result<(), Error> {
    for (what, axis) in [("pad_h", h), ("pad_w", w)] {
        if axis.window.pad > span(axis) / 2 {
            let got = axis.window.pad as f64;
            return Err(Error::OutOfRange { op, what, got, range: "at most half of the (dilated) kernel's span" });
        }
    }
    Ok(())
}

/// Refuses windows whose every element lies in the padding. A dilated kernel can step over a small
/// image.
fn check_windows_inside(op: &'static str, name: &'static str, axis: &Axis) -> Result<(), Error> {
    let is_inside = |o| (0..axis.window.kernel).any(|k| axis.input_at(o, k).is_some());
    match (0..axis.size_out).find(|&o| !is_inside(o)) {
        None => Ok(()),
        Some(o) => Err(Error::Mismatch {
            op,
            what: format!("window {o} along {name}"),
            got: "wholly in the padding".into(),
            expected: "one with an element inside the image; use a smaller dilation".into(),
        }),
    }
}

impl Contract for MaxPool2d {
    const NAME: &'static str = "max_pool2d";
    const DIRECTIONS: &'static [Direction] = &[Direction::Fwd, Direction::BwdInput];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        match direction {
            Direction::Fwd => {
                vec![Arg::read("x", self.x()), Arg::write("y", self.y()), Arg::write("argmax", self.argmax())]
            }
            Direction::BwdInput => {
                vec![Arg::read("argmax", self.argmax()), Arg::read("dy", self.y()), Arg::write("dx", self.x())]
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
        match (direction, inputs, outputs) {
            (Direction::Fwd, [x], [y, argmax]) => self.forward(x.real(), y.real_mut(), argmax.index_mut()),
            (Direction::BwdInput, [argmax, dy], [dx]) => {
                self.backward_input(argmax.index(), dy.real(), dx.real_mut());
            }
            _ => return Err(wrong_arguments(Self::NAME, direction)),
        }
        Ok(())
    }

    fn terms(&self, direction: Direction) -> usize {
        match direction {
            Direction::Fwd => 1,
            // At most this many windows share an element.
            _ => self.h.window.kernel * self.w.window.kernel,
        }
    }

    fn exact_on_integers(&self, _direction: Direction) -> bool {
        true
    }

    fn flops(&self, direction: Direction) -> u64 {
        let outputs = self.y().len() as u64;
        match direction {
            Direction::Fwd => outputs * (self.h.window.kernel * self.w.window.kernel) as u64,
            _ => outputs,
        }
    }

    fn domain(&self, arg: &str) -> Domain {
        match arg {
            "argmax" => Domain::Below(self.plane_in() as u32),
            _ => Domain::Real,
        }
    }
}

/// The networks' layers, every vector edge, and each axis different from the other.
pub fn cases() -> Vec<Case> {
    let w = Window::new;
    let halves = w(2).stride(2);
    let mut cases = Cases::default();
    let mut add = |name: &str, x: [usize; 4], h: Window, w: Window| cases.add(name, MaxPool2d::new(x, h, w));
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
    add("rows-left-over", [3, 8, 7, 9], halves, w(3).stride(4));
    add("stride-over-kernel", [3, 3, 11, 13], w(2).stride(3), w(1).stride(4));
    add("stride-over-kernel-vec4", [3, 4, 13, 11], w(2).stride(5).pad(1), w(3).stride(4).pad(1));
    add("stride-over-image", [2, 4, 3, 5], w(2).stride(7), w(3).stride(9).pad(1));
    add("disjoint-padded", [3, 8, 8, 9], w(4).stride(4).pad(2), w(2).stride(3).pad(1));
    add("dilated", [3, 3, 12, 14], w(3).dilation(2).pad(2), w(2).dilation(3).stride(2).pad(1));
    add("dilated-vec4", [3, 8, 9, 13], w(2).dilation(4).stride(2).pad(2), w(3).dilation(3).stride(3).pad(3));
    add("dilated-disjoint", [2, 4, 11, 9], w(2).dilation(2).stride(3).pad(1), w(2).dilation(3).stride(5));
    add("overlapping", [3, 4, 9, 10], w(3).pad(1), w(4).stride(2).pad(2));
    // Around the widths that kernels move at once.
    for c in [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65] {
        add(&format!("channels-{c}"), [1, c, 5, 7], w(3).stride(2).pad(1), halves);
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
    use ErrorKind::{KernelTooLarge, Mismatch, OutOfRange, TooLarge, ZeroSize};
    let w = Window::new;
    let huge = usize::MAX;
    let new = |x: [usize; 4], h: Window, w: Window| MaxPool2d::new(x, h, w);
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
        ErrorCase::new("a window in the padding", new([1, 1, 4, 1], w(2), w(2).dilation(3).pad(2)), Mismatch, "w"),
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
    let op = MaxPool2d::new([n, c, h_in, w_in], h, w).ok()?;
    if op.x().len() <= 8192 && op.y().len() <= 8192 { Some(Arc::new(op)) } else { None }
}

/// A window of a pooling, with padding up to the limit. Every third is as wide as its stride or less.
pub(super) fn random_window(random: &mut Random) -> Window {
    let kernel = random.between(1, 5);
    let dilation = if random.one_in(3) { random.between(1, 4) } else { 1 };
    let span = (kernel - 1) * dilation + 1;
    let stride = if random.one_in(3) { random.between(span, span + 2) } else { random.between(1, 6) };
    let pad = if random.one_in(2) { random.between(0, span / 2) } else { 0 };
    Window::new(kernel).stride(stride).dilation(dilation).pad(pad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(op: &MaxPool2d, x: &[f32]) -> (Vec<f32>, Vec<u32>) {
        let (mut y, mut argmax) = (Array::zeros(&op.y()), Array::zeros(&op.argmax()));
        op.run(Direction::Fwd, &[&Array::Real(x.to_vec())], &mut [&mut y, &mut argmax]).expect("a forward pass");
        (y.real().to_vec(), argmax.index().to_vec())
    }

    #[test]
    fn by_hand() {
        let window = Window::new(2).stride(2);
        let op = MaxPool2d::new([1, 1, 2, 5], window, window).expect("a pooling");
        // Two windows: a tie on the diagonal, then everything below zero. The last column is left over.
        let (y, argmax) = forward(&op, &[1.0, 3.0, -2.0, -1.0, 9.0, 3.0, 0.0, -4.0, -3.0, 9.0]);
        assert_eq!((y, argmax.clone()), (vec![3.0, -1.0], vec![1, 3]));

        let mut dx = Array::zeros(&op.x());
        let (argmax, dy) = (Array::Index(argmax), Array::Real(vec![5.0, 7.0]));
        op.run(Direction::BwdInput, &[&argmax, &dy], &mut [&mut dx]).expect("a backward pass");
        assert_eq!(dx.real(), [0.0, 5.0, 0.0, 7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn an_element_taken_by_several_windows_sums_their_gradients() {
        let op = MaxPool2d::new([1, 1, 1, 3], Window::new(1), Window::new(2).pad(1)).expect("a pooling");
        let (y, argmax) = forward(&op, &[4.0, 6.0, 5.0]);
        assert_eq!((y, argmax.clone()), (vec![4.0, 6.0, 6.0, 5.0], vec![0, 1, 1, 2]));

        let mut dx = Array::zeros(&op.x());
        let (argmax, dy) = (Array::Index(argmax), Array::Real(vec![1.0, 2.0, 4.0, 8.0]));
        op.run(Direction::BwdInput, &[&argmax, &dy], &mut [&mut dx]).expect("a backward pass");
        assert_eq!(dx.real(), [1.0, 6.0, 8.0]);
    }

    #[test]
    fn nan_wins_and_minus_infinity_is_a_number() {
        let op = MaxPool2d::new([1, 1, 1, 4], Window::new(1), Window::new(4)).expect("a pooling");
        let (y, argmax) = forward(&op, &[f32::INFINITY, f32::NAN, f32::NAN, f32::INFINITY]);
        assert!(y[0].is_nan());
        assert_eq!(argmax, [2]);
        let (y, argmax) = forward(&op, &[f32::NEG_INFINITY; 4]);
        assert_eq!((y, argmax), (vec![f32::NEG_INFINITY], vec![0]));
    }

    #[test]
    fn an_argmax_outside_of_its_window_counts_nowhere() {
        let op = MaxPool2d::new([1, 1, 1, 4], Window::new(1), Window::new(2).stride(2)).expect("a pooling");
        let mut dx = Array::zeros(&op.x());
        let (argmax, dy) = (Array::Index(vec![2, 4_000_000_000]), Array::Real(vec![5.0, 7.0]));
        op.run(Direction::BwdInput, &[&argmax, &dy], &mut [&mut dx]).expect("a backward pass");
        assert_eq!(dx.real(), [0.0; 4]);
    }
}
