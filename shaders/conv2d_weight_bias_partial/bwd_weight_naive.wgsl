// conv2d_weight_bias_partial.bwd_weight.naive: partials[s,kh,kw,ci,co] = sum over the lines n,oh of split s, and over ow, of
// dy[n,oh,ow,co] * x[n,ih,iw,ci], bias_partials[s,co] = sum of the same dy[n,oh,ow,co]
//
// Idea: the baseline, one invocation per weight and split, and one per bias and split. A split has
// ceil(n*h_out / splits) lines, counted through all images; those at the end have fewer, or none, and are 0.
// Writes: partials =, bias_partials =.
// Dispatch: `splits` layers, in `weights` of ceil(k_h*k_w*c_in*c_out / WORKGROUP) workgroups, an invocation owns one
// weight of one split; in `biases` of ceil(c_out / WORKGROUP) workgroups, an invocation owns one bias of one split.
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
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;
@group(0) @binding(4) var<storage, read_write> bias_partials: array<f32>;

// The first line of a split, and one behind its last.
fn lines_of(split: u32) -> vec2<u32> {
    let lines = params.n * params.h_out;
    let per_split = (lines + params.splits - 1u) / params.splits;
    return min(vec2(split, split + 1u) * per_split, vec2(lines));
}

@compute @workgroup_size(WORKGROUP)
fn weights(
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
    let lines = lines_of(group.z);
    var sum = 0.0;
    for (var line = lines.x; line < lines.y; line++) {
        let n = line / params.h_out;
        let oh = line % params.h_out;
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
            let from_dy = (line * params.w_out + ow) * params.c_out + co;
            sum += dy[from_dy] * x[from_x];
        }
    }
    partials[group.z * len + i] = sum;
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
    let pixels = lines_of(group.z) * params.w_out;
    var sum = 0.0;
    for (var pixel = pixels.x; pixel < pixels.y; pixel++) {
        sum += dy[pixel * params.c_out + co];
    }
    bias_partials[group.z * params.c_out + co] = sum;
}
