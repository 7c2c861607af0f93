// max_pool2d_relu.fwd.naive: y = max of relu(x) over the window, argmax = its place ih*w_in + iw in the plane
//
// Idea: the baseline, one invocation per output element, which walks its window in row-major order.
// Writes: y =, argmax =.
// Dispatch: ceil(n*h_out*w_out*c / WORKGROUP) workgroups; an invocation owns one output element.
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
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> argmax: array<u32>;

// By its bits: a compiler may take `v != v` for false.
fn is_nan(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    let channels = params.c;
    if i >= params.n * params.h_out * params.w_out * channels {
        return;
    }
    let pixel = i / channels;
    let channel = i - pixel * channels;
    let row = pixel / params.w_out;
    let ow = pixel - row * params.w_out;
    let n = row / params.h_out;
    let oh = row - n * params.h_out;

    // Places in the padded image; those of the image itself lie from pad to end.
    let top = oh * params.stride_h;
    let left = ow * params.stride_w;
    let end_h = params.pad_h + params.h_in;
    let end_w = params.pad_w + params.w_in;
    var best = 0.0;
    var at = 0u;
    var first = true;
    for (var kh = 0u; kh < params.k_h; kh++) {
        let padded_h = top + kh * params.dilation_h;
        if padded_h < params.pad_h || padded_h >= end_h {
            continue;
        }
        let ih = padded_h - params.pad_h;
        let x_row = (n * params.h_in + ih) * params.w_in;
        for (var kw = 0u; kw < params.k_w; kw++) {
            let padded_w = left + kw * params.dilation_w;
            if padded_w < params.pad_w || padded_w >= end_w {
                continue;
            }
            let iw = padded_w - params.pad_w;
            let value = x[(x_row + iw) * channels + channel];
            let v = select(value, 0.0, value < 0.0);
            // Not max(): it may drop a NaN. Strictly above, so that the first of equals stays.
            if first || v > best || is_nan(v) {
                best = v;
                at = ih * params.w_in + iw;
                first = false;
            }
        }
    }
    y[i] = best;
    argmax[i] = at;
}
