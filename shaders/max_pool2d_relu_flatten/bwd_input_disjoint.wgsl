// max_pool2d_relu_flatten.bwd_input.disjoint: dx = dy where the window's argmax is this element and its y > 0, else 0;
// dy lies behind flatten, channel by channel
//
// Idea versus naive: windows that do not overlap cut the padded image into cells of stride_h by
// stride_w, one window in each, or none past the last. A cell's owner reads dy, argmax and y once
// instead of once per element. Accepts strides of at least the kernel's span.
// As max_pool2d_relu.bwd_input.disjoint, which finds dy in the order of the image.
// Writes: dx =.
// Dispatch: ceil(n*cells_h*cells_w*c / WORKGROUP) workgroups; an invocation owns one channel of one
// cell.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    c: u32,
    h_in: u32,
    w_in: u32,
    h_out: u32,
    w_out: u32,
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    // Cells of stride_h by stride_w that cover the image and the padding before it.
    cells_h: u32,
    cells_w: u32,
}

// The argmax of a cell without a window: no place in any image.
const NOWHERE: u32 = 0xffffffffu;

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> argmax: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    let channels = params.c;
    if i >= params.n * params.cells_h * params.cells_w * channels {
        return;
    }
    let pixel = i / channels;
    let channel = i - pixel * channels;
    let row = pixel / params.cells_w;
    let ow = pixel - row * params.cells_w;
    let n = row / params.cells_h;
    let oh = row - n * params.cells_h;

    var upstream = 0.0;
    var at = NOWHERE;
    if oh < params.h_out && ow < params.w_out {
        let o = ((n * params.h_out + oh) * params.w_out + ow) * channels + channel;
        let from_dy = ((n * channels + channel) * params.h_out + oh) * params.w_out + ow;
        upstream = select(0.0, dy[from_dy], y[o] > 0.0);
        at = argmax[o];
    }

    // The cell's elements inside the image. Those past the window's span, which a larger stride
    // leaves between windows, get 0 whatever argmax says.
    let span_h = (params.k_h - 1u) * params.dilation_h + 1u;
    let span_w = (params.k_w - 1u) * params.dilation_w + 1u;
    let top = oh * params.stride_h;
    let left = ow * params.stride_w;
    let end_h = min(top + params.stride_h, params.pad_h + params.h_in);
    let end_w = min(left + params.stride_w, params.pad_w + params.w_in);
    for (var padded_h = max(top, params.pad_h); padded_h < end_h; padded_h++) {
        let ih = padded_h - params.pad_h;
        let x_row = (n * params.h_in + ih) * params.w_in;
        for (var padded_w = max(left, params.pad_w); padded_w < end_w; padded_w++) {
            let iw = padded_w - params.pad_w;
            let spanned = padded_h - top < span_h && padded_w - left < span_w;
            let taken = at == ih * params.w_in + iw && spanned;
            dx[(x_row + iw) * channels + channel] = select(0.0, upstream, taken);
        }
    }
}
