// max_pool2d_relu_flatten.bwd_input.naive: dx = sum of dy over the windows whose argmax is this element and whose y > 0;
// dy lies behind flatten, channel by channel
//
// Idea: the baseline, one invocation per input element, which asks every window that spans it: no
// two invocations write the same element, so no atomics.
// As max_pool2d_relu.bwd_input.naive, which finds dy in the order of the image.
// Writes: dx =.
// Dispatch: ceil(n*h_in*w_in*c / WORKGROUP) workgroups; an invocation owns one element of dx.
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
    if i >= params.n * params.h_in * params.w_in * channels {
        return;
    }
    let pixel = i / channels;
    let channel = i - pixel * channels;
    let row = pixel / params.w_in;
    let iw = pixel - row * params.w_in;
    let n = row / params.h_in;
    let ih = row - n * params.h_in;

    // The windows that span this element: those that start at or before it and end after it.
    let top = ih + params.pad_h;
    let left = iw + params.pad_w;
    let span_h = (params.k_h - 1u) * params.dilation_h + 1u;
    let span_w = (params.k_w - 1u) * params.dilation_w + 1u;
    var oh_first = 0u;
    if top >= span_h {
        oh_first = (top - span_h) / params.stride_h + 1u;
    }
    var ow_first = 0u;
    if left >= span_w {
        ow_first = (left - span_w) / params.stride_w + 1u;
    }
    let oh_end = min(top / params.stride_h + 1u, params.h_out);
    let ow_end = min(left / params.stride_w + 1u, params.w_out);

    let own = ih * params.w_in + iw;
    var sum = 0.0;
    for (var oh = oh_first; oh < oh_end; oh++) {
        let y_row = (n * params.h_out + oh) * params.w_out;
        for (var ow = ow_first; ow < ow_end; ow++) {
            let o = (y_row + ow) * channels + channel;
            let from_dy = ((n * channels + channel) * params.h_out + oh) * params.w_out + ow;
            sum += select(0.0, dy[from_dy], argmax[o] == own && y[o] > 0.0);
        }
    }
    dx[i] = sum;
}
