// avg_pool2d.fwd.naive: y = sum of x over the window / (k_h*k_w)
//
// Idea: the baseline, one invocation per output element, which walks its window in row-major order.
// Writes: y =.
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
    // 1 / (k_h*k_w)
    scale: f32,
    // Cells of stride_h by stride_w that cover the image and the padding before it.
    cells_h: u32,
    cells_w: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

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

    // Places in the padded image; those of the image itself lie from pad to end. The padding's zeros
    // need not be added, only counted.
    let top = oh * params.stride_h;
    let left = ow * params.stride_w;
    let end_h = params.pad_h + params.h_in;
    let end_w = params.pad_w + params.w_in;
    var sum = 0.0;
    for (var kh = 0u; kh < params.k_h; kh++) {
        let padded_h = top + kh * params.dilation_h;
        if padded_h < params.pad_h || padded_h >= end_h {
            continue;
        }
        let x_row = (n * params.h_in + padded_h - params.pad_h) * params.w_in;
        for (var kw = 0u; kw < params.k_w; kw++) {
            let padded_w = left + kw * params.dilation_w;
            if padded_w < params.pad_w || padded_w >= end_w {
                continue;
            }
            sum += x[(x_row + padded_w - params.pad_w) * channels + channel];
        }
    }
    y[i] = sum * params.scale;
}
