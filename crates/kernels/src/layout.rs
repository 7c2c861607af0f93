//! The one place where tensors change between PyTorch's layouts and the device's.
//!
//! Images are NCHW outside and NHWC on the device, filters OIHW and HWIO, dense weights `[out, in]`
//! and `[in, out]`: on the device the channel that a kernel's neighbouring invocations own comes
//! last. Everything else is row-major in both.

use reference::{Array, DType, Layout, TensorSpec};

/// Host elements to device words.
pub(crate) fn to_device(spec: &TensorSpec, array: &Array<f32>) -> Vec<u32> {
    match array {
        Array::Real(values) => permute(spec, values, true, |v| v.to_bits()),
        Array::Index(values) => permute(spec, values, true, |v| v),
    }
}

/// Device words to host elements.
pub(crate) fn to_host(spec: &TensorSpec, words: &[u32]) -> Array<f32> {
    match spec.dtype {
        DType::Real => Array::Real(permute(spec, words, false, f32::from_bits)),
        DType::Index => Array::Index(permute(spec, words, false, |v| v)),
    }
}

/// Moves `from` into the other layout. Both orders are those of a transposed matrix, once the
/// leading dimensions that stay in front are split off.
fn permute<A: Copy, B: Copy + Default>(
    spec: &TensorSpec,
    from: &[A],
    to_device: bool,
    convert: impl Fn(A) -> B,
) -> Vec<B> {
    let (batch, rows, columns) = match (spec.layout, spec.dims.as_slice()) {
        // [n] x [c, h*w] <-> [n] x [h*w, c]
        (Layout::Image, &[n, c, h, w]) => (n, c, h * w),
        (Layout::Linear, &[out, input]) => (1, out, input),
        (Layout::Filter, &[o, i, h, w]) => return permute_filter([o, i, h, w], from, to_device, convert),
        _ => return from.iter().map(|&v| convert(v)).collect(),
    };
    let mut to = vec![B::default(); from.len()];
    let plane = rows * columns;
    for b in 0..batch {
        for r in 0..rows {
            for c in 0..columns {
                let (host, device) = (b * plane + r * columns + c, b * plane + c * rows + r);
                let (source, target) = if to_device { (host, device) } else { (device, host) };
                to[target] = convert(from[source]);
            }
        }
    }
    to
}

fn permute_filter<A: Copy, B: Copy + Default>(
    [o, i, h, w]: [usize; 4],
    from: &[A],
    to_device: bool,
    convert: impl Fn(A) -> B,
) -> Vec<B> {
    let mut to = vec![B::default(); from.len()];
    for co in 0..o {
        for ci in 0..i {
            for k in 0..h * w {
                let (host, device) = ((co * i + ci) * h * w + k, (k * i + ci) * o + co);
                let (source, target) = if to_device { (host, device) } else { (device, host) };
                to[target] = convert(from[source]);
            }
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_restores_every_layout() {
        for spec in [
            TensorSpec::image(2, 3, 4, 5),
            TensorSpec::filter(2, 3, 4, 5),
            TensorSpec::linear(3, 7),
            TensorSpec::plain([4, 5]),
            TensorSpec::image(2, 3, 4, 5).of_indices(),
        ] {
            let values = 0..spec.len() as u32;
            let array = match spec.dtype {
                DType::Real => Array::Real(values.map(|v| v as f32).collect()),
                DType::Index => Array::Index(values.collect()),
            };
            assert_eq!(to_host(&spec, &to_device(&spec, &array)), array, "{spec}");
        }
    }

    #[test]
    fn device_layouts_are_channels_last() {
        let image = Array::Real((0..6).map(|v| v as f32).collect());
        let words = to_device(&TensorSpec::image(1, 2, 1, 3), &image);
        let values: Vec<f32> = words.into_iter().map(f32::from_bits).collect();
        assert_eq!(values, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);

        // [o=2, i=1, h=1, w=2] -> [h, w, i, o]
        let filter = Array::Real((0..4).map(|v| v as f32).collect());
        let words = to_device(&TensorSpec::filter(2, 1, 1, 2), &filter);
        let values: Vec<f32> = words.into_iter().map(f32::from_bits).collect();
        assert_eq!(values, [0.0, 2.0, 1.0, 3.0]);
    }
}
