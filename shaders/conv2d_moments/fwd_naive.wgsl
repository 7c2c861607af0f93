// conv2d_moments.fwd.naive: y[n,oh,ow,co] = bias[co] + sum over kh,kw,ci of x[n,ih,iw,ci] * weight[kh,kw,ci,co]
// with ih = oh*stride_h + kh*dilation_h - pad_h, iw likewise, 0 outside the image;
// clipped at 0 if relu; moments = mean, M2 of every 32 pixels of a channel
//
// Idea: the baseline, one invocation per output element; then one for every 32 pixels of a channel,
// which walks them twice.
// Writes: y =, moments =.
// Dispatch: main: ceil(n*h_out*w_out*c_out / WORKGROUP) workgroups, an invocation owns one element;
// statistics: ceil(ceil(n*h_out*w_out / 32)*c_out / WORKGROUP) workgroups, an invocation owns 32 pixels
// of one channel.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    c_in: u32,
    h_in: u32,
    w_in: u32,
    c_out: u32,
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
    // 1 if y is clipped.
    relu: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
// [32 pixels][mean, M2][c_out]
@group(0) @binding(5) var<storage, read_write> moments: array<f32>;

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
    var sum = bias[co];
    for (var kh = 0u; kh < params.k_h; kh++) {
        // Left of or above the image wraps to a huge number: one comparison guards both sides.
        let ih = oh * params.stride_h + kh * params.dilation_h - params.pad_h;
        if ih >= params.h_in {
            continue;
        }
        for (var kw = 0u; kw < params.k_w; kw++) {
            let iw = ow * params.stride_w + kw * params.dilation_w - params.pad_w;
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
    // Not max(): it may turn a NaN into 0, and divergence must be seen.
    y[i] = select(sum, 0.0, params.relu != 0u && sum < 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn statistics(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    let tile = i / params.c_out;
    let co = i % params.c_out;
    let first = tile * 32u;
    let end = min(first + 32u, params.n * params.h_out * params.w_out);
    if first >= end {
        return;
    }
    var sum = 0.0;
    for (var pixel = first; pixel < end; pixel++) {
        sum += y[pixel * params.c_out + co];
    }
    let mean = sum / f32(end - first);
    var m2 = 0.0;
    for (var pixel = first; pixel < end; pixel++) {
        let distance = y[pixel * params.c_out + co] - mean;
        m2 += distance * distance;
    }
    moments[tile * 2u * params.c_out + co] = mean;
    moments[(tile * 2u + 1u) * params.c_out + co] = m2;
}
