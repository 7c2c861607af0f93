//! One axis of a sliding window: how input and output positions of convolution and pooling meet.

use crate::{Error, MAX_ELEMENTS};
use std::ops::Range;

/// What a caller chooses about a window along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Kernel elements.
    pub kernel: usize,
    /// Input elements between neighbouring windows.
    pub stride: usize,
    /// Zeros added on each side of the input.
    pub pad: usize,
    /// Input elements between neighbouring kernel elements.
    pub dilation: usize,
}

impl Window {
    /// `kernel` elements, stride 1, no padding, no dilation.
    pub fn new(kernel: usize) -> Self {
        Self { kernel, stride: 1, pad: 0, dilation: 1 }
    }

    /// With this stride.
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// With this padding on each side.
    pub fn pad(self, pad: usize) -> Self {
        Self { pad, ..self }
    }

    /// With this dilation.
    pub fn dilation(self, dilation: usize) -> Self {
        Self { dilation, ..self }
    }
}

/// A window laid over an input axis.
///
/// `size_out = (size_in + 2*pad - dilation*(kernel-1) - 1) / stride + 1`, rounded down; output `o`
/// reads input `o*stride + k*dilation - pad` for `k` in `0..kernel`, where that is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// Input elements.
    pub size_in: usize,
    /// Output elements.
    pub size_out: usize,
    /// The window.
    pub window: Window,
}

impl Axis {
    /// Lays `window` over `size_in` elements. `axis` is `h` or `w`, for messages.
    pub fn new(op: &'static str, axis: &'static str, size_in: usize, window: Window) -> Result<Self, Error> {
        let names = match axis {
            "h" => ["h_in", "k_h", "stride_h", "dilation_h", "pad_h"],
            _ => ["w_in", "k_w", "stride_w", "dilation_w", "pad_w"],
        };
        let sizes = [size_in, window.kernel, window.stride, window.dilation, window.pad];
        // All but the padding.
        for (what, size) in names.into_iter().zip(sizes).take(4) {
            if size == 0 {
                return Err(Error::ZeroSize { op, what });
            }
        }
        for (what, size) in names.into_iter().zip(sizes) {
            if size > MAX_ELEMENTS {
                return Err(Error::TooLarge { op, what });
            }
        }
        let padded = size_in.saturating_add(window.pad.saturating_mul(2));
        let span = (window.kernel - 1).saturating_mul(window.dilation).saturating_add(1);
        for (what, size) in [(names[4], padded), (names[3], span)] {
            if size > MAX_ELEMENTS {
                return Err(Error::TooLarge { op, what });
            }
        }
        if span > padded {
            return Err(Error::KernelTooLarge { op, axis, span, padded });
        }
        Ok(Self { size_in, size_out: (padded - span) / window.stride + 1, window })
    }

    /// The input element that output `o` reads through kernel element `k`; `None` in the padding.
    pub fn input_at(&self, o: usize, k: usize) -> Option<usize> {
        let padded = o * self.window.stride + k * self.window.dilation;
        padded.checked_sub(self.window.pad).filter(|&i| i < self.size_in)
    }

    /// The outputs for which kernel element `k` lies inside the input.
    pub fn outputs_inside(&self, k: usize) -> Range<usize> {
        let Window { stride, pad, dilation, .. } = self.window;
        let offset = k * dilation;
        // o*stride + offset >= pad  and  o*stride + offset < pad + size_in
        let first = pad.saturating_sub(offset).div_ceil(stride);
        let end = (pad + self.size_in).saturating_sub(offset).div_ceil(stride);
        first.min(self.size_out)..end.min(self.size_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_inside_agrees_with_input_at() {
        for size_in in 1..9 {
            for kernel in 1..5 {
                for stride in 1..4 {
                    for pad in 0..4 {
                        for dilation in 1..3 {
                            let window = Window { kernel, stride, pad, dilation };
                            let Ok(axis) = Axis::new("test", "h", size_in, window) else {
                                continue;
                            };
                            for k in 0..kernel {
                                let inside: Vec<usize> =
                                    (0..axis.size_out).filter(|&o| axis.input_at(o, k).is_some()).collect();
                                let range: Vec<usize> = axis.outputs_inside(k).collect();
                                assert_eq!(inside, range, "{axis:?} k={k}");
                            }
                        }
                    }
                }
            }
        }
    }
}
