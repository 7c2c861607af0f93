// conv2d_relu_max_pool2d_partial.bwd_weight.naive: partials[s,kh,kw,ci,co] = sum over the lines n,oh of split s, and over ow, of
// d[n,oh,ow,co] * x[n,ih,iw,ci], bias_partials[s,co] = sum of the same d[n,oh,ow,co], where d = dy where the window's argmax
// is this element and its y > 0, else 0
//
// Idea: the baseline, one invocation per weight and split, and one per bias and split. A split has
// ceil(n*h_mid / splits) lines, counted through all images; those at the end have fewer, or none, and are 0.
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
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> argmax: array<u32>;
@group(0) @binding(4) var<storage, read> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;
@group(0) @binding(6) var<storage, read_write> bias_partials: array<f32>;

// The windows from .x to before .y along an axis span element `at`.
fn windows(at: u32, out: u32, k: u32, stride: u32, pad: u32, dilation: u32) -> vec2<u32> {
    let padded = at + pad;
    let span = (k - 1u) * dilation + 1u;
    // Of those before, the last ends at padded - 1 or earlier.
    let before = (max(padded + 1u, span) - span + stride - 1u) / stride;
    return vec2(before, min(padded / stride + 1u, out));
}

// d of element (oh, ow) of image n, in channel co.
fn d_at(n: u32, oh: u32, ow: u32, co: u32) -> f32 {
    let rows = windows(oh, params.h_out, params.pool_k_h, params.pool_stride_h, params.pool_pad_h, params.pool_dilation_h);
    let columns = windows(ow, params.w_out, params.pool_k_w, params.pool_stride_w, params.pool_pad_w, params.pool_dilation_w);
    var sum = 0.0;
    for (var row = rows.x; row < rows.y; row++) {
        for (var column = columns.x; column < columns.y; column++) {
            let o = ((n * params.h_out + row) * params.w_out + column) * params.c_out + co;
            sum += select(0.0, dy[o], y[o] > 0.0 && argmax[o] == oh * params.w_mid + ow);
        }
    }
    return sum;
}

// The first line of a split, and one behind its last.
fn lines_of(split: u32) -> vec2<u32> {
    let lines = params.n * params.h_mid;
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
        let n = line / params.h_mid;
        let oh = line % params.h_mid;
        let ih = oh * params.stride_h + kh * params.dilation_h - params.pad_h;
        if ih >= params.h_in {
            continue;
        }
        for (var ow = 0u; ow < params.w_mid; ow++) {
            let iw = ow * params.stride_w + kw * params.dilation_w - params.pad_w;
            if iw >= params.w_in {
                continue;
            }
            let from_x = ((n * params.h_in + ih) * params.w_in + iw) * params.c_in + ci;
            sum += d_at(n, oh, ow, co) * x[from_x];
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
    let lines = lines_of(group.z);
    var sum = 0.0;
    for (var line = lines.x; line < lines.y; line++) {
        for (var ow = 0u; ow < params.w_mid; ow++) {
            sum += d_at(line / params.h_mid, line % params.h_mid, ow, co);
        }
    }
    bias_partials[group.z * params.c_out + co] = sum;
}
