// conv2d_weight_partial.bwd_weight.naive: partials[s,kh,kw,ci,co] = sum over the pixels n,oh,ow of split s of
// dy[n,oh,ow,co] * x[n,ih,iw,ci]
//
// Idea: the baseline, one invocation per weight and split. A split has ceil(n*h_out*w_out / splits) pixels, counted through
// all images, and as many more as make it whole steps of 16; those at the end have fewer, or none, and are 0.
// Writes: partials =.
// Dispatch: `splits` layers of ceil(k_h*k_w*c_in*c_out / WORKGROUP) workgroups; an invocation owns one weight of one split.
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

const STEP: u32 = 16;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    let len = params.k_h * params.k_w * params.c_in * params.c_out;
    if i >= len {
        return;
    }
    let co = i % params.c_out;
    let ci = i / params.c_out % params.c_in;
    let kernel = i / params.c_out / params.c_in;
    let kw = kernel % params.k_w;
    let kh = kernel / params.k_w;
    let pixels = params.n * params.h_out * params.w_out;
    let per_split = ((pixels + params.splits - 1u) / params.splits + STEP - 1u) / STEP * STEP;
    let end = min(pixels, (group.z + 1u) * per_split);
    var sum = 0.0;
    for (var pixel = group.z * per_split; pixel < end; pixel++) {
        let n = pixel / params.w_out / params.h_out;
        let ih = pixel / params.w_out % params.h_out * params.stride_h + kh * params.dilation_h - params.pad_h;
        let iw = pixel % params.w_out * params.stride_w + kw * params.dilation_w - params.pad_w;
        if ih >= params.h_in || iw >= params.w_in {
            continue;
        }
        let from_x = ((n * params.h_in + ih) * params.w_in + iw) * params.c_in + ci;
        sum += dy[pixel * params.c_out + co] * x[from_x];
    }
    partials[group.z * len + i] = sum;
}
