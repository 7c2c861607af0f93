// conv2d.bwd_input.naive: dx[n,ih,iw,ci] = sum over kh,kw,co of dy[n,oh,ow,co] * weight[kh,kw,ci,co]
// over the outputs that read this input: oh*stride_h = ih + pad_h - kh*dilation_h, ow likewise.
//
// Idea: the baseline, one invocation per input element, gathering.
// Writes: dx =.
// Dispatch: ceil(n*h_in*w_in*c_in / WORKGROUP) workgroups; an invocation owns one element.
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
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n * params.h_in * params.w_in * params.c_in {
        return;
    }
    let ci = i % params.c_in;
    let pixel = i / params.c_in;
    let iw = pixel % params.w_in;
    let ih = pixel / params.w_in % params.h_in;
    let n = pixel / params.w_in / params.h_in;
    var sum = 0.0;
    for (var kh = 0u; kh < params.k_h; kh++) {
        // Below 0 wraps to a huge number, which the comparison with h_out refuses.
        let from_h = ih + params.pad_h - kh * params.dilation_h;
        let oh = from_h / params.stride_h;
        if oh >= params.h_out || oh * params.stride_h != from_h {
            continue;
        }
        for (var kw = 0u; kw < params.k_w; kw++) {
            let from_w = iw + params.pad_w - kw * params.dilation_w;
            let ow = from_w / params.stride_w;
            if ow >= params.w_out || ow * params.stride_w != from_w {
                continue;
            }
            let from_dy = ((n * params.h_out + oh) * params.w_out + ow) * params.c_out;
            let from_weight = ((kh * params.k_w + kw) * params.c_in + ci) * params.c_out;
            for (var co = 0u; co < params.c_out; co++) {
                sum += dy[from_dy + co] * weight[from_weight + co];
            }
        }
    }
    dx[i] = sum;
}
