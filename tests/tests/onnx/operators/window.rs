//! Sliding windows as ONNX lays them, and Conv.
//!
//! Ours pad both sides alike and round the number of windows down; ONNX may pad one side more, choose
//! the padding by itself, or round up. Where ours can do the same they do; else the input is padded
//! here, so that every window lies inside.

use super::{Outcome, Problem, one};
use crate::machine::{Machine, real};
use crate::model::Node;
use crate::suite::Case;
use reference::ops::Conv2d;
use reference::{Array, Direction, Window};

/// A window along one axis of an image.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    pub size_in: usize,
    pub size_out: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Padding before and after.
    pub pads: [usize; 2],
}

impl Axis {
    /// The axes of a node over an image of these sizes.
    pub fn of(node: &Node, sizes: &[usize], kernel: &[usize]) -> Result<Vec<Self>, Problem> {
        if sizes.len() != kernel.len() {
            return Err(format!("a kernel {kernel:?} over an image {sizes:?}").into());
        }
        let auto = node.text("auto_pad", "NOTSET");
        let ceil = node.integer("ceil_mode", 0) != 0;
        let along = |i: usize| {
            let (size_in, kernel) = (sizes[i], kernel[i]);
            let [stride, dilation] = ["strides", "dilations"].map(|name| size(node, name, i, 1));
            let span = (kernel - 1) * dilation + 1;
            let mut pads = [i, i + sizes.len()].map(|i| size(node, "pads", i, 0));
            if let "SAME_UPPER" | "SAME_LOWER" = auto.as_str() {
                let total = ((size_in.div_ceil(stride) - 1) * stride + span).saturating_sub(size_in);
                pads = split(total, auto == "SAME_UPPER");
            }
            let steps = (size_in + pads[0] + pads[1]).checked_sub(span);
            let steps = steps.ok_or_else(|| format!("a window of {span} over {size_in} and {pads:?}"))?;
            let mut size_out = if ceil { steps.div_ceil(stride) } else { steps / stride } + 1;
            // A window that would start behind the input does not count.
            if ceil && (size_out - 1) * stride >= size_in + pads[0] {
                size_out -= 1;
            }
            Ok(Self { size_in, size_out, kernel, stride, dilation, pads })
        };
        (0..sizes.len()).map(along).collect()
    }

    /// An axis along which nothing happens.
    pub fn still(size: usize) -> Self {
        Self { size_in: size, size_out: size, kernel: 1, stride: 1, dilation: 1, pads: [0; 2] }
    }

    pub fn span(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// From the start of the first window to the end of the last.
    pub fn reach(&self) -> usize {
        (self.size_out - 1) * self.stride + self.span()
    }

    /// The window for a descriptor that itself pads at most `limit` on each side, and how the input
    /// has to be padded for it: before, and to which size.
    pub fn fit(&self, limit: usize) -> (Window, Option<(usize, usize)>) {
        let window = Window { kernel: self.kernel, stride: self.stride, pad: 0, dilation: self.dilation };
        let [before, after] = self.pads;
        let rounded_down = (self.size_in + before + after - self.span()) / self.stride + 1;
        if before == after && before <= limit && rounded_down == self.size_out {
            (window.pad(before), None)
        } else {
            (window, Some((before, self.reach())))
        }
    }
}

/// The `i`-th number of an attribute.
fn size(node: &Node, name: &str, i: usize, default: usize) -> usize {
    node.integers(name).and_then(|all| all.get(i)).map_or(default, |&v| v as usize)
}

/// Half on each side; an odd one goes after the input, or before it.
fn split(total: usize, after: bool) -> [usize; 2] {
    let (half, rest) = (total / 2, total - total / 2);
    if after { [half, rest] } else { [rest, half] }
}

/// An image padded for [`Axis::fit`]'s windows: values, windows, and the padding put before.
pub struct Fitted {
    pub values: Vec<f32>,
    pub sizes: [usize; 2],
    pub windows: [Window; 2],
    pub before: [usize; 2],
}

/// Fits `planes` planes to their axes; what is added is `fill`.
pub fn fit(
    machine: &mut Machine,
    values: &[f32],
    planes: usize,
    axes: [Axis; 2],
    limit: impl Fn(&Axis) -> usize,
    fill: f32,
) -> Fitted {
    let [(window_h, extra_h), (window_w, extra_w)] = axes.each_ref().map(|axis| axis.fit(limit(axis)));
    if extra_h.is_some() || extra_w.is_some() {
        machine.note("padding made explicit");
    }
    let [size_h, size_w] = axes.map(|axis| axis.size_in);
    let (before_h, new_h) = extra_h.unwrap_or((0, size_h));
    let (before_w, new_w) = extra_w.unwrap_or((0, size_w));
    let mut padded = vec![fill; planes * new_h * new_w];
    for (padded, plane) in padded.chunks_mut(new_h * new_w).zip(values.chunks(size_h * size_w)) {
        // What lies behind the last window is left out.
        let rows = padded.chunks_mut(new_w).skip(before_h).zip(plane.chunks(size_w));
        for (padded, row) in rows {
            padded.iter_mut().skip(before_w).zip(row).for_each(|(to, from)| *to = *from);
        }
    }
    Fitted { values: padded, sizes: [new_h, new_w], windows: [window_h, window_w], before: [before_h, before_w] }
}

pub fn conv(case: &Case, machine: &mut Machine) -> Outcome {
    let (x, weight) = (case.input(0)?, case.input(1)?);
    let (&[n, c_in, h, w], &[c_out, weight_in, k_h, k_w]) = (&x.dims[..], &weight.dims[..]) else {
        return Err(Problem::Skip("another number of spatial dimensions than two"));
    };
    if case.node.integer("group", 1) != 1 || weight_in != c_in {
        return Err(Problem::Skip("grouped"));
    }
    let &[axis_h, axis_w] = &Axis::of(&case.node, &[h, w], &[k_h, k_w])?[..] else {
        return Err("two axes are expected".to_owned().into());
    };
    let fitted = fit(machine, &x.f32(), n * c_in, [axis_h, axis_w], |_| usize::MAX, 0.0);
    let bias = match case.optional(2) {
        Some(bias) => bias.f32(),
        None => {
            machine.note("no bias: zeros");
            vec![0.0; c_out]
        }
    };
    let ([h, w], [window_h, window_w]) = (fitted.sizes, fitted.windows);
    let op = Conv2d::new([n, c_in, h, w], c_out, window_h, window_w)?;
    let given = [("x", Array::Real(fitted.values)), ("weight", Array::Real(weight.f32())), ("bias", Array::Real(bias))];
    let y = real(&machine.run(&op, Direction::Fwd, given)?, "y")?;
    one([n, c_out, axis_h.size_out, axis_w.size_out], &y)
}
