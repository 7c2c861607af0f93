//! ConvTranspose and MaxUnpool: what our operations do on their way back.

use super::{Outcome, Problem, one};
use crate::machine::{Machine, real};
use crate::model::Node;
use crate::suite::Case;
use reference::ops::{Conv2d, MaxPool2d};
use reference::{Array, Direction, Window};

/// A transposed convolution is the gradient of a convolution: its input is that one's `dy`, its
/// weight `[c_in, c_out, k_h, k_w]` that one's, and its output that one's `dx`.
pub fn conv_transpose(case: &Case, machine: &mut Machine) -> Outcome {
    let (x, weight) = (case.input(0)?, case.input(1)?);
    let (mut x_dims, mut weight_dims) = (x.dims.clone(), weight.dims.clone());
    if x_dims.len() == 3 {
        machine.note("one spatial dimension as a row");
        x_dims.insert(2, 1);
        weight_dims.insert(2, 1);
    }
    let (&[n, c_in, h, w], &[_, c_out, k_h, k_w]) = (&x_dims[..], &weight_dims[..]) else {
        return Err(Problem::Skip("three spatial dimensions, and our convolution has two"));
    };
    if case.inputs.len() > 2 {
        return Err(Problem::Skip("the gradient of a convolution has no bias"));
    }
    let axes = match x.dims.len() {
        3 => [Axis::still(), Axis::of(&case.node, 0, 1, w, k_w)],
        _ => [Axis::of(&case.node, 0, 2, h, k_h), Axis::of(&case.node, 1, 2, w, k_w)],
    };
    let groups = case.node.integer("group", 1) as usize;
    if groups > 1 {
        machine.note("one run for each group");
    }
    let [full_h, full_w] = axes.map(|axis| axis.full);
    // Where both sides are cut alike, that is the convolution's own padding.
    let alike = axes.iter().all(|axis| axis.pads[0] == axis.pads[1] && axis.pads[0] >= 0);
    if !alike {
        machine.note("cropped or extended outside");
    }
    let pads = axes.map(|axis| if alike { axis.pads[0] as usize } else { 0 });
    let [size_h, size_w] = [full_h - 2 * pads[0], full_w - 2 * pads[1]];
    let [window_h, window_w] = [0, 1].map(|i| axes[i].window.pad(pads[i]));
    let op = Conv2d::new([n, c_out, size_h, size_w], c_in / groups, window_h, window_w)?;
    let (x, weight) = (x.f32(), weight.f32());
    let [h_out, w_out] = axes.map(|axis| axis.size_out());
    let mut y = vec![0.0; n * groups * c_out * h_out * w_out];
    for group in 0..groups {
        let channels = c_in / groups * h * w;
        let of_group = |image: &[f32]| image[group * channels..][..channels].to_vec();
        let dy = x.chunks(c_in * h * w).flat_map(of_group).collect();
        let weights = c_in / groups * c_out * k_h * k_w;
        let weight = weight[group * weights..][..weights].to_vec();
        let given = [("weight", Array::Real(weight)), ("dy", Array::Real(dy))];
        let dx = real(&machine.run(&op, Direction::BwdInput, given)?, "dx")?;
        for (i, y) in y.iter_mut().enumerate() {
            let (plane, row, column) = (i / (h_out * w_out), i / w_out % h_out, i % w_out);
            let (image, channel) = (plane / (groups * c_out), plane % (groups * c_out));
            if channel / c_out != group {
                continue;
            }
            let shift = |at: usize, axis: usize| at as i64 + if alike { 0 } else { axes[axis].pads[0] };
            let inside = |at: i64, size: usize| usize::try_from(at).ok().filter(|&at| at < size);
            // Behind the last product there is nothing but zeros.
            if let Some((row, column)) = inside(shift(row, 0), size_h).zip(inside(shift(column, 1), size_w)) {
                *y = dx[((image * c_out + channel % c_out) * size_h + row) * size_w + column];
            }
        }
    }
    let mut dims = vec![n, groups * c_out, h_out, w_out];
    if case.input(0)?.dims.len() == 3 {
        dims.remove(2);
    }
    one(dims, &y)
}

/// An axis of a transposed convolution.
#[derive(Clone, Copy, Debug)]
struct Axis {
    window: Window,
    /// Outputs before any are cut off, those of `output_padding` included.
    full: usize,
    /// How many are cut off before and after; negative where zeros are added.
    pads: [i64; 2],
}

impl Axis {
    fn of(node: &Node, i: usize, rank: usize, size_in: usize, kernel: usize) -> Self {
        let get =
            |name: &str, i: usize, default| node.integers(name).and_then(|all| all.get(i)).copied().unwrap_or(default);
        let (stride, dilation) = (get("strides", i, 1) as usize, get("dilations", i, 1) as usize);
        let window = Window::new(kernel).stride(stride).dilation(dilation);
        let span = (kernel - 1) * dilation + 1;
        let full = (size_in - 1) * stride + span + get("output_padding", i, 0) as usize;
        let auto = node.text("auto_pad", "NOTSET");
        let wanted = match auto.as_str() {
            _ if node.has("output_shape") => Some(get("output_shape", i, 0)),
            "SAME_UPPER" | "SAME_LOWER" => Some((size_in * stride) as i64),
            _ => None,
        };
        let pads = match wanted {
            None => [get("pads", i, 0), get("pads", i + rank, 0)],
            Some(size) => {
                let total = full as i64 - size;
                let half = total.div_euclid(2);
                if auto == "SAME_UPPER" { [half, total - half] } else { [total - half, half] }
            }
        };
        Self { window, full, pads }
    }

    fn still() -> Self {
        Self { window: Window::new(1), full: 1, pads: [0; 2] }
    }

    fn size_out(&self) -> usize {
        (self.full as i64 - self.pads[0] - self.pads[1]) as usize
    }
}

/// Every value goes where its index says, as a pooling's gradient goes to its argmax.
pub fn max_unpool(case: &Case, machine: &mut Machine) -> Outcome {
    let (x, indices) = (case.input(0)?, case.input(1)?);
    let &[n, c, h, w] = &x.dims[..] else {
        return Err(Problem::Skip("another number of spatial dimensions than two"));
    };
    let get = |name: &str, i: usize| case.node.integers(name).and_then(|all| all.get(i)).map_or(1, |&v| v as usize);
    if case.node.has("pads") {
        return Err(Problem::Skip("padded"));
    }
    let windows = [0, 1].map(|i| Window::new(get("kernel_shape", i)).stride(get("strides", i)));
    let [pooled_h, pooled_w] =
        [(h, windows[0]), (w, windows[1])].map(|(size, window)| (size - 1) * window.stride + window.kernel);
    // The indices are those of the smallest image that pools to this size.
    let (mut h_out, mut w_out) = (pooled_h, pooled_w);
    if let Some(shape) = case.optional(2) {
        machine.note("indices recounted in the output's own shape");
        (h_out, w_out) = (shape.values[2] as usize, shape.values[3] as usize);
    }
    machine.note("indices counted plane by plane");
    let argmax = indices.values.iter().map(|&at| {
        let at = at as usize % (pooled_h * pooled_w);
        (at / pooled_w * w_out + at % pooled_w) as u32
    });
    let op = MaxPool2d::new([n, c, h_out, w_out], windows[0], windows[1])?;
    let given = [("argmax", Array::Index(argmax.collect())), ("dy", Array::Real(x.f32()))];
    let y = real(&machine.run(&op, Direction::BwdInput, given)?, "dx")?;
    one([n, c, h_out, w_out], &y)
}
