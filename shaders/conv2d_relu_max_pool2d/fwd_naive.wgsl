// conv2d_relu_max_pool2d.fwd.naive: y = max over the window of max(bias[co] + sum over kh,kw,ci of x[n,ih,iw,ci] * weight[kh,kw,ci,co], 0),
// argmax = its place mh*w_mid + mw in the plane of the sums
//
// Idea: the baseline, one invocation per pooled output, which computes the sums of its window one after the other.
// Writes: y =, argmax =.
// Dispatch: ceil(n*h_out*w_out*c_out / WORKGROUP) workgroups; an invocation owns one pooled output.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    c_in: u32,
    h_in: u32,
    w_in: u32,
    c_out: u32,
    // What the convolution gives and the pooling takes.
    h_mid: u32,
    w_mid: u32,
    h_out: u32,
    w_out: u32,
    // Of the convolution.
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    // Of the pooling.
    pool_k_h: u32,
    pool_k_w: u32,
    pool_stride_h: u32,
    pool_stride_w: u32,
    pool_pad_h: u32,
    pool_pad_w: u32,
    pool_dilation_h: u32,
    pool_dilation_w: u32,
    // Parts of the sums over what the convolution gives.
    splits: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> argmax: array<u32>;

// By its bits: a compiler may take `v != v` for false.
fn is_nan(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

// The convolution at one place of its output.
fn convolve(n: u32, mh: u32, mw: u32, co: u32) -> f32 {
    var sum = bias[co];
    for (var kh = 0u; kh < params.k_h; kh++) {
        // Left of or above the image wraps to a huge number: one comparison guards both sides.
        let ih = mh * params.stride_h + kh * params.dilation_h - params.pad_h;
        if ih >= params.h_in {
            continue;
        }
        for (var kw = 0u; kw < params.k_w; kw++) {
            let iw = mw * params.stride_w + kw * params.dilation_w - params.pad_w;
            if iw >= params.w_in {
                continue;
            }
            let from_x = ((n * params.h_in + ih) * params.w_in + iw) * params.c_in;
            let from_weight = (kh * params.k_w + kw) * params.c_in * params.c_out + co;
            for (var ci = 0u; ci < params.c_in; ci++) {
                sum += x[from_x + ci] * weight[from_weight + ci * params.c_out];
            }
        }
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n * params.h_out * params.w_out * params.c_out {
        return;
    }
    let co = i % params.c_out;
    let pixel = i / params.c_out;
    let ow = pixel % params.w_out;
    let oh = pixel / params.w_out % params.h_out;
    let n = pixel / params.w_out / params.h_out;
    var best = 0.0;
    var at = 0u;
    var first = true;
    for (var kh = 0u; kh < params.pool_k_h; kh++) {
        let mh = oh * params.pool_stride_h + kh * params.pool_dilation_h - params.pool_pad_h;
        if mh >= params.h_mid {
            continue;
        }
        for (var kw = 0u; kw < params.pool_k_w; kw++) {
            let mw = ow * params.pool_stride_w + kw * params.pool_dilation_w - params.pool_pad_w;
            if mw >= params.w_mid {
                continue;
            }
            // What the convolution would store: sums that are equal then must be so here.
            let sum = stored(convolve(n, mh, mw, co));
            // Not max(): it may drop a NaN. Strictly above, so that the first of equals stays.
            let v = select(sum, 0.0, sum < 0.0);
            if first || v > best || is_nan(v) {
                best = v;
                at = mh * params.w_mid + mw;
                first = false;
            }
        }
    }
    y[i] = best;
    argmax[i] = at;
}
