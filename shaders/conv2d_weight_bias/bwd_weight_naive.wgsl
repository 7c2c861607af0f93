// conv2d_weight_bias.bwd_weight.naive: dweight[kh,kw,ci,co] = sum over n,oh,ow of dy[n,oh,ow,co] * x[n,ih,iw,ci],
// dbias[co] = sum over n,oh,ow of dy[n,oh,ow,co]
//
// Idea: the baseline, one invocation per weight, summing over the whole batch.
// The biases have a dispatch of their own, which could be a part of the first; but a software driver ends an
// invocation's loops after 65,535 turns, which both sums together would reach twice as soon.
// Writes: dweight =, dbias =.
// Dispatch: `weights` ceil(k_h*k_w*c_in*c_out / WORKGROUP) workgroups, an invocation owns one weight; `biases`
// ceil(c_out / WORKGROUP) workgroups, an invocation owns one bias.
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
    splits: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(4) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn weights(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.k_h * params.k_w * params.c_in * params.c_out {
        return;
    }
    let co = i % params.c_out;
    let ci = i / params.c_out % params.c_in;
    let kernel = i / params.c_out / params.c_in;
    let kw = kernel % params.k_w;
    let kh = kernel / params.k_w;
    var sum = 0.0;
    for (var n = 0u; n < params.n; n++) {
        for (var oh = 0u; oh < params.h_out; oh++) {
            let ih = oh * params.stride_h + kh * params.dilation_h - params.pad_h;
            if ih >= params.h_in {
                continue;
            }
            for (var ow = 0u; ow < params.w_out; ow++) {
                let iw = ow * params.stride_w + kw * params.dilation_w - params.pad_w;
                if iw >= params.w_in {
                    continue;
                }
                let from_x = ((n * params.h_in + ih) * params.w_in + iw) * params.c_in + ci;
                let from_dy = ((n * params.h_out + oh) * params.w_out + ow) * params.c_out + co;
                sum += dy[from_dy] * x[from_x];
            }
        }
    }
    dweight[i] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn biases(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let co = group_index(group, groups) * WORKGROUP + lane;
    if co >= params.c_out {
        return;
    }
    var sum = 0.0;
    let rows = params.n * params.h_out * params.w_out;
    for (var row = 0u; row < rows; row++) {
        sum += dy[row * params.c_out + co];
    }
    dbias[co] = sum;
}
