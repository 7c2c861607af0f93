// batch_norm_relu_avg_pool2d.fwd.naive: y = sum of max(0, (x - mean) * rstd * weight + bias) over the window / (k_h*k_w),
// rstd = 1/sqrt(var + eps)
//
// Idea: the baseline. One invocation per channel walks all rows, once for the mean and once for the
// squared distances from it; then one per output element normalises and clips what its window holds.
// Writes: mean, rstd, y =; running_mean, running_var changed in place, in training only.
// Dispatch: statistics: ceil(c / WORKGROUP) workgroups, an invocation owns one channel;
// pool: ceil(n*h_out*w_out*c / WORKGROUP) workgroups, an invocation owns one output element.
// Shared memory: none. Barriers: none.

struct Params {
    // Values per channel, n * h * w: the rows of x seen as a matrix of c columns.
    rows: u32,
    c: u32,
    // 1 in training, 0 in inference.
    training: u32,
    // Rows of a chunk of the gradients; the last may have fewer.
    chunk_rows: u32,
    chunks: u32,
    // Those of the statistics.
    moment_rows: u32,
    moment_chunks: u32,
    eps: f32,
    momentum: f32,
    // Of the pooling.
    n: u32,
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
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<storage, read_write> mean: array<f32>;
@group(0) @binding(8) var<storage, read_write> rstd: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn statistics(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.c {
        return;
    }
    if params.training == 0u {
        mean[i] = running_mean[i];
        rstd[i] = inverseSqrt(running_var[i] + params.eps);
        return;
    }
    let end = params.rows * params.c;
    var sum = 0.0;
    for (var at = i; at < end; at += params.c) {
        sum += x[at];
    }
    let center = sum / f32(params.rows);
    var m2 = 0.0;
    for (var at = i; at < end; at += params.c) {
        let distance = x[at] - center;
        m2 += distance * distance;
    }
    mean[i] = center;
    rstd[i] = inverseSqrt(m2 / f32(params.rows) + params.eps);
    let old = 1.0 - params.momentum;
    running_mean[i] = old * running_mean[i] + params.momentum * center;
    // The running variance is the unbiased one.
    running_var[i] = old * running_var[i] + params.momentum * (m2 / f32(params.rows - 1u));
}

@compute @workgroup_size(WORKGROUP)
fn pool(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n * params.h_out * params.w_out * params.c {
        return;
    }
    let pixel = i / params.c;
    let channel = i - pixel * params.c;
    let row = pixel / params.w_out;
    let ow = pixel - row * params.w_out;
    let n = row / params.h_out;
    let oh = row - n * params.h_out;
    let center = mean[channel];

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
            let at = (x_row + padded_w - params.pad_w) * params.c + channel;
            let v = (x[at] - center) * rstd[channel] * weight[channel] + bias[channel];
            // Not max(): it may turn a NaN into 0, and divergence must be seen.
            sum += stored(select(v, 0.0, v < 0.0));
        }
    }
    y[i] = sum * params.scale;
}
