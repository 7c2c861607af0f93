//! AveragePool, MaxPool and their global forms.
//!
//! One spatial dimension is a row. Three are pooled in two passes, rows and columns first and then
//! depths, since both the maximum and the mean of a box are those of its lines' maxima and means.

use super::window::{Axis, fit};
use super::{Outcome, Problem, one, tensor};
use crate::machine::{Machine, real};
use crate::model::Tensor;
use crate::suite::Case;
use reference::ops::{AvgPool2d, MaxPool2d};
use reference::{Array, Direction};

/// The pooled values and, for the maximum, where each stood in its plane.
struct Pooled {
    y: Vec<f32>,
    argmax: Option<Vec<usize>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Average,
    Max,
}

pub fn max(case: &Case, machine: &mut Machine) -> Outcome {
    let x = case.input(0)?;
    let axes = Axis::of(&case.node, &x.dims[2..], &kernel(case))?;
    let pooled = pool(machine, Kind::Max, &x.f32(), [x.dims[0], x.dims[1]], &axes)?;
    let dims = dims_out(x, &axes);
    let mut y = tensor(dims.clone(), &pooled.y);
    if x.whole {
        machine.note("bytes as reals");
        y.whole = true;
    }
    let mut outputs = vec![y];
    if case.outputs.len() > 1 {
        let (Some(argmax), &[_, _, h, w]) = (pooled.argmax, &x.dims[..]) else {
            return Err(Problem::Skip("an argmax over other than two spatial dimensions"));
        };
        let column_major = case.node.integer("storage_order", 0) != 0;
        machine.note("argmax counted over the whole tensor");
        if column_major {
            machine.note("argmax counted down the columns");
        }
        let plane_out = axes.iter().map(|axis| axis.size_out).product::<usize>();
        let whole = argmax.iter().enumerate().map(|(o, &at)| {
            let at = if column_major { at % w * h + at / w } else { at };
            (o / plane_out * h * w + at) as f64
        });
        outputs.push(Tensor { dims, values: whole.collect(), whole: true });
    }
    Ok(outputs)
}

/// Ours counts every element of a window. Where ONNX leaves some out, the mean of the image is
/// divided by the mean of an image that is 1 where elements count.
pub fn average(case: &Case, machine: &mut Machine) -> Outcome {
    let x = case.input(0)?;
    let axes = Axis::of(&case.node, &x.dims[2..], &kernel(case))?;
    let mut y = pool(machine, Kind::Average, &x.f32(), [x.dims[0], x.dims[1]], &axes)?.y;
    // Explicit padding counts if it is asked to; what only rounding up has added never does.
    let counted: Vec<Axis> = if case.node.integer("count_include_pad", 0) != 0 {
        let with_pads =
            |axis: &Axis| Axis { size_in: axis.size_in + axis.pads[0] + axis.pads[1], pads: [0; 2], ..*axis };
        axes.iter().map(with_pads).collect()
    } else {
        axes.clone()
    };
    if counted.iter().any(|axis| axis.pads[0] > 0 || axis.reach() > axis.size_in) {
        machine.note("divided by the pooled count of elements");
        let ones = vec![1.0; counted.iter().map(|axis| axis.size_in).product()];
        let share = pool(machine, Kind::Average, &ones, [1, 1], &counted)?.y;
        for plane in y.chunks_mut(share.len()) {
            plane.iter_mut().zip(&share).for_each(|(y, share)| *y /= share);
        }
    }
    one(dims_out(x, &axes), &y)
}

pub fn global_max(case: &Case, machine: &mut Machine) -> Outcome {
    global(case, machine, Kind::Max)
}

pub fn global_average(case: &Case, machine: &mut Machine) -> Outcome {
    global(case, machine, Kind::Average)
}

fn global(case: &Case, machine: &mut Machine, kind: Kind) -> Outcome {
    let x = case.input(0)?;
    machine.note("a window as large as the image");
    let axis = |&size| Axis { size_out: 1, kernel: size, ..Axis::still(size) };
    let axes: Vec<_> = x.dims[2..].iter().map(axis).collect();
    let pooled = pool(machine, kind, &x.f32(), [x.dims[0], x.dims[1]], &axes)?;
    one(dims_out(x, &axes), &pooled.y)
}

fn kernel(case: &Case) -> Vec<usize> {
    case.node.integers("kernel_shape").unwrap_or_default().iter().map(|&k| k as usize).collect()
}

fn dims_out(x: &Tensor, axes: &[Axis]) -> Vec<usize> {
    x.dims[..2].iter().copied().chain(axes.iter().map(|axis| axis.size_out)).collect()
}

fn pool(machine: &mut Machine, kind: Kind, x: &[f32], [n, c]: [usize; 2], axes: &[Axis]) -> Result<Pooled, Problem> {
    match *axes {
        [w] => {
            machine.note("one spatial dimension as a row");
            pass(machine, kind, x, [n, c], [Axis::still(1), w])
        }
        [h, w] => pass(machine, kind, x, [n, c], [h, w]),
        [d, h, w] => {
            machine.note("three spatial dimensions in two passes");
            let planes = pass(machine, kind, x, [n, c * d.size_in], [h, w])?;
            let lines = Axis::still(h.size_out * w.size_out);
            Ok(Pooled { argmax: None, ..pass(machine, kind, &planes.y, [n, c], [d, lines])? })
        }
        _ => Err(Problem::Skip("more than three spatial dimensions")),
    }
}

fn pass(machine: &mut Machine, kind: Kind, x: &[f32], [n, c]: [usize; 2], axes: [Axis; 2]) -> Result<Pooled, Problem> {
    // The lowest number never wins against one of the image; zeros add nothing.
    let fill = if kind == Kind::Max { f32::MIN } else { 0.0 };
    // Our pooling pads at most half of a window, as PyTorch's.
    let fitted = fit(machine, x, n * c, axes, |axis| axis.span() / 2, fill);
    let ([h, w], [window_h, window_w]) = (fitted.sizes, fitted.windows);
    let x = Array::Real(fitted.values);
    if kind == Kind::Average {
        let op = AvgPool2d::new([n, c, h, w], window_h, window_w)?;
        let y = real(&machine.run(&op, Direction::Fwd, [("x", x)])?, "y")?;
        return Ok(Pooled { y, argmax: None });
    }
    let op = MaxPool2d::new([n, c, h, w], window_h, window_w)?;
    let outputs = machine.run(&op, Direction::Fwd, [("x", x)])?;
    let Some(Array::Index(argmax)) = outputs.get("argmax") else {
        return Err("no argmax".to_owned().into());
    };
    // Back from the padded plane to the image's own. Padding is never taken, so it cannot come from there.
    let place = |&at: &u32| {
        let at = at as usize;
        let (row, column) = ((at / w).wrapping_sub(fitted.before[0]), (at % w).wrapping_sub(fitted.before[1]));
        row.wrapping_mul(axes[1].size_in).wrapping_add(column)
    };
    Ok(Pooled { y: real(&outputs, "y")?, argmax: Some(argmax.iter().map(place).collect()) })
}
