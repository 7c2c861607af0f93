//! 2-D max pooling.

use crate::cases::Case;
use crate::{Arg, Array, Axis, Contract, Direction, Domain, Error, Real, TensorSpec, Window, wrong_arguments};
use rayon::prelude::*;

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
        check_windows_inside(op, "h", &h)?;
        check_windows_inside(op, "w", &w)?;
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
    let mut cases = Vec::new();
    let mut add = |name: &str, x: [usize; 4], h: Window, w: Window| {
        cases.extend(MaxPool2d::new(x, h, w).map(|op| Case::new(name, op)));
    };
    // The networks' layers, at a batch that keeps the reference quick.
    for (name, [c, size]) in [
        ("lenet5-pool1", [6, 32]),
        ("lenet5-pool2", [16, 16]),
        ("depth-pool1", [32, 28]),
        ("depth-pool2", [64, 14]),
        ("depth-pool3", [128, 7]),
    ] {
        add(name, [3, c, size, size], halves, halves);
    }
    // One of everything.
    add("1x1", [1, 1, 1, 1], w(1), w(1));
    add("whole-image", [3, 5, 4, 7], w(4), w(7));
    // Asymmetric in every axis, nothing a multiple of a tile.
    add("asymmetric", [3, 5, 11, 7], w(3).stride(2).pad(1), w(2).stride(1));
    add("primes", [3, 7, 13, 11], w(5).stride(3).pad(2), w(3).stride(2).pad(1));
    add("overlapping", [3, 4, 9, 10], w(3).pad(1), w(4).stride(2).pad(2));
    add("rows-left-over", [3, 8, 7, 9], halves, w(3).stride(4));
    add("stride-over-kernel", [3, 3, 11, 13], w(2).stride(3), w(1).stride(4));
    add("stride-over-kernel-vec4", [3, 4, 13, 11], w(2).stride(5).pad(1), w(3).stride(4).pad(1));
    add("disjoint-padded", [3, 8, 8, 9], w(4).stride(4).pad(2), w(2).stride(3).pad(1));
    add("dilated", [3, 3, 12, 14], w(3).dilation(2).pad(2), w(2).dilation(3).stride(2).pad(1));
    add("dilated-vec4", [3, 8, 9, 13], w(2).dilation(4).stride(2).pad(2), w(3).dilation(3).stride(3).pad(3));
    add("dilated-disjoint", [2, 4, 11, 9], w(2).dilation(2).stride(3).pad(1), w(2).dilation(3).stride(5));
    // Around the widths that kernels move at once.
    for c in [1, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33, 64] {
        add(&format!("channels-{c}"), [1, c, 5, 7], w(3).stride(2).pad(1), halves);
        add(&format!("channels-{c}-disjoint"), [1, c, 5, 7], halves, w(3).stride(3).pad(1));
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;

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

    #[test]
    fn impossible_poolings_are_refused() {
        let w = Window::new;
        let error = |x, h, w| MaxPool2d::new(x, h, w).expect_err("an impossible pooling").to_string();
        assert!(error([0, 1, 4, 4], w(2), w(2)).contains("n is 0"));
        assert!(error([1, 1, 0, 4], w(2), w(2)).contains("h_in is 0"));
        assert!(error([1, 1, 4, 4], w(2), w(0)).contains("k_w is 0"));
        assert!(error([1, 1, 4, 4], w(2).stride(0), w(2)).contains("stride_h is 0"));
        assert!(error([1, 1, 4, 4], w(5), w(2)).contains("spans 5"));
        assert!(error([1, 1, 4, 4], w(3).pad(2), w(2)).contains("pad_h is 2"));
        assert!(error([1, 1, 4, 4], w(2), w(1).pad(1)).contains("pad_w is 1"));
        assert!(error([1, 1, 4, 1], w(2), w(2).dilation(3).pad(2)).contains("window 0 along w"));
        assert!(error([1 << 20, 1 << 20, 4, 4], w(2), w(2)).contains("more than"));
        assert!(MaxPool2d::new([1, 1, 4, 4], w(2).dilation(2).pad(1), w(3).pad(1)).is_ok());
    }

    #[test]
    fn every_case_is_possible() {
        assert_eq!(cases().len(), 5 + 2 + 10 + 2 * 13);
    }
}
